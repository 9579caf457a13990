"""A day's hours as a person wants to see them: those that were closed, and the one that runs, from the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from edge.config.schema import CameraAccount
from edge.core.hour import Hour, Source
from edge.publisher import hours
from edge.publisher.ledger.view import LedgerView


@dataclass(frozen=True, slots=True)
class ShownHour:
    """
    One camera's hour, and what became of it.

    Attributes:
        hour: What was counted.
        open: Whether it isn't closed yet, so that its counts may still grow.
        acknowledged: Whether a broker has taken its newest revision.
    """

    hour: Hour
    open: bool
    acknowledged: bool


def midnight_ms(day: date, zone: ZoneInfo) -> int:
    """Return when *day* begins in *zone*, ms since 1970 UTC."""
    return round(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)


def day_of(moment_ms: int, zone: ZoneInfo) -> date:
    """Return the day that holds the moment in *zone*."""
    return datetime.fromtimestamp(moment_ms / 1000, zone).date()


def day_hours(ledger: LedgerView, camera: CameraAccount, day: date, now_ms: int, source: Source) -> list[ShownHour]:
    """Return the camera's hours of *day*, those without any row or reading left out, in order."""
    zone = source.zone
    begin, end = midnight_ms(day, zone), midnight_ms(day + timedelta(days=1), zone)
    closed = {row.span.start_ms: row for row in ledger.latest(camera.name, begin) if row.span.start_ms < end}
    shown = [
        ShownHour(row.hour, open=False, acknowledged=row.delivered_ms is not None)
        for row in closed.values()
        if row.hour is not None
    ]
    first = max((row.span.end_ms for row in closed.values()), default=begin)
    until = min(end, hours.hour_at(now_ms, zone).end_ms)
    spans = [span for span in hours.spans(first, until, zone) if span.start_ms not in closed]
    if not spans:
        return shown
    intervals = list(ledger.intervals(camera.name, spans[0].start_ms, spans[-1].end_ms))
    reached = {hours.hour_at(interval.end_ms, zone).start_ms for interval in intervals}
    built = hours.aggregate(spans, intervals, camera.lines, camera.open, source)
    return shown + [ShownHour(hour, open=True, acknowledged=False) for hour in built if hour.start_ms in reached]
