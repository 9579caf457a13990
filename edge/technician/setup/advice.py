"""
Warns of a line that counts badly: too near the picture's edge, too short for the heads here, or where people stand.

Distances are measured in diameters of the heads that were seen, so that neither the picture's size nor the camera's
height matters. Until the first head is seen, only the edge can be judged. Lengths are in px of the camera's picture.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from edge.config.geometry import Point, Polyline
from edge.config.schema import Line
from edge.vision.scene import Sighting
from edge.vision.tracking.settings import SETTINGS

_LEAST_ROOM = 1.5
"""Least distance from a line to the picture's edge, diameters. Nearer than this, more than one in thirty people who
cross is missed; at 0.7 one in fifteen: see docs/accuracy.md."""
_LEAST_ROOM_SHARE = 0.08
"""Least distance from a line to the edge while no head has been seen, as a share of the picture's smaller side."""
_LEAST_LENGTH = 2.5
"""Least length of a line, diameters. Shoulders are as wide as two heads, so people walk round a shorter line."""
_ON_LINE = SETTINGS.clear
"""A person who stands nearer to the line than this, diameters, may be counted each time they sway."""
_STANDS_MS = 3_000
"""A person who has stayed in one place for so long stands, ms."""
_SWAY = 0.6
"""A person stays in one place while they move by no more than this, diameters."""
_LEAST_STANDING_MS = 5_000
"""A line is warned of once people have stood on it for so long in all, ms."""
_HEADS_KEPT = 400
"""The usual diameter of a head is the median of so many newest ones."""
_MAP_COLUMNS = 24
"""The map of where people stand has so many columns; its cells are square."""
_ENDED_MS = 3_000
"""A track that was not seen for so long has ended, ms."""


class SceneStatistics:
    """
    The usual size of a head, and where people stand. State: the newest sizes, a coarse map, one anchor per live track.

    Args:
        width: The picture's width, px.
    """

    def __init__(self, width: int) -> None:
        self._cell = width / _MAP_COLUMNS
        self._sizes: deque[float] = deque(maxlen=_HEADS_KEPT)
        self._stood_ms: Counter[tuple[int, int]] = Counter()
        self._anchors: dict[int, Sighting] = {}
        self._last: dict[int, Sighting] = {}

    @property
    def head_px(self) -> float | None:
        """The usual diameter of a head, px; None before the first one was seen."""
        return median(self._sizes) if self._sizes else None

    def add(self, sighting: Sighting) -> None:
        """Learn from one sighting of a track."""
        self._sizes.append(sighting.diameter)
        anchor = self._anchors.get(sighting.track)
        before = self._last.get(sighting.track, sighting)
        self._last[sighting.track] = sighting
        if anchor is None or math.dist(anchor[1:3], sighting[1:3]) > _SWAY * sighting.diameter:
            self._anchors[sighting.track] = sighting
        elif sighting.t_ms - anchor.t_ms >= _STANDS_MS:
            place = (int(sighting.x // self._cell), int(sighting.y // self._cell))
            # The time before it was known to stand counts as standing, too.
            first = before.t_ms - anchor.t_ms < _STANDS_MS
            self._stood_ms[place] += round(sighting.t_ms - (anchor if first else before).t_ms)

    def end_tracks(self, t_ms: float) -> list[int]:
        """Drop the tracks that have ended by *t_ms*, and return their numbers."""
        ended = [track for track, sighting in self._last.items() if t_ms - sighting.t_ms > _ENDED_MS]
        for track in ended:
            del self._last[track], self._anchors[track]
        return ended

    def standing_s(self, points: Sequence[Point]) -> float:
        """Return how long people have stood on the line through *points*, seconds in all."""
        reach = _ON_LINE * (self.head_px or 0.0) + self._cell / 2
        on_line = (
            ms
            for (column, row), ms in self._stood_ms.items()
            if _distance(points, ((column + 0.5) * self._cell, (row + 0.5) * self._cell)) < reach
        )
        return sum(on_line) / 1000


def advise(line: Line, statistics: SceneStatistics, width: int, height: int) -> list[str]:
    """Return one sentence for each problem of *line*, with what to do; an empty list if there is none."""
    points = [(x * width, y * height) for x, y in line.points]
    return [
        *_on_edge(line, points, statistics, width, height),
        *_on_length(points, statistics),
        *_on_standing(points, statistics),
    ]


def _on_edge(
    line: Line, points: Sequence[Point], statistics: SceneStatistics, width: int, height: int
) -> Iterator[str]:
    head = statistics.head_px
    least = _LEAST_ROOM * head if head else _LEAST_ROOM_SHARE * min(width, height)
    inside = Polyline(points).distance(line.inside[0] * width, line.inside[1] * height)
    for sign, side in ((1, "the shop's side"), (-1, "the street's side")):
        room = median(_rooms(points, math.copysign(1, inside) * sign, width, height))
        if room < least:
            much = f"{room / head:.1f} heads" if head else f"{100 * room / min(width, height):.0f} % of the picture"
            needed = f"{_LEAST_ROOM:g} heads" if head else f"{100 * _LEAST_ROOM_SHARE:.0f} %"
            yield (
                f"Too near the picture's edge: {side} has room for {much}, and more people are missed there. "
                f"Leave at least {needed}."
            )


def _rooms(points: Sequence[Point], side: float, width: int, height: int) -> Iterator[float]:
    """Yield the distance to the picture's edge from places along the line, at right angles to it on one side."""
    for (x1, y1), (x2, y2) in pairwise(points):
        length = math.hypot(x2 - x1, y2 - y1) or 1.0
        normal = (-side * (y2 - y1) / length, side * (x2 - x1) / length)
        for share in (0.1, 0.3, 0.5, 0.7, 0.9):
            place = (x1 + share * (x2 - x1), y1 + share * (y2 - y1))
            yield min(
                (limit - at) / step if step > 0 else -at / step
                for at, step, limit in zip(place, normal, (width, height), strict=True)
                if abs(step) > 1e-9  # noqa: PLR2004 - parallel to this edge
            )


def _on_length(points: Sequence[Point], statistics: SceneStatistics) -> Iterator[str]:
    head = statistics.head_px
    length = sum(math.dist(one, other) for one, other in pairwise(points))
    if head and length < _LEAST_LENGTH * head:
        yield (
            f"Too short: {length / head:.1f} heads long, so people pass beside it. Draw it across the whole doorway, "
            f"{_LEAST_LENGTH:g} heads or more."
        )


def _on_standing(points: Sequence[Point], statistics: SceneStatistics) -> Iterator[str]:
    stood_s = statistics.standing_s(points)
    if 1000 * stood_s >= _LEAST_STANDING_MS:
        yield f"People stand here: {stood_s:.0f} s so far. Move the line to where they walk on."


def _distance(points: Sequence[Point], place: Point) -> float:
    """Return the distance from *place* to the line."""
    return min(_distance_to_piece(one, other, place) for one, other in pairwise(points))


def _distance_to_piece(one: Point, other: Point, place: Point) -> float:
    dx, dy = other[0] - one[0], other[1] - one[1]
    along = ((place[0] - one[0]) * dx + (place[1] - one[1]) * dy) / ((dx * dx + dy * dy) or 1.0)
    along = min(1.0, max(0.0, along))
    return math.dist(place, (one[0] + along * dx, one[1] + along * dy))
