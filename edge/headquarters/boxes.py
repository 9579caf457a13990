"""
Many boxes in one process, for a rehearsal: real connections with the product's own message, spread and retrying.

Only the counting is made up. Each box's outbox is in memory, and keeps what was acknowledged, to be sent once more.
"""

from __future__ import annotations

import heapq
import logging
import os
import select
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from zoneinfo import ZoneInfo

from edge.config.schema import Broker
from edge.core.hour import HOUR_MS, Hour, Source
from edge.publisher.hours import Span, spread_ms
from edge.publisher.ledger.view import Row
from edge.publisher.outbox import OutboxConnection

CAMERA = "door"
_ZONE = ZoneInfo("UTC")
_UP_TURN_S = 15.0
"""A connection that is up is turned this often for its keepalive, and whenever its socket has something, s."""
_DOWN_TURN_S = 1.0
"""A connection that is down is turned this often, s."""
_REPORT_S = 0.5
"""Figures go to the parent process this often, s."""


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What is rehearsed.

    Attributes:
        begin_s: Monotonic time at which the first hour turns.
        hour_s: Real seconds from one turn to the next.
        first_ms: Start of the first hour, ms since 1970 UTC.
        ramp_s: The boxes are switched on over this long.
        spread: Whether each box waits for its own moment, as real ones do.
        accounts: Folder of `footfall broker` that holds each box's password; None: the broker wants none.
    """

    broker: Broker
    hours: int
    begin_s: float
    hour_s: float
    first_ms: int
    ramp_s: float
    spread: bool
    accounts: Path | None = None

    def broker_of(self, number: int) -> Broker:
        """Return the broker as box *number* logs in there."""
        if self.accounts is None:
            return self.broker
        password = self.accounts / site(number) / "mqtt.password"
        return self.broker.model_copy(update={"username": site(number), "password_file": password})


@dataclass(slots=True)
class Figures:
    """What one process of boxes has seen so far; plain enough to be sent to another."""

    up: int = 0
    closed: int = 0
    waiting: int = 0
    acknowledged: Counter[int] = field(default_factory=Counter)
    """Acknowledged hours by second of the rehearsal, 0 at the first turn; repeats included."""
    latest_s: float = 0.0
    """Longest time from an hour's closing to its acknowledgement."""


def site(number: int) -> str:
    """Return the name of a rehearsed box."""
    return f"sim-{number:06}"


def counts(number: int, hour: int) -> tuple[int, int]:
    """Return what box *number* counts in an hour: made up, but always the same."""
    return (number * 7 + hour * 13) % 97, (number * 5 + hour * 11) % 89


class _Box:
    """One box with one camera: an outbox in memory, and the product's own connection."""

    def __init__(self, number: int, plan: Plan, fleet: _Fleet) -> None:
        self.number = number
        self.rows: dict[int, tuple[Row, float]] = {}
        self.closed = 0
        self.descriptor = -1
        self.writing = False
        self._plan = plan
        self._fleet = fleet
        self._acknowledged: dict[int, int] = {}
        self.spread_s = spread_ms(site(number), CAMERA) / 1000 if plan.spread else 0.0
        self.connection = OutboxConnection(site(number), CAMERA, plan.broker_of(number), self, self._wake)

    def due_s(self) -> float:
        """Return when the next hour closes, monotonic; never, after the last."""
        if self.closed >= self._plan.hours:
            return float("inf")
        return self._plan.begin_s + self.closed * self._plan.hour_s + self.spread_s

    def close_hour(self) -> None:
        """Put the next hour into the outbox."""
        self.rows[self.closed] = (self._row(self.closed, None), self.due_s())
        self.closed += 1

    def _row(self, hour: int, delivered_ms: int | None) -> Row:
        start_ms = self._plan.first_ms + hour * HOUR_MS
        span = Span(start_ms, start_ms + HOUR_MS)
        source = Source(site(self.number), CAMERA, _ZONE, "simulated 1", trial=True)
        lines = {"entrance": counts(self.number, hour)}
        counted = Hour.counted(source, span.start_ms, span.end_ms, lines, watched_ms=HOUR_MS)
        return Row(CAMERA, span, 1, counted.encode(), span.end_ms, delivered_ms)

    def outbox(self, _camera: str, limit: int) -> list[Row]:
        """Return the oldest rows, at most *limit*."""
        return [row for row, _ in list(self.rows.values())[:limit]]

    def acknowledge(self, row: Row) -> None:
        """Note that the broker has acknowledged *row*."""
        hour = (row.span.start_ms - self._plan.first_ms) // HOUR_MS
        _, closed_s = self.rows.pop(hour, (row, None))
        self._acknowledged[hour] = round(time.monotonic() * 1000)
        self._fleet.note_acknowledged(closed_s)

    def acknowledged_ms(self, _camera: str) -> int | None:
        """Return when a row was last acknowledged, by this process's clock."""
        return max(self._acknowledged.values(), default=None)

    def acknowledged(self, _camera: str, since_ms: int, after_ms: int, limit: int) -> list[Row]:
        """Return the oldest rows acknowledged at *since_ms* or later whose hour starts after *after_ms*."""
        hours = [hour for hour, at_ms in sorted(self._acknowledged.items()) if at_ms >= since_ms]
        rows = (self._row(hour, self._acknowledged[hour]) for hour in hours)
        return [row for row in rows if row.span.start_ms > after_ms][:limit]

    def _wake(self) -> None:
        self._fleet.wake(self.number)


