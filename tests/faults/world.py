"""A box, a broker and headquarters, all real processes, and the one account of what must come out at the end."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from edge.core.tally import BEAT_MS
from edge.headquarters import broker_certificates
from tests.faults.clock import Hand
from tests.faults.nursery import Nursery
from tests.faults.relay import Relay
from tests.faults.walkers import KEYS, LINES, Board
from tests.publisher.rig import Mosquitto
from tests.publisher.wire import Proxy

SPEED = 600.0
"""Seconds of the box's clock in a real one."""
DEADLINE_S = 60.0
ROOM = "48m"
PASSWORD = "crossing"  # noqa: S105 - of a broker that lives for minutes
_EX_IOERR = 74

CONFIG = """
site: sh-023
timezone: {zone}
cameras:
  door-a:
    source: /dev/video0
    lines:
      entrance: {{from: [0.1, 0.5], to: [0.9, 0.5], inside: [0.5, 0.9]}}
      side: {{from: [0.1, 0.3], to: [0.9, 0.3], inside: [0.5, 0.9]}}
broker:
  host: 127.0.0.1
  port: {port}
  username: box
  password_file: {folder}/password
  tls: {{ca_file: {folder}/ca.pem}}
  keepalive_s: 5
ledger: {folder}/disk/ledger.sqlite
tally_dir: {folder}
"""


class Wrong(AssertionError):
    """The promise doesn't hold."""


@dataclass
class Run:
    """One life of vision: the truth about it, and what became of it."""

    board: Board
    boot: str
    lost: int = 0
    ended: bool = False
    safe: bool = False
    """Whether headquarters has all of it."""
    told: dict[str, tuple[int, int]] = field(default_factory=dict)
    """In and out of each line, in the last reading that got out."""


@dataclass
class Sums:
    """What the rounds have come to."""

    counted: int = 0
    lost_by_kill: int = 0
    most_lost_ms: int = 0
    """From the last reading that got out to the last crossing that was lost, boot time, with a diode that had room."""
    lost_by_choke: int = 0
    lost_by_power: int = 0
    unplaced: int = 0
    hours: int = 0
    messages: int = 0
    corrections: int = 0
    most_revisions: int = 0
    faults: Counter[str] = field(default_factory=Counter)


def wait_until(condition: Callable[[], object], what: Callable[[], str], deadline_s: float = DEADLINE_S) -> None:
    """Return as soon as *condition* holds; Wrong after *deadline_s*."""
    until_s = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > until_s:
            raise Wrong(f"waited {deadline_s:.0f} s in vain for: {what()}")
        time.sleep(0.01)


