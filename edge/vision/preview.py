"""
What a technician sees while a line is being drawn: scenery as edges, people as flat blocks, heads as dots.

::

    what stands still   edges of a slow average, 96 x 72 cells, 15 greys     nobody who passes is in it
    who moves           blocks of 4 x 4 cells, there or not there            24 x 18 for the whole picture
    heads               a place and a size

So a person in the picture is a few of 432 blocks, each a yes or a no: there is no inside that a face could be in.
Scenery is only learnt where nothing has moved for a while and no head is near. What does stand still for that long, an
advertising figure or a visitor like a statue whom the detector doesn't find, is scenery, and is drawn by its edges.
Nothing here keeps a picture larger than 96 x 72, and no process has the other end of the pipe but `footfall setup`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from edge.core.silhouette import FULL, MOST_COLUMNS, MOST_POINTS, MOST_ROWS, SOMEBODY, Count, Point, Silhouette, encode
from edge.core.tally import Flag
from edge.vision.odometer import Odometers
from edge.vision.pipeline import Pipeline
from edge.vision.scene import Frame, Heads, Sighting

Grey = npt.NDArray[np.float32]
"""(rows, columns) float32, grey levels 0 to 255, of the silhouette's cells."""
Blocks = npt.NDArray[np.bool_]
"""(rows / 4, columns / 4) bool."""

Cell = TypeVar("Cell", bound=np.generic)

BLOCK = 4
"""Cells along a block's side: the finest that is told of whoever moves."""

_LEAST_STEP = 10.0
"""Grey levels by which a cell must differ to be somebody, over and above the picture's own noise."""
_NOISE_FACTOR = 5.0
_MOST_NOISE = 4.0
"""A camera that is turned isn't noise."""
_LEARNT_STEP = 0.3
"""Share of that step up to which a block is still as it was, and may be learnt from; beyond, it waits."""
_RECENT_MS = 500.0
_SCENERY_MS = 4_000.0
_STILL_MS = 3_000.0
"""Nothing must have moved in a block for so long before its scenery is learnt for the first time."""
_ABSORBED_MS = 30_000.0
"""Likewise, before what came later and stands there is taken for scenery."""
_ANEW = 0.6
"""Share of blocks that differ at once only when the camera was moved: then all scenery is learnt for the first time."""
_NEAR_HEAD = 1.5
"""Blocks nearer to a head than this are somebody's, diameters."""
_EDGE = 7.0
"""Grey levels between neighbouring cells that make an edge of one step; less is drawn as nothing."""
_BESIDE = np.ones((3, 3), np.uint8)
_MOST_WAITING = 10 * MOST_POINTS


class Scenery:
    """
    Makes the cells. State: two averages of 96 x 72 grey levels, and for each block how long it has been still.

    Cells keep the picture's aspect; the picture's right and lower rim that doesn't fill a block is left out.
    """

    def __init__(self) -> None:
        self._shape: tuple[int, int] = (0, 0)
        self._begin(MOST_COLUMNS, MOST_ROWS)

    def draw(self, frame: Frame, heads: Heads) -> npt.NDArray[np.uint8]:
        """Return (rows, columns) uint8 of 0 to 15; at most 72 x 96, of the picture's aspect to a block."""
        width, height = frame.size
        columns, rows = size_for(width, height)
        if (rows, columns) != self._shape:
            self._begin(columns, rows)
        small = cv2.resize(frame.pixels, (columns, rows), interpolation=cv2.INTER_AREA)
        grey = (small if small.ndim == 2 else small.mean(axis=2)).astype(np.float32)  # noqa: PLR2004 - no colour axis
        taken = self._blocks_of(heads, width, height)
        somebody = self._learn(grey, taken, frame.t_ms)
        cells = _edges(self._scenery)
        # An edge lies between two cells: what borders on a block that was never learnt isn't an edge of anything.
        unknown = cv2.dilate(_cells_of(~self._known).astype(np.uint8), _BESIDE) > 0
        cells[unknown] = 0
        cells[_cells_of(somebody)] = SOMEBODY
        return cells

    def _begin(self, columns: int, rows: int) -> None:
        self._shape = (rows, columns)
        blocks = (rows // BLOCK, columns // BLOCK)
        self._recent: Grey | None = None
        self._scenery: Grey = np.zeros((rows, columns), np.float32)
        self._still_ms = np.zeros(blocks, np.float32)
        self._known = np.zeros(blocks, bool)
        self._quiet = np.zeros(blocks, bool)
        self._noise = 1.0
        self._t_ms = 0.0

    def _learn(self, grey: Grey, taken: Blocks, t_ms: float) -> Blocks:
        """Let both averages follow *grey*; return the blocks in which somebody is."""
        if self._recent is None:
            self._recent, self._t_ms = grey, t_ms
        passed_ms = max(0.0, t_ms - self._t_ms)
        self._t_ms = t_ms
        step, apart = np.abs(grey - self._recent), grey - self._scenery
        # Noise, and the camera's own exposure that moves all cells alike, are told by where nobody was a frame ago: so
        # whoever is there has no say in it.
        quiet = _cells_of(self._quiet)
        noise = min(_MOST_NOISE, 1.5 * float(np.median(step[quiet] if quiet.any() else step)))
        self._noise += 0.05 * (noise - self._noise)
        apart -= np.median(apart[quiet]) if quiet.any() else 0.0
        least = _LEAST_STEP + _NOISE_FACTOR * self._noise
        moves = _any(step > least) | taken
        cv2.accumulateWeighted(grey, self._recent, min(1.0, passed_ms / _RECENT_MS))
        differs = _any(np.abs(apart) > least) & self._known
        doubtful = _any(np.abs(apart) > _LEARNT_STEP * least) | moves | differs
        if differs.mean() > _ANEW:
            self._known[:] = differs[:] = False
        self._still_ms = np.where(moves, 0.0, self._still_ms + passed_ms).astype(np.float32)
        first = ~self._known & (self._still_ms >= _STILL_MS)
        absorbed = differs & (self._still_ms >= _ABSORBED_MS)
        # Beside somebody is a shadow, or the rim of a sleeve: nothing is learnt there either.
        follows = self._known & ~(cv2.dilate(doubtful.astype(np.uint8), _BESIDE) > 0)
        share = np.where(first | absorbed, 1.0, np.where(follows, min(1.0, passed_ms / _SCENERY_MS), 0.0))
        self._scenery += _cells_of(share.astype(np.float32)) * (self._recent - self._scenery)
        self._known |= first
        self._quiet = follows if follows.any() else self._known.copy()
        return (differs & ~absorbed) | taken

    def _blocks_of(self, heads: Heads, width: int, height: int) -> Blocks:
        """Return the blocks that are near a head."""
        rows, columns = self._still_ms.shape
        across = (np.arange(columns) + 0.5) * (width / columns)
        down = (np.arange(rows) + 0.5) * (height / rows)
        dx = across[None, None, :] - heads.centres[:, 0, None, None]
        dy = down[None, :, None] - heads.centres[:, 1, None, None]
        near: Blocks = np.any(np.hypot(dx, dy) < _NEAR_HEAD * heads.diameters[:, None, None], axis=0)
        return near


def size_for(width: int, height: int) -> tuple[int, int]:
    """Return the columns and rows, multiples of a block, for a picture of this size."""
    scale = min(MOST_COLUMNS / width, MOST_ROWS / height) / BLOCK
    return max(1, round(width * scale)) * BLOCK, max(1, round(height * scale)) * BLOCK


def _edges(grey: Grey) -> npt.NDArray[np.uint8]:
    """Return how sharp the edge at each cell is, 0 to 14: root of its steps of grey."""
    dx = cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=0.25)
    dy = cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=0.25)
    strength = np.sqrt(np.maximum(0.0, np.hypot(dx, dy) - _EDGE) / _EDGE) * 4
    return np.asarray(np.minimum(strength, SOMEBODY - 1), np.uint8)


