"""
Tell what is wrong with a camera's pictures: dark, covered, frozen, moved, slow; and whether the camera was shaken.

A verdict needs positive evidence, measured against what this camera has shown before; to know too little is never a
verdict. `dark`, `covered` and `frozen` say that nobody can be seen: crossings are refused while they hold. They can't
hold while heads are followed. `moved` says that the line may not be at the door any more: it flags the hours, and
counting goes on. Looks at every frame, at a thumbnail of about 80 x 60 cells; `edge.vision.static_view` is all that is
kept of what was seen, in memory only.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt

from edge.config.camera import SLOWEST_FPS
from edge.core.tally import Flag
from edge.vision.camera_motion import CameraMotion
from edge.vision.knock import KnockDetector
from edge.vision.registration import EDGE_LEVEL, Structure, search
from edge.vision.scene import Frame, Heads, Sighting
from edge.vision.static_view import StaticView, near_heads
from edge.vision.stream_check import Frozen, Pace
from edge.vision.thumbnail import Gradient, Grey, gradient, sample, shape_for, sharpness, shrink, steepness

_MOST_FOLLOWED = 200
"""Tracks of which it is remembered where they were first seen."""


class Reason(StrEnum):
    """Why a crossing was refused: nobody could be seen, or it was the camera that moved."""

    DARK = "dark"
    COVERED = "covered"
    FROZEN = "frozen"
    SHAKEN = "shaken"


@dataclass(frozen=True)
class PictureCheckSettings:
    """What counts as a fault of the picture, and for how long it must last."""

    look_s: float = 1.0
    """Darkness, covers and moves are judged once in this time, seconds."""
    found_s: float = 5.0
    """`dark` and `covered` hold after this long, seconds."""
    gone_s: float = 2.0
    """And no longer after this long without, seconds."""
    back_s: float = 5.0
    """`moved` ends when the view was back for this long, seconds."""
    frozen_s: float = 10.0
    """Exactly the same picture for this long is no camera's, seconds,"""
    frozen_factor: float = 3.0
    """unless the source has repeated pictures before: then this many times as long as it did."""
    dark_level: float = 22.0
    """In a dark picture 95 % of the points lie under this grey level. A night street to count in has 93."""
    dark_share: float = 0.5
    """And the same level was at least twice as high before: 1 over this."""
    flat_level: float = 8.0
    """Of a camera that has shown nothing yet, a dark picture has smaller steps of grey than this in 97 of 100 cells."""
    covered_contrast: float = 0.3
    """A covered picture has less than this share of the static edges' contrast,"""
    spread_contrast: float = 0.6
    """or less than this share where the view has edges in nearly all tiles (sprayed paint lets some of it through),"""
    covered_sharpness: float = 0.3
    """and less than this share of the sharpness that this camera's pictures usually have."""
    light_gone_s: float = 10.0
    """
    Static edges that were gone for this long while the picture was sharp are behind no cover: they were light, seconds.
    Where the view has edges in nearly all tiles, they can't all be light.
    """
    seen_again: float = 2.0
    """Static edges are seen again once they have this many times the contrast that a cover would leave."""
    uncovered_factor: float = 1.3
    """A picture that is covered stays so until it has one of these shares this many times."""
    jump_level: float = 10.0
    """An edge's cell has changed if its grey level has by more than this, over and above the picture's noise."""
    jump_share: float = 0.4
    """The picture has jumped if this share of the static edges' cells has changed within a moment."""
    jump_s: float = 0.3
    """That moment, seconds."""
    jump_look_s: float = 0.1
    """While the picture jumps, it is looked at no more often than this, seconds."""
    cut_share: float = 0.5
    """A cut to another scene changes at least this share of all cells from one frame to the next,"""
    cut_found: float = 0.35
    """and leaves less than this share of the edges anywhere in the picture."""
    cut_step_s: float = 1.0
    """Frames farther apart than this tell nothing about a cut, seconds."""
    slowest_fps: float = SLOWEST_FPS
    """Fewer frames a second than this are too few to follow people by."""
    pace_s: float = 10.0
    """The rate is judged over this long, seconds."""
    away_s: float = 60.0
    """A camera that gave nothing for this long was closed or lost; its rate is judged anew, seconds."""


