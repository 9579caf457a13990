"""Corrections: what they change in a report, what they refuse, and that all of them stay on record."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.__main__ import main
from edge.core.clock import ManualClock
from edge.core.errors import ConfigError
from edge.headquarters import corrections
from edge.headquarters.address import open_store
from edge.headquarters.report.problems import Kind
from tests.headquarters.conftest import Postgres
from tests.headquarters.messages import NOW, told
from tests.headquarters.shop import LAST, Shop
from tests.headquarters.test_store import add

CLOCK = ManualClock(wall=round(NOW.timestamp() * 1000))
WEEK = {"since": date(2026, 11, 6), "until": date(2026, 11, 7)}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    for day in range(1, 8):
        made.open_day(day, 20)
    yield made
    made.store.close()


def enter(shop: Shop, action: str, what: str, **more: Any) -> int:
    return corrections.enter(shop.store, corrections.wish(action, what, why="because", **more), CLOCK, "anna")


def test_what_is_excluded_is_in_no_sum_until_it_is_revoked(shop: Shop) -> None:
    """Two of seven days; the report says what was left out, and the hours stay as they came."""
    number = enter(shop, "exclude", "shop/door", **WEEK)
    without = shop.study()
    hours = shop.store.count()
    enter(shop, "revoke", str(number))
    (entry,) = without.applied

    assert 5 * 200 == without.figures.period.in_
    assert (48, 400) == (entry.hours, entry.people)
    assert 7 * 200 == shop.study().figures.period.in_
    assert 7 * 24 == hours == shop.store.count()
    assert ["exclude", "revoke"] == [one.action for one in shop.store.corrections()]


def test_an_hour_can_be_excluded(shop: Shop) -> None:
    """From one local time to another."""
    enter(
        shop, "exclude", "shop", since=datetime(2026, 11, 7, 12), until=datetime(2026, 11, 7, 14),  # noqa: DTZ001
    )  # fmt: skip

    assert 7 * 200 - 40 == shop.study().figures.period.in_


def test_a_camera_with_a_new_name_is_one_camera(tmp_path: Path) -> None:
    """Merged, its old and its new hours are compared with each other, and nothing of it is missing."""
    shop = Shop(tmp_path)
    for day in range(1, 4):
        shop.open_day(day, 20, camera="old")
    for day in range(4, 8):
        shop.open_day(day, 20, camera="door")
    before = shop.study()
    corrections.enter(shop.store, corrections.wish("merge", "shop/old", value="shop/door", why="renamed"), CLOCK, "a")
    after = shop.study()
    shop.store.close()

    assert ["door", "old"] == [camera.camera for camera in before.cameras]
    assert [Kind.SILENT] == [one.kind for one in before.cameras[1].problems]
    assert ["door"] == [camera.camera for camera in after.cameras]
    assert [] == after.cameras[0].problems
    assert (70, 70) == (after.figures.period.open_hours, after.figures.period.good_hours)


def test_a_retired_camera_is_missed_no_more(tmp_path: Path) -> None:
    """What it counted before stays."""
    shop = Shop(tmp_path)
    for day in range(1, 4):
        shop.open_day(day, 20)
    corrections.enter(shop.store, corrections.wish("retire", "shop/door", since=date(2026, 11, 4), why="x"), CLOCK, "a")
    study = shop.study()
    shop.store.close()

    assert [] == study.cameras[0].problems
    assert (600, 30) == (study.figures.period.in_, study.figures.period.open_hours)


def test_a_note_changes_no_figure(shop: Shop) -> None:
    """It stands beside its days."""
    enter(shop, "annotate", "shop", value="road works", **WEEK)
    study = shop.study()

    assert 7 * 200 == study.figures.period.in_
    assert ("road works", "") == (study.label(LAST), study.label(date(2026, 11, 5)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("exclude", "shop/window", WEEK), "there are no hours of shop/window"),
        (("exclude", "nowhere", WEEK), "there are no hours of nowhere"),
        (("exclude", "shop", {}), "exclude needs --from and --to"),
        (("exclude", "shop", {"since": date(2026, 11, 7), "until": date(2026, 11, 6)}), "--to comes before --from"),
        (("annotate", "shop", WEEK), "annotate needs a note"),
        (("annotate", "shop", {**WEEK, "value": "a\nb"}), "on one line"),
        (("retire", "shop", {"since": LAST}), "retire needs a camera"),
        (("retire", "shop/door", {}), "retire needs --from"),
        (("rename", "shop/door", {"value": "New Door"}), "say as what it is shown"),
        (("rename", "shop/door", {"value": "shop/door"}), "is shown as shop/door already"),
        (("merge", "shop/door", {"value": "shop/window"}), "to give a new name, use rename"),
        (("revoke", "7", {}), "there is no correction 7"),
    ],
)
def test_what_cant_be_is_refused(shop: Shop, arguments: tuple[str, str, dict[str, Any]], words: str) -> None:
    """With a sentence, and nothing is entered."""
    action, what, more = arguments
    with pytest.raises(ConfigError, match=words):
        enter(shop, action, what, **more)

    assert [] == shop.store.corrections()


def test_a_circle_of_names_ends() -> None:
    """A to b and b to a, entered by hand: each is shown under some name, and the report ends."""
    held = corrections.InForce(aliases={("s", "a"): ("s", "b"), ("s", "b"): ("s", "a")})

    assert held.shown_as(("s", "a")) in {("s", "a"), ("s", "b")}


def test_the_command_enters_lists_and_refuses(
    shop: Shop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a person types it, with codes and sentences."""
    monkeypatch.setattr(sys, "stdin", None)
    store = ["--store", shop.url]
    entered = main(["correct", "exclude", "shop/door", "--from", "2026-11-06", "--to", "2026-11-07", "--why", "poster",
                    "--by", "anna", *store])  # fmt: skip
    refused = main(["correct", "exclude", "shop/door", "--from", "2026-11-06", "--to", "2026-11-07", *store])
    listed = main(["correct", "--list", *store])
    mistyped = main(["correct", "exclude", "shop/door", "--store", f"{shop.url}x"])
    said = capsys.readouterr()

    assert (0, 78, 0, 74) == (entered, refused, listed, mistyped)
    assert "correction 1 is entered" in said.out
    assert "anna: exclude shop/door from 2026-11-05T23:00Z to 2026-11-07T23:00Z: poster" in said.out
    assert "--why needs a reason" in said.err
    assert not Path(f"{shop.url}x").exists()


