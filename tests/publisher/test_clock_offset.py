"""Placing: when a clock is believed."""

from __future__ import annotations

import pytest

from edge.core.clock import ManualClock
from edge.publisher.clock_offset import CONFIRM_MS, ClockOffset
from tests.publisher.rig import utc_ms

NINE = utc_ms("2026-03-02T09:00:00+00:00")


def test_an_untrusted_clock_teaches_nothing() -> None:
    """Nor does one that is trusted and says 1970."""
    offset = ClockOffset()
    said = [
        offset.update(ManualClock(boot=1000, wall=NINE, synchronised=False)),
        offset.update(ManualClock(boot=1000, wall=1_000_000)),
    ]

    assert [False, False] == said
    assert offset.offset_ms is None


@pytest.mark.parametrize(("jump_ms", "believed"), [(0, False), (900, False), (1_500, True), (-59_000, True)])
def test_small_corrections_are_believed_at_once(jump_ms: int, believed: bool) -> None:
    """Up to a minute; what is less than a second is jitter."""
    clock = ManualClock(boot=1000, wall=NINE)
    offset = ClockOffset()
    offset.update(clock)
    clock.wall += jump_ms

    assert believed == offset.update(clock)
    assert NINE - 1000 + (jump_ms if believed else 0) == offset.offset_ms


def test_a_jump_is_believed_when_it_has_stood() -> None:
    """More than a minute needs two minutes at one place, without a doubt in between."""
    clock = ManualClock(boot=1000, wall=NINE)
    offset = ClockOffset()
    offset.update(clock)
    clock.wall += 3_600_000
    first = offset.update(clock)
    clock.advance(CONFIRM_MS - 1)
    before = offset.update(clock)
    clock.advance(1)

    assert (False, False, True) == (first, before, offset.update(clock))
    assert NINE + 3_600_000 - 1000 == offset.offset_ms


def test_a_doubt_begins_the_waiting_again() -> None:
    """A clock that is unsynchronised for a moment, or jumps on, has to stand anew."""
    clock = ManualClock(boot=1000, wall=NINE)
    offset = ClockOffset()
    offset.update(clock)
    clock.wall += 3_600_000
    offset.update(clock)
    clock.advance(CONFIRM_MS)
    clock.synchronised = False
    doubted = offset.update(clock)
    clock.synchronised = True
    anew = offset.update(clock)
    clock.advance(CONFIRM_MS)
    clock.wall += 90_000

    assert (False, False, False) == (doubted, anew, offset.update(clock))
    assert NINE - 1000 == offset.offset_ms
