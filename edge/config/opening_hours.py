"""
Opening hours: which minutes of a week the shop is open, in the shop's own local time.

Written by the technician as ``{mon-sat: "09:30-22:00", sun: "10:00-20:00"}``; several spans a day are divided by
commas, a span may run past midnight (``fri: "20:00-02:00"``), and a day that isn't named is closed all day.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOUR_MINUTES = 60
_DAY_MINUTES = 24 * _HOUR_MINUTES
_WEEK_MINUTES = 7 * _DAY_MINUTES
_SPAN = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """
    Spans of a week in which the shop is open.

    Args:
        spans: (first minute, minute after the last) counted from Monday 00:00 local time, at most a week each.
            The second may pass the week's end: Sunday night into Monday.
    """

    spans: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, week: Mapping[str, str]) -> OpeningHours:
        """Return the opening hours written as {days: spans}; ValueError says what can't be read and how to write it."""
        spans: list[tuple[int, int]] = []
        seen: set[int] = set()
        for days, text in week.items():
            for day in _parse_days(days):
                if day in seen:
                    raise ValueError(f"{_DAYS[day]} is named twice")
                seen.add(day)
                spans += [
                    (day * _DAY_MINUTES + first, day * _DAY_MINUTES + last) for first, last in _parse_spans(days, text)
                ]
        return cls(tuple(sorted(spans)))

    def is_open(self, local: datetime) -> bool:
        """Tell whether the shop is open at *local*, a moment in the shop's own zone."""
        minute = local.weekday() * _DAY_MINUTES + local.hour * _HOUR_MINUTES + local.minute
        return any(first <= at < last for first, last in self.spans for at in (minute, minute + _WEEK_MINUTES))


def _parse_days(days: str) -> list[int]:
    first, dash, last = (part.strip() for part in days.lower().partition("-"))
    for name in (first, last) if dash else (first,):
        if name not in _DAYS:
            raise ValueError(f'"{days}" names no days; write one of {", ".join(_DAYS)}, or a range such as mon-sat')
    if not dash:
        return [_DAYS.index(first)]
    start, end = _DAYS.index(first), _DAYS.index(last)
    return [day % 7 for day in range(start, (end if end >= start else end + 7) + 1)]


def _parse_spans(days: str, text: str) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for part in text.split(","):
        match = _SPAN.fullmatch(part.strip())
        if match is None:
            raise ValueError(f'{days}: "{part.strip()}" is no span of time; write it as "09:30-22:00"')
        from_hour, from_minute, to_hour, to_minute = map(int, match.groups())
        first, last = from_hour * _HOUR_MINUTES + from_minute, to_hour * _HOUR_MINUTES + to_minute
        if max(from_minute, to_minute) >= _HOUR_MINUTES or first >= _DAY_MINUTES or last > _DAY_MINUTES:
            raise ValueError(f'{days}: "{part.strip()}" has no such time of day; times run from 00:00 to 24:00')
        if first == last:
            raise ValueError(f'{days}: "{part.strip()}" lasts no time; for a whole day write "00:00-24:00"')
        spans.append((first, last if last > first else last + _DAY_MINUTES))
    return spans
