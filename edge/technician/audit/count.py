"""
What the person tapped and what the box counted during an audit.

On disk are only the times of the taps and the box's totals by interval, and only until the report is written. If the
power fails before that, the next audit makes a report of them.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from edge.core.clock import KernelClock
from edge.core.silhouette import Silhouette
from edge.core.tally import Flag
from edge.evaluation.score import Event, Score, score
from edge.vision.scene import Direction

WINDOW_S = 3.0
"""A tap and a count of the same direction are one person if they are no further apart than this, s."""
_SHORT_S, _LONG_S = 60, 300
"""The length of a report's intervals in a short audit and in a long one, s."""
_SHORT_AUDIT_S = 1_800
"""An audit of up to this length is short, s."""
WAYS: tuple[Direction, Direction] = ("in", "out")

Phase = Literal["ready", "counting", "signing", "over"]


@dataclass(frozen=True, slots=True)
class Interval:
    """The totals of one interval, (in, out) each, as the person and as the box counted them."""

    person: tuple[int, int]
    box: tuple[int, int]

    @property
    def alike(self) -> bool:
        """Whether both counted the same."""
        return self.person == self.box


class Uncounted(NamedTuple):
    """
    What the box saw at the line and did not count, as numbers.

    Attributes:
        picture: Crossings, while the picture was bad or the camera shaken.
        parts: Heads that went over and were taken for parts of others, or for no heads.
        nearly: Heads that were at the line and are not known to have gone over.
    """

    picture: int = 0
    parts: int = 0
    nearly: int = 0


_NOTHING = Uncounted()


@dataclass(frozen=True, slots=True)
class Result:
    """
    The result of an audit.

    Attributes:
        seconds: Its duration.
        interval_s: The length of each of *intervals*.
        events: The box's counts matched with the taps, one to one; None if the audit was broken off.
        unwatched: The flags that the box raised during the audit.
        box_shown: Whether the person could see the box's count while tapping.
        uncounted: What the box saw at the line during the audit and did not count: crossings in a bad picture, parts of
            other heads, and heads that only came near.
    """

    seconds: float
    interval_s: int
    intervals: Sequence[Interval]
    events: Score | None
    unwatched: Sequence[str] = ()
    box_shown: bool = False
    uncounted: Uncounted = _NOTHING

    @property
    def people(self) -> int:
        """How many people were tapped, in both directions together."""
        return sum(self.totals(way)[0] for way in WAYS)

    def totals(self, way: Direction) -> tuple[int, int]:
        """Return the person's and the box's total of one direction."""
        at = WAYS.index(way)
        return sum(i.person[at] for i in self.intervals), sum(i.box[at] for i in self.intervals)

    def accuracy(self, way: Direction) -> float | None:
        """Return 1 minus the error of the box's total, at least 0; None where nobody was tapped in that direction."""
        person, box = self.totals(way)
        return max(0.0, 1 - abs(box - person) / person) if person else None


