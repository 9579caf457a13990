"""The seam: bytes <-> Tally, and what the Gate lets through."""

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.errors import LineUnknown, WireError, WireOutOfRange, WireTooFast, WireTruncated, WireUnexpected
from edge.core.tally import BEAT_MS, SIZE, Flag, Gate, Tally, decode, encode, line_key

LINE = line_key("entrance")
U32 = st.integers(0, 2**32 - 1)


@st.composite
def tallies(draw: st.DrawFn) -> Tally:
    boot_ms = draw(st.integers(0, 10**11))
    return Tally(
        run=draw(st.integers(1, 2**32 - 1)),
        sequence=draw(U32),
        line=draw(U32),
        in_=draw(st.integers(0, 10_000_000)),
        out=draw(st.integers(0, 10_000_000)),
        frames=draw(U32),
        boot_ms=boot_ms,
        watched_ms=draw(st.integers(0, boot_ms)),
        flags=Flag(draw(st.integers(0, 255))),
    )


def reading(
    sequence: int, *, in_: int = 0, out: int = 0, run: int = 7, line: int = LINE, at_ms: int | None = None
) -> Tally:
    boot_ms = 1_000_000 + sequence * BEAT_MS if at_ms is None else at_ms
    return Tally(run, sequence, line, in_, out, sequence * 150, boot_ms, sequence * BEAT_MS)


def through(gate: Gate, *tallies: Tally, now_ms: int | None = None) -> list[Tally]:
    now = max(t.boot_ms for t in tallies) if now_ms is None else now_ms
    return list(gate.accept(b"".join(map(encode, tallies)), now))


@given(tallies())
def test_round_trip(tally: Tally) -> None:
    """Every Tally that can be built comes back whole from its bytes."""
    assert decode(encode(tally)) == tally


def test_fits_a_pipe() -> None:
    """A record is far under PIPE_BUF, so that a write is whole or not at all."""
    assert SIZE == 48
    assert SIZE < select.PIPE_BUF


@given(st.binary(max_size=2 * SIZE) | st.binary(min_size=SIZE, max_size=SIZE))
def test_any_bytes(record: bytes) -> None:
    """Any bytes give a Tally or a WireError, nothing else; and a Tally gives those bytes again."""
    try:
        tally = decode(record)
    except WireError:
        return

    assert encode(tally) == record


@given(tallies(), st.integers(0, SIZE - 1), st.integers(1, 255))
def test_a_damaged_record(tally: Tally, position: int, damage: int) -> None:
    """A record with one byte changed is refused or is another valid one; it never raises anything but a WireError."""
    record = bytearray(encode(tally))
    record[position] ^= damage
    try:
        changed = decode(bytes(record))
    except WireError:
        return

    assert changed != tally


@pytest.mark.parametrize("name", sorted(p.stem for p in (Path(__file__).parent / "tally" / "invalid").glob("*.bin")))
def test_corpus(name: str) -> None:
    """Each file of the corpus of bad records is refused with the error that stands beside it."""
    folder = Path(__file__).parent / "tally" / "invalid"
    expected = (folder / f"{name}.txt").read_text().strip()
    with pytest.raises(WireError) as caught:
        decode((folder / f"{name}.bin").read_bytes())

    assert f"{type(caught.value).__name__}: {caught.value}" == expected


def test_impossible_tally_cannot_be_built() -> None:
    """A Tally out of bounds can't exist on the writing side either."""
    with pytest.raises(WireOutOfRange):
        Tally(run=0, sequence=0, line=0, in_=0, out=0, frames=0, boot_ms=0, watched_ms=0)
    with pytest.raises(WireOutOfRange):
        Tally(run=1, sequence=0, line=0, in_=0, out=0, frames=0, boot_ms=5, watched_ms=6)


def test_gate_lets_an_even_beat_through() -> None:
    """Ten readings, a beat apart, all come through in order."""
    beats = [reading(n, in_=n) for n in range(10)]

    assert through(Gate(["entrance"]), *beats) == beats


def test_gate_drops_repeats_and_stale_records() -> None:
    """A repeated record, one that comes late, and one of a run that is over say nothing new."""
    gate = Gate(["entrance"])
    first, second, third = (reading(n, in_=n) for n in range(3))
    next_run = reading(3, run=8)

    assert through(gate, first, third, second, third, first, next_run, third) == [first, third, next_run]


def test_gate_remembers_from_the_ledger() -> None:
    """A gate that is told the ledger's newest readings drops what the ledger already has."""
    gate = Gate(["entrance"], newest=[reading(4, in_=4)])

    assert through(gate, reading(3, in_=3), reading(4, in_=4), reading(5, in_=5)) == [reading(5, in_=5)]


