"""
A rehearsal on this machine: thousands of boxes, one broker, one collector, and an outage if wanted. Loopback only.

It starts its own mosquitto and the real collector, lets the boxes of :mod:`edge.headquarters.boxes` tell their hours,
and holds what is stored against what was told: each hour once. It is bounded, and stops by itself.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import multiprocessing.connection
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from edge.config.schema import Broker
from edge.core.clock import Clock
from edge.core.errors import ConfigError, ExtraMissing, RehearsalFailed
from edge.core.signals import Notice, stop_signals
from edge.headquarters import boxes
from edge.headquarters.address import open_store
from edge.headquarters.boxes import Figures, Plan
from edge.publisher.hours import HOUR_MS, MOST_SPREAD_MS

MOST_BOXES = 20_000
MOST_HOURS = 48
_LONGEST_REST_S = 330.0
"""After an outage, the last box has tried again by then."""
_LONGEST_S = 1_800.0
"""However much is still on its way: so long after the last hour it ends."""
_PER_PROCESS = 2_500
_SWITCHED_ON = 200.0
"""Boxes a second."""
_START_S = 30.0
_LEAD_S = 5.0
"""From when all boxes should be connected to the first turn."""
_HEADROOM = 600


@dataclass(slots=True)
class Sample:
    """One second of the rehearsal; s since the first turn, MiB, CPU seconds."""

    at_s: float
    up: int
    told: int
    waiting: int
    stored: int
    broker_mib: float
    broker_cpu_s: float
    collector_mib: float
    collector_cpu_s: float


@dataclass(slots=True)
class Result:
    """What came of it."""

    boxes: int
    hours: int
    outage_hours: int
    spread: bool
    hour_s: float
    stored: int = 0
    wrong: int = 0
    quarantined: int = 0
    repeated: int = 0
    seconds: float = 0.0
    busiest_s: int = 0
    latest_s: float = 0.0
    broker_empty_mib: float = 0.0
    broker_mib: float = 0.0
    broker_kib_a_box: float = 0.0
    collector_mib: float = 0.0
    boxes_mib: float = 0.0
    drain_s: float | None = None
    samples: list[Sample] = field(default_factory=list)
    taken: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wish:
    """
    What to rehearse.

    Attributes:
        outage: In so many of the hours, from the second on, there is no broker.
        hour_s: Real seconds that stand for an hour; with the spread at least 130, for that is real.
    """

    boxes: int
    hours: int
    outage: int = 0
    spread: bool = True
    hour_s: float = 130.0

    def check(self) -> None:
        """Raise ConfigError with every reason why this can't be rehearsed."""
        faults = []
        if not 1 <= self.boxes <= MOST_BOXES:
            faults.append(f"--boxes is 1 to {MOST_BOXES}, not {self.boxes}")
        if not 1 <= self.hours <= MOST_HOURS:
            faults.append(f"--hours is 1 to {MOST_HOURS}, not {self.hours}")
        if self.outage and not 0 <= self.outage <= self.hours - 2:
            faults.append("--outage leaves at least one hour before it and one after it")
        least_s = MOST_SPREAD_MS / 1000 if self.spread else 1.0
        if not least_s <= self.hour_s <= 3600:  # noqa: PLR2004 - an hour
            faults.append(f"--hour-s is {least_s:.0f} to 3600 here, not {self.hour_s:g}")
        if faults:
            raise ConfigError("simulate", faults)


def run(wish: Wish, clock: Clock, *, json_file: Path | None = None) -> int:
    """
    Rehearse, and print the figures; return 0.

    Raises:
        ConfigError: that can't be rehearsed.
        ExtraMissing: there is no mosquitto on this machine.
        RehearsalFailed: hours were lost or doubled, or it took too long.
    """
    wish.check()
    _raise_limit(wish.boxes + _HEADROOM)
    console = Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory(prefix="footfall-simulate-") as folder, stop_signals() as stopping:
        result = _Rehearsal(wish, clock, Path(folder), console).run(stopping)
    _show(Console(highlight=False), result)
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(result)), encoding="utf-8")
    expected = wish.boxes * wish.hours
    if stopping.is_set():
        raise RehearsalFailed("the rehearsal was stopped before its end")
    if result.stored != expected or result.wrong or result.quarantined:
        raise RehearsalFailed(
            f"{result.stored} of {expected} hours were stored, {result.wrong} of them wrong,"
            f" {result.quarantined} messages are in quarantine"
        )
    return 0


