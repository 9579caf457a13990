"""Retention: reports over days of which no hours are kept any more show the same sums."""

from __future__ import annotations

import csv
import re
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.core.clock import ManualClock
from edge.headquarters import corrections, retention, sites
from edge.headquarters.address import open_store
from edge.headquarters.collect import judge
from edge.headquarters.report import write
from edge.headquarters.store.sqlite import SqliteStore
from edge.headquarters.store.store import Store
from tests.headquarters import chain
from tests.headquarters.conftest import Postgres
from tests.headquarters.messages import told

_UNWATCHED = """
UPDATE hours SET watched_s = 0, flags = ?, "in" = 0, out = 0, lines = ?
WHERE site = 'leipzig' AND start >= ? AND start < ?
"""
LEFT_OUT = ("berlin-mitte", "berlin-west", "frankfurt-zeil", "nuernberg")
"""Shops of the chain that are left out of the store, to save time."""
LATER = datetime(2028, 5, 1, 6, tzinfo=UTC)
"""Two years after the first day of which hours stay: 1 May 2026."""


def at(moment: datetime) -> ManualClock:
    return ManualClock(wall=round(moment.timestamp() * 1000))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store of eight shops with outages, corrections, a passage and an absurd hour before May 2026."""
    folder = tmp_path_factory.mktemp("retention")
    path = folder / "hours.sqlite"
    chain.fill(path)
    connection = sqlite3.connect(path)
    noon = int(datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp())
    # A camera whose hours never came for two days, one that nobody watched, and one with far too many people.
    changes: list[tuple[str, tuple[object, ...]]] = [
        ("DELETE FROM hours WHERE site = 'koeln' AND start >= ? AND start < ?", (noon, noon + 2 * 86_400)),
        (_UNWATCHED, ('["dark"]', "{}", noon, noon + 6 * 3600)),
        (
            "UPDATE hours SET \"in\" = 60000000, lines = ? WHERE site = 'dresden' AND start = ?",
            ('{"entrance":{"in":60000000,"out":1}}', noon),
        ),
    ]
    # Enough shops are left to have each kind of zone, camera and opening hours.
    changes += [("DELETE FROM hours WHERE site = ?", (site,)) for site in LEFT_OUT]
    for statement, values in changes:
        connection.execute(statement, values)
    connection.commit()
    connection.close()
    store = open_store(str(path))
    for wish in (
        corrections.wish("merge", "muenchen/old-arcade", value="muenchen/arcade", why="the camera has a new name"),
        corrections.wish(
            "exclude", "hamburg-hbf/station", since=date(2026, 4, 8), until=date(2026, 4, 9), why="a demonstration"
        ),
    ):
        corrections.enter(store, wish, at(chain.NOW), "anna")
    store.close()
    (folder / "sites.yaml").write_text(chain.SITES, encoding="utf-8")
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "store"))


def report(folder: Path, last: date, days: int) -> dict[str, Any]:
    """Return what a report shows of days, of weeks and of months, and the sums on each shop's page."""
    wish = write.Wish(folder=folder / "pages", last=last, days=days, sites=folder / "sites.yaml")
    write.run(str(folder / "hours.sqlite"), at(LATER), wish)
    pages = {page.name: page.read_text(encoding="utf-8") for page in sorted((folder / "pages/sites").iterdir())}
    shown: dict[str, Any] = {}
    for by in ("day", "week"):
        table = write.Wish(csv_file=folder / "r.csv", by=by, last=last, days=days, sites=folder / "sites.yaml")
        write.run(str(folder / "hours.sqlite"), at(LATER), table)
        with (folder / "r.csv").open(encoding="utf-8-sig", newline="") as file:
            shown[by] = list(csv.DictReader(file))
    for name, page in pages.items():
        # The charts by week and by month say their sums, this year's and last year's; the first line the period's.
        shown[name] = re.findall(r"<title>([^<]*)</title>", page.partition("People in, by weekday")[0])[1:]
        found = re.search(r"[\d,]+ in, [\d,]+ out; [\d.]+ % of the open hours", page)
        shown[f"{name} sum"] = found[0] if found else ""
    return shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("last", "days"),
    [(date(2026, 4, 26), 366), (date(2026, 3, 29), 28), (date(2026, 5, 20), 40)],
    ids=["a year", "four weeks", "both sides"],
)
def test_the_same_sums_of_days_weeks_and_months(folder: Path, last: date, days: int) -> None:
    """To the digit: people, open hours, good hours, flags; also where some hours are kept and others are not."""
    before = report(folder, last, days)
    hours = _count(folder, "hours")
    kept = retention.run(str(folder / "hours.sqlite"), at(LATER), 2, sites.load(folder / "sites.yaml"))
    after = report(folder, last, days)

    assert [] == kept.left
    assert kept.hours == hours - _count(folder, "hours") > 80_000
    assert (kept.days, kept.cameras) == (_count(folder, "days"), 9)
    assert before.keys() == after.keys()
    for name in before:
        assert before[name] == after[name], name
    assert any(row["flags"] for row in after["day"])


