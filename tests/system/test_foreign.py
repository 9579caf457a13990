"""
Boxes of another kind than this machine: 64-bit ARM under qemu, 32-bit ARM by what is to be had for it.

Runs only where it is asked for, as test_box.py; also needs qemu-user-static and binfmt-support.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import boxes
from tests.system.versions import give_eyes

NEEDED = ("debootstrap", "qemu-aarch64-static", "update-binfmts", "ffmpeg")
MISSING = [program for program in NEEDED if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None]
pytestmark = [
    pytest.mark.processes,
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(os.environ.get("FOOTFALL_SYSTEM") != "1", reason="boots a Debian: set FOOTFALL_SYSTEM=1"),
    pytest.mark.skipif(os.geteuid() != 0, reason="another machine's Debian in a folder: needs root"),
    pytest.mark.skipif(bool(MISSING), reason=f"apt-get install what gives {', '.join(MISSING)}"),
]
TARGETS = {"bookworm": "aarch64-cp311", "trixie": "aarch64-cp313"}
CLIP = ("-ss", "8.5", "-t", "5.5")
"""The demo clip's busiest seconds: five people, three of them at once and in both directions."""
NEAR_S = 0.2


@pytest.fixture(params=boxes.SUITES)
def arm(request: pytest.FixtureRequest) -> Iterator[tuple[boxes.Box, str]]:
    """Give a box with this Debian for 64-bit ARM, not booted: qemu can't boot it, but can run its programs."""
    if not Path("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "none", "/proc/sys/fs/binfmt_misc"], check=False)
        subprocess.run(["update-binfmts", "--enable"], check=True)
    with boxes.box(request.param, "arm64", "python3,libseccomp2,systemd") as box:
        subprocess.run(["mount", "-t", "proc", "proc", box.root / "proc"], check=True)
        subprocess.run(["mount", "--bind", "/dev", box.root / "dev"], check=True)
        try:
            yield box, TARGETS[request.param]
        finally:
            for name in ("dev", "proc"):
                subprocess.run(["umount", "-l", box.root / name], check=True)


def crossings(said: str) -> list[tuple[str, float]]:
    """Return the crossings that `footfall count --json` told: direction and seconds, one direction after the other."""
    told = [json.loads(line) for line in said.splitlines()]
    return sorted((event["dir"], event["t"]) for event in told if "dir" in event)


def test_arm64_installs_and_counts_the_same(arm: tuple[boxes.Box, str]) -> None:
    """
    A release unpacks and runs on 64-bit ARM, and its count of a clip is this machine's, to the crossing. The two
    processors round a little differently, so that one may book a crossing a frame or two sooner.
    """
    box, target = arm
    folder = box.root / "opt" / "footfall" / "incoming"
    folder.mkdir(parents=True)
    sent = subprocess.run(
        ["bash", "-c", 'source ./deploy.sh; stage "$1"; payload_tar "$1" "" | tar -C "$2" -x', "bash", target, folder],
        check=False, capture_output=True, text=True, cwd=boxes.ROOT, env={**os.environ, **boxes.SIGNING},
    )  # fmt: skip
    assert 0 == sent.returncode, sent.stderr
    (folder / "footfall.yaml").write_text(boxes.CONFIG.format(folder=boxes.FOLDER, ours="127.0.0.1", port=1883))
    eyes = box.root / boxes.FOLDER.lstrip("/")
    give_eyes(eyes)
    subprocess.run(
        ["ffmpeg", "-v", "error", *CLIP, "-i", eyes / "door.mp4", eyes / "short.mp4"],
        check=True,
    )
    said = box.chroot("bash /opt/footfall/incoming/box install /opt/footfall/incoming 2>&1")
    print(said)

    assert "it starts when this system is booted" in said
    arguments = ["--json", "--line", "0.03,0.52,0.97,0.52", "--inside", "0.5,0.9"]
    there = box.chroot(f"footfall count {boxes.FOLDER}/short.mp4 {' '.join(arguments)}")
    here = subprocess.run(
        [sys.executable, "-m", "edge", "count", eyes / "short.mp4", *arguments],
        check=True, capture_output=True, text=True, cwd=boxes.ROOT,
    ).stdout  # fmt: skip
    print(here, there)

    assert len(crossings(here)) >= 4
    assert [way for way, _ in crossings(here)] == [way for way, _ in crossings(there)]
    assert [at for _, at in crossings(here)] == pytest.approx([at for _, at in crossings(there)], abs=NEAR_S)


def test_32_bit_arm_says_what_is_missing(tmp_path: Path) -> None:
    """Where there is no wheel, nothing is made, and the sentence names each package and the way out."""
    said = subprocess.run(
        [boxes.ROOT / "deploy.sh", "bundle", "--for", "armv7l-cp311", "--out", tmp_path / "x.tar"],
        check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env={**os.environ, **boxes.SIGNING},
    )  # fmt: skip
    print(said.stderr)

    assert 1 == said.returncode
    assert not (tmp_path / "x.tar").exists()
    for words in ("armv7l-cp311", "numpy 1.26", "opencv-python-headless 4.11", "pyyaml 6", "PIP_EXTRA_INDEX_URL"):
        assert words in said.stderr
