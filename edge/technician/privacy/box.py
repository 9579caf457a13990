"""Judges the whole box: who holds a camera, and what the kernel writes into its log when something crashes."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from edge.core.printable import printable
from edge.technician.privacy.finding import Section
from edge.technician.proc import PROC, Process

_CRASHES = PROC / "sys" / "debug" / "exception-trace"
_KINDS = ("video4linux", "media")
"""How the kernel calls the devices of a camera in /proc/devices."""


def judge(ours: Collection[int]) -> Section:
    """Return what is true of the box; *ours* are the processes that may hold a camera."""
    section = Section("this box")
    holders = list(camera_holders())
    foreign = [who for process, who in holders if process not in ours]
    section.tell("processes that hold a camera", ", ".join(who for _, who in holders) or "none now")
    section.judge_none("of these, not ours", foreign)
    if os.geteuid() != 0:
        section.judge("everybody's descriptors", "this user may not look; run it with sudo", good=False)
    try:
        crashes = _CRASHES.read_text(encoding="ascii").strip()
    except OSError:
        crashes = "0"
    section.judge(
        "memory of crashed processes in the kernel's log (debug.exception-trace)",
        "none" if crashes == "0" else f"YES ({crashes}); type: sudo sysctl debug.exception-trace=0",
        good=crashes == "0",
    )
    return section


def camera_majors() -> set[int]:
    """Return the numbers by which this kernel knows the devices of cameras, whatever their nodes are called."""
    majors = set()
    for line in (PROC / "devices").read_text(encoding="ascii").splitlines():
        number, _, kind = line.strip().partition(" ")
        if kind in _KINDS:
            majors.add(int(number))
    return majors


def cameras_beneath(folder: Path) -> list[str]:
    """Return the nodes of cameras in a folder of devices."""
    majors = camera_majors()
    found = []
    for top, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                status = Path(top, name).lstat()
                if stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) in majors:
                    found.append(str(Path("/", Path(top, name).relative_to(folder.parent))))
    return found


def camera_holders() -> Iterator[tuple[int, str]]:
    """Yield each process that has a camera open or in its memory, and its number, name and user in words."""
    majors = camera_majors()
    for folder in PROC.iterdir():
        if not folder.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            if majors & set(_majors(folder)):
                process = Process(int(folder.name), ())
                name = printable((folder / "comm").read_text(encoding="utf-8", errors="replace").strip())
                yield process.pid, f"{name} (process {process.pid}, user {printable(process.user)})"


def _majors(folder: Path) -> Iterator[int]:
    """Yield the kind of each device that a process has open, or has mapped."""
    entries = [*(folder / "fd").iterdir()]
    with contextlib.suppress(OSError):
        mapped = (folder / "maps").read_text(encoding="utf-8", errors="replace")
        entries += [folder / "map_files" / line.split(" ", 1)[0] for line in mapped.splitlines() if "/dev/" in line]
    for entry in entries:
        with contextlib.suppress(OSError):
            status = entry.stat()
            if stat.S_ISCHR(status.st_mode):
                yield os.major(status.st_rdev)
