"""The seam: bytes <-> Tally."""

from __future__ import annotations

import select
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.errors import WireError, WireOutOfRange
from edge.core.tally import SIZE, Flag, Tally, decode, encode

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
