"""
Power cuts, rebuilt: a publisher's ledger at full rate is recorded write by write, and disks are made of the record.

A power cut keeps what was synced, and of what was written since any part, down to single sectors, in any order. The
recorded process is a real one on a real file (write_recorder.c is preloaded); each rebuilt disk is opened as the next
boot would, and goes on until its hours are closed. FOOTFALL_CUTS says how many disks are made.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge.config import schema
from edge.core.hour import HOUR_MS
from edge.core.tally import BEAT_MS
from tests.publisher.rig import Box, Walkers

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).with_name("write_recorder.c")
NINE = "2026-03-02T09:00:00+08:00"
SECOND = "door-b: {source: /dev/video1, lines: {exit: {from: [0.1, 0.5], to: [0.9, 0.5], inside: [0.5, 0.9]}}}"
LINES = {"door-a": "entrance", "door-b": "exit"}
CUTS = int(os.environ.get("FOOTFALL_CUTS", "500"))
HOURS = 3.2
SECTOR = 512
MOST_LOST_MS = BEAT_MS
"""What docs/operations.md promises: a power cut takes the readings of at most the last beat."""


@dataclass(frozen=True)
class Operation:
    """What the process did to one file: kind W, T, S, U or M (a mark of its own, numbered by *offset*)."""

    kind: str
    file: int
    offset: int
    data: bytes


@dataclass(frozen=True)
class Record:
    """All operations, and at each mark what the outside world may have seen by then."""

    operations: Sequence[Operation]
    seen: Sequence[dict[str, Any]]


def run_recorded(config: Path, progress: Path) -> None:
    """Count at full rate on two cameras, close hours, let them be acknowledged; mark each turn. In the child."""
    mark = ctypes.CDLL(None).record_mark
    bench = Box(schema.load(config).publisher(), NINE)
    walkers = {
        camera: Walkers(run=number, boot_ms=bench.clock.boot, line=line)
        for number, (camera, line) in enumerate(LINES.items(), 1)
    }
    rows: dict[str, str] = {}
    with progress.open("w", encoding="utf-8") as out:
        for beat in range(round(HOURS * HOUR_MS / BEAT_MS)):
            bench.clock.advance(BEAT_MS)
            for camera, walker in walkers.items():
                bench.builder.take(camera, [walker.reading(bench.clock.boot, in_=beat % 3)])
            bench.builder.turn()
            new = [row for camera in LINES for row in bench.builder.outbox(camera, 10)]
            out.write(json.dumps({"boot_ms": bench.clock.boot, "new": [_name(*row.key) for row in new]}) + "\n")
            rows |= {_name(*row.key): row.payload.decode() for row in new}
            mark(beat)
            for row in new:
                bench.builder.acknowledge(row)
        out.write(json.dumps(rows) + "\n")
    bench.kill()


def _name(camera: str, start_ms: int, revision: int) -> str:
    return f"{camera} {start_ms} {revision}"


@pytest.fixture(name="config")
def _config(config_text: Callable[..., str], tmp_path: Path) -> Path:
    path = tmp_path / "footfall.yaml"
    path.write_text(config_text(second=SECOND, folder=tmp_path / "disk"))
    (tmp_path / "disk").mkdir()
    return path


@pytest.fixture(name="record")
def _record(config: Path, tmp_path: Path) -> Record:
    if shutil.which("gcc") is None:
        pytest.skip("NO GCC ON THIS MACHINE: apt-get install gcc")
    shim = tmp_path / "recorder.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-ffreestanding", "-nostdlib", "-Wall", "-Werror", "-o", shim, SOURCE],
        check=True,
    )
    progress = tmp_path / "progress"
    program = f"from {__name__} import run_recorded\nfrom pathlib import Path\n"
    program += f"run_recorded(Path({str(config)!r}), Path({str(progress)!r}))"
    environment = {
        "LD_PRELOAD": shim,
        "RECORD_PATH": tmp_path / "disk/ledger.sqlite",
        "RECORD_LOG": tmp_path / "writes",
    }
    subprocess.run(
        [sys.executable, "-c", program],
        check=True, cwd=ROOT, env={**os.environ, **{name: str(path) for name, path in environment.items()}},
    )  # fmt: skip
    *turns, rows = (json.loads(line) for line in progress.read_text(encoding="utf-8").splitlines())
    seen: list[dict[str, Any]] = []
    so_far: dict[str, str] = {}
    for turn in turns:
        so_far = {**so_far, **{name: rows[name] for name in turn["new"]}} if turn["new"] else so_far
        seen.append({"boot_ms": turn["boot_ms"], "rows": so_far})
    return Record(list(_operations((tmp_path / "writes").read_bytes())), seen)


def _operations(log: bytes) -> Iterator[Operation]:
    at = 0
    while at < len(log):
        kind, file, offset, length = struct.unpack_from("<cBQI", log, at)
        at += 14
        yield Operation(kind.decode(), file, offset, log[at : at + length])
        at += length


class Disk:
    """One file as a disk has it: what was synced, and the operations since, which a power cut may lose in any part."""

    def __init__(self) -> None:
        self._synced: bytearray | None = None
        self._late: list[Operation] = []

    def do(self, operation: Operation) -> None:
        """Take one operation; a sync makes everything so far last."""
        if operation.kind == "S":
            self._synced = self.after_a_cut(random.Random(0), 1.0)
            self._late.clear()
        else:
            self._late.append(operation)

    def after_a_cut(self, dice: random.Random, keep: float) -> bytearray | None:
        """
        Return what is left of the file; None if it isn't there.

        Args:
            dice: Decides over what wasn't synced.
            keep: How likely each sector of it is kept: 0 loses all, 1 keeps all, as the end of a process does.
        """
        content = None if self._synced is None else bytearray(self._synced)
        for operation in self._late:
            if operation.kind == "W":
                for sector in range(0, len(operation.data), SECTOR):
                    if dice.random() >= keep:
                        continue
                    content = bytearray() if content is None else content
                    part = operation.data[sector : sector + SECTOR]
                    begin = operation.offset + sector
                    content.extend(bytes(max(0, begin - len(content))))
                    content[begin : begin + len(part)] = part
            elif dice.random() >= keep:
                continue
            elif operation.kind == "T" and content is not None:
                del content[operation.offset :]
            elif operation.kind == "U":
                content = None
        return content


def cuts(operations: Sequence[Operation], dice: random.Random) -> list[tuple[int, float]]:
    """Return where to cut, in order, and how much to keep: a third near syncs, a third near checkpoints."""
    first = next(at for at, operation in enumerate(operations) if operation.kind == "M")
    syncs = [at for at, operation in enumerate(operations) if operation.kind == "S" and at > first]
    checkpoints = [at for at in syncs if operations[at].file == 0]
    chosen = []
    for number in range(CUTS):
        near = (syncs, checkpoints, range(first + 1, len(operations)))[number % 3]
        at = dice.choice(near) + (dice.randint(-12, 12) if number % 3 < 2 else 0)
        chosen.append((min(len(operations), max(first + 1, at)), (0.0, 1.0, 0.5, 0.9)[number // 3 % 4]))
    return sorted(chosen)


def test_no_power_cut_loses_or_doubles_an_hour(record: Record, config: Path, tmp_path: Path) -> None:
    """What headquarters may have seen stays as it was, what is on the disk is counted once, and nothing is corrupt."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    disk = tmp_path / "disk"
    settings = schema.load(config).publisher()
    files = {"ledger.sqlite": Disk(), "ledger.sqlite-wal": Disk()}
    lost_ms = []
    done = turns = 0
    for number, (at, keep) in enumerate(cuts(record.operations, dice)):
        what = f"seed {seed}, cut {number} before operation {at}, keeping {keep}"
        for operation in record.operations[done:at]:
            if operation.kind == "M":
                turns += 1
            else:
                list(files.values())[operation.file].do(operation)
        done = at
        seen = record.seen[turns - 1]
        for path in disk.iterdir():
            path.unlink()
        for name, file in files.items():
            content = file.after_a_cut(dice, keep)
            if content is not None:
                (disk / name).write_bytes(content)
        bench = Box(settings, NINE, boot_id="b2")
        kept = _rows(bench)
        newest = bench.ledger._connection.execute("SELECT max(boot_ms) FROM readings").fetchone()[0]
        lost_ms.append(seen["boot_ms"] - (newest or 0))

        assert not list(disk.glob("*aside*")), what
        assert seen["rows"].items() <= kept.items(), what

        people = _people(bench)
        bench.clock.wall += seen["boot_ms"] - 60_000 + 30_000
        bench.clock.boot = 20_000
        walkers = {
            camera: Walkers(run=10 + number, boot_ms=bench.clock.boot, line=line)
            for number, (camera, line) in enumerate(LINES.items())
        }
        for _ in range(14):
            bench.clock.advance(HOUR_MS // 12)
            for camera, walker in walkers.items():
                bench.builder.take(camera, [walker.reading(bench.clock.boot, in_=1)])
        bench.clock.advance(2 * HOUR_MS)
        bench.builder.turn()
        told = sum(hour["in"] for camera in LINES for hour in bench.hours(camera))

        assert people + 14 * len(LINES) == told, what
        assert kept.items() <= _rows(bench).items(), what
        bench.kill()
    print(f"{len(lost_ms)} cuts; readings of the last {max(lost_ms) / 1000:.0f} s were lost at most")

    assert max(lost_ms) <= MOST_LOST_MS


def _rows(bench: Box) -> dict[str, str]:
    found = bench.ledger._connection.execute("SELECT camera, start_ms, revision, payload FROM hours")
    return {_name(*key): payload.decode() for *key, payload in found}


def _people(bench: Box) -> int:
    """Return how many came in, as the newest reading of each line says."""
    found: int | None = bench.ledger._connection.execute(
        "SELECT sum(most) FROM (SELECT max(in_) AS most FROM readings GROUP BY stream)"
    ).fetchone()[0]
    return found or 0