@dataclass(slots=True)
class Count:
    """
    The state of one audit, shared by the threads of the page, the keys and the preview.

    Args:
        lines: The camera's lines, in the config's order.
        line: The line that is audited; None adds all of them.
        longest_s: The counting ends by itself after this time.
        store: The file that keeps the taps until the report is written.
        about: What the report will say of box, camera and time; kept with the taps.
    """

    lines: Sequence[str]
    line: str | None
    longest_s: float
    store: Path
    about: Mapping[str, str]
    clock: KernelClock = field(default_factory=KernelClock)
    phase: Phase = "ready"
    box_shown: bool = False
    seen: bool = False
    flags: Flag = Flag(0)  # noqa: RUF009 - a value, like 0
    uncounted: Uncounted = _NOTHING
    _taps: list[Event] = field(default_factory=list)
    _counted: list[Event] = field(default_factory=list)
    _began_ms: int = 0
    _ended_s: float = 0.0
    _before: dict[Direction, int] | None = None
    _uncounted_before: Uncounted = _NOTHING
    _changed: threading.Condition = field(default_factory=threading.Condition)

    # --- what happens ---

    def see(self, silhouette: Silhouette) -> None:
        """Take the box's odometers from one record of the preview."""
        with self._changed:
            chosen = [c for n, c in zip(self.lines, silhouette.counts, strict=True) if self.line in (None, n)]
            now: dict[Direction, int] = {"in": sum(c.in_ for c in chosen), "out": sum(c.out for c in chosen)}
            before, self._before, self.seen = self._before or now, now, True
            uncounted = Uncounted(*(sum(numbers) for numbers in zip(*(c[2:] for c in chosen), strict=True)))
            already, self._uncounted_before = self._uncounted_before, uncounted
            if self.phase != "counting":
                return
            numbers = zip(self.uncounted, uncounted, already, strict=True)
            self.uncounted = Uncounted(*(total + newest - old for total, newest, old in numbers))
            self.flags |= silhouette.flags & ~Flag.RESTARTED
            t_s = self._passed_s()
            new = [Event(t_s, way) for way in WAYS for _ in range(now[way] - before[way])]
            if new:
                self._counted += new
                self._keep()
                self._changed.notify_all()

    def start(self) -> None:
        """Start counting, once the camera is seen."""
        with self._changed:
            if self.phase == "ready" and self.seen:
                self.phase, self._began_ms = "counting", self.clock.boot_ms()
                self._keep()
                self._changed.notify_all()

    def tap(self, way: Direction) -> None:
        """Count one person in one direction."""
        with self._changed:
            if self.phase == "counting":
                self._taps.append(Event(self._passed_s(), way))
                self._keep()
                self._changed.notify_all()

    def undo(self) -> None:
        """Remove the newest tap."""
        with self._changed:
            if self.phase == "counting" and self._taps:
                self._taps.pop()
                self._keep()
                self._changed.notify_all()

    def show_box(self) -> None:
        """Show the box's count to the person from now on; the report will say so."""
        with self._changed:
            self.box_shown = True
            self._changed.notify_all()

    def finish(self) -> None:
        """End the counting. It can be signed if somebody was tapped, and is over otherwise."""
        with self._changed:
            if self.phase == "counting":
                self._ended_s = self._passed_s()
                self.phase = "signing" if self._taps else "over"
                self._changed.notify_all()

    def close(self) -> None:
        """End the audit, whatever its phase."""
        with self._changed:
            if self.phase == "counting":
                self._ended_s = self._passed_s()
            self.phase = "over"
            self._changed.notify_all()

    # --- what is shown ---

    def wait(self, timeout_s: float) -> None:
        """Wait until the state changes or *timeout_s* is over."""
        with self._changed:
            self._changed.wait(timeout_s)

    @property
    def left_s(self) -> float:
        """Seconds until the counting ends by itself."""
        return self.longest_s if self.phase == "ready" else max(0.0, self.longest_s - self._passed_s())

    @property
    def begun(self) -> bool:
        """Whether the counting was started."""
        return self._began_ms > 0

    def totals(self) -> tuple[dict[Direction, int], dict[Direction, int]]:
        """Return the person's totals and the box's."""
        with self._changed:
            return _by_way(self._taps), _by_way(self._counted)

    def result(self) -> Result:
        """Return the result; valid after `finish` or `close`."""
        with self._changed:
            events = score(self._counted, self._taps, WINDOW_S)
            step = interval_s(self.longest_s)
            flags = [flag.name.lower() for flag in self.flags if flag.name]
            intervals = _intervals(self._taps, events, self._ended_s, step)
            return Result(self._ended_s, step, intervals, events, flags, self.box_shown, self.uncounted)

    # --- what is kept ---

    def _keep(self) -> None:
        """Write the times of the taps and the box's totals."""
        step = interval_s(self.longest_s)
        passed_s = self._passed_s()
        kept = {
            "about": dict(self.about),
            "interval_s": step,
            "seconds": round(passed_s, 1),
            "taps": [[round(tap.t_s, 1), tap.direction] for tap in self._taps],
            "box": list(_per_interval(self._counted, passed_s, step)),
        }
        scratch = self.store.with_suffix(".new")
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(kept, file)
        scratch.replace(self.store)

    def _passed_s(self) -> float:
        return min(self.longest_s, (self.clock.boot_ms() - self._began_ms) / 1000)


def interval_s(longest_s: float) -> int:
    """Return the length of an audit's intervals."""
    return _SHORT_S if longest_s <= _SHORT_AUDIT_S else _LONG_S


def recover(store: Path) -> tuple[Mapping[str, str], Result]:
    """
    Return the heading and the result of an audit that was broken off.

    Raises:
        ValueError, KeyError, TypeError: the content of *store* is not that of an audit.
    """
    kept: dict[str, Any] = json.loads(store.read_text(encoding="utf-8"))
    step, seconds = int(kept["interval_s"]), float(kept["seconds"])
    taps = [Event(float(t_s), way) for t_s, way in kept["taps"]]
    person = _per_interval(taps, seconds, step)
    intervals = [Interval(mine, (int(box[0]), int(box[1]))) for mine, box in zip(person, kept["box"], strict=True)]
    return {str(key): str(value) for key, value in kept["about"].items()}, Result(seconds, step, intervals, None)


def _by_way(events: Sequence[Event]) -> dict[Direction, int]:
    return {way: sum(event.direction == way for event in events) for way in WAYS}


def _per_interval(events: Sequence[Event], seconds: float, step: int) -> Iterator[tuple[int, int]]:
    """Yield (in, out) of each interval."""
    for first in range(0, max(1, -int(-seconds // step)) * step, step):
        here = _by_way([event for event in events if first <= event.t_s < first + step])
        yield here["in"], here["out"]


def _intervals(taps: Sequence[Event], events: Score, seconds: float, step: int) -> list[Interval]:
    """
    Return the totals by interval, in which a count stands in the interval of its tap.

    The box's total is the number of taps, minus the missed ones, plus the counts in excess. So a tap just before the
    full minute and its count just after it don't look like two errors.
    """
    missed = [Event(error.t_s, error.direction) for error in events.errors if error.fault == "missed"]
    left = [tap for tap in taps if tap not in missed]
    for error in events.errors:
        if error.fault == "wrong way":
            # Its tap was missed as well: the nearest one of the other direction.
            tap = min((t for t in left if t.direction != error.direction), key=lambda t: abs(t.t_s - error.t_s))
            left.remove(tap)
            missed.append(tap)
    excess = [Event(error.t_s, error.direction) for error in events.errors if error.fault != "missed"]
    person, less, more = (list(_per_interval(these, seconds, step)) for these in (taps, missed, excess))
    return [
        Interval(mine, (mine[0] - a[0] + b[0], mine[1] - a[1] + b[1]))
        for mine, a, b in zip(person, less, more, strict=True)
    ]
