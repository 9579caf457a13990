"""Which of a frame's heads is which track's: the likeliest, by place, size and motion."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge.vision.tracking.settings import TrackingSettings
from edge.vision.tracking.track import Detection, Track

_KNOWN_MOTION_HITS = 3
"""So many detections tell a head's motion."""


def assign(tracks: Sequence[Track], heads: list[Detection], settings: TrackingSettings) -> list[Detection]:
    """
    Give each of *heads* to the track that most likely made it; return the heads that are left.

    The likeliest pair of all goes first. A track's own uncertainty counts against it: one that was long unseen must not
    take the head of one that was just seen. The best assignment in sum (Hungarian method) counted no better.
    """
    gate, size_var, size_change = settings.gate, settings.size_noise**2, settings.size_change
    pairs: list[tuple[float, int, int]] = []
    for row, track in enumerate(tracks if heads else ()):
        x, y, diameter = track.x, track.y, track.diameter
        variance = track.variance(settings.position_noise * diameter)
        reach = min(math.sqrt(gate * variance), settings.reach * diameter)
        weak_reach = min(reach, settings.weak_reach * diameter) if track.hits >= _KNOWN_MOTION_HITS else reach
        left, right = x - reach, x + reach
        doubt = 2 * math.log(variance / (diameter * diameter))
        for column, (head_x, head_y, head_diameter, _, strong) in enumerate(heads):
            if head_x < left or head_x > right:
                continue
            dx, dy = head_x - x, head_y - y
            distance_sq = dx * dx + dy * dy
            if distance_sq > (reach * reach if strong else weak_reach * weak_reach):
                continue
            size_step = math.log(head_diameter / diameter)
            unlike = distance_sq / variance + size_step * size_step / size_var
            if unlike <= gate and -size_change <= size_step <= size_change:
                pairs.append((unlike + doubt + (0 if strong else settings.weak_penalty), row, column))
    pairs.sort()
    matched: set[int] = set()
    given: set[int] = set()
    for _, row, column in pairs:
        if row not in matched and column not in given:
            matched.add(row)
            given.add(column)
            tracks[row].take(heads[column])
    return [head for column, head in enumerate(heads) if column not in given]
