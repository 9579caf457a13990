"""
Landlock: which files, sockets and neighbours a process may still reach, where the kernel has it.

That is 5.13 and later, if built in. Both processes confine themselves by it, each for its own
reasons: `edge.vision.seal`, `edge.publisher.sandbox`. It binds the calling thread, and the threads and programs that it
starts from then on. Files that are open already are not touched. What is confined can't trace, or look into the memory
of, what isn't.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""The same numbers on every architecture."""

EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_REMOVE_FILE, _MAKE_FILE, _TRUNCATE, _IOCTL_DEV = 1 << 5, 1 << 8, 1 << 14, 1 << 15
READ = _READ_FILE | _READ_DIR
WRITE_DEVICE = _WRITE_FILE | _IOCTL_DEV
KEEP_FILES = READ | _WRITE_FILE | _REMOVE_FILE | _MAKE_FILE | _TRUNCATE
"""Make, change and remove ordinary files in a folder."""

_OF_A_FILE = EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
"""The rest are rights of folders, which the kernel doesn't take for a file."""
_FIRST_RIGHTS = (1 << 13) - 1
_LATER_RIGHTS = {2: 1 << 13, 3: _TRUNCATE, 5: _IOCTL_DEV}
"""Rights that a newer ABI knows: moving between folders, truncating, device ioctls."""
_TCP = 0b11
_NEIGHBOURS = 0b11
"""Abstract sockets of, and signals to, processes that aren't as confined."""

_VERSION = 1
_PATH_BENEATH = 1
_TCP_ABI, _SCOPE_ABI = 4, 6


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


def restrict(allowed: Mapping[Path, int], *, network: bool = False) -> None:
    """
    Bind this thread for good; `edge.sandbox.prctl.gain_nothing` comes first.

    Args:
        allowed: What may be done beneath a folder, or to a file; a folder covers what appears in it later. What isn't
            named is refused, and so are rights that this kernel doesn't know yet, by not being asked for.
        network: Whether TCP may be used.

    Raises:
        OSError: the kernel has no Landlock, or refuses the rules.
    """
    version = abi()
    rights = _FIRST_RIGHTS | sum(right for since, right in _LATER_RIGHTS.items() if version >= since)
    refused = 0 if network or version < _TCP_ABI else _TCP
    ruleset = _Ruleset(rights, refused, _NEIGHBOURS if version >= _SCOPE_ABI else 0)
    size = 8 if version < _TCP_ABI else 16 if version < _SCOPE_ABI else 24
    descriptor = _syscall(_CREATE_RULESET, ctypes.byref(ruleset), size, 0)
    try:
        for path, wanted in allowed.items():
            _allow(descriptor, path, wanted & rights)
        _syscall(_RESTRICT_SELF, descriptor, 0)
    finally:
        os.close(descriptor)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _PathBeneath(rights if stat.S_ISDIR(os.fstat(parent).st_mode) else rights & _OF_A_FILE, parent)
        _syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
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
