"""
The geometry of a line across a picture: straight, or bent at the points it goes through.

Plain numbers in, plain numbers out; nothing in here knows of heads, cameras or settings. Axes as in every picture: x to
the right, y DOWN. The unit is the caller's: px, or shares of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, pairwise

Point = tuple[float, float]

_FAR = 1e3
"""How many times its own length an end is drawn on where "for ever" is meant."""


class Polyline:
    """
    A line through *points*, whose first and last pieces run on for ever, so that it cuts the plane in two.

    ::

        . . . ───●────────●          ● points, two or more, no two neighbours the same
                           ╲         ─ the line itself
         positive side      ●─── . . .   . where it is drawn on

    The positive side is on the right hand of one who walks from the first point to the last (y is down).
    """

    __slots__ = ("_pieces", "points")

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = tuple(points)
        self._pieces = tuple(
            (x1, y1, x2 - x1, y2 - y1, math.hypot(x2 - x1, y2 - y1)) for (x1, y1), (x2, y2) in pairwise(self.points)
        )

    def distance(self, x: float, y: float) -> float:
        """Return how far (x, y) is from the line or from where it is drawn on; less than 0 on the negative side."""
        if len(self._pieces) == 1:  # as most lines, which are asked for every head of every frame
            x1, y1, ux, uy, length = self._pieces[0]
            return (ux * (y - y1) - uy * (x - x1)) / length
        nearest = widest = math.inf
        distance = 0.0
        last = len(self._pieces) - 1
        for index, (x1, y1, ux, uy, length) in enumerate(self._pieces):
            dx, dy = x - x1, y - y1
            beside = (ux * dy - uy * dx) / length
            along = (ux * dx + uy * dy) / (length * length)
            if along < 0 and index > 0:
                away = math.dist((x, y), self.points[index])
            elif along > 1 and index < last:
                away = math.dist((x, y), self.points[index + 1])
            else:
                away = abs(beside)
            # Where a corner is the nearest, both its pieces are equally near; the one seen more broadside tells.
            if away < nearest or (away == nearest and abs(beside) > widest):
                nearest, widest = away, abs(beside)
                distance = math.copysign(away, beside)
        return distance

    def is_met(self, start: Point, end: Point) -> bool:
        """Tell whether the step from *start* to *end* goes through the line itself, not where it is drawn on."""
        return any(_cross(start, end, one, other) for one, other in pairwise(self.points))

    def drawn_on(self, *, first: bool, last: bool) -> Polyline:
        """Return the same line whose *first* or *last* end, where true, is so far away that nothing goes round it."""
        points = list(self.points)
        if first:
            points[0] = _away(points[1], points[0])
        if last:
            points[-1] = _away(points[-2], points[-1])
        return Polyline(points)

    def crosses_itself(self) -> bool:
        """Tell whether two pieces meet elsewhere than at their common corner; the ends aren't drawn on for this."""
        pieces = list(pairwise(self.points))
        return any(
            _cross(*pieces[one], *pieces[other])
            for one, other in combinations(range(len(pieces)), 2)
            if other - one > 1
        )


def _away(corner: Point, end: Point) -> Point:
    return (end[0] + _FAR * (end[0] - corner[0]), end[1] + _FAR * (end[1] - corner[1]))


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Tell whether the pieces a-b and c-d have a point in common; two that lie in one straight line have none."""
    before, after = _turn(a, b, c), _turn(a, b, d)
    if before == after == 0:
        return False
    return before * after <= 0 and _turn(c, d, a) * _turn(c, d, b) <= 0


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def smaller_side(line: Polyline) -> float:
    """
    Return the smaller of the two shares into which *line*, in shares and drawn on to the edges, cuts the picture.

    Exact for a straight line; of a bent one to a percent, by the side on which each point of a grid lies.
    """
    if len(line.points) == 2:  # noqa: PLR2004 - two ends
        return _smaller_half(*line.points)
    return smaller_side_by_grid(line)


def smaller_side_by_grid(line: Polyline) -> float:
    """Return the smaller share to a percent, by counting on which side each point of a grid lies."""
    grid = [(index + 0.5) / 50 for index in range(50)]
    positive = sum(line.distance(x, y) > 0 for x in grid for y in grid) / len(grid) ** 2
    return min(positive, 1 - positive)


def _smaller_half(start: Point, end: Point) -> float:
    corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
    kept: list[Point] = []
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        a, b = _turn(start, end, (ax, ay)), _turn(start, end, (bx, by))
        if a >= 0:
            kept.append((ax, ay))
        if (a > 0 > b) or (a < 0 < b):
            kept.append((ax + (bx - ax) * a / (a - b), ay + (by - ay) * a / (a - b)))
    area = sum(ax * by - bx * ay for (ax, ay), (bx, by) in zip(kept, kept[1:] + kept[:1], strict=True)) / 2
    return min(area, 1 - area)
