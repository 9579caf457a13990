"""
The one record that crosses from vision to publisher: bytes <-> Tally, and the bounds on both.

This is the whole surface between the process that sees and the process that talks::

    name     direction            size      when                              most
    reading  vision -> publisher  48 bytes  every beat, for each line         2 a beat and line

    offset  type  name        unit    bounds
         0  u32   magic               0x594C5446
         4  u16   version             1
         6  u16   flags               the bits of Flag
         8  u32   run                 1 ..
        12  u32   sequence            0 .. ; one step a beat
        16  u32   line                line_key() of one of the camera's lines
        20  u32   in          people  0 .. 10,000,000; never less than before
        24  u32   out         people  0 .. 10,000,000; never less than before
        28  u32   frames              0 ..          ; never less than before
        32  u64   boot_ms     ms      0 .. ten years; CLOCK_BOOTTIME when read off
        40  u64   watched_ms  ms      0 .. boot_ms  ; never less than before

All integers, little endian. `in`, `out`, `frames` and `watched_ms` are odometers: what this run of vision has seen
since it began. docs/tally.md says how much a captured vision could hide in them.
This module opens nothing: no socket, no file.
"""

from __future__ import annotations

import enum
import struct
import zlib
from dataclasses import dataclass

from edge.core.errors import WireOutOfRange, WireTruncated, WireUnexpected

BEAT_MS = 10_000
"""Time from one reading of a line to the next, ms."""

_RECORD = struct.Struct("<IHHIIIIIIQQ")
SIZE = _RECORD.size
"""Bytes of a record; far under PIPE_BUF, so that a write to a pipe is whole or not at all."""

_MAGIC = 0x594C5446
_VERSION = 1
_U32 = 2**32 - 1
_MOST_PEOPLE = 10_000_000
_MOST_MS = 10 * 366 * 86_400_000

PEOPLE_PER_S = 10
"""The most people that cross one line in one direction, per second, over any longer time."""
PEOPLE_AT_ONCE = 40
"""The most people beyond `PEOPLE_PER_S` that cross one line in one direction in a moment."""


class Flag(enum.IntFlag):
    """Why a moment was not, or not well, watched."""

    CLOSED = 1
    DARK = 2
    COVERED = 4
    MOVED = 8
    FROZEN = 16
    CAMERA_LOST = 32
    SLOW = 64
    RESTARTED = 128


_ALL_FLAGS = sum(Flag)
_NO_FLAGS = Flag(0)


@dataclass(frozen=True, slots=True)
class Tally:
    """
    One reading of one line's odometers.

    Counts are since the run began; *flags* are those that held at any time since the last beat.
    """

    run: int
    sequence: int
    line: int
    in_: int
    out: int
    frames: int
    boot_ms: int
    watched_ms: int
    flags: Flag = _NO_FLAGS

    def __post_init__(self) -> None:
        """Refuse what the wire could not carry (WireOutOfRange), so that neither side can hold an impossible one."""
        for name, low, high in (
            ("run", 1, _U32),
            ("sequence", 0, _U32),
            ("line", 0, _U32),
            ("in_", 0, _MOST_PEOPLE),
            ("out", 0, _MOST_PEOPLE),
            ("frames", 0, _U32),
            ("boot_ms", 0, _MOST_MS),
            ("watched_ms", 0, self.boot_ms),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise WireOutOfRange(name, low, high, value)
        if self.flags & ~_ALL_FLAGS:
            raise WireOutOfRange("flags", 0, _ALL_FLAGS, int(self.flags))


def line_key(name: str) -> int:
    """Return the number that stands for the line called *name* on the wire (CRC-32 of the name)."""
    return zlib.crc32(name.encode())


def encode(tally: Tally) -> bytes:
    """Return the record's `SIZE` bytes."""
    return _RECORD.pack(
        _MAGIC,
        _VERSION,
        tally.flags,
        tally.run,
        tally.sequence,
        tally.line,
        tally.in_,
        tally.out,
        tally.frames,
        tally.boot_ms,
        tally.watched_ms,
    )


def decode(record: bytes) -> Tally:
    """
    Return the Tally that *record* holds.

    Raises:
        WireTruncated: *record* isn't `SIZE` bytes long.
        WireUnexpected: wrong magic or version.
        WireOutOfRange: a field outside its bounds.
    """
    if len(record) != SIZE:
        raise WireTruncated(SIZE, len(record))
    magic, version, flags, run, sequence, line, in_, out, frames, boot_ms, watched_ms = _RECORD.unpack(record)
    if magic != _MAGIC:
        raise WireUnexpected("magic", hex(_MAGIC), hex(magic))
    if version != _VERSION:
        raise WireUnexpected("version", _VERSION, version)
    if flags & ~_ALL_FLAGS:
        raise WireOutOfRange("flags", 0, _ALL_FLAGS, flags)
    return Tally(run, sequence, line, in_, out, frames, boot_ms, watched_ms, Flag(flags))
