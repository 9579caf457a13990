"""The wheelhouse: which wheels a box of another kind needs, told from this one's files alone."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from deploy.wheelhouse import Target, Wheelhouse

PINS = """
# a comment
pip==26.3
numpy==1.26.4 ; platform_machine == 'armv7l'
numpy==2.4.6 ; python_full_version < '3.12' and platform_machine != 'armv7l'
numpy==2.5.5 ; python_full_version >= '3.12' and platform_machine != 'armv7l'
rich==15.0.0
"""


def wheel(folder: Path, name: str, *needs: str) -> Path:
    """Make a wheel that holds nothing but what it needs."""
    path = folder / f"{name}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        lines = "".join(f"Requires-Dist: {need}\n" for need in needs)
        archive.writestr("x.dist-info/METADATA", f"Metadata-Version: 2.1\nName: x\n{lines}\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder of wheels for all kinds of boxes, and the pins beside it."""
    (tmp_path / "pins.txt").write_text(PINS)
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
    wheels, missing = Wheelhouse(folder, folder.parent / "pins.txt", Target(target)).gather(first)

    assert [first.name, "pip-26.3-py3-none-any.whl", numpy] == [path.name for path in wheels]
    assert [] == missing


def test_what_needs_need_comes_too(folder: Path) -> None:
    """A need of a need is gathered once; one that only an extra asks for is not."""
    wheel(folder, "rich-15.0.0-py3-none-any", "numpy", "absent; extra == 'jupyter'")
    first = wheel(folder.parent, "footfall_edge-0.1.0-py3-none-any", "rich", "numpy")
    wheels, _ = Wheelhouse(folder, folder.parent / "pins.txt", Target("aarch64-cp313")).gather(first)

    assert 4 == len(wheels)


def test_a_need_without_a_pin(folder: Path) -> None:
    """Nothing is taken that constraints.txt doesn't pin."""
    first = wheel(folder.parent, "footfall_edge-0.1.0-py3-none-any", "surprise")

    with pytest.raises(SystemExit, match=r"constraints\.txt pins no surprise"):
        Wheelhouse(folder, folder.parent / "pins.txt", Target("aarch64-cp313")).gather(first)


@pytest.mark.parametrize("name", ["aarch64", "mips-cp311", "aarch64-cp27"])
def test_no_kind_of_box(name: str) -> None:
    """A kind of box that there isn't is told with those that there are."""
    with pytest.raises(SystemExit, match="x86_64, aarch64 or armv7l"):
        Target(name)
