"""
What others count with, on the same detections: supervision's ByteTrack and LineZone, and a centroid tracker.

Ours stands beside them under the same face. Only for comparison; the product has none of it.
"""

from __future__ import annotations

import math
import warnings
from collections import OrderedDict
from typing import Any, Protocol

import numpy as np

from edge.config.schema import Line
from edge.evaluation.score import Event
from edge.vision.scene import Heads
from edge.vision.tracking.line import CrossingCounter
from edge.vision.tracking.settings import SETTINGS, TrackingSettings
from edge.vision.tracking.tracker import Tracker
from tests.simulator.eye import STRONG, WEAK
from tests.simulator.walkers import HEIGHT, LINE, LINE_Y, PX, WIDTH


class Rival(Protocol):
    """Something that counts crossings of the simulated line."""

    name: str

    def look(self, heads: Heads, t_s: float) -> list[Event]:
        """Return the crossings that it counts with this frame."""


def line_at(height: int) -> Line:
    """Return the simulated line in shares of a picture that is *height* px high."""
    ends = {"from": (LINE.start[0], LINE_Y * PX / height), "to": (LINE.end[0], LINE_Y * PX / height)}
    return Line.model_validate({**ends, "inside": (0.5, 0.99)})


class Ours:
    """
    The product's own tracker and line.

    Args:
        height: Of the picture, px.
        strong: Score from which a head may begin a track.
    """

    name = "Footfall"

    def __init__(
        self, fps: float, height: int = HEIGHT, settings: TrackingSettings = SETTINGS, strong: float = STRONG
    ) -> None:
        del fps
        self.tracker = Tracker(WIDTH, height, strong, WEAK, settings)
        self.counter = CrossingCounter({"door": line_at(height)}, WIDTH, height, settings)

    def look(self, heads: Heads, t_s: float) -> list[Event]:
        """Count."""
        sightings = self.tracker.update(heads, 1000 * t_s)
        crossings = self.counter.update(sightings, self.tracker.ended, self.tracker.rejected)
        return [Event(crossing.t_ms / 1000, crossing.direction) for crossing in crossings]


class Supervision:
    """
    supervision's ByteTrack and LineZone.

    Args:
        anchor: CENTER counts the middle of the box, as suits a head; None counts when all four corners are over.
        threshold: LineZone's `minimum_crossing_threshold`.
        grow: Size of the box it is given, head diameters: ByteTrack matches boxes by their overlap only.
    """

    def __init__(self, fps: float, *, anchor: str | None = "CENTER", threshold: int = 1, grow: float = 1.0) -> None:
        import supervision  # noqa: PLC0415 - only the comparison needs it

        warnings.filterwarnings("ignore", category=FutureWarning, module="supervision")
        self.name = "ByteTrack + LineZone" + (f", boxes {grow:g} times as large" if grow != 1 else "")
        self._sv: Any = supervision
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._tracker = self._sv.ByteTrack(
                track_activation_threshold=STRONG, lost_track_buffer=30, frame_rate=round(fps)
            )
        (x1, y1), (x2, y2) = LINE.start, LINE.end
        anchors = {"triggering_anchors": (getattr(self._sv.Position, anchor),)} if anchor else {}
        self._zone = self._sv.LineZone(
            self._sv.Point(x1 * WIDTH, y1 * HEIGHT),
            self._sv.Point(x2 * WIDTH, y2 * HEIGHT),
            minimum_crossing_threshold=threshold,
            **anchors,
        )
        self._grow = grow

    def look(self, heads: Heads, t_s: float) -> list[Event]:
        """Count."""
        half = heads.diameters[:, None] * self._grow / 2
        detections = self._sv.Detections(
            xyxy=np.hstack((heads.centres - half, heads.centres + half)),
            confidence=heads.scores,
            class_id=np.zeros(len(heads.scores), int),
        )
        tracked = self._tracker.update_with_detections(detections)
        crossed_in, crossed_out = self._zone.trigger(tracked)
        # Its "in" is towards the left hand of who walks along the line: here the top of the picture.
        return [Event(t_s, "out")] * int(crossed_in.sum()) + [Event(t_s, "in")] * int(crossed_out.sum())


class Centroid:
    """
    The centroid tracker that popular counters copy: nearest centre wins, a track is kept 40 frames.

    It counts a track once: when it stands on one side of a horizontal line and moves away from where it was on average.
    """

    name = "Centroid tracker"
    _KEEP = 40
    _REACH_PX = 50

    def __init__(self, fps: float) -> None:
        del fps
        self._next = 0
        self._places: OrderedDict[int, tuple[float, float]] = OrderedDict()
        self._unseen: dict[int, int] = {}
        self._heights: dict[int, list[float]] = {}
        self._counted: set[int] = set()

    def look(self, heads: Heads, t_s: float) -> list[Event]:
        """Count."""
        centres: list[tuple[float, float]] = [
            (x, y) for (x, y), s in zip(heads.centres.tolist(), heads.scores.tolist(), strict=True) if s >= STRONG
        ]
        for number, place in self._follow(centres):
            self._places[number] = place
            self._unseen[number] = 0
            self._heights.setdefault(number, [])
        events = []
        for number, (_, y) in self._places.items():
            heights = self._heights[number]
            step = y - sum(heights) / len(heights) if heights else 0.0
            heights.append(y)
            if number in self._counted:
                continue
            if step < 0 and y < HEIGHT / 2:
                events.append(Event(t_s, "out"))
            elif step > 0 and y > HEIGHT / 2:
                events.append(Event(t_s, "in"))
            else:
                continue
            self._counted.add(number)
        return events

    def _follow(self, centres: list[tuple[float, float]]) -> list[tuple[int, tuple[float, float]]]:
        """Give each centre a number: the nearest track's within reach, or a new one."""
        pairs = sorted(
            (math.dist(place, centre), number, index)
            for number, place in self._places.items()
            for index, centre in enumerate(centres)
        )
        taken: dict[int, int] = {}
        for away, number, index in pairs:
            if away <= self._REACH_PX and number not in taken.values() and index not in taken:
                taken[index] = number
        for number in set(self._places) - set(taken.values()):
            self._unseen[number] += 1
            if self._unseen[number] > self._KEEP:
                del self._places[number], self._unseen[number], self._heights[number]
        for index in range(len(centres)):
            if index not in taken:
                taken[index] = self._next
                self._next += 1
        return [(number, centres[index]) for index, number in taken.items()]
