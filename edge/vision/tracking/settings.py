"""
The numbers of the counting model; docs/counting.md has the equations in which they stand.

Unit d is the diameter of the head in question, so that neither the picture's size nor the camera's height matters.
What measured it stands last: `fit` is `python -m models.training.fit_tracking` on rendered doors, `ablation` is
`python -m tests.simulator.ablation` on all others, `simulator` is `python -m tests.simulator`, `table` that of chi^2.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """Parameters of the counting model; lengths in d, times in ms, speeds in d/s, unless a comment says otherwise."""

    position_noise: float = 0.12  # Standard deviation of a detection's centre. fit, ablation
    weak_noise: float = 2.0  # How many times worse a weak detection is placed. fit, ablation
    start_speed: float = 5.0  # Standard deviation of a new head's speed: 1.2 m/s over a head of 0.23 m. simulator
    acceleration: float = 16.0  # Variance of speed that a head gains each second, (d/s)^2. ablation
    slowing_s: float = 1.0  # An undetected head slows down with this time constant, s. ablation
    smoothing: float = 0.15  # Weight of the newest detection in a track's diameter and score, 0 to 1. ablation
    gate: float = 11.8  # Chi-squared of place and size beyond which nothing matches: 1 % of right matches. table
    size_noise: float = 0.35  # Standard deviation of the logarithm of a diameter between frames. fit, ablation
    size_change: float = 0.6  # A head never changes its size by more than this, logarithm. ablation
    reach: float = 3.0  # A match is never farther from the prediction than this. ablation
    weak_reach: float = 1.0  # A weak detection's match neither, once the motion is known. ablation
    weak_penalty: float = 4.0  # Added to a weak detection's cost: a strong one nearly as near wins. ablation
    weak_hit: float = 0.5  # Confidence that a weak detection gives; a strong one gives 1. ablation
    miss: float = 0.4  # Confidence that a frame without a detection takes. ablation
    confirm: float = 2.5  # A track is reported from this confidence on: three strong detections, two misses. ablation
    doubt: float = 0.5  # Below this confidence it is held back until it is confirmed again. ablation
    least: float = -1.0  # Confidence never sinks below this, so that a lost head can be confirmed in time. ablation
    most: float = 5.0  # Confidence never grows beyond this. ablation
    tentative_ms: float = 800.0  # An unconfirmed track may be unseen for so long. ablation
    left_ms: float = 400.0  # One that is outside the picture, suspected, or was seen once, for so long. ablation
    lost_ms: float = 2_000.0  # A confirmed track may be unseen for so long. ablation
    lost_reach: float = 4.0  # A head that appears in the picture's middle continues one lost so near. ablation
    border: float = 2.5  # People come in and go out unseen when nearer to the picture's border than this. ablation
    static_ms: float = 15_000.0  # What stays in one place for so long is a thing: a lamp, a mannequin. tests of lamps
    sway: float = 0.5  # It stays in one place while it moves by no more than this. tests of lamps
    part_reach: float = 1.4  # A head that appears so near to another is suspected to be a part of it. ablation
    dim: float = 0.7  # So is a head of less than this share of the other's score, up to `dim_reach`. ablation
    dim_reach: float = 2.5  # A hand or a bag is no farther from its owner's head than this. ablation
    reverify_ms: float = 300.0  # A head that was unseen for so long is suspected like a new one. ablation
    together_ms: float = 1_000.0  # A head and a part of it cross a line within so long. ADR 18
    pair_reach: float = 1.3  # Two that cross together are one person if they stay nearer than this. ablation
    pair_share: float = 0.75  # They must do so in this share of the frames. ADR 32
    band: float = 0.4  # Nearer to the line than this, a head keeps the side that it had. ablation
    clear: float = 1.0  # Farther beyond it than this, one detection confirms the new side. ablation
    stayed_ms: float = 250.0  # Nearer, a head must stay beyond the band for so long. ablation


SETTINGS = TrackingSettings()
"""The shipped values."""
