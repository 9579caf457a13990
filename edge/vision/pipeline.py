"""
Frames in, crossings out: quality -> motion gate -> detector -> tracker -> line. One pipeline for the service and for
clips.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from edge.config.schema import Line
from edge.core.head_model import Contract
from edge.core.tally import Flag
from edge.vision.detector import Detector
from edge.vision.motion_gate import MotionGate
from edge.vision.picture_check import Quality
from edge.vision.scene import NO_HEADS, Crossing, Frame, Heads, Sighting
from edge.vision.tracking.line import Counter
from edge.vision.tracking.tracker import Tracker

UNSEEN = Flag.DARK | Flag.COVERED | Flag.FROZEN | Flag.MOVED
"""While one of these holds, nothing is counted and no time counts as watched; see also Quality.vouches."""


Timed = Callable[[str], AbstractContextManager[object]]
"""Given a stage's name, what to go through it in: a stopwatch."""


def _untimed(_stage: str) -> AbstractContextManager[object]:
    return nullcontext()


_DOUBT_MS = 3_000.0
"""For so long after a crossing in a picture that Quality doesn't vouch for, none is believed."""


class Pipeline:
    """
    The stages, in order, for the lines of one camera.

    Args:
        contract: The head model's.
        lines: name: line.
        fps: Pictures a second that were asked for; far fewer is `slow`.
        timed: What each stage is gone through in.

    Raises:
        DetectorError: the model can't be used.
    """

    def __init__(self, contract: Contract, lines: Mapping[str, Line], fps: float, *, timed: Timed = _untimed) -> None:
        self._contract = contract
        self._timed = timed
        self._lines = lines
        self._detector = Detector(contract)
        self._gate = MotionGate()
        self._quality = Quality(fps)
        self._size = (0, 0)
        self._tracker: Tracker
        self._counter: Counter
        self._doubted_ms = -math.inf
        self.flags = Flag(0)
        self.heads: Heads = NO_HEADS
        self.sightings: Sequence[Sighting] = ()

    def look(self, frame: Frame) -> Sequence[Crossing]:
        """
        Return the crossings that *frame* confirmed.

        `flags` then says how well it could be seen, `heads` and `sightings` who was seen in it; none where the detector
        was spared.
        """
        height, width = frame.pixels.shape[:2]
        if (width, height) != self._size:
            self._begin(width, height)
        self.heads, self.sightings = NO_HEADS, ()
        with self._timed("quality"):
            self.flags = self._quality.look(frame)
        if self.flags & UNSEEN:
            # What is followed through a covered or moved picture would come out somewhere else.
            self._begin(width, height)
            return ()
        with self._timed("gate"):
            passes = self._gate.passes(frame, tracking=self._tracker.alive)
        if not passes:
            return ()
        with self._timed("detector"):
            self.heads = self._detector.detect(frame.pixels)
        with self._timed("tracker"):
            self.sightings = self._tracker.update(self.heads, frame.t_ms)
        with self._timed("line"):
            crossings = self._counter.update(self.sightings, self._tracker.ended)
        return self._believed(crossings, frame) if crossings else ()

    def _believed(self, crossings: Sequence[Crossing], frame: Frame) -> Sequence[Crossing]:
        """Return *crossings*, unless the camera was shaken or turned a moment ago: then it was that which crossed."""
        if not self._quality.vouches(frame):
            self._doubted_ms = frame.t_ms
        return crossings if frame.t_ms - self._doubted_ms > _DOUBT_MS else ()

    def redraw(self, lines: Mapping[str, Line]) -> None:
        """Count over these lines from now on. Heads are followed on; how they stood to the old lines is forgotten."""
        self._lines = lines
        if self._size != (0, 0):
            self._counter = Counter(lines, *self._size)

    def _begin(self, width: int, height: int) -> None:
        """Forget every head, and fit the lines to pictures of this size."""
        self._size = (width, height)
        self._tracker = Tracker(width, height, strong=self._contract.strong, weak=self._contract.weak)
        self._counter = Counter(self._lines, width, height)