class World:
    """
    Everything that runs.

    Args:
        folder: Empty; stays after a failure.
        dice: The seed's.
        zone: The site's.
    """

    def __init__(self, folder: Path, dice: random.Random, zone: str) -> None:
        self.folder = folder
        self.dice = dice
        self.sums = Sums()
        self.runs: list[Run] = []
        self.choked_ms = 0
        """Boot time at which the diode last had no room."""
        self._disk = folder / "disk"
        self._disk.mkdir()
        _mount(self._disk)
        self.ledger = self._disk / "ledger.sqlite"
        self.filler = self._disk / "filler"
        self.clock = Hand(folder / "clock", round(datetime(2026, 3, 28, 20, 10, tzinfo=UTC).timestamp() * 1000), SPEED)
        self._true_offset_ms = self.clock.wall_ms() - self.clock.boot_ms()
        _write_secrets(folder)
        self.broker = Mosquitto(folder, _broker_options(folder), keeps=True)
        self.start_broker()
        self.proxy = Proxy(self.broker.port)
        self.relay = Relay(folder / "vision.tally", folder / "door-a.tally", dice.randrange(2**32))
        (folder / "footfall.yaml").write_text(CONFIG.format(zone=zone, port=self.proxy.port, folder=folder))
        log = folder / "processes.log"
        self.publisher = Nursery("publisher", log)
        self.vision = Nursery("walkers", log)
        self.headquarters = Nursery("subscriber", log)
        self.start_headquarters()
        self.start_publisher()
        self.start_vision()

    # --- starting and ending -----------------------------------------------------------------------------------------

    def start_publisher(self) -> None:
        """Start the publisher if it is dead."""
        if self.publisher.pid is None:
            self.publisher.start(settings=str(self.folder / "footfall.yaml"), clock=str(self.folder / "clock"))

    def start_broker(self) -> None:
        """Start the broker if it is dead."""
        if self.broker.process is None:
            self.broker.start()

    def start_headquarters(self) -> None:
        """Start the subscriber if it is dead."""
        if self.headquarters.pid is None:
            self.headquarters.start(
                store=str(self.folder / "hq.sqlite"),
                port=self.broker.port,
                ca_file=str(self.folder / "ca.pem"),
                password=PASSWORD,
            )

    def start_vision(self) -> None:
        """Begin a new run if vision is dead."""
        if self.vision.pid is None:
            path = self.folder / f"board-{len(self.runs)}"
            self.runs.append(Run(Board(path), self.clock.boot_id))
            self.vision.start(
                clock=str(self.folder / "clock"),
                board=str(path),
                fifo=str(self.folder / "vision.tally"),
                seed=self.dice.randrange(2**32),
            )

    def end_vision(self, number: signal.Signals, *, power: bool = False) -> None:
        """End the run; what was counted and not told is settled later, when the pipe has been emptied."""
        if self.vision.pid is None:
            return
        self.vision.end(number)
        run = self.runs[-1]
        run.ended = True
        choked = self.relay.paused
        if power:
            return
        self.relay.paused = False
        wait_until(self._pipe_is_empty, lambda: "vision's pipe to be empty")
        self.relay.paused = choked
        newest = self._note_told(run)
        run.lost = run.board.counted - sum(map(sum, run.told.values()))
        if choked or newest <= self.choked_ms:
            self.sums.lost_by_choke += run.lost
            return
        self.sums.lost_by_kill += run.lost
        if run.lost:
            late_ms = run.board.stamps(run.lost)[-1] - newest
            self.sums.most_lost_ms = max(self.sums.most_lost_ms, late_ms)
            if late_ms > BEAT_MS:
                raise Wrong(f"a crossing was lost {late_ms} ms after the last reading of its run")

    def _pipe_is_empty(self) -> bool:
        time.sleep(0.02)
        return not self.relay.unread()

    def _note_told(self, run: Run) -> int:
        """Take over what the relay has seen of *run*; return the boot time of its last reading, ms."""
        newest = 0
        for (number, key), tally in list(self.relay.told.items()):
            if number == run.board.run:
                run.told[KEYS[key]] = (tally.in_, tally.out)
                newest = max(newest, tally.boot_ms)
        return newest

    def cut_power(self, off_ms: int, wall_error_ms: int) -> None:
        """End everything on the box at once; what isn't in the ledger is gone."""
        self.end_vision(signal.SIGKILL, power=True)
        self.publisher.end(signal.SIGKILL)
        self.filler.unlink(missing_ok=True)
        boot = self.clock.boot_id
        self.relay.lose()
        written = self.written(boot)
        for run in self.runs:
            if run.boot == boot and not run.safe:
                run.told = {line: written.get((run.board.run, line), (0, 0)) for line in LINES}
                lost = run.board.counted - run.lost - sum(map(sum, run.told.values()))
                run.lost += lost
                self.sums.lost_by_power += lost
        true_ms = self.true_ms() + off_ms
        self.clock.reboot(off_ms, wall_error_ms=wall_error_ms)
        self._true_offset_ms = true_ms - self.clock.boot_ms()

    def true_ms(self) -> int:
        """Return the right wall time."""
        return self.clock.boot_ms() + self._true_offset_ms

    def mend(self) -> None:
        """Put everything right that may still be broken."""
        self.filler.unlink(missing_ok=True)
        self.relay.mischief.clear()
        self.relay.paused = False
        self.proxy.silent = False
        self.start_broker()
        self.start_headquarters()
        self.start_publisher()
        self.start_vision()

    def keep_alive(self) -> None:
        """Start again what systemd would; Wrong if something died that had no reason to."""
        for process in (self.publisher, self.vision, self.headquarters):
            code = process.code() if process.pid is not None else None
            if code is not None and not (process is self.publisher and code == _EX_IOERR and self.filler.exists()):
                raise Wrong(f"{process.kind} ended with {code}; see {self.folder}/processes.log")

    # --- the account -------------------------------------------------------------------------------------------------

    def written(self, boot: str) -> dict[tuple[int, str], tuple[int, int]]:
        """Return the last reading of each run and line of a boot in the ledger: in and out."""
        with self._read(self.ledger) as ledger:
            rows = ledger.execute(
                "SELECT s.run, s.line, r.in_, r.out, max(r.sequence) FROM readings r JOIN streams s ON s.id = r.stream"
                " JOIN boots b ON b.id = s.boot WHERE b.boot_id = ? GROUP BY s.id",
                (boot,),
            ).fetchall()
        return {(run, line): (in_, out) for run, line, in_, out, _ in rows}

    def newest_told(self, board: Board) -> int:
        """Return the sequence of a run's newest reading that got out of vision; -1 if there is none."""
        told = list(self.relay.told.items())
        return max((tally.sequence for (number, _), tally in told if number == board.run), default=-1)

    def counted_told(self, board: Board) -> int:
        """Return how many crossings a run's newest readings that got out of vision tell of."""
        told = list(self.relay.told.items())
        return sum(tally.in_ + tally.out for (number, _), tally in told if number == board.run)

    def newest_written(self, board: Board) -> int:
        """Return the sequence of a run's newest reading of every line in the ledger; -1 if one has none."""
        with self._read(self.ledger) as ledger:
            rows = ledger.execute(
                "SELECT max(r.sequence) FROM readings r JOIN streams s ON s.id = r.stream"
                " WHERE s.run = ? GROUP BY s.id",
                (board.run,),
            ).fetchall()
        return min((sequence for (sequence,) in rows), default=-1) if len(rows) == len(LINES) else -1

    def placed(self) -> set[str]:
        """Return the boots that have a place in time."""
        with self._read(self.ledger) as ledger:
            return {boot for (boot,) in ledger.execute("SELECT boot_id FROM boots WHERE offset_ms IS NOT NULL")}

    def waiting(self) -> int:
        """Return how many hours no broker has acknowledged."""
        with self._read(self.ledger) as ledger:
            number: int = ledger.execute("SELECT count(*) FROM hours WHERE delivered_ms IS NULL").fetchone()[0]
            return number

    def expected(self) -> Counter[tuple[str, str]]:
        """Return what headquarters must have by line and direction: what vision told in boots that are placed."""
        placed = self.placed()
        sums: Counter[tuple[str, str]] = Counter()
        for run in self.runs:
            if run.boot in placed:
                for line, (in_, out) in run.told.items():
                    sums[line, "in"] += in_
                    sums[line, "out"] += out
        return +sums

    def stored(self) -> Counter[tuple[str, str]]:
        """Return what headquarters has, summed over its hours."""
        sums: Counter[tuple[str, str]] = Counter()
        with self._read(self.folder / "hq.sqlite") as store:
            for lines, in_, out in store.execute('SELECT lines, "in", out FROM hours'):
                counts = json.loads(lines)
                for line, count in counts.items():
                    for direction in ("in", "out"):
                        sums[line, direction] += count[direction]
                if (in_, out) != tuple(sum(count[d] for count in counts.values()) for d in ("in", "out")):
                    raise Wrong(f"an hour's sums aren't those of its lines: {lines}")
        return +sums

    def _is_ledger_made(self) -> bool:
        """Tell whether the ledger is there with its tables: SQLite makes the file first."""
        if not self.ledger.exists():
            return False
        with self._read(self.ledger) as ledger:
            return bool(ledger.execute("SELECT count(*) FROM sqlite_master WHERE name = 'readings'").fetchone()[0])

    def _last_placed_ms(self) -> int:
        """Return the wall time of the last placed reading: a boot whose clock was wrong may have it in the future."""
        wait_until(self._is_ledger_made, lambda: "there is no ledger yet", DEADLINE_S)
        with self._read(self.ledger) as ledger:
            last: int | None = ledger.execute(
                "SELECT max(r.boot_ms + b.offset_ms) FROM readings r JOIN streams s ON s.id = r.stream"
                " JOIN boots b ON b.id = s.boot"
            ).fetchone()[0]
        return last or 0

    def settle(self, deadline_s: float = DEADLINE_S) -> None:
        """Let everybody stand still, let the hour end, and hold headquarters' sums against the truth."""
        run = self.runs[-1]
        run.board.still = True
        time.sleep(0.01)

        def told() -> bool:
            self.keep_alive()
            self._note_told(run)
            return sum(map(sum, run.told.values())) == run.board.counted and self.relay.drained()

        wait_until(told, lambda: f"the last reading: {run.told} of {run.board.counted}")
        # Past the hour's end, the grace and the widest spread; and a jump of the clock has stood.
        self.clock.advance(max(0, self._last_placed_ms() - self.clock.wall_ms()) + 3_600_000 + 200_000)

        def right() -> bool:
            with contextlib.suppress(sqlite3.OperationalError):
                return told() and self.stored() == self.expected() and self.waiting() == 0
            return False

        wait_until(right, lambda: f"headquarters has {self.stored()}, the truth is {self.expected()}", deadline_s)
        # It must stay right: nothing that is still under way changes it.
        time.sleep(0.1)
        if not right():
            wait_until(right, lambda: f"it was right, and then: {self.stored()}, not {self.expected()}", 10.0)
        for other in self.runs:
            other.safe = other.ended and other.boot in self.placed()
        self._balance()
        run.board.still = False

    def _balance(self) -> None:
        """Hold all that has crossed against what became of it, while everybody stands still."""
        placed = self.placed()
        self.sums.counted = sum(run.board.counted for run in self.runs)
        self.sums.unplaced = sum(sum(map(sum, run.told.values())) for run in self.runs if run.boot not in placed)
        lost = self.sums.lost_by_kill + self.sums.lost_by_choke + self.sums.lost_by_power
        total = sum(self.stored().values())
        if self.sums.counted != total + lost + self.sums.unplaced:
            raise Wrong(f"{self.sums.counted} crossed; {total} stored, {lost} lost, {self.sums.unplaced} unplaced")

    def finish(self) -> Sums:
        """Check what headquarters was promised about repeats; return the sums, as of the last time all stood still."""
        seen: dict[tuple[str, str, str, int], str] = {}
        with self._read(self.folder / "hq.sqlite") as store:
            for (payload,) in store.execute("SELECT payload FROM arrivals WHERE topic LIKE '%/hour'"):
                hour = json.loads(payload)
                key = (hour["site"], hour["camera"], hour["start"], hour["revision"])
                if seen.setdefault(key, payload) != payload:
                    raise Wrong(f"two messages of {key}: {seen[key]} and {payload}")
                self.sums.messages += 1
        self.sums.hours = len({key[:3] for key in seen})
        self.sums.corrections = len(seen) - self.sums.hours
        self.sums.most_revisions = max(key[3] for key in seen)
        return self.sums

    @contextlib.contextmanager
    def _read(self, path: Path) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
            yield connection

    def close(self) -> None:
        """End everything."""
        for process in (self.vision, self.publisher, self.headquarters):
            process.close()
        self.relay.close()
        self.proxy.close()
        self.broker.stop()
        shutil.copytree(self._disk, self.folder / "disk-at-the-end", dirs_exist_ok=True)
        subprocess.run(["umount", "-l", str(self._disk)], check=False, capture_output=True)


def _mount(disk: Path) -> None:
    """Make *disk* a small disk of its own."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM},mode=700", "tmpfs", str(disk)],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise PermissionError(f"the harness fills a disk of its own and has to mount one: {done.stderr.strip()}")


def _write_secrets(folder: Path) -> None:
    """Make an authority, the broker's certificate, the passwords."""

    def run(*command: str) -> None:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    broker_certificates.make(folder, "127.0.0.1")
    run("mosquitto_passwd", "-b", "-c", "passwords", "box", PASSWORD)
    run("mosquitto_passwd", "-b", "passwords", "headquarters", PASSWORD)
    secret = folder / "password"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)


def _broker_options(folder: Path) -> list[str]:
    return [
        "allow_anonymous false",
        f"password_file {folder}/passwords",
        f"certfile {folder}/broker.pem",
        f"keyfile {folder}/broker.key",
    ]
