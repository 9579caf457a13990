"""Decide which heads went over which line; of a head and a part of it that go over together, one counts."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edge.config.schema import Line
from edge.vision.explain import OVER, Explanation, Reason, Rejected, Verdict
from edge.vision.pixel_line import PixelLine, in_px
from edge.vision.scene import Crossing, Direction, Sighting, from_edge
from edge.vision.tracking.line_state import LineState, Passage
from edge.vision.tracking.settings import SETTINGS, TrackingSettings

_REMEMBERED = 100
"""So many points of a track are remembered: three seconds at 30 fps, and more than the tracker holds back."""
_KEPT_MS = 6_000
"""A counted crossing is compared with those that are reported up to so long after it."""
_LEAST_SEEN = 2
"""Of two heads that were seen in fewer frames at once nothing is known, and they count as two."""


class CrossingCounter:
    """
    Counts who goes over *lines*, in shares of a picture of *width* x *height* px.

    Attributes:
        histories: What is remembered of each live track: a small record a line, and its newest points.
        explained: What the last update decided: who was counted, refused, or nearly over.
    """

    def __init__(
        self, lines: Mapping[str, Line], width: int, height: int, settings: TrackingSettings = SETTINGS
    ) -> None:
        self._settings = settings
        self._lines = [in_px(name, line, width, height) for name, line in lines.items()]
        self._width, self._height = width, height
        self.histories: defaultdict[int, TrackHistory] = defaultdict(self._new_history)
        self._counted: list[CandidateCrossing] = []
        self.explained: list[Explanation] = []

    def update(
        self, sightings: Sequence[Sighting], ended: Iterable[int], rejected: Iterable[Rejected] = ()
    ) -> list[Crossing]:
        """
        Return the crossings that *sightings* confirm, in their order; several of one track stand oldest first.

        The tracks in *ended* will never be seen again. Those in *rejected* were never taken for people and are only
        explained.
        """
        self.explained = []
        candidates: list[CandidateCrossing] = []
        for sighting in sightings:
            candidates += self.histories[sighting.track].follow(sighting)
        for history in [self.histories.pop(track) for track in ended if track in self.histories]:
            last = history.points[-1]
            candidates += history.end(left=from_edge(last.x, last.y, self._width, self._height) <= 0)
        crossings = [candidate.crossing for candidate in candidates if self._counts(candidate)]
        for reason, points in rejected:
            history = self._new_history()
            for candidate in [candidate for point in points for candidate in history.follow(point)]:
                if candidate.passage.reason == OVER:
                    self._explain(candidate, "refused", reason)
        return crossings

    def _new_history(self) -> TrackHistory:
        return TrackHistory([LineState(line, self._settings) for line in self._lines])

    def _counts(self, candidate: CandidateCrossing) -> bool:
        """Decide whether *candidate* counts, and explain it."""
        passage = candidate.passage
        if passage.reason != OVER:
            self._explain(candidate, "nearly", passage.reason)
            return False
        newest_ms = candidate.history.points[-1].t_ms
        self._counted = [other for other in self._counted if newest_ms - other.passage.t_ms < _KEPT_MS]
        for other in self._counted:
            separation = candidate.separation(other, self._settings)
            if separation is not None and separation <= self._settings.pair_reach:
                self._explain(candidate, "refused", "part of a head that was counted", separation)
                return False
        self._counted.append(candidate)
        self._explain(candidate, "counted", OVER)
        return True

    def _explain(self, candidate: CandidateCrossing, verdict: Verdict, reason: Reason, apart: float = 0) -> None:
        passage, crossing, last = candidate.passage, candidate.crossing, candidate.history.points[-1]
        place = (passage.x, passage.y)
        beliefs = (10 * last.confidence, 100 * last.score, passage.unseen_ms, 10 * passage.depth, 10 * apart)
        told = (round(crossing.t_ms), crossing.line, crossing.direction, verdict, reason)
        self.explained.append(Explanation._make((*told, *map(round, (*place, *beliefs)))))


@dataclass(frozen=True, slots=True)
class CandidateCrossing:
    """A head's way over a line: a crossing, unless the head is a part of another one that went over with it."""

    pixel_line: PixelLine
    passage: Passage
    history: TrackHistory

    @property
    def crossing(self) -> Crossing:
        """The crossing that it is if it counts."""
        direction: Direction = "in" if self.passage.side == self.pixel_line.inside else "out"
        return Crossing(self.passage.t_ms, self.pixel_line.name, direction)

    def separation(self, other: CandidateCrossing, settings: TrackingSettings) -> float | None:
        """
        Return how far both heads were apart in nearly all frames until both were over; None if it doesn't matter.

        The unit is the larger diameter, shortened by the ratio of the two: who goes side by side is as near to the
        camera, and heads alike in size are two people's sooner than others are.
        """
        first_ms, last_ms = sorted((self.passage.t_ms, other.passage.t_ms))
        same_way = self.pixel_line is other.pixel_line and self.passage.side == other.passage.side
        if not same_way or self.history is other.history or last_ms - first_ms >= settings.together_ms:
            return None
        theirs = {point.t_ms: point for point in other.history.points}
        apart = sorted(
            _separation(point, theirs[point.t_ms])
            for point in self.history.points
            if first_ms - settings.together_ms <= point.t_ms <= last_ms and point.t_ms in theirs
        )
        return apart[int(settings.pair_share * len(apart))] if len(apart) >= _LEAST_SEEN else None


@dataclass(slots=True)
class TrackHistory:
    """One followed head: how it stands to each line, and where it was seen of late."""

    states: list[LineState]
    points: deque[Sighting] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def follow(self, point: Sighting) -> list[CandidateCrossing]:
        """Go on to *point*; return what that decides."""
        self.points.append(point)
        return self._candidates(state.follow(point) for state in self.states)

    def end(self, *, left: bool) -> list[CandidateCrossing]:
        """Return what is decided by that the head is never seen again; *left*: it went out of the picture."""
        return self._candidates(state.end(left=left) for state in self.states)

    def _candidates(self, passages: Iterable[Passage | None]) -> list[CandidateCrossing]:
        rows = zip(self.states, passages, strict=True)
        return [CandidateCrossing(state.pixel_line, passage, self) for state, passage in rows if passage]


def _separation(one: Sighting, other: Sighting) -> float:
    smaller, larger = sorted((one.diameter, other.diameter))
    return math.hypot(one.x - other.x, one.y - other.y) / larger * (smaller / larger)