@pytest.mark.processes
def test_views_say_what_the_report_says(postgres: Postgres) -> None:
    """PostgreSQL: each state, local day and weekday as the report has them, and an exclusion at once."""
    store = open_store(postgres.database())
    cases: list[tuple[tuple[str, ...], int, str]] = [
        ((), 3600, "good"), (("moved",), 3600, "poor"), (("restarted",), 3300, "good"), ((), 3000, "poor"),
        (("closed",), 0, "closed"), (("closed",), 1800, "good"), (("closed", "dark"), 900, "poor"),
        (("camera_lost",), 0, "unwatched"), (("something_new",), 3600, "good"),
    ]  # fmt: skip

    for number, (flags, watched_s, _) in enumerate(cases):
        add(store, told(NOW - timedelta(hours=number + 2), watched_ms=1000 * watched_s, flags=flags))
    states = [row[0] for row in store._run("SELECT state FROM footfall_hours ORDER BY start DESC").fetchall()]
    wish = corrections.wish("exclude", "sh-023", why="x", since=date(2026, 11, 7), until=date(2026, 11, 7))
    corrections.enter(store, wish, CLOCK, "anna")
    excluded = store._run("SELECT state, count(*) FROM footfall_hours GROUP BY 1").fetchall()
    days = store._run("SELECT sum(open_hours), sum(good_hours) FROM footfall_days").fetchone()
    local = store._run("SELECT CAST(day AS text), weekday, hour FROM footfall_hours ORDER BY start DESC LIMIT 1")
    newest = local.fetchone()
    corrections.enter(store, corrections.wish("revoke", "1", why="y"), CLOCK, "anna")
    sums = store._run("SELECT sum(visitors_in), sum(open_hours), sum(good_hours) FROM footfall_days").fetchone()
    store.close()

    assert [state for _, _, state in cases] == states
    assert [("excluded", 9)] == excluded
    assert (8, 0) == tuple(map(int, days))
    assert ("2026-11-07", 6, 18) == newest
    assert (48 * 8, 8, 4) == tuple(map(int, sums))
