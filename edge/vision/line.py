"""
Tell from the heads' paths who went over which line. A crossing is booked when it is sure, and once.

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

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge.config import Line
from edge.polyline import Polyline
from edge.vision.scene import Crossing, Sighting

BAND = 0.4
"""Half the dead band, head diameters: nearer to the line than this, a head keeps the side it had."""
CLEAR = 1.0
"""So far beyond the line one sighting is enough to confirm the side, head diameters; nearer it takes two in a row."""
_SIGHTINGS = 2
_AT_EDGE = 0.02
"""An end as near to the picture's edge as this share of it can't be walked round."""


class Counter:
    """
    The lines of one camera, and how each followed head stands to them.

    State: one small record for each live track and line; it goes when the track ends.

    Args:
        lines: name: line, in shares of the picture.
        width, height: The picture, px.
    """

    def __init__(self, lines: Mapping[str, Line], width: int, height: int) -> None:
        self._lines = tuple((name, *_in_px(line, width, height)) for name, line in lines.items())
        self._paths: dict[int, list[Path]] = {}

    def update(self, sightings: Sequence[Sighting], ended: Iterable[int]) -> list[Crossing]:
        """
        Return the crossings that *sightings* confirm, in their order.

        Args:
            sightings: What the tracker saw; several of one track stand oldest first.
            ended: Tracks that will never be seen again.
        """
        crossings = []
        for sighting in sightings:
            paths = self._paths.get(sighting.track)
            if paths is None:
                paths = self._paths[sighting.track] = [Path() for _ in self._lines]
            for path, (name, line, inside) in zip(paths, self._lines, strict=True):
                side = path.follow(line, sighting)
                if side:
                    crossings.append(Crossing(path.over_ms, name, "in" if side == inside else "out"))
        for track in ended:
            self._paths.pop(track, None)
        return crossings


def _in_px(line: Line, width: int, height: int) -> tuple[Polyline, int]:
    """Return *line* in px, its ends at the picture's edge drawn on, and which of its sides, 1 or -1, is inside."""
    shares = line.points
    polyline = Polyline([(x * width, y * height) for x, y in shares])
    polyline = polyline.drawn_on(first=_at_edge(*shares[0]), last=_at_edge(*shares[-1]))
    return polyline, _sign(polyline.distance(line.inside[0] * width, line.inside[1] * height))


def _at_edge(x: float, y: float) -> bool:
    return min(x, y, 1 - x, 1 - y) <= _AT_EDGE


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)


@dataclass(slots=True)
class Path:
    """
    How one head stands to one line.

    Attributes:
        side: The side it is surely on, 1 or -1; 0 as long as it was only seen in the band.
        beyond: Sightings in a row beyond the band on the other side.
        over: Times it went through the line itself since `side` was sure: 1 for each way to the positive side, -1 back.
        over_ms: When it last did.
    """

    side: int = 0
    beyond: int = 0
    over: int = 0
    over_ms: float = 0.0
    _x: float = 0.0
    _y: float = 0.0
    _distance: float = 0.0
    _t_ms: float = 0.0

    def follow(self, line: Polyline, seen: Sighting) -> int:
        """Go on to where the head was *seen*; return the side, 1 or -1, to which it thereby went over, else 0."""
        distance = line.distance(seen.x, seen.y)
        if distance == 0:
            # Exactly on the line is on neither side: the step is judged as a whole, when it leads off the line.
            self.beyond = 0
            return 0
        side = 1 if distance > 0 else -1
        if self._distance * side < 0 and line.is_met((self._x, self._y), (seen.x, seen.y)):
            share = self._distance / (self._distance - distance)
            self.over += side
            self.over_ms = self._t_ms + share * (seen.t_ms - self._t_ms)
        self._x, self._y, self._distance, self._t_ms = seen.x, seen.y, distance, seen.t_ms
        return self._judge(side, abs(distance) / seen.diameter)

    def _judge(self, side: int, depth: float) -> int:
        """Settle the side of a head that is *depth* diameters away from the line on *side*."""
        if depth < BAND:
            self.beyond = 0
            return 0
        if self.side in (side, 0):
            self.side, self.beyond, self.over = side, 0, 0
            return 0
        self.beyond += 1
        if self.beyond < _SIGHTINGS and depth < CLEAR:
            return 0
        went_over = self.over * side > 0
        self.side, self.beyond, self.over = side, 0, 0
        return side if went_over else 0
