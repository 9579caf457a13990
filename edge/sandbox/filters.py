"""
Read the system call filters that the kernel has loaded for a process, and tell what they refuse, whatever they hold.

A count of filters proves nothing: a filter may allow everything. So each program is taken out of the kernel
(PTRACE_SECCOMP_GET_FILTER, which asks for root) and interpreted: classic BPF has no loops, and every path through it
is followed. An argument that isn't known takes both ways of a comparison. A call is refused if one of the filters
refuses it on every path; nothing is guessed, and what can't be shown counts as allowed. So does a program with an
instruction that libseccomp, which made all of ours, doesn't use.

Nothing here asks the process itself, and the process is stopped for some milliseconds at most.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_SEIZE, _INTERRUPT, _DETACH, _GET_FILTER = 0x4206, 0x4207, 17, 0x420C
_WALL = 0x40000000
_STOP_S = 2.0
"""Seconds in which a thread must stop to be looked at; one that waits for a disk or a camera may take longer."""
_MOST_FILTERS = 256
_ALL = 0xFFFFFFFF
_MOST_STATES = 200_000
"""States of one program that are followed; more, and nothing is shown."""

_REFUSING = frozenset({0x80000000, 0x00000000, 0x00030000, 0x00050000})
"""Kill the process or the thread, SIGSYS, an errno: the call isn't made. Not: allow, log, ask a tracer or another."""

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_JUMP, _IF_EQUAL, _IF_MORE, _IF_AS_MUCH, _IF_SET = 0x05, 0x15, 0x25, 0x35, 0x45
"""Instructions: load a word of the call, AND it with a constant, end; jump always, or by comparing with a constant."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long] * 4
_libc.ptrace.restype = ctypes.c_long


class Instruction(NamedTuple):
    """One step of classic BPF."""

    code: int
    if_true: int
    if_false: int
    k: int


Program = tuple[Instruction, ...]


class Bits(NamedTuple):
    """A 32-bit word of which the bits in *known* are those of *value*."""

    known: int
    value: int

    @property
    def most(self) -> int:
        """The largest number that it may be."""
        return self.value | ~self.known & _ALL


ANY = Bits(0, 0)


def exactly(number: int) -> Bits:
    """Return a word that is known."""
    return Bits(_ALL, number & _ALL)


def loaded(thread: int) -> list[Program]:
    """
    Return the filters of *thread*, the newest first.

    Raises:
        OSError: this user may not look, the kernel can't show them, or it didn't stop in time.
    """
    _ptrace(_SEIZE, thread)
    try:
        _ptrace(_INTERRUPT, thread)
        _wait(thread)
        return list(_programs(thread))
    finally:
        with contextlib.suppress(OSError):
            _ptrace(_DETACH, thread)


def _programs(thread: int) -> Iterator[Program]:
    for index in range(_MOST_FILTERS):
        try:
            size = _ptrace(_GET_FILTER, thread, index)
        except OSError as exc:
            if exc.errno == errno.ENOENT:
                return
            raise
        buffer = ctypes.create_string_buffer(size * 8)
        _ptrace(_GET_FILTER, thread, index, ctypes.addressof(buffer))
        yield tuple(Instruction(*step) for step in struct.iter_unpack("<HBBI", buffer.raw))
    raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))


def _wait(thread: int) -> None:
    until_s = time.monotonic() + _STOP_S
    while not os.waitpid(thread, _WALL | os.WNOHANG)[0]:
        if time.monotonic() > until_s:
            raise OSError(errno.ETIME, "it did not stop in time")
        time.sleep(0.001)


def _ptrace(request: int, thread: int, *arguments: int) -> int:
    result = int(_libc.ptrace(request, thread, *(*arguments, 0, 0)[:2]))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


@dataclass(frozen=True, slots=True)
class Call:
    """
    A system call, or many at once.

    Attributes:
        architecture: The kernel's AUDIT_ARCH number of the way in which it is made.
        number: Of the call.
        arguments: What is known of an argument: its index, and its lower 32 bits. All else may be anything.
    """

    architecture: int
    number: Bits
    arguments: Mapping[int, Bits]

    def word(self, offset: int) -> Bits:
        """Return the word at *offset* of the kernel's `struct seccomp_data`."""
        if offset == 0:
            return self.number
        if offset == 4:  # noqa: PLR2004 - the structure's
            return exactly(self.architecture)
        index, rest = divmod(offset - 16, 8)
        return self.arguments.get(index, ANY) if index >= 0 and rest == 0 else ANY


def refused(programs: Sequence[Program], call: Call) -> bool:
    """Tell whether one of *programs* refuses *call*, whatever isn't known of it."""
    return any(_refuses(program, call) for program in programs)


def _refuses(program: Program, call: Call) -> bool:
    """Follow every path through *program*; return whether each ends in a refusal."""
    waiting = [(0, exactly(0))]
    seen = set(waiting)
    while waiting:
        at, word = waiting.pop()
        if not 0 <= at < len(program) or len(seen) > _MOST_STATES:
            return False
        step = program[at]
        if step.code == _RETURN:
            if step.k & 0xFFFF0000 not in _REFUSING:
                return False
            continue
        following = _following(step, at, word, call)
        if not following:
            return False
        waiting += following - seen
        seen |= following
    return True


def _following(step: Instruction, at: int, word: Bits, call: Call) -> set[tuple[int, Bits]]:
    """Return where the program may go on, and with which word; nowhere from an instruction that isn't known."""
    if step.code == _LOAD:
        return {(at + 1, call.word(step.k))}
    if step.code == _AND:
        known = word.known | ~step.k & _ALL
        return {(at + 1, Bits(known, word.value & step.k))}
    return {(target, word) for target in _targets(step, at, word)}


def _targets(step: Instruction, at: int, word: Bits) -> set[int]:
    """Return where a jump may lead: both ways where what is known doesn't decide."""
    if step.code == _JUMP:
        return {at + 1 + step.k}
    if step.code == _IF_EQUAL:
        never = bool((word.value ^ step.k) & word.known)
        always = word.known == _ALL and not never
    elif step.code == _IF_MORE:
        always, never = word.value > step.k, word.most <= step.k
    elif step.code == _IF_AS_MUCH:
        always, never = word.value >= step.k, word.most < step.k
    elif step.code == _IF_SET:
        always, never = bool(word.value & step.k), not word.most & step.k
    else:
        return set()
    ways = set() if never else {at + 1 + step.if_true}
    return ways if always else ways | {at + 1 + step.if_false}
