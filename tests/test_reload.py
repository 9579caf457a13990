"""SIGHUP: both real processes take up a new config, or refuse it and go on, and no count is lost by it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.config import schema
from edge.core.clock import KernelClock, TrialClock
from edge.core.errors import LedgerMissing
from edge.core.tally import SIZE, Flag, Tally, decode, encode, line_key
from edge.publisher.ledger.view import LedgerView
from tests.publisher.rig import Mosquitto, Walkers, free_port, wait_until

pytestmark = pytest.mark.processes

REPOSITORY = Path(__file__).parents[1]
DOOR = REPOSITORY / "models" / "demo" / "door.mp4"
START_S = 300.0

CONFIG = """
site: sh-023
timezone: Asia/Shanghai
cameras:
  door:
    source: {source}
    loop: true
    lines:
      entrance: {{from: [0.1, 0.5], to: [0.9, {y}], inside: [0.5, 0.9]}}
      {more}
    {open}
broker: {{host: 127.0.0.1, port: {port}, tls: false{broker}}}
ledger: {folder}/ledger.sqlite
tally_dir: {folder}
"""
SIDE = "side: {from: [0.1, 0.4], to: [0.9, 0.4], inside: [0.5, 0.9]}"


class Service:
    """One of the two processes, started as systemd would, and what it has told systemd."""

    def __init__(self, folder: Path, *arguments: str, pass_fds: tuple[int, ...] = ()) -> None:
        self.path = folder / "footfall.yaml"
        # Of its own, as a path for a socket is short.
        self._folder = tempfile.TemporaryDirectory()
        address = f"{self._folder.name}/notify"
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(address)
        self._notify.setblocking(False)
        self.told: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edge", *arguments, "--config", str(self.path)],
            cwd=REPOSITORY,
            env={**os.environ, "NOTIFY_SOCKET": address, "OPENBLAS_NUM_THREADS": "1", "OPENCV_FFMPEG_THREADS": "1"},
            stderr=subprocess.PIPE,
            pass_fds=pass_fds,
        )
        self.stderr = b""

    def listen(self) -> list[str]:
        """Return everything that systemd has been told so far but for WATCHDOG."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.told += [word for word in self._notify.recv(4096).decode().split("\n") if word != "WATCHDOG=1"]
        return self.told

    def ready(self) -> None:
        """Return when it is up."""
        wait_until(lambda: "READY=1" in self.listen(), "readiness", START_S)

    def hang_up(self) -> str:
        """Send SIGHUP; return the status that follows, or nothing if it ends instead."""
        self.listen()
        before = self.told.count("READY=1")
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.listen().count("READY=1") > before or self.process.poll() is not None, "an answer", 30)
        said = [word for word in self.listen() if word.startswith("STATUS=")] if self.process.poll() is None else [""]
        return said[-1].removeprefix("STATUS=")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; return its exit code, with what it said in `stderr`."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, self.stderr = self.process.communicate(timeout=300)
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        with contextlib.suppress(ValueError):
            self.process.communicate(timeout=300)
        self._notify.close()
        self._folder.cleanup()


@pytest.fixture(name="write")
def _write(tmp_path: Path) -> Callable[..., None]:
    """Write the config with some values changed, as an editor does: a new file in its place."""

    def write(**changes: object) -> None:
        values = {"source": DOOR, "y": 0.5, "more": "", "open": "", "port": 1, "broker": "", "folder": tmp_path}
        new = tmp_path / "footfall.yaml.new"
        new.write_text(CONFIG.format(**{**values, **changes}))
        new.replace(tmp_path / "footfall.yaml")

    return write