def test_gate_refuses_a_line_that_is_not_this_cameras() -> None:
    """A record for an unknown line is a violation."""
    with pytest.raises(WireUnexpected, match="line"):
        through(Gate(["entrance"]), reading(0, line=line_key("elsewhere")))


@pytest.mark.parametrize("field", ["in_", "out"])
def test_gate_refuses_odometers_that_run_backwards(field: str) -> None:
    """Counts never shrink within a run."""
    gate = Gate(["entrance"])
    with pytest.raises(WireUnexpected, match=field):
        through(gate, reading(0, **{field: 5}), reading(1, **{field: 4}))


def test_gate_refuses_time_that_runs_backwards() -> None:
    """Boot time never steps back within a run."""
    gate = Gate(["entrance"])
    with pytest.raises(WireUnexpected, match="boot_ms"):
        through(gate, reading(1), reading(2, at_ms=1_000_500), now_ms=2_000_000)


def test_gate_refuses_more_people_than_can_walk() -> None:
    """A thousand people in ten seconds are no people."""
    with pytest.raises(WireTooFast, match="in_"):
        through(Gate(["entrance"]), reading(0), reading(1, in_=1000))


def test_gate_refuses_more_watched_than_passed() -> None:
    """Nobody can watch for longer than the time that passed."""
    gate = Gate(["entrance"])
    late = Tally(7, 1, LINE, 0, 0, 0, 1_010_000, 60_000)
    with pytest.raises(WireTooFast, match="watched_ms"):
        through(gate, Tally(7, 0, LINE, 0, 0, 0, 1_000_000, 0), late)


def test_gate_refuses_the_future() -> None:
    """A reading can't be newer than now."""
    with pytest.raises(WireOutOfRange, match="boot_ms"):
        through(Gate(["entrance"]), reading(0), now_ms=900_000)


def test_gate_refuses_a_flood() -> None:
    """After what a full pipe can hold, no more than two records a beat and line are believed."""
    gate = Gate(["entrance"], burst=10)
    flood = [reading(n) for n in range(11)]
    with pytest.raises(WireTooFast, match="records"):
        through(gate, *flood)


def test_gate_refuses_half_a_record() -> None:
    """What isn't a whole number of records is a violation."""
    with pytest.raises(WireTruncated):
        list(Gate(["entrance"]).accept(encode(reading(0))[:-1], 2_000_000))


def test_gate_state_is_bounded() -> None:
    """Ten thousand runs leave no more state than sixteen old run numbers and one reading a line."""
    gate = Gate(["entrance"], burst=100_000)
    for run in range(1, 10_001):
        through(gate, reading(run, run=run), now_ms=10**9)

    assert len(gate.newest) == 1
    assert len(gate._past_runs) <= 16


def test_two_ends_of_a_real_pipe() -> None:
    """Records written to a real pipe come out whole and in order."""
    reader, writer = os.pipe()
    beats = [reading(n, in_=n, out=2 * n) for n in range(5)]
    for tally in beats:
        assert os.write(writer, encode(tally)) == SIZE
    os.close(writer)
    chunk = os.read(reader, 65536)
    os.close(reader)

    assert list(Gate(["entrance"]).accept(chunk, beats[-1].boot_ms)) == beats


def test_lines_that_were_redrawn_come_in_with_their_run() -> None:
    """The old run is let in to its end, the new lines with the next; then the old ones are strangers."""
    gate = Gate(["entrance", "side"])
    side, stairs = line_key("side"), line_key("stairs")
    first = [reading(0), reading(0, line=side)]
    assert through(gate, *first) == first
    gate.expect(["entrance", "stairs"])
    old = reading(1, line=side)
    assert through(gate, old) == [old]
    new = [reading(2, run=8), reading(2, run=8, line=stairs)]
    assert through(gate, *new) == new

    assert gate.lines == {line_key("entrance"), stairs}
    with pytest.raises(LineUnknown):
        through(gate, reading(3, run=8, line=side))


def test_a_run_that_the_ledger_knows_keeps_its_lines() -> None:
    """After a start with another config, what that run has still to say is let in."""
    side = line_key("side")
    gate = Gate(["entrance"], [reading(4, line=side)], still=["side"])
    later = reading(5, line=side)

    assert through(gate, later) == [later]


def test_a_stranger_is_found_where_it_begins() -> None:
    """What came before it in the same chunk counts, and the error says at which byte it stands."""
    gate = Gate(["entrance"])
    known = reading(0)
    chunk = encode(known) + encode(reading(0, line=line_key("elsewhere")))
    accepted: list[Tally] = []
    with pytest.raises(LineUnknown) as stranger:
        accepted.extend(gate.accept(chunk, known.boot_ms))

    assert [known] == accepted
    assert SIZE == stranger.value.at
