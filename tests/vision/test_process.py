"""The process that sees, as systemd would start it: what it says, when it is ready, and how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby, pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

from edge.core.clock import KernelClock, TrialClock
from edge.core.tally import BEAT_MS, SIZE, Flag, Tally, decode, line_key
from tests import piece
from tests.publisher.rig import DEADLINE_S, wait_until

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parent.parent.parent
MONDAY = datetime(2026, 3, 2, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.fixture(name="clip", scope="module")
def _clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return piece.write(tmp_path_factory.mktemp("clip"))


class Box:
    """A folder with a config, a diode, and systemd's ear."""

    def __init__(self, folder: Path, clip: Path) -> None:
        self.folder = folder
        self._clip = clip
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ear.bind(str(folder / "notify"))
        self._ear.setblocking(False)
        self._came = b""
        self._processes: list[subprocess.Popen[str]] = []

    def start(
        self, *options: str, clock: TrialClock | None = None, path: str | None = None, **camera: object
    ) -> subprocess.Popen[str]:
        """Start vision of a camera with these settings; the clip as fast as it goes if they say nothing else."""
        settings = {"source": str(self._clip), "replay": "fast", **camera}
        line = {end: list(point) for end, point in piece.LINE.items()}
        config = {
            "site": "s",
            "timezone": "Europe/Berlin",
            "cameras": {"door": {**settings, "lines": {"line": line}}},
            "broker": {"host": "localhost"},
        }
        (self.folder / "footfall.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "edge", "vision", "door", "--config", str(self.folder / "footfall.yaml")),
                *(f"--diode={self._writer}", *options, *([f"--trial-clock={clock.spec()}"] if clock else [])),
            ],
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            pass_fds=[self._writer],
            env={
                **os.environ,
                "NOTIFY_SOCKET": str(self.folder / "notify"),
                "PATH": f"{path or ''}:{os.environ['PATH']}",
            },
        )
        self._processes.append(process)
        return process

    def readings(self) -> list[Tally]:
        """Return all that has come through the diode."""
        with contextlib.suppress(BlockingIOError):
            self._came += os.read(self.reader, 1 << 20)
        return [decode(self._came[at : at + SIZE]) for at in range(0, len(self._came), SIZE)]

    def told(self) -> list[str]:
        """Return what systemd has been told since the last look."""
        heard: list[str] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(self._ear.recv(4096).decode())
        return heard

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        self._ear.close()
        os.close(self.reader)
        os.close(self._writer)


@pytest.fixture(name="box")
def _box(tmp_path: Path, clip: Path) -> Iterator[Box]:
    box = Box(tmp_path, clip)
    yield box
    box.close()


def end(process: subprocess.Popen[str]) -> str:
    """Wait for a process to end, and return what it said."""
    return str(process.communicate(timeout=DEADLINE_S)[1])


def monday_at(hour: int, minute: int, speed: float) -> TrialClock:
    """Return a clock that stands at this time of a Monday in Berlin and runs *speed* times as fast."""
    moment = MONDAY.replace(hour=hour, minute=minute)
    return TrialClock(speed, KernelClock().boot_ms(), round(moment.timestamp() * 1000))


def test_a_clip_is_counted_to_its_end(box: Box, clip: Path) -> None:
    """Its last reading holds what the same pipeline counts in this process, and it ends with 0."""
    process = box.start()
    said = end(process)
    last = box.readings()[-1]

    assert 0 == process.returncode, said
    assert (line_key("line"), *piece.counted(piece.crossings(clip)), piece.FRAMES) == (
        last.line,
        last.in_,
        last.out,
        last.frames,
    )
    assert "Traceback" not in said


def test_systemd_is_told(box: Box) -> None:
    """READY comes after sealing, the watchdog is fed when pictures were looked at, STOPPING comes last."""
    process = box.start()
    told: list[str] = []

    def ended() -> bool:
        told.extend(box.told())
        return process.poll() is not None

    wait_until(ended, "the clip's end")
    told += box.told()
    said = end(process)

    assert "READY=1\nSTATUS=sealed" == told[0], said
    assert "STOPPING=1" == told[-1]
    assert {"WATCHDOG=1"} == set(told[1:-1])
    assert len(told) - 2 <= piece.FRAMES


def test_unsealed_is_said_aloud(box: Box) -> None:
    """A developer's run without a seal says so in its status and in its log."""
    process = box.start("--unsealed")
    said = end(process)

    assert "READY=1\nSTATUS=NOT SEALED" == box.told()[0]
    assert "NOT SEALED, as asked for" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop(box: Box, number: signal.Signals) -> None:
    """The last reading is written, and it ends with 0, at once."""
    process = box.start(replay="pace", loop=True)
    wait_until(lambda: any("WATCHDOG" in word for word in box.told()), "the first picture")
    before = len(box.readings())
    process.send_signal(number)
    said = end(process)
    readings = box.readings()

    assert 0 == process.returncode, said
    assert before + 1 == len(readings)
    assert readings[-1].frames > 0
    assert readings[-1].sequence == len(readings) - 1
    assert "Traceback" not in said


