"""A ledger on disks that are full, or mounted read-only: real small disks, filled to the last byte."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.config.schema import PublisherSettings
from edge.core.errors import LedgerFull
from edge.core.hour import HOUR_MS
from edge.publisher.ledger.file import RESERVE_BYTES
from edge.publisher.ledger.ledger import Ledger
from edge.publisher.ledger.view import LedgerView
from tests.publisher.rig import Box, Listener, Mosquitto, Walkers, wait_until

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
NINE = "2026-03-02T09:00:00+08:00"
HOURS = 3


@pytest.fixture(name="disk")
def _disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "small", folder], check=False).returncode:
        pytest.skip("NO RIGHT TO MOUNT A SMALL DISK HERE")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(name="bench")
def _bench(settings: Callable[..., PublisherSettings], disk: Path) -> Box:
    """Return a box with some hours that wait, whose ledger is on the disk and closed."""
    bench = Box(settings(folder=disk), NINE)
    walkers = Walkers(boot_ms=bench.clock.boot)
    for _ in range(HOURS * 60 + 3):
        bench.clock.advance(60_000)
        bench.take(walkers.reading(bench.clock.boot, in_=1))
    assert HOURS == len(bench.builder.outbox("door-a", 10))
    bench.kill()
    return bench


def fill(disk: Path) -> None:
    """Leave no byte."""
    with (disk / "filling").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (65_536, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    assert 0 == os.statvfs(disk).f_bavail


def reserve(disk: Path) -> Path:
    return disk / "ledger.sqlite.reserve"


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)


def test_room_is_set_aside(bench: Box, disk: Path) -> None:
    """A ledger that was opened once has its reserve beside it, made of real blocks."""
    status = reserve(disk).stat()

    assert RESERVE_BYTES == status.st_size
    assert RESERVE_BYTES <= status.st_blocks * 512
    assert not Path(f"{reserve(disk)}.new").exists()
    assert bench.settings.ledger.exists()


def test_starting_on_a_full_disk(bench: Box, disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The next boot on a full disk: what waits is there to be sent, and that it was sent is noted and kept."""
    fill(disk)
    bench.clock.advance(HOUR_MS)
    bench.clock.boot, bench.clock.boot_id = 20_000, "b2"
    bench.open()
    waiting = bench.builder.outbox("door-a", 10)
    for row in waiting:
        bench.builder.acknowledge(row)
    bench.builder.turn(last=True)
    bench.kill()
    with LedgerView.opened(bench.settings.ledger) as view:
        delivered = [row.delivered_ms is not None for row in view.latest("door-a", 0)[:HOURS]]

    assert HOURS <= len(waiting)
    assert [True] * HOURS == delivered
    assert 1 == sum("the disk is full; the reserve beside it is used" in record.message for record in caplog.records)
    assert not reserve(disk).exists()


@pytest.mark.parametrize("log", [False, True], ids=["no log", "log"])
def test_without_a_reserve_a_copy_in_memory_is_sent(
    bench: Box, disk: Path, caplog: pytest.LogCaptureFixture, *, log: bool
) -> None:
    """
    Where nothing was set aside, what waits is there to be sent all the same, the full disk is named, and nothing is
    written; with the room comes the file, which gets what was sent and counted meanwhile.
    """
    if log:
        leave_a_log(bench)
    reserve(disk).unlink()
    Path(f"{bench.settings.ledger}-shm").unlink(missing_ok=True)
    fill(disk)
    bench.clock.advance(HOUR_MS)
    bench.clock.boot, bench.clock.boot_id = 20_000, "b2"
    walkers = Walkers(run=2, boot_ms=bench.clock.boot)
    bench.open()
    waiting = bench.builder.outbox("door-a", 10)
    for row in waiting:
        bench.builder.acknowledge(row)
    bench.clock.advance(60_000)
    bench.take(walkers.reading(bench.clock.boot, in_=7))
    offered, full, summary = bench.builder.outbox("door-a", 10), bench.builder.full, bench.builder.summary()
    seen_meanwhile = seen(bench)
    (disk / "filling").unlink()
    bench.clock.advance(60_000)
    bench.take(walkers.reading(bench.clock.boot, in_=1))
    bench.kill()
    with LedgerView.opened(bench.settings.ledger) as view:
        delivered = [row.delivered_ms is not None for row in view.latest("door-a", 0)[:HOURS]]
        since_start = view.since_start("door-a")

    assert HOURS == len(waiting)
    assert [] == offered
    assert (True, True) == (full, "DISK FULL" in summary)
    assert (HOURS, 20 if log else 0) == seen_meanwhile
    assert [True] * HOURS == delivered
    assert since_start is not None
    assert {"entrance": (8, 0)} == since_start.lines
    assert 1 == sum("hours are sent from a copy in memory" in record.message for record in caplog.records)
    assert RESERVE_BYTES == reserve(disk).stat().st_size
    assert [] == list(disk.glob("*aside*"))


def test_a_full_disk_takes_nothing_away(bench: Box, disk: Path) -> None:
    """Without a reserve the file stays as it was, byte for byte, and who wants to write is told of the full disk."""
    reserve(disk).unlink()
    fill(disk)
    before = bench.settings.ledger.read_bytes()
    ledger = Ledger(bench.settings.ledger, "b2", 0)

    with pytest.raises(LedgerFull, match="the disk is full"), ledger.transaction():
        pytest.fail("nothing can be written")
    ledger.close()
    assert before == bench.settings.ledger.read_bytes()


