"""What a run of vision has counted, and the pipe down which it says so."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.clock import ManualClock
from edge.core.errors import DiodeMissing
from edge.core.tally import BEAT_MS, SIZE, Flag, Tally, decode, line_key
from edge.publisher.reading_validator import ReadingValidator
from edge.vision.odometer import DiodeWriter, Odometers


class Reader:
    """The other end of a diode."""

    def __init__(self) -> None:
        self.end, writer = os.pipe()
        os.set_blocking(self.end, False)
        self.diode = DiodeWriter(Path("unused"), writer)

    def raw(self) -> bytes:
        """Return the bytes that have come."""
        try:
            return os.read(self.end, 1 << 20)
        except BlockingIOError:
            return b""

    def readings(self) -> list[Tally]:
        """Return what has come."""
        raw = self.raw()
        return [decode(raw[at : at + SIZE]) for at in range(0, len(raw), SIZE)]

    def close(self) -> None:
        os.close(self.end)
        os.close(self.diode._descriptor)


@pytest.fixture(name="reader")
def _reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


# --- the pipe --------------------------------------------------------------------------------------------------------


def test_without_a_fifo_there_is_no_diode(tmp_path: Path) -> None:
    """Neither is one made, nor is anything waited for."""
    with pytest.raises(DiodeMissing, match="No such file or directory; start the publisher first"):
        DiodeWriter(tmp_path / "door.tally")


def test_a_fifo_without_a_reader_is_none(tmp_path: Path) -> None:
    """Somebody has to hold its other end: systemd, or the publisher."""
    os.mkfifo(tmp_path / "door.tally")

    with pytest.raises(DiodeMissing, match="No such device or address"):
        DiodeWriter(tmp_path / "door.tally")


def test_a_descriptor_that_is_closed_is_none(tmp_path: Path) -> None:
    """An inherited pipe that isn't there is told like a missing FIFO."""
    with pytest.raises(DiodeMissing, match="Bad file descriptor"):
        DiodeWriter(tmp_path / "door.tally", 999)


