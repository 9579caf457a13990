"""The hour builder: readings in, hours out, on a real ledger, under a clock moved by hand."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.config import schema
from edge.core.hour import HOUR_MS
from edge.core.tally import BEAT_MS, Flag, Tally, encode
from edge.publisher.hour_builder import decimated
from edge.publisher.reading_validator import ReadingValidator
from tests.publisher.rig import Box, Walkers, utc_ms

NINE = "2026-03-02T09:00:00+08:00"
MakeBox = Callable[..., Box]
SECOND = "door-b: {source: /dev/video1, lines: {exit: {from: [0.1, 0.5], to: [0.9, 0.5], inside: [0.5, 0.9]}}}"


def sums(hours: list[dict[str, Any]]) -> tuple[int, int]:
    return sum(hour["in"] for hour in hours), sum(hour["out"] for hour in hours)


def test_an_hour_is_told_once_after_its_end_and_grace(box: MakeBox) -> None:
    """Nothing is told while the hour may still grow; then one message with what was counted and watched."""
    bench = box(NINE)
    walkers = Walkers(boot_ms=bench.clock.boot)
    bench.let(walkers, minutes=60, in_=2, out=1)
    before = bench.hours()
    bench.let(walkers, minutes=3)

    assert [] == before
    assert [("2026-03-02T09:00:00+08:00", 720, 360, 3600, [], 1)] == bench.told(
        "start", "in", "out", "watched_s", "flags", "revision"
    )


def test_every_hour_has_its_message(box: MakeBox) -> None:
    """Hours in which nobody came, and hours in which the box was off, are told like any other."""
    bench = box(NINE)
    walkers = Walkers(boot_ms=bench.clock.boot)
    bench.let(walkers, minutes=63)
    bench.reboot("b2", 3 * HOUR_MS)
    bench.let(Walkers(run=2, boot_ms=bench.clock.boot), minutes=60)

    assert [
        ("2026-03-02T09:00:00+08:00", 3600, []),
        ("2026-03-02T10:00:00+08:00", 180, ["off"]),
        ("2026-03-02T11:00:00+08:00", 0, ["off"]),
        ("2026-03-02T12:00:00+08:00", 0, ["off"]),
        ("2026-03-02T13:00:00+08:00", 3420, ["off", "restarted"]),
    ] == bench.told("start", "watched_s", "flags")


def test_a_closed_hour_is_an_hour_like_any_other(box: MakeBox) -> None:
    """Outside opening hours: zero, nothing watched, `closed`, and not `off`."""
    bench = box("2026-03-02T19:00:00+08:00", open='open: {mon: "09:00-20:00"}')
    walkers = Walkers(boot_ms=bench.clock.boot)
    bench.let(walkers, minutes=60, in_=1)
    bench.clock.advance(BEAT_MS)
    bench.take(walkers.reading(bench.clock.boot, watched_ms=0, flags=Flag.CLOSED))
    bench.idle(120)

    assert [(360, 3600, []), (0, 0, ["closed"])] == bench.told("in", "watched_s", "flags")


def test_a_restart_inside_an_hour_loses_and_doubles_nothing(box: MakeBox) -> None:
    """A new run of vision counts from zero again; the hour is the sum of both runs, and says `restarted`."""
    bench = box(NINE)
    bench.let(Walkers(boot_ms=bench.clock.boot), minutes=30, in_=1)
    bench.let(Walkers(run=2, boot_ms=bench.clock.boot), minutes=33, in_=1)

    assert [(360, 3600, ["restarted"])] == bench.told("in", "watched_s", "flags")


def test_a_camera_s_first_run_is_no_restart(box: MakeBox) -> None:
    """Vision begins each run with `restarted`; where there was no run before, that says nothing."""
    bench = box(NINE)
    walkers = Walkers(boot_ms=bench.clock.boot)
    bench.take(walkers.reading(bench.clock.boot, flags=Flag.RESTARTED))
    bench.let(walkers, minutes=63)

    assert [([],)] == bench.told("flags")


def test_a_publisher_that_was_killed_goes_on_where_the_ledger_ends(box: MakeBox) -> None:
    """What it had read and not written comes again with the next reading."""
    bench = box(NINE)
    walkers = Walkers(boot_ms=bench.clock.boot)
    bench.let(walkers, minutes=20, in_=1)
    bench.builder.take("door-a", [walkers.reading(bench.clock.boot + 1, in_=5)])
    bench.kill()
    bench.open()
    bench.let(walkers, minutes=43, in_=1)

    assert [(365, 3600, [])] == bench.told("in", "watched_s", "flags")


def test_late_synchronisation_places_what_was_counted_before(box: MakeBox) -> None:
    """A boot without a clock counts; when the clock comes, the hours of before are told, each with its own counts."""
    bench = box("1970-01-01T00:01:00+00:00", synchronised=False)
    walkers = Walkers(boot_ms=bench.clock.boot)
    bench.let(walkers, minutes=90, in_=1)
    unsynchronised = bench.hours()
    bench.clock.wall = utc_ms("2026-03-02T10:30:00+08:00")
    bench.clock.synchronised = True
    bench.let(walkers, minutes=33, in_=1)

    assert [] == unsynchronised
    assert [("2026-03-02T09:00:00+08:00", 360, 3600), ("2026-03-02T10:00:00+08:00", 360, 3600)] == bench.told(
        "start", "in", "watched_s"
    )


def test_a_boot_that_never_saw_the_time_is_kept_and_not_guessed(box: MakeBox) -> None:
    """Its counts stay in the ledger, in no hour, and can be listed."""
    bench = box("1970-01-01T00:01:00+00:00", synchronised=False)
    bench.let(Walkers(boot_ms=bench.clock.boot), minutes=30, in_=1, out=2)
    bench.clock.wall = utc_ms(NINE)
    bench.reboot("b2", HOUR_MS)
    bench.let(Walkers(run=2, boot_ms=bench.clock.boot), minutes=63, in_=1)

    assert (360, 0) == sums(bench.hours())
    assert [("b1", "door-a", "entrance", 180, 360)] == bench.ledger.without_wall_time()


@pytest.mark.parametrize("step_s", [-1500.0, -2.0, 2.0, 1500.0])
def test_a_step_of_the_clock_moves_the_whole_boot(box: MakeBox, step_s: float) -> None:
    """After a correction inside an hour nothing is lost or doubled, and the hours are those of the right clock."""
    bench = box(NINE)
    bench.clock.advance(30 * 60_000)
    walkers = Walkers(boot_ms=bench.clock.boot)
    bench.let(walkers, minutes=10, in_=1)
    bench.clock.wall += round(step_s * 1000)
    bench.let(walkers, minutes=150, in_=1)
    bench.let(walkers, minutes=70)

    assert (960, 0) == sums(bench.hours())
    assert all(hour["revision"] == 1 for hour in bench.hours())
    assert utc_ms(NINE) <= utc_ms(bench.hours()[0]["start"]) <= utc_ms(NINE) + HOUR_MS


def test_a_correction_of_told_hours_carries_a_higher_revision(box: MakeBox) -> None:
    """When the clock turns out to have been an hour slow, hours that were told are told again, right this time."""
    bench = box(NINE)
    walkers = Walkers(boot_ms=bench.clock.boot)
    bench.let(walkers, minutes=63, in_=1)
    told = bench.told("start", "in", "revision")
    bench.clock.wall += HOUR_MS
    bench.let(walkers, minutes=60)

    assert [("2026-03-02T09:00:00+08:00", 360, 1)] == told
    assert [
        ("2026-03-02T09:00:00+08:00", 0, 2, ["off"]),
        ("2026-03-02T10:00:00+08:00", 360, 1, []),
        ("2026-03-02T11:00:00+08:00", 18, 1, []),
    ] == bench.told("start", "in", "revision", "flags")


def test_an_hour_that_was_told_too_early_is_taken_back_and_told_again(box: MakeBox) -> None:
    """A clock that ran ahead for a while: at last every hour has what the right clock says."""
    bench = box("2026-03-02T11:00:00+08:00")
    walkers = Walkers(boot_ms=bench.clock.boot)
    bench.let(walkers, minutes=130, in_=1)
    bench.clock.wall -= 2 * HOUR_MS
    bench.let(walkers, minutes=233, in_=1)

    assert (6 * 360, 0) == sums(bench.hours()[:6])
    assert [(f"2026-03-02T{hour:02}:00:00+08:00", 360) for hour in range(9, 15)] == bench.told("start", "in")[:6]


def test_a_leap_of_years_is_not_believed_at_once(box: MakeBox) -> None:
    """A clock that says another year for a minute moves nothing."""
    bench = box(NINE)
    walkers = Walkers(boot_ms=bench.clock.boot)
    bench.let(walkers, minutes=20, in_=1)
    bench.clock.wall += 10 * 366 * 24 * HOUR_MS
    bench.let(walkers, minutes=1, in_=1)
    bench.clock.wall -= 10 * 366 * 24 * HOUR_MS
    bench.let(walkers, minutes=42, in_=1)

    assert [("2026-03-02T09:00:00+08:00", 360, [])] == bench.told("start", "in", "flags")


@pytest.mark.slow
def test_a_leap_of_years_that_stands_does_no_harm_that_lasts(box: MakeBox) -> None:
    """Even a year of wrong time, believed and taken back, ends with the right hours."""
    bench = box(NINE)
    walkers = Walkers(boot_ms=bench.clock.boot)
    bench.let(walkers, minutes=63, in_=1)
    bench.clock.wall += 366 * 24 * HOUR_MS
    bench.let(walkers, minutes=10, in_=1)
    bench.clock.wall -= 366 * 24 * HOUR_MS
    bench.let(walkers, minutes=110, in_=1)

    assert [(f"2026-03-02T{hour:02}:00:00+08:00", 360, []) for hour in (9, 10, 11)] == [
        told for told in bench.told("start", "in", "flags") if told[0] < "2026-03-02T12"
    ]
    assert 3 * 360 == sums(bench.hours())[0]


def test_two_cameras_have_hours_of_their_own(box: MakeBox) -> None:
    """Each camera's hours hold its own lines and counts."""
    bench = box(NINE, second=SECOND)
    one, other = Walkers(boot_ms=bench.clock.boot), Walkers(boot_ms=bench.clock.boot, line="exit")
    for _ in range(63 * 6):
        bench.clock.advance(BEAT_MS)
        bench.take(one.reading(bench.clock.boot, in_=1))
        bench.take(other.reading(bench.clock.boot, out=2), camera="door-b")

    assert [({"entrance": {"in": 360, "out": 0}},)] == bench.told("lines")
    assert [({"exit": {"in": 0, "out": 720}},)] == bench.told("lines", camera="door-b")


