"""
Tell whether the camera can be believed: dark, covered, frozen, moved, slow. Costs little and looks at every frame.

What is kept of a picture here is a copy of 80 x 60 grey values and the average of its edges, in memory only.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edge.core.tally import Flag
from edge.vision.scene import Frame

Gradient = npt.NDArray[np.float32]
"""Steps of grey across and down, (2, 60, 80), grey levels over two cells."""

_COLUMNS, _ROWS = 80, 60
_LOOK_MS = 1_000.0
"""Darkness, covers and moves are judged once in this time."""

_FROZEN_MS = 10_000.0
"""Exactly the same picture for so long is no camera's."""

_DARK_LEVEL = 22.0
"""Grey level under which 19 of 20 points of a dark picture lie. A night street where people can be counted has 93."""
_FLAT_STEP = 8.0
"""Steps of grey, over two cells, that 97 of 100 cells of a covered picture don't reach. Clear ones: 20 and more."""
_FOUND_MS = 5_000.0
_GONE_MS = 2_000.0

_LEARN_LOOKS = 10
"""Looks of which the first signature is made; until then no move is found."""
_KEEP_MS = 600_000.0
"""Time constant with which the signature follows light and furniture."""
_EDGE_LEVEL = 6.0
"""Least step of grey over two cells that is an edge."""
_LEAST_EDGES = 40
_MATCH = 0.85
"""Cosine of the angle between two edges that are the same one."""
_SLACK = 2
"""Cells, of 80 x 60, by which a picture may shift and still be the same view."""
_SHIFTS = sorted(
    ((down, right) for down in range(-_SLACK, _SLACK + 1) for right in range(-_SLACK, _SLACK + 1)),
    key=lambda shift: shift[0] ** 2 + shift[1] ** 2,
)
_SURELY_SAME = 0.75
_MOVED_SHARE = 0.33
"""
A picture in which fewer of the signature's edges are found is another view. Another place has up to 0.25 by chance; the
same one has more than 0.5 through crowds and dimmed light, and 0.37 while a door that fills the picture closes.
"""
_BACK_SHARE = 0.5
_MOVED_MS = 15_000.0
_BACK_MS = 5_000.0

_PACE_MS = 10_000.0
_SLOWEST_FPS = 4.0
_AWAY_MS = 60_000.0
"""A camera that gave nothing for so long was closed or lost, which has flags of its own; its pace begins anew."""


class Quality:
    """
    Looks at each frame of one camera.

    Found and gone within: dark and covered 6 s and 3 s; frozen 10 s and at once; moved 16 s and 6 s; slow 10 s
    and 10 s. No move is found in the first 10 s of a run.

    Args:
        fps: Frames a second that were asked for. Slow is under 4, or under a third of them where that is less.
    """

    def __init__(self, fps: float) -> None:
        self._frozen = _Frozen()
        self._pace = _Pace(min(_SLOWEST_FPS, fps / 3))
        self._dark = _Held(_FOUND_MS, _GONE_MS)
        self._covered = _Held(_FOUND_MS, _GONE_MS)
        self._moved = _Held(_MOVED_MS, _BACK_MS)
        self._view = _View()
        self._looked_ms = -np.inf

    def look(self, frame: Frame) -> Flag:
        """Return the flags that hold now."""
        points = _points(frame.pixels)
        flags = Flag(0)
        if self._frozen.looks(points, frame.t_ms):
            flags |= Flag.FROZEN
        if self._pace.is_slow(frame.t_ms):
            flags |= Flag.SLOW
        if frame.t_ms - self._looked_ms >= _LOOK_MS:
            self._looked_ms = frame.t_ms
            self._judge(frame, points)
        for held, flag in ((self._dark, Flag.DARK), (self._covered, Flag.COVERED), (self._moved, Flag.MOVED)):
            if held.holds:
                flags |= flag
        return flags

    def vouches(self, frame: Frame) -> bool:
        """
        Tell whether what is counted in *frame* can be believed.

        It can't in a picture that is dark, covered or moved just now, though no flag may hold yet: what a shaken camera
        sweeps over a line must not count.
        """
        seen = self._see(frame.pixels, _points(frame.pixels))
        return not (seen.dark or seen.flat or seen.share < _MOVED_SHARE)

    def _see(self, pixels: npt.NDArray[np.uint8], points: npt.NDArray[np.uint8]) -> _Seen:
        gradient = _gradient(pixels)
        dark = float(np.percentile(points, 95)) < _DARK_LEVEL
        flat = float(np.percentile(np.hypot(*gradient), 97)) < _FLAT_STEP
        share, shift = (1.0, (0, 0)) if dark or flat or not self._view.learnt else self._view.share_found(gradient)
        return _Seen(gradient, dark, flat, share, shift)

    def _judge(self, frame: Frame, points: npt.NDArray[np.uint8]) -> None:
        """Look closer, once a second."""
        seen = self._see(frame.pixels, points)
        self._dark.say(seen.dark, frame.t_ms)
        self._covered.say(seen.flat and not seen.dark, frame.t_ms)
        if seen.dark or seen.flat:
            self._moved.say(self._moved.holds, frame.t_ms)
            return
        self._moved.say(seen.share < (_BACK_SHARE if self._moved.holds else _MOVED_SHARE), frame.t_ms)
        if seen.share >= _MOVED_SHARE and not self._moved.holds:
            self._view.learn(seen.gradient, seen.shift)


