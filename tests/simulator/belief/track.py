"""One followed head, and the belief that it exists: a track of the product with log-odds in place of confidence."""

from __future__ import annotations

import math
from collections import deque

from edge.vision.tracking.line_state import Passage
from edge.vision.tracking.track import Detection, Track
from tests.simulator.belief.settings import MOTION, BeliefSettings

_REMEMBERED = 100
"""The evidence of so many detections is remembered, as many as the product remembers points."""
_BORDER_WEIGHT = 0.5
"""An unseen step over the picture's border, where nobody can be seen, speaks so much less against a crossing."""
_UNSEEN_SPREAD, _UNSEEN_SPEED = 0.3, 2.0
"""Standard deviation of where an unseen head is, d, at once and more each second."""


class BelievedTrack(Track):
    """
    One head through time.

    Attributes:
        confidence: The existence: natural log-odds that there is such a head.
        steps: (time, ms, continuity) of the newest detections. The continuity is the evidence, natural log-odds, that
            it is of the head of the detection before.
    """

    __slots__ = ("_beliefs", "_was_missed", "steps")

    def __init__(self, number: int, head: Detection, t_ms: float, beliefs: BeliefSettings) -> None:
        self._beliefs = beliefs
        self._was_missed = False
        self.steps: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)
        super().__init__(number, head, t_ms, MOTION)

    def take(self, head: Detection) -> None:
        """Take *head*, of the frame to which the track was moved on, for its own, and believe in it the more."""
        beliefs, motion, existence = self._beliefs, self.settings, self.confidence if self.hits else self._beliefs.birth
        continuity = 0.0
        if self.hits:
            variance = self.variance(motion.position_noise * self.diameter * (1 if head.strong else motion.weak_noise))
            squared = ((head.x - self.x) ** 2 + (head.y - self.y) ** 2) / variance
            continuity = _continuity(variance / (self.diameter * self.diameter), squared, beliefs.steady_variance)
        super().take(head)
        by_score = beliefs.score_slope * (head.score - beliefs.score_middle)
        evidence = beliefs.hit + max(-1.0, min(1.0, by_score)) + beliefs.place_weight * continuity
        self.confidence = min(beliefs.most, existence + evidence)
        self.steps.append((self.t_ms, continuity))
        self._was_missed = False

    def miss(self, dt_s: float) -> None:
        """Believe less in it: it isn't seen in this frame, *dt_s* seconds after the one before."""
        beliefs = self._beliefs
        evidence = beliefs.miss_rate * dt_s if self._was_missed else beliefs.miss
        self._was_missed = True
        self.confidence = max(beliefs.least, self.confidence - evidence)
        if self.confidence < beliefs.doubt:
            self.confirmed = False

    def inherit(self, other: Track) -> None:
        """Go on as *other*, which was lost: what both saw is one head's, with one unseen step between."""
        assert isinstance(other, BelievedTrack)
        (born_ms, _), *later = self.steps
        unseen = self._unseen(born_ms - other.seen_ms, other.leap_to(self))
        self.steps = deque((*other.steps, (born_ms, unseen), *later), maxlen=_REMEMBERED)
        super().inherit(other)

    def leap_to(self, heir: Track) -> float:
        """Return how far from where this one was lost *heir* was first seen, diameters of the heir."""
        return math.hypot(heir.born_x - self.seen_x, heir.born_y - self.seen_y) / heir.diameter

    def continuity(self, passage: Passage) -> float:
        """Return the evidence that its step over the line was made by one head, natural log-odds."""
        if self.steps[0][0] < passage.t_ms <= self.steps[-1][0]:
            return next(continuity for t_ms, continuity in self.steps if t_ms >= passage.t_ms)
        return _BORDER_WEIGHT * self._unseen(passage.unseen_ms, 0.0)

    def _unseen(self, gap_ms: float, away: float) -> float:
        """Return the same of a head unseen for *gap_ms* that was found *away*, diameters, from where it was lost."""
        variance = (_UNSEEN_SPREAD + _UNSEEN_SPEED * gap_ms / 1000) ** 2
        return _continuity(variance, away * away / variance, self._beliefs.steady_variance)


def _continuity(variance: float, squared: float, steady_variance: float) -> float:
    """
    Return the log-likelihood of a detection's place against that of a head which was seen a moment ago.

    Args:
        variance: Of the prediction, per axis, d^2.
        squared: Its squared distance from the prediction, over the variance.
        steady_variance: As in the settings.
    """
    return 1 - math.log(variance / steady_variance) - squared / 2
