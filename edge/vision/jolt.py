"""
Tell whether the whole picture moved between two frames: somebody knocked the camera.

It needs no knowledge of what the camera usually shows, so it works over a floor too plain for a static view, and
after the view was lost. Only what is no person is looked at: edges away from all heads. The camera moved if they moved
together, by the same shift, turn or zoom, and nothing stayed behind; what passes by moves in a few places only.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge.vision.registration import EDGE_LEVEL, UNMOVED, Structure, found, least_half, left_behind, search
from edge.vision.static_view import Cells, tiles_with
from edge.vision.thumbnail import Grey, gradient, steepness


@dataclass(frozen=True)
class JoltSettings:
    """What counts as a motion of the whole picture."""

    changed_level: float = 10.0
    """A cell has changed if its grey level has by more than this."""
    least_changed: int = 40
    """Fewer changed cells than this, of 4,800, are no motion of the whole picture."""
    least_tiles: int = 5
    """There must be edges away from heads in so many of the picture's 12 tiles."""
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
    least_cells: float = 2.5
    """In the mean they must have moved at least this far, cells of 1/80 of the picture's width,"""
    most_cells: float = 25.0
    """and no farther than this: so little is left in sight then that another scene would do."""


def jolted(before: Grey, now: Grey, hidden: Cells, settings: JoltSettings) -> bool:
    """
    Tell whether the camera moved between two thumbnails, a few tenths of a second apart.

    Args:
        before: The older thumbnail.
        now: The newer one.
        hidden: Cells of *before* near heads.
        settings: What counts.
    """
    if np.count_nonzero(cv2.absdiff(before, now) > settings.changed_level) < settings.least_changed:
        return False
    was, picture = gradient(before), gradient(now)
    edges = (steepness(was) > EDGE_LEVEL) & ~hidden
    if len(tiles_with(edges)) < settings.least_tiles:
        return False
    structure = Structure.of(was, edges)
    in_place = found(structure, picture)
    if in_place > 1.0 - settings.least_more:
        return False
    there, share = search(structure, picture)
    return (
        share >= max(settings.least_found, in_place + settings.least_more)
        and settings.least_cells <= there.displacement(structure) <= settings.most_cells
        and least_half(structure, picture, there) >= settings.least_half
        and left_behind(structure, picture, there, UNMOVED) <= settings.most_left_behind * (share - in_place)
    )
