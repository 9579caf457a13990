"""A day's hours as a person wants to see them: those that were closed, and the one that runs, from the ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from edge.config.schema import CameraAccount
from edge.publisher import hours
from edge.publisher.hours import Span
from edge.publisher.ledger.view import LedgerView


@dataclass(frozen=True, slots=True)
class HourLine:
    """
    One camera's hour.

    Attributes:
        lines: name: (in, out).
        open: Whether it isn't closed yet, so that its counts may still grow.
        acknowledged: Whether a broker has taken its newest revision.
    """

    span: Span
    lines: dict[str, tuple[int, int]]
    watched_s: int
    flags: tuple[str, ...]
    open: bool
    acknowledged: bool

    @property
    def in_(self) -> int:
        """All lines together."""
        return sum(in_ for in_, _ in self.lines.values())

    @property
    def out(self) -> int:
        """All lines together."""
        return sum(out for _, out in self.lines.values())


def midnight_ms(day: date, zone: ZoneInfo) -> int:
    """Return when *day* begins in *zone*, ms since 1970 UTC."""
    return round(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)


def day_of(moment_ms: int, zone: ZoneInfo) -> date:
    """Return the day that holds the moment in *zone*."""
    return datetime.fromtimestamp(moment_ms / 1000, zone).date()


def day_hours(ledger: LedgerView, camera: CameraAccount, day: date, now_ms: int, zone: ZoneInfo) -> list[HourLine]:
    """Return the camera's hours of *day*, those without any row or reading left out, in order."""
    begin, end = midnight_ms(day, zone), midnight_ms(day + timedelta(days=1), zone)
    closed = {row.span.start_ms: row for row in ledger.latest(camera.name, begin) if row.span.start_ms < end}
    told = [_told(row.span, row.payload, acknowledged=row.delivered_ms is not None) for row in closed.values()]
    first = max((row.span.end_ms for row in closed.values()), default=begin)
    until = min(end, hours.hour_at(now_ms, zone).end_ms)
    spans = [span for span in hours.spans(first, until, zone) if span.start_ms not in closed]
    if not spans:
        return told
    intervals = list(ledger.intervals(camera.name, spans[0].start_ms, spans[-1].end_ms))
    reached = {hours.hour_at(interval.end_ms, zone).start_ms for interval in intervals}
    for hour in hours.book(spans, intervals, camera.lines, camera.open, zone):
        if hour.span.start_ms in reached:
            flags = tuple(sorted(hour.flags - {"off"}))
            told.append(
                HourLine(hour.span, dict(hour.lines), hour.watched_ms // 1000, flags, open=True, acknowledged=False)
            )
    return told


def _told(span: Span, payload: bytes, *, acknowledged: bool) -> HourLine:
    message: dict[str, Any] = json.loads(payload)
    lines = {name: (count["in"], count["out"]) for name, count in message["lines"].items()}
    return HourLine(span, lines, message["watched_s"], tuple(message["flags"]), open=False, acknowledged=acknowledged)
