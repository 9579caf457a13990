"""Hours: where they begin and end, and what goes into which."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config.opening_hours import OpeningHours
from edge.core.hour import HOUR_MS, Hour, Source, rfc3339
from edge.core.tally import Flag
from edge.publisher.hours import MOST_SPREAD_MS, Interval, Span, aggregate, hour_at, spans, spread_ms
from tests.publisher.rig import utc_ms

ZONES = ("Asia/Shanghai", "Asia/Kolkata", "Asia/Kathmandu", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns")
NINE = utc_ms("2026-03-02T09:00:00+00:00")
MINUTE_MS = 60_000
SOURCE = Source("sh-023", "door-a", ZoneInfo("UTC"), "head-test 1")


@pytest.mark.parametrize(
    ("zone", "moment", "start", "end"),
    [
        ("Asia/Shanghai", "2026-03-02T09:59:59+08:00", "2026-03-02T09:00:00+08:00", "2026-03-02T10:00:00+08:00"),
        ("Asia/Kolkata", "2026-03-02T09:00:00+05:30", "2026-03-02T09:00:00+05:30", "2026-03-02T10:00:00+05:30"),
        ("Asia/Kathmandu", "2026-03-02T09:44:59+05:45", "2026-03-02T09:00:00+05:45", "2026-03-02T10:00:00+05:45"),
    ],
)
def test_hours_follow_the_sites_own_zone(zone: str, moment: str, start: str, end: str) -> None:
    """An hour begins when the site's clocks show :00, also where they are half an hour or 45 minutes off."""
    span = hour_at(utc_ms(moment), ZoneInfo(zone))

    assert (start, end) == (rfc3339(span.start_ms, ZoneInfo(zone)), rfc3339(span.end_ms, ZoneInfo(zone)))


@pytest.mark.parametrize(
    ("zone", "first", "expected"),
    [
        ("Europe/Berlin", "2026-03-29T01:00:00+01:00", ["01:00:00+01:00", "03:00:00+02:00", "04:00:00+02:00"]),
        ("Europe/Berlin", "2026-10-25T02:00:00+02:00", ["02:00:00+02:00", "02:00:00+01:00", "03:00:00+01:00"]),
        ("Australia/Lord_Howe", "2026-10-04T01:00:00+10:30", ["01:00:00+10:30", "02:30:00+11:00", "03:00:00+11:00"]),
        ("Australia/Lord_Howe", "2026-04-05T01:00:00+11:00", ["01:00:00+11:00", "01:30:00+10:30", "02:00:00+10:30"]),
    ],
)
def test_a_change_of_clocks_gives_each_hour_its_own_name(zone: str, first: str, expected: list[str]) -> None:
    """An hour that is left out has no message, one that happens twice has two, told apart by the offset."""
    start = utc_ms(first)
    found = [rfc3339(s.start_ms, ZoneInfo(zone))[11:] for s in spans(start, start + 3 * HOUR_MS, ZoneInfo(zone))]

    assert expected == found[:3]


@given(st.sampled_from(ZONES), st.integers(0, 4_000_000_000))
def test_hours_join_without_gap_or_overlap(zone: str, moment_s: int) -> None:
    """Every moment lies in exactly one hour, at most 3600 s long, and the next begins where it ends."""
    span = hour_at(moment_s * 1000, ZoneInfo(zone))

    assert span.start_ms <= moment_s * 1000 < span.end_ms
    assert 0 < span.end_ms - span.start_ms <= HOUR_MS
    assert span == hour_at(span.end_ms - 1000, ZoneInfo(zone))
    assert span.end_ms == hour_at(span.end_ms, ZoneInfo(zone)).start_ms


def test_the_spread_is_the_boxs_own() -> None:
    """Cameras close their hours 0 to 120 s later, each always by the same, and not all by the same."""
    spreads = [spread_ms("sh-023", f"door-{number}") for number in range(500)]

    assert spreads == [spread_ms("sh-023", f"door-{number}") for number in range(500)]
    assert (min(spreads), max(spreads)) == (0, MOST_SPREAD_MS)
    assert len(set(spreads)) > 100


