"""What a process can give up about itself: prctl(2) and capset(2), for good. Raises OSError."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Collection

from edge.sandbox import seccomp

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CAPABILITY_VERSION = 0x20080522

DAC_OVERRIDE, DAC_READ_SEARCH = 1, 2
"""Capabilities: to read and write files whatever their mode says, and to read them."""

_libc = ctypes.CDLL(None, use_errno=True)


def gain_nothing() -> None:
    """Gain no rights from programs, which Landlock and seccomp ask for; binds this thread and those to come."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def hide_memory() -> None:
    """Let nobody else of this user look into this process's memory, and write no core; root still may look."""
    _prctl(_PR_SET_DUMPABLE, 0)


def die_with_parent() -> None:
    """Be killed when the parent ends, whatever ends it."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def drop_capabilities(keep: Collection[int] = ()) -> None:
    """
    Make root a user like any other; binds this thread and those to come.

    Args:
        keep: Capabilities that stay where they are held now.
    """
    kept = sum(1 << capability for capability in keep)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    held = (ctypes.c_uint32 * 6)()
    if _libc.syscall(ctypes.c_long(seccomp.number("capget")), header, held):
        _raise()
    if not any(held):
        return
    # effective, permitted, inheritable of the first 32; then the same of the others
    less = (ctypes.c_uint32 * 6)(held[0] & kept, held[1] & kept, 0, 0, 0, 0)
    if _libc.syscall(ctypes.c_long(seccomp.number("capset")), header, less):
        _raise()


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3):
        _raise()


def _raise() -> None:
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code))