def _count(folder: Path, table: str) -> int:
    connection = sqlite3.connect(folder / "hours.sqlite")
    ((found,),) = connection.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - a constant
    connection.close()
    return int(found)


@pytest.mark.slow
def test_it_goes_on_where_it_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between two cameras, nothing is lost or doubled; run again, it finishes; and again, it does nothing."""
    url, plan = str(folder / "hours.sqlite"), sites.load(folder / "sites.yaml")
    before = report(folder, date(2026, 4, 26), 90)
    real: Callable[..., Any] = SqliteStore._run
    deletions = iter(range(9))

    def boom(store: Store, statement: str, *values: Any) -> Any:
        if statement.startswith("DELETE FROM hours") and next(deletions) == 4:
            raise KeyboardInterrupt
        return real(store, statement, *values)

    monkeypatch.setattr(SqliteStore, "_run", boom)
    with pytest.raises(KeyboardInterrupt):
        retention.run(url, at(LATER), 2, plan)
    monkeypatch.setattr(SqliteStore, "_run", real)
    halfway = report(folder, date(2026, 4, 26), 90)
    retention.run(url, at(LATER), 2, plan)
    again = retention.run(url, at(LATER), 2, plan)
    later = retention.run(url, at(LATER + timedelta(days=90)), 2, plan)

    assert before == halfway
    assert (0, 0) == (again.hours, again.days)
    assert later.hours > 0
    assert before == report(folder, date(2026, 4, 26), 90)


def test_a_dry_run_only_says_how_much(store: Store, store_url: str) -> None:
    """And the real one does exactly that; younger hours and other cameras stay as they are."""
    old, young = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 6, 5, tzinfo=UTC)
    payloads = [told(start + timedelta(hours=n), in_=n, zone="UTC") for start in (old, young) for n in range(48)]
    topic = "footfall/v1/sh-023/door-a/hour"
    store.add(judge([(topic, payload) for payload in payloads], young + timedelta(days=3)), young)
    dry = retention.run(store_url, at(LATER), 2, sites.parse("{}"), dry=True)
    before = store.count()
    kept = retention.run(store_url, at(LATER), 2, sites.parse("{}"))

    assert (48, 96, 48) == (dry.hours, before, kept.hours)
    assert 48 == store.count()
    assert young == (store.extent() or (None,))[0]
    assert (date(2026, 4, 30), "UTC") == store.kept_until("sh-023", "door-a")
    first, second, third, *_ = store.days("sh-023", "door-a", date(2026, 1, 1), date(2026, 12, 31))
    assert (sum(range(24)), sum(range(24, 48)), {}) == (
        first.lines["entrance"][0], second.lines["entrance"][0], third.lines,
    )  # fmt: skip
    # A day of which no hour came is known to be unknown.
    assert [(24, 24), (24, 0)] == [(day.open_hours, day.good_hours) for day in (second, third)]


def test_merged_cameras_with_the_same_hours_stay(store: Store, store_url: str) -> None:
    """Two boxes at one door: the lines of their hours can't be told apart, so nothing of them is deleted."""
    old = datetime(2026, 1, 5, tzinfo=UTC)
    for camera, in_ in (("door-a", 40), ("door-b", 50)):
        messages = [
            (f"footfall/v1/sh-023/{camera}/hour", told(old + timedelta(hours=n), camera=camera, in_=in_, zone="UTC"))
            for n in range(24)
        ]
        store.add(judge(messages, old + timedelta(days=3)), old)
    wish = corrections.wish("merge", "sh-023/door-b", value="sh-023/door-a", why="one door")
    corrections.enter(store, wish, at(LATER), "anna")
    kept = retention.run(store_url, at(LATER), 2, sites.parse("{}"))

    assert (["sh-023/door-a"], 0, 48) == (kept.left, kept.hours, store.count())


@pytest.mark.parametrize(
    ("now", "years", "expected"),
    [((2028, 2, 29), 2, date(2026, 2, 28)), ((2028, 2, 29), 4, date(2024, 2, 29)), ((2027, 1, 1), 3, date(2024, 1, 1))],
)
def test_the_first_day_that_stays(now: tuple[int, int, int], years: int, expected: date) -> None:
    """A leap day has its place, too."""
    assert expected == retention.first_day(datetime(*now, 12, tzinfo=UTC), years)


@pytest.mark.processes
def test_the_view_of_days_goes_on(postgres: Postgres) -> None:
    """Who reads `footfall_days` by SQL sees the same rows before and after."""
    url = postgres.database()
    store = open_store(url)
    old = datetime(2026, 1, 5, tzinfo=UTC)
    topic = "footfall/v1/sh-023/door-a/hour"
    payloads = [told(old + timedelta(hours=n), in_=n % 7, zone="UTC") for n in range(72)]
    store.add(judge([(topic, payload) for payload in payloads], old + timedelta(days=4)), old)
    view = "SELECT * FROM footfall_days WHERE good_hours > 0 ORDER BY day"
    before = store._run(view).fetchall()
    retention.run(url, at(LATER), 2, sites.parse("{}"))

    assert 3 == len(before)
    assert 0 == store.count()
    assert before == store._run(view).fetchall()
    store.close()
