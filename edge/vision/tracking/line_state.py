"""
How one head stands to one line.

::

    outside     ─────────────────────────── band's edge      a head has a side only beyond the band;
                                                             inside it, it keeps the side it had
    from ●──────────────────────────────────────────● to
                                                             to go round an end changes the side
    inside      ─────────────────────────── band's edge      and counts nothing

A head that turns back in the band counts nothing; one that goes over and comes back counts one in and one out. All
measures are in diameters of that head, so that neither the picture's size nor the camera's height matters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from edge.config.geometry import Polyline
from edge.config.schema import Line
from edge.vision.scene import Sighting

BAND = 0.4
"""Half the dead band, head diameters: nearer to the line than this, a head keeps the side it had."""
CLEAR = 1.0
"""So far beyond the line one sighting is enough to confirm the side, head diameters."""
_UNSEEN_MS = 250
"""But not the first after so long: a head that turned back unseen may have been lost to a false one."""
_STAYED_MS = 250
"""Else a head must have stayed beyond the band for so long: who turns back on the line is there but for a moment."""
_AT_EDGE = 0.02
"""An end as near to the picture's edge as this share of it can't be walked round."""
_NOWHERE = Sighting(0, 0.0, 0.0, 1.0, 0.0)


class Threshold(NamedTuple):
    """A line in px, and which of its sides, 1 or -1, is inside."""

    name: str
    line: Polyline
    inside: int


def in_px(name: str, line: Line, width: int, height: int) -> Threshold:
    """Return *line* in px, its ends at the picture's edge drawn on."""
    shares = line.points
    polyline = Polyline([(x * width, y * height) for x, y in shares])
    polyline = polyline.drawn_on(first=_at_edge(*shares[0]), last=_at_edge(*shares[-1]))
    return Threshold(name, polyline, _sign(polyline.distance(line.inside[0] * width, line.inside[1] * height)))


@dataclass(slots=True)
class Path:
    """
    How one head stands to one line.

    Attributes:
        threshold: The line.
        side: The side it is surely on, 1 or -1; 0 as long as it was only seen in the band.
        beyond_ms: Since when it has only been seen beyond the band on the other side.
        over: Times it went through the line itself since `side` was sure: 1 for each way to the positive side, -1 back.
        over_ms: When it last did.
    """

    threshold: Threshold
    side: int = 0
    beyond_ms: float = math.inf
    over: int = 0
    over_ms: float = 0.0
    _last: Sighting = _NOWHERE
    _distance: float = 0.0

    def follow(self, seen: Sighting) -> int:
        """Go on to where the head was *seen*; return the side, 1 or -1, to which it thereby went over, else 0."""
        line = self.threshold.line
        distance = line.distance(seen.x, seen.y)
        if distance == 0:
            # Exactly on the line is on neither side: the step is judged as a whole, when it leads off the line.
            self.beyond_ms = math.inf
            return 0
        side = 1 if distance > 0 else -1
        last, before = self._last, self._distance
        self._last, self._distance = seen, distance
        if before * side < 0 and line.is_met((last.x, last.y), (seen.x, seen.y)):
            self.over += side
            self.over_ms = last.t_ms + before / (before - distance) * (seen.t_ms - last.t_ms)
        if side == self.side and not self.over and self.beyond_ms == math.inf:
            return 0  # as nearly always: it is where it was, and nothing is open
        return self._judge(side, abs(distance) / seen.diameter, seen.t_ms, seen.t_ms - last.t_ms)

    def end(self) -> int:
        """Return the side to which it went over if it was beyond the band when last seen, but not for long; else 0."""
        return -self.side if self.beyond_ms < math.inf and self.over * self.side < 0 else 0

    def _judge(self, side: int, depth: float, t_ms: float, unseen_ms: float) -> int:
        """Settle the side of a head that is *depth* diameters from the line on *side* now, seen after *unseen_ms*."""
        if depth < BAND:
            self.beyond_ms = math.inf
            return 0
        if self.side in (side, 0):
            self.side, self.beyond_ms, self.over = side, math.inf, 0
            return 0
        self.beyond_ms = min(self.beyond_ms, t_ms)
        clear = depth >= CLEAR and unseen_ms <= _UNSEEN_MS
        if not clear and t_ms - self.beyond_ms < _STAYED_MS:
            return 0
        went_over = self.over * side > 0
        self.side, self.beyond_ms, self.over = side, math.inf, 0
        return side if went_over else 0


def _at_edge(x: float, y: float) -> bool:
    return min(x, y, 1 - x, 1 - y) <= _AT_EDGE


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)