def test_readings_that_come_late_raise_the_revision(box: MakeBox) -> None:
    """A pipe that was blocked over the hour's end: the hour that was told without them is told again with them."""
    bench = box(NINE)
    walkers = Walkers(boot_ms=bench.clock.boot)
    bench.let(walkers, minutes=40, in_=1)
    late = [walkers.reading(bench.clock.boot + beat * BEAT_MS, in_=1) for beat in range(1, 6 * 24)]
    bench.idle(24)
    early = bench.told("in", "flags", "revision")
    bench.take(*late)
    bench.let(walkers, minutes=1)

    assert [(240, ["off"], 1)] == early
    assert [(360, [], 2)] == bench.told("in", "flags", "revision")


def test_a_trial_says_so(box: MakeBox) -> None:
    """Hours counted by a made-up clock carry `trial`."""
    bench = box(NINE)
    bench.kill()
    bench.clock.trial = True
    bench.open()
    bench.let(Walkers(boot_ms=bench.clock.boot), minutes=63)

    assert [(["trial"],)] == bench.told("flags")


@pytest.mark.slow
def test_old_readings_are_pruned_and_that_changes_nothing(box: MakeBox) -> None:
    """After three days the ledger holds two days of readings, and every hour is as it was."""
    bench = box(NINE)
    walkers = Walkers(boot_ms=bench.clock.boot)
    # No reading falls on an hour's edge.
    bench.clock.advance(20_000)
    for _ in range(72 * 60):
        bench.clock.advance(60_000)
        bench.take(walkers.reading(bench.clock.boot, in_=1))
    kept = list(bench.ledger.intervals("door-a", 0, 2**62))
    bench.kill()
    bench.open()
    bench.let(walkers, minutes=1)

    assert 48 * 60 <= len(kept) <= 49 * 60 + 2
    assert [(60, 1)] * 71 == bench.told("in", "revision")[:71]


