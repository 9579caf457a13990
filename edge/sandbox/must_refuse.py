"""
What the loaded filters of each of our processes must refuse; returns what isn't shown to be refused.

The lists are those by which the filters were made (`edge.sandbox.seccomp`), but nothing of how they were made is relied
on: `edge.sandbox.filters` follows what the kernel has loaded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from edge.sandbox import seccomp
from edge.sandbox.filters import ANY, Bits, Call, Program, exactly, refused

_NATIVE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "armv7l": 0x40000028}
"""The kernel's AUDIT_ARCH number of each of our machines."""
_FOREIGN = {"x86_64": (0x40000003,), "aarch64": (0x40000028,), "armv7l": ()}
"""Those of calls that a program of another architecture could make there: 32-bit x86, 32-bit ARM."""
_X32, _X32_MASK = 0x40000000, 0xC0000000
"""Numbers of 32-bit calls of a 64-bit kernel. With the highest bit set, as in -1, there are none."""
_MOST_CALLS = 512
"""Numbers of system calls that are tried; kernels have fewer than 480."""

_CONDITIONAL = frozenset({"ioctl", "prctl", "fcntl", "fcntl64", "kill", "tgkill"})
"""Calls that vision may make with some arguments; those that it may not are in `_by_arguments`."""
_TERMINAL, _VIDEO = 0x54, 0x56
_TERMINAL_REQUESTS = (0x5412, 0x541C, 0x540E, 0x5423)
"""TIOCSTI, TIOCLINUX, TIOCSCTTY, TIOCSETD."""
_FIONREAD = 0x541B
_OPTIONS = {
    "dumpable": 4,
    "its name": 15,
    "its memory's layout": 35,
    "a filter": 22,
    "rights": 24,
    "its timer slack": 29,
}
_COMMANDS = {"locks": 6, "F_SETOWN": 8, "F_SETSIG": 10, "leases": 1024, "notices": 1026, "a pipe's size": 1031}
_AF_PACKET, _AF_NETLINK, _AF_VSOCK = 17, 16, 40


def vision(programs: Sequence[Program], *, camera: bool, strangers: Sequence[int]) -> list[str]:
    """
    Return what a process that sees isn't shown to be refused.

    Args:
        programs: Its filters.
        camera: Whether it may open devices for reading and writing.
        strangers: Processes that it must not signal.
    """
    allowed = set(" ".join(seccomp.NEEDED.values()).split()) - {"seccomp"} | _CONDITIONAL
    calls = [*_names(seccomp.REFUSED), *_everything_but(allowed), *_another_way(), *_others(), *_by_arguments()]
    ways = [("to write only", os.O_ACCMODE, os.O_WRONLY), ("without reading", os.O_ACCMODE, os.O_ACCMODE)]
    ways += [(name, bit, bit) for name, bit in (("a new file", os.O_CREAT), ("to empty it", os.O_TRUNC))]
    ways += [] if camera else [("to change it", os.O_ACCMODE, os.O_RDWR)]
    for name, mask, value in ways:
        calls += [(f"opening {name}", call) for call in _call("openat", {2: Bits(mask, value)})]
        calls += [(f"opening {name}", call) for call in _call("open", {1: Bits(mask, value)})]
    for stranger in (*strangers, -1):
        calls += [("signals to others", call) for call in _call("kill", {0: exactly(stranger)})]
    return _shown(programs, calls)


def publisher(programs: Sequence[Program]) -> list[str]:
    """Return what a publisher isn't shown to be refused."""
    named = {reason: seccomp.REFUSED[reason] for reason in seccomp.PUBLISHER_REFUSED}
    calls = [*_names(named), *_another_way(), *_others()]
    for family in (_AF_PACKET, _AF_NETLINK, _AF_VSOCK):
        calls += [(f"sockets of family {family}", call) for call in _call("socket", {0: exactly(family)})]
    return _shown(programs, calls)


def helper(programs: Sequence[Program]) -> list[str]:
    """Return what the helper that tells systemd isn't shown to be refused."""
    allowed = set(" ".join(seccomp.HELPERS.values()).split())
    allowed |= {"read", "close", "kill", "wait4", "write", "send", "sendto"}
    calls = [*_everything_but(allowed), *_another_way()]
    calls += [("a word to an address", call) for call in _addresses()]
    return _shown(programs, calls)


_Named = tuple[str, Call]


def _shown(programs: Sequence[Program], calls: Sequence[_Named]) -> list[str]:
    found: dict[str, None] = {}
    for name, call in calls:
        if name not in found and not refused(programs, call):
            found[name] = None
    return list(found)


def _call(name: str, arguments: dict[int, Bits]) -> list[Call]:
    """Return the call *name*, if this machine has it."""
    number = seccomp.number(name)
    return [Call(_NATIVE[os.uname().machine], exactly(number), arguments)] if number >= 0 else []


def _names(table: dict[str, str]) -> Iterator[_Named]:
    for reason, names in table.items():
        for name in names.split():
            yield from ((f"{name} ({reason})", call) for call in _call(name, {}))


def _everything_but(allowed: set[str]) -> Iterator[_Named]:
    known = {seccomp.number(name) for name in allowed}
    for number in range(_MOST_CALLS):
        if number not in known:
            yield f"system call {number}", Call(_NATIVE[os.uname().machine], exactly(number), {})


def _another_way() -> Iterator[_Named]:
    """Yield all calls that are made in another architecture's way."""
    machine = os.uname().machine
    for architecture in _FOREIGN[machine]:
        yield "calls of another architecture", Call(architecture, ANY, {})
    if machine == "x86_64":
        yield "calls of another architecture", Call(_NATIVE[machine], Bits(_X32_MASK, _X32), {})


def _others() -> Iterator[_Named]:
    """Yield what reaches other processes by its arguments."""
    for mask, value in seccomp.NOT_A_THREAD:
        yield from (("another process or namespace (clone)", call) for call in _call("clone", {0: Bits(mask, value)}))
    for operation in (*seccomp.FUTEX_WAITS, *seccomp.FUTEX_OTHERS):
        words = {1: Bits(seccomp.FUTEX_KIND, operation)}
        yield from (("futexes that another process could wait on", call) for call in _call("futex", words))
    yield from (("clone3, whose flags can't be read", call) for call in _call("clone3", {}))


def _addresses() -> list[Call]:
    """Return sending to an address: a pointer that isn't NULL has some bit."""
    return [call for bit in range(32) for call in _call("sendto", {4: Bits(1 << bit, 1 << bit)})]


def _by_arguments() -> Iterator[_Named]:
    yield from (("a word to an address", call) for call in _addresses())
    for kind in range(256):
        # All kinds of device, but for terminals and cameras, of which some requests are harmless.
        mask, value = (0xC000FF00, kind << 8) if kind == _VIDEO else (0xFF00, kind << 8)
        if kind != _TERMINAL:
            yield from ((f"ioctl of type {kind:#x}", call) for call in _call("ioctl", {1: Bits(mask, value)}))
    for request in _TERMINAL_REQUESTS:
        yield from (("typing into a terminal", call) for call in _call("ioctl", {1: exactly(request)}))
    yield from (("how much of the diode was read (FIONREAD)", call) for call in _call("ioctl", {1: exactly(_FIONREAD)}))
    for name, option in _OPTIONS.items():
        yield from ((f"changing {name} (prctl)", call) for call in _call("prctl", {0: exactly(option)}))
    for name, command in _COMMANDS.items():
        yield from ((f"changing {name} (fcntl)", call) for call in _call("fcntl", {1: exactly(command)}))
