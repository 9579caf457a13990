"""
Where the camera looks now, measured against the static view: in place, elsewhere, or unknown.

Only a measurement counts. The static structure is found elsewhere (shifted, turned or zoomed): then the camera has
moved by so much. It is gone everywhere at once, and another static structure has stood in its place: then the camera
looks at something else. A structure that can't be found says nothing: a crowd may hide it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from edge.vision.registration import UNMOVED, Structure, Transform, follow, least_half, left_behind, search
from edge.vision.static_view import StaticView
from edge.vision.thumbnail import Gradient


@dataclass(frozen=True)
class CameraMotionSettings:
    """What counts as a move."""

    in_place: float = 0.6
    """The view is in place if this share of what is usually seen of its structure is there."""
    searched_below: float = 0.85
    """The structure is looked for elsewhere if less than this share of what is usually seen of it is in place."""
    surely_share: float = 0.55
    """It is elsewhere if at least this share of it is found there,"""
    surely_more: float = 0.25
    """and this much more of it than in place."""
    likely_share: float = 0.38
    """It is also elsewhere if this share of it is found there by two searches in a row, or was there before,"""
    likely_more: float = 0.12
    """and this much more of it than in place. By chance one search in twenty finds 0.41 of another view's structure."""
    most_left_behind: float = 0.1
    """
    For each share of it that is there and wasn't in place, no more than this share, beyond chance, may be in place and
    not there: when a door moves, the floor around it stays.
    """
    least_half: float = 0.4
    """At least this share of each half of it must be there, upper and lower, left and right."""
    sudden_s: float = 20.0
    """Of a view with little structure only a sudden move is told: it was in place no longer ago than this, seconds,"""
    sudden_cells: float = 3.0
    """since then the points have moved this far in the mean, cells (a sun spot wanders a cell in ten seconds),"""
    sudden_share: float = 0.6
    """and this share of what is usually seen of it is found there: by chance half of a simple shape is."""
    moved_cells: float = 3.7
    """The camera was moved if one point in ten is this far from where it was, cells of 1/80 of the picture's width."""
    shaken_cells: float = 4.0
    """It was shaken if the points are this far from where they were in the mean, cells: less sweeps nobody along."""
    rest_cells: float = 3.0
    """The camera rests while the structure stays within this distance, cells."""
    rest_s: float = 10.0
    """A camera that was moved counts as shaken until it is back or has rested this long, seconds."""
    moved_s: float = 12.0
    """A structure that is found in the same place, elsewhere, after this long shows a move, seconds."""
    forgotten_s: float = 60.0
    """A structure that was found elsewhere, and not once more in this time, is lost, seconds."""
    replaced_s: float = 45.0
    """So does one that was found nowhere for this long, while something else stood everywhere in its place, seconds."""
    replaced_share: float = 0.4
    """In the place of at least this share of it, in three of four tiles of the picture."""
    unclear_s: float = 2.0
    """After a jump of the picture it is unclear for this long whether the camera was shaken, seconds."""
    margin_s: float = 0.5
    """Shaking begins and ends this much before and after it was measured, seconds."""
    longest_search_s: float = 16.0
    """The longest time between two searches for a structure that is hidden, seconds."""
    remembered: int = 32
    """Spells of shaking that are remembered."""


