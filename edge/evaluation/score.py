"""
Hold counted crossings against true ones, one to one, and name each error.

Netted totals let misses cancel false counts, so they are never the whole story: the events are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from edge.vision.scene import Direction

WINDOW_S = 1.0
"""A counted crossing is a true one if it is the same way and no farther from it in time."""
DOUBLE_S = 3.0
"""A second count of the same way so soon after a right one is that one's double."""

Fault = Literal["missed", "double", "wrong way", "false"]


class Event(NamedTuple):
    """One crossing, counted or true: seconds from the beginning, and the way."""

    t_s: float
    direction: Direction


@dataclass(frozen=True, slots=True)
class Error:
    """
    One thing that is wrong.

    Attributes:
        t_s: When it was counted; of a missed one, when it was true.
        direction: The way it was counted; of a missed one, the true way.
    """

    t_s: float
    direction: Direction
    fault: Fault


@dataclass(frozen=True, slots=True)
class Score:
    """
    How well a clip, or several, were counted.

    Attributes:
        true, counted: Crossings, by direction.
        right: Pairs of a counted and a true crossing, the same way and within a second.
        errors: In order of time. A crossing counted the wrong way is one error, but costs precision and recall.
    """

    true: dict[Direction, int]
    counted: dict[Direction, int]
    right: int
    errors: tuple[Error, ...]

    @property
    def precision(self) -> float:
        """Share of what was counted that is right; 1 if nothing was counted."""
        counted = sum(self.counted.values())
        return self.right / counted if counted else 1.0

    @property
    def recall(self) -> float:
        """Share of the true ones that were counted; 1 if there were none."""
        true = sum(self.true.values())
        return self.right / true if true else 1.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 1 where there was nothing to count and nothing was counted."""
        events = sum(self.true.values()) + sum(self.counted.values())
        return 2 * self.right / events if events else 1.0

    def total_error(self, direction: Direction) -> float:
        """Return how far the count of one direction is off, as a share of its truth; misses and false ones netted."""
        return abs(self.counted[direction] - self.true[direction]) / max(1, self.true[direction])

    def count(self, fault: Fault) -> int:
        """Return how many errors are of this kind."""
        return sum(error.fault == fault for error in self.errors)


def score(
    counted: Iterable[Event], true: Iterable[Event], window_s: float = WINDOW_S, *, doubtful: Iterable[Event] = ()
) -> Score:
    """
    Return the best one-to-one match of *counted* and *true*, no farther from each other than *window_s*.

    Windows of one length on one line of time: to give each true event, in order, the earliest counted one that it can
    have makes as many pairs as can be made. Crossings that even the annotator was unsure of, *doubtful*, count neither
    way: missing one is no error, and a counted event that matches only one of them is left out.
    """
    counted, true = sorted(counted), sorted(true)
    counted = _without_doubtful(counted, true, sorted(doubtful), window_s)
    pairs = [pair for direction in ("in", "out") for pair in _pairs(counted, true, direction, window_s)]
    right_counts = {index for index, _ in pairs}
    right_truths = {index for _, index in pairs}
    spare = [event for index, event in enumerate(counted) if index not in right_counts]
    missed = [event for index, event in enumerate(true) if index not in right_truths]
    errors: list[Error] = []
    for event in spare:
        turned = next((e for e in missed if e.direction != event.direction and _near(e, event, window_s)), None)
        if turned is not None:
            missed.remove(turned)
            errors.append(Error(event.t_s, event.direction, "wrong way"))
        elif any(counted[i].direction == event.direction and _near(counted[i], event, DOUBLE_S) for i in right_counts):
            errors.append(Error(event.t_s, event.direction, "double"))
        else:
            errors.append(Error(event.t_s, event.direction, "false"))
    errors += [Error(event.t_s, event.direction, "missed") for event in missed]
    return Score(
        _by_direction(true), _by_direction(counted), len(pairs), tuple(sorted(errors, key=lambda e: (e.t_s, e.fault)))
    )


def together(scores: Iterable[Score]) -> Score:
    """Return the score of several clips as of one; its errors' times are those of their own clips."""
    scores = list(scores)
    return Score(
        {"in": sum(s.true["in"] for s in scores), "out": sum(s.true["out"] for s in scores)},
        {"in": sum(s.counted["in"] for s in scores), "out": sum(s.counted["out"] for s in scores)},
        sum(s.right for s in scores),
        tuple(error for s in scores for error in s.errors),
    )


def _without_doubtful(
    counted: list[Event], true: Sequence[Event], doubtful: Sequence[Event], window_s: float
) -> list[Event]:
    """Return *counted* without the events that match no true event but a doubtful one."""
    if not doubtful:
        return counted
    for direction in ("in", "out"):
        matched = {index for index, _ in _pairs(counted, true, direction, window_s)}
        spare = [event for index, event in enumerate(counted) if index not in matched]
        for index, _ in _pairs(spare, doubtful, direction, window_s):
            counted.remove(spare[index])
    return counted


def _pairs(counted: Sequence[Event], true: Sequence[Event], direction: str, window_s: float) -> list[tuple[int, int]]:
    """Return (index of a counted, index of a true event) of one direction."""
    theirs = [index for index, event in enumerate(counted) if event.direction == direction]
    pairs = []
    next_one = 0
    for index, event in enumerate(true):
        if event.direction != direction:
            continue
        while next_one < len(theirs) and counted[theirs[next_one]].t_s < event.t_s - window_s:
            next_one += 1
        if next_one < len(theirs) and _near(counted[theirs[next_one]], event, window_s):
            pairs.append((theirs[next_one], index))
            next_one += 1
    return pairs


def _near(one: Event, other: Event, window_s: float) -> bool:
    return abs(one.t_s - other.t_s) <= window_s + 1e-9


def _by_direction(events: Iterable[Event]) -> dict[Direction, int]:
    directions = [event.direction for event in events]
    return {"in": directions.count("in"), "out": directions.count("out")}