def interval(start_min: float, end_min: float, **changes: object) -> Interval:
    """Return an interval that begins and ends so many minutes after nine; one person in, watched all the time."""
    start, end = (NINE + round(minutes * MINUTE_MS) for minutes in (start_min, end_min))
    values: dict[str, object] = {"run": 1, "line": "entrance", "in_": 1, "out": 0, "watched_ms": end - start}
    return Interval(start_ms=start, end_ms=end, **{"flags": Flag(0), **values, **changes})  # type: ignore[arg-type]


def aggregated(*intervals: Interval, hours: int = 2, opening: OpeningHours | None = None) -> list[Hour]:
    """Return the hours from nine on."""
    todo = [Span(NINE + n * HOUR_MS, NINE + (n + 1) * HOUR_MS) for n in range(hours)]
    return aggregate(todo, intervals, ["entrance"], opening, SOURCE)


def people(hour: Hour) -> dict[str, tuple[int, int]]:
    return {name: (count.in_, count.out) for name, count in hour.lines.items()}


def test_a_count_goes_to_the_hour_of_its_intervals_middle() -> None:
    """An interval that crosses the hour's edge gives its counts to one hour, whole."""
    first, second = aggregated(interval(0, 59.9), interval(59.9, 60.05), interval(60.05, 120))

    assert [people(first), people(second)] == [{"entrance": (2, 0)}, {"entrance": (1, 0)}]


def test_watched_time_is_split_at_the_edge() -> None:
    """What was watched is divided between two hours as the time is."""
    first, second = aggregated(interval(30, 90))

    assert [first.watched_s, second.watched_s] == [1800] * 2


def test_a_long_interval_across_the_edge_is_coarse() -> None:
    """Both hours say so when it is open to which of them counts belong; inside one hour it isn't."""
    crossing = aggregated(interval(0, 58), interval(58, 62), interval(62, 120))
    within = aggregated(interval(0, 60), interval(60, 120))

    assert [("coarse",)] * 2 == [hour.flags for hour in crossing]
    assert [()] * 2 == [hour.flags for hour in within]


def test_flags_go_to_the_hour_in_which_they_held() -> None:
    """A beat's flags name the hour of its middle, and only that one."""
    first, second = aggregated(interval(0, 30, flags=Flag.DARK | Flag.SLOW), interval(30, 60), interval(60, 120))

    assert [("dark", "slow"), ()] == [first.flags, second.flags]


def test_time_without_readings_is_off() -> None:
    """An hour says `off` when no reading covers more than a minute of it, whatever was watched."""
    gap_of_a_minute = aggregated(interval(0, 29, watched_ms=0), interval(30, 60), hours=1)
    gap_of_more = aggregated(interval(0, 28.9), interval(30, 60), hours=1)
    nothing = aggregated(hours=1)

    assert [()] == [hour.flags for hour in gap_of_a_minute]
    assert [("off",)] == [hour.flags for hour in gap_of_more]
    assert [Hour.counted(SOURCE, NINE, NINE + HOUR_MS, {"entrance": (0, 0)}, watched_ms=0, flags=("off",))] == nothing


def test_a_closed_hour_is_closed_and_not_off() -> None:
    """Nobody has to cover time in which the shop is closed."""
    opening = OpeningHours.parse({"mon": "10:30-20:00"})
    closed, partly = aggregated(interval(90, 120), opening=opening)

    assert [("closed",)] * 2 == [closed.flags, partly.flags]
    assert (closed.watched_s, people(closed)) == (0, {"entrance": (0, 0)})


def test_lines_of_one_camera_share_what_was_watched() -> None:
    """Two lines don't make two hours' watching out of one; two runs one after the other add up."""
    (hour,) = aggregated(
        interval(0, 20, watched_ms=5 * MINUTE_MS),
        interval(0, 20, line="exit", watched_ms=4 * MINUTE_MS),
        interval(20, 60, run=2, watched_ms=7 * MINUTE_MS),
        hours=1,
    )

    assert hour.watched_s == 12 * 60
    assert people(hour) == {"entrance": (2, 0), "exit": (1, 0)}