@pytest.mark.slow
@pytest.mark.parametrize("stands_h", [1, 5, 6])
@pytest.mark.parametrize("step_h", [-60.0, -30.5, -2.0, 2.0, 30.5, 60.0])
def test_a_step_after_days_of_running_loses_and_doubles_nothing(box: MakeBox, step_h: float, stands_h: int) -> None:
    """Hours whose readings are gone keep their counts; what falls on them by a wrong clock goes when it is set back."""
    bench = box(NINE)
    walkers = Walkers(boot_ms=bench.clock.boot)

    def let(hours: int, in_: int) -> None:
        for _ in range(hours * 6):
            bench.clock.advance(600_000)
            bench.take(walkers.reading(bench.clock.boot, in_=in_))

    let(96, 1)
    bench.clock.wall += round(step_h * HOUR_MS)
    let(stands_h, 1)
    if stands_h < 6:
        bench.clock.wall -= round(step_h * HOUR_MS)
        let(6 - stands_h, 1)
    bench.kill()
    bench.open()
    let(52, 0)

    assert ((96 + 6) * 6, 0) == sums(bench.hours())
    assert len(bench.ledger.final_hours("door-a", 0)) > 48


def test_a_clock_that_is_set_back_places_before_the_first_hour(box: MakeBox) -> None:
    """Hours before any that was told are told, too."""
    bench = box(NINE)
    walkers = Walkers(boot_ms=bench.clock.boot)
    bench.let(walkers, minutes=123, in_=1)
    bench.clock.wall -= 13 * HOUR_MS
    bench.let(walkers, minutes=63, in_=1)
    bench.let(walkers, minutes=60)

    assert (186 * 6, 0) == sums(bench.hours())
    assert [("2026-03-01T20:00:00+08:00", 360)] == bench.told("start", "in")[:1]


