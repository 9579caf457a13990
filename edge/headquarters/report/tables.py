"""
Tables for those who read hours with other tools: CSV by hour, day or week, and Parquet.

Every hour that was due has its row, missing ones with empty counts. Spreadsheets take dates as dates and counts as
numbers, and no cell as a formula.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from edge.core.errors import HEADQUARTERS_EXTRA, ExtraMissing
from edge.core.printable import printable
from edge.headquarters.receive import stamp
from edge.headquarters.report import camera_hours
from edge.headquarters.report.period import Period
from edge.headquarters.report.reliability import Flags, State
from edge.headquarters.report.study import SiteStudy

HOURS = (
    "site", "camera", "start", "local_start", "timezone", "length_s", "state", "in", "out", "watched_s", "flags",
    "lines", "revision", "software", "model", "site_name", "camera_name", "date", "weekday", "hour",
)  # fmt: skip
SUMS = (
    "site", "site_name", "region", "camera", "camera_name", "date", "weekday", "in", "out", "open_hours", "good_hours",
    "flags", "event",
)  # fmt: skip
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell of text that begins with one of these is a formula to a spreadsheet."""

Row = dict[str, Any]


def hour_rows(study: SiteStudy, period: Period, flags: Flags) -> Iterator[Row]:
    """Yield a row for each hour of the period's days, by camera and start; what nobody counted is None."""
    for camera in study.cameras:
        hours = camera.hours
        for index, local, state in camera_hours.each(hours, period.first, period.last):
            start_s = int(hours.start_s[index])
            row: Row = dict.fromkeys(HOURS)
            row |= {
                "site": study.site,
                "camera": camera.camera,
                "start": datetime.fromtimestamp(start_s, UTC),
                "local_start": local.isoformat(),
                "timezone": hours.zones[int(hours.zone[index])],
                "state": state.word,
                "site_name": study.name,
                "camera_name": camera.name,
                "date": local.date(),
                "weekday": _WEEKDAYS[local.weekday()],
                "hour": local.hour,
            }
            if state is not State.MISSING:
                _, _, lines, revision, software, model = hours.rest[start_s]
                row |= {
                    "length_s": int(hours.length_s[index]),
                    "in": int(hours.in_[index]),
                    "out": int(hours.out[index]),
                    "watched_s": int(hours.watched_s[index]),
                    "flags": " ".join(flags.names(int(hours.flags[index]))),
                    "lines": lines,
                    "revision": revision,
                    "software": software,
                    "model": model,
                }
            yield row


def sum_rows(study: SiteStudy, period: Period, flags: Flags, *, weekly: bool) -> Iterator[Row]:
    """Yield a row for each camera and day, or week by its Monday, of the period."""
    groups: dict[date, list[date]] = {}
    for day in period.dates:
        groups.setdefault(day - timedelta(days=day.weekday() if weekly else 0), []).append(day)
    for camera in study.cameras:
        for start, days in groups.items():
            rows = camera.grid.rows(days)
            found = camera.grid.sum(rows)
            bits = camera.grid.flags_of(rows)
            events = dict.fromkeys(filter(None, map(study.label, days)))
            yield {
                "site": study.site,
                "site_name": study.name,
                "region": study.region,
                "camera": camera.camera,
                "camera_name": camera.name,
                "date": start,
                "weekday": _WEEKDAYS[start.weekday()],
                "in": None if found.empty else found.in_,
                "out": None if found.empty else found.out,
                "open_hours": found.open_hours,
                "good_hours": found.good_hours,
                "flags": " ".join(flags.names(bits)),
                "event": "; ".join(events),
            }


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Row], delimiter: str) -> None:
    """
    Write a CSV file.

    With another delimiter than a comma it is meant for a spreadsheet, and begins with the mark by which Excel knows
    UTF-8.
    """
    encoding = "utf-8" if delimiter == "," else "utf-8-sig"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows([_cell(row[name]) for name in columns] for row in rows)


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, str):
        text = printable(value)
        return f"'{text}" if value.startswith(_FORMULA) else text
    return value


def write_parquet(path: Path, rows: Iterable[Row]) -> None:
    """Write the rows of hours for data frames; ExtraMissing without the library."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - in the extra only
        from pyarrow import parquet  # noqa: PLC0415 - likewise
    except ImportError as exc:
        raise ExtraMissing("Parquet's library", HEADQUARTERS_EXTRA) from exc
    whole = {"length_s", "in", "out", "watched_s", "revision", "hour"}
    types = {name: pa.int32() if name in whole else pa.string() for name in HOURS}
    types |= {"start": pa.timestamp("ms", tz="UTC"), "date": pa.date32()}
    schema = pa.schema(list(types.items()))
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(rows):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def _batches(rows: Iterable[Row], size: int = 50_000) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    yield batch
