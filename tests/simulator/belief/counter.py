"""Decide which ways over a line count: as soon as the beliefs are clear, or at a deadline, and each once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edge.config.schema import Line
from edge.vision.explain import OVER, Explanation, Reason
from edge.vision.scene import Crossing, Sighting
from edge.vision.tracking.line import CandidateCrossing, CrossingCounter
from tests.simulator.belief.settings import BELIEFS, MOTION, BeliefSettings
from tests.simulator.belief.track import BelievedTrack
from tests.simulator.belief.tracker import BeliefTracker

_KEPT_MS = 3_000.0
"""A counted crossing is compared with later ones for so long after its deadline."""
_OWNER_SEEN_MS = 300.0
"""A head that was seen so shortly ago can be the owner of a part."""
_LEAST_CONTINUITY, _MOST_CONTINUITY, _MOST_SCORE = -6.0, 1.0, 0.6
"""Beyond these bounds the step over the line, and the score, say nothing more."""
_LOST: Reason = "lost at the line"


class Decision(NamedTuple):
    """
    What was believed when a way over a line was counted or refused.

    Attributes:
        explanation: As the product has it; its confidence is the existence, tenths of natural log-odds.
        continuity: Evidence that one head made it, natural log-odds.
        two_persons: Belief that it is no part of the head that it was compared with, natural log-odds.
    """

    explanation: Explanation
    continuity: float
    two_persons: float


@dataclass(slots=True)
class _Pending:
    """A way over a line: undecided, or counted and compared with those that come later."""

    candidate: CandidateCrossing
    track: BelievedTrack
    step: float
    counted: bool = False

    def goes_with(self, other: _Pending) -> bool:
        """Tell whether another track went over the same line the same way at about the same time."""
        one, two = self.candidate, other.candidate
        return (
            one.history is not two.history
            and one.pixel_line is two.pixel_line
            and one.passage.side == two.passage.side
            and abs(one.passage.t_ms - two.passage.t_ms) < MOTION.together_ms
        )


class BeliefCounter(CrossingCounter):
    """
    Counts who goes over *lines*, as `CrossingCounter` does, by the beliefs of a tracker.

    Attributes:
        decisions: What was believed at each decision of the last update.
    """

    def __init__(
        self,
        lines: Mapping[str, Line],
        width: int,
        height: int,
        tracker: BeliefTracker,
        beliefs: BeliefSettings = BELIEFS,
    ) -> None:
        super().__init__(lines, width, height, MOTION)
        self._tracker, self._beliefs = tracker, beliefs
        self._pending: list[_Pending] = []
        self.decisions: list[Decision] = []

    def decide(self, sightings: Sequence[Sighting], now_ms: float) -> list[Crossing]:
        """Return the crossings that are now known to count; *sightings* are those of the frame of *now_ms*."""
        self.decisions = []
        self.update(sightings, self._tracker.ended, self._tracker.rejected)
        for pending in self._pending:
            pending.track = self._tracker.by_number.get(pending.track.number, pending.track)
        return self._decided(now_ms)

    def finish(self) -> list[Crossing]:
        """Return the crossings that count by what is known at the end of the pictures."""
        self.decisions, self.explained = [], []
        return self._decided(math.inf)

    def _decided(self, now_ms: float) -> list[Crossing]:
        """Decide what can be decided at *now_ms*; return what counts, and keep what later ones are compared with."""
        crossings: list[Crossing] = []
        kept: list[_Pending] = []
        for pending in self._pending:
            waited_ms = now_ms - pending.candidate.passage.t_ms
            if not pending.counted:
                reason, two_persons = self._judge(pending, late=waited_ms >= self._beliefs.deadline_ms)
                if reason is not None:
                    self._tell(pending, reason, two_persons)
                if reason == OVER:
                    pending.counted = True
                    crossings.append(pending.candidate.crossing)
                elif reason is not None:
                    continue
            if waited_ms < self._beliefs.deadline_ms + _KEPT_MS:
                kept.append(pending)
        self._pending = kept
        return crossings

    def _counts(self, candidate: CandidateCrossing) -> bool:
        """Let a way over a line wait for its decision; one that isn't over a line is only explained."""
        if candidate.passage.reason != OVER:
            return super()._counts(candidate)
        track = self._tracker.by_number[candidate.history.points[-1].track]
        self._pending.append(_Pending(candidate, track, track.continuity(candidate.passage)))
        return False

    def _judge(self, pending: _Pending, *, late: bool) -> tuple[Reason | None, float]:
        """Return the decision, None if it is to wait, and the log-odds of "two persons" behind it."""
        beliefs, pairs, number = self._beliefs, self._tracker.pairs, pending.track.number
        is_alive = number in self._tracker.by_number
        if self._continuity(pending) < beliefs.continuity:
            return (_LOST if late or not is_alive else None), beliefs.pair_most
        unclear = False
        for other in self._pending:
            if not other.counted or not pending.goes_with(other):
                continue
            log_odds = pairs.of(number, other.track.number)
            may_wait = not late and is_alive and other.track.number in self._tracker.by_number
            if log_odds < (-beliefs.pair_sure if may_wait else 0):
                return "part of a head that was counted", log_odds
            unclear |= may_wait and log_odds < beliefs.pair_sure
        if unclear:
            return None, 0.0
        owner = self._owner(pending)
        if owner is not None:
            return ("part of a more confident head" if late else None), pairs.of(number, owner)
        return OVER, beliefs.pair_most

    def _owner(self, pending: _Pending) -> int | None:
        """Return the number of a more confident head that has not crossed, and of which this one surely is a part."""
        me = pending.track
        with_it = {other.track.number for other in self._pending if pending.goes_with(other)}
        for track in self._tracker.tracks:
            if (
                track.was_confirmed
                and track.score > me.score
                and track.number != me.number
                and track.number not in with_it
                and track.t_ms - track.seen_ms <= _OWNER_SEEN_MS
                and self._tracker.pairs.of(me.number, track.number) < -self._beliefs.pair_sure
            ):
                return track.number
        return None

    def _continuity(self, pending: _Pending) -> float:
        """Return the evidence that one head went from one side of the line to the other, natural log-odds."""
        score = min(_MOST_SCORE, pending.track.score) - self._beliefs.score_middle
        step = max(_LEAST_CONTINUITY, min(_MOST_CONTINUITY, pending.step))
        return step + self._beliefs.continuity_score * score

    def _tell(self, pending: _Pending, reason: Reason, two_persons: float) -> None:
        self._explain(pending.candidate, "counted" if reason == OVER else "refused", reason)
        self.decisions.append(Decision(self.explained[-1], self._continuity(pending), two_persons))
