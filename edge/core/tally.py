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
since it began. No field is wide enough, and no record frequent enough, to hold a face; docs/tally.md has the sum.
This module opens nothing: no socket, no file.
"""

from __future__ import annotations

import enum
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from edge.core.errors import LineUnknown, WireOutOfRange, WireTooFast, WireTruncated, WireUnexpected

BEAT_MS = 10_000
"""Time from one reading to the next, ms."""

_RECORD = struct.Struct("<IHHIIIIIIQQ")
SIZE = _RECORD.size
"""Bytes of a record; far under PIPE_BUF, so that a write to a pipe is whole or not at all."""

_MAGIC = 0x594C5446
_VERSION = 1
_U32 = 2**32 - 1
_MOST_PEOPLE = 10_000_000
_MOST_MS = 10 * 366 * 86_400_000

_PEOPLE_PER_S = 10
"""No door lets through more people in one second and direction."""
_PEOPLE_AT_ONCE = 40
_FRAMES_PER_S = 1_000
_SLACK_MS = 2_000
"""Clocks are read at slightly different moments on the two sides."""


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


class Gate:
    """
    The publisher's distrust: lets through what a camera's vision can have seen, and nothing else.

    Vision checks the same things before it writes; they are checked again here because vision may have been captured.
    State is bounded: the newest tally of each line of the current run.

    Args:
        lines: Names of the camera's lines.
        still: Names that the run before may still tell of, until another run begins.
        newest: The newest tally of each line that the ledger knows from this boot, so that a restart of the
            publisher forgets nothing. Those of other runs than the newest are left aside.
        speed: How much faster than real time the clock runs (a trial's clock).
        burst: How many records may wait in the pipe.
    """

    def __init__(
        self,
        lines: Iterable[str],
        newest: Iterable[Tally] = (),
        *,
        still: Iterable[str] = (),
        speed: float = 1.0,
        burst: int = 1_500,
    ) -> None:
        self._expected = frozenset(line_key(name) for name in lines)
        self._lines = self._expected | {line_key(name) for name in still}
        self._speed = speed
        self._burst = float(burst)
        self._allowance = float(burst)
        self._refilled_ms: int | None = None
        self._newest: dict[int, Tally] = {}
        self._past_runs: list[int] = []
        for tally in sorted(newest, key=lambda t: t.boot_ms):
            if tally.line in self._lines:
                self._begin(tally)

    @property
    def newest(self) -> Mapping[int, Tally]:
        """The newest tally of each line of the current run, by line key."""
        return self._newest

    @property
    def lines(self) -> frozenset[int]:
        """The keys of the lines that may come now."""
        return self._lines

    def expect(self, lines: Iterable[str]) -> None:
        """Let these lines in from now on, and those of the current run until another begins."""
        self._expected = frozenset(line_key(name) for name in lines)
        self._lines = self._expected | frozenset(self._newest)

    def accept(self, chunk: bytes, now_ms: int) -> Iterator[Tally]:
        """
        Yield the tallies in *chunk* that say something new; repeats and stale records are dropped.

        Args:
            chunk: Whole records, as they were read from the pipe.
            now_ms: Boot time now, ms.

        Raises:
            WireError: on the first record that can't be true; what follows it is not looked at.
        """
        for start in range(0, len(chunk), SIZE):
            tally = decode(chunk[start : start + SIZE])
            self._check_rate(now_ms)
            if tally.line not in self._lines:
                raise LineUnknown(tally.line, start)
            if self._is_new(tally, now_ms):
                self._begin(tally)
                yield tally

    def _check_rate(self, now_ms: int) -> None:
        if self._refilled_ms is not None:
            elapsed_beats = max(0, now_ms - self._refilled_ms) / BEAT_MS
            self._allowance = min(self._burst, self._allowance + 2 * len(self._lines) * elapsed_beats)
        self._refilled_ms = now_ms
        if self._allowance < 1:
            raise WireTooFast("records at once", self._burst, self._burst + 1)
        self._allowance -= 1

    def _is_new(self, tally: Tally, now_ms: int) -> bool:
        latest_ms = now_ms + round(_SLACK_MS * self._speed)
        if tally.boot_ms > latest_ms:
            raise WireOutOfRange("boot_ms", 0, latest_ms, tally.boot_ms)
        if tally.run in self._past_runs:
            return False
        before = self._newest.get(tally.line)
        if before is None or before.run != tally.run:
            self._check_pace(tally, Tally(tally.run, 0, tally.line, 0, 0, 0, 0, 0), tally.watched_ms)
            return True
        if tally.sequence <= before.sequence:
            return False
        if tally.boot_ms < before.boot_ms:
            raise WireUnexpected("boot_ms", f"{before.boot_ms} or later", tally.boot_ms)
        self._check_pace(tally, before, tally.boot_ms - before.boot_ms)
        return True

    def _check_pace(self, tally: Tally, before: Tally, elapsed_ms: int) -> None:
        """Refuse odometers that ran backwards, or faster than people walk and cameras see, in *elapsed_ms*."""
        elapsed_s = elapsed_ms / 1000
        slack_ms = round(_SLACK_MS * self._speed)
        most_people = _PEOPLE_AT_ONCE + int(_PEOPLE_PER_S * elapsed_s)
        most_frames = _FRAMES_PER_S + int(_FRAMES_PER_S * elapsed_s)
        for name, most in (
            ("in_", most_people),
            ("out", most_people),
            ("frames", most_frames),
            ("watched_ms", elapsed_ms + slack_ms),
        ):
            old, new = getattr(before, name), getattr(tally, name)
            if new < old:
                raise WireUnexpected(name, f"{old} or more", new)
            if new - old > most:
                raise WireTooFast(f"{name} since the last reading", most, new - old)

    def _begin(self, tally: Tally) -> None:
        """Make *tally* the newest of its line, and its run the current one."""
        current = next(iter(self._newest.values()), None)
        if current is not None and current.run != tally.run:
            self._past_runs = [*self._past_runs[-15:], current.run]
            self._newest.clear()
            self._lines = self._expected | {tally.line}
        self._newest[tally.line] = tally
