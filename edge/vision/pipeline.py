"""
Frames in, crossings out: picture check -> motion gate -> detector -> tracker -> line. One pipeline for the service and
for clips.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import cv2

from edge.config.schema import Line
from edge.core.head_model import Contract
from edge.core.tally import Flag
from edge.vision.detector import Detector
from edge.vision.explain import Explanation
from edge.vision.motion_gate import MotionGate
from edge.vision.picture_check import PictureCheck
from edge.vision.scene import NO_HEADS, Crossing, Frame, Heads, Sighting
from edge.vision.tracking.line import CrossingCounter
from edge.vision.tracking.tracker import Tracker

# Pictures are small. OpenCV's threads wait for the next one in a busy loop, which takes more CPU time than they save.
cv2.setNumThreads(1)

UNSEEN = Flag.DARK | Flag.COVERED | Flag.FROZEN
"""While one of these holds, crossings are refused and no time counts as watched."""


Timed = Callable[[str], AbstractContextManager[object]]
"""Given a stage's name, what to go through it in: a stopwatch."""


def _untimed(_stage: str) -> AbstractContextManager[object]:
    return nullcontext()


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
        self._check = PictureCheck(fps)
        self._size = (0, 0)
        self._tracker: Tracker
        self._counter: CrossingCounter
        self._pending: list[tuple[Crossing, Explanation]] = []
        self.flags = Flag(0)
        self.explained: Sequence[Explanation] = ()
        self.refused: Sequence[Explanation] = ()
        self.heads: Heads = NO_HEADS
        self.sightings: Sequence[Sighting] = ()

    def look(self, frame: Frame) -> Sequence[Crossing]:
        """
        Return the crossings that *frame* confirmed.

        `flags` then says how well it could be seen, `explained` why each way over a line was counted or not, `refused`
        which of them were not because of the picture, `sightings` who was seen in it: nobody where the detector was
        spared. `heads` are those of the last frame that the detector looked at: nothing has moved since.
        """
        if frame.size != self._size:
            self._begin(*frame.size)
        self.sightings = ()
        decided: list[Explanation] = []
        with self._timed("picture check"):
            was_frozen = Flag.FROZEN in self.flags
            self.flags = self._check.look(frame)
        if self._check.cut or (was_frozen and Flag.FROZEN not in self.flags):
            # Another scene: whoever was followed in the one before isn't where this one has somebody.
            self._begin(*frame.size)
        with self._timed("gate"):
            followed, standing = bool(self._tracker.tracks), self._tracker.all_static
            passes = self._gate.passes(self._check.thumbnail, frame.t_ms, followed=followed, standing=standing)
        if passes:
            with self._timed("decode"):
                pixels = frame.pixels
            with self._timed("detector"):
                self.heads = self._detector.detect(pixels)
            with self._timed("tracker"):
                self.sightings = self._tracker.update(self.heads, frame.t_ms)
            self._check.note(self.heads, self.sightings)
            self.flags = self._check.flags
            with self._timed("line"):
                crossings = self._counter.update(self.sightings, self._tracker.ended, self._tracker.rejected)
            explained = self._counter.explained
            decided = [explanation for explanation in explained if explanation.verdict != "counted"]
            counted = [explanation for explanation in explained if explanation.verdict == "counted"]
            self._pending += zip(crossings, counted, strict=True)
        return self._judge(frame.t_ms, decided)

    def finish(self) -> Sequence[Crossing]:
        """Return the crossings that were still in doubt when the last frame had been looked at."""
        return self._judge(math.inf, [])

    def _judge(self, now_ms: float, decided: Sequence[Explanation]) -> Sequence[Crossing]:
        """Return those of the confirmed crossings that count; `explained` tells of these and of what is *decided*."""
        counted: list[Crossing] = []
        explained = list(decided)
        refused: list[Explanation] = []
        unclear: list[tuple[Crossing, Explanation]] = []
        for crossing, explanation in self._pending:
            doubtful = self._check.unclear(crossing.t_ms, now_ms)
            reason = self._check.refuses(crossing.t_ms)
            if reason is not None:
                refused.append(explanation._replace(verdict="refused", reason=reason))
            elif doubtful:
                unclear.append((crossing, explanation))
            else:
                counted.append(crossing)
                explained.append(explanation)
        self._pending, self.refused, self.explained = unclear, refused, [*explained, *refused]
        return counted

    def begin_view(self) -> None:
        """Take what the camera shows from now on for what it should show: the config was loaded again."""
        self._check.begin_view()

    def redraw(self, lines: Mapping[str, Line]) -> None:
        """Count over these lines from now on. Heads are followed on; how they stood to the old lines is forgotten."""
        self._lines = lines
        if self._size != (0, 0):
            self._counter = CrossingCounter(lines, *self._size)

    def _begin(self, width: int, height: int) -> None:
        """Forget every head, and fit the lines to pictures of this size."""
        self._size = (width, height)
        self.heads = NO_HEADS
        self._tracker = Tracker(width, height, strong=self._contract.strong, weak=self._contract.weak)
        self._counter = CrossingCounter(self._lines, width, height)
