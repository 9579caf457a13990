"""What a report makes of hours: sums that hold only what was watched, and everything else by its own name."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from edge.core.hour import SCHEMA, Hour
from edge.headquarters.summary import Part, Period, State, slots, state_of, summarise

BERLIN = "Europe/Berlin"
LAST = date(2026, 11, 7)
PERIOD = Period(LAST, days=7, weeks=2)
DUE = datetime(2026, 11, 8, 6, tzinfo=UTC)


def hour(start: datetime, *, in_: int = 10, out: int = 9, watched_s: int = 3600, flags: tuple[str, ...] = (),
         camera: str = "door", site: str = "shop", zone: str = BERLIN) -> Hour:  # fmt: skip
    return Hour.model_construct(
        version=SCHEMA, site=site, camera=camera, start=start, end=start + timedelta(hours=1), timezone=zone,
        revision=1, in_=in_, out=out, watched_s=watched_s, flags=flags, lines={}, software="f", model="m",
    )  # fmt: skip


def at(day: int, clock: int, month: int = 11, year: int = 2026) -> datetime:
    """Return an instant by Berlin's clocks."""
    return datetime(year, month, day, clock, tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)


def part_of(*hours: Hour, until: datetime = DUE) -> Part:
    (part,) = summarise(slots(sorted(hours, key=lambda h: (h.site, h.camera, h.start)), until), PERIOD)
    return part


@pytest.mark.parametrize(
    ("watched_s", "flags", "state"),
    [
        (3600, (), State.GOOD), (3300, ("restarted",), State.GOOD), (3000, ("slow",), State.POOR),
        (0, ("camera_lost",), State.UNWATCHED), (0, (), State.UNWATCHED), (0, ("closed",), State.CLOSED),
        (1800, ("closed",), State.GOOD), (1200, ("closed", "dark"), State.POOR), (1, (), State.POOR),
    ],
)  # fmt: skip
def test_each_hour_has_a_state(watched_s: int, flags: tuple[str, ...], state: State) -> None:
    """Zero people in a watched hour is a zero; in an unwatched one it is no data."""
    assert state == state_of(hour(at(7, 10), in_=0, out=0, watched_s=watched_s, flags=flags))


def test_missing_hours_stand_between_those_that_came_and_up_to_now() -> None:
    """From a camera's first hour on; the hour that isn't over isn't missing."""
    found = list(slots([hour(at(7, 8)), hour(at(7, 11))], at(7, 14) + timedelta(minutes=59)))

    assert [
        (8, State.GOOD), (9, State.MISSING), (10, State.MISSING), (11, State.GOOD), (12, State.MISSING),
        (13, State.MISSING),
    ] == [(slot.local.hour, slot.state) for slot in found]  # fmt: skip


def test_the_night_when_clocks_change_misses_nothing() -> None:
    """23 hours in March, 25 in October: none is missing, none is double."""
    for day, month, count in ((29, 3, 23), (25, 10, 25)):
        start, end = at(day, 0, month), at(day + 1, 0, month)
        hours = [hour(start + timedelta(hours=n)) for n in range(count)]

        assert end == hours[-1].end
        assert [State.GOOD] * count == [slot.state for slot in slots(hours, end)]


def test_half_hours_are_no_gaps() -> None:
    """Hours at :45 of UTC, as in Kathmandu, follow each other."""
    start = datetime(2026, 11, 5, 18, 15, tzinfo=UTC)
    found = list(slots([hour(start + timedelta(hours=n), zone="Asia/Kathmandu") for n in range(24)], start))

    assert [(n, State.GOOD) for n in range(24)] == [(slot.local.hour, slot.state) for slot in found]


def test_a_days_sum_says_how_much_of_it_is_known() -> None:
    """Twenty good hours of twenty-four: the sum holds what was counted, and is known for less than all."""
    part = part_of(*(hour(at(6, n)) for n in range(20)), hour(at(7, 0)))
    day = part.days[date(2026, 11, 6)]

    assert (200, 180) == (day.in_, day.out)
    assert pytest.approx(20 / 24) == day.known


def test_a_day_that_nobody_watched_is_empty_and_not_zero() -> None:
    """Neither silence nor a dead camera is a day without people."""
    lost = [hour(at(5, n), in_=0, out=0, watched_s=0, flags=("camera_lost",)) for n in range(24)]
    part = part_of(hour(at(4, 23)), *lost, hour(at(7, 0)))

    assert part.days[date(2026, 11, 5)].empty
    assert part.days[date(2026, 11, 6)].empty
    assert not part.days[date(2026, 11, 7)].empty


def test_the_map_is_a_mean_of_good_hours() -> None:
    """A badly watched one doesn't pull it down, unless there is no other; then the cell says so."""
    good_and_poor = part_of(hour(at(6, 10), in_=100), hour(at(6, 11), in_=7, watched_s=60), until=at(6, 12))

    assert (100, State.GOOD) == (good_and_poor.heat[4, 10].mean, good_and_poor.heat[4, 10].state)
    assert (7, State.POOR) == (good_and_poor.heat[4, 11].mean, good_and_poor.heat[4, 11].state)


def test_the_maps_cells_tell_closed_from_unwatched() -> None:
    """Neither has a mean."""
    part = part_of(
        hour(at(6, 3), in_=0, watched_s=0, flags=("closed",)),
        hour(at(6, 4), in_=0, watched_s=0, flags=("off",)),
        until=at(6, 6),
    )

    assert [(None, State.CLOSED), (None, State.UNWATCHED), (None, State.UNWATCHED)] == [
        (part.heat[4, n].mean, part.heat[4, n].state) for n in (3, 4, 5)
    ]


def test_a_site_is_known_only_where_all_of_its_cameras_are() -> None:
    """One door of two unwatched: the site's hour is poor; both counted: their sum."""
    part = part_of(
        hour(at(6, 10), in_=30, camera="a"), hour(at(6, 11), in_=30, camera="a"), hour(at(6, 10), in_=20, camera="b"),
        hour(at(6, 11), in_=0, watched_s=0, flags=("off",), camera="b"), until=at(6, 12),
    )  # fmt: skip

    assert (50, State.GOOD) == (part.heat[4, 10].mean, part.heat[4, 10].state)
    assert (30, State.POOR) == (part.heat[4, 11].mean, part.heat[4, 11].state)
    assert ["a", "b"] == [camera.name for camera in part.cameras]


def test_last_years_weekday_stands_beside_this_years() -> None:
    """Saturday beside Saturday, 364 days earlier, and weeks likewise."""
    before = hour(at(8, 10, year=2025), in_=77)
    part = part_of(before, hour(at(7, 10), in_=88), until=at(7, 11))

    assert 88 == part.days[LAST].in_
    assert 77 == part.days_before[LAST].in_
    assert 77 == part.weeks_before[date(2026, 11, 2)].in_
    assert 77 == part.before.in_


@pytest.mark.parametrize(
    ("in_", "out", "unbalanced"), [(500, 480, False), (500, 400, True), (400, 500, True), (60, 30, False)]
)
def test_in_and_out_that_differ_are_a_matter_of_the_line(in_: int, out: int, unbalanced: bool) -> None:
    """More than a tenth apart, once enough people have passed."""
    part = part_of(hour(at(7, 10), in_=in_, out=out), until=at(7, 11))

    assert unbalanced == part.total.unbalanced


def test_trials_are_left_aside() -> None:
    """Hours of a made-up clock are in no sum."""
    part = part_of(hour(at(7, 10)), hour(at(7, 11), in_=999, flags=("trial",)), until=at(7, 11))

    assert 10 == part.total.in_
