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
FOOTFALL_PREFIX="$1" DRY="" CHANGES=0 UNSIGNED="$4" OLDER="$5"
source "$3/deploy/say.sh"
change() { shift; "$@"; }
put() { install -D -m "$3" "$1" "$2"; }
source "$3/deploy/box/state.sh"
source "$3/deploy/box/verify.sh"
mkdir -p "$HOUSE"
verify_release "$2"
if [[ -n "$6" ]]; then remember_release "$2"; fi
"""

Release = Callable[..., Path]
Bundle = Callable[..., tuple[int, str]]
Harm = Callable[[Path], object]


@pytest.fixture(name="release")
def _release(tmp_path: Path) -> Release:
    """Make what a box is sent: one file, the list, and its signature by the key called *key*."""

    def make(version: str = "1.0.0", key: str = "key", content: bytes = b"wheel", *, signed: bool = True) -> Path:
        folder = tmp_path / f"{version}-{key}-{content.decode()}" / "target"
        wheel = f"wheels/footfall_edge-{version}-py3-none-any.whl"
        files = {wheel: content, "box": f"touch {tmp_path}/ran-{content.decode()}".encode(), "systemd/a.service": b""}
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        listed = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
        (folder / "SHA256SUMS").write_text(listed)
        (folder / "release").write_text(f"{version}-{hashlib.sha256(listed.encode()).hexdigest()[:8]}\n")
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
    sums = tampered / "SHA256SUMS"
    next(tampered.glob("wheels/*")).write_bytes(b"evil")
    sums.write_text(sums.read_text().replace(hashlib.sha256(b"good").hexdigest(), hashlib.sha256(b"evil").hexdigest()))

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


def test_the_release_that_runs_is_not_older(tmp_path: Path, release: Release) -> None:
    """After a roll-back the same command mends the box with the release that runs; another of its age isn't taken."""
    box = tmp_path / "box"
    old = release("1.9.0")
    offer(box, old)
    offer(box, release("1.10.0"))
    (box / "opt/footfall/current").symlink_to(Path("releases", (old / "release").read_text().strip()))

    assert offer(box, old, keep=False) == ""
    assert "is older than 1.10.0" in offer(box, release("1.9.0", content=b"another"))


def test_an_old_release_under_a_new_name(tmp_path: Path, release: Release) -> None:
    """The version is that of the signed list: a file beside it that says another, or none, changes nothing."""
    box = tmp_path / "box"
    offer(box, release("1.10.0"))
    old = release("1.9.0")
    digits = (old / "release").read_text().partition("-")[2]
    (old / "release").write_text(f"9.9.9-{digits}")

    assert "calls itself 9.9.9-" in offer(box, old)
    (old / "release").write_text("\x1b[2J../../etc\n")
    refused = offer(box, old)
    assert "calls itself [2J../../etc" in refused
    assert "\x1b[2J" not in refused


HARMS = {
    "a wheel more": ("wheels/evil-1-py3-none-any.whl", "doesn't name: wheels/evil-1-py3-none-any.whl"),
    "a unit more": ("systemd/evil.service", "doesn't name: systemd/evil.service"),
    "a name of two lines": ("systemd/a.service\nbox", "doesn't name: "),
    "another unit": ("systemd/a.service", "isn't what the list"),
    "another script": ("box", "isn't what the list"),
}
"""What was put among the files of a signed release, and what is said of it."""


@pytest.mark.parametrize("harm", HARMS)
def test_files_beside_a_signed_list(tmp_path: Path, release: Release, harm: str) -> None:
    """Each file that came is named in the signed list and has its digest, also one that isn't unpacked again."""
    box = tmp_path / "box"
    offer(box, release("1.0.0"))
    tampered = release("1.0.1")
    name, said = HARMS[harm]
    (tampered / name).write_text("evil")

    assert said in offer(box, tampered)


def test_a_link_among_the_files(tmp_path: Path, release: Release) -> None:
    """A link leads to a file of the box, whatever its digest is by then: none comes."""
    box = tmp_path / "box"
    offer(box, release("1.0.0"))
    tampered = release("1.0.1")
    target = tampered / "systemd/a.service"
    target.rename(tmp_path / "elsewhere")
    target.symlink_to(tmp_path / "elsewhere")

    assert "doesn't name: ./systemd/a.service" in offer(box, tampered)


@pytest.fixture(name="bundle")
def _bundle(tmp_path: Path, release: Release) -> Bundle:
    """Return what hands the release *version* to the script on a box, as a bundle, after *harm* was done to it."""
    script = tmp_path / "script"
    made = subprocess.run(
        ["bash", "-c", f"source {ROOT}/deploy.sh; box_script"], check=True, capture_output=True, text=True
    ).stdout
    script.write_text(made)
    prefix = tmp_path / "box"
    (prefix / "opt/footfall").mkdir(parents=True)
    (prefix / "opt/footfall/current").symlink_to("releases/1.0.0-x")
    machine = subprocess.run(
        ["bash", script, "probe"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "FOOTFALL_PREFIX": str(prefix)},
    ).stdout
    target = machine.split()[1]

    def take(version: str, harm: Harm = lambda _: None, content: bytes = b"wheel") -> tuple[int, str]:
        sent = release(version, content=content)
        stage = tmp_path / version / "footfall-1" / "stage"
        shutil.copytree(sent, stage / target)
        for name in ("wheels", "box", "systemd"):
            (stage / target / name).rename(stage / name)
        harm(stage)
        subprocess.run(["tar", "-C", stage.parents[1], "-cf", tmp_path / "stick.tar", "footfall-1"], check=True)
        done = subprocess.run(
            ["bash", script, "take", tmp_path / "stick.tar"],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "FOOTFALL_PREFIX": str(prefix)},
        )
        return done.returncode, done.stderr

    return take


def test_a_bundle_is_judged_by_the_box(tmp_path: Path, release: Release, bundle: Bundle) -> None:
    """A box that takes a bundle runs nothing of it before its own script has found it signed and whole."""
    offer(tmp_path / "box", release("1.0.0"))

    assert bundle("1.0.1", content=b"good") == (0, "")
    assert (tmp_path / "ran-good").exists()

    def another_script(stage: Path) -> None:
        (stage / "box").write_text(f"touch {tmp_path}/ran-evil")

    code, said = bundle("1.0.2", another_script)
    assert (code, "isn't what the list" in said) == (UNCHANGED, True)
    code, said = bundle("0.9.0", content=b"older")
    assert (code, "is older than 1.0.0" in said) == (UNCHANGED, True)
    assert [path.name for path in tmp_path.glob("ran-*")] == ["ran-good"]


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
