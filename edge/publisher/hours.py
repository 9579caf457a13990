"""
Adding up intervals into hours. Pure: no clock, no file, no network; the same intervals always give the same hours.

An interval is what one run of vision counted on one line between two readings. An hour is a stretch between two
moments at which the site's own clocks show a full hour, as instants: an hour that happens twice is two of them.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from edge.config.opening_hours import OpeningHours
from edge.core.hour import Hour, Source
from edge.core.hour_edges import Span, hour_at
from edge.core.tally import Flag

__all__ = [
    "GRACE_MS", "LONG_MS", "MOST_SPREAD_MS", "Interval", "Span", "aggregate", "hour_at", "spans", "spread_ms",
]  # fmt: skip

GRACE_MS = 30_000
"""An hour stays open this long after its end, ms: three beats, so that its last reading can arrive."""

MOST_SPREAD_MS = 120_000
"""Each camera closes its hours at a moment of its own, at most this much after the grace time, ms."""

LONG_MS = 60_000
"""More time than this without a reading gives an hour a flag, ms."""

_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Interval:
    """
    What one run counted on one line after *start_ms*, up to *end_ms* (ms since 1970 UTC).

    Attributes:
        run: A number for the run; the lines of one camera's run share it.
        flags: Those that held at any time in the last beat of the interval.
        restarted: Whether a run that isn't the camera's first begins here.
    """

    run: int
    line: str
    start_ms: int
    end_ms: int
    in_: int
    out: int
    watched_ms: int
    flags: Flag
    restarted: bool = False


def spread_ms(site: str, camera: str) -> int:
    """Return how much later than others this camera's hours close: 0 to 120 s, the same for ever."""
    digest = hashlib.sha256(f"{site}/{camera}".encode()).digest()
    return int.from_bytes(digest[:8]) % (MOST_SPREAD_MS // 1000 + 1) * 1000


def spans(from_ms: int, until_ms: int, zone: ZoneInfo) -> Iterator[Span]:
    """Yield the hours that end at *until_ms* or earlier; the first begins at *from_ms*, on the hour or not."""
    start = from_ms
    while True:
        end = hour_at(start, zone).end_ms
        if end > until_ms:
            return
        yield Span(start, end)
        start = end


@dataclass(slots=True)
class _Accumulator:
    """An hour while it is being added up."""

    span: Span
    counts: dict[str, list[int]]
    watched_ms: dict[tuple[int, str], int] = field(default_factory=dict)
    covered: list[Span] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)


def aggregate(
    hours: Sequence[Span],
    intervals: Iterable[Interval],
    lines: Sequence[str],
    opening: OpeningHours | None,
    source: Source,
) -> list[Hour]:
    """
    Add up *intervals* into *hours*.

    A count goes to the hour that holds the middle of its interval, watched time to each hour by its share. An interval
    of more than a minute that crosses from one hour into the next leaves it open to which of them its counts
    belong: both are flagged `coarse`. Flags of a shorter one go to the hour of its middle.

    Args:
        hours: In order, not overlapping; what falls outside them is left aside.
        intervals: One camera's, in any order.
        lines: Names that each hour lists, counted or not.
        opening: The shop's opening hours; None is always open.
        source: Whose hours these are.
    """
    accumulators = [_Accumulator(span, {name: [0, 0] for name in lines}) for span in hours]
    starts = [span.start_ms for span in hours]
    ends = [span.end_ms for span in hours]
    for interval in intervals:
        middle = (interval.start_ms + interval.end_ms) // 2
        touched = accumulators[bisect_right(ends, interval.start_ms) : bisect_left(starts, interval.end_ms)]
        length = interval.end_ms - interval.start_ms
        crosses = not touched or not (
            touched[0].span.start_ms <= interval.start_ms and interval.end_ms <= touched[0].span.end_ms
        )
        coarse = length > LONG_MS and crosses
        names = {flag.name.lower() for flag in interval.flags if flag.name and flag is not Flag.RESTARTED}
        key = (interval.run, interval.line)
        for hour in touched:
            part = Span(max(interval.start_ms, hour.span.start_ms), min(interval.end_ms, hour.span.end_ms))
            share = interval.watched_ms * (part.end_ms - part.start_ms) // length if length else interval.watched_ms
            hour.watched_ms[key] = hour.watched_ms.get(key, 0) + share
            hour.covered.append(part)
            if coarse:
                hour.flags |= names | {"coarse"}
        at = bisect_right(starts, middle) - 1
        if at >= 0 and middle < ends[at]:
            hour = accumulators[at]
            count = hour.counts.setdefault(interval.line, [0, 0])
            count[0] += interval.in_
            count[1] += interval.out
            hour.flags |= names | ({"restarted"} if interval.restarted else set())
    return [_finished(hour, opening, source) for hour in accumulators]


def _finished(hour: _Accumulator, opening: OpeningHours | None, source: Source) -> Hour:
    span = hour.span
    length = span.end_ms - span.start_ms
    open_parts = _open_parts(span, opening, source.zone)
    open_ms = sum(part.end_ms - part.start_ms for part in open_parts)
    if open_ms < length:
        hour.flags.add("closed")
    if open_ms - _common_ms(open_parts, _merged(hour.covered)) > LONG_MS:
        hour.flags.add("off")
    # The lines of a run share its camera: they saw the same time, and the one that lost fewest readings knows it best.
    by_run: dict[int, int] = {}
    for (run, _), watched in hour.watched_ms.items():
        by_run[run] = max(by_run.get(run, 0), watched)
    lines = {name: (in_, out) for name, (in_, out) in hour.counts.items()}
    watched_ms = min(length, sum(by_run.values()))
    return Hour.counted(source, span.start_ms, span.end_ms, lines, watched_ms=watched_ms, flags=hour.flags)


def _open_parts(span: Span, opening: OpeningHours | None, zone: ZoneInfo) -> list[Span]:
    if opening is None:
        return [span]
    minutes = [*range(span.start_ms, span.end_ms, _MINUTE_MS), span.end_ms]
    return _merged(
        Span(minute, following)
        for minute, following in pairwise(minutes)
        if opening.is_open(datetime.fromtimestamp(minute // 1000, zone))
    )


def _merged(parts: Iterable[Span]) -> list[Span]:
    """Return *parts* in order, those that overlap or touch made one."""
    merged: list[Span] = []
    for part in sorted(parts):
        if merged and part.start_ms <= merged[-1].end_ms:
            merged[-1] = Span(merged[-1].start_ms, max(merged[-1].end_ms, part.end_ms))
        else:
            merged.append(part)
    return merged


def _common_ms(some: Iterable[Span], others: Sequence[Span]) -> int:
    """Return how much time two lists of spans, each without overlaps, have in common."""
    return sum(
        max(0, min(one.end_ms, other.end_ms) - max(one.start_ms, other.start_ms)) for one in some for other in others
    )