def test_a_full_pipe_costs_no_count(reader: Reader, caplog: pytest.LogCaptureFixture) -> None:
    """What doesn't fit is dropped whole, said once, and the next reading that fits makes up for it."""
    fcntl.fcntl(reader.end, fcntl.F_SETPIPE_SZ, 4096)
    clock = ManualClock()
    odometers = Odometers(["line"], clock)
    for _ in range(200):
        odometers.cross("line", "in")
        odometers.write(reader.diode, last=True)
    early = reader.readings()
    odometers.write(reader.diode, last=True)
    (late,) = reader.readings()

    assert list(range(1, 4096 // SIZE + 1)) == [tally.in_ for tally in early]
    assert 200 == late.in_
    assert ["nobody reads the diode; counting goes on and no count is lost"] == [r.message for r in caplog.records]


def test_a_reader_that_has_gone_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A publisher that dies takes its end of a pipe with it; counting goes on."""
    reader = Reader()
    os.close(reader.end)
    odometers = Odometers(["line"], ManualClock())
    odometers.write(reader.diode)
    odometers.write(reader.diode, last=True)
    os.close(reader.diode._descriptor)

    assert 1 == len(caplog.records)


# --- the odometers ---------------------------------------------------------------------------------------------------


def test_a_reading_of_each_line_a_beat(reader: Reader) -> None:
    """The first at once, then one every ten seconds, whatever happened; the lines of a beat share its number."""
    clock = ManualClock(boot=1_000)
    odometers = Odometers(["left", "right"], clock)
    came = []
    for _ in range(0, 3 * BEAT_MS, 500):
        odometers.write(reader.diode)
        came += reader.readings()
        clock.advance(500)

    assert [(0, 1_000), (1, 11_000), (2, 21_000)] == [
        (t.sequence, t.boot_ms) for t in came if t.line == line_key("left")
    ]
    assert [t.sequence for t in came if t.line == line_key("left")] == [
        t.sequence for t in came if t.line == line_key("right")
    ]
    assert len({tally.run for tally in came}) == 1


def test_crossings_are_booked_on_their_line(reader: Reader) -> None:
    """In and out of each line run separately, and never backwards."""
    odometers = Odometers(["left", "right"], ManualClock())
    for line, direction in (("left", "in"), ("left", "in"), ("right", "out"), ("left", "out")):
        odometers.cross(line, "in" if direction == "in" else "out")
    odometers.write(reader.diode)
    counts = {tally.line: (tally.in_, tally.out) for tally in reader.readings()}

    assert {line_key("left"): (2, 1), line_key("right"): (0, 1)} == counts
    assert (2, 2, 0) == odometers.totals


def test_runs_are_told_apart() -> None:
    """Two lives of vision have different numbers, so that the second's odometers aren't taken to run backwards."""
    assert len({Odometers(["line"], ManualClock())._run for _ in range(50)}) == 50


@pytest.mark.parametrize(("step_ms", "watched_ms"), [(67, 6_700), (1_000, 100_000), (1_500, 100_000)])
def test_time_between_frames_counts_as_watched(reader: Reader, step_ms: int, watched_ms: int) -> None:
    """Up to a second each: a longer gap wasn't watched all through."""
    clock = ManualClock()
    odometers = Odometers(["line"], clock)
    for _ in range(101):
        odometers.watch(Flag(0))
        clock.advance(step_ms)
    odometers.write(reader.diode)
    (tally,) = reader.readings()

    assert (watched_ms, 101) == (tally.watched_ms, tally.frames)


@pytest.mark.parametrize(
    ("flag", "watched_ms"), [(Flag.DARK, 200), (Flag.COVERED, 200), (Flag.FROZEN, 200), (Flag.MOVED, 400)]
)
def test_what_could_not_be_seen_was_not_watched(reader: Reader, flag: Flag, watched_ms: int) -> None:
    """Frames that show nothing are frames, and their time isn't watched; a camera that was moved goes on watching."""
    clock = ManualClock()
    odometers = Odometers(["line"], clock)
    for flags in (Flag(0), Flag(0), flag, flag, Flag(0)):
        odometers.watch(flags)
        clock.advance(100)
    odometers.write(reader.diode)
    (tally,) = reader.readings()

    assert (watched_ms, 5, flag | Flag.RESTARTED) == (tally.watched_ms, tally.frames, tally.flags)


def test_the_time_of_a_lost_camera_is_not_watched(reader: Reader) -> None:
    """From the last frame to the first new one nothing counts, and the reading says why."""
    clock = ManualClock()
    odometers = Odometers(["line"], clock)
    odometers.watch(Flag(0))
    clock.advance(500)
    odometers.unwatched(Flag.CAMERA_LOST)
    clock.advance(500)
    odometers.watch(Flag(0))
    odometers.write(reader.diode)
    (tally,) = reader.readings()

    assert (0, Flag.CAMERA_LOST | Flag.RESTARTED) == (tally.watched_ms, tally.flags)


def test_flags_are_told_once(reader: Reader) -> None:
    """Those that held since the last beat; the first reading says that a run began."""
    clock = ManualClock()
    odometers = Odometers(["line"], clock)
    told = []
    for flags in (Flag(0), Flag.SLOW, Flag(0)):
        odometers.watch(flags)
        odometers.write(reader.diode, last=True)
        told += [tally.flags for tally in reader.readings()]

    assert [Flag.RESTARTED, Flag.SLOW, Flag(0)] == told


events = st.lists(
    st.tuples(
        st.integers(0, 20_000),
        st.sampled_from(["frame", "in", "out", "lost", "dark"]),
    ),
    max_size=100,
)


@given(events)
def test_the_publisher_believes_every_reading(happened: list[tuple[int, str]]) -> None:
    """Whatever happens before a camera, what is said of it passes the validator at the other end."""
    reader = Reader()
    clock = ManualClock(boot=50_000)
    odometers, validator = Odometers(["line"], clock), ReadingValidator(["line"])
    for pause_ms, event in happened:
        clock.advance(pause_ms)
        if event == "lost":
            odometers.unwatched(Flag.CAMERA_LOST)
        else:
            odometers.watch(Flag.DARK if event == "dark" else Flag(0))
        if event in ("in", "out"):
            odometers.cross("line", "in" if event == "in" else "out")
        odometers.write(reader.diode)
        list(validator.accept(reader.raw(), clock.boot_ms()))
    odometers.write(reader.diode, last=True)
    (last,) = validator.accept(reader.raw(), clock.boot_ms())
    reader.close()

    kinds = [event for _, event in happened]
    assert (kinds.count("in"), kinds.count("out")) == (last.in_, last.out)
    assert len(kinds) - kinds.count("lost") == last.frames
