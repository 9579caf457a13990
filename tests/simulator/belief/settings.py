"""
The numbers of the belief model that the product's own settings don't have; evidence is in natural log-odds.

Unit d is the diameter of the head in question. How heads move, are matched and cross a line is as `SETTINGS` of the
product say; `MOTION` are these, with the product's confidence switched off. No value here is fitted: all were set by
hand and checked by `python -m tests.simulator.belief`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from edge.vision.tracking.settings import SETTINGS


@dataclass(frozen=True, slots=True)
class BeliefSettings:
    """Parameters of the beliefs; evidence in log-odds, a rate of it in log-odds / s, lengths in d, times in ms."""

    birth: float = -2.0  # Existence of a track before its first detection.
    hit: float = 1.0  # Evidence for existence that a detection with a score of `score_middle` gives.
    score_slope: float = 2.0  # Evidence that it gives more for each 1.0 of score above `score_middle`.
    score_middle: float = 0.45  # Score at which a head is as likely as clutter.
    place_weight: float = 0.5  # Weight of the evidence of a detection's place in that for existence.
    steady_variance: float = 0.06  # Variance of the prediction of a head that was seen a moment ago, d^2.
    miss: float = 0.5  # Evidence against existence of the first frame without a detection.
    miss_rate: float = 2.0  # Evidence against existence of the frames that follow it, a second.
    least: float = -2.0  # Existence never sinks below this, so that a lost head can be confirmed in time.
    most: float = 3.0  # Existence never grows beyond this.
    confirm: float = 1.5  # A track is reported from this existence on; one detection, without motion, never gives it.
    doubt: float = -0.5  # Below this existence a track is held back until it is confirmed again.
    heir_reach: float = 1.5  # A head that appears in the picture's middle continues one lost so near, d.
    heir_speed: float = 8.0  # For each second that the lost one was unseen, it may be so much farther away, d.
    heir_farthest: float = 5.0  # But it is never farther away than this, d.
    pair_reach: float = 2.5  # Two heads that are farther apart than this are two persons'.
    pair_border: float = -1.0  # Prior of "two persons" of a track born beside another near the picture's border.
    pair_middle: float = -2.5  # Prior of "two persons" of a track born beside another in the picture's middle.
    pair_met: float = 4.0  # Prior of "two persons" of two tracks that were born apart and met.
    pair_neutral: float = 1.45  # Distance of two that speaks neither for one person nor for two.
    pair_slope: float = 40.0  # Rate of the evidence for two persons for each d beyond `pair_neutral`.
    pair_one_rate: float = 3.0  # The distance's evidence for one person has at most this rate.
    pair_two_rate: float = 20.0  # The distance's evidence for two persons has at most this rate.
    pair_dim: float = 4.0  # How much `pair_neutral` grows for each 1.0 between the scores' logarithms, d.
    pair_dim_free: float = 0.25  # Scores whose logarithms differ by no more than this are alike.
    pair_alone: float = -3.0  # Rate of the evidence for two persons while only one of the two is seen.
    pair_most: float = 5.0  # The belief in two persons is never farther from 0 than this.
    pair_sure: float = 3.0  # A crossing is decided before its deadline if that belief is as far from 0 as this.
    continuity: float = -3.0  # Evidence that a crossing needs for having been made by one head.
    continuity_score: float = 10.0  # Evidence for that for each 1.0 of score above `score_middle`.
    deadline_ms: float = 4_000.0  # A crossing that is still undecided is decided so long after it.


BELIEFS = BeliefSettings()
"""The values with which docs/adr/0130 was measured."""
MOTION = replace(SETTINGS, miss=0.0, confirm=BELIEFS.confirm, doubt=-math.inf, least=-math.inf, most=math.inf)
"""The product's settings with its confidence left alone between detections: that number is the existence here."""
