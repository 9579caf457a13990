"""
What the stages of vision hand to each other: Frame, Heads, Sighting, Crossing.

Axes of every picture: x to the right, y DOWN, px of the frame as the camera gave it. Times are the source's own, in
ms: boot time for a camera, time from the first frame for a clip.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

Direction = Literal["in", "out"]
Pixels = npt.NDArray[np.uint8]


class Frame:
    """
    One picture.

    Args:
        pixels: (height, width, 3) uint8, BGR. Only valid until the next frame is taken.
        t_ms: When it was taken, ms of the source's time; never less than that of the frame before.

    Attributes:
        size: Width and height of `pixels`.
        reduced: The picture for those who need few points of it: `pixels` themselves, or all or fewer ones in grey.
        t_ms: As above.
    """

    def __init__(self, pixels: Pixels, t_ms: float) -> None:
        height, width = pixels.shape[:2]
        self._pixels: Pixels | None = pixels
        self.size = (width, height)
        self.reduced = pixels
        self.t_ms = t_ms

    @property
    def pixels(self) -> Pixels:
        """All of the picture, as above."""
        assert self._pixels is not None  # noqa: S101 - given above, or made by PackedFrame
        return self._pixels

    def at(self, t_ms: float) -> Self:
        """Return the same picture with another time."""
        other = copy.copy(self)
        other.t_ms = t_ms
        return other


class PackedFrame(Frame):
    """
    One picture whose px are only unpacked when somebody asks for them: most frames show nothing new.

    Args:
        unpack: Returns the px.
        size, reduced, t_ms: As of `Frame`.
    """

    def __init__(self, unpack: Callable[[], Pixels], size: tuple[int, int], reduced: Pixels, t_ms: float) -> None:
        self._pixels = None
        self._unpack = unpack
        self.size, self.reduced, self.t_ms = size, reduced, t_ms

    @property
    def pixels(self) -> Pixels:  # noqa: D102 - see Frame
        if self._pixels is None:
            self._pixels = self._unpack()
        return self._pixels


class Heads(NamedTuple):
    """
    The heads found in one frame; n may be 0.

    Attributes:
        centres: (n, 2) float32, x y px of the frame.
        diameters: (n,) float32, px of the frame, more than 0.
        scores: (n,) float32, 0 to 1.
    """

    centres: npt.NDArray[np.float32]
    diameters: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]


NO_HEADS = Heads(np.empty((0, 2), np.float32), np.empty(0, np.float32), np.empty(0, np.float32))


class Sighting(NamedTuple):
    """
    One track seen in one frame: where the head with this number is now. Or where it must have been when it came in or
    went out over the picture's edge: on it, or outside.

    Attributes:
        track: The track's number; never used again after its death.
        x, y: Filtered head centre, px of the frame.
        diameter: Filtered head diameter, px of the frame.
        t_ms: The frame's time.
        score: The mean score of the track's detections, the newest ones first of all, 0 to 1.
        confidence: How far the track is believed.
    """

    track: int
    x: float
    y: float
    diameter: float
    t_ms: float
    score: float = 0.0
    confidence: float = 0.0


class Crossing(NamedTuple):
    """
    A head that went over a line, confirmed.

    Attributes:
        t_ms: When the head's centre was on the line, ms of the source's time.
        line: The line's name.
        direction: "in" towards the line's `inside` point.
    """

    t_ms: float
    line: str
    direction: Direction


def from_edge(x: float, y: float, width: float, height: float) -> float:
    """Return how far a place is inside the edge of a picture of *width* by *height*, px; 0 on it, less outside."""
    return min(x, y, width - x, height - y)


def came_over_edge(first: Sighting, last: Sighting, width: float, height: float) -> Sighting | None:
    """Return where and when a head, seen at *first* and then at *last*, was on the picture's edge, if it was."""
    dx, dy = last.x - first.x, last.y - first.y
    share = min(
        (first.x if dx > 0 else first.x - width) / dx if dx else math.inf,
        (first.y if dy > 0 else first.y - height) / dy if dy else math.inf,
    )
    ago_ms = share * (last.t_ms - first.t_ms)
    if not 0 < ago_ms < math.inf:
        return None
    return first._replace(x=first.x - share * dx, y=first.y - share * dy, t_ms=first.t_ms - ago_ms)
