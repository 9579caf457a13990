"""Finds pairs of lines that the same people cross. The camera's total adds its lines, so these people count twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, pairwise

from edge.config.geometry import Point
from edge.vision.scene import Sighting


class SharedTracks:
    """
    Counts the tracks that went over two lines. State: per live track its last place and the lines that it is beyond.

    A track has gone over a line if its path meets the line an odd number of times; who comes back hasn't.
    """

    def __init__(self) -> None:
        self._last: dict[int, Point] = {}
        self._beyond: dict[int, set[int]] = {}
        self._ended: Counter[tuple[int, int]] = Counter()

    def update(self, sighting: Sighting, lines: Mapping[int, Sequence[Point]]) -> None:
        """
        Follow one track by one step.

        Args:
            sighting: Its newest place, px.
            lines: number: points of each line, px.
        """
        place = (sighting.x, sighting.y)
        before = self._last.get(sighting.track, place)
        self._last[sighting.track] = place
        beyond = self._beyond.setdefault(sighting.track, set())
        for number, points in lines.items():
            if sum(_meet(before, place, *piece) for piece in pairwise(points)) % 2:
                beyond ^= {number}

    def end(self, tracks: Iterable[int]) -> None:
        """Keep what is known of tracks that ended, and drop their state."""
        for track in tracks:
            self._last.pop(track, None)
            self._ended.update(combinations(sorted(self._beyond.pop(track, ())), 2))

    def forget(self, lines: Iterable[int]) -> None:
        """Drop what is known of lines that were changed or deleted."""
        for number in lines:
            for beyond in self._beyond.values():
                beyond.discard(number)
            for pair in [pair for pair in self._ended if number in pair]:
                del self._ended[pair]

    def pairs(self) -> Counter[tuple[int, int]]:
        """Return (smaller line number, larger line number): how many tracks went over both."""
        live = Counter(pair for beyond in self._beyond.values() for pair in combinations(sorted(beyond), 2))
        return self._ended + live


def _meet(start: Point, end: Point, one: Point, other: Point) -> bool:
    """Return whether the step from *start* to *end* goes from one side of the piece to the other, within its ends."""
    return (_side(one, other, start) > 0) != (_side(one, other, end) > 0) and (_side(start, end, one) > 0) != (
        _side(start, end, other) > 0
    )


def _side(one: Point, other: Point, place: Point) -> float:
    return (other[0] - one[0]) * (place[1] - one[1]) - (other[1] - one[1]) * (place[0] - one[0])
