"""The wheelhouse: which wheels a box of another kind needs, told from this one's files alone."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.wheelhouse import Target, Wheelhouse, read_lock

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parent.parent
PINS = {
    "pip": "pip==26.3",
    "rich": "rich==15.0.0",
    "numpy-1.26.4": "numpy==1.26.4 ; platform_machine == 'armv7l'",
    "numpy-2.4.6": "numpy==2.4.6 ; python_full_version < '3.12' and platform_machine != 'armv7l'",
    "numpy-2.5.5": "numpy==2.5.5 ; python_full_version >= '3.12' and platform_machine != 'armv7l'",
}
TARGETS = ["aarch64-cp311", "aarch64-cp313", "x86_64-cp311", "x86_64-cp313"]
"""The kinds of boxes that `deploy.sh bundle` serves unless it is told otherwise."""


def wheel(folder: Path, name: str, *needs: str) -> Path:
    """Make a wheel that holds nothing but what it needs."""
    path = folder / f"{name}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        lines = "".join(f"Requires-Dist: {need}\n" for need in needs)
        archive.writestr("x.dist-info/METADATA", f"Metadata-Version: 2.1\nName: x\n{lines}\n")
    return path


def lock(folder: Path) -> Path:
    """Write the lock of what is in *folder*, beside it, as deploy/lock.sh writes it."""
    path = folder.parent / "constraints.lock"
    lines = ["# a comment"]
    for name, pin in PINS.items():
        wheels = sorted(folder.glob(f"{name}-*.whl"))
        digests = [f"    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}" for wheel in wheels]
        lines += [" \\\n".join([pin, *digests])]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder of wheels for all kinds of boxes."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "pip-26.3-py3-none-any")
    wheel(wheels, "rich-15.0.0-py3-none-any")
    for version, tags in (
        ("1.26.4", "cp311-cp311-linux_armv7l"),
        ("2.4.6", "cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64"),
        ("2.4.6", "cp311-cp311-manylinux_2_27_x86_64"),
        ("2.5.5", "cp313-cp313-manylinux_2_27_aarch64"),
        ("2.5.5", "cp313-cp313-manylinux_2_39_x86_64"),
    ):
        wheel(wheels, f"numpy-{version}-{tags}")
    return wheels


@pytest.mark.parametrize(
    ("target", "numpy"),
    [
        ("armv7l-cp311", "numpy-1.26.4-cp311-cp311-linux_armv7l.whl"),
        ("aarch64-cp311", "numpy-2.4.6-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl"),
        ("x86_64-cp311", "numpy-2.4.6-cp311-cp311-manylinux_2_27_x86_64.whl"),
        ("aarch64-cp313", "numpy-2.5.5-cp313-cp313-manylinux_2_27_aarch64.whl"),
        ("x86_64-cp313", "numpy-2.5.5-cp313-cp313-manylinux_2_39_x86_64.whl"),
    ],
)
def test_the_boxes_machine_decides(folder: Path, target: str, numpy: str) -> None:
    """Conditions of pins and of needs are judged by the box's machine and Python, not by this one's."""
    first = wheel(folder.parent, "footfall_edge-0.1.0-py3-none-any", "numpy>=1.26", "rich; python_version < '3'")
    wheels, missing = Wheelhouse(folder, lock(folder), Target(target)).gather(first)

    assert [first.name, "pip-26.3-py3-none-any.whl", numpy] == [path.name for path in wheels]
    assert [] == missing


def test_what_needs_need_comes_too(folder: Path) -> None:
    """A need of a need is gathered once; one that only an extra asks for is not."""
    wheel(folder, "rich-15.0.0-py3-none-any", "numpy", "absent; extra == 'jupyter'")
    first = wheel(folder.parent, "footfall_edge-0.1.0-py3-none-any", "rich", "numpy")
    wheels, _ = Wheelhouse(folder, lock(folder), Target("aarch64-cp313")).gather(first)

    assert 4 == len(wheels)


def test_what_an_extra_needs_comes_if_it_is_asked_for(folder: Path) -> None:
    """An extra of Footfall's own, and the extras that it asks other packages for."""
    wheel(folder, "rich-15.0.0-py3-none-any", "numpy; extra == 'fast'")
    first = wheel(folder.parent, "footfall_edge-0.1.0-py3-none-any", "rich[fast]; extra == 'headquarters'")
    house = Wheelhouse(folder, lock(folder), Target("aarch64-cp313"))

    assert [2, 4] == [len(house.gather(first, extra)[0]) for extra in ("", "headquarters")]


