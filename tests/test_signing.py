"""Who vouches for a release: the signed list of digests, and what a box does with one that isn't signed, or is old."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.technician.privacy import programs

ROOT = Path(__file__).parents[1]
UNCHANGED = 1

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen"),
]

MAKE = """
set -euo pipefail
STAGE="$1"
source "$2/deploy/say.sh"
source "$2/deploy/signing.sh"
sign_stage target
"""
VERIFY = """
set -euo pipefail
PREFIX="$1" HOUSE="$1/opt/footfall" ETC="$1/etc" UNCHANGED=1 DRY="" CHANGES=0 UNSIGNED="$4" OLDER="$5"
source "$3/deploy/say.sh"
change() { shift; "$@"; }
put() { install -D -m "$3" "$1" "$2"; }
source "$3/deploy/box/verify.sh"
mkdir -p "$HOUSE"
verify_release "$2"
if [[ -n "$6" ]]; then remember_release "$2"; fi
"""

Release = Callable[..., Path]


@pytest.fixture(name="release")
def _release(tmp_path: Path) -> Release:
    """Make what a box is sent: one file, the list, and its signature by the key called *key*."""

    def make(version: str = "1.0.0", key: str = "key", content: bytes = b"wheel", *, signed: bool = True) -> Path:
        folder = tmp_path / f"{version}-{key}-{content.decode()}" / "target"
        folder.mkdir(parents=True)
        (folder / "a.whl").write_bytes(content)
        (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(content).hexdigest()}  a.whl\n")
        (folder / "release").write_text(f"{version}-abcdef01\n")
        if signed:
            subprocess.run(
                ["bash", "-c", MAKE, "bash", folder.parent, ROOT],
                check=True,
                capture_output=True,
                env={**os.environ, "FOOTFALL_RELEASE_KEY": str(tmp_path / key)},
            )
        return folder

    return make


def offer(box: Path, incoming: Path, *, unsigned: bool = False, older: bool = False, keep: bool = True) -> str:
    """Offer a release to a box; return what it refuses it with, or nothing."""
    flags = ["1" if flag else "" for flag in (unsigned, older, keep)]
    done = subprocess.run(
        ["bash", "-c", VERIFY, "bash", box, incoming, ROOT, *flags], check=False, capture_output=True, text=True
    )
    assert done.returncode in (0, UNCHANGED), done.stderr
    return done.stderr if done.returncode else ""


def test_the_first_release_brings_the_key(tmp_path: Path, release: Release) -> None:
    """The first installation keeps the key; the next release by the same key is taken, without anybody's doing."""
    box = tmp_path / "box"

    assert offer(box, release("1.0.0")) == ""
    assert (box / "etc/footfall/release-signers").read_text().startswith("footfall-release namespaces=")
    assert offer(box, release("1.0.1")) == ""
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_tampered_list(tmp_path: Path, release: Release) -> None:
    """A wheel that was changed on the way, its digest too, isn't taken: the signature isn't of that list."""
    box = tmp_path / "box"
    offer(box, release("1.0.0"))
    tampered = release("1.0.1", content=b"good")
    (tampered / "a.whl").write_bytes(b"evil")
    (tampered / "SHA256SUMS").write_text(f"{hashlib.sha256(b'evil').hexdigest()}  a.whl\n")

    assert "isn't signed by a key that this box knows" in offer(box, tampered)


@pytest.mark.parametrize("signed", [True, False], ids=["another key", "no signature"])
def test_a_release_of_somebody_else(tmp_path: Path, release: Release, signed: bool) -> None:
    """What somebody else has signed, or nobody, isn't taken, but with a flag that says so."""
    box = tmp_path / "box"
    offer(box, release("1.0.0"))
    foreign = release("1.0.1", key="other", signed=signed)

    assert "isn't signed by a key that this box knows" in offer(box, foreign)
    assert offer(box, foreign, unsigned=True, keep=False) == ""


def test_an_older_release(tmp_path: Path, release: Release) -> None:
    """An older release isn't taken though it is signed, but with a flag that says so; the same again is."""
    box = tmp_path / "box"
    offer(box, release("1.10.0"))
    old = release("1.9.0")

    assert "is older than 1.10.0" in offer(box, old)
    assert offer(box, old, older=True, keep=False) == ""
    assert offer(box, release("1.10.0", content=b"again")) == ""


def test_a_new_key(tmp_path: Path, release: Release) -> None:
    """A box takes a new key that the one before has signed, and from then on the old one no more."""
    box = tmp_path / "box"
    offer(box, release("1.0.0"))
    for end in ("", ".pub"):
        shutil.copy(tmp_path / f"key{end}", tmp_path / f"new.before{end}")

    assert offer(box, release("1.0.1", key="new")) == ""
    assert "isn't signed by a key that this box knows" in offer(box, release("1.0.2", key="key"))
    assert offer(box, release("1.0.3", key="new")) == ""


def test_what_is_on_the_disk(tmp_path: Path, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is held against the signed list of what packages put there: a file more, less or changed is told."""
    wheel = tmp_path / "edge-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("edge/__init__.py", "")
        made.writestr("edge-1.data/purelib/edge/data.py", "1")
        made.writestr("edge-1.data/scripts/footfall", "no")
        made.writestr("edge-1.dist-info/RECORD", "no")
        made.writestr("edge-1.dist-info/METADATA", "m")
    listed = subprocess.run(
        [sys.executable, ROOT / "deploy/programs.py", wheel], check=True, capture_output=True, text=True
    ).stdout
    folder = release()
    (folder / "programs").write_text(listed)
    (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(listed.encode()).hexdigest()}  programs\n")
    subprocess.run(
        ["bash", "-c", MAKE, "bash", folder.parent, ROOT],
        check=True,
        env={**os.environ, "FOOTFALL_RELEASE_KEY": str(tmp_path / "key")},
    )
    monkeypatch.setattr(programs, "SIGNERS", folder / "signers")
    disk = tmp_path / "disk"
    for name, text in (("edge/__init__.py", ""), ("edge/data.py", "1"), ("edge-1.dist-info/METADATA", "m")):
        (disk / name).parent.mkdir(parents=True, exist_ok=True)
        (disk / name).write_text(text)
    (disk / "edge-1.dist-info/RECORD").write_text("made by pip")

    assert programs._signed(folder) == ""
    assert programs._differences(folder, dict(programs._digests(disk))) == []
    (disk / "edge/data.py").write_text("2")
    (disk / "edge/more.py").write_text("")
    assert programs._differences(folder, dict(programs._digests(disk))) == ["edge/data.py", "edge/more.py"]
    (folder / "SHA256SUMS").write_text("")
    assert programs._signed(folder).startswith("NO: the signature")
