"""
One head through time: where it is, where it is going, and how far it is to be believed.

By place, size and motion; nothing in here could tell one person from another. Motion is in seconds and never in
frames, since frames come unevenly; lengths are in diameters of the head in question, since neither the picture's size
nor the camera's height matters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from edge.vision.scene import Sighting

PLACE_NOISE = 0.12
"""How far the detector puts a head beside its place (standard deviation), head diameters."""
_WEAK_NOISE = 2.0
"""How many times worse it places a weak one."""
_START_SPEED = 5.0
"""Spread of the unknown speed of a new head, diameters a second; a head of 0.23 m that walks 1.2 m/s makes five."""
_AGILITY = 16.0
"""How fast heads change their speed: variance gained each second, (diameters / s)^2 / s."""
_SIZE_GAIN = 0.2
_SCORE_GAIN = 0.1
_CALM_S = 1.0
"""An unseen head is thought to slow down with this time constant: who is hidden has often stopped."""

_STILL_MS, _SWAY = 15_000, 0.5
"""A head stands still that was for so long no farther than this from one place, diameters."""
_STOOD_MS = 1_000
"""It stood, if it was for so long."""

_SURE = 2.5
"""Trust from which a track is reported: three sightings, with at most two misses between."""
_UNSURE = 0.5
"""Trust under which a track is doubted again, and what it sees is kept back."""
_MOST_TRUST = 5.0
_MISS = 0.4
"""Trust lost by a frame without a sighting; a frame with one gives 1. So false heads here and there make no track."""
_WEAK_TRUST = 0.5
"""Trust given by a frame in which it was weak."""
_MOST_WAITING = 60


@dataclass(slots=True)
class Head:
    """One of a frame's heads, in plain numbers."""

    x: float
    y: float
    diameter: float
    score: float
    strong: bool


