"""
Find a known structure again in a picture: shifted, turned or zoomed.

A structure is a set of edge points, each with the direction in which grey rises over it. Direction survives a change of
light, and points survive people who hide some of them. The search correlates the points' directions with the
picture's, by Fourier transform over all shifts at once, for a few turns and zooms (at half the resolution), and refines
the best of them point by point. After: Reddy and Chatterji, IEEE Trans. Image Processing 5(8), 1996 (registration of
turned and zoomed pictures by correlation); here of edge directions, as in Ullah and Kaneko, ICPR 2001.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple, Self

import cv2
import numpy as np
import numpy.typing as npt

from edge.vision.thumbnail import Gradient, steepness

EDGE_LEVEL = 6.0
"""Least step of grey, over two cells, that is an edge, grey levels."""
_FOUND_LEVEL = EDGE_LEVEL / 3
"""Least step of grey where a known edge is looked for: light may have gone down, grey levels."""
_SAME_DIRECTION = 0.85
"""Cosine of the angle between two edges that are the same one."""
_INSIDE = 0.4
"""Least share of a structure's weight that must fall into the picture for it to be found there."""
_TURNS = tuple(math.radians(angle) for angle in (-30, -25, -20, -15, -10, -5, 5, 10, 15, 20, 25, 30))
_ZOOMS = (0.65, 0.75, 0.85, 1.15, 1.3, 1.5)
_MOST_POINTS = 500
"""A structure has no more points than this: more cost time and tell nothing new."""
_REFINED = 3
"""So many of the best transforms are refined."""
_PLAIN_SHIFT = 0.7
"""A shift at which so large a share is found needs no turn or zoom to be looked for."""


class Structure(NamedTuple):
    """
    Edge points.

    Attributes:
        x, y: (n,) float32, cells, from the centre of the thumbnail; x to the right, y down.
        direction: (2, n) float32, unit vectors: where grey rises, x and y.
        weight: (n,) float32, how much each point counts, more than 0.
        cell: (n,) intp, each point's cell in the flattened thumbnail.
        shape: Rows and columns of the thumbnail.
    """

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.float32]
    direction: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]
    cell: npt.NDArray[np.intp]
    shape: tuple[int, int]

    @classmethod
    def of(cls, edges: Gradient, cells: npt.NDArray[np.bool_], weight: npt.NDArray[np.float32] | None = None) -> Self:
        """Return the edges in *cells*, or 500 of them evenly, which count as *weight* says; both (rows, columns)."""
        row, column = np.nonzero(cells)
        if len(row) > _MOST_POINTS:
            taken = np.linspace(0, len(row) - 1, _MOST_POINTS).astype(np.intp)
            row, column = row[taken], column[taken]
        rows, columns = cells.shape
        steps = edges[:, row, column]
        return cls(
            (column - (columns - 1) / 2).astype(np.float32),
            (row - (rows - 1) / 2).astype(np.float32),
            (steps / steepness(steps)).astype(np.float32),
            np.ones(len(row), np.float32) if weight is None else weight[row, column],
            row * columns + column,
            (rows, columns),
        )


