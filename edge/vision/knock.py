"""
Tell whether the whole picture moved between two frames and carried people along: somebody knocked the camera.

It needs no knowledge of what the camera usually shows, so it works over a floor too plain for a static view, and after
the view was lost. The camera moved if somebody who stood still is elsewhere within a moment, and the edges away from
all people moved with them, by the same shift or turn, and nothing stayed behind. Who sets out walks away from the
edges; who passes by didn't stand still.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge.vision.registration import EDGE_LEVEL, UNMOVED, Structure, Transform, found, least_half, left_behind, search
from edge.vision.scene import Sighting
from edge.vision.static_view import Cells, near_heads, tiles_with
from edge.vision.thumbnail import Grey, gradient, steepness


@dataclass(frozen=True)
class KnockSettings:
    """What counts as a motion of the whole picture."""

    changed_level: float = 10.0
    """A cell has changed if its grey level has by more than this."""
    least_changed: int = 40
    """Fewer changed cells than this, of 4,800, are no motion of the whole picture."""
    least_tiles: int = 4
    """There must be edges away from people in so many of the picture's 12 tiles."""
    least_found: float = 0.7
    """At least this share of them must be elsewhere together,"""
    least_more: float = 0.35
    """this much more than may be where it was: a long edge that slides along itself is there still,"""
    least_half: float = 0.4
    """and this share of each half of them, upper and lower, left and right;"""
    most_left_behind: float = 0.1
    """
    For each share of them that moved, no more than this share, beyond chance, may have stayed where it was.
    """
    most_zoom: float = 0.1
    """Nothing looks larger or smaller by more than this share: in so short a time the camera is only turned."""
    stood_s: float = 0.8
    """Somebody stands still who was in one place for this long, seconds,"""
    sway: float = 0.3
    """but for this, diameters of the head. Who was carried is farther from there than this,"""
    astray: float = 0.8
    """and no farther than this from where the edges' motion leads, diameters of the head."""
    remembered_s: float = 1.5
    """Heads are remembered for so long; where one was, a person may still be, though overlooked, seconds."""


class KnockDetector:
    """
    Compares the newest frame with one a few tenths of a second before. State: the heads of a second and a half.

    Args:
        settings: What counts as a knock.
    """

    def __init__(self, settings: KnockSettings | None = None) -> None:
        self.settings = settings or KnockSettings()
        self._lately: deque[tuple[float, Mapping[int, Sighting]]] = deque()

    def note(self, sightings: Sequence[Sighting], t_ms: float) -> None:
        """Take in who was seen in the newest frame, at *t_ms*."""
        self._lately.append((t_ms, {seen.track: seen for seen in sightings if seen.t_ms == t_ms}))
        while t_ms - self._lately[0][0] > self.settings.remembered_s * 1000:
            self._lately.popleft()

    def is_knocked(self, before: Grey, before_ms: float, now: Grey, scale: float) -> bool:
        """
        Tell whether the camera moved between two thumbnails.

        Args:
            before: The older one.
            before_ms: Its time.
            now: The newest one, whose heads are noted.
            scale: Cells a pixel.
        """
        moved = list(self._moved(before_ms))
        if not moved:
            return False
        heads = [(seen.x, seen.y, seen.diameter) for _, all_seen in self._lately for seen in all_seen.values()]
        rows, columns = before.shape
        size = (round(columns / scale), round(rows / scale))
        hidden = near_heads(before.shape, size, np.array(heads, np.float32))
        motion = whole_motion(before, now, hidden, self.settings)
        return motion is not None and any(self._goes_along(was, seen, motion, size, scale) for was, seen in moved)

    def _moved(self, before_ms: float) -> Iterator[tuple[Sighting, Sighting]]:
        """Yield where each head was at *before_ms*, and is now, of those that had stood still until then."""
        settings = self.settings
        until = [all_seen for t_ms, all_seen in self._lately if t_ms <= before_ms]
        for track, seen in self._lately[-1][1].items():
            places = [all_seen[track] for all_seen in until if track in all_seen]
            if not places or places[-1].t_ms - places[0].t_ms < settings.stood_s * 1000:
                continue
            was, most = places[-1], settings.sway * seen.diameter
            stood = all(math.hypot(place.x - was.x, place.y - was.y) <= most for place in places)
            if stood and math.hypot(seen.x - was.x, seen.y - was.y) > most:
                yield was, seen

    def _goes_along(
        self, was: Sighting, seen: Sighting, motion: Transform, size: tuple[int, int], scale: float
    ) -> bool:
        """Tell whether a head has gone where the picture's *motion* leads."""
        middle = np.array([size], np.float32).T / 2
        place = np.array([[was.x], [was.y]], np.float32)
        led_to = np.stack(motion.move(*(scale * (place - middle)))) / scale + middle
        right, down = (led_to - np.array([[seen.x], [seen.y]], np.float32)).ravel().tolist()
        return math.hypot(right, down) <= self.settings.astray * seen.diameter


def whole_motion(before: Grey, now: Grey, hidden: Cells, settings: KnockSettings) -> Transform | None:
    """
    Return how all that is in the picture moved between two thumbnails; None if it didn't, or that can't be told.

    Args:
        before: The older thumbnail.
        now: The newer one, a few tenths of a second later.
        hidden: Cells near people, of which nothing is asked.
        settings: What counts.
    """
    if np.count_nonzero(cv2.absdiff(before, now) > settings.changed_level) < settings.least_changed:
        return None
    was, picture = gradient(before), gradient(now)
    edges = (steepness(was) > EDGE_LEVEL) & ~hidden
    if len(tiles_with(edges)) < settings.least_tiles:
        return None
    structure = Structure.of(was, edges)
    in_place = found(structure, picture)
    if in_place > 1.0 - settings.least_more:
        return None
    motion, share = search(structure, picture)
    is_whole = (
        share >= max(settings.least_found, in_place + settings.least_more)
        and abs(motion.zoom - 1) <= settings.most_zoom
        and least_half(structure, picture, motion) >= settings.least_half
        and left_behind(structure, picture, motion, UNMOVED) <= settings.most_left_behind * (share - in_place)
    )
    return motion if is_whole else None