class _Fleet:
    """All boxes of one process."""

    def __init__(self, plan: Plan, numbers: range, share: float) -> None:
        self.figures = Figures()
        self._plan = plan
        self._poll = select.epoll()
        self._woken: deque[int] = deque()
        self._alarm, self._alarm_end = os.pipe()
        os.set_blocking(self._alarm, False)
        os.set_blocking(self._alarm_end, False)
        self._poll.register(self._alarm, select.EPOLLIN)
        self._boxes = {number: _Box(number, plan, self) for number in numbers}
        self._by_descriptor: dict[int, _Box] = {}
        self._up: set[int] = set()
        now_s = time.monotonic()
        gap_s = plan.ramp_s / max(1, len(numbers))
        self._timers = [(now_s + (at + share) * gap_s, number) for at, number in enumerate(numbers)]
        heapq.heapify(self._timers)

    def wake(self, number: int) -> None:
        """Turn a box's connection soon; from any thread."""
        self._woken.append(number)
        try:
            os.write(self._alarm_end, b"\0")
        except BlockingIOError:
            return

    def note_acknowledged(self, closed_s: float | None) -> None:
        """Note that an hour that closed at *closed_s* was acknowledged, or once more (None)."""
        now_s = time.monotonic()
        self.figures.acknowledged[int(now_s - self._plan.begin_s)] += 1
        if closed_s is not None:
            self.figures.latest_s = max(self.figures.latest_s, now_s - closed_s)

    def turn(self, longest_s: float) -> None:
        """Wait for something to do, and do it."""
        wait_s = min(longest_s, max(0.0, self._timers[0][0] - time.monotonic())) if self._timers else longest_s
        touched: dict[int, _Box] = {}
        for descriptor, _ in self._poll.poll(wait_s, 4096):
            if descriptor == self._alarm:
                os.read(self._alarm, 65_536)
            elif descriptor in self._by_descriptor:
                box = self._by_descriptor[descriptor]
                touched[box.number] = box
        while self._woken:
            number = self._woken.popleft()
            touched[number] = self._boxes[number]
        for box in touched.values():
            self._turn_box(box)
        now_s = time.monotonic()
        while self._timers and self._timers[0][0] <= now_s:
            _, number = heapq.heappop(self._timers)
            box = self._boxes[number]
            self._turn_box(box)
            turn_s = now_s + (_UP_TURN_S if box.connection.up else _DOWN_TURN_S)
            heapq.heappush(self._timers, (min(turn_s, box.due_s()), number))

    def _turn_box(self, box: _Box) -> None:
        while box.due_s() <= time.monotonic():
            box.close_hour()
            self.figures.closed += 1
        box.connection.turn()
        (self._up.add if box.connection.up else self._up.discard)(box.number)
        found = box.connection.sockets()
        descriptor, writing = (found[0].fileno(), found[1]) if found is not None else (-1, False)
        if (descriptor, writing) == (box.descriptor, box.writing):
            return
        events = select.EPOLLIN | (select.EPOLLOUT if writing else 0)
        if descriptor != box.descriptor:
            if self._by_descriptor.get(box.descriptor) is box:
                del self._by_descriptor[box.descriptor]
            if descriptor >= 0:
                self._by_descriptor[descriptor] = box
                self._poll.register(descriptor, events)
        elif descriptor >= 0:
            self._poll.modify(descriptor, events)
        box.descriptor, box.writing = descriptor, writing

    def report(self) -> Figures:
        """Return the figures of now."""
        self.figures.up = len(self._up)
        self.figures.waiting = sum(len(box.rows) for box in self._boxes.values())
        return self.figures

    def close(self) -> None:
        """Disconnect all."""
        for box in self._boxes.values():
            box.connection.end(0.0)


def run(plan: Plan, numbers: range, share: float, parent: Connection) -> None:
    """
    Be the boxes *numbers* until *parent* says anything, and send it :class:`Figures` twice a second.

    Args:
        plan: What is rehearsed.
        numbers: Which boxes.
        share: Which part of a gap this process begins later than the others, 0 to 1.
        parent: Where figures go.
    """
    # Ten thousand boxes that each say that the broker is gone.
    logging.disable(logging.CRITICAL)
    fleet = _Fleet(plan, numbers, share)
    report_s = time.monotonic()
    while not parent.poll():
        fleet.turn(_REPORT_S)
        if time.monotonic() >= report_s:
            report_s = time.monotonic() + _REPORT_S
            parent.send(fleet.report())
    fleet.close()
    parent.send(fleet.report())
