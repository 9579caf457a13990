"""
Opening hours: which minutes of a week the shop is open, in the shop's own local time.

Written by the technician as ``{mon-sat: "09:30-22:00", sun: "10:00-20:00"}``; several spans a day are divided by
commas, a span may run past midnight (``fri: "20:00-02:00"``), and a day that isn't named, or is ``closed``, is closed
all day.
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
_CLOSED = "closed"
_LATEST_NIGHT = 7 * _HOUR_MINUTES
"""A shop that is open past midnight has closed by this minute of the day, or its two times were swapped."""
_CURLY = {"\u201c", "\u201d", "\u201e", "\u2018", "\u2019"}
"""The quotes that a word processor makes of straight ones."""
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

    def __str__(self) -> str:
        """Return them in words, as in "mon-fri 09:30 to 22:00, sat 20:00 to 02:00 of the next day"."""
        days: dict[int, list[str]] = {}
        for first, last in self.spans:
            day = first // _DAY_MINUTES
            days.setdefault(day, []).append(_show_span(first - day * _DAY_MINUTES, last - day * _DAY_MINUTES))
        told: list[str] = []
        for day, spans in sorted(days.items()):
            if day - 1 in days and days[day - 1] == spans:
                begin = told[-1].partition(" ")[0].partition("-")[0]
                told[-1] = f"{begin}-{_DAYS[day]} {' and '.join(spans)}"
            else:
                told.append(f"{_DAYS[day]} {' and '.join(spans)}")
        return ", ".join(told)

    @property
    def is_likely_swapped(self) -> bool:
        """Whether a span runs past midnight and ends so late that its two times were probably swapped."""
        return any(
            (last - 1) // _DAY_MINUTES > first // _DAY_MINUTES and last % _DAY_MINUTES > _LATEST_NIGHT
            for first, last in self.spans
        )

    @classmethod
    def parse(cls, week: Mapping[str, str]) -> OpeningHours:
        """
        Return the opening hours written as {days: spans}.

        Raises:
            ValueError: with two arguments: what can't be read, and how to write it.
        """
        spans: list[tuple[int, int]] = []
        seen: set[int] = set()
        for days, text in week.items():
            for day in _parse_days(days):
                if day in seen:
                    raise ValueError(f"{_DAYS[day]} is named twice", "name each day once")
                seen.add(day)
                spans += [
                    (day * _DAY_MINUTES + first, day * _DAY_MINUTES + last) for first, last in _parse_spans(days, text)
                ]
        return cls(tuple(sorted(spans)))

    def is_open(self, local: datetime) -> bool:
        """Tell whether the shop is open at *local*, a moment in the shop's own zone."""
        minute = local.weekday() * _DAY_MINUTES + local.hour * _HOUR_MINUTES + local.minute
        return any(first <= at < last for first, last in self.spans for at in (minute, minute + _WEEK_MINUTES))


def _show_span(first: int, last: int) -> str:
    """Return a span in words; minutes since its first day's midnight."""
    hours, minutes = divmod(last - _DAY_MINUTES if last > _DAY_MINUTES else last, _HOUR_MINUTES)
    end = f"{hours:02}:{minutes:02}" + (" of the next day" if last > _DAY_MINUTES else "")
    return f"{first // _HOUR_MINUTES:02}:{first % _HOUR_MINUTES:02} to {end}"


def _parse_days(days: str) -> list[int]:
    first, dash, last = (part.strip() for part in days.lower().partition("-"))
    for name in (first, last) if dash else (first,):
        if name not in _DAYS:
            raise ValueError(f'"{days}" names no days', f"write one of {', '.join(_DAYS)}, or a range such as mon-sat")
    if not dash:
        return [_DAYS.index(first)]
    start, end = _DAYS.index(first), _DAYS.index(last)
    return [day % 7 for day in range(start, (end if end >= start else end + 7) + 1)]


def _parse_spans(days: str, text: str) -> list[tuple[int, int]]:
    if text.strip().lower() == _CLOSED:
        return []
    spans: list[tuple[int, int]] = []
    for part in text.split(","):
        shown = f'{days}: "{part.strip()}"'
        match = _SPAN.fullmatch(part.strip())
        if match is None:
            how = "with straight quotes, as" if _CURLY & set(part) else "as"
            raise ValueError(f"{shown} is no span of time", f'write it {how} "09:30-22:00"')
        from_hour, from_minute, to_hour, to_minute = map(int, match.groups())
        first, last = from_hour * _HOUR_MINUTES + from_minute, to_hour * _HOUR_MINUTES + to_minute
        if max(from_minute, to_minute) >= _HOUR_MINUTES or first >= _DAY_MINUTES or last > _DAY_MINUTES:
            raise ValueError(f"{shown} has no such time of day", "times run from 00:00 to 24:00")
        if first == last:
            raise ValueError(f"{shown} lasts no time", 'for a whole day write "00:00-24:00"')
        spans.append((first, last if last > first else last + _DAY_MINUTES))
    return spans
