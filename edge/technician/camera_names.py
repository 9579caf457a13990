"""
Names of V4L2 cameras that last: /dev/videoN is given in the order in which cameras are found, and may change at a boot.

udev keeps a name for each plug in /dev/v4l/by-path, and one for each maker, type and serial number in /dev/v4l/by-id.
The plug is what a technician sees, and two cameras of one type without serial numbers share the other name.
"""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path("/dev/v4l")
_PICTURES = "-video-index0"
"""Ends the names of nodes that give pictures; a camera's other nodes give metadata."""
_PART_OF_BOARD = re.compile("platform-(?!.*-usb)")
"""Begins the names of what a board has itself, as a Raspberry Pi its codecs: nobody plugs these in."""


def is_numbered(source: str) -> bool:
    """Tell whether *source* names a camera by a number that may change."""
    return re.fullmatch(r"/dev/video\d+", source) is not None


def lasting(source: str, folder: Path = FOLDER) -> Path | None:
    """Return the name of the same camera that lasts: by its plug, else by its maker; None where udev keeps none."""
    device = Path(source).resolve()
    for kind in ("by-path", "by-id"):
        # A USB camera may have two names by path, with and without the USB version; the shorter one is the older.
        names = sorted(_entries(folder / kind), key=lambda name: (len(str(name)), name))
        for name in names:
            if name.resolve() == device:
                return name
    return None


def count(folder: Path = FOLDER) -> int:
    """Return how many cameras are plugged in, as udev sees them."""
    names = [name for name in _entries(folder / "by-path") if name.name.endswith(_PICTURES)]
    return len({name.resolve() for name in names if not _PART_OF_BOARD.match(name.name)})


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
