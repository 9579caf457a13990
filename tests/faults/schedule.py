"""
The faults, and a round of them: what happens when, drawn by the seed's dice.

Each fault does its harm to the world, yields how long it lasts (s of real time) and mends what it broke. Faults of a
round overlap.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import shutil
import signal
import sqlite3
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.faults.world import World

Fault = Callable[[World], Iterator[float]]

ROUND_S = 1.2


def kill_vision(world: World) -> Iterator[float]:
    """End vision by SIGKILL, or now and then by SIGTERM, as an update does."""
    world.end_vision(signal.SIGKILL if world.dice.random() < 0.8 else signal.SIGTERM)
    yield world.dice.uniform(0, 0.3)
    world.start_vision()


def kill_publisher(world: World) -> Iterator[float]:
    """End the publisher by SIGKILL, or now and then by SIGTERM."""
    world.publisher.end(signal.SIGKILL if world.dice.random() < 0.8 else signal.SIGTERM)
    yield world.dice.uniform(0, 0.4)
    world.start_publisher()


def kill_both(world: World) -> Iterator[float]:
    """End both at once: nothing but what vision had counted since its last reading may be gone."""
    world.publisher.end(signal.SIGKILL)
    world.end_vision(signal.SIGKILL)
    yield world.dice.uniform(0, 0.2)
    world.start_vision()
    world.start_publisher()


def kill_broker(world: World) -> Iterator[float]:
    """End the broker by SIGKILL; it starts again from what it had on disk."""
    world.broker.stop()
    yield world.dice.uniform(0, 0.5)
    world.start_broker()


def kill_headquarters(world: World) -> Iterator[float]:
    """Kill the subscriber, between commit and acknowledgement or anywhere else."""
    world.headquarters.end(signal.SIGKILL)
    yield world.dice.uniform(0, 0.4)
    world.start_headquarters()


def silence(world: World) -> Iterator[float]:
    """Let every packet between box and broker vanish, both ways, without a word."""
    world.proxy.silent = True
    yield world.dice.uniform(0.1, 0.8)
    world.proxy.silent = False


def hang_up(world: World) -> Iterator[float]:
    """Break the connection, in the middle of whatever was said."""
    world.proxy.hang_up()
    yield 0


def step_clock(world: World) -> Iterator[float]:
    """Step the wall clock, by seconds, minutes or a day; now and then back again."""
    dice = world.dice
    most_ms = dice.choice((59_000, 50 * 60_000, 30 * 3_600_000))
    step_ms = dice.randint(1_000, most_ms) * dice.choice((1, -1))
    world.clock.step(step_ms)
    yield dice.uniform(0, 0.6)
    if dice.random() < 0.5:
        world.clock.step(-step_ms)


def lose_time(world: World) -> Iterator[float]:
    """Let the kernel vouch for its clock no longer, for a while."""
    world.clock.synchronise(synchronised=False)
    yield world.dice.uniform(0, 0.6)
    world.clock.synchronise()


def fill_disk(world: World) -> Iterator[float]:
    """Leave no byte on the ledger's disk; a publisher that starts now can't."""
    filler = os.open(world.filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for size in (1 << 20, 1 << 12, 1):
        with contextlib.suppress(OSError):
            while True:
                os.write(filler, bytes(size))
    os.close(filler)
    yield world.dice.uniform(0.1, 0.8)
    world.filler.unlink(missing_ok=True)
    world.start_publisher()


def tear_ledger(world: World) -> Iterator[float]:
    """Kill the publisher in the middle of a commit, as far as the file can show it: half a frame at the log's end."""
    world.publisher.end(signal.SIGKILL)
    log = Path(f"{world.ledger}-wal")
    if log.exists() and not world.filler.exists():
        with log.open("ab") as file:
            file.write(world.dice.randbytes(world.dice.randint(1, 2_000)))
    yield world.dice.uniform(0, 0.1)
    world.start_publisher()


def forget_readings(world: World) -> Iterator[float]:
    """Take back the last commit of readings, which isn't forced to the disk; vision lives on and tells again."""
    world.publisher.end(signal.SIGKILL)
    if world.filler.exists() or world.vision.pid is None:
        world.start_publisher()
        return
    if _cut_log(world):
        world.sums.faults["readings cut off"] += 1
    world.start_publisher()
    # The account holds again with the run's next reading in the ledger: nothing else may happen until then.
    until_s = time.monotonic() + 20
    run = world.runs[-1].board
    newest = world.newest_told(run)
    while time.monotonic() < until_s and world.newest_written(run) <= newest:
        world.keep_alive()
        time.sleep(0.01)
    yield 0


def choke(world: World) -> Iterator[float]:
    """Take nothing out of vision's pipe until it is full, and then some."""
    world.relay.paused = True
    yield world.dice.uniform(0.2, 1.0)
    world.choked_ms = world.clock.boot_ms()
    world.relay.paused = False


