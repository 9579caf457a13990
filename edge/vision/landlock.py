"""
Landlock: read anything, make nothing, write to the camera; where the kernel has it (5.13 and later, if built in).

It binds the calling thread and the threads that it starts; from kernel 7.0 on all of them at once. What it forbids
here: making, writing, renaming and removing files anywhere, running programs, device ioctls, TCP, abstract sockets.
Access to files that are open already is not touched.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Sequence
from pathlib import Path

from edge.errors import SealError

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""The same numbers on every architecture."""

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_IOCTL_DEV = 1 << 15
_FIRST_RIGHTS = (1 << 13) - 1
_LATER_RIGHTS = {2: 1 << 13, 3: 1 << 14, 5: _IOCTL_DEV}
"""Rights that a newer ABI knows: moving between folders, truncating, device ioctls."""
_TCP = 0b11
_ABSTRACT_SOCKETS = 0b1

_VERSION = 1
_PATH_BENEATH = 1
_ALL_THREADS = 1 << 3
_TCP_ABI, _SCOPE_ABI, _ALL_THREADS_ABI = 4, 6, 8


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


_libc = ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """Return which Landlock this kernel has, 0 for none."""
    try:
        return _syscall(_CREATE_RULESET, None, 0, _VERSION)
    except OSError as exc:
        if exc.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            return 0
        raise


def binds_all_threads() -> bool:
    """Tell whether this kernel's Landlock can bind threads that run already."""
    return abi() >= _ALL_THREADS_ABI


def restrict(writable: Sequence[Path]) -> None:
    """
    Bind this thread, or all threads where the kernel can, for good.

    Args:
        writable: Devices, or a folder of devices, that may still be opened for writing. A folder covers what appears
            in it later.

    Raises:
        SealError: the kernel has Landlock and refuses the rules.
    """
    version = abi()
    rights = _FIRST_RIGHTS | sum(right for since, right in _LATER_RIGHTS.items() if version >= since)
    ruleset = _Ruleset(rights, _TCP if version >= _TCP_ABI else 0, _ABSTRACT_SOCKETS if version >= _SCOPE_ABI else 0)
    size = 8 if version < _TCP_ABI else 16 if version < _SCOPE_ABI else 24
    try:
        descriptor = _syscall(_CREATE_RULESET, ctypes.byref(ruleset), size, 0)
        try:
            _allow(descriptor, Path("/"), _READ_FILE | _READ_DIR)
            for path in writable:
                _allow(descriptor, path, (_READ_FILE | _WRITE_FILE | _IOCTL_DEV) & rights)
            _syscall(_RESTRICT_SELF, descriptor, _ALL_THREADS if version >= _ALL_THREADS_ABI else 0)
        finally:
            os.close(descriptor)
    except OSError as exc:
        raise SealError(f"seal: Landlock refuses its rules: {exc.strerror}") from exc


def _allow(ruleset: int, path: Path, rights: int) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(_PathBeneath(rights, parent)), 0)
    finally:
        os.close(parent)


def _syscall(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(ctypes.c_long(number), *(_word(a) for a in arguments)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _word(argument: object) -> object:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument
