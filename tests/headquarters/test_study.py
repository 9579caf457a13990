"""What a report makes of hours: sums that hold only what was watched, and everything else by its own name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge.headquarters.report.problems import Kind
from edge.headquarters.report.reliability import Flags, State
from tests.headquarters.shop import LAST, Shop, at


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    made.store.close()


@pytest.mark.parametrize(
    ("watched_s", "flags", "state"),
    [
        (3600, (), State.GOOD), (3300, ("restarted",), State.GOOD), (3000, (), State.POOR),
        (3600, ("moved",), State.POOR), (3600, ("slow",), State.POOR), (3500, ("covered",), State.POOR),
        (3600, ("coarse",), State.GOOD), (3600, ("something_new",), State.GOOD), (3240, (), State.GOOD),
        (0, ("camera_lost",), State.UNWATCHED), (0, (), State.UNWATCHED), (0, ("closed",), State.CLOSED),
        (1800, ("closed",), State.GOOD), (1200, ("closed", "dark"), State.POOR), (1, (), State.POOR),
    ],
)  # fmt: skip
def test_each_hour_has_a_state(watched_s: int, flags: tuple[str, ...], state: State) -> None:
    """Zero people in a watched hour is a zero; in an unwatched one it is no data; a flagged one is doubtful."""
    bits = Flags()
    found = bits.states(np.array([watched_s]), np.array([3600]), np.array([bits.bits(list(flags))]))

    assert [state] == found.tolist()


def test_flags_beyond_those_that_fit_are_kept_as_one() -> None:
    """The set of flags is open; a store with more different ones than bits is still read."""
    flags = Flags()
    many = [f"flag_{number}" for number in range(100)]

    assert flags.bits(many) > 0
    assert "moved" in flags.names(flags.bit("moved"))
    assert set(many[60:]) <= set(flags.names(flags.bit("flag_99")))


def test_hours_are_missing_between_those_that_came_and_up_to_now(shop: Shop) -> None:
    """From a camera's first hour on; the hour that isn't over isn't missing."""
    shop.count(at(7, 8))
    shop.count(at(7, 11))
    grid = shop.study(until=at(7, 14) + timedelta(minutes=59)).grid

    assert [State.GOOD, State.MISSING, State.MISSING, State.GOOD, State.MISSING, State.MISSING, State.NOT_DUE] == (
        grid.state[grid.row(LAST), 8:15].tolist()
    )


def test_a_camera_that_has_been_silent_all_the_time_is_missing(shop: Shop) -> None:
    """Its last hour lies before the days of the report: all of them are missing, and so are those since."""
    shop.open_day(6, month=10)
    shop.open_day(7, month=10)
    study = shop.study()
    (problem,) = study.cameras[0].problems

    assert study.figures.period.empty
    assert 70 == study.figures.period.open_hours
    assert (Kind.SILENT, datetime(2026, 10, 8, 9), None) == (problem.kind, problem.since, problem.until)  # noqa: DTZ001


def test_what_was_closed_is_not_missed(shop: Shop) -> None:
    """The share that is known is one of open hours: six lost days of ten hours of a shop that is closed at night."""
    for day in range(1, 31):
        shop.open_day(day, month=10)
    shop.open_day(7)
    total = shop.study().figures.period

    assert (70, 10) == (total.open_hours, total.good_hours)
    assert pytest.approx(1 / 7) == total.known


def test_the_night_when_clocks_change_misses_nothing(shop: Shop) -> None:
    """23 hours in March, 25 in October: none is missing, and what the hour that happens twice counted is kept."""
    for day, month, count in ((29, 3, 23), (25, 10, 25)):
        for number in range(count):
            shop.count(at(day, 0, month) + timedelta(hours=number))
        study = shop.study(last=date(2026, month, day), days=1, until=at(day + 1, 0, month))
        column = study.grid.state[study.grid.row(date(2026, month, day))]

        assert 10 * count == study.figures.period.in_
        assert (24 if month == 10 else 23) == int((column == State.GOOD).sum())
        assert State.MISSING not in column


def test_half_hours_are_no_gaps(shop: Shop) -> None:
    """Hours at :15 of UTC, as in Kathmandu, follow each other."""
    start = datetime(2026, 11, 5, 18, 15, tzinfo=UTC)
    for number in range(24):
        shop.count(start + timedelta(hours=number), zone="Asia/Kathmandu")
    grid = shop.study(until=start + timedelta(hours=24)).grid

    assert [State.GOOD] * 24 == grid.state[grid.row(date(2026, 11, 6))].tolist()


def test_a_day_that_nobody_watched_is_empty_and_not_zero(shop: Shop) -> None:
    """Neither silence nor a dead camera is a day without people."""
    shop.count(at(4, 23))
    for hour in range(24):
        shop.count(at(5, hour), 0, 0, watched_s=0, flags=("camera_lost",))
    shop.count(at(7, 0))
    grid = shop.study().grid

    assert [True, True, False] == [grid.sum(grid.rows([date(2026, 11, day)])).empty for day in (5, 6, 7)]


def test_a_covered_camera_loses_no_shop_its_growth(shop: Shop) -> None:
    """Like for like: with a tenth of the people for three days of seven, the change is that of the other four."""
    for day in range(1, 8):
        shop.open_day(day + 1, 100, year=2025)
        if day in (3, 4, 5):
            for hour in range(24):
                is_open = 9 <= hour < 19
                flags = ("covered",) if is_open else ("closed",)
                shop.count(at(day, hour), 10 * is_open, 10 * is_open, watched_s=400 * is_open, flags=flags)
        else:
            shop.open_day(day, 110)
    figures = shop.study().figures

    assert (40, 70) == (figures.last_year.hours, figures.last_year.open_hours)
    assert pytest.approx(0.1) == figures.last_year.change
    assert 4 * 1100 + 300 == figures.week.in_


