"""
Twenty months of twelve shops with everything that happens to shops: outages, holidays, an opening, a closure. Seeded.

Rows go straight into the table, as the collector would have stored them: what is tested is what a report makes of them.
"""

from __future__ import annotations

import json
import math
import random
import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from edge.headquarters.address import open_store

FIRST, LAST = date(2025, 3, 24), date(2026, 11, 29)
"""The first and the last local day; the last one is a Sunday."""
NOW = datetime(2026, 11, 30, 6, tzinfo=UTC)
BERLIN = "Europe/Berlin"


class Shop(NamedTuple):
    """A shop: its zone, its cameras with their share of the people, people a day, opening hours, growth a year."""

    site: str
    zone: str
    cameras: dict[str, float]
    people: int
    open: tuple[int, int]
    sunday: bool
    growth: float
    since: date = FIRST
    until: date = LAST


SHOPS = (
    Shop("berlin-mitte", BERLIN, {"main": 0.7, "side": 0.3}, 1900, (10, 20), False, 0.06),
    Shop("berlin-west", BERLIN, {"main": 1}, 1100, (10, 20), False, 0.03),
    Shop("dresden", BERLIN, {"main": 1}, 620, (9, 19), False, -0.08),
    Shop("frankfurt-zeil", BERLIN, {"north": 0.55, "south": 0.45}, 2400, (10, 20), False, 0.01),
    Shop("hamburg-hbf", BERLIN, {"main": 0.5, "station": 0.35}, 3300, (8, 21), True, 0.09),
    Shop("koeln", BERLIN, {"main": 1}, 1400, (10, 20), False, 0.04),
    Shop("leipzig", BERLIN, {"main": 1}, 700, (9, 19), False, 0.0),
    Shop("london-soho", "Europe/London", {"main": 1}, 2100, (9, 21), True, 0.05),
    Shop("muenchen", BERLIN, {"main": 0.8, "old-arcade": 0.2}, 2050, (10, 20), False, 0.02),
    Shop("nuernberg", BERLIN, {"main": 1}, 900, (9, 20), False, -0.02, until=date(2026, 9, 30)),
    Shop("stuttgart", BERLIN, {"main": 1}, 1000, (9, 20), False, 0.03, since=date(2026, 6, 15)),
    Shop("shanghai-023", "Asia/Shanghai", {"main": 1}, 1250, (9, 22), True, 0.05),
)
RENAMED_ON = date(2026, 5, 4)
"""From this day on the camera old-arcade of muenchen is called arcade."""
HOLIDAYS = {
    date(year, month, day)
    for year in (2024, 2025, 2026)
    for month, day in ((1, 1), (5, 1), (10, 3), (12, 25), (12, 26))
} | {date(2025, 4, 18), date(2025, 4, 21), date(2026, 4, 3), date(2026, 4, 6)}
_WEEKDAYS = (0.88, 0.9, 0.95, 1.0, 1.15, 1.6, 0.7)

Row = tuple[str, str, int, int, str, int, int, int, int, str, str, str, str]


def rows() -> Iterator[Row]:
    """Yield the rows of the table `hours`."""
    for shop in SHOPS:
        dice = random.Random(shop.site)
        zone = ZoneInfo(shop.zone)
        moment = datetime(shop.since.year, shop.since.month, shop.since.day, tzinfo=zone).astimezone(UTC)
        while (local := moment.astimezone(zone)).date() <= shop.until:
            people = _people(shop, local, dice)
            for camera, share in shop.cameras.items():
                row = _row(shop, camera, local, people * share, dice)
                if row is not None:
                    yield row
            moment += timedelta(hours=1)


def _people(shop: Shop, local: datetime, dice: random.Random) -> float:
    day, hour = local.date(), local.hour
    if day in HOLIDAYS or (local.weekday() == 6 and not shop.sunday) or not shop.open[0] <= hour < shop.open[1]:
        return -1.0
    shape = math.exp(-(((hour - 13) / 2.6) ** 2)) * 0.9 + math.exp(-(((hour - 17.5) / 1.9) ** 2)) * 1.2 + 0.12
    season = 1.25 if (day.month == 11 and day.day >= 20) or day.month == 12 else 1.0
    growth = (1 + shop.growth) ** ((day - FIRST).days / 365)
    usual = shop.people * _WEEKDAYS[local.weekday()] * season * growth * shape / 9
    return float(usual * dice.uniform(0.9, 1.1))