def test_readings_come_with_the_beat(box: Box) -> None:
    """On a clock that runs 100 times as fast there is one every ten of its seconds, and none in between."""
    clock = monday_at(12, 0, speed=100)
    process = box.start(clock=clock, replay="pace", loop=True)
    wait_until(lambda: len(box.readings()) >= 20, "twenty beats")
    process.terminate()
    said = end(process)
    times = [tally.boot_ms for tally in box.readings()[:-1]]

    assert 0 == process.returncode, said
    assert all(later - earlier >= BEAT_MS for earlier, later in pairwise(times))


EVERY_OTHER_HALF_HOUR = {"mon-sun": ", ".join(f"{hour:02}:30-{hour + 1:02}:00" for hour in range(24))}
"""So that a slow start of the process changes nothing but which half hour is the first."""


def was_closed(clock: TrialClock, begin_ms: int, end_ms: int) -> bool:
    """Tell whether such a shop was closed from the one boot time to the other, both included."""
    _, boot_origin, wall_origin = clock.spec().split(":")
    half_hours = [(boot_ms - int(boot_origin) + int(wall_origin)) // 1_800_000 for boot_ms in (begin_ms, end_ms)]
    return half_hours[0] == half_hours[1] and half_hours[0] % 2 == 0


def test_the_camera_is_closed_with_the_shop(box: Box) -> None:
    """Outside opening hours nothing is looked at and the readings say `closed`; when the shop opens it goes on."""
    clock = monday_at(8, 0, speed=300)
    process = box.start(clock=clock, replay="pace", loop=True, open=EVERY_OTHER_HALF_HOUR)
    seen: list[bool] = []

    def came_and_went() -> bool:
        seen[:] = [tally.flags == Flag.CLOSED for tally in box.readings()]
        return [True, False, True] == [key for key, _ in groupby(seen)][1:4]

    wait_until(came_and_went, "a closed shop that opens and closes")
    process.terminate()
    said = end(process)
    readings = box.readings()

    assert 0 == process.returncode, said
    closed = [pair for pair in pairwise(readings) if was_closed(clock, pair[0].boot_ms, pair[1].boot_ms)]
    assert closed
    for earlier, later in closed:
        # Whatever the machine's load: between two readings that both fell into closed hours nothing was looked at.
        assert (earlier.frames, earlier.watched_ms) == (later.frames, later.watched_ms)
        assert Flag.CLOSED in later.flags
    assert readings[-1].frames > 0


def rpicam(folder: Path) -> str:
    """Put a program called rpicam-vid into *folder* that gives grey pictures for ever."""
    program = folder / "rpicam-vid"
    program.write_text(
        f"#!{sys.executable}\nimport sys, time\nwhile True:\n"
        "    sys.stdout.buffer.write(bytes([128]) * (320 * 240 * 3 // 2))\n    sys.stdout.buffer.flush()\n"
        "    time.sleep(0.02)\n"
    )
    program.chmod(0o755)
    return str(folder)


def test_a_raspberry_pi_camera_waits_for_the_shop(box: Box, tmp_path: Path) -> None:
    """Its program is started when the shop opens; when it closes the process ends with 75, to be started again."""
    process = box.start(
        clock=monday_at(8, 0, speed=400),
        path=rpicam(tmp_path),
        source="csi:0",
        size=[320, 240],
        open={"mon-sun": "08:30-10:30"},  # 18 s on this clock: a busy machine needs some of them to seal
    )
    said = end(process)
    readings = box.readings()

    assert 75 == process.returncode, said
    assert all(tally.frames == 0 for tally in readings if tally.flags & Flag.CLOSED)
    assert readings[-1].frames > 0


def test_a_raspberry_pi_camera_is_up_while_its_shop_is_closed(box: Box) -> None:
    """There is nothing to seal yet, but systemd is told that it is up, and the watchdog is fed: else it were ended."""
    box.start(clock=monday_at(8, 0, speed=1), source="csi:0", open=EVERY_OTHER_HALF_HOUR)
    told: list[str] = []

    def fed() -> bool:
        told.extend(box.told())
        return "WATCHDOG=1" in told

    wait_until(fed, "food for the watchdog")

    assert "READY=1\nSTATUS=the shop is closed: no camera, and so no seal yet" == told[0]
