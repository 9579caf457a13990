"""
Which of a frame's heads is which track's: the likeliest, by place, size and motion.

Weak heads can continue a track as well as strong ones, but a strong one that is nearly as near is taken first. A strong
head that no track claims may still be one that vanished near by.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from edge.vision.tracking.track import Head, Track

_REACH = 3.0
"""No head is sought farther from where it should be than this, diameters."""
_WEAK_REACH, _MOVED_HITS = 1.0, 3
"""Nor a weak one farther than this, once so many sightings tell the head's motion: a weak one far off is mostly a
shoulder, or somebody else's head."""
_WEAK_PENALTY = 4.0
"""So much is added to a weak one's squared distance over its variance: a strong one that is nearly as near is taken."""
_GATE = 11.8
"""Squared differences of place and size over their variances, in sum, beyond which a head is another one's: 99 % of the
right ones are nearer."""
_SIZE_STEP = 0.35
"""Spread of the logarithm of a head's size between two frames."""
_LARGEST_SIZE_STEP = 0.6
"""No head is so many times as large or small as it was a moment ago, logarithm."""

BACK_AGAIN = 1.5
"""A head that appears so near to where one vanished is that one, diameters."""
_STILL, _SETTING_OUT = 0.4, 1.5
"""If that one stood still for long it must be nearer, diameters, and so much for each second that it was unseen,
diameters / s. Else a mannequin would walk off with the head of somebody who passes it."""


def alike(one: Head | Track, other: Head | Track) -> bool:
    """Tell whether two sizes can be those of one head."""
    return abs(math.log(one.diameter / other.diameter)) <= _LARGEST_SIZE_STEP


def assign(tracks: Iterable[Track], heads: list[Head]) -> tuple[list[Track], list[Head]]:
    """
    Give each of *heads* to the track that most likely made it; return the tracks and heads that are left.

    The likeliest pair of all goes first. Likelihood counts a track's own uncertainty against it: one that was long
    unseen could be anywhere near, and must not take the head of one that was seen a moment ago; and that a head is weak
    counts against the pair. The assignment that is best in sum (Hungarian method) counted no better on the same
    traffic.
    """
    tracks = list(tracks)
    if not tracks or not heads:
        return tracks, heads
    pairs: list[tuple[float, int, int]] = []
    places = [(column, head.x, head.y, head.diameter, head.strong) for column, head in enumerate(heads)]
    for row, track in enumerate(tracks):
        spread, x, y, diameter = track.spread(), track.x, track.y, track.diameter
        reach = min(math.sqrt(_GATE * spread), _REACH * diameter)
        weak_reach = _WEAK_REACH * diameter if track.hits >= _MOVED_HITS else reach
        left, right = x - reach, x + reach
        doubt = 2 * math.log(spread / (diameter * diameter))
        for column, head_x, head_y, head_diameter, strong in places:
            if head_x < left or head_x > right:
                continue
            dx, dy = head_x - x, head_y - y
            away = dx * dx + dy * dy
            if away > reach * reach or (not strong and away > weak_reach * weak_reach):
                continue
            size_step = math.log(head_diameter / diameter)
            unlike = away / spread + size_step * size_step / (_SIZE_STEP * _SIZE_STEP)
            if unlike <= _GATE and -_LARGEST_SIZE_STEP <= size_step <= _LARGEST_SIZE_STEP:
                pairs.append((unlike + doubt + (0 if strong else _WEAK_PENALTY), row, column))
    pairs.sort()
    matched: set[int] = set()
    given: set[int] = set()
    for _, row, column in pairs:
        if row not in matched and column not in given:
            matched.add(row)
            given.add(column)
            tracks[row].take(heads[column])
    return (
        [track for row, track in enumerate(tracks) if row not in matched],
        [head for column, head in enumerate(heads) if column not in given],
    )


def find_again(lost: Iterable[Track], heads: list[Head]) -> list[Head]:
    """Give *heads* that appear where a sure track vanished to that track; return those that are left."""
    if not heads:
        return heads
    lost = [track for track in lost if track.proven]
    left: list[Head] = []
    for head in heads:
        near = [
            (away, index)
            for index, track in enumerate(lost)
            if (away := track.away(head)) < _sought(track) * track.diameter and alike(head, track)
        ]
        if near:
            lost.pop(min(near)[1]).begin_anew(head)
        else:
            left.append(head)
    return left


def _sought(track: Track) -> float:
    """Return how far from where it vanished *track*'s head may appear, diameters."""
    if not track.stands:
        return BACK_AGAIN
    return min(BACK_AGAIN, _STILL + _SETTING_OUT * (track.t_ms - track.seen_ms) / 1000)