@dataclass(frozen=True, slots=True)
class Transform:
    """
    How a view differs from an older one: points go from (x, y) to zoom * R(turn) (x, y) + (right, down).

    Attributes:
        right, down: Shift, cells.
        turn: Clockwise as seen on the screen, radians.
        zoom: More than 1: things are larger now.
    """

    right: float = 0.0
    down: float = 0.0
    turn: float = 0.0
    zoom: float = 1.0

    def apply(self, structure: Structure) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return where the points of *structure* are now: (n,) and (n,) float32, cells from the centre."""
        return self.move(structure.x, structure.y)

    def move(
        self, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return where the points at *x* and *y* are now; each (n,) float32, cells from the centre."""
        right, down = np.float32(self.right), np.float32(self.down)
        if not self.turn and self.zoom == 1.0:
            return x + right, y + down
        cosine, sine = self.zoom * math.cos(self.turn), self.zoom * math.sin(self.turn)
        return cosine * x - sine * y + right, sine * x + cosine * y + down

    def directions(self, structure: Structure) -> npt.NDArray[np.float32]:
        """Return which way the points' edges run now: (2, n) float32, unit vectors."""
        if not self.turn:
            return structure.direction
        cosine, sine = math.cos(self.turn), math.sin(self.turn)
        dx, dy = structure.direction
        return np.stack((cosine * dx - sine * dy, sine * dx + cosine * dy)).astype(np.float32)

    def displacement(self, structure: Structure, other: Transform | None = None) -> float:
        """Return how far the points of *structure* lie from where they were, or from where *other* puts them, cells."""
        x, y = self.apply(structure)
        was_x, was_y = (structure.x, structure.y) if other is None else other.apply(structure)
        return float(np.average(np.hypot(x - was_x, y - was_y), weights=structure.weight))

    def farthest(self, structure: Structure) -> float:
        """Return how far the tenth of the points that moved farthest lies at least from where it was, cells."""
        x, y = self.apply(structure)
        return float(np.quantile(np.hypot(x - structure.x, y - structure.y), 0.9))


UNMOVED = Transform()


def found(structure: Structure, picture: Gradient, transform: Transform = UNMOVED) -> float:
    """Return the share of *structure*, by weight, that *picture* has where *transform* puts it; 0 if most is out."""
    present, inside = _present(structure, picture, transform)
    total = float((structure.weight * inside).sum())
    if total < _INSIDE * float(structure.weight.sum()):
        return 0.0
    return float((structure.weight * present).sum()) / total


def least_half(structure: Structure, picture: Gradient, transform: Transform) -> float:
    """
    Return the share that is found of that half of *structure*, upper or lower, left or right, of which least is found.

    Of points that *transform* puts outside the picture nothing is asked. One side of a simple shape is found in many
    places, but not its other side with it.
    """
    present, inside = _present(structure, picture, transform)
    weight = structure.weight * inside
    if not weight.any():
        return 0.0
    places = structure.x, structure.y, -structure.x, -structure.y
    halves = [place >= np.median(place[inside]) for place in places]
    return min(float((weight * (half & present)).sum() / (weight * half).sum()) for half in halves)


def left_behind(structure: Structure, picture: Gradient, transform: Transform, shift: Transform) -> float:
    """
    Return the share of *structure* that is where *shift* puts it and not where *transform* does: it didn't move.

    Less what would be there by chance, if what *transform* explains and what *shift* does had nothing to do with each
    other.
    """
    moved, _ = _present(structure, picture, transform)
    stayed, _ = _present(structure, picture, shift)
    weight = structure.weight / structure.weight.sum()
    by_chance = float((weight * stayed).sum()) * float((weight * ~moved).sum())
    return float((weight * (stayed & ~moved)).sum()) - by_chance