class _Rehearsal:
    """The broker, the collector and the boxes, and what is measured of them."""

    def __init__(self, wish: Wish, clock: Clock, folder: Path, console: Console) -> None:
        self._wish = wish
        self._folder = folder
        self._console = console
        self._store_path = folder / "hours.sqlite"
        self._port = _free_port()
        self._first_ms = clock.wall_ms() // HOUR_MS * HOUR_MS - wish.hours * HOUR_MS
        self._ramp_s = max(1.0, wish.boxes / _SWITCHED_ON)
        self._figures: dict[int, Figures] = {}
        self._broker: subprocess.Popen[bytes] | None = None
        self._result = Result(wish.boxes, wish.hours, wish.outage, wish.spread, wish.hour_s)

    def run(self, stopping: Notice) -> Result:
        """Go through all of it."""
        began_s = time.monotonic()
        broker = Broker.model_validate({"host": "127.0.0.1", "port": self._port})
        self._start_broker()
        try:
            with self._collector() as collector:
                self._result.broker_empty_mib = self._broker_use()[0]
                plan = Plan(
                    broker, self._wish.hours, time.monotonic() + 1.5 * self._ramp_s + _LEAD_S, self._wish.hour_s,
                    self._first_ms, self._ramp_s, self._wish.spread,
                )  # fmt: skip
                with self._boxes(plan) as children:
                    self._follow(plan, children, collector, stopping)
        finally:
            self._stop_broker()
        self._judge()
        self._result.seconds = time.monotonic() - began_s
        return self._result

    # --- the parts ---------------------------------------------------------------------------------------------------

    def _start_broker(self) -> None:
        path = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if path is None:
            raise ExtraMissing("mosquitto", "apt-get install mosquitto")
        conf = self._folder / "mosquitto.conf"
        conf.write_text(
            f"listener {self._port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
            f"max_inflight_messages 2000\npersistence true\npersistence_location {self._folder}/\nuser root\n",
            encoding="utf-8",
        )
        self._broker = subprocess.Popen(
            [*_with_us(), path, "-c", str(conf)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _until(lambda: _answers(self._port), "the broker")

    def _stop_broker(self) -> None:
        broker, self._broker = self._broker, None
        if broker is not None:
            _end(broker)

    @contextlib.contextmanager
    def _collector(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the real one; wait until it listens."""
        log = self._folder / "collector.log"
        command = [sys.executable, "-m", "edge", "collect", "--trial", "--broker", f"mqtt://127.0.0.1:{self._port}"]
        with log.open("wb") as out:
            child = subprocess.Popen(
                [*_with_us(), *command, "--store", str(self._store_path)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        try:
            _until(lambda: b"connected to" in log.read_bytes(), "the collector")
            yield child
        finally:
            _end(child)

    @contextlib.contextmanager
    def _boxes(self, plan: Plan) -> Iterator[list[multiprocessing.connection.Connection]]:
        """Run all boxes in as many processes as it takes."""
        count = self._wish.boxes
        processes = -(-count // _PER_PROCESS)
        context = multiprocessing.get_context("spawn")
        ends, children = [], []
        for number in range(processes):
            ours, theirs = context.Pipe()
            share = range(count * number // processes, count * (number + 1) // processes)
            child = context.Process(target=boxes.run, args=(plan, share, number / processes, theirs), daemon=True)
            child.start()
            theirs.close()
            ends.append(ours)
            children.append(child)
        self._pids = [child.pid for child in children if child.pid]
        try:
            yield ends
        finally:
            for end in ends:
                with contextlib.suppress(OSError):
                    end.send("stop")
            for end, child in zip(ends, children, strict=True):
                with contextlib.suppress(EOFError, OSError):
                    while True:
                        self._figures[id(end)] = end.recv()
                child.join(30)
                child.kill()

    # --- what is measured --------------------------------------------------------------------------------------------

    def _follow(
        self,
        plan: Plan,
        children: list[multiprocessing.connection.Connection],
        collector: subprocess.Popen[bytes],
        stopping: Notice,
    ) -> None:
        """Take a sample a second until every hour is stored, or it takes too long; cut the broker off meanwhile."""
        wish = self._wish
        end_s = plan.begin_s + wish.hours * wish.hour_s + _LONGEST_REST_S
        last_s = end_s + _LONGEST_S
        store = open_store(str(self._store_path))
        told_s, stored = 0.0, 0
        try:
            while not stopping.wait(1.0) and time.monotonic() < min(end_s, last_s):
                now_s = time.monotonic()
                self._play_outage(now_s - plan.begin_s)
                for end in children:
                    while end.poll():
                        self._figures[id(end)] = end.recv()
                sample = self._sample(now_s - plan.begin_s, store.count(), collector.pid)
                self._result.samples.append(sample)
                if sample.stored > stored:
                    stored, end_s = sample.stored, max(end_s, now_s + _LONGEST_REST_S)
                if now_s - told_s >= 15.0:  # noqa: PLR2004 - now and then
                    told_s = now_s
                    self._console.print(
                        f"   {sample.at_s:4.0f} s: {sample.up} boxes connected, {sample.told} hours told,"
                        f" {sample.stored} stored, {sample.waiting} wait at the boxes",
                        soft_wrap=True,
                    )
                if sample.stored >= wish.boxes * wish.hours:
                    break
                if collector.poll() is not None:
                    said = (self._folder / "collector.log").read_text(encoding="utf-8", errors="replace")
                    raise RehearsalFailed(f"the collector ended: {said[-2000:]}")
        finally:
            store.close()
            self._result.boxes_mib = sum(_use(pid)[0] for pid in self._pids)

    def _outage(self) -> tuple[float, float]:
        """Return from when to when there is no broker, s after the first turn; just before two turns."""
        hour_s, hours = self._wish.hour_s, self._wish.outage
        return (hour_s - 2.0, (1 + hours) * hour_s - 2.0) if hours else (float("inf"), float("inf"))

    def _play_outage(self, at_s: float) -> None:
        """Take the broker away, or give it back, when it is time to."""
        from_s, until_s = self._outage()
        if self._broker is not None and from_s <= at_s < until_s:
            self._stop_broker()
            self._console.print("-> the broker is gone")
        elif self._broker is None and at_s >= until_s:
            self._start_broker()
            self._console.print("-> the broker is back")

    def _sample(self, at_s: float, stored: int, collector: int) -> Sample:
        figures = self._figures.values()
        return Sample(
            round(at_s, 2), sum(f.up for f in figures), sum(f.closed for f in figures), sum(f.waiting for f in figures),
            stored, *self._broker_use(), *_use(collector),
        )  # fmt: skip

    def _broker_use(self) -> tuple[float, float]:
        return (0.0, 0.0) if self._broker is None else _use(self._broker.pid)

    def _judge(self) -> None:
        """Hold the store against what was told."""
        result, wish = self._result, self._wish
        store = open_store(str(self._store_path))
        wrong = 0
        since = datetime.fromtimestamp(0, UTC)
        for hour in store.hours(since, datetime.fromtimestamp(self._first_ms / 1000 + wish.hours * 3600, UTC)):
            number = int(hour.site.removeprefix("sim-"))
            at = int((hour.start.timestamp() * 1000 - self._first_ms) // HOUR_MS)
            wrong += (hour.in_, hour.out) != boxes.counts(number, at) or hour.revision != 1
        result.stored, result.wrong = store.count(), wrong
        result.quarantined = sum(store.quarantined().values())
        store.close()
        taken: Counter[int] = Counter()
        for figures in self._figures.values():
            taken.update(figures.acknowledged)
        result.taken = dict(sorted(taken.items()))
        result.repeated = sum(taken.values()) - result.stored
        result.busiest_s = max(taken.values(), default=0)
        result.latest_s = max((figures.latest_s for figures in self._figures.values()), default=0.0)
        full = [sample for sample in result.samples if sample.up >= wish.boxes]
        result.broker_mib = max((sample.broker_mib for sample in result.samples), default=0.0)
        if full:
            result.broker_kib_a_box = (full[0].broker_mib - result.broker_empty_mib) * 1024 / wish.boxes
        if wish.outage:
            back_s = self._outage()[1]
            done = [s.at_s for s in result.samples if s.at_s > back_s and s.stored >= s.told]
            result.drain_s = done[0] - back_s if done else None
        result.collector_mib = max((sample.collector_mib for sample in result.samples), default=0.0)


def _show(out: Console, result: Result) -> None:
    table = Table(title=f"{result.boxes} boxes, {result.hours} hours of {result.hour_s:g} s", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    rows = [
        ("hours told and stored", f"{result.stored} of {result.boxes * result.hours}"),
        ("stored wrong; in quarantine", f"{result.wrong}; {result.quarantined}"),
        (
            "busiest second at the broker",
            f"{result.busiest_s} messages, {'with' if result.spread else 'without'} spread",
        ),
        ("longest from closing to acknowledgement", f"{result.latest_s:.1f} s"),
        ("broker's memory: empty, most", f"{result.broker_empty_mib:.1f} MiB, {result.broker_mib:.1f} MiB"),
        ("broker's memory a connected box", f"{result.broker_kib_a_box:.1f} KiB"),
        ("collector's memory, most", f"{result.collector_mib:.0f} MiB"),
        ("boxes' memory, all", f"{result.boxes_mib:.0f} MiB"),
        ("all of it took", f"{result.seconds:.0f} s"),
    ]
    if result.outage_hours:
        drained = "not drained" if result.drain_s is None else f"drained {result.drain_s:.0f} s after its end"
        rows.insert(3, (f"outage of {result.outage_hours} hours", drained))
    for row in rows:
        table.add_row(*row)
    out.print(table)


def _raise_limit(descriptors: int) -> None:
    """Let this process and its children open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= descriptors:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, max(hard, descriptors)))
    except (ValueError, OSError) as exc:
        raise ConfigError(
            "simulate", [f"{descriptors} open files are needed, {hard} are allowed here; type: ulimit -n {descriptors}"]
        ) from exc


def _use(pid: int) -> tuple[float, float]:
    """Return a process's memory in MiB and the CPU seconds it has used; zeros when it has gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    except (OSError, IndexError):
        return 0.0, 0.0
    ticks = int(fields[11]) + int(fields[12])
    return round(pages * resource.getpagesize() / 2**20, 2), round(ticks / os.sysconf("SC_CLK_TCK"), 2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _with_us() -> list[str]:
    """Return what makes a child end when this process is killed without a word, where util-linux has it."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "TERM"]


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _until(holds: Callable[[], bool], what: str) -> None:
    until_s = time.monotonic() + _START_S
    while not holds():
        if time.monotonic() > until_s:
            raise RehearsalFailed(f"{what} did not start within {_START_S:.0f} s")
        time.sleep(0.05)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(30)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
