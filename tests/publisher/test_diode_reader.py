"""The read end of the diode: takes what is true, and shuts the pipe on what isn't."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.config.schema import CameraAccount
from edge.core.clock import ManualClock
from edge.core.errors import DiodeMissing, WireError, WireTruncated
from edge.core.tally import SIZE, encode
from edge.publisher.diode_reader import DiodeReader
from tests.publisher.rig import Walkers


@pytest.fixture
def account(tmp_path: Path) -> CameraAccount:
    return CameraAccount("door-a", ("entrance",), None, tmp_path / "run" / "door-a.tally")


@pytest.fixture
def fifo(account: CameraAccount) -> Iterator[tuple[DiodeReader, int]]:
    diode = DiodeReader(account, ManualClock(boot=10_000_000), ())
    writer = os.open(account.tally, os.O_WRONLY | os.O_NONBLOCK)
    yield diode, writer
    os.close(writer)
    diode.close()


def test_the_fifo_is_made_where_it_isnt(account: CameraAccount) -> None:
    """Owner reads and writes, group writes, others may nothing; it outlives the publisher and is taken up again."""
    DiodeReader(account, ManualClock(), ()).close()
    DiodeReader(account, ManualClock(), ()).close()
    mode = account.tally.stat().st_mode

    assert stat.S_ISFIFO(mode)
    assert 0 == mode & 0o157


def test_something_else_in_its_place_is_refused(account: CameraAccount, tmp_path: Path) -> None:
    """A file or a link there is no diode."""
    account.tally.parent.mkdir()
    account.tally.write_text("")
    with pytest.raises(DiodeMissing, match="no FIFO"):
        DiodeReader(account, ManualClock(), ())
    account.tally.unlink()
    account.tally.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(DiodeMissing, match="symbolic link"):
        DiodeReader(account, ManualClock(), ())


def test_what_was_read_stays_until_it_is_released(fifo: tuple[DiodeReader, int], account: CameraAccount) -> None:
    """A publisher that dies before it has written what it read leaves it to the next; each reads it once."""
    diode, writer = fifo
    walkers = Walkers()
    for beat in (1, 2, 3):
        os.write(writer, encode(walkers.reading(beat * 10_000, in_=1)))
        if beat < 3:
            assert [beat] == [tally.in_ for tally in diode.read()]
    after = DiodeReader(account, ManualClock(boot=10_000_000), ())

    assert [3] == [tally.in_ for tally in diode.read()]
    assert [1, 2, 3] == [tally.in_ for tally in after.read()]
    after.release()
    assert [] == after.read()
    os.write(writer, encode(walkers.reading(40_000, in_=1)))
    assert [4] == [tally.in_ for tally in after.read()]
    after.close()


def test_records_come_through_in_order_and_once(fifo: tuple[DiodeReader, int]) -> None:
    """Many at once, a repeat, and nothing while nobody writes."""
    diode, writer = fifo
    walkers = Walkers()
    sent = [walkers.reading(10_000 * beat, in_=1) for beat in range(1, 500)]
    nothing = diode.read()
    os.write(writer, b"".join(map(encode, sent)))
    os.write(writer, encode(sent[-1]))

    assert [] == nothing
    assert sent == diode.read()
    assert [] == diode.read()


def test_a_writer_that_comes_back_is_heard(account: CameraAccount) -> None:
    """The pipe outlives vision: its end isn't an error."""
    diode = DiodeReader(account, ManualClock(boot=10_000_000), ())
    walkers = Walkers()
    heard = []
    for beat in (1, 2):
        writer = os.open(account.tally, os.O_WRONLY | os.O_NONBLOCK)
        os.write(writer, encode(walkers.reading(beat * 10_000)))
        os.close(writer)
        heard += diode.read() + diode.read()
    diode.close()

    assert [0, 1] == [tally.sequence for tally in heard]


def test_a_lie_closes_the_pipe_for_good(fifo: tuple[DiodeReader, int], caplog: pytest.LogCaptureFixture) -> None:
    """What came before it counts, what comes after isn't looked at, and one line says so."""
    diode, writer = fifo
    walkers = Walkers()
    true = walkers.reading(10_000, in_=1)
    os.write(writer, encode(true) + bytes(SIZE) + encode(walkers.reading(20_000, in_=1)))
    heard = diode.read()

    assert [true] == heard
    assert isinstance(diode.fault, WireError)
    assert [] == diode.read()
    assert 1 == len(caplog.records)
    with pytest.raises(BrokenPipeError):
        os.write(writer, encode(true))


def test_a_piece_of_a_record_is_a_lie(fifo: tuple[DiodeReader, int]) -> None:
    """Writes to a pipe are whole; a part of one comes from somebody else."""
    diode, writer = fifo
    os.write(writer, b"\0" * (SIZE - 1))
    diode.read()

    assert isinstance(diode.fault, WireTruncated)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes_give_readings_or_a_closed_pipe(account: CameraAccount, chunks: list[bytes]) -> None:
    """Nothing that is written into the pipe can do anything else."""
    reader, writer = os.pipe()
    diode = DiodeReader(account, ManualClock(boot=10_000_000), (), reader)
    heard = []
    for chunk in chunks:
        if diode.fault is None:
            os.write(writer, chunk)
        heard += diode.read()
    os.close(writer)
    diode.close()

    assert [] == heard
    assert (diode.fault is not None) == any(chunks)