def tamper(world: World) -> Iterator[float]:
    """Let records come twice, or not at all, or in another order."""
    kinds = {kind for kind in ("repeat", "drop", "reorder") if world.dice.random() < 0.6}
    world.relay.mischief |= kinds
    yield world.dice.uniform(0.2, 1.0)
    world.relay.mischief -= kinds


def cut_power(world: World) -> Iterator[float]:
    """Cut off the whole box; it comes back without the time, learns it late, or is cut off again before."""
    dice = world.dice
    for last in (dice.random() < 0.7, True):
        error_ms = dice.choice((0, -dice.randint(0, 400) * 86_400_000, -dice.randint(0, 6 * 3_600_000)))
        world.cut_power(dice.randint(30_000, 5 * 3_600_000), error_ms)
        world.start_vision()
        world.start_publisher()
        yield dice.uniform(0.05, 0.4)
        if last:
            break
    world.clock.set_wall(world.true_ms(), synchronised=True)


FAULTS: dict[str, tuple[Fault, int]] = {
    "SIGKILL vision": (kill_vision, 4),
    "SIGKILL publisher": (kill_publisher, 4),
    "SIGKILL both": (kill_both, 2),
    "SIGKILL broker": (kill_broker, 2),
    "SIGKILL headquarters": (kill_headquarters, 2),
    "network silent": (silence, 2),
    "connection cut": (hang_up, 2),
    "clock step": (step_clock, 3),
    "clock not synchronised": (lose_time, 2),
    "disk full": (fill_disk, 3),
    "torn ledger tail": (tear_ledger, 2),
    "readings not on disk": (forget_readings, 2),
    "full diode": (choke, 2),
    "records repeated, dropped, reordered": (tamper, 3),
    "power cut": (cut_power, 1),
}
"""Each with its weight."""


def play(world: World) -> list[str]:
    """Play one round; return its faults' names, in order."""
    dice = world.dice
    names = dice.choices(list(FAULTS), [weight for _, weight in FAULTS.values()], k=dice.randint(1, 4))
    began_s = time.monotonic()
    ticket = itertools.count()
    agenda = [(dice.uniform(0, ROUND_S), next(ticket), name, FAULTS[name][0](world)) for name in names]
    heapq.heapify(agenda)
    world.sums.faults.update(names)
    while agenda:
        at_s, _, name, fault = heapq.heappop(agenda)
        while (rest_s := began_s + at_s - time.monotonic()) > 0:
            time.sleep(min(rest_s, 0.05))
            world.keep_alive()
        lasts_s = next(fault, None)
        if lasts_s is not None:
            heapq.heappush(agenda, (max(at_s, time.monotonic() - began_s) + lasts_s, next(ticket), name, fault))
    world.mend()
    return names


def _cut_log(world: World) -> bool:
    """Take the last commit off the write-ahead log if it holds nothing but readings of the run that is alive."""
    log = Path(f"{world.ledger}-wal")
    ends = _commits(log)
    if len(ends) < 2:
        return False
    with tempfile.TemporaryDirectory(dir=world.folder) as name:
        whole, cut = Path(name, "whole"), Path(name, "cut")
        for copy in (whole, cut):
            shutil.copyfile(world.ledger, copy)
            shutil.copyfile(log, f"{copy}-wal")
        os.truncate(f"{cut}-wal", ends[-2])
        kept, lost = _books(whole), _books(cut)
    if kept[0] != lost[0] or {run for run, *_ in kept[1] - lost[1]} != {world.runs[-1].board.run}:
        return False
    os.truncate(log, ends[-2])
    return True


def _commits(log: Path) -> list[int]:
    """Return where each commit in a write-ahead log ends, bytes."""
    data = log.read_bytes() if log.exists() else b""
    if len(data) < 32:
        return []
    page, salt = struct.unpack(">I", data[8:12])[0], data[16:24]
    ends = []
    for at in range(32, len(data) - 24 - page + 1, 24 + page):
        if data[at + 8 : at + 16] != salt:
            break
        if struct.unpack(">I", data[at + 4 : at + 8])[0]:
            ends.append(at + 24 + page)
    return ends


def _books(path: Path) -> tuple[list[Any], set[tuple[int, int]]]:
    """Return what a ledger holds beside readings, and its readings as (run, sequence)."""
    connection = sqlite3.connect(path)
    try:
        rest = [
            connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall()  # noqa: S608 - names of ours
            for table in ("boots", "streams", "hours")
        ]
        readings: set[tuple[int, int]] = set(
            connection.execute("SELECT s.run, r.sequence FROM readings r JOIN streams s ON s.id = r.stream").fetchall()
        )
    finally:
        connection.close()
    return rest, readings
