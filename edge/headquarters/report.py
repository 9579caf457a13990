"""Writes an HTML page, a CSV file and a Parquet file from the store, which it only reads."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from edge.core.clock import Clock
from edge.core.errors import HEADQUARTERS_EXTRA, ConfigError, ExtraMissing
from edge.core.hour import Hour
from edge.headquarters import page
from edge.headquarters.address import open_store
from edge.headquarters.receive import stamp
from edge.headquarters.store.store import Store
from edge.headquarters.summary import YEAR, Period, Slot, slots, summarise

_OVERDUE = timedelta(seconds=300)
"""An hour that has not arrived so long after its end is missing."""
_COLUMNS = (
    "site", "camera", "start", "local_start", "timezone", "length_s", "state", "in", "out", "watched_s", "flags",
    "lines", "revision", "software", "model",
)  # fmt: skip


def run(
    store_url: str,
    clock: Clock,
    *,
    html: Path | None = None,
    csv_file: Path | None = None,
    parquet: Path | None = None,
    sites: Sequence[str] = (),
    last: date | None = None,
    days: int = 28,
) -> None:
    """
    Write the report.

    Args:
        store_url: Where the hours are.
        clock: Headquarters' own; hours that end later are not missing.
        html: Where to write the page.
        csv_file: Where to write one row per hour, missing hours included.
        parquet: Where to write the same rows for data frames.
        sites: Only these; all if empty.
        last: The last day; None takes the last whole day of the site with the newest hour or, on a first day, that
            day as far as it is known.
        days: Length of the period, in days.

    Raises:
        StoreError: the store can't be read.
        ConfigError: there is nothing to report, or nowhere to write it.
        ExtraMissing: Parquet needs the extra.
        OSError: a file can't be written.
    """
    if html is None and csv_file is None and parquet is None:
        raise ConfigError("report", ["say where the report goes: --html FILE, --csv FILE or --parquet FILE"])
    now = datetime.fromtimestamp(clock.wall_ms() / 1000, UTC)
    store = open_store(store_url)
    try:
        found, whole = (last, True) if last else _last_day(store, sites, now)
        period = Period(found, days)
        until = min(now - _OVERDUE, period.until)
        if html is not None:
            trials = _TrialCounter()
            parts = summarise(_slots(store, period, until, sites, trials), period)
            html.write_text(page.render(parts, period, now, trials=trials.count, whole=whole), encoding="utf-8")
        if csv_file is not None:
            _write_csv(csv_file, _within(_slots(store, period, until, sites), period))
        if parquet is not None:
            _write_parquet(parquet, list(_within(_slots(store, period, until, sites), period)))
    finally:
        store.close()


class _TrialCounter:
    """Counts the hours of trials that pass through it."""

    def __init__(self) -> None:
        self.count = 0

    def watch(self, hours: Iterable[Hour]) -> Iterator[Hour]:
        """Yield *hours*."""
        for hour in hours:
            self.count += "trial" in hour.flags
            yield hour


def _last_day(store: Store, sites: Sequence[str], now: datetime) -> tuple[date, bool]:
    """Return the last whole day of the site with the newest hour; on a site's first day that day, and False."""
    extent = store.extent()
    if extent is None:
        advice = "a box sends an hour when it is over, and `footfall collect` stores it"
        raise ConfigError("report", [f"store {store.name}: there are no hours in it yet; {advice}"])
    newest = min(extent[1], now)
    of_newest = max(
        store.hours(newest - timedelta(days=2), newest + timedelta(hours=1), sites),
        key=lambda hour: hour.start,
        default=None,
    )
    if of_newest is None:
        raise ConfigError(
            "report", [f"store {store.name}: no hours of {', '.join(sites) or 'any site'} before {newest:%d %b}"]
        )
    zone = ZoneInfo(of_newest.timezone)
    whole = page.last_day(of_newest.start.astimezone(zone))
    # On the first day no day is whole: a report that left it out would look as if nothing had come.
    midnight = datetime.combine(whole + timedelta(days=1), time(), zone)
    earlier = store.hours(midnight - timedelta(days=366), midnight, sites)
    return (whole, True) if next(iter(earlier), None) is not None else (midnight.date(), False)


def _slots(
    store: Store, period: Period, until: datetime, sites: Sequence[str], trials: _TrialCounter | None = None
) -> Iterator[Slot]:
    """Yield this year's and last year's hours, by site and camera; each once, also where the two years overlap."""
    counter = trials or _TrialCounter()
    end_of_then = min(period.until - YEAR, period.since)
    then = slots(store.hours(period.since - YEAR, end_of_then, sites), end_of_then)
    now = slots(counter.watch(store.hours(period.since, period.until, sites)), until)
    # What one page needs fits into memory.
    yield from sorted(chain(then, now), key=lambda slot: (slot.site, slot.camera, slot.start))


def _within(of_both: Iterable[Slot], period: Period) -> Iterator[Slot]:
    return (slot for slot in of_both if period.first <= slot.local.date() <= period.last)


def _row(slot: Slot) -> dict[str, Any]:
    hour = slot.hour
    told: dict[str, Any] = dict.fromkeys(_COLUMNS)
    told |= {
        "site": slot.site,
        "camera": slot.camera,
        "start": stamp(slot.start),
        "local_start": slot.local.isoformat(),
        "timezone": str(slot.local.tzinfo),
        "state": str(slot.state),
    }
    if hour is not None:
        told |= {
            "length_s": int((hour.end - hour.start).total_seconds()),
            "in": hour.in_,
            "out": hour.out,
            "watched_s": hour.watched_s,
            "flags": " ".join(hour.flags),
            "lines": hour.lines_json(),
            "revision": hour.revision,
            "software": hour.software,
            "model": hour.model,
        }
    return told


def _write_csv(path: Path, rows: Iterable[Slot]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        writer.writerows(_row(slot) for slot in rows)


def _write_parquet(path: Path, rows: Sequence[Slot]) -> None:
    try:
        import pyarrow as pa  # noqa: PLC0415 - in the extra only
        from pyarrow import parquet  # noqa: PLC0415 - likewise
    except ImportError as exc:
        raise ExtraMissing("Parquet's library", HEADQUARTERS_EXTRA) from exc
    whole = {"length_s", "in", "out", "watched_s", "revision"}
    types = {name: pa.int32() if name in whole else pa.string() for name in _COLUMNS}
    types["start"] = pa.timestamp("ms", tz="UTC")
    table = pa.Table.from_pylist(
        [{**_row(slot), "start": slot.start} for slot in rows], schema=pa.schema(list(types.items()))
    )
    parquet.write_table(table, path, compression="zstd")
