"""
Time, for the whole publisher: the real command with the kernel's own clock, under a kernel that says what a test wants.

adjtimex(2) can't be faked by libfaketime, so a few lines of C are preloaded in its place. They answer clock_gettime(2)
for wall and boot time, too; the monotonic clock stays the machine's. Another boot is another boot id, in a mount
namespace of its own.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.core.tally import BEAT_MS, encode
from edge.publisher.ledger.view import LedgerView
from tests.publisher.rig import Listener, Mosquitto, Walkers, utc_ms, wait_until

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).with_name("clock_shim.c")
TOPIC = "footfall/v1/sh-023/door-a/hour"
PATIENCE_S = 300.0
BEAT_AFTER_S = 2.0
MOST_AHEAD_MS = 2 * BEAT_MS


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc on this machine: apt-get install gcc")
    built = tmp_path_factory.mktemp("shim") / "clock.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-ffreestanding", "-nostdlib", "-Wall", "-Werror", "-o", built, SOURCE],
        check=True,
    )
    probe = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True)
    if probe.returncode:
        pytest.skip("no mount namespace may be made here")
    return built


class RealBox:
    """
    A publisher's process, its pipe and the kernel's clock under it, which stands still until it is moved.

    Args:
        folder: Holds its footfall.yaml.
        wall: Where the clock stands, ISO.
        synchronised: Whether the kernel vouches for that.
    """

    def __init__(self, folder: Path, shim: Path, wall: str, *, synchronised: bool) -> None:
        self._folder = folder
        self._shim = shim
        clock = folder / "clock"
        clock.write_bytes(bytes(4096))
        with clock.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 4096)
        self._fifo = folder / "door-a.tally"
        os.mkfifo(self._fifo)
        self._writer = os.open(self._fifo, os.O_RDWR | os.O_NONBLOCK)
        self._boots = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.boot(wall, synchronised=synchronised)

    def boot(self, wall: str, *, synchronised: bool) -> None:
        """Start, after a power cut if it ran."""
        self.kill()
        self._boots += 1
        self._ahead_ms = 0
        self.boot_ms, self.wall_ms, self.synchronised = 60_000, utc_ms(wall), synchronised
        self._tell()
        boot_id = self._folder / f"boot-{self._boots}"
        boot_id.write_text(f"boot-{self._boots}\n")
        # In a mount namespace of its own, where the boot id is ours; only the program itself is preloaded.
        script = 'mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec env LD_PRELOAD="$@"'
        footfall: list[str | Path] = [
            sys.executable,
            "-m",
            "edge",
            "publisher",
            "--config",
            self._folder / "footfall.yaml",
        ]
        with (self._folder / "publisher.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", script, "sh", boot_id, self._shim, *footfall],
                env={**os.environ, "SHIM_CLOCK": str(self._folder / "clock")},
                cwd=ROOT,
                stderr=log,
            )

    def kill(self) -> None:
        """End it without a word; what is in the pipe is gone, as it is when the power goes."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self) -> None:
        """Put everything away."""
        self.kill()
        os.close(self._writer)
        self._map.close()

    def _tell(self) -> None:
        told = (self.boot_ms + self._ahead_ms, self.wall_ms + self._ahead_ms, int(self.synchronised))
        struct.pack_into("<3q", self._map, 0, *told)

    def let(self, walkers: Walkers, minutes: int, in_: int = 0) -> None:
        """Let time pass at once, in which *in_* people a beat came; a long stretch is one that no clock mistakes."""
        readings = [
            walkers.reading(self.boot_ms + beat * BEAT_MS, in_=in_)
            for beat in range(1, minutes * 60_000 // BEAT_MS + 1)
        ]
        self._ahead_ms = 0
        self.boot_ms += minutes * 60_000
        self.wall_ms += minutes * 60_000
        self._tell()
        for reading in readings:
            os.write(self._writer, encode(reading))
        self._beat_s = time.monotonic() + BEAT_AFTER_S
        wait_until(self._has_read, "the publisher to have written all readings", PATIENCE_S)

    def _has_read(self) -> bool:
        """Tell whether the pipe is empty; let a beat pass, and one more, where it stays full."""
        assert self.process is not None
        assert self.process.poll() is None, (self._folder / "publisher.log").read_text()
        if not _readable(self._writer):
            return True
        # A publisher that wrote when only some readings had come writes the others a beat later, and no clock moves
        # here but this one. The readings to come are none the wiser: `boot_ms` stays.
        if self._ahead_ms < MOST_AHEAD_MS and time.monotonic() > self._beat_s:
            self._beat_s += BEAT_AFTER_S
            self._ahead_ms += BEAT_MS
            self._tell()
        return False

    def step(self, seconds: float) -> None:
        """Step the wall clock."""
        self.wall_ms += round(seconds * 1000)
        self._tell()

    def synchronise(self, wall: str) -> None:
        """Let the kernel learn the time."""
        self.wall_ms, self.synchronised = utc_ms(wall), True
        self._tell()


def _readable(descriptor: int) -> bool:
    import select  # noqa: PLC0415 - only here

    return bool(select.select([descriptor], [], [], 0)[0])


MakeBox = Callable[..., RealBox]


@pytest.fixture
def real_box(
    tmp_path: Path, shim: Path, mosquitto: Mosquitto, config_text: Callable[..., str], listen: Callable[..., Listener]
) -> Iterator[tuple[MakeBox, Listener]]:
    boxes: list[RealBox] = []

    def make(wall: str, *, synchronised: bool = True, timezone: str = "Asia/Shanghai") -> RealBox:
        text = config_text(port=mosquitto.port, timezone=timezone)
        (tmp_path / "footfall.yaml").write_text(text)
        boxes.append(RealBox(tmp_path, shim, wall, synchronised=synchronised))
        return boxes[-1]

    yield make, listen(mosquitto.port)
    for made in boxes:
        made.close()


def hours(listener: Listener) -> dict[str, dict[str, Any]]:
    """Return what headquarters would have stored: the highest revision of each hour, by its start."""
    newest: dict[str, dict[str, Any]] = {}
    for payload in listener.payloads(TOPIC):
        hour = json.loads(payload)
        if hour["revision"] > newest.get(hour["start"], {"revision": 0})["revision"]:
            newest[hour["start"]] = hour
    return newest


def sums_of(listener: Listener) -> dict[str, int]:
    """Return how many came in, by the hour's start, where anybody did."""
    return {start: hour["in"] for start, hour in sorted(hours(listener).items()) if hour["in"]}


def expect(listener: Listener, expected: dict[str, int]) -> None:
    """Wait until headquarters has exactly this."""
    with contextlib.suppress(pytest.fail.Exception):
        wait_until(lambda: sums_of(listener) == expected, "headquarters to have it", PATIENCE_S)

    assert expected == sums_of(listener)


def test_late_synchronisation(real_box: tuple[MakeBox, Listener]) -> None:
    """A box that learns the time after two hours tells those two hours then, each with its own counts."""
    make, listener = real_box
    box = make("1970-01-01T00:00:10+00:00", synchronised=False)
    walkers = Walkers(boot_ms=box.boot_ms)
    box.let(walkers, 60, in_=1)
    box.let(walkers, 60, in_=2)
    before = listener.payloads(TOPIC)
    box.synchronise("2026-03-02T11:00:00+08:00")
    box.let(walkers, 5)

    assert [] == before
    expect(listener, {"2026-03-02T09:00:00+08:00": 360, "2026-03-02T10:00:00+08:00": 720})


@pytest.mark.parametrize("step_s", [-1_500.0, -40.0, 40.0, 1_500.0])
def test_a_step_inside_an_hour(real_box: tuple[MakeBox, Listener], step_s: float) -> None:
    """Forward or back, by little or much: everybody is in one hour, and in one only."""
    make, listener = real_box
    box = make("2026-03-02T09:27:00+08:00")
    walkers = Walkers(boot_ms=box.boot_ms)
    box.let(walkers, 3, in_=1)
    box.step(step_s)
    box.let(walkers, 3, in_=1)
    box.let(walkers, 3)
    box.let(walkers, 90)

    expect(listener, {"2026-03-02T09:00:00+08:00": 36})


def test_a_leap_of_years(real_box: tuple[MakeBox, Listener]) -> None:
    """A clock that says another year, for less than two minutes, moves nobody."""
    make, listener = real_box
    box = make("2026-03-02T09:00:00+08:00")
    walkers = Walkers(boot_ms=box.boot_ms)
    box.let(walkers, 10, in_=1)
    box.step(366 * 86_400)
    box.let(walkers, 1, in_=1)
    box.step(-366 * 86_400)
    box.let(walkers, 5, in_=1)
    box.let(walkers, 60)

    expect(listener, {"2026-03-02T09:00:00+08:00": 96})
    assert all(start.startswith("2026-03-02T") for start in hours(listener))


@pytest.mark.parametrize(
    ("wall", "timezone", "starts"),
    [
        (
            "2026-03-29T00:00:00+00:00",
            "Europe/Berlin",
            ["2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"],
        ),
        (
            "2026-10-25T00:00:00+00:00",
            "Europe/Berlin",
            ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"],
        ),
        (
            "2026-03-02T09:00:00+05:30",
            "Asia/Kolkata",
            [f"2026-03-02T{hour:02}:00:00+05:30" for hour in (9, 10, 11)],
        ),
        (
            "2026-03-02T09:00:00+05:45",
            "Asia/Kathmandu",
            [f"2026-03-02T{hour:02}:00:00+05:45" for hour in (9, 10, 11)],
        ),
    ],
)
def test_zones_and_their_changes(
    real_box: tuple[MakeBox, Listener], wall: str, timezone: str, starts: list[str]
) -> None:
    """An hour that is left out, one that happens twice, and zones that are half an hour or three quarters off."""
    make, listener = real_box
    box = make(wall, timezone=timezone)
    walkers = Walkers(boot_ms=box.boot_ms)
    for number in range(3):
        box.let(walkers, 60, in_=number + 1)
    box.let(walkers, 5)

    expect(listener, {start: 360 * (number + 1) for number, start in enumerate(starts)})


def test_a_reboot_without_network(real_box: tuple[MakeBox, Listener]) -> None:
    """Power cut, an hour without knowing the time, then the time: both boots' counts in their hours."""
    make, listener = real_box
    box = make("2026-03-02T09:00:00+08:00")
    walkers = Walkers(run=1, boot_ms=box.boot_ms)
    box.let(walkers, 30, in_=1)
    box.boot("2026-03-02T09:30:00+08:00", synchronised=False)
    walkers = Walkers(run=2, boot_ms=box.boot_ms)
    box.let(walkers, 60, in_=1)
    box.synchronise("2026-03-02T11:05:00+08:00")
    box.let(walkers, 60)

    expect(
        listener, {"2026-03-02T09:00:00+08:00": 180, "2026-03-02T10:00:00+08:00": 330, "2026-03-02T11:00:00+08:00": 30}
    )


def test_a_boot_that_never_knew_the_time(real_box: tuple[MakeBox, Listener], tmp_path: Path) -> None:
    """Its counts are in no hour, and in the ledger for whoever asks; the next boot tells its own."""
    make, listener = real_box
    box = make("1970-01-01T00:00:10+00:00", synchronised=False)
    box.let(Walkers(run=1, boot_ms=box.boot_ms), 30, in_=1)
    box.boot("2026-03-02T09:00:00+08:00", synchronised=True)
    walkers = Walkers(run=2, boot_ms=box.boot_ms)
    box.let(walkers, 60, in_=1)
    box.let(walkers, 5)
    expect(listener, {"2026-03-02T09:00:00+08:00": 360})
    assert box.process is not None
    box.process.send_signal(signal.SIGTERM)
    ended = box.process.wait(PATIENCE_S)
    box.process = None
    with LedgerView.opened(tmp_path / "ledger.sqlite") as ledger:
        unplaced = ledger.without_wall_time()

    assert 0 == ended
    assert [("boot-1", "door-a", "entrance", 180, 0)] == unplaced
