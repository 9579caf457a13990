"""
What is rehearsed, the course of a rehearsal, and what is measured of it.

The store is held against what the boxes sent: each hour once.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from edge.core.clock import Clock
from edge.core.errors import ConfigError
from edge.core.hour import HOUR_MS
from edge.core.signals import Notice
from edge.headquarters import boxes
from edge.headquarters.address import open_store
from edge.headquarters.boxes import Figures, Plan
from edge.headquarters.errors import RehearsalFailed
from edge.headquarters.rehearsal_programs import Programs, use, use_of
from edge.publisher.hours import MOST_SPREAD_MS

MOST_BOXES = 20_000
MOST_HOURS = 48
_LONGEST_REST_S = 330.0
"""After an outage, the last box has tried again by then."""
_LONGEST_S = 1_800.0
"""However much is still on its way: so long after the last hour it ends."""
_PER_PROCESS = 2_500
_SWITCHED_ON = 200.0
"""Boxes a second."""
_LEAD_S = 5.0
"""From when all boxes should be connected to the first turn."""


@dataclass(slots=True)
class Sample:
    """One second of the rehearsal; s since the first turn, MiB, CPU seconds."""

    at_s: float
    up: int
    closed: int
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
    crash: bool
    secured: bool
    spread: bool
    hour_s: float
    acknowledged_before_crash: int = 0
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
        crash: While the collector is away, the broker is killed without a word as soon as it has acknowledged the last
            hour of all boxes: it has saved next to nothing of them.
        secured: The broker is the one that `footfall broker` makes, with TLS and an account for each box.
        hour_s: Real seconds that stand for an hour; with the spread at least 130, for that is real.
    """

    boxes: int
    hours: int
    outage: int = 0
    spread: bool = True
    hour_s: float = 130.0
    crash: bool = False
    secured: bool = False

    def check(self) -> None:
        """Raise ConfigError with every reason why this can't be rehearsed."""
        faults = []
        if not 1 <= self.boxes <= MOST_BOXES:
            faults.append(f"--boxes is 1 to {MOST_BOXES}, not {self.boxes}")
        if not 1 <= self.hours <= MOST_HOURS:
            faults.append(f"--hours is 1 to {MOST_HOURS}, not {self.hours}")
        if self.outage and not 0 <= self.outage <= self.hours - 2:
            faults.append("--outage leaves at least one hour before it and one after it")
        if self.crash and (self.outage or self.hours < 2):  # noqa: PLR2004 - one before, one to be lost
            faults.append("--crash takes two hours or more, and no --outage")
        least_s = MOST_SPREAD_MS / 1000 if self.spread else 1.0
        if not least_s <= self.hour_s <= 3600:  # noqa: PLR2004 - an hour
            faults.append(f"--hour-s is {least_s:.0f} to 3600 here, not {self.hour_s:g}")
        if faults:
            raise ConfigError("simulate", faults)