class _Seen(NamedTuple):
    """
    One closer look at a picture.

    Attributes:
        dark, flat: Nothing bright is in it; nothing at all is in it.
        share, shift: Share of the signature's edges that are in it, and where; 1 while there is no signature.
    """

    gradient: Gradient
    dark: bool
    flat: bool
    share: float
    shift: tuple[int, int]


class _Held:
    """A condition that must last before it holds, and be away before it doesn't."""

    def __init__(self, found_ms: float, gone_ms: float) -> None:
        self.holds = False
        self._found_ms, self._gone_ms = found_ms, gone_ms
        self._since_ms: float | None = None

    def say(self, now: bool, t_ms: float) -> None:  # noqa: FBT001 - it is what is said
        """Say whether the condition is there now."""
        if now == self.holds:
            self._since_ms = None
            return
        if self._since_ms is None:
            self._since_ms = t_ms
        if t_ms - self._since_ms >= (self._gone_ms if self.holds else self._found_ms):
            self.holds, self._since_ms = now, None


class _Frozen:
    """Whether the same picture has come again and again."""

    def __init__(self) -> None:
        self._points: npt.NDArray[np.uint8] | None = None
        self._since_ms = 0.0

    def looks(self, points: npt.NDArray[np.uint8], t_ms: float) -> bool:
        """Tell whether *points* have been exactly these for too long."""
        if self._points is None or not np.array_equal(points, self._points):
            self._points, self._since_ms = points, t_ms
        return t_ms - self._since_ms >= _FROZEN_MS


class _Pace:
    """Whether frames come too slowly to follow people; at most so many times are kept as make the floor."""

    def __init__(self, floor_fps: float) -> None:
        self._times_ms: deque[float] = deque(maxlen=max(2, round(floor_fps * _PACE_MS / 1000)))
        self._began_ms = 0.0

    def is_slow(self, t_ms: float) -> bool:
        """Tell whether, with a frame at *t_ms*, the last ten seconds had fewer than the floor."""
        if not self._times_ms or t_ms - self._times_ms[-1] > _AWAY_MS:
            self._times_ms.clear()
            self._began_ms = t_ms
        self._times_ms.append(t_ms)
        full = len(self._times_ms) == self._times_ms.maxlen
        if full:
            return t_ms - self._times_ms[0] > _PACE_MS
        return t_ms - self._began_ms > _PACE_MS


class _View:
    """
    The signature: where the picture's lasting edges are, and which way they run.

    A picture that is shifted by no more than `_SLACK` cells is the same view: a mount that trembles or sags a little.
    The signature stays where it began, so that many small shifts add up to a move.
    """

    def __init__(self) -> None:
        self._edges = np.zeros((2, _ROWS, _COLUMNS), np.float32)
        self._looks = 0

    @property
    def learnt(self) -> bool:
        """Whether there is a signature yet."""
        return self._looks >= _LEARN_LOOKS

    def share_found(self, gradient: Gradient) -> tuple[float, tuple[int, int]]:
        """
        Return the share of the signature's edges that are in a picture, and the shift at which it is so large.

        A signature of too few edges tells nothing: 1.
        """
        strength = np.hypot(*self._edges)
        strength[:_SLACK] = strength[-_SLACK:] = 0
        strength[:, :_SLACK] = strength[:, -_SLACK:] = 0
        rows, columns = np.nonzero(strength > _EDGE_LEVEL)
        if len(rows) < _LEAST_EDGES:
            return 1.0, (0, 0)
        wanted = self._edges[:, rows, columns] / strength[rows, columns]
        best, best_shift = 0.0, (0, 0)
        for down, right in _SHIFTS:
            seen = gradient[:, rows + down, columns + right]
            size = np.hypot(*seen)
            found = ((wanted * seen).sum(axis=0) > _MATCH * size) & (size > _EDGE_LEVEL / 3)
            share = float(np.count_nonzero(found)) / len(rows)
            if share > best:
                best, best_shift = share, (down, right)
            if best >= _SURELY_SAME:
                break
        return best, best_shift

    def learn(self, gradient: Gradient, shift: tuple[int, int] = (0, 0)) -> None:
        """Let the signature follow this picture, which is shifted by so many rows and columns, a little."""
        self._looks = min(self._looks + 1, round(_KEEP_MS / _LOOK_MS))
        self._edges += (np.roll(gradient, (-shift[0], -shift[1]), (1, 2)) - self._edges) / self._looks


def _points(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a copy of about 80 x 60 single points of a picture, green or grey: no averages, so that noise stays in."""
    height, width = pixels.shape[:2]
    grey = pixels if pixels.ndim == 2 else pixels[:, :, 1]  # noqa: PLR2004 - no colour axis
    return grey[:: max(1, height // _ROWS), :: max(1, width // _COLUMNS)].copy()


def _gradient(pixels: npt.NDArray[np.uint8]) -> Gradient:
    """Return the steps of grey of the picture made small and a little blurred."""
    height, width = pixels.shape[:2]
    grey = pixels if pixels.ndim == 2 else pixels[:, :, 1]  # noqa: PLR2004 - no colour axis
    coarse = np.ascontiguousarray(grey[:: max(1, height // (4 * _ROWS)), :: max(1, width // (4 * _COLUMNS))])
    small = cv2.resize(coarse, (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA)
    floating = cv2.GaussianBlur(small.astype(np.float32), (3, 3), 0)
    gradient = np.zeros((2, _ROWS, _COLUMNS), np.float32)
    gradient[0, :, 1:-1] = floating[:, 2:] - floating[:, :-2]
    gradient[1, 1:-1] = floating[2:] - floating[:-2]
    return gradient
