"""
Tell from the heads' paths who went over which line. A crossing is booked when it is sure, and once.

Of two that go over together, and were never farther apart than a head and its own shoulder, one counts.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from edge.config import Line
from edge.vision.path import Path, in_px
from edge.vision.scene import Crossing, Sighting, from_edge
from edge.vision.tracker import STEADY, STEADY_MS

_TOGETHER, _TOGETHER_MS = 1.5, 1_000
"""Two that go over the same way within so long, and from so long before were never seen farther apart than this,
diameters of the larger, are one head and a part of it: who walks shoulder to shoulder has 1.7 between the heads."""
_REMEMBERED = 100
"""So many sightings of a track are remembered: more than the tracker holds back, and three seconds at 30 fps."""
_FORGOTTEN_MS = 5_000
"""A crossing may be confirmed late, when a track is told of with its past, but not later than this."""


class Counter:
    """
    The lines of one camera, and how each followed head stands to them.

    State: for each live track a small record a line and its last `_REMEMBERED` sightings; and who was booked of late.

    Args:
        lines: name: line, in shares of the picture.
        width, height: The picture, px.
    """

    def __init__(self, lines: Mapping[str, Line], width: int, height: int) -> None:
        self._thresholds = [in_px(name, line, width, height) for name, line in lines.items()]
        self._width, self._height = width, height
        self._walks: dict[int, Walk] = {}
        self._booked: list[Booked] = []

    def update(self, sightings: Sequence[Sighting], ended: Iterable[int]) -> list[Crossing]:
        """
        Return the crossings that *sightings* confirm, in their order.

        Args:
            sightings: What the tracker saw; several of one track stand oldest first.
            ended: Tracks that will never be seen again.
        """
        crossings = []
        for sighting in sightings:
            walk = self._walks.get(sighting.track)
            if walk is None:
                walk = self._walks[sighting.track] = Walk([Path(threshold) for threshold in self._thresholds])
            walk.seen.append(sighting)
            for path in walk.paths:
                side = path.follow(sighting)
                if side:
                    crossings += self._book(walk, path, side)
        for track in ended:
            walk = self._walks.pop(track, None)
            if walk is None or from_edge(walk.seen[-1].x, walk.seen[-1].y, self._width, self._height) > 0:
                continue  # who was last seen in the picture may have turned back
            for path in walk.paths:
                side = path.end()
                if side:
                    crossings += self._book(walk, path, side)
        return crossings

    def _book(self, walk: Walk, path: Path, side: int) -> list[Crossing]:
        """Book that *walk* went over to *side*, unless one that went along is booked; return the crossing, if any."""
        name, _, inside = path.threshold
        crossing, now_ms = Booked(name, side, path.over_ms, walk), walk.seen[-1].t_ms
        self._booked = [booked for booked in self._booked if now_ms - booked.t_ms < _FORGOTTEN_MS]
        if any(crossing.goes_along_with(booked) for booked in self._booked):
            return []
        self._booked.append(crossing)
        return [Crossing(path.over_ms, name, "in" if side == inside else "out")]


def _between(one: Sighting, other: Sighting) -> float:
    """Return how far apart two heads are, diameters of the larger."""
    return math.hypot(one.x - other.x, one.y - other.y) / max(one.diameter, other.diameter)


class Booked(NamedTuple):
    """A crossing that was booked, and whose it was."""

    line: str
    side: int
    t_ms: float
    walk: Walk

    def goes_along_with(self, other: Booked) -> bool:
        """Tell whether this is the same crossing as *other*, by what is a part of that head or has it for a part."""
        if self.line != other.line or self.side != other.side or self.walk is other.walk:
            return False
        first_ms, last_ms = sorted((self.t_ms, other.t_ms))
        return last_ms - first_ms < _TOGETHER_MS and self.walk.is_beside(other.walk, first_ms - _TOGETHER_MS, last_ms)


@dataclass(slots=True)
class Walk:
    """One followed head: how it stands to each line, and where it was seen of late."""

    paths: list[Path]
    seen: deque[Sighting] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def is_beside(self, other: Walk, start_ms: float, end_ms: float) -> bool:
        """
        Tell whether both were seen at once from *start_ms* to *end_ms*, and never apart.

        Two that were seen at once nearly always, for so long as no shoulder is, are two all the same.
        """
        ours = {sighting.t_ms: sighting for sighting in self.seen if sighting.t_ms <= end_ms}
        theirs = {sighting.t_ms: sighting for sighting in other.seen if sighting.t_ms <= end_ms}
        both = sorted(ours.keys() & theirs.keys())
        if not both or both[-1] < start_ms:
            return False
        either = sum(t_ms >= both[0] for t_ms in ours.keys() | theirs.keys())
        if end_ms - both[0] >= STEADY_MS and len(both) >= STEADY * either:
            return False
        return all(_between(ours[t_ms], theirs[t_ms]) <= _TOGETHER for t_ms in both if t_ms >= start_ms)
