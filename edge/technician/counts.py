"""`footfall counts`: the finished hours of this box's ledger, as they were or will be sent, for people and programs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table

from edge.config.schema import Config
from edge.core.clock import KernelClock
from edge.core.errors import ConfigError
from edge.core.hour import Hour
from edge.publisher.ledger.view import LedgerView, Row
from edge.technician.check.box import plural
from edge.technician.today import day_of, midnight_ms

_DAYS = 6
"""Days before the last one that are shown where no first day is given."""
COLUMNS = ("camera", "start", "end", "line", "in", "out", "watched_s", "flags", "revision", "acknowledged")


def run(settings: Config, first: date | None, last: date | None, camera: str | None, form: str) -> None:
    """
    Print the newest revision of each hour.

    Args:
        settings: The config.
        first: The first day, in the site's zone; None for six days before *last*.
        last: The last day; None for today.
        camera: Only this one's; None for all.
        form: table; csv, one row for each line of each hour with the columns `COLUMNS`; json, each hour's message with
            `acknowledged` beside it, one a line.

    Raises:
        ConfigError: there is no such camera, or *first* is after *last*.
        LedgerError: the ledger can't be read.
    """
    zone = ZoneInfo(settings.timezone)
    last = last or day_of(KernelClock().wall_ms(), zone)
    first = first or last - timedelta(days=_DAYS)
    if first > last:
        raise ConfigError("--from", [f"--from {first} is after --to {last}; swap them"])
    cameras = [settings.vision(camera).name] if camera else list(settings.cameras)
    with LedgerView.opened(settings.ledger) as ledger:
        begin, end = midnight_ms(first, zone), midnight_ms(last + timedelta(days=1), zone)
        rows = [row for name in cameras for row in ledger.latest(name, begin) if row.span.start_ms < end]
    if form == "csv":
        _write_csv(rows)
    elif form == "json":
        for row, hour in _readable(rows):
            print(json.dumps({**hour.as_json(), "acknowledged": _acknowledged(row)}, ensure_ascii=False))
    else:
        _write_table(rows, first, last)


def _acknowledged(row: Row) -> str | None:
    if row.delivered_ms is None:
        return None
    return datetime.fromtimestamp(row.delivered_ms // 1000, UTC).isoformat().replace("+00:00", "Z")


def _readable(rows: Sequence[Row]) -> Iterator[tuple[Row, Hour]]:
    """Yield each row with its hour; say on stderr which row holds none."""
    for row in rows:
        if row.hour is not None:
            yield row, row.hour
        else:
            at = datetime.fromtimestamp(row.span.start_ms // 1000, UTC)
            print(f"footfall: the ledger's row of {row.camera} {at:%Y-%m-%d %H:%M} UTC holds no hour", file=sys.stderr)


def _flat(rows: Sequence[Row]) -> Iterator[tuple[Any, ...]]:
    """Yield the values of `COLUMNS` for each line of each hour."""
    for row, hour in _readable(rows):
        for line, count in hour.lines.items():
            yield (
                *(row.camera, hour.start.isoformat(), hour.end.isoformat(), line, count.in_, count.out),
                *(hour.watched_s, " ".join(hour.flags), row.revision, _acknowledged(row) or ""),
            )


def _write_csv(rows: Sequence[Row]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_flat(rows))


def _write_table(rows: Sequence[Row], first: date, last: date) -> None:
    out = Console(highlight=False)
    if not rows:
        out.print(f"this ledger has no finished hour from {first} to {last}; `footfall status` shows the running hour")
        return
    table = Table("camera", "hour", "line", "in", "out", "watched s", "", box=None, pad_edge=False)
    for number in (3, 4, 5):
        table.columns[number].justify = "right"
    for camera, start, _, line, into, away, watched_s, flags, revision, acknowledged in _flat(rows):
        words = [*(["waiting"] if not acknowledged else []), *([f"revision {revision}"] if revision > 1 else []), flags]
        hour = datetime.fromisoformat(start).strftime("%Y-%m-%d %H:%M")
        table.add_row(camera, hour, line, str(into), str(away), f"{watched_s:,}", ", ".join(filter(None, words)))
    out.print(table)
    shown = [row.hour for row in rows if row.hour is not None]
    people_in, people_out = sum(hour.in_ for hour in shown), sum(hour.out for hour in shown)
    waiting = sum(row.delivered_ms is None for row in rows)
    out.print(
        f"{plural(len(rows), 'hour')}, {people_in} in, {people_out} out; {waiting} not acknowledged by the broker"
    )