@pytest.fixture(name="start")
def _start(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    services: list[Service] = []

    def start(*arguments: str, pass_fds: tuple[int, ...] = ()) -> Service:
        services.append(Service(tmp_path, *arguments, pass_fds=pass_fds))
        services[-1].ready()
        return services[-1]

    yield start
    for service in services:
        service.close()


Write = Callable[..., None]
Start = Callable[..., Service]


# --- vision ----------------------------------------------------------------------------------------------------------


class Eye:
    """A sealed vision process on the demo clip, and the other end of its diode."""

    def __init__(self, start: Start, speed: float) -> None:
        clock = TrialClock.starting_at(KernelClock().wall_ms(), speed)
        self._read, write = os.pipe()
        os.set_blocking(self._read, False)
        self.service = start("vision", "door", f"--diode={write}", f"--trial-clock={clock.spec()}", pass_fds=(write,))
        os.close(write)
        self.readings: list[Tally] = []

    def look(self) -> list[Tally]:
        """Return all readings so far."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._read, 64 * SIZE):
                self.readings += [decode(chunk[at : at + SIZE]) for at in range(0, len(chunk), SIZE)]
        return self.readings

    def until(self, condition: Callable[[Tally], bool], what: str) -> None:
        wait_until(lambda: any(condition(tally) for tally in self.look()), what, START_S)

    def close(self) -> None:
        os.close(self._read)


@pytest.fixture(name="eye")
def _eye(start: Start, write: Write) -> Iterator[Callable[..., Eye]]:
    eyes: list[Eye] = []

    def make(speed: float = 10.0) -> Eye:
        write()
        eyes.append(Eye(start, speed))
        return eyes[-1]

    yield make
    for eye in eyes:
        eye.close()


def test_a_line_that_was_moved_begins_another_run(eye: Callable[..., Eye], write: Write) -> None:
    """The sealed process reads the file again; what the old run had counted is told first, then the new one begins."""
    made = eye()
    made.until(lambda tally: tally.sequence >= 1, "a few readings")
    write(y=0.6, more=SIDE)
    said = made.service.hang_up()
    made.until(lambda tally: tally.line == line_key("side"), "the second line")
    code = made.service.end()
    runs = list(dict.fromkeys(tally.run for tally in made.look()))
    old, new = ([tally for tally in made.readings if tally.run == run] for run in runs)

    assert "config read again" == said
    assert 0 == code
    assert {line_key("entrance")} == {tally.line for tally in old}
    assert {line_key("entrance"), line_key("side")} == {tally.line for tally in new}
    assert [*range(len(old))] == [tally.sequence for tally in old]
    assert 0 == new[0].sequence
    assert new[0].watched_ms < old[-1].watched_ms
    assert made.readings == old + new


def test_a_config_without_change_begins_nothing(eye: Callable[..., Eye], write: Write) -> None:
    """The run goes on, whatever else stands in the file."""
    made = eye()
    write(broker=", keepalive_s: 30")
    said = made.service.hang_up()
    made.service.end()

    assert "config read again" == said
    assert 1 == len({tally.run for tally in made.look()})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y": 7}, "cameras.door.lines.entrance.to"),
        ({"source": "/dev/video97"}, "camera /dev/video97: there is no such camera or clip"),
    ],
)
def test_vision_refuses_what_cant_be_used(
    eye: Callable[..., Eye], write: Write, changes: dict[str, object], words: str
) -> None:
    """The status says why; the old config goes on, in the same run, and a right one is taken up afterwards."""
    made = eye()
    write(**changes)
    said = made.service.hang_up()
    seen = len(made.look())
    wait_until(lambda: len(made.look()) > seen, "more readings", START_S)
    runs = {tally.run for tally in made.look()}
    write()
    again = made.service.hang_up()

    assert said.startswith("config REFUSED, the old one goes on: ")
    assert words in said
    assert 1 == len(runs)
    assert "config read again" == again


def test_a_camera_that_isnt_in_the_config_any_more(eye: Callable[..., Eye], tmp_path: Path) -> None:
    """A service that was forgotten goes on, and says so."""
    made = eye()
    path = tmp_path / "footfall.yaml"
    path.write_text(path.read_text().replace("  door:", "  gate:"))

    assert 'no camera is called "door"; the config has: gate' in made.service.hang_up()


def test_another_source_needs_another_process(eye: Callable[..., Eye], write: Write, tmp_path: Path) -> None:
    """75, which systemd starts again; the last reading is written first."""
    made = eye()
    other = tmp_path / "other.mp4"
    other.write_bytes(DOOR.read_bytes())
    made.until(lambda _: True, "a reading")
    write(source=other)
    made.service.hang_up()
    code = made.service.end()
    readings = made.look()

    assert 75 == code
    assert [*range(len(readings))] == [tally.sequence for tally in readings]


def test_opening_hours_hold_at_once(eye: Callable[..., Eye], write: Write) -> None:
    """A shop that is closed all week from now on: the camera is shut, and the readings say why."""
    made = eye()
    made.until(lambda _: True, "a reading")
    write(open='open: {mon: "00:00-00:01"}')
    made.service.hang_up()
    made.until(lambda tally: Flag.CLOSED in tally.flags, "the flag")

    assert 1 == len({tally.run for tally in made.look()})


# --- publisher -------------------------------------------------------------------------------------------------------


class Box:
    """A publisher, and the writing end of its diode."""

    def __init__(self, start: Start, folder: Path) -> None:
        self.folder = folder
        self.clock = TrialClock.starting_at(KernelClock().wall_ms(), 1.0)
        self.service = start("publisher", f"--trial-clock={self.clock.spec()}")
        self._diode = os.open(folder / "door.tally", os.O_WRONLY | os.O_NONBLOCK)

    def tell(self, walkers: Walkers, in_: int) -> None:
        """Let vision say that so many more came in."""
        os.write(self._diode, encode(walkers.reading(self.clock.boot_ms(), in_=in_)))

    def people(self) -> dict[str, int]:
        """Return how many came in over each line, by the ledger."""
        totals: dict[str, int] = {}
        with LedgerView.opened(self.folder / "ledger.sqlite") as ledger:
            for interval in ledger.intervals("door", 0, 2**53):
                totals[interval.line] = totals.get(interval.line, 0) + interval.in_
        return totals

    def until(self, **expected: int) -> None:
        wait_until(lambda: expected == self.people(), f"{expected} in the ledger", START_S)

    def close(self) -> None:
        os.close(self._diode)


@pytest.fixture(name="box")
def _box(start: Start, write: Write, tmp_path: Path) -> Iterator[Callable[..., Box]]:
    boxes: list[Box] = []

    def make(**changes: object) -> Box:
        write(**changes)
        boxes.append(Box(start, tmp_path))
        return boxes[-1]

    yield make
    for box in boxes:
        box.close()


def walkers(box: Box, run: int, line: str = "entrance") -> Walkers:
    return Walkers(run, box.clock.boot_ms(), line)


def test_the_hour_keeps_what_both_runs_counted(box: Callable[..., Box], write: Write) -> None:
    """Five by the old line and three by the new are eight, and the second line's two stand beside them."""
    made = box()
    made.tell(walkers(made, 1), 5)
    write(y=0.6, more=SIDE)
    said = made.service.hang_up()
    made.tell(walkers(made, 2), 3)
    made.tell(walkers(made, 2, "side"), 2)
    made.until(entrance=8, side=2)

    assert "config read again" == said
    assert 0 == made.service.end()


def test_a_publisher_that_wasnt_told_looks_for_itself(box: Callable[..., Box], write: Write) -> None:
    """Vision has taken up a new line already: the publisher reads the config when it meets it, and loses nothing."""
    made = box()
    made.tell(walkers(made, 1), 5)
    write(more=SIDE)
    made.tell(walkers(made, 2), 3)
    made.tell(walkers(made, 2, "side"), 2)
    made.until(entrance=8, side=2)

    assert 0 == made.service.end()


def test_readings_of_the_old_lines_still_count(box: Callable[..., Box], write: Write) -> None:
    """The publisher reads a config without the old line before vision does; that run is let in to its end."""
    made = box(more=SIDE)
    entrance, side = walkers(made, 1), walkers(made, 1, "side")
    made.tell(entrance, 1)
    made.tell(side, 1)
    made.until(entrance=1, side=1)
    write()
    made.service.hang_up()
    made.tell(side, 4)
    made.tell(walkers(made, 2), 1)
    made.until(entrance=2, side=5)

    assert 0 == made.service.end()


def test_a_new_publisher_knows_the_lines_of_the_run_that_goes_on(
    box: Callable[..., Box], write: Write, start: Start
) -> None:
    """Broker and lines changed in one: it is started again with lines that vision hasn't taken up yet."""
    made = box(more=SIDE)
    side = walkers(made, 1, "side")
    made.tell(side, 1)
    made.until(side=1)
    write(port=2)
    made.service.hang_up()
    code = made.service.end()
    second = start("publisher", f"--trial-clock={made.clock.spec()}")
    made.tell(side, 4)
    made.until(side=5)

    assert 75 == code
    assert b"`broker` changed in the config" in made.service.stderr
    assert 0 == second.end()


def test_a_line_that_no_config_has_closes_the_pipe(box: Callable[..., Box]) -> None:
    """Asked once, the config doesn't know it: 76, as for every record that can't be true."""
    made = box()
    made.tell(walkers(made, 1, "nowhere"), 1)
    wait_until(lambda: made.service.process.poll() is not None, "the end", START_S)

    assert 76 == made.service.end()
    assert b"line should be a line of this camera" in made.service.stderr


def test_the_publisher_refuses_what_cant_be_used(box: Callable[..., Box], write: Write) -> None:
    """Every fault is in the log, the first in systemd's status, and counting goes on."""
    made = box()
    write(y=7, more="side: {from: [0.1, 0.4]}")
    said = made.service.hang_up()
    made.tell(walkers(made, 1), 5)
    made.until(entrance=5)
    made.service.end()
    refused = [line for line in made.service.stderr.decode().splitlines() if "config refused: " in line]

    assert said.startswith("config REFUSED, the old one goes on: ")
    assert "cameras.door.lines.entrance.to" in refused[0]
    assert {"side.to", "side.inside"} <= {
        word for line in refused for word in ("side.to", "side.inside") if word in line
    }


def test_a_password_that_cant_be_read_is_refused(box: Callable[..., Box], write: Write, tmp_path: Path) -> None:
    """Before the process ends for another broker, it looks whether a new one could begin."""
    made = box()
    write(broker=f", username: u, password_file: {tmp_path}/nowhere")

    assert "password file" in made.service.hang_up()
    assert made.service.process.poll() is None


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("site: sh-023", "site: sh-024", "site"),
        ("timezone: Asia/Shanghai", "timezone: Asia/Tokyo", "timezone"),
        ("/ledger.sqlite", "/other.sqlite", "ledger"),
        ("  door:", "  gate:", "cameras"),
    ],
)
def test_what_needs_a_new_publisher(box: Callable[..., Box], tmp_path: Path, old: str, new: str, key: str) -> None:
    """75, with the key in the sentence, everything written and the broker told `offline`."""
    broker = Mosquitto(tmp_path)
    broker.start()
    made = box(port=broker.port)
    made.tell(walkers(made, 1), 5)
    path = tmp_path / "footfall.yaml"
    path.write_text(path.read_text().replace(old, new))
    made.service.hang_up()
    code = made.service.end()
    broker.stop()

    assert 75 == code
    assert f"`{key}` changed in the config".encode() in made.service.stderr
    assert {"entrance": 5} == made.people()


# --- both ------------------------------------------------------------------------------------------------------------


def test_a_trial_passes_it_on(tmp_path: Path, write: Write) -> None:
    """`footfall run` without a terminal hands SIGHUP to both, and the second line's readings come through."""
    write(port=free_port())
    path = tmp_path / "footfall.yaml"
    with subprocess.Popen(
        [sys.executable, "-m", "edge", "run", "--config", str(path), "--trial-speed", "20"],
        cwd=REPOSITORY,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OPENCV_FFMPEG_THREADS": "1"},
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as run:

        def lines() -> set[str]:
            with contextlib.suppress(LedgerMissing), LedgerView.opened(schema.load(path).ledger) as ledger:
                return {interval.line for interval in ledger.intervals("door", 0, 2**53)}
            return set()

        try:
            wait_until(lambda: lines() == {"entrance"}, "the first line", START_S)
            write(port=schema.load(path).broker.port, more=SIDE)
            run.send_signal(signal.SIGHUP)
            wait_until(lambda: lines() == {"entrance", "side"}, "the second line", START_S)
        finally:
            run.send_signal(signal.SIGTERM)
            _, said = run.communicate(timeout=300)

    assert 0 == run.returncode, said.decode()
