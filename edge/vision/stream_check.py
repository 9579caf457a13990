"""What is wrong with the stream of frames, whatever they show: the same picture again and again, or too few."""

from __future__ import annotations

from collections import deque

import numpy as np

from edge.vision.thumbnail import Grey


class Frozen:
    """
    Whether the same picture has come again and again, for longer than this source repeats pictures.

    Args:
        frozen_s: A camera never gives exactly the same picture for so long.
        factor: A source that has repeated pictures before may do so this many times as long.
    """

    def __init__(self, frozen_s: float, factor: float) -> None:
        self._frozen_ms, self._factor = frozen_s * 1000, factor
        self._sampled: Grey | None = None
        self._since_ms = self._last_ms = 0.0
        self._longest_ms = 0.0

    def looks(self, sampled: Grey, t_ms: float) -> bool:
        """Tell whether *sampled* has been exactly this for too long."""
        limit_ms = max(self._frozen_ms, self._factor * self._longest_ms)
        if self._sampled is None or not np.array_equal(sampled, self._sampled):
            repeated_ms = self._last_ms - self._since_ms
            if repeated_ms < limit_ms:
                self._longest_ms = max(self._longest_ms, min(repeated_ms, self._frozen_ms))
            self._sampled, self._since_ms = sampled, t_ms
        self._last_ms = t_ms
        return t_ms - self._since_ms >= limit_ms


class Pace:
    """
    Whether frames come too slowly to follow people; at most so many times are kept as make the floor.

    Args:
        floor_fps: Fewer frames a second are too few.
        pace_s: The rate is judged over this long.
        away_s: A camera that gave nothing for this long was closed or lost; its rate is judged anew.
    """

    def __init__(self, floor_fps: float, pace_s: float, away_s: float) -> None:
        self._pace_ms, self._away_ms = pace_s * 1000, away_s * 1000
        self._times_ms: deque[float] = deque(maxlen=max(2, round(floor_fps * pace_s)))
        self._began_ms = 0.0

    def is_slow(self, t_ms: float) -> bool:
        """Tell whether, with a frame at *t_ms*, the last ten seconds had fewer than the floor."""
        if not self._times_ms or t_ms - self._times_ms[-1] > self._away_ms:
            self._times_ms.clear()
            self._began_ms = t_ms
        self._times_ms.append(t_ms)
        full = len(self._times_ms) == self._times_ms.maxlen
        if full:
            return t_ms - self._times_ms[0] > self._pace_ms
        return t_ms - self._began_ms > self._pace_ms
