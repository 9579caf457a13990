"""What the publisher believes of what comes through the diode."""

from __future__ import annotations

import os

import pytest

from edge.core.errors import LineUnknown, WireOutOfRange, WireTooFast, WireTruncated, WireUnexpected
from edge.core.tally import BEAT_MS, PEOPLE_AT_ONCE, PEOPLE_PER_S, SIZE, Tally, encode, line_key
from edge.publisher.reading_validator import MOST_TIME_MS, ReadingValidator

LINE = line_key("entrance")


def reading(
    sequence: int, *, in_: int = 0, out: int = 0, run: int = 7, line: int = LINE, at_ms: int | None = None
) -> Tally:
    """Return a reading of a run that has watched all beats, or, of any other run than 7, none."""
    boot_ms = 1_000_000 + sequence * BEAT_MS if at_ms is None else at_ms
    watched_ms = sequence * BEAT_MS if run == 7 else 0
    return Tally(run, sequence, line, in_, out, sequence * 150 if run == 7 else 0, boot_ms, watched_ms)


def through(validator: ReadingValidator, *tallies: Tally, now_ms: int | None = None) -> list[Tally]:
    now = max(t.boot_ms for t in tallies) if now_ms is None else now_ms
    return list(validator.accept(b"".join(map(encode, tallies)), now))


def test_an_even_beat_is_accepted() -> None:
    """Ten readings, a beat apart, all come through in order."""
    beats = [reading(n, in_=n) for n in range(10)]

    assert through(ReadingValidator(["entrance"]), *beats) == beats


def test_it_drops_repeats_and_stale_records() -> None:
    """A repeated record, one that comes late, and one of a run that is over say nothing new."""
    validator = ReadingValidator(["entrance"])
    first, second, third = (reading(n, in_=n) for n in range(3))
    next_run = reading(3, run=8)

    assert through(validator, first, third, second, third, first, next_run, third) == [first, third, next_run]


def test_it_remembers_from_the_ledger() -> None:
    """A validator that is told the ledger's newest readings drops what the ledger already has."""
    validator = ReadingValidator(["entrance"], newest=[reading(4, in_=4)])

    assert through(validator, reading(3, in_=3), reading(4, in_=4), reading(5, in_=5)) == [reading(5, in_=5)]


def test_it_refuses_a_line_that_is_not_this_cameras() -> None:
    """A record for an unknown line is a violation."""
    with pytest.raises(WireUnexpected, match="line"):
        through(ReadingValidator(["entrance"]), reading(0, line=line_key("elsewhere")))


@pytest.mark.parametrize("field", ["in_", "out"])
def test_it_refuses_odometers_that_run_backwards(field: str) -> None:
    """Counts never shrink within a run."""
    validator = ReadingValidator(["entrance"])
    with pytest.raises(WireUnexpected, match=field):
        through(validator, reading(0, **{field: 5}), reading(1, **{field: 4}))


def test_it_refuses_time_that_runs_backwards() -> None:
    """Boot time never steps back within a run."""
    validator = ReadingValidator(["entrance"])
    with pytest.raises(WireUnexpected, match="boot_ms"):
        through(validator, reading(1), reading(2, at_ms=1_000_500), now_ms=2_000_000)


def test_it_refuses_more_people_than_can_walk() -> None:
    """A thousand people in ten seconds are no people."""
    with pytest.raises(WireTooFast, match="in_"):
        through(ReadingValidator(["entrance"]), reading(0), reading(1, in_=1000))


def test_it_refuses_more_watched_than_passed() -> None:
    """Nobody can watch for longer than the time that passed."""
    validator = ReadingValidator(["entrance"])
    late = Tally(7, 1, LINE, 0, 0, 0, 1_010_000, 60_000)
    with pytest.raises(WireTooFast, match="watched_ms"):
        through(validator, Tally(7, 0, LINE, 0, 0, 0, 1_000_000, 0), late)


def test_it_refuses_the_future() -> None:
    """A reading can't be newer than now."""
    with pytest.raises(WireOutOfRange, match="boot_ms"):
        through(ReadingValidator(["entrance"]), reading(0), now_ms=900_000)


def test_it_refuses_a_flood() -> None:
    """After what a full pipe can hold, no more than two records a beat and line are believed."""
    validator = ReadingValidator(["entrance"], burst=10)
    flood = [reading(n) for n in range(11)]
    with pytest.raises(WireTooFast, match="records"):
        through(validator, *flood)


def test_it_refuses_half_a_record() -> None:
    """What isn't a whole number of records is a violation."""
    with pytest.raises(WireTruncated):
        list(ReadingValidator(["entrance"]).accept(encode(reading(0))[:-1], 2_000_000))


def test_its_state_is_bounded() -> None:
    """Ten thousand runs leave no more state than sixteen old run numbers and one reading a line."""
    validator = ReadingValidator(["entrance"], burst=100_000)
    for run in range(8, 10_008):
        through(validator, reading(run, run=run), now_ms=10**9)

    assert len(validator.newest) == 1
    assert len(validator._past_runs) <= 16


