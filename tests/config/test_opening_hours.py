"""Opening hours: how they are written, and which minutes they mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config.opening_hours import OpeningHours

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def at(day: str, time: str) -> datetime:
    """Return a moment of a week."""
    hour, minute = map(int, time.split(":"))
    return MONDAY + timedelta(days=DAYS.index(day), hours=hour, minutes=minute)


@pytest.mark.parametrize(
    ("week", "day", "time", "is_open"),
    [
        ({"mon": "09:30-22:00"}, "mon", "09:29", False),
        ({"mon": "09:30-22:00"}, "mon", "09:30", True),
        ({"mon": "09:30-22:00"}, "mon", "21:59", True),
        ({"mon": "09:30-22:00"}, "mon", "22:00", False),
        ({"mon": "09:30-22:00"}, "tue", "12:00", False),
        ({"mon-sat": "9:30-22:00"}, "sat", "09:30", True),
        ({"mon-sat": "09:30-22:00"}, "sun", "12:00", False),
        ({"sat-mon": "10:00-20:00"}, "sun", "12:00", True),
        ({"sat-mon": "10:00-20:00"}, "mon", "12:00", True),
        ({"sat-mon": "10:00-20:00"}, "tue", "12:00", False),
        ({"Mon - Tue": "10:00 - 20:00"}, "tue", "12:00", True),
        ({"mon": "08:00-12:00, 14:00-18:00"}, "mon", "13:00", False),
        ({"mon": "08:00-12:00, 14:00-18:00"}, "mon", "14:00", True),
        ({"mon": "00:00-24:00"}, "mon", "00:00", True),
        ({"mon": "00:00-24:00"}, "mon", "23:59", True),
        ({"mon": "00:00-24:00"}, "tue", "00:00", False),
        ({"fri": "20:00-02:00"}, "fri", "23:59", True),
        ({"fri": "20:00-02:00"}, "sat", "01:59", True),
        ({"fri": "20:00-02:00"}, "sat", "02:00", False),
        ({"fri": "20:00-02:00"}, "fri", "01:00", False),
        ({"sun": "20:00-02:00"}, "mon", "01:59", True),
        ({"sun": "20:00-02:00"}, "mon", "02:00", False),
        ({}, "mon", "12:00", False),
    ],
)
def test_when_it_is_open(week: dict[str, str], day: str, time: str, is_open: bool) -> None:
    """A span holds its first minute, not its last, and may cross midnight and Sunday's end; other days are closed."""
    assert is_open == OpeningHours.parse(week).is_open(at(day, time))


@pytest.mark.parametrize(
    ("week", "message"),
    [
        (
            {"monday": "09:00-17:00"},
            '"monday" names no days; write one of mon, tue, wed, thu, fri, sat, sun, or a range',
        ),
        ({"mon-": "09:00-17:00"}, '"mon-" names no days'),
        ({"": "09:00-17:00"}, '"" names no days'),
        ({"mon-wed": "09:00-17:00", "tue": "09:00-12:00"}, "tue is named twice"),
        ({"mon-sun": "09:00-17:00", "sun": "closed"}, "sun is named twice"),
        ({"mon": "shut"}, 'mon: "shut" is no span of time; write it as "09:30-22:00"'),
        (
            {"mon": "\u201c09:30-22:00\u201d"},
            'mon: "\u201c09:30-22:00\u201d" is no span of time; write it with straight quotes, as "09:30-22:00"',
        ),
        ({"mon": ""}, 'mon: "" is no span of time'),
        ({"mon": "09:00-17:00,"}, 'mon: "" is no span of time'),
        ({"mon": "9-17"}, 'mon: "9-17" is no span of time'),
        ({"mon": "09:00-17:60"}, 'mon: "09:00-17:60" has no such time of day; times run from 00:00 to 24:00'),
        ({"mon": "24:00-25:00"}, "has no such time of day"),
        ({"mon": "09:00-24:01"}, "has no such time of day"),
        ({"mon": "09:00-09:00"}, 'lasts no time; for a whole day write "00:00-24:00"'),
    ],
)
def test_what_can_not_be_read(week: dict[str, str], message: str) -> None:
    """Each fault names what was written and what to write instead."""
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the two arguments are looked at below
        OpeningHours.parse(week)

    assert message in "; ".join(refusal.value.args)


@pytest.mark.parametrize(
    ("week", "words"),
    [
        ({"mon-sat": "09:30-22:00", "sun": "10:00-20:00"}, "mon-sat 09:30 to 22:00, sun 10:00 to 20:00"),
        ({"mon-sun": "00:00-24:00"}, "mon-sun 00:00 to 24:00"),
        ({"fri": "20:00-02:00"}, "fri 20:00 to 02:00 of the next day"),
        (
            {"mon": "08:00-12:00, 14:00-18:00", "wed": "08:00-12:00"},
            "mon 08:00 to 12:00 and 14:00 to 18:00, wed 08:00 to 12:00",
        ),
        ({"sat-mon": "10:00-20:00", "tue": "closed"}, "mon 10:00 to 20:00, sat-sun 10:00 to 20:00"),
        ({"mon": "closed"}, ""),
    ],
)
def test_they_are_told_in_words(week: dict[str, str], words: str) -> None:
    """A technician reads back what was written, with the days of one time together and midnight said."""
    assert words == str(OpeningHours.parse(week))


@pytest.mark.parametrize(
    ("spans", "swapped"),
    [
        ("20:00-02:00", False),
        ("22:00-07:00", False),
        ("09:30-24:00", False),
        ("00:00-24:00", False),
        ("22:00-09:30", True),
        ("17:00-09:00", True),
    ],
)
def test_times_that_were_probably_swapped(spans: str, swapped: bool) -> None:
    """A night that lasts until after seven is more likely a day whose times were swapped."""
    assert swapped == OpeningHours.parse({"mon": spans}).is_likely_swapped


minutes = st.integers(0, 24 * 60 - 1)


@given(day=st.integers(0, 6), first=minutes, last=minutes, moment=st.integers(0, 7 * 24 * 60 - 1))
def test_a_span_is_as_long_as_it_says(day: int, first: int, last: int, moment: int) -> None:
    """Any span, any minute: open exactly while less than the span's length has passed since its beginning."""
    if first == last:
        return
    written = f"{first // 60:02}:{first % 60:02}-{last // 60:02}:{last % 60:02}"
    hours = OpeningHours.parse({DAYS[day]: written})
    since = (moment - day * 24 * 60 - first) % (7 * 24 * 60)

    assert (since < (last - first) % (24 * 60)) == hours.is_open(MONDAY + timedelta(minutes=moment))


def test_clocks_that_change() -> None:
    """On the night when an hour happens twice the shop goes by its own clocks, both times."""
    hours = OpeningHours.parse({"sun": "02:00-03:00"})
    zone = ZoneInfo("Europe/Berlin")
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC).astimezone(zone)
    second = datetime(2026, 10, 25, 1, 30, tzinfo=UTC).astimezone(zone)

    assert (2, 2) == (first.hour, second.hour)
    assert hours.is_open(first)
    assert hours.is_open(second)
