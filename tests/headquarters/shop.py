"""A shop whose hours a test makes up one by one, studied as a report studies it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from edge.core.hour import HOUR_MS, Hour, Source
from edge.headquarters import sites
from edge.headquarters.address import open_store
from edge.headquarters.corrections import InForce
from edge.headquarters.report.period import Period
from edge.headquarters.report.study import Chain, SiteStudy
from edge.headquarters.store.batch import Arrival, Batch
from edge.headquarters.store.store import Store

BERLIN = "Europe/Berlin"
LAST = date(2026, 11, 7)
"""The last day, a Saturday."""


def at(day: int, hour: int, month: int = 11, year: int = 2026, zone: str = BERLIN) -> datetime:
    """Return an instant by the shop's clocks."""
    return datetime(year, month, day, hour, tzinfo=ZoneInfo(zone)).astimezone(UTC)


class Shop:
    """One site in a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.url = str(folder / "hours.sqlite")
        self.store: Store = open_store(self.url)

    def count(
        self,
        start: datetime,
        in_: int = 10,
        out: int = 9,
        *,
        watched_s: int = 3600,
        flags: tuple[str, ...] = (),
        camera: str = "door",
        site: str = "shop",
        zone: str = BERLIN,
        lines: dict[str, tuple[int, int]] | None = None,
    ) -> None:
        """Store an hour."""
        start_ms = round(start.timestamp() * 1000)
        source = Source(site, camera, ZoneInfo(zone), "head 1")
        hour = Hour.counted(
            source,
            start_ms,
            start_ms + HOUR_MS,
            lines or {"entrance": (in_, out)},
            watched_ms=watched_s * 1000,
            flags=flags,
        )
        outcome = self.store.add(Batch(hours=[Arrival("t", b"", hour)]), start)
        assert 1 == outcome.stored, outcome

    def open_day(self, day: int, people: int = 10, month: int = 11, year: int = 2026, camera: str = "door") -> None:
        """Store a whole day: open from 9 to 19, *people* in and out each open hour, closed around it."""
        for hour in range(24):
            if 9 <= hour < 19:
                self.count(at(day, hour, month, year), people, people, camera=camera)
            else:
                self.count(at(day, hour, month, year), 0, 0, watched_s=0, flags=("closed",), camera=camera)

    def study(
        self,
        *,
        until: datetime | None = None,
        days: int = 7,
        last: date = LAST,
        plan: str = "{}",
        aligned: bool = False,
        site: str = "shop",
    ) -> SiteStudy:
        """Return the report's figures; hours that end after *until* are not due."""
        period = Period(last, days, aligned=aligned)
        due = until or datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
        chain = Chain(sites.parse(plan), InForce.of(self.store.corrections()), period, due)
        found = chain.study(self.store, site, chain.sources(self.store)[site])
        assert found is not None
        return found