@dataclass(slots=True)
class Track:
    """
    A Kalman filter of constant velocity, one variance for both axes, and what is known of the head.

    Attributes:
        number: Never used again for another head.
        x, y: Centre, px.
        diameter: px.
        score: The mean of its heads' scores, the newest ones first of all.
        t_ms: The time of all these: of the newest frame, whether seen in it or not.
        host: The head that this one may be a part of: seen beside it from the first, or far surer.
        vx, vy: Velocity, px / s.
        born_x, born_y, born_ms: Where and when it was first seen, px and ms.
        judged_ms: Since when it is judged whether it is a head of its own: since its birth, or since it was doubted.
        seen_x, seen_y, seen_ms: Where and when it was last seen.
        unseen_ms: For how long it hadn't been seen then.
        stood_x, stood_y, stood_ms: Where it came to stand, and when.
        left_x, left_y, left_ms: Where it had stood for `_STOOD_MS` at least, and when it was first seen elsewhere.
        hits, frames: How often it was seen, and in how many frames after the first it could have been.
        apart: Sightings in a row in which it was too far from its host to be a part of it.
        trust: Grows with each sighting and shrinks with each miss.
        sure: Trusted enough to be reported now.
        proven: Was sure once; it is waited for longer.
        waiting: Its sightings of while it wasn't reported; the newest `_MOST_WAITING`.
    """

    number: int
    x: float
    y: float
    diameter: float
    t_ms: float
    score: float = 0.0
    host: Track | None = None
    vx: float = 0.0
    vy: float = 0.0
    born_x: float = 0.0
    born_y: float = 0.0
    born_ms: float = 0.0
    judged_ms: float = 0.0
    seen_x: float = 0.0
    seen_y: float = 0.0
    seen_ms: float = 0.0
    unseen_ms: float = 0.0
    stood_x: float = 0.0
    stood_y: float = 0.0
    stood_ms: float = 0.0
    left_x: float = 0.0
    left_y: float = 0.0
    left_ms: float = -math.inf
    hits: int = 0
    frames: int = 0
    apart: int = 0
    trust: float = 0.0
    sure: bool = False
    proven: bool = False
    waiting: list[Sighting] = field(default_factory=list)
    _before: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    """x, y, vx, vy, t_ms as they were without the last head it took."""
    _place_var: float = 0.0
    _cross_var: float = 0.0
    _speed_var: float = 0.0

    def __post_init__(self) -> None:
        self.born_x, self.born_y, self.born_ms = self.x, self.y, self.t_ms
        self.stood_x, self.stood_y, self.stood_ms = self.x, self.y, self.t_ms
        self.judged_ms = self.t_ms
        self._forget_motion()

    def predict(self, t_ms: float) -> None:
        """Move on to *t_ms*, unseen so far; what stands stays where it is."""
        if self.stands:
            self.vx = self.vy = 0.0
            self._forget_motion()
        else:
            self._move((t_ms - self.t_ms) / 1000)
        self.t_ms = t_ms
        self.frames += 1
        self.trust -= _MISS
        if self.trust < _UNSURE:
            self.sure = False

    def spread(self) -> float:
        """Return the variance of the distance, per axis, at which its head should now be found, px^2."""
        beside = PLACE_NOISE * self.diameter
        return self._place_var + beside * beside

    def take(self, head: Head) -> None:
        """Take *head*, of the frame to which it was moved on, for its own."""
        self._before = (self.x, self.y, self.vx, self.vy, self.t_ms)
        if self.hits:
            beside = PLACE_NOISE * self.diameter * (1 if head.strong else _WEAK_NOISE)
            place_var, cross_var = self._place_var, self._cross_var
            whole_var = place_var + beside * beside
            place_gain, speed_gain = place_var / whole_var, cross_var / whole_var
            dx, dy = head.x - self.x, head.y - self.y
            self.x += place_gain * dx
            self.y += place_gain * dy
            self.vx += speed_gain * dx
            self.vy += speed_gain * dy
            self._speed_var -= speed_gain * cross_var
            self._cross_var = (1 - place_gain) * cross_var
            self._place_var = (1 - place_gain) * place_var
        self.hits += 1
        self.trust = min(self.trust + _MISS + (1 if head.strong else _WEAK_TRUST), _MOST_TRUST)
        share = 1 / self.hits
        self.diameter += max(share, _SIZE_GAIN) * (head.diameter - self.diameter)
        self.score += max(share, _SCORE_GAIN) * (head.score - self.score)
        x, y, t_ms = self.x, self.y, self.t_ms
        self.unseen_ms = t_ms - self.seen_ms
        self.seen_ms, self.seen_x, self.seen_y = t_ms, x, y
        moved_x, moved_y, sway = x - self.stood_x, y - self.stood_y, _SWAY * self.diameter
        if moved_x * moved_x + moved_y * moved_y > sway * sway:
            if t_ms - self.stood_ms >= _STOOD_MS:
                self.left_ms, self.left_x, self.left_y = t_ms, self.stood_x, self.stood_y
            self.stood_ms, self.stood_x, self.stood_y = t_ms, x, y

    def begin_anew(self, head: Head) -> None:
        """Take *head* for its own though it is not where it should be: motion unknown, and to be seen there again."""
        self.x, self.y, self.vx, self.vy = head.x, head.y, 0.0, 0.0
        self._forget_motion()
        self.sure, self.trust = False, min(self.trust, _UNSURE)
        self.take(head)

    def away(self, head: Head) -> float:
        """
        Return how far *head* is from where the track vanished, px.

        The last head it took may have been a false one that led it astray; then it never was there. So how far *head*
        is from where the track would be without that one counts as well, if it is less.
        """
        x, y, vx, vy, t_ms = self._before
        dt_s = (self.t_ms - t_ms) / 1000
        vanished = math.hypot(self.seen_x - head.x, self.seen_y - head.y)
        return min(vanished, math.hypot(x + vx * dt_s - head.x, y + vy * dt_s - head.y))

    def inherit(self, lost: Track) -> None:
        """Go on as *lost*: this is its head. What this one saw while *lost* still saw it itself is not told."""
        self.number, self.proven, self.host = lost.number, True, None
        self.waiting = [sighting for sighting in self.waiting if sighting.t_ms > lost.seen_ms]

    def step_down(self, number: int, host: Track) -> None:
        """Go on as what may be a part of *host*, under a new *number*."""
        self.number = number
        self._be_part_of(host)

    def be_doubted(self, host: Track) -> None:
        """Go on as what may be a part of *host*, as if first seen now."""
        self.judged_ms, self.hits, self.frames = self.t_ms, 1, 0
        self._be_part_of(host)

    def report(self) -> list[Sighting]:
        """Return what it, seen in this frame, has to tell: nothing until it is sure, then all it saw, oldest first."""
        sighting = Sighting(self.number, self.x, self.y, self.diameter, self.t_ms)
        if self.sure:
            return [sighting]
        self.waiting = [*self.waiting[1 - _MOST_WAITING :], sighting]
        if not self.convincing:
            return []
        self.sure = self.proven = True
        told = [waited._replace(track=self.number) for waited in self.waiting]
        self.waiting = []
        return told

    @property
    def stands(self) -> bool:
        """Whether it was seen in one place for so long that it may be a thing: a mannequin, a lamp."""
        return self.seen_ms - self.stood_ms >= _STILL_MS

    @property
    def convincing(self) -> bool:
        """Whether it is trusted enough to be reported, and known to be a head of its own."""
        return self.trust >= _SURE and self.host is None

    def _be_part_of(self, host: Track) -> None:
        self.host, self.apart = host, 0
        self.proven = self.sure = False
        self.waiting = []

    def _move(self, dt_s: float) -> None:
        agility = _AGILITY * self.diameter * self.diameter
        self.x += self.vx * dt_s
        self.y += self.vy * dt_s
        if self.t_ms > self.seen_ms:
            calmed = math.exp(-dt_s / _CALM_S)
            self.vx *= calmed
            self.vy *= calmed
        self._place_var += dt_s * (2 * self._cross_var + dt_s * (self._speed_var + agility * dt_s / 3))
        self._cross_var += dt_s * (self._speed_var + agility * dt_s / 2)
        self._speed_var += agility * dt_s

    def _forget_motion(self) -> None:
        self._place_var = (PLACE_NOISE * self.diameter) ** 2
        self._cross_var = 0.0
        self._speed_var = (_START_SPEED * self.diameter) ** 2
