"""
One person or two: the belief, for each pair of near tracks, that they are two persons' heads and not a head and a part.

A shoulder, a hand or a bag stays near its owner's head, is detected with less confidence, and not always; two persons
draw apart and are detected together. The evidence of all frames adds up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations

from edge.vision.tracking.track import Track
from tests.simulator.belief.settings import BeliefSettings

_LONGEST_STEP_S = 0.5
"""A frame counts for at most so long, s."""


class PairBeliefs:
    """Natural log-odds of "two persons" for each pair of tracks that ever were near each other."""

    def __init__(self, beliefs: BeliefSettings) -> None:
        self._beliefs = beliefs
        self._log_odds: dict[tuple[int, int], float] = {}

    def __len__(self) -> int:
        return len(self._log_odds)

    def of(self, one: int, other: int) -> float:
        """Return the log-odds that tracks number *one* and *other* are two persons'; those never near surely are."""
        return self._log_odds.get(_key(one, other), self._beliefs.pair_most)

    def begin(self, born: Track, tracks: Iterable[Track], *, at_border: bool) -> None:
        """Set the prior between a new track and those near it."""
        prior = self._beliefs.pair_border if at_border else self._beliefs.pair_middle
        for track in tracks:
            if _distance(born, track) < self._beliefs.pair_reach:
                self._log_odds[_key(born.number, track.number)] = prior

    def update(self, tracks: Sequence[Track], dt_s: float) -> None:
        """Add the evidence of a frame, *dt_s* seconds after the one before, to which all *tracks* were moved on."""
        dt_s = min(dt_s, _LONGEST_STEP_S)
        numbers = {track.number: track for track in tracks if track.seen_ms == track.t_ms}
        apart = {key for key in self._log_odds if key[0] in numbers and key[1] in numbers}
        for one, other in combinations(tracks, 2):
            distance = _distance(one, other)
            if distance <= self._beliefs.pair_reach:
                key = _key(one.number, other.number)
                apart.discard(key)
                self._add(key, self._rate(one, other, distance) * dt_s)
        for key in apart:
            self._add(key, self._beliefs.pair_two_rate * dt_s)

    def replace(self, old: int, new: int) -> None:
        """Let the track with number *old* go on as *new*, which was lost; of two beliefs, that in two persons stays."""
        for key in [key for key in self._log_odds if old in key]:
            other = key[0] if key[1] == old else key[1]
            log_odds = self._log_odds.pop(key)
            if other != new:
                inherited = _key(other, new)
                self._log_odds[inherited] = max(self._log_odds.get(inherited, log_odds), log_odds)

    def keep(self, numbers: set[int]) -> None:
        """Forget the pairs of which either isn't in *numbers*."""
        self._log_odds = {key: odds for key, odds in self._log_odds.items() if key[0] in numbers and key[1] in numbers}

    def _rate(self, one: Track, other: Track, distance: float) -> float:
        """Return the evidence for two persons that two near tracks give in this frame, log-odds / s."""
        beliefs = self._beliefs
        seen = (one.seen_ms == one.t_ms) + (other.seen_ms == other.t_ms)
        if seen < 2:
            return seen * beliefs.pair_alone
        dimmer = max(0.0, abs(math.log(one.score / other.score)) - beliefs.pair_dim_free)
        rate = beliefs.pair_slope * (distance - beliefs.pair_neutral - beliefs.pair_dim * dimmer)
        return max(-beliefs.pair_one_rate, min(beliefs.pair_two_rate, rate))

    def _add(self, key: tuple[int, int], evidence: float) -> None:
        beliefs = self._beliefs
        log_odds = self._log_odds.get(key, beliefs.pair_met) + evidence
        self._log_odds[key] = max(-beliefs.pair_most, min(beliefs.pair_most, log_odds))


def _distance(one: Track, other: Track) -> float:
    """Return how far two tracks are apart now, diameters of the larger."""
    return math.hypot(one.x - other.x, one.y - other.y) / max(one.diameter, other.diameter)


def _key(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)
