"""
The motion gate: spare the detector the frames in which nothing moves.

An empty shop door is the usual picture. The gate compares each frame's thumbnail with a slow background; the detector
runs when something differs, for a moment after, and once a second whatever happens, so that nothing is missed for
longer than that.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.vision.thumbnail import Grey


@dataclass(frozen=True)
class MotionGateSettings:
    """What counts as motion, and for how long it keeps the detector awake."""

    background_s: float = 8.0
    """Time constant with which the background takes up what stands still, seconds."""
    least_step: float = 10.0
    """Grey levels by which a cell must differ from the background, over and above the picture's own noise."""
    noise_factor: float = 5.0
    """A cell must differ by this many times the noise more than that."""
    least_cells: int = 4
    """Cells of the thumbnail that must differ."""
    linger_s: float = 1.0
    """The detector runs on for this long after the last motion, seconds."""
    look_anyway_s: float = 1.0
    """The detector looks at a frame at least this often, seconds."""


class MotionGate:
    """Tells for each frame whether the detector should look at it. State: one small grey picture and its noise."""

    def __init__(self, settings: MotionGateSettings | None = None) -> None:
        self.settings = settings or MotionGateSettings()
        self._background: npt.NDArray[np.float32] | None = None
        self._noise = 1.0
        self._seen_ms = 0.0
        self._moved_ms = -np.inf
        self._passed_ms = -np.inf

    def passes(self, thumbnail: Grey, t_ms: float, *, tracking: bool) -> bool:
        """
        Tell whether the detector should run on a frame.

        Args:
            thumbnail: The frame, made small.
            t_ms: The frame's time.
            tracking: Whether a head is being followed; then every frame passes.
        """
        settings = self.settings
        if self._moves(thumbnail, t_ms):
            self._moved_ms = t_ms
        awake = t_ms - self._moved_ms <= settings.linger_s * 1000
        if tracking or awake or t_ms - self._passed_ms >= settings.look_anyway_s * 1000:
            self._passed_ms = t_ms
            return True
        return False

    def _moves(self, thumbnail: Grey, t_ms: float) -> bool:
        """Compare *thumbnail* with the background, then let the background follow it."""
        settings = self.settings
        grey = thumbnail.astype(np.float32)
        if self._background is None or self._background.shape != grey.shape:
            self._background, self._seen_ms = grey, t_ms
            return True
        step = grey - self._background
        # The camera's own exposure moves all cells alike; a head moves some.
        step -= _median(step)
        size = np.abs(step)
        # Nine in ten cells show no head: their spread is the noise of this camera in this light.
        self._noise += 0.05 * (_median(size) * 1.5 - self._noise)
        moving = np.count_nonzero(size > settings.least_step + settings.noise_factor * self._noise)
        share = min(1.0, (t_ms - self._seen_ms) / (settings.background_s * 1000))
        self._seen_ms = t_ms
        cv2.accumulateWeighted(grey, self._background, share)
        return bool(moving >= settings.least_cells)


def _median(cells: npt.NDArray[np.float32]) -> float:
    """Return the median of every third cell: as good as that of all, for a third of the time."""
    return float(np.median(cells.ravel()[::3]))