def _row(shop: Shop, camera: str, local: datetime, people: float, dice: random.Random) -> Row | None:
    day, hour = local.date(), local.hour
    is_open = people >= 0
    in_ = round(max(0.0, dice.gauss(people, math.sqrt(people)))) if is_open else 0
    out = round(in_ * dice.uniform(0.95, 1.03))
    watched, flags = (3600, set[str]()) if is_open else (0, {"closed"})
    place = (shop.site, camera)
    if shop.site == "koeln" and date(2026, 11, 10) <= day <= date(2026, 11, 12):
        return None  # the box was dead, and its hours never came
    if shop.site == "dresden" and day >= date(2026, 11, 27):
        return None  # the box has been silent since
    if shop.site == "leipzig" and date(2026, 11, 20) <= day <= date(2026, 11, 25) and is_open:
        in_, out, watched, flags = in_ // 10, out // 10, 430, {"covered"}
    if shop.site == "frankfurt-zeil" and camera == "south" and day >= date(2026, 11, 18) and is_open:
        flags = {"moved"}
    if place == ("muenchen", "main") and day >= date(2026, 11, 5) and is_open:
        out = round(out * 0.55)  # the line lies badly
    if place == ("berlin-mitte", "side") and day == date(2026, 11, 24) and 11 <= hour < 15:
        in_, out, watched, flags = 0, 0, 0, {"camera_lost"}
    if place == ("berlin-west", "main") and day == date(2026, 11, 26) and hour == 15:
        in_ = 70_000_000  # no shop ever had so many
    if place == ("muenchen", "old-arcade") and day >= RENAMED_ON:
        camera = "arcade"
    lines = {"entrance": {"in": in_, "out": out}}
    if place == ("london-soho", "main"):
        lines["street"] = {"in": in_ * 4, "out": in_ * 5}
    total_in, total_out = (sum(line[way] for line in lines.values()) for way in ("in", "out"))
    start = int(local.timestamp())
    return (
        shop.site, camera, start, start + 3600, shop.zone, 1, total_in, total_out, watched, json.dumps(sorted(flags)),
        json.dumps(lines, separators=(",", ":")), "footfall-edge 0.1.0", "head-test 1",
    )  # fmt: skip


SITES = """\
currency: EUR
calendars:
  germany:
    - {name: New Year, day: 2026-01-01, closed: true}
    - {name: Unity Day, day: 2026-10-03, closed: true}
sites:
  berlin-mitte: {name: Berlin Mitte, region: East, calendars: [germany]}
  berlin-west: {region: East}
  dresden: {region: East}
  leipzig: {region: East}
  hamburg-hbf: {name: Hamburg Hauptbahnhof, region: North}
  london-soho: {name: London Soho, region: Abroad, cameras: {main: {lines: {street: passage}}}}
  shanghai-023: {name: 上海 023, region: Abroad}
  muenchen: {name: München, region: South, cameras: {arcade: {name: Arkade}}}
"""


def sales() -> str:
    """Return a file of sales: two shops, each day of the last four weeks."""
    lines = ["site;date;transactions;revenue"]
    for site in ("berlin-mitte", "koeln"):
        dice = random.Random(site)
        for back in range(28):
            day = LAST - timedelta(days=back)
            if day.weekday() != 6:
                lines.append(f"{site};{day};{dice.randint(200, 500)};{dice.randint(800_000, 2_000_000) / 100:.2f}")
    return "\n".join(lines) + "\n"


def fill(path: Path) -> None:
    """Make the store at *path*."""
    open_store(str(path)).close()
    connection = sqlite3.connect(path)
    connection.executemany("INSERT INTO hours VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows())
    connection.commit()
    connection.close()
