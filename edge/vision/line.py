"""
Tell from the heads' paths who went over which line. A crossing is booked when it is sure, and once.

::

    outside     ─────────────────────────── band's edge      a head has a side only beyond the band;
                                                             inside it, it keeps the side it had
    from ●──────────────────────────────────────────● to
                                                             to go round an end changes the side
    inside      ─────────────────────────── band's edge      and counts nothing

A head that turns back in the band counts nothing; one that goes over and comes back counts one in and one out. Of two
that go over together, and were never farther apart than a head and its own shoulder, one counts. All measures are in
diameters of that head, so that neither the picture's size nor the camera's height matters.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from edge.config import Line
from edge.polyline import Polyline
from edge.vision.scene import Crossing, Sighting
from edge.vision.tracker import STEADY, STEADY_MS

BAND = 0.4
"""Half the dead band, head diameters: nearer to the line than this, a head keeps the side it had."""
CLEAR = 1.0
"""So far beyond the line one sighting is enough to confirm the side, head diameters."""
_STAYED_MS = 150
"""Nearer, a head must have stayed beyond the band for so long: who turns back on the line is there but for a moment."""
_TOGETHER, _TOGETHER_MS = 1.5, 1_000
"""Two that go over the same way within so long, and from so long before were never seen farther apart than this,
diameters of the larger, are one head and a part of it: who walks shoulder to shoulder has 1.7 between the heads."""
_REMEMBERED = 100
"""So many sightings of a track are remembered: more than the tracker holds back, and three seconds at 30 fps."""
_FORGOTTEN_MS = 5_000
"""A crossing may be confirmed late, when a track is told of with its past, but not later than this."""
_AT_EDGE = 0.02
"""An end as near to the picture's edge as this share of it can't be walked round."""


class Counter:
    """
    The lines of one camera, and how each followed head stands to them.

    State: for each live track a small record a line and its last `_REMEMBERED` sightings; and who was booked of late.

    Args:
        lines: name: line, in shares of the picture.
        width, height: The picture, px.
    """

    def __init__(self, lines: Mapping[str, Line], width: int, height: int) -> None:
        self._lines = tuple((name, *_in_px(line, width, height)) for name, line in lines.items())
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
                walk = self._walks[sighting.track] = Walk([Path() for _ in self._lines])
            walk.seen.append(sighting)
            for path, (name, line, inside) in zip(walk.paths, self._lines, strict=True):
                side = path.follow(line, sighting)
                if side and self._book(Booked(name, side, path.over_ms, walk), sighting.t_ms):
                    crossings.append(Crossing(path.over_ms, name, "in" if side == inside else "out"))
        for track in ended:
            self._walks.pop(track, None)
        return crossings

    def _book(self, crossing: Booked, now_ms: float) -> bool:
        """Book *crossing*, confirmed now, unless that of somebody who went along is booked; return whether it is."""
        self._booked = [booked for booked in self._booked if now_ms - booked.t_ms < _FORGOTTEN_MS]
        if any(crossing.goes_along_with(booked) for booked in self._booked):
            return False
        self._booked.append(crossing)
        return True


def _in_px(line: Line, width: int, height: int) -> tuple[Polyline, int]:
    """Return *line* in px, its ends at the picture's edge drawn on, and which of its sides, 1 or -1, is inside."""
    shares = line.points
    polyline = Polyline([(x * width, y * height) for x, y in shares])
    polyline = polyline.drawn_on(first=_at_edge(*shares[0]), last=_at_edge(*shares[-1]))
    return polyline, _sign(polyline.distance(line.inside[0] * width, line.inside[1] * height))


def _at_edge(x: float, y: float) -> bool:
    return min(x, y, 1 - x, 1 - y) <= _AT_EDGE


def _between(one: Sighting, other: Sighting) -> float:
    """Return how far apart two heads are, diameters of the larger."""
    return math.hypot(one.x - other.x, one.y - other.y) / max(one.diameter, other.diameter)


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)


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


@dataclass(slots=True)
class Path:
    """
    How one head stands to one line.

    Attributes:
        side: The side it is surely on, 1 or -1; 0 as long as it was only seen in the band.
        beyond_ms: Since when it has only been seen beyond the band on the other side.
        over: Times it went through the line itself since `side` was sure: 1 for each way to the positive side, -1 back.
        over_ms: When it last did.
    """

    side: int = 0
    beyond_ms: float = math.inf
    over: int = 0
    over_ms: float = 0.0
    _x: float = 0.0
    _y: float = 0.0
    _distance: float = 0.0
    _t_ms: float = 0.0

    def follow(self, line: Polyline, seen: Sighting) -> int:
        """Go on to where the head was *seen*; return the side, 1 or -1, to which it thereby went over, else 0."""
        _, x, y, diameter, t_ms = seen
        distance = line.distance(x, y)
        if distance == 0:
            # Exactly on the line is on neither side: the step is judged as a whole, when it leads off the line.
            self.beyond_ms = math.inf
            return 0
        side = 1 if distance > 0 else -1
        if self._distance * side < 0 and line.is_met((self._x, self._y), (x, y)):
            share = self._distance / (self._distance - distance)
            self.over += side
            self.over_ms = self._t_ms + share * (t_ms - self._t_ms)
        self._x, self._y, self._distance, self._t_ms = x, y, distance, t_ms
        if side == self.side and not self.over and self.beyond_ms == math.inf:
            return 0  # as nearly always: it is where it was, and nothing is open
        return self._judge(side, abs(distance) / diameter)

    def _judge(self, side: int, depth: float) -> int:
        """Settle the side of a head that is *depth* diameters away from the line on *side*."""
        if depth < BAND:
            self.beyond_ms = math.inf
            return 0
        if self.side in (side, 0):
            self.side, self.beyond_ms, self.over = side, math.inf, 0
            return 0
        self.beyond_ms = min(self.beyond_ms, self._t_ms)
        if depth < CLEAR and self._t_ms - self.beyond_ms < _STAYED_MS:
            return 0
        went_over = self.over * side > 0
        self.side, self.beyond_ms, self.over = side, math.inf, 0
        return side if went_over else 0
