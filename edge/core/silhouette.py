"""
The record that crosses from a sealed vision to `footfall setup` and `footfall audit`: bytes <-> Silhouette.

The service's own vision has no pipe for it; only a technician at the box can start one that has. One record a frame::

    offset  type   name      unit     bounds
         0  u32    magic              0x4C495346
         4  u16    version            3
         6  u16    flags              the bits of tally.Flag
         8  u32    sequence           more than before
        12  u32    t_ms      ms       0 .. one day, since this vision began; never less than before
        16  u8     columns            0 .. 96 ; 0 = no picture
        17  u8     rows               0 .. 72
        18  u8     points             0 .. 40
        19  u8     lines              1 .. 8
        20  u16    width     px       1 ..    ; of the camera's pictures
        22  u16    height    px       1 ..
        24  8 of   counts             u32 in, u32 out, u32 refused, u16 parts, u16 nearly, by the lines' order
       152  3456   cells              4 bits each, row by row, the earlier cell in the upper half of a byte
      3608  40 of  points             u32 track (0 = not followed), u16 x, u16 y, u16 diameter, u16 age
      4088  8      zero

A cell is 0 (nothing) to 14 (a sharp edge of the scenery), or 15: somebody is here, and no more than that. x, y and
diameter are in 65,535ths of the picture's width, height and width; age is in ms before t_ms. What isn't used is zero,
so that each record can be written in one way only. 4096 bytes are one page and PIPE_BUF: a write is whole or not at
all. This module opens nothing and loads neither numpy nor OpenCV.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edge.core.errors import WireOutOfRange, WireTooFast, WireTruncated, WireUnexpected
from edge.core.tally import PEOPLE_AT_ONCE, PEOPLE_PER_S, Flag

MOST_COLUMNS, MOST_ROWS = 96, 72
MOST_POINTS, MOST_LINES = 40, 8
SOMEBODY = 15
"""The cell value that hides everything under whoever moves; no edge has it."""
FULL = 65_535
"""What a coordinate of 1.0 is written as."""

_HEAD = struct.Struct("<IHHIIBBBBHH")
_COUNT = struct.Struct("<IIIHH")
_POINT = struct.Struct("<IHHHH")
_CELL_BYTES = MOST_COLUMNS * MOST_ROWS // 2
SIZE = 4096
"""Bytes of a record: a page, and PIPE_BUF."""

_MAGIC = 0x4C495346
_VERSION = 3
_DAY_MS = 86_400_000
_U16, _U32 = 2**16 - 1, 2**32 - 1
_ALL_FLAGS = sum(Flag)
_NO_FLAGS = Flag(0)
_RECORDS_AT_ONCE, _RECORDS_PER_S = 64, 65
_HALVES = b"0123456789abcdef"
_TO_HEX, _FROM_HEX = bytes.maketrans(bytes(range(16)), _HALVES), bytes.maketrans(_HALVES, bytes(range(16)))
"""A cell is half a byte, and so is a digit of its hexadecimal form."""


class Point(NamedTuple):
    """
    One head, seen.

    Attributes:
        track: Its track's number, 0 while it has none.
        x, y, diameter: In 65,535ths of the picture's width, height and width.
        age_ms: How long before the record's time it was seen; a track tells its first sightings late.
    """

    track: int
    x: int
    y: int
    diameter: int
    age_ms: int = 0


class Count(NamedTuple):
    """
    One line's odometers.

    Attributes:
        in_, out: Crossings that were counted.
        refused: Crossings that were confirmed and not counted because of the picture, whichever way.
        parts: Heads that went over and were taken for parts of others, or for no heads.
        nearly: Heads that were at the line and are not known to have gone over.
    """

    in_: int
    out: int
    refused: int = 0
    parts: int = 0
    nearly: int = 0


@dataclass(frozen=True, slots=True)
class Silhouette:
    """
    One frame, as little of it as aiming a line needs.

    Attributes:
        cells: columns x rows values of 0 to 15, row by row.

    Raises:
        WireOutOfRange: it holds what the wire could not carry.
    """

    sequence: int
    t_ms: int
    columns: int
    rows: int
    width: int
    height: int
    cells: bytes
    counts: Sequence[Count]
    points: Sequence[Point] = ()
    flags: Flag = _NO_FLAGS

    def __post_init__(self) -> None:
        """Refuse what can't be."""
        for name, value, low, high in (
            ("sequence", self.sequence, 0, _U32),
            ("t_ms", self.t_ms, 0, _DAY_MS),
            ("columns", self.columns, 0, MOST_COLUMNS),
            ("rows", self.rows, 0, MOST_ROWS),
            ("width", self.width, 1, _U16),
            ("height", self.height, 1, _U16),
            ("number of lines", len(self.counts), 1, MOST_LINES),
            ("number of points", len(self.points), 0, MOST_POINTS),
            ("number of cells", len(self.cells), self.columns * self.rows, self.columns * self.rows),
            ("cell", max(self.cells, default=0), 0, SOMEBODY),
            ("flags", int(self.flags), 0, _ALL_FLAGS),
        ):
            _bound(name, value, low, high)
        for count in self.counts:
            _bound("in", count.in_, 0, _U32)
            _bound("out", count.out, 0, _U32)
            _bound("refused", count.refused, 0, _U32)
            _bound("parts", count.parts, 0, _U16)
            _bound("nearly", count.nearly, 0, _U16)
        for point in self.points:
            _bound("track", point.track, 0, _U32)
            _bound("diameter", point.diameter, 1, FULL)
            for name, value in (("x", point.x), ("y", point.y), ("age", point.age_ms)):
                _bound(name, value, 0, _U16)