def test_two_ends_of_a_real_pipe() -> None:
    """Records written to a real pipe come out whole and in order."""
    reader, writer = os.pipe()
    beats = [reading(n, in_=n, out=2 * n) for n in range(5)]
    for tally in beats:
        assert os.write(writer, encode(tally)) == SIZE
    os.close(writer)
    chunk = os.read(reader, 65536)
    os.close(reader)

    assert list(ReadingValidator(["entrance"]).accept(chunk, beats[-1].boot_ms)) == beats


def test_lines_that_were_redrawn_come_in_with_their_run() -> None:
    """The old run is accepted to its end, the new lines with the next; then the old ones are strangers."""
    validator = ReadingValidator(["entrance", "side"])
    side, stairs = line_key("side"), line_key("stairs")
    first = [reading(0), reading(0, line=side)]
    assert through(validator, *first) == first
    validator.expect(["entrance", "stairs"])
    old = reading(1, line=side)
    assert through(validator, old) == [old]
    new = [reading(2, run=8), reading(2, run=8, line=stairs)]
    assert through(validator, *new) == new

    assert validator.lines == {line_key("entrance"), stairs}
    with pytest.raises(LineUnknown):
        through(validator, reading(3, run=8, line=side))


def test_a_run_that_the_ledger_knows_keeps_its_lines() -> None:
    """After a start with another config, what that run has still to say is accepted."""
    side = line_key("side")
    validator = ReadingValidator(["entrance"], [reading(4, line=side)], previous_lines=["side"])
    later = reading(5, line=side)

    assert through(validator, later) == [later]


def test_a_stranger_is_found_where_it_begins() -> None:
    """What came before it in the same chunk counts, and the error says at which byte it stands."""
    validator = ReadingValidator(["entrance"])
    known = reading(0)
    chunk = encode(known) + encode(reading(0, line=line_key("elsewhere")))
    accepted: list[Tally] = []
    with pytest.raises(LineUnknown) as stranger:
        accepted.extend(validator.accept(chunk, known.boot_ms))

    assert [known] == accepted
    assert SIZE == stranger.value.at


def test_it_refuses_a_run_that_overlaps_the_one_before() -> None:
    """A new run can't claim time in which the run before it was still telling: each would count the same time anew."""
    overlapping = Tally(8, 0, LINE, 0, 0, 0, 1_040_000, 30_000)
    after = Tally(8, 0, LINE, 0, 0, 0, 1_050_000, 20_000)
    with pytest.raises(WireUnexpected, match="boot_ms less watched_ms"):
        through(ReadingValidator(["entrance"]), reading(0), reading(3), overlapping)

    assert 3 == len(through(ReadingValidator(["entrance"]), reading(0), reading(3), after))


def test_no_line_of_a_new_run_overlaps() -> None:
    """The second line of a new run is held to the end of the run before, too."""
    side = line_key("side")
    validator = ReadingValidator(["entrance", "side"])
    through(validator, reading(0), reading(3), Tally(8, 0, LINE, 0, 0, 0, 1_050_000, 0))
    with pytest.raises(WireUnexpected, match="boot_ms less watched_ms"):
        through(validator, Tally(8, 0, side, 0, 0, 0, 1_050_000, 40_000))


def test_a_restart_of_the_publisher_forgets_no_end_of_a_run() -> None:
    """A validator that is told the ledger's newest readings refuses a run that overlaps them."""
    validator = ReadingValidator(["entrance"], newest=[reading(3)])
    with pytest.raises(WireUnexpected, match="boot_ms less watched_ms"):
        through(validator, Tally(8, 0, LINE, 0, 0, 0, 1_040_000, 30_000))


@pytest.mark.parametrize("records", [1, 2, 5])
def test_people_at_once_are_believed_once(records: int) -> None:
    """However often a captured vision tells, each time as a new run, an hour holds what can walk in one."""
    validator = ReadingValidator(["entrance"], burst=100_000)
    step_ms, begin_ms = BEAT_MS // records, 10_000_000
    most = PEOPLE_PER_S * step_ms // 1000
    runs = 3_600_000 // step_ms
    told = [
        Tally(run, 0, LINE, most + (PEOPLE_AT_ONCE if run == 1 else 0), most, 0, begin_ms + run * step_ms, step_ms)
        for run in range(1, runs + 1)
    ]
    one_more = Tally(runs + 1, 0, LINE, 1, 0, 0, begin_ms + runs * step_ms, 0)

    assert told == through(validator, *told)
    assert PEOPLE_AT_ONCE + PEOPLE_PER_S * 3600 == sum(tally.in_ for tally in told)
    with pytest.raises(WireTooFast, match="in_"):
        through(validator, one_more)


def test_a_long_silence_is_believed_an_hours_people() -> None:
    """After two days without a reading the count may have grown by what walks in an hour, and by no more."""
    days_ms = 2 * 86_400_000
    most = PEOPLE_AT_ONCE + PEOPLE_PER_S * MOST_TIME_MS // 1000
    first = Tally(7, 0, LINE, 0, 0, 0, 1_000_000, 0)

    def after(people: int) -> list[Tally]:
        late = Tally(7, 1, LINE, people, 0, 0, 1_000_000 + days_ms, days_ms)
        return through(ReadingValidator(["entrance"]), first, late)

    assert most == after(most)[-1].in_
    with pytest.raises(WireTooFast, match="in_"):
        after(most + 1)
