"""Names of cameras that last, in a folder as udev fills it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import schema
from edge.technician import camera_names
from edge.technician.check.config import check_config
from tests.technician.rig import write_config

HUB, LEFT, RIGHT = "pci-0000:01:00.0-usb", "0:1.1:1.0-video-index", "0:1.2:1.0-video-index"


@pytest.fixture(name="udev")
def _udev(tmp_path: Path) -> Path:
    """Two cameras of one type without serial numbers, which share the name by maker; each has a node for metadata."""
    folder = tmp_path / "v4l"
    for kind in ("by-path", "by-id"):
        (folder / kind).mkdir(parents=True)
    nodes = [tmp_path / f"video{number}" for number in range(4)]
    for node in nodes:
        node.touch()
    for number, plug in enumerate((LEFT, RIGHT)):
        for index in (0, 1):
            (folder / "by-path" / f"{HUB}-{plug}{index}").symlink_to(nodes[2 * number + index])
            (folder / "by-path" / f"{HUB}v2-{plug}{index}").symlink_to(nodes[2 * number + index])
    (folder / "by-id" / "usb-Maker_Cam-video-index0").symlink_to(nodes[2])
    return folder


def test_the_name_of_the_plug(tmp_path: Path, udev: Path) -> None:
    """Each camera is named by its plug, and the older of a plug's two names is taken."""
    names = [camera_names.lasting(str(tmp_path / f"video{number}"), udev) for number in (0, 2, 9)]

    assert [udev / "by-path" / f"{HUB}-{LEFT}0", udev / "by-path" / f"{HUB}-{RIGHT}0", None] == names
    assert 2 == camera_names.count(udev)


def test_what_a_board_has_itself_is_no_camera(tmp_path: Path) -> None:
    """A Raspberry Pi's codecs have names by path, too; its USB plugs are told by theirs."""
    folder = tmp_path / "by-path"
    folder.mkdir()
    for name in ("platform-bcm2835-codec", "platform-bcm2835-isp", "platform-xhci-hcd.0-usb-0:1:1.0"):
        (tmp_path / name).touch()
        (folder / f"{name}-video-index0").symlink_to(tmp_path / name)

    assert 1 == camera_names.count(tmp_path)


def test_without_udev(tmp_path: Path) -> None:
    """There are no such names, as in a container."""
    assert camera_names.lasting("/dev/video0", tmp_path) is None
    assert 0 == camera_names.count(tmp_path)


@pytest.mark.parametrize(
    ("source", "plugged", "state"),
    [
        ("/dev/video0", 2, "warn"),
        ("/dev/video0", 1, "ok"),
        ("/dev/v4l/by-path/x-video-index0", 2, None),
        ("csi:0", 2, None),
    ],
)
def test_what_check_recommends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, plugged: int, state: str | None
) -> None:
    """A number is doubtful as soon as two cameras are plugged in, also if the config names one; and how to name it."""
    lasting = Path("/dev/v4l/by-path/usb-1-video-index0")
    monkeypatch.setattr(camera_names, "count", lambda: plugged)
    monkeypatch.setattr(camera_names, "lasting", lambda _source: lasting)
    config = schema.load(write_config(tmp_path, source=source))
    found = [result for result in check_config(config) if result.what == "source door-a"]

    assert [state] * bool(state) == [result.state for result in found]
    assert all(str(lasting) in result.found + result.advice for result in found)