def test_a_need_without_a_pin(folder: Path) -> None:
    """Nothing is taken that constraints.lock doesn't pin."""
    first = wheel(folder.parent, "footfall_edge-0.1.0-py3-none-any", "surprise")

    with pytest.raises(SystemExit, match=r"constraints\.lock pins no surprise"):
        Wheelhouse(folder, lock(folder), Target("aarch64-cp313")).gather(first)


def test_a_wheel_that_was_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel that isn't the locked file isn't taken, though its name is right; pip, asked for it, refuses it too."""
    first = wheel(folder.parent, "footfall_edge-0.1.0-py3-none-any", "rich")
    locked = lock(folder)
    index = folder.parent / "index"
    index.mkdir()
    wheel(folder, "rich-15.0.0-py3-none-any", "malware").rename(index / "rich-15.0.0-py3-none-any.whl")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))

    with pytest.raises(SystemExit, match="DO NOT MATCH THE HASHES"):
        Wheelhouse(folder, locked, Target("aarch64-cp313")).gather(first)


def test_a_wheel_without_a_digest(folder: Path) -> None:
    """Of 32-bit ARM, whose wheels the lock doesn't all know, such a wheel comes only where somebody asks for it."""
    first = wheel(folder.parent, "footfall_edge-0.1.0-py3-none-any", "rich", "numpy")
    locked = lock(folder)
    command: list[str | Path] = [
        sys.executable,
        ROOT / "deploy/wheelhouse.py",
        "--target",
        "armv7l-cp311",
        "--lock",
        locked,
    ]
    command += ["--folder", folder, first]
    other = folder / "numpy-1.26.4-cp311-cp311-linux_armv7l.whl"
    with zipfile.ZipFile(other, "a") as archive:
        archive.writestr("more", "")
    refused, taken = (
        subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **more})
        for more in ({}, {"FOOTFALL_UNLOCKED_WHEELS": "1"})
    )

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"constraints.lock has no digest of: {other.name}. Nobody vouches")
    assert (taken.returncode, other.name in taken.stdout) == (0, True), taken.stderr


@pytest.mark.parametrize("target", TARGETS)
def test_every_package_of_a_box_has_digests(target: str) -> None:
    """Each pin of the lock that applies to a kind of box names at least one file by its digest."""
    pins = Wheelhouse(ROOT, ROOT / "constraints.lock", Target(target))._pins

    assert {"numpy", "paho-mqtt", "pip"} <= pins.keys()
    assert [] == [name for name, pin in pins.items() if not pin.digests]


def test_both_lists_of_pins_agree() -> None:
    """constraints.txt has the pins of constraints.lock and no other."""
    plain = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    locked = [str(pin) for pin, _ in read_lock(ROOT / "constraints.lock")]

    assert locked == [str(Requirement(line)) for line in plain if not line.startswith("#")]


def test_what_is_required_is_pinned() -> None:
    """Each requirement of pyproject.toml that is installed here, extras of training aside, is satisfied by its pin."""
    groups = ["dependencies", "deploy", "demo", "test", "headquarters"]
    said = subprocess.run(
        ["bash", "-c", 'source "$1"; list_requirements "${@:2}"', "bash", ROOT / "deploy.sh", sys.executable, *groups],
        check=True, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    pins = {canonicalize_name(pin.name): pin for pin, _ in read_lock(ROOT / "constraints.lock") if _applies(pin)}
    wanted = [need for need in map(Requirement, said.stdout.splitlines()) if _applies(need)]

    assert len(wanted) > len(groups)
    for need in wanted:
        assert need.specifier.contains(str(pins[canonicalize_name(need.name)].specifier).removeprefix("=="))


def _applies(need: Requirement) -> bool:
    return need.marker is None or need.marker.evaluate()


@pytest.mark.parametrize("name", ["aarch64", "mips-cp311", "aarch64-cp27"])
def test_no_kind_of_box(name: str) -> None:
    """A kind of box that there isn't is told with those that there are."""
    with pytest.raises(SystemExit, match="x86_64, aarch64 or armv7l"):
        Target(name)
