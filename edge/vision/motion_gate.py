"""
The motion gate: spare the detector the frames that show what it has seen already.

An empty shop door is the usual picture, or a mannequin in the window behind it. The gate compares each frame's
thumbnail with one that the detector has looked at; the detector runs when something differs, for a moment after, and
now and then whatever happens: seldom where nothing differs at all, more often where something does, however faintly.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.vision.thumbnail import Grey


@dataclass(frozen=True)
class MotionGateSettings:
    """What counts as motion, and how often the detector looks without any."""

    reference_s: float = 0.5
    """A thumbnail is compared with for at least this long, seconds: who walks slowly moves enough in that time."""
    step: float = 10.0
    """Grey levels by which a cell must differ from it, over and above the picture's own noise."""
    faint_step: float = 3.0
    """The same for what may be motion that hardly shows: black hair before a black floor."""
    noise_factor: float = 4.0
    """A cell must differ by this many times the noise of two thumbnails' difference more than that."""
    least_cells: int = 4
    """Cells of the thumbnail that must differ."""
    linger_s: float = 1.0
    """The detector runs on for this long after the last motion, seconds; likewise what is faint counts for as long."""
    look_s: float = 3.0
    faint_look_s: float = 1.0
    """While nobody is followed, the detector looks at a frame at least this often: if nothing differs, and if something
    does faintly, seconds."""
    standing_look_s: float = 1.0
    faint_standing_look_s: float = 0.4
    """The same while those who are followed all stand, seconds."""


class MotionGate:
    """Tells for each frame whether the detector should look at it. State: one thumbnail and the noise."""

    def __init__(self, settings: MotionGateSettings | None = None) -> None:
        self.settings = settings or MotionGateSettings()
        self._reference: Grey | None = None
        self._reference_ms = 0.0
        self._noise = 1.0
        self._moved_ms = self._faint_ms = -np.inf
        self._passed_ms = -np.inf

    def passes(self, thumbnail: Grey, t_ms: float, *, followed: bool, standing: bool) -> bool:
        """
        Tell whether the detector should run on a frame.

        Args:
            thumbnail: The frame, made small.
            t_ms: The frame's time.
            followed: Whether a head is being followed; then every frame passes,
            standing: unless all those heads stand where the detector last saw them.
        """
        settings = self.settings
        self._compare(thumbnail, t_ms)
        awake = t_ms - self._moved_ms <= settings.linger_s * 1000
        if not (
            awake or (followed and not standing) or t_ms - self._passed_ms >= self._longest_ms(t_ms, followed=followed)
        ):
            return False
        self._passed_ms = t_ms
        if self._reference is None or t_ms - self._reference_ms >= settings.reference_s * 1000:
            self._reference, self._reference_ms = thumbnail, t_ms
        return True

    def _longest_ms(self, t_ms: float, *, followed: bool) -> float:
        """Return how long no frame may pass."""
        settings = self.settings
        if t_ms - self._faint_ms <= settings.linger_s * 1000:
            return 1000 * (settings.faint_standing_look_s if followed else settings.faint_look_s)
        return 1000 * (settings.standing_look_s if followed else settings.look_s)

    def _compare(self, thumbnail: Grey, t_ms: float) -> None:
        """Note whether *thumbnail* differs from the reference; the first one does, and one of another shape."""
        settings = self.settings
        if self._reference is None or self._reference.shape != thumbnail.shape:
            self._reference, self._moved_ms = None, t_ms
            return
        step = np.asarray(cv2.subtract(thumbnail, self._reference, dtype=cv2.CV_16S), np.int16)
        # The camera's own exposure moves all cells alike; a head moves some.
        size = np.abs(step - _median(step))
        # Nine in ten cells show no head: their spread is the noise of this camera in this light.
        self._noise += 0.05 * (1.5 * _median(size) - self._noise)
        least = settings.noise_factor * self._noise
        if np.count_nonzero(size > settings.faint_step + least) >= settings.least_cells:
            self._faint_ms = t_ms
        if np.count_nonzero(size > settings.step + least) >= settings.least_cells:
            self._moved_ms = t_ms


def _median(cells: npt.NDArray[np.int16]) -> np.int16:
    """Return the upper median of every third cell: as good as that of all, for a third of the time."""
    some = cells.ravel()[::3]
    middle = len(some) // 2
    return np.int16(np.partition(some, middle)[middle])
