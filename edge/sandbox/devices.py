"""Which devices there are beside a camera, and which of them this process could open for writing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

VIDEO_MAJOR = 81
"""The kernel's number for video4linux: a camera has further nodes of its own beside the one that gives pictures."""
HARMLESS = frozenset(os.makedev(1, minor) for minor in (3, 5, 7, 8, 9))
"""/dev/null, zero, full, random and urandom: what is written there reaches nobody."""
ALWAYS = tuple(map(Path, ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")))
"""The same by name, which every program may count on."""
_FIRST = ("ptmx", "tty", "fuse")
"""Devices that can be opened and closed without being felt: they come first in a list that is tried."""
_MOST = 4096
"""Entries of a device folder that are looked at."""


def is_device(path: Path) -> bool:
    """Tell whether *path* is a device's node."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def writable_others(folders: Sequence[Path], cameras: Sequence[Path]) -> list[Path]:
    """
    Return what is in *folders* that this user may write to by its mode: devices other than *cameras*, and folders.

    The nodes of cameras and those that reach nobody are left out. Where a device may only be written to by its mode,
    but not by the control group, it is in the list all the same: `opens` tells.
    """
    known = HARMLESS | {camera.stat().st_rdev for camera in cameras if is_device(camera)}
    found = []
    for top in folders:
        for entry in _beneath(top):
            try:
                status = entry.lstat()
            except OSError:
                continue
            device = stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)
            if device and (status.st_rdev in known or os.major(status.st_rdev) == VIDEO_MAJOR):
                continue
            if (device or stat.S_ISDIR(status.st_mode)) and os.access(entry, os.W_OK):
                found.append(entry)
    return sorted(found, key=lambda entry: entry.name not in _FIRST)


def opens(path: Path) -> bool:
    """Try to open a device for writing, or to make a nameless file in a folder; tell whether that can be done."""
    flags = os.O_TMPFILE | os.O_RDWR if path.is_dir() else os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK
    try:
        os.close(os.open(path, flags | os.O_CLOEXEC, 0o600))
    except OSError:
        return False
    return True


def _beneath(top: Path) -> Iterator[Path]:
    left = _MOST
    for folder, names, files in os.walk(top):
        for name in (*names, *files):
            if not left:
                return
            left -= 1
            yield Path(folder, name)
