"""
Rebuilding hours from the ledger's readings, in four steps: plan, build, compare, write.

`plan` says which hours are to be built; `build` adds up their readings; `compare` keeps those that say something else
than the ledger's newest revision; `write` writes these. Only `write` changes the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from edge.config.schema import CameraAccount
from edge.core.hour import HOUR_MS, Hour, Source
from edge.publisher import hours
from edge.publisher.hours import Span, hour_at
from edge.publisher.ledger.ledger import Ledger, Row


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Which hours of one camera are to be built.

    Attributes:
        spans: The hours, in order, not overlapping.
        known: The newest revision of each hour that the ledger has, by the hour's start.
    """

    spans: Sequence[Span]
    known: Mapping[int, Row]


def plan(
    ledger: Ledger,
    camera: str,
    zone: ZoneInfo,
    *,
    open_ms: int,
    until_ms: int,
    since_ms: int | None,
    oldest_ms: int,
) -> Plan:
    """
    Return which hours are to be built: those that have ended and have no row yet, and again those that may be wrong.

    Args:
        ledger: Holds the rows.
        camera: Whose hours.
        zone: The site's time zone.
        open_ms: Start of the first hour that isn't closed.
        until_ms: Hours that end later stay open.
        since_ms: Build again what ends after this; None builds again all hours that may have changed.
        oldest_ms: Hours that ended before are never among these.
    """
    everything = since_ms is None
    if since_ms is None:
        since_ms = max(_first_changeable_ms(ledger, camera, zone, open_ms), oldest_ms)
    known = {row.span.start_ms: row for row in ledger.latest(camera, min(since_ms, open_ms) - HOUR_MS)}
    again = [row.span for row in known.values() if row.span.end_ms > since_ms]
    # A clock that was set back may give readings a wall time before the first row.
    spans = list(hours.spans(hour_at(since_ms, zone).start_ms, min([*known, open_ms]), zone))
    spans += [span for span in again if span.end_ms <= open_ms]
    ended = list(hours.spans(open_ms, until_ms, zone))
    spans += ended
    if everything or since_ms < open_ms:
        # Rows that end later were made by a clock that was wrong; their counts are taken back.
        end_ms = ended[-1].end_ms if ended else open_ms
        spans += [span for span in again if span.start_ms >= end_ms]
    return Plan(spans, known)


def _first_changeable_ms(ledger: Ledger, camera: str, zone: ZoneInfo, open_ms: int) -> int:
    """Return the start of the first hour that isn't final, or that has readings."""
    candidates = (ledger.first_interval_ms(camera), ledger.first_not_final_ms(camera))
    earliest_ms = min(open_ms if at_ms is None else at_ms for at_ms in candidates)
    return hour_at(earliest_ms, zone).start_ms


def build(ledger: Ledger, todo: Plan, camera: CameraAccount, source: Source) -> list[Hour]:
    """Return the hours of *todo* as the readings, and the final hours, say they are."""
    if not todo.spans:
        return []
    intervals = ledger.intervals(camera.name, todo.spans[0].start_ms, todo.spans[-1].end_ms)
    final = ledger.final_hours(camera.name, todo.spans[0].start_ms)
    return [
        hour.plus_final(before) if (before := final.get(hour.start_ms)) else hour
        for hour in hours.aggregate(todo.spans, intervals, camera.lines, camera.open, source)
    ]


def compare(todo: Plan, built: Iterable[Hour], *, flags: bool) -> list[Hour]:
    """
    Return those of *built* that have no row yet, or say something else than their newest row, each with its revision.

    Args:
        todo: What was planned.
        built: The hours.
        flags: Whether other flags alone make another revision.
    """
    changed = []
    for hour in built:
        row = todo.known.get(hour.start_ms)
        if row is None:
            changed.append(hour)
        elif row.hour is None or hour.differs(row.hour, flags=flags):
            changed.append(hour.revised(row.revision + 1))
    return changed


def write(ledger: Ledger, todo: Plan, built: Iterable[Hour], changed: Iterable[Hour], now_ms: int) -> None:
    """Write *changed*, and note of all hours of *built* that they were looked at, at wall time *now_ms*."""
    for hour in built:
        if (row := todo.known.get(hour.start_ms)) is not None:
            ledger.confirm(row, now_ms)
    for hour in changed:
        ledger.add(Row(hour.camera, Span(hour.start_ms, hour.end_ms), hour.revision, hour.encode(), now_ms, None))