def test_the_mean_of_four_weeks_needs_two(shop: Shop) -> None:
    """An hour that is known in one of the four weeks is no mean; one in two or more is."""
    shop.open_day(7, 30)
    shop.open_day(31, 10, month=10)
    once = shop.study().figures.four_weeks
    shop.open_day(24, 20, month=10)
    twice = shop.study().figures.four_weeks

    assert once.change is None
    assert (300, 150.0, 10) == (twice.now, twice.then, twice.hours)


def test_a_site_is_known_only_where_all_of_its_cameras_are(shop: Shop) -> None:
    """One door of two unwatched: the site's hour is poor; both counted: their sum."""
    shop.count(at(6, 10), 30, camera="a")
    shop.count(at(6, 11), 30, camera="a")
    shop.count(at(6, 10), 20, camera="b")
    shop.count(at(6, 11), 0, 0, watched_s=0, flags=("off",), camera="b")
    study = shop.study(until=at(6, 12))
    row = study.grid.row(date(2026, 11, 6))

    assert ([50, 30], [State.GOOD, State.POOR]) == (
        study.grid.in_[row, 10:12].tolist(), study.grid.state[row, 10:12].tolist(),
    )  # fmt: skip
    assert ["a", "b"] == [camera.camera for camera in study.cameras]


@pytest.mark.parametrize(
    ("in_", "out", "unbalanced"), [(500, 480, False), (500, 400, True), (400, 500, True), (60, 30, False)]
)
def test_in_and_out_that_differ_are_a_matter_of_the_line(shop: Shop, in_: int, out: int, unbalanced: bool) -> None:
    """More than a tenth apart, once enough people have passed."""
    shop.count(at(7, 10), in_, out)
    study = shop.study(until=at(7, 11))

    assert unbalanced == study.figures.period.unbalanced
    assert unbalanced == (Kind.UNBALANCED in [one.kind for one in study.cameras[0].problems])


def test_trials_are_left_aside(shop: Shop) -> None:
    """Hours of a made-up clock are in no sum, and are told of."""
    shop.count(at(7, 10))
    shop.count(at(7, 11), 999, flags=("trial",))
    study = shop.study(until=at(7, 11))

    assert (10, 1) == (study.figures.period.in_, study.trials)


def test_a_passage_is_no_entrance(shop: Shop) -> None:
    """What a line is for stands in sites.yaml: people who go by are in no sum of visitors."""
    shop.count(at(7, 10), lines={"entrance": (20, 18), "street": (100, 80)})
    study = shop.study(until=at(7, 11), plan="sites: {shop: {cameras: {door: {lines: {street: passage}}}}}")

    assert (20, 18, 180) == (study.figures.period.in_, study.figures.period.out, study.figures.period.passing)
    assert pytest.approx(1 / 9) == study.figures.period.capture


def test_opening_hours_of_the_file_say_what_is_missed(shop: Shop) -> None:
    """A camera that watches at night, a shop that is open from 10 to 20: ten open hours a day, none on a holiday."""
    for day in (5, 6):
        for hour in range(24):
            shop.count(at(day, hour))
    plan = 'sites: {shop: {open: {mon-sat: "10:00-20:00"}, events: [{name: Inventory, day: 2026-11-07, closed: true}]}}'
    with_plan, without = shop.study(plan=plan).figures.period, shop.study().figures.period

    assert (20, 20) == (with_plan.open_hours, with_plan.good_hours)
    assert (48 + 24, 48) == (without.open_hours, without.good_hours)


def test_one_absurd_hour_is_doubted(shop: Shop) -> None:
    """Ten times the usual busiest hour is asked about, unless the plan has a bound of its own."""
    for day in range(1, 8):
        shop.open_day(day, 50)
    shop.store.close()
    clean = Shop(Path(shop.url).parent)
    with clean.store._transaction():
        clean.store._run('UPDATE hours SET "in" = 501 WHERE start = :start', {"start": int(at(7, 12).timestamp())})
    study = clean.study()
    (question,) = study.questions
    bounded = clean.study(plan="sites: {shop: {cameras: {door: {most_an_hour: 600}}}}")
    clean.store.close()

    assert (1, 501, 500) == (question.hours, question.most, question.bound)
    assert 70 * 50 - 50 == study.figures.period.in_
    assert [] == bounded.questions
    assert 70 * 50 - 50 + 501 == bounded.figures.period.in_


@pytest.mark.parametrize("flag", ["moved", "slow", "covered", "dark", "frozen", "camera_lost"])
def test_a_flag_is_a_problem_since_it_began(shop: Shop, flag: str) -> None:
    """Also where it began before the days of the report, and it ends with the last flagged hour if it has ended."""
    for day in (29, 30, 31):
        shop.open_day(day, month=10)
    for day in (1, 2, 3):
        for hour in range(24):
            is_open = 9 <= hour < 19
            shop.count(
                at(day, hour),
                5 * is_open,
                5 * is_open,
                watched_s=3600 * is_open,
                flags=(flag if is_open else "closed",),
            )
    for day in (4, 5, 6, 7):
        shop.open_day(day)
    (ended,) = shop.study(days=5).cameras[0].problems
    (going_on,) = shop.study(days=2, last=date(2026, 11, 3), until=at(4, 0)).cameras[0].problems

    assert (Kind(flag), datetime(2026, 11, 1, 9), datetime(2026, 11, 3, 18), 10) == (  # noqa: DTZ001
        ended.kind, ended.since, ended.until, ended.hours,
    )  # fmt: skip
    assert (datetime(2026, 11, 1, 9), None, 20) == (going_on.since, going_on.until, going_on.hours)  # noqa: DTZ001
