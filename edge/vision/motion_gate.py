"""
The motion gate: spare the detector the frames in which nothing moves.

An empty shop door is the usual picture. The gate compares a small grey copy of each frame with a slow background; the
detector runs when something differs, for a moment after, and once a second whatever happens, so that nothing is
missed for longer than that.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.vision.scene import Frame

_SIZE = (80, 60)
_BACKGROUND_MS = 8_000.0
"""Time constant with which the background takes up what stands still."""
_LEAST_STEP = 10.0
"""Grey levels by which a cell must differ, over and above the picture's own noise."""
_NOISE_FACTOR = 5.0
_LEAST_CELLS = 4
_LINGER_MS = 1_000.0
_LOOK_ANYWAY_MS = 1_000.0


class MotionGate:
    """Tells for each frame whether the detector should look at it. State: one small grey picture and its noise."""

    def __init__(self) -> None:
        self._background: npt.NDArray[np.float32] | None = None
        self._noise = 1.0
        self._seen_ms = 0.0
        self._moved_ms = -np.inf
        self._passed_ms = -np.inf

    def passes(self, frame: Frame, *, tracking: bool) -> bool:
        """
        Tell whether the detector should run on *frame*.

        Args:
            frame: The newest frame.
            tracking: Whether a head is being followed; then every frame passes.
        """
        if self._moves(frame):
            self._moved_ms = frame.t_ms
        if tracking or frame.t_ms - self._moved_ms <= _LINGER_MS or frame.t_ms - self._passed_ms >= _LOOK_ANYWAY_MS:
            self._passed_ms = frame.t_ms
            return True
        return False

    def _moves(self, frame: Frame) -> bool:
        """Compare *frame* with the background, then let the background follow it."""
        small = cv2.resize(frame.pixels, _SIZE, interpolation=cv2.INTER_AREA)
        grey = (small if small.ndim == 2 else small.mean(axis=2)).astype(np.float32)  # noqa: PLR2004 - no colour axis
        if self._background is None:
            self._background, self._seen_ms = grey, frame.t_ms
            return True
        step = grey - self._background
        # The camera's own exposure moves all cells alike; a head moves some.
        step -= np.median(step)
        size = np.abs(step)
        # Nine in ten cells show no head: their spread is the noise of this camera in this light.
        self._noise += 0.05 * (float(np.median(size)) * 1.5 - self._noise)
        moving = np.count_nonzero(size > _LEAST_STEP + _NOISE_FACTOR * self._noise)
        share = min(1.0, (frame.t_ms - self._seen_ms) / _BACKGROUND_MS)
        self._seen_ms = frame.t_ms
        cv2.accumulateWeighted(grey, self._background, share)
        return bool(moving >= _LEAST_CELLS)