def test_late_readings_correct_at_most_once_an_hour(box: MakeBox) -> None:
    """Whoever makes readings late again and again makes no stream of corrections of it, and no count is lost."""
    bench = box(NINE)
    late = [Walkers(run=run, boot_ms=bench.clock.boot) for run in range(1, 30)]
    bench.let(late[0], minutes=63)
    for walkers in late[1:]:
        bench.take(walkers.reading(bench.clock.boot - 30 * 60_000, in_=1))
        bench.idle(2)
    during = max(hour["revision"] for hour in bench.hours())
    bench.let(late[-1], minutes=63)

    assert 2 == during
    assert [(28, 3)] == bench.told("in", "revision")[:1]


def test_new_opening_hours_rewrite_no_history(box: MakeBox, config_text: Callable[..., str]) -> None:
    """After a restart with other opening hours, hours that were told stay as they were told."""
    bench = box(NINE)
    bench.let(Walkers(boot_ms=bench.clock.boot), minutes=63, in_=1)
    told = bench.hours()
    bench.kill()
    bench.settings = schema.parse(config_text(open='open: {tue: "10:00-11:00"}')).publisher()
    bench.open()
    bench.idle(1)

    assert told == bench.hours()


def test_readings_that_wait_in_memory_are_bounded() -> None:
    """Of a day of readings the last of each line and hour stays, which is enough for the sums."""
    walkers = Walkers()
    readings = [walkers.reading(beat * BEAT_MS, in_=1) for beat in range(24 * 360)]
    kept = decimated(readings)

    assert 24 == len(kept)
    assert readings[-1] == kept[-1]


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[Tally], int]:
    """Return the readings of some runs as the publisher might get them, and what they end up saying."""
    received: list[Tally] = []
    boot_ms, total = 60_000, 0
    for run in range(1, draw(st.integers(1, 3)) + 1):
        walkers = Walkers(run=run, boot_ms=boot_ms)
        sent = []
        for people in draw(st.lists(st.integers(0, 5), min_size=1, max_size=25)):
            boot_ms += BEAT_MS * draw(st.sampled_from((1, 1, 1, 30, 200)))
            sent.append(walkers.reading(boot_ms, in_=people))
        lost = draw(st.sets(st.sampled_from(sent[:-1]))) if len(sent) > 1 else set()
        kept = [tally for tally in sent if tally not in lost]
        kept += draw(st.lists(st.sampled_from(kept), max_size=5))
        received += draw(st.permutations(kept))
        total += walkers.in_
        boot_ms += draw(st.integers(1, 600_000))
    return received, total


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stories())
def test_any_order_repetition_and_loss_gives_the_right_sum(
    config_text: Callable[..., str], story: tuple[list[Tally], int]
) -> None:
    """Whatever happens to records on the way, the hours add up to what each run said last."""
    received, total = story
    with tempfile.TemporaryDirectory() as folder:
        bench = Box(schema.parse(config_text(folder=folder)).publisher(), NINE)
        bench.clock.boot = max(tally.boot_ms for tally in received)
        for tally in received:
            bench.builder.take("door-a", [tally])
        bench.idle(180)
        hours = bench.hours()
        bench.kill()

    assert (total, 0) == sums(hours)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stories(), st.integers(1, 7))