class CameraMotion:
    """Follows where the static structure is. State: one transform, some times, and the last spells of shaking."""

    def __init__(self, settings: CameraMotionSettings | None = None) -> None:
        self.settings = settings or CameraMotionSettings()
        self.shift = UNMOVED
        """How the view is shifted within the slack, cells; only while it is in place."""
        self._usual = 1.0
        self._in_place_ms = -math.inf
        self._firm_ms, self._firm_shift = -math.inf, UNMOVED
        """When the view was surely in place last, shifted by less than the slack; and how it was shifted."""
        self._elsewhere: Transform | None = None
        self._found_ms = 0.0
        """When it was found there last."""
        self._candidate: Transform | None = None
        self._spell_ms: float | None = None
        """Since when the camera has been shaken, if the structure was far enough away since it was last in place."""
        self._rest: Transform = UNMOVED
        self._rest_ms = 0.0
        self._lost_ms: float | None = None
        self._jump_ms = -math.inf
        self.looked_ms = -math.inf
        """When a picture was looked at last."""
        self._search_ms = -math.inf
        self._search_wait_ms = 0.0
        self._shaken: deque[tuple[float, float]] = deque(maxlen=self.settings.remembered)

    def begin(self) -> CameraMotion:
        """Return what follows another view from now on; the spells of shaking stay known."""
        new = CameraMotion(self.settings)
        new._shaken = self._shaken
        return new

    @property
    def in_place(self) -> bool:
        """Whether the view was where it should be when last looked at."""
        return self._elsewhere is None and self._lost_ms is None

    @property
    def lost(self) -> bool:
        """Whether the view is neither in place nor found elsewhere."""
        return self._elsewhere is None and self._lost_ms is not None

    def may_look_elsewhere(self, t_ms: float, lasts_s: float) -> bool:
        """Tell whether the camera looks elsewhere, or may: the view has been lost for less than *lasts_s* seconds."""
        if self._elsewhere is not None:
            return True
        return self._lost_ms is not None and t_ms - self._lost_ms < lasts_s * 1000

    def look(self, view: StaticView, picture: Gradient, t_ms: float, *, at_once: bool = False) -> None:
        """
        Measure where the structure of *view* is in *picture*.

        Args:
            view: What is known to stand still.
            picture: The thumbnail's gradient.
            t_ms: The frame's time.
            at_once: Whether the search must not wait: the picture has jumped, or somebody is about to be counted.
        """
        structure = view.structure
        self.looked_ms = t_ms
        if structure is None:
            self._elsewhere = self._lost_ms = None
            return
        settings = self.settings
        enough = settings.searched_below * self._usual
        share, shift = view.in_place(picture, enough, self.shift)
        if share >= enough:
            self._back(view, t_ms, share, shift)
            return
        if at_once:
            self._jump_ms = t_ms
            self._search_wait_ms = 0.0
        there = self._find(view, picture, t_ms)
        if there is not None and self._is_elsewhere(view, picture, (share, shift), there, t_ms):
            self._away(structure, there[0], t_ms)
        elif share >= settings.in_place * self._usual:
            if there is not None or self._elsewhere is None:
                self._back(view, t_ms, share, shift)
        elif self._elsewhere is None:
            self._lost_ms = t_ms if self._lost_ms is None else self._lost_ms
        elif t_ms - self._found_ms > settings.forgotten_s * 1000:
            self._elsewhere, self._lost_ms = None, self._found_ms

    def shows_move(self, view: StaticView, t_ms: float) -> bool:
        """Tell whether it has been measured for long enough that the camera looks elsewhere."""
        settings, structure = self.settings, view.structure
        if structure is None:
            return False
        if self._elsewhere is not None:
            return self._found_ms - self._rest_ms >= settings.moved_s * 1000
        if not view.is_ample or self._lost_ms is None or t_ms - self._lost_ms < settings.replaced_s * 1000:
            return False
        share, edges = view.replaced()
        return share >= settings.replaced_share and edges >= view.settings.least_standing

    def at_rest(self, t_ms: float) -> bool:
        """Tell whether the picture has not jumped for some seconds."""
        return t_ms - self._jump_ms > 2 * self.settings.unclear_s * 1000

    def unsettled(self, t_ms: float) -> bool:
        """Tell whether the camera is to be watched closely: it moves, or has moved a moment ago."""
        if self._elsewhere is not None:
            return t_ms - self._rest_ms < self.settings.rest_s * 1000
        return self._lost_ms is not None and t_ms - self._jump_ms <= self.settings.unclear_s * 1000

    def shaken(self, t_ms: float) -> bool:
        """Tell whether the camera was measured to be in motion, or away for a moment, at *t_ms*."""
        margin_ms = self.settings.margin_s * 1000
        return any(start - margin_ms <= t_ms <= end + margin_ms for start, end in self._shaken)

    def note_knock(self, start_ms: float, end_ms: float) -> None:
        """Note that the whole picture moved between two frames, wherever the structure is."""
        self._jump_ms = end_ms
        if self._shaken and start_ms <= self._shaken[-1][1]:
            self._shaken[-1] = (self._shaken[-1][0], max(end_ms, self._shaken[-1][1]))
        else:
            self._shaken.append((start_ms, end_ms))

    def unclear(self, t_ms: float, now_ms: float) -> bool:
        """Tell whether it may still turn out, within a moment, that the camera was shaken at *t_ms*."""
        return (
            self._lost_ms is not None
            and now_ms - self._jump_ms <= self.settings.unclear_s * 1000
            and t_ms >= self._in_place_ms - self.settings.margin_s * 1000
        )

    def _find(self, view: StaticView, picture: Gradient, t_ms: float) -> tuple[Transform, float] | None:
        """Return where the structure is found best, and the share of it there; None while no search is due."""
        structure = view.structure
        assert structure is not None  # noqa: S101 - looked at by the caller
        if self._elsewhere is not None:
            nearby, share = follow(structure, picture, self._elsewhere)
            if share >= self.settings.likely_share:
                return nearby, share
        if t_ms - self._search_ms < self._search_wait_ms:
            return None
        self._search_ms = t_ms
        self._search_wait_ms = min(max(1000.0, 2 * self._search_wait_ms), self.settings.longest_search_s * 1000)
        return search(structure, picture)

    def _is_elsewhere(
        self,
        view: StaticView,
        picture: Gradient,
        here: tuple[float, Transform],
        found_there: tuple[Transform, float],
        t_ms: float,
    ) -> bool:
        """
        Tell whether the structure is no longer in place.

        Args:
            view: What is known to stand still.
            picture: The thumbnail's gradient.
            here: The share of the structure that is in place, and how it is shifted.
            found_there: Where else it was found, and the share of it that was.
            t_ms: The frame's time.
        """
        structure = view.structure
        assert structure is not None  # noqa: S101 - looked at by the caller
        settings, (in_place, shift), (there, share) = self.settings, here, found_there
        if there.farthest(structure) < settings.moved_cells:
            return False
        if left_behind(structure, picture, there, shift) > settings.most_left_behind * max(0.0, share - in_place):
            return False
        again = self._agrees(structure, there, self._elsewhere)
        if not again:
            if least_half(structure, picture, there) < settings.least_half:
                return False
            if not (view.is_ample or self._is_sudden(structure, in_place, there, share, t_ms)):
                return False
        if share >= max(settings.surely_share, in_place + settings.surely_more):
            return True
        likely = share >= max(settings.likely_share, in_place + settings.likely_more)
        agrees = again or self._agrees(structure, there, self._candidate)
        self._candidate = there if likely else None
        if likely and not agrees:
            self._search_wait_ms = 0.0
        return likely and agrees

    def _is_sudden(self, structure: Structure, in_place: float, there: Transform, share: float, t_ms: float) -> bool:
        """Tell whether nearly all of the structure has gone *there*, faster than anything wanders."""
        settings = self.settings
        if share < max(settings.sudden_share * self._usual, in_place + settings.surely_more):
            return False
        lately = t_ms - self._firm_ms <= settings.sudden_s * 1000
        return lately and there.displacement(structure, self._firm_shift) >= settings.sudden_cells

    def _agrees(self, structure: Structure, there: Transform, before: Transform | None) -> bool:
        """Tell whether the structure was found at nearly the same place *before*."""
        return before is not None and there.displacement(structure, before) <= self.settings.rest_cells

    def _back(self, view: StaticView, t_ms: float, share: float, shift: Transform) -> None:
        """Note that the view is in place."""
        if self._elsewhere is not None:
            self._extend_shaking(t_ms)
        self._elsewhere = self._candidate = self._lost_ms = None
        self._in_place_ms, self.shift = t_ms, shift
        if share >= self.settings.in_place and view.is_within_slack(shift):
            self._firm_ms, self._firm_shift = t_ms, shift
        self._search_wait_ms = self._search_wait_ms if share < self.settings.searched_below * self._usual else 0.0
        self._usual += 0.02 * (share - self._usual)

    def _away(self, structure: Structure, elsewhere: Transform, t_ms: float) -> None:
        """Note that the structure is *elsewhere*."""
        if self._elsewhere is None:
            self._rest, self._rest_ms = elsewhere, t_ms
            self._spell_ms = None
        elif not self._agrees(structure, elsewhere, self._rest):
            self._rest, self._rest_ms = elsewhere, t_ms
        self._elsewhere, self._found_ms, self._lost_ms = elsewhere, t_ms, None
        self._search_wait_ms = 0.0
        if elsewhere.displacement(structure) >= self.settings.shaken_cells:
            if self._spell_ms is None:
                self._spell_ms = max(self._in_place_ms, t_ms - self.settings.unclear_s * 1000)
                self._shaken.append((self._spell_ms, t_ms))
            self._extend_shaking(t_ms)

    def _extend_shaking(self, t_ms: float) -> None:
        """Let the spell of shaking last until now, unless the camera has come to rest or is hardly away."""
        if self._spell_ms is not None and t_ms - self._rest_ms < self.settings.rest_s * 1000:
            self._shaken[-1] = (self._spell_ms, t_ms)
