"""Which hours are missing, and when that is news."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from edge.headquarters.gaps import HOUR, REMEMBERED, GapWatch, KnownHours, describe

START = datetime(2026, 11, 7, 0, 0, tzinfo=UTC)


def known(*numbers: int) -> KnownHours:
    hours = KnownHours()
    for number in numbers:
        hours.add(START + number * HOUR, START + (number + 1) * HOUR)
    return hours


def watch_of(watch: GapWatch, *numbers: int, camera: str = "door-a") -> GapWatch:
    for number in numbers:
        watch.add("sh-023", camera, START + number * HOUR, START + (number + 1) * HOUR)
    return watch


@given(st.permutations(range(12)), st.sets(st.integers(0, 11)))
def test_the_order_of_arrival_doesnt_matter(order: list[int], missing: set[int]) -> None:
    """Hours that come late, twice or in any order give the same gaps: those between hours that are known."""
    arrived = [number for number in order if number not in missing]
    hours = known(*arrived, *arrived[:3])
    between = [n for n in missing if arrived and min(arrived) < n < max(arrived)]

    assert len(between) == hours.missing()
    assert sorted(hours.spans) == hours.spans
    assert (START + (max(arrived) + 1) * HOUR if arrived else None) == hours.end


def test_short_hours_leave_no_gap() -> None:
    """Where clocks change by half an hour, hours are shorter and touch all the same."""
    hours = KnownHours()
    for minutes in (0, 60, 90, 150):
        length = 30 if minutes == 60 else 60
        hours.add(START + timedelta(minutes=minutes), START + timedelta(minutes=minutes + length))

    assert 0 == hours.missing()
    assert 1 == len(hours.spans)


def test_what_is_long_ago_is_forgotten() -> None:
    """A camera that comes back after a year isn't missing a year of hours."""
    hours = known(0)
    hours.add(START + timedelta(days=365), START + timedelta(days=365) + HOUR)

    assert 0 == hours.missing()
    assert REMEMBERED < timedelta(days=365)


def test_a_gap_is_news_once_and_its_end_too() -> None:
    """Also one that closes hour by hour, and another one beside it."""
    watch = watch_of(GapWatch(), 0, 1, 5)
    opened, closed = watch.changes()
    sentences = list(describe(opened))
    again = watch.changes()
    in_part = watch_of(watch, 3).changes()
    counted = watch.missing()
    at_last = watch_of(watch, 2, 4, 6).changes()
    another = watch_of(watch, 9).changes()

    assert ["sh-023/door-a: 3 hours are missing from 2026-11-07T02:00Z to 2026-11-07T05:00Z"] == sentences
    assert [] == closed
    assert ([], []) == again
    assert ([], []) == in_part
    assert (2, 1) == counted
    assert ([], [("sh-023", "door-a")]) == at_last
    assert 2 * HOUR == another[0][0][3] - another[0][0][2]


def test_ten_thousand_cameras_cost_little() -> None:
    """However many hours there are, a camera without gaps is one span."""
    watch = GapWatch()
    numbers = list(range(48))
    for camera in range(50):
        random.Random(camera).shuffle(numbers)
        watch_of(watch, *numbers, camera=f"door-{camera}")

    assert {1} == {len(hours.spans) for hours in watch._cameras.values()}
    assert ([], []) == watch.changes()