def _any(cells: npt.NDArray[np.bool_]) -> Blocks:
    """Return the blocks of which any cell is set."""
    rows, columns = cells.shape
    blocks: Blocks = np.any(cells.reshape(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK), axis=(1, 3))
    return blocks


def _cells_of(blocks: npt.NDArray[Cell]) -> npt.NDArray[Cell]:
    """Return *blocks* as cells."""
    return blocks.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)


class Preview:
    """
    The write end of the silhouettes' pipe, and what goes into it. Never waits.

    A record for which there is no room is left out; sightings wait for the next one, so that no path has a gap.

    Args:
        descriptor: An inherited pipe's write end.
        lines: The camera's lines, in order.
        picture: Whether cells are drawn at all; an audit needs none.

    Attributes:
        shut: Nobody looks any more.
    """

    def __init__(self, descriptor: int, lines: Sequence[str], *, picture: bool) -> None:
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)
        self._lines = lines
        self._scenery = Scenery() if picture else None
        self._sequence = 0
        self._began_ms: float | None = None
        self._t_ms = 0
        self._size = (1, 1)
        self._waiting: list[Sighting] = []
        self.shut = False

    def show(self, frame: Frame, pipeline: Pipeline, odometers: Odometers) -> None:
        """Write what *frame* showed."""
        self._size = frame.size
        if self._began_ms is None:
            self._began_ms = frame.t_ms
        self._t_ms = round(frame.t_ms - self._began_ms)
        cells = None if self._scenery is None else self._scenery.draw(frame, pipeline.heads)
        self._waiting = [*self._waiting, *pipeline.sightings][-_MOST_WAITING:]
        seen = [self._point(s.x, s.y, s.diameter, s.track, s.t_ms) for s in self._waiting[:MOST_POINTS]]
        rows = zip(pipeline.heads.centres.tolist(), pipeline.heads.diameters.tolist(), strict=True)
        heads = [self._point(x, y, diameter) for (x, y), diameter in rows]
        if self._write(cells, odometers, [*seen, *heads][:MOST_POINTS], pipeline.flags):
            self._waiting = self._waiting[MOST_POINTS:]

    def say(self, flags: Flag, odometers: Odometers) -> None:
        """Write that there is no frame, and why."""
        self._write(None, odometers, (), flags)

    def _point(self, x: float, y: float, diameter: float, track: int = 0, t_ms: float | None = None) -> Point:
        width, height = self._size
        age = 0.0 if t_ms is None or self._began_ms is None else self._t_ms - (t_ms - self._began_ms)
        return Point(
            track,
            round(FULL * min(1.0, max(0.0, x / width))),
            round(FULL * min(1.0, max(0.0, y / height))),
            max(1, round(FULL * min(1.0, diameter / width))),
            round(min(FULL, max(0.0, age))),
        )

    def _write(
        self, cells: npt.NDArray[np.uint8] | None, odometers: Odometers, points: Sequence[Point], flags: Flag
    ) -> bool:
        rows, columns = (0, 0) if cells is None else cells.shape
        silhouette = Silhouette(
            self._sequence,
            self._t_ms,
            columns,
            rows,
            *self._size,
            b"" if cells is None else cells.tobytes(),
            [Count(*odometers.of(line)) for line in self._lines],
            points,
            flags,
        )
        self._sequence += 1
        try:
            os.write(self._descriptor, encode(silhouette))
        except BlockingIOError:
            return False
        except BrokenPipeError:
            self.shut = True
        return True