def _bound(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise WireOutOfRange(f"silhouette: {name}", low, high, value)


def encode(silhouette: Silhouette) -> bytes:
    """Return the record's `SIZE` bytes."""
    s = silhouette
    head = _HEAD.pack(
        *(_MAGIC, _VERSION, s.flags, s.sequence, s.t_ms),
        *(s.columns, s.rows, len(s.points), len(s.counts), s.width, s.height),
    )
    counts = b"".join(_COUNT.pack(*count) for count in s.counts)
    cells = s.cells + b"\0" * (2 * _CELL_BYTES - len(s.cells))
    packed = bytes.fromhex(cells.translate(_TO_HEX).decode())
    points = b"".join(_POINT.pack(*point) for point in s.points)
    return (head + counts.ljust(MOST_LINES * _COUNT.size, b"\0") + packed + points).ljust(SIZE, b"\0")


def decode(record: bytes) -> Silhouette:
    """
    Return the Silhouette that *record* holds.

    Raises:
        WireTruncated: *record* isn't `SIZE` bytes long.
        WireUnexpected: wrong magic or version, or something stands where nothing should.
        WireOutOfRange: a field outside its bounds.
    """
    if len(record) != SIZE:
        raise WireTruncated(SIZE, len(record))
    magic, version, flags, sequence, t_ms, columns, rows, points, lines, width, height = _HEAD.unpack_from(record)
    if magic != _MAGIC:
        raise WireUnexpected("silhouette: magic", hex(_MAGIC), hex(magic))
    if version != _VERSION:
        raise WireUnexpected("silhouette: version", _VERSION, version)
    for name, value, high in (
        ("columns", columns, MOST_COLUMNS),
        ("rows", rows, MOST_ROWS),
        ("number of points", points, MOST_POINTS),
        ("number of lines", lines, MOST_LINES),
        ("flags", flags, _ALL_FLAGS),
    ):
        _bound(name, value, 0, high)
    counts_at, cells_at = _HEAD.size, _HEAD.size + MOST_LINES * _COUNT.size
    points_at = cells_at + _CELL_BYTES
    cells = record[cells_at:points_at].hex().encode().translate(_FROM_HEX)
    silhouette = Silhouette(
        sequence,
        t_ms,
        columns,
        rows,
        width,
        height,
        cells[: columns * rows],
        tuple(Count(*_COUNT.unpack_from(record, counts_at + n * _COUNT.size)) for n in range(lines)),
        tuple(Point(*_POINT.unpack_from(record, points_at + n * _POINT.size)) for n in range(points)),
        Flag(flags),
    )
    if encode(silhouette) != record:
        raise WireUnexpected("silhouette: what isn't used", "zero", "something else")
    return silhouette


class SilhouetteValidator:
    """
    The reader's distrust: lets through what a vision can have seen, and nothing else.

    Args:
        lines: How many lines the camera has.
    """

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._newest: Silhouette | None = None
        self._allowance = float(_RECORDS_AT_ONCE)
        self._refilled_ms: int | None = None

    def accept(self, record: bytes, now_ms: int) -> Silhouette:
        """
        Return what *record* holds.

        Args:
            record: What was read, one record's length.
            now_ms: The reader's own time, ms, from any beginning.

        Raises:
            WireError: it can't be true.
        """
        silhouette = decode(record)
        self._check_rate(now_ms)
        if len(silhouette.counts) != self._lines:
            raise WireUnexpected("silhouette: number of lines", self._lines, len(silhouette.counts))
        if self._newest is not None:
            self._check_order(self._newest, silhouette)
        self._newest = silhouette
        return silhouette

    def _check_rate(self, now_ms: int) -> None:
        if self._refilled_ms is not None:
            passed_s = max(0, now_ms - self._refilled_ms) / 1000
            self._allowance = min(_RECORDS_AT_ONCE, self._allowance + _RECORDS_PER_S * passed_s)
        self._refilled_ms = now_ms
        if self._allowance < 1:
            raise WireTooFast("silhouettes at once", _RECORDS_AT_ONCE, _RECORDS_AT_ONCE + 1)
        self._allowance -= 1

    def _check_order(self, before: Silhouette, now: Silhouette) -> None:
        if now.sequence <= before.sequence:
            raise WireUnexpected("silhouette: sequence", f"more than {before.sequence}", now.sequence)
        if now.t_ms < before.t_ms:
            raise WireUnexpected("silhouette: t_ms", f"{before.t_ms} or later", now.t_ms)
        most = PEOPLE_AT_ONCE + PEOPLE_PER_S * (now.t_ms - before.t_ms) // 1000
        for old, new in zip(before.counts, now.counts, strict=True):
            for name, low, high in zip(Count._fields, old, new, strict=True):
                if not low <= high:
                    raise WireUnexpected(f"silhouette: {name.strip('_')}", f"{low} or more", high)
                if high - low > most:
                    raise WireTooFast(f"silhouette: {name.strip('_')} since the last one", most, high - low)