class Rehearsal:
    """The broker, the collector and the boxes, and what is measured of them."""

    def __init__(self, wish: Wish, clock: Clock, folder: Path, console: Console) -> None:
        self._wish = wish
        self._console = console
        self._programs = Programs(folder, wish.boxes if wish.secured else None)
        self._first_ms = clock.wall_ms() // HOUR_MS * HOUR_MS - wish.hours * HOUR_MS
        self._ramp_s = max(1.0, wish.boxes / _SWITCHED_ON)
        self._figures: dict[int, Figures] = {}
        self._crashed_s: float | None = None
        self._result = Result(wish.boxes, wish.hours, wish.outage, wish.crash, wish.secured, wish.spread, wish.hour_s)

    def run(self, stopping: Notice) -> Result:
        """Go through all of it."""
        began_s = time.monotonic()
        programs = self._programs
        programs.start_broker()
        try:
            programs.start_collector()
            self._result.broker_empty_mib = use(programs.broker)[0]
            plan = Plan(
                programs.address(), self._wish.hours, time.monotonic() + 1.5 * self._ramp_s + _LEAD_S,
                self._wish.hour_s, self._first_ms, self._ramp_s, self._wish.spread, programs.accounts,
            )  # fmt: skip
            with self._boxes(plan) as children:
                self._follow(plan, children, stopping)
        finally:
            programs.stop_collector()
            programs.stop_broker()
        self._judge()
        self._result.seconds = time.monotonic() - began_s
        return self._result

    # --- the boxes ---------------------------------------------------------------------------------------------------

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
        stopping: Notice,
    ) -> None:
        """Take a sample a second until every hour is stored, or it takes too long; cut the broker off meanwhile."""
        wish = self._wish
        end_s = plan.begin_s + wish.hours * wish.hour_s + _LONGEST_REST_S
        last_s = end_s + _LONGEST_S
        store = open_store(str(self._programs.store))
        printed_s, stored = 0.0, 0
        try:
            while not stopping.wait(1.0) and time.monotonic() < min(end_s, last_s):
                now_s = time.monotonic()
                self._play_outage(now_s - plan.begin_s)
                self._play_crash(now_s - plan.begin_s)
                for end in children:
                    while end.poll():
                        self._figures[id(end)] = end.recv()
                sample = self._sample(now_s - plan.begin_s, store.count())
                self._result.samples.append(sample)
                if sample.stored > stored:
                    stored, end_s = sample.stored, max(end_s, now_s + _LONGEST_REST_S)
                if now_s - printed_s >= 15.0:  # noqa: PLR2004 - now and then
                    printed_s = now_s
                    self._console.print(
                        f"   {sample.at_s:4.0f} s: {sample.up} boxes connected, {sample.closed} hours closed,"
                        f" {sample.stored} stored, {sample.waiting} wait at the boxes",
                        soft_wrap=True,
                    )
                if sample.stored >= wish.boxes * wish.hours:
                    break
                if self._programs.collector is not None and self._programs.collector.poll() is not None:
                    said = self._programs.log.read_text(encoding="utf-8", errors="replace")
                    raise RehearsalFailed(f"the collector ended: {said[-2000:]}")
        finally:
            store.close()
            self._result.boxes_mib = sum(use_of(pid)[0] for pid in self._pids)

    def _outage(self) -> tuple[float, float]:
        """Return from when to when there is no broker, s after the first turn; just before two turns."""
        hour_s, hours = self._wish.hour_s, self._wish.outage
        return (hour_s - 2.0, (1 + hours) * hour_s - 2.0) if hours else (float("inf"), float("inf"))

    def _play_outage(self, at_s: float) -> None:
        """Take the broker away, or give it back, when it is time to."""
        from_s, until_s = self._outage()
        if self._programs.broker is not None and from_s <= at_s < until_s:
            self._programs.stop_broker()
            self._console.print("-> the broker is gone")
        elif self._programs.broker is None and at_s >= until_s:
            self._programs.start_broker()
            self._console.print("-> the broker is back")

    def _play_crash(self, at_s: float) -> None:
        """Take the collector away before the second turn; kill the broker when it has acknowledged all; start both."""
        wish = self._wish
        if not wish.crash or self._crashed_s is not None:
            return
        last_s = wish.hour_s * (wish.hours - 1)
        if self._programs.collector is not None and at_s >= wish.hour_s / 2:
            self._programs.stop_collector(signal.SIGKILL)
            self._console.print("-> the collector is gone")
        closed = sum(figures.closed for figures in self._figures.values())
        waiting = sum(figures.waiting for figures in self._figures.values())
        if at_s < last_s or closed < wish.boxes * wish.hours or waiting:
            return
        self._result.acknowledged_before_crash = closed
        self._programs.stop_broker(signal.SIGKILL)
        self._console.print(f"-> the broker has acknowledged {closed} hours, and is killed")
        self._programs.start_broker()
        self._programs.start_collector()
        self._crashed_s = at_s
        self._console.print("-> broker and collector are back")

    def _sample(self, at_s: float, stored: int) -> Sample:
        figures = self._figures.values()
        return Sample(
            round(at_s, 2), sum(f.up for f in figures), sum(f.closed for f in figures), sum(f.waiting for f in figures),
            stored, *use(self._programs.broker), *use(self._programs.collector),
        )  # fmt: skip

    def _judge(self) -> None:
        """Hold the store against what was sent."""
        result, wish = self._result, self._wish
        store = open_store(str(self._programs.store))
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
            done = [s.at_s for s in result.samples if s.at_s > back_s and s.stored >= s.closed]
            result.drain_s = done[0] - back_s if done else None
        if self._crashed_s is not None:
            done = [s.at_s for s in result.samples if s.at_s > self._crashed_s and s.stored >= s.closed]
            result.drain_s = done[0] - self._crashed_s if done else None
        result.collector_mib = max((sample.collector_mib for sample in result.samples), default=0.0)
