"""
A network without a wire and a file system that can't be written to, of this process's own: where the kernel gives them.

On a box the unit does this, and forbids doing it again. In a trial, a user who may make a user namespace gets the same;
on a kernel without Landlock, such as Raspberry Pi OS's, it is what lets a process with a camera be sealed at all, since
a camera must be opened for writing. Nothing rests on it alone: `edge.sandbox.self_test` finds what can still be written
to.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_NEWNS, _NEWIPC, _NEWUSER, _NEWNET = 0x20000, 0x08000000, 0x10000000, 0x40000000
_MOUNT_SETATTR = 442
"""The same number on every architecture."""
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_RDONLY, _NOSUID = 0x1, 0x2
_PRIVATE = 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


class _Attributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace", ctypes.c_uint64),
    )


def leave() -> bool:
    """Move this process, which has one thread, into namespaces of its own; return False where that may not be."""
    user, group = os.geteuid(), os.getegid()
    if _libc.unshare(_NEWNS | _NEWNET | _NEWIPC | (_NEWUSER if user else 0)):
        return False
    if user:
        own = Path("/proc/self")
        (own / "setgroups").write_text("deny", encoding="ascii")
        (own / "uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        (own / "gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    return True


def make_read_only() -> bool:
    """
    Make every file system that is mounted read-only here, and let none be mounted from outside; devices stay writable.

    Returns:
        False on a kernel before 5.12.
    """
    attributes = _Attributes(_RDONLY | _NOSUID, 0, _PRIVATE, 0)
    arguments = (
        *(ctypes.c_long(number) for number in (_MOUNT_SETATTR, _AT_FDCWD)),
        *(b"/", ctypes.c_long(_AT_RECURSIVE), ctypes.byref(attributes), ctypes.c_long(ctypes.sizeof(attributes))),
    )
    return int(_libc.syscall(*arguments)) == 0
