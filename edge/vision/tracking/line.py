"""
Tell from the heads' paths who went over which line. A crossing is booked when it is sure, and once.

Of two that go over together one counts, until they are seen as far apart as no head and its own shoulder are.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

from edge.config.schema import Line
from edge.vision.scene import Crossing, Sighting, from_edge
from edge.vision.tracking.line_state import Path, Threshold, in_px
from edge.vision.tracking.tracker import STEADY, STEADY_MS

_TOGETHER, _TOGETHER_MS = 1.5, 1_000
"""Two that go over the same way within so long, and from so long before until then were never seen farther apart than
this, diameters of the larger, are one head and a part of it."""
_APART_MS = 700
"""Seen farther apart now and then, they may be two parts of one head; seen so for so long, up to now, they are two."""
_FAR = 1.7
"""Or once so far, diameters of the larger: as who walks shoulder to shoulder is."""
_AT_ONCE = 2
"""Of two that were seen at once less often, and not together, nothing is known, and they count as two."""
_REMEMBERED = 100
"""So many sightings of a track are remembered: more than the tracker holds back, and three seconds at 30 fps."""
_FORGOTTEN_MS = 5_000
"""A crossing may be confirmed late, when a track is told of with its past, but not later than this."""


class Counter:
    """
    The lines of one camera, and how each followed head stands to them.

    State: for each live track a small record a line and its last `_REMEMBERED` sightings; and who went over of late.

    Args:
        lines: name: line, in shares of the picture.
        width, height: The picture, px.
    """

    def __init__(self, lines: Mapping[str, Line], width: int, height: int) -> None:
        self._thresholds = [in_px(name, line, width, height) for name, line in lines.items()]
        self._width, self._height = width, height
        self._walks: dict[int, Walk] = {}
        self._booked: list[Passage] = []
        self._held: list[Passage] = []

    def update(self, sightings: Sequence[Sighting], ended: Iterable[int]) -> list[Crossing]:
        """
        Return the crossings that *sightings* confirm, in their order.

        Args:
            sightings: What the tracker saw; several of one track stand oldest first.
            ended: Tracks that will never be seen again.
        """
        for sighting in sightings:
            walk = self._walks.get(sighting.track)
            if walk is None:
                walk = self._walks[sighting.track] = Walk([Path(threshold) for threshold in self._thresholds])
            walk.seen.append(sighting)
            for path in walk.paths:
                side = path.follow(sighting)
                if side:
                    self._held.append(Passage(path.threshold, side, path.over_ms, walk))
        for track in ended:
            walk = self._walks.pop(track, None)
            if walk is None or from_edge(walk.seen[-1].x, walk.seen[-1].y, self._width, self._height) > 0:
                continue  # who was last seen in the picture may have turned back
            for path in walk.paths:
                side = path.end()
                if side:
                    self._held.append(Passage(path.threshold, side, path.over_ms, walk))
        return self._book() if self._held else []

    def _book(self) -> list[Crossing]:
        """Book those held of whom it can be told that they went over by themselves; forget those who surely didn't."""
        now_ms = max(passage.walk.seen[-1].t_ms for passage in self._held)
        self._booked = [passage for passage in self._booked if now_ms - passage.t_ms < _FORGOTTEN_MS + _TOGETHER_MS]
        crossings: list[Crossing] = []
        held: list[Passage] = []
        for passage in self._held:
            verdicts = [(other, passage.is_apart_from(other)) for other in (*self._booked, *held)]
            doubted = [other for other, apart in verdicts if not apart]
            if not doubted:
                self._booked.append(passage)
                crossings.append(passage.crossing)
            elif (
                all(apart is not False for _, apart in verdicts)
                and now_ms - passage.t_ms < _FORGOTTEN_MS
                and all(map(self._lives, (passage, *doubted)))
            ):
                held.append(passage)
        self._held = held
        return crossings

    def _lives(self, passage: Passage) -> bool:
        return passage.walk.seen[-1].track in self._walks


def _between(one: Sighting, other: Sighting) -> float:
    """Return how far apart two heads are, diameters of the larger."""
    return math.hypot(one.x - other.x, one.y - other.y) / max(one.diameter, other.diameter)


class Passage(NamedTuple):
    """A head's way over a line, to *side* of it, and when it was on the line."""

    threshold: Threshold
    side: int
    t_ms: float
    walk: Walk

    @property
    def crossing(self) -> Crossing:
        """The crossing that it is, if it is one by itself."""
        return Crossing(self.t_ms, self.threshold.name, "in" if self.side == self.threshold.inside else "out")

    def is_apart_from(self, other: Passage) -> bool | None:
        """Tell whether this is another crossing than *other*, and not by a part of the same head; None if unclear."""
        if self.threshold is not other.threshold or self.side != other.side or self.walk is other.walk:
            return True
        first_ms, last_ms = sorted((self.t_ms, other.t_ms))
        if last_ms - first_ms >= _TOGETHER_MS:
            return True
        return self.walk.is_apart_from(other.walk, first_ms - _TOGETHER_MS, last_ms)


@dataclass(slots=True)
class Walk:
    """One followed head: how it stands to each line, and where it was seen of late."""

    paths: list[Path]
    seen: deque[Sighting] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def is_apart_from(self, other: Walk, start_ms: float, over_ms: float) -> bool | None:
        """
        Tell by how far apart both were since *start_ms* whether neither is a part of the other.

        One is if they were never apart until both were over the line, at *over_ms*. If they were, but neither far nor
        for long, it is unclear yet. Two that were seen at once nearly always until then, for so long as no shoulder is,
        are two all the same.
        """
        ours, theirs = ({sighting.t_ms: sighting for sighting in walk.seen} for walk in (self, other))
        both = sorted(ours.keys() & theirs.keys())
        until_over = [t_ms for t_ms in both if t_ms <= over_ms]
        if until_over and over_ms - until_over[0] >= STEADY_MS:
            either = sum(until_over[0] <= t_ms <= over_ms for t_ms in ours.keys() | theirs.keys())
            if len(until_over) >= STEADY * either:
                return True
        away = {t_ms: _between(ours[t_ms], theirs[t_ms]) for t_ms in both if t_ms >= start_ms}
        beside = [away[t_ms] for t_ms in until_over if t_ms in away]
        if beside and max(beside) <= _TOGETHER:
            return False
        if len(away) < _AT_ONCE or max(away.values()) > _FAR:
            return True
        apart = list(takewhile(lambda t_ms: away[t_ms] > _TOGETHER, reversed(away)))
        return True if apart and apart[0] - apart[-1] >= _APART_MS else None
