"""Where hours begin and end: when the site's own clocks show a full hour. Pure; a box and headquarters agree on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from edge.core.hour import HOUR_MS

QUARTER_MS = 900_000
"""Offsets of all zones are whole quarters of an hour, so each hour begins at a whole quarter of UTC, ms."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From *start_ms* up to, not including, *end_ms*; ms since 1970 UTC."""

    start_ms: int
    end_ms: int


def hour_at(moment_ms: int, zone: ZoneInfo) -> Span:
    """
    Return the hour that holds *moment_ms*.

    Hours start when clocks in *zone* show :00. Where a change of clocks isn't a whole number of hours (Lord Howe's half
    hour), an hour also ends at the change, so that none is longer than 3600 s.
    """
    phase = _phase_ms(moment_ms, zone)
    start = moment_ms - (moment_ms + phase) % HOUR_MS
    end = start + HOUR_MS
    if _phase_ms(start, zone) != phase:
        start = _change_ms(start, moment_ms, zone)
    if _phase_ms(end - 1, zone) != phase:
        end = _change_ms(moment_ms, end - 1, zone)
    return Span(start, end)


def _phase_ms(moment_ms: int, zone: ZoneInfo) -> int:
    """Return by how much the zone's full hours come before UTC's, 0 to an hour."""
    offset = datetime.fromtimestamp(moment_ms // 1000, zone).utcoffset()
    return round(offset.total_seconds() * 1000) % HOUR_MS if offset is not None else 0


def _change_ms(before_ms: int, after_ms: int, zone: ZoneInfo) -> int:
    """Return the first second in (before, after] at which the phase is that of *after_ms*."""
    phase = _phase_ms(after_ms, zone)
    low, high = before_ms // 1000, after_ms // 1000
    while high - low > 1:
        middle = (low + high) // 2
        if _phase_ms(middle * 1000, zone) == phase:
            high = middle
        else:
            low = middle
    return high * 1000