def test_the_same_through_the_validator_and_over_restarts(
    config_text: Callable[..., str], story: tuple[list[Tally], int], every: int
) -> None:
    """Behind a validator, with a publisher that is killed again and again, no run is counted twice or beyond itself."""
    received, _ = story
    last = {run: max(t.in_ for t in received if t.run == run) for run in {t.run for t in received}}
    with tempfile.TemporaryDirectory() as folder:
        bench = Box(schema.parse(config_text(folder=folder)).publisher(), NINE)
        bench.clock.boot = max(tally.boot_ms for tally in received)
        for number, tally in enumerate(sorted(received, key=lambda t: (t.run, received.index(t)))):
            if number % every == 0:
                bench.kill()
                bench.open()
                validator = ReadingValidator(["entrance"], bench.ledger.newest("door-a"), speed=1000)
            bench.builder.take("door-a", list(validator.accept(encode(tally), bench.clock.boot)))
            bench.builder.turn(last=True)
        bench.idle(180)
        hours = bench.hours()
        bench.kill()

    assert (sum(last.values()), 0) == sums(hours)


def test_payloads_are_the_hours_they_are_kept_under(box: MakeBox) -> None:
    """What lies in the outbox is the message, byte for byte, of the hour it is kept under."""
    bench = box(NINE)
    bench.let(Walkers(boot_ms=bench.clock.boot), minutes=123, in_=1)
    rows = bench.builder.outbox("door-a", 10)

    assert [row.span.start_ms for row in rows] == [utc_ms(json.loads(row.payload)["start"]) for row in rows]
    assert 2 == len(rows)


def test_an_acknowledged_row_is_never_offered_again(box: MakeBox) -> None:
    """Also before the acknowledgement is written, and after the next start."""
    bench = box(NINE)
    bench.let(Walkers(boot_ms=bench.clock.boot), minutes=123)
    first, second = bench.builder.outbox("door-a", 10)
    bench.builder.acknowledge(first)
    unwritten = bench.builder.outbox("door-a", 10)
    bench.idle(1)
    bench.kill()
    bench.open()

    assert [second] == unwritten
    assert [second] == bench.builder.outbox("door-a", 10)


def test_the_ledger_is_written_at_most_once_a_beat(box: MakeBox, tmp_path: Path) -> None:
    """Readings that come faster are written together."""
    bench = box(NINE)
    walkers = Walkers(boot_ms=bench.clock.boot)
    commits = 0
    before = bench.ledger.commits
    for _ in range(600):
        bench.clock.advance(1_000)
        bench.take(walkers.reading(bench.clock.boot, in_=1))
    commits = bench.ledger.commits - before

    assert 58 <= commits <= 61
    assert tmp_path.joinpath("ledger.sqlite").exists()