class PictureCheck:
    """
    Looks at each frame of one camera.

    Found and gone within: dark and covered 6 s and 3 s; frozen 10 s and at once; moved mostly 13 s where the old view
    is found elsewhere in the picture, 60 s where it isn't, and 6 s; slow 10 s and 10 s.

    Args:
        fps: Frames a second that were asked for. Slow is under 4, or under a third of them where that is less.

    Attributes:
        thumbnail: The newest frame, made small.
        cut: Whether the newest frame shows another scene than the one before: what was followed is gone.
    """

    def __init__(self, fps: float, settings: PictureCheckSettings | None = None) -> None:
        self.settings = settings = settings or PictureCheckSettings()
        self._frozen = Frozen(settings.frozen_s, settings.frozen_factor)
        self._pace = Pace(min(settings.slowest_fps, fps / 3), settings.pace_s, settings.away_s)
        self._dark = _Held(settings.found_s, settings.gone_s)
        self._covered = _Held(settings.found_s, settings.gone_s)
        self._moved = _Held(0.0, settings.back_s)
        self._size = (0, 0)
        self._shape = (0, 0)
        self._heads = np.empty((0, 3), np.float32)
        self._first_seen: dict[int, Sighting] = {}
        self.flags = Flag(0)
        self.thumbnail: Grey = np.zeros((1, 1), np.uint8)
        self._newest_ms = -math.inf
        self.cut = False
        self.begin_view()

    def begin_view(self) -> None:
        """Forget what the camera has shown: what it shows from now on is what it should show. `moved` ends."""
        self._moved = _Held(0.0, self.settings.back_s)
        self._view = StaticView(self._shape)
        self._home: StaticView | None = None
        """The view from which the camera was moved, while `moved` holds."""
        self._motion = CameraMotion()
        self._knocks = KnockDetector()
        self._motion_ms = -math.inf
        self._recent: deque[tuple[float, Grey]] = deque()
        self._looked_ms = -math.inf
        self._usual_light: float | None = None
        self._gone_s = 0.0
        """For how long the static edges have been gone while the picture was sharp."""
        self._usual_sharpness: float | None = None
        self._noise = 1.0

    def look(self, frame: Frame) -> Flag:
        """Return the flags that hold now."""
        if frame.size != self._size:
            self._size, self._shape = frame.size, shape_for(*frame.size)
            self.begin_view()
        sampled = sample(frame.reduced)
        thumbnail = self.thumbnail = shrink(sampled, self._shape)
        self._newest_ms = frame.t_ms
        flags = Flag(0)
        if self._frozen.looks(sampled, frame.t_ms):
            flags |= Flag.FROZEN
        if self._pace.is_slow(frame.t_ms):
            flags |= Flag.SLOW
        self._follow_camera(thumbnail, frame.t_ms)
        if frame.t_ms - self._looked_ms >= self.settings.look_s * 1000:
            self._judge(sampled, thumbnail, frame.t_ms)
        for held, flag in ((self._dark, Flag.DARK), (self._covered, Flag.COVERED), (self._moved, Flag.MOVED)):
            if held.holds:
                flags |= flag
        self.flags = flags
        return flags

    @property
    def is_plain(self) -> bool:
        """Whether the newest picture has next to no edges: a plain floor, or a cap on the lens. It is no verdict."""
        return self._is_flat(steepness(gradient(self.thumbnail)))

    def note(self, heads: Heads, sightings: Sequence[Sighting]) -> None:
        """
        Take in what was found in the newest frame.

        Nothing is learnt near heads; and while somebody is followed, the picture is neither dark nor covered.
        """
        self._heads = np.column_stack((heads.centres, heads.diameters))
        for sighting in sightings:
            first = self._first_seen.setdefault(sighting.track, sighting)
            if math.hypot(sighting.x - first.x, sighting.y - first.y) > sighting.diameter:
                self._first_seen[sighting.track] = sighting
                self._trust_heads()
        while len(self._first_seen) > _MOST_FOLLOWED:
            del self._first_seen[next(iter(self._first_seen))]
        self._knocks.note(sightings, self._newest_ms)
        if self._recent and (self._view.structure is None or self._motion.lost):
            before_ms, before = self._recent[0]
            if self._knocks.is_knocked(before, before_ms, self.thumbnail, self._shape[1] / self._size[0]):
                self._motion.note_knock(before_ms, self._newest_ms)

    def _trust_heads(self) -> None:
        """End a verdict against which somebody was followed; what stands there now is the view."""
        wrong = self._dark.holds or self._covered.holds
        self._dark.end()
        self._covered.end()
        if wrong:
            self.flags &= ~(Flag.DARK | Flag.COVERED)
            self._usual_light = self._usual_sharpness = None
            self._view.renew()

    def refuses(self, t_ms: float) -> Reason | None:
        """Return why a crossing at *t_ms*, confirmed now, is refused; None if it isn't."""
        for flag, reason in (
            (Flag.FROZEN, Reason.FROZEN),
            (Flag.DARK, Reason.DARK),
            (Flag.COVERED, Reason.COVERED),
        ):
            if flag in self.flags:
                return reason
        return Reason.SHAKEN if self._motion.shaken(t_ms) else None

    def unclear(self, t_ms: float, now_ms: float) -> bool:
        """
        Tell whether it may still turn out that the camera was shaken at *t_ms*.

        It may until the view was found in place half a second later, or could not be found for two seconds. A view that
        was in place when it was looked at last is looked at in the newest frame.
        """
        motion, after_ms = self._motion, t_ms + self._motion.settings.margin_s * 1000
        if self._view.structure is not None and motion.in_place and motion.looked_ms < after_ms:
            if now_ms < after_ms:
                return True
            if self._newest_ms >= after_ms:
                self._motion.look(self._view, gradient(self.thumbnail), self._newest_ms, at_once=True)
        return motion.unclear(t_ms, now_ms)

    def _follow_camera(self, thumbnail: Grey, t_ms: float) -> None:
        """Tell a cut; and look at once where the camera looks, if the picture has jumped."""
        settings, recent = self.settings, self._recent
        self.cut = bool(recent) and self._is_cut(*recent[-1], thumbnail, t_ms)
        recent.append((t_ms, thumbnail))
        while len(recent) > 1 and recent[1][0] <= t_ms - settings.jump_s * 1000:
            recent.popleft()
        if self._view.structure is None or t_ms - self._motion_ms < settings.jump_look_s * 1000:
            return
        step = cv2.absdiff(thumbnail, recent[0][1]).ravel()[self._view.structure.cell]
        jumped = int(np.count_nonzero(step > self._step_level)) > settings.jump_share * len(step)
        if jumped or self._motion.unsettled(t_ms):
            self._motion_ms = t_ms
            self._motion.look(self._view, gradient(thumbnail), t_ms, at_once=jumped)

    @property
    def _step_level(self) -> float:
        return self.settings.jump_level + 3 * self._noise

    def _is_cut(self, before_ms: float, before: Grey, thumbnail: Grey, t_ms: float) -> bool:
        """Tell whether nothing of the frame before is left: another scene, and not the same one moved or lit."""
        settings = self.settings
        changed = np.count_nonzero(cv2.absdiff(thumbnail, before) > self._step_level)
        if changed < settings.cut_share * thumbnail.size or t_ms - before_ms > settings.cut_step_s * 1000:
            return False
        was = gradient(before)
        edges = Structure.of(was, steepness(was) > EDGE_LEVEL)
        now = gradient(thumbnail)
        if len(edges.x) < _LEAST_CUT_EDGES or np.count_nonzero(steepness(now) > EDGE_LEVEL) < _LEAST_CUT_EDGES:
            return False  # lens covered, lamp out: nothing is there that could be another scene
        return search(edges, now)[1] < settings.cut_found

    def _judge(self, sampled: Grey, thumbnail: Grey, t_ms: float) -> None:
        """Look closer, once a second."""
        settings, view = self.settings, self._view
        elapsed_s = min(2 * settings.look_s, (t_ms - self._looked_ms) / 1000)
        self._looked_ms = t_ms
        picture = gradient(thumbnail)
        size = steepness(picture)
        light, sharp = float(np.percentile(sampled[::2, ::2], 95)), sharpness(thumbnail)
        dark = self._looks_dark(light, size)
        covered = not dark and self._looks_covered(picture, light, sharp)
        self._dark.say(dark, t_ms)
        self._covered.say(covered, t_ms)
        if not (dark or covered):
            self._usual_light = _follow(self._usual_light, light)
            self._usual_sharpness = _follow(self._usual_sharpness, sharp)
            self._motion.look(view, picture, t_ms)
            self._judge_move(picture, t_ms)
        if len(self._recent) > 1 and self._motion.at_rest(t_ms):
            step = cv2.absdiff(self._recent[-1][1], self._recent[-2][1])
            self._noise += 0.1 * (1.5 * float(np.median(step)) - self._noise)
        hidden = near_heads(self._shape, self._size, self._heads)
        sound = not (dark or covered) and self._motion.in_place
        unseen = dark or covered or self._dark.holds or self._covered.holds
        doubtful = unseen or self._motion.may_look_elsewhere(t_ms, self._view.settings.renewed_s)
        self._view.learn(picture, hidden, elapsed_s, self._motion.shift, self._noise, renew=sound, doubtful=doubtful)

    def _judge_move(self, picture: Gradient, t_ms: float) -> None:
        """Flag a move, or its end."""
        if self._home is None:
            if self._motion.shows_move(self._view, t_ms):
                self._moved.say(True, t_ms)
                self._home, self._view = self._view, StaticView(self._shape)
                self._motion = self._motion.begin()
            return
        enough = self._motion.settings.in_place
        back = self._home.in_place(picture, enough)[0] >= enough
        self._moved.say(not back, t_ms)
        if not self._moved.holds:
            self._view, self._home = self._home, None
            self._motion = self._motion.begin()

    def _looks_dark(self, light: float, size: npt.NDArray[np.float32]) -> bool:
        """Tell whether the picture has gone dark; of a camera that has shown nothing yet, whether it shows nothing."""
        settings = self.settings
        if light >= settings.dark_level:
            return False
        if self._usual_light is None:
            return self._is_flat(size)
        return light < settings.dark_share * self._usual_light

    def _is_flat(self, size: npt.NDArray[np.float32]) -> bool:
        return float(np.percentile(size, 97)) < self.settings.flat_level

    def _looks_covered(self, picture: Gradient, light: float, sharp: float) -> bool:
        """Tell whether the static edges are gone, and nothing sharp has come in their place."""
        settings, view = self.settings, self._view
        if view.structure is None or self._usual_light is None or self._usual_sharpness is None:
            return False
        dimmed = min(1.0, light / self._usual_light)
        factor = dimmed * (settings.uncovered_factor if self._covered.holds else 1.0)
        contrast = settings.spread_contrast if view.is_spread else settings.covered_contrast
        blurred = sharp < factor * settings.covered_sharpness * self._usual_sharpness
        share = view.contrast(picture, self._motion.shift) / (factor * contrast)
        if share >= 1:
            self._gone_s = 0.0 if share >= settings.seen_again else self._gone_s
            return False
        self._gone_s += 0.0 if blurred else settings.look_s
        return blurred and (view.is_spread or self._gone_s < settings.light_gone_s)


_LEAST_CUT_EDGES = 40


def _follow(usual: float | None, now: float) -> float:
    """Return the slow mean of what is seen once a second."""
    return now if usual is None else usual + 0.02 * (now - usual)


class _Held:
    """A condition that must last before it holds, and be away before it doesn't."""

    def __init__(self, found_s: float, gone_s: float) -> None:
        self.holds = False
        self._found_ms, self._gone_ms = found_s * 1000, gone_s * 1000
        self._since_ms: float | None = None

    def end(self) -> None:
        """End the condition at once."""
        self.holds, self._since_ms = False, None

    def say(self, now: bool, t_ms: float) -> None:  # noqa: FBT001 - it is what is said
        """Say whether the condition is there now."""
        if now == self.holds:
            self._since_ms = None
            return
        if self._since_ms is None:
            self._since_ms = t_ms
        if t_ms - self._since_ms >= (self._gone_ms if self.holds else self._found_ms):
            self.holds, self._since_ms = now, None