def test_a_first_start_on_a_full_disk(disk: Path, settings: Callable[..., PublisherSettings]) -> None:
    """A box whose disk is full before it has a ledger waits for room, and then begins one."""
    bench = Box(settings(folder=disk), NINE)
    bench.kill()
    for file in disk.glob("ledger.sqlite*"):
        if file.suffix != ".lock":
            file.unlink()
    fill(disk)
    bench.open()
    bench.clock.advance(60_000)
    bench.take(Walkers(boot_ms=bench.clock.boot).reading(bench.clock.boot, in_=3))
    full = bench.builder.full
    (disk / "filling").unlink()
    bench.clock.advance(60_000)
    bench.builder.turn(last=True)
    bench.kill()
    with LedgerView.opened(bench.settings.ledger) as view:
        since_start = view.since_start("door-a")

    assert full
    assert since_start is not None
    assert {"entrance": (3, 0)} == since_start.lines


def test_the_reserve_comes_back_with_the_room(bench: Box, disk: Path) -> None:
    """Once somebody has made room, the next start sets it aside again."""
    fill(disk)
    Ledger(bench.settings.ledger, "b2", 0).close()
    used = not reserve(disk).exists()
    (disk / "filling").unlink()
    Ledger(bench.settings.ledger, "b2", 1).close()

    assert used
    assert RESERVE_BYTES == reserve(disk).stat().st_size


@pytest.mark.parametrize("room", [True, False], ids=["reserve", "no reserve"])
def test_the_publisher_sends_from_a_full_disk(
    bench: Box, disk: Path, config_text: Callable[..., str], mosquitto: Mosquitto, listen: Callable[..., Listener],
    tmp_path: Path, *, room: bool,
) -> None:  # fmt: skip
    """The real command, started on a full disk, tells headquarters every hour that waits, and ends in good order."""
    if not room:
        reserve(disk).unlink()
    config = tmp_path / "footfall.yaml"
    config.write_text(config_text(folder=disk, port=mosquitto.port))
    with LedgerView.opened(bench.settings.ledger) as view:
        waiting = [row.payload.decode() for row in view.outbox("door-a", 10)]
    os.mkfifo(disk / "door-a.tally")
    fill(disk)
    listener = listen(mosquitto.port)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "edge", "publisher", "--config", config], cwd=ROOT, stderr=log, stdout=log
        )
    try:
        topic = "footfall/v1/sh-023/door-a/hour"
        wait_until(lambda: set(waiting) <= set(listener.payloads(topic)), "the hours to arrive", 60)
        process.send_signal(signal.SIGTERM)

        assert 0 == process.wait(60), (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait()
    with LedgerView.opened(bench.settings.ledger) as view:
        assert (set() if room else set(waiting)) == {row.payload.decode() for row in view.outbox("door-a", 10)} & set(
            waiting
        )


KILLED = """
import os, sys
from pathlib import Path
from edge.publisher.ledger.ledger import Ledger
from tests.publisher.rig import Walkers

ledger = Ledger(Path(sys.argv[1]), "b9", 0)
walkers = Walkers(run=9)
with ledger.transaction():
    ledger.record("door-a", [("entrance", walkers.reading(beat * 10_000, in_=1)) for beat in range(20)])
os.kill(os.getpid(), 9)
"""


def leave_a_log(bench: Box) -> None:
    """Write twenty readings and die, so that they are in the write-ahead log only."""
    subprocess.run([sys.executable, "-c", KILLED, bench.settings.ledger], check=False, cwd=ROOT)
    assert Path(f"{bench.settings.ledger}-wal").stat().st_size


def seen(bench: Box) -> tuple[int, int]:
    """Return how many hours a reader finds, and how many of the twenty people."""
    with LedgerView.opened(bench.settings.ledger) as view:
        people = dict.fromkeys([("b9", "door-a", "entrance")], 0)
        people |= {(boot, camera, line): in_ for boot, camera, line, in_, _ in view.without_wall_time()}
        return len(view.latest("door-a", 0)), people["b9", "door-a", "entrance"]


@pytest.mark.parametrize("shared_memory", [True, False], ids=["with shared memory", "without"])
@pytest.mark.parametrize("log", [False, True], ids=["no log", "log"])
@pytest.mark.parametrize("disks", ["full", "read-only"])
def test_status_and_counts_can_read(bench: Box, disk: Path, disks: str, *, log: bool, shared_memory: bool) -> None:
    """Without a publisher, on a full disk and on a card mounted read-only, whatever the last one left beside it."""
    if log:
        leave_a_log(bench)
    if not shared_memory:
        Path(f"{bench.settings.ledger}-shm").unlink(missing_ok=True)
    if disks == "full":
        fill(disk)
    else:
        remount(disk, "ro")
    before = {path.name: path.stat().st_size for path in disk.iterdir()}

    assert (HOURS, 20 if log else 0) == seen(bench)
    assert before.items() <= {path.name: path.stat().st_size for path in disk.iterdir()}.items()