def _present(
    structure: Structure, picture: Gradient, transform: Transform
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which points *picture* has where *transform* puts them, and which of them it puts inside the picture."""
    rows, columns = structure.shape
    x, y = transform.apply(structure)
    column = np.rint(x + np.float32((columns - 1) / 2)).astype(np.intp)
    row = np.rint(y + np.float32((rows - 1) / 2)).astype(np.intp)
    inside = (column >= 1) & (column < columns - 1) & (row >= 1) & (row < rows - 1)
    seen = picture.reshape(2, -1)[:, (row * columns + column) * inside]
    size = steepness(seen)
    right, down = transform.directions(structure)
    same = (right * seen[0] + down * seen[1] > _SAME_DIRECTION * size) & (size > _FOUND_LEVEL)
    return same & inside, inside


def search(structure: Structure, picture: Gradient) -> tuple[Transform, float]:
    """Return where *structure* is found best in *picture*, and the share of it that is found there, 0 to 1."""
    correlation = _Correlation(structure, picture)
    best = _refine(structure, picture, correlation.peak(0.0, 1.0)[1])
    if best[1] < _PLAIN_SHIFT:
        kinds = [*((turn, 1.0) for turn in _TURNS), *((0.0, zoom) for zoom in _ZOOMS)]
        starts = sorted((correlation.peak(turn, zoom) for turn, zoom in kinds), key=lambda scored: -scored[0])
        tries = [best, *(_refine(structure, picture, start) for _, start in starts[:_REFINED])]
        best = max(tries, key=lambda result: result[1])
    return best


def follow(structure: Structure, picture: Gradient, last: Transform) -> tuple[Transform, float]:
    """Return where near *last* *structure* is found best, and the share of it that is found there."""
    return _refine(structure, picture, last)


class _Correlation:
    """Correlates a structure's directions with a picture's, over all shifts, at half the thumbnail's resolution."""

    def __init__(self, structure: Structure, picture: Gradient) -> None:
        rows, columns = structure.shape
        self._structure = structure
        self._size = (2 * (-(-rows // 2)), 2 * (-(-columns // 2)))
        size = steepness(picture)
        unit = np.where(size > _FOUND_LEVEL, picture / np.maximum(size, 1e-6), 0.0).astype(np.float32)
        half = np.stack([cv2.resize(part, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA) for part in unit])
        self._picture = np.fft.rfft2(half, s=self._size)

    def peak(self, turn: float, zoom: float) -> tuple[float, Transform]:
        """Return the highest correlation of the structure, turned and zoomed so, and the shift where it is."""
        rows, columns = self._structure.shape
        transform = Transform(turn=turn, zoom=zoom)
        x, y = transform.apply(self._structure)
        column = np.floor((x + columns / 2) / 2).astype(np.intp)
        row = np.floor((y + rows / 2) / 2).astype(np.intp)
        inside = (column >= 0) & (column < columns // 2) & (row >= 0) & (row < rows // 2)
        cell = row[inside] * (columns // 2) + column[inside]
        points = [
            np.bincount(cell, along[inside] * self._structure.weight[inside], (rows // 2) * (columns // 2))
            for along in transform.directions(self._structure)
        ]
        grid = np.stack(points).reshape(2, rows // 2, columns // 2)
        spectrum = np.conj(np.fft.rfft2(grid, s=self._size)) * self._picture
        correlation = np.fft.irfft2(spectrum.sum(axis=0), s=self._size)
        down, right = np.unravel_index(int(np.argmax(correlation)), correlation.shape)
        high, wide = self._size
        shifted = replace(
            transform,
            right=2.0 * (right if right < wide // 2 else right - wide),
            down=2.0 * (down if down < high // 2 else down - high),
        )
        return float(correlation[down, right]), shifted


def _refine(structure: Structure, picture: Gradient, start: Transform) -> tuple[Transform, float]:
    """Climb from *start* to the transform at which most is found, in smaller and smaller steps."""
    best, share = start, found(structure, picture, start)
    for shift, turn, zoom in ((2.0, math.radians(2.5), 0.05), (1.0, math.radians(1.2), 0.025)):
        for _ in range(4):
            moved = [(step, found(structure, picture, step)) for step in _around(best, shift, turn, zoom)]
            better, more = max(moved, key=lambda result: result[1])
            if more <= share:
                break
            best, share = better, more
    return best, share


def _around(transform: Transform, shift: float, turn: float, zoom: float) -> Iterator[Transform]:
    """Yield the transforms one step away from *transform*."""
    for right, down in product((-shift, 0.0, shift), repeat=2):
        if right or down:
            yield replace(transform, right=transform.right + right, down=transform.down + down)
    for sign in (-1, 1):
        yield replace(transform, turn=transform.turn + sign * turn)
        yield replace(transform, zoom=transform.zoom * (1 + sign * zoom))
