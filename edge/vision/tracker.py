"""
Follow each head from frame to frame, by place, size and motion; by nothing that could tell one person from another.

Frames come unevenly and some are dropped, so motion is in seconds and never in frames. Lengths are in diameters of the
head in question, so that neither the picture's size nor the camera's height matters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from edge.vision.scene import Heads, Sighting

_PLACE_NOISE = 0.12
"""How far the detector puts a head beside its place (standard deviation), head diameters."""
_WEAK_NOISE = 2.0
"""How many times worse it places a weak one."""
_START_SPEED = 5.0
"""Spread of the unknown speed of a new head, diameters a second; a head of 0.23 m that walks 1.2 m/s makes five."""
_AGILITY = 16.0
"""How fast heads change their speed: variance gained each second, (diameters / s)^2 / s."""
_REACH = 3.0
"""No head is sought farther from where it should be than this, diameters."""
_GATE = 11.8
"""Squared distance over its variance beyond which a head is another one's: 99.7 % of the right ones are nearer."""
_SIZE_STEP = 0.35
"""Spread of the logarithm of a head's size between two frames."""
_LARGEST_SIZE_STEP = 0.9
_SIZE_GAIN = 0.2
_CALM_S = 1.0
"""An unseen head is thought to slow down with this time constant: who is hidden has often stopped."""
_BACK_AGAIN = 1.5
"""A head that appears so near to where one vanished is that one, diameters."""
_OWN_GROUND = 0.6
"""No head is born so near to one that is followed already, diameters of the larger."""

_SURE = 2.5
"""Trust from which a track is reported: three sightings, with at most one miss between."""
_UNSURE = 0.5
"""Trust under which it is doubted again, and what it sees is kept back."""
_MOST_TRUST = 5.0
_MISS = 0.4
"""Trust lost by a frame without a sighting; a frame with one gives 1. So false heads here and there make no track."""
_MOST_WAITING = 12
_DOUBTFUL_MS = 800
"""How long a track that is not yet sure may be unseen."""
_LOST_MS = 2_000
"""How long a sure one may, in the middle of the picture."""
_GONE_MS = 400
"""How long a sure one may when it should be outside the picture."""
_MOST_TRACKS = 200


@dataclass(slots=True)
class Track:
    """
    One head through time: a Kalman filter of constant velocity, one variance for both axes.

    Attributes:
        number: Never used again.
        x, y: Centre, px.
        diameter: px.
        vx, vy: Velocity, px / s.
        t_ms: The time of all these: of the newest frame, whether seen in it or not.
        trust: Grows with each sighting and shrinks with each miss.
        sure: Trusted enough to be reported now.
        proven: Was sure once; it is waited for longer.
        seen_x, seen_y, seen_ms: Where and when it was last seen, px and ms.
    """

    number: int
    x: float
    y: float
    diameter: float
    t_ms: float
    vx: float = 0.0
    vy: float = 0.0
    seen_ms: float = 0.0
    hits: int = 0
    trust: float = 0.0
    sure: bool = False
    proven: bool = False
    seen_x: float = 0.0
    seen_y: float = 0.0
    waiting: list[Sighting] = field(default_factory=list)
    """Its sightings of while it wasn't sure; the newest `_MOST_WAITING`."""
    _before: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    """x, y, vx, vy, t_ms as they were without the last head it took."""
    _place_var: float = 0.0
    _cross_var: float = 0.0
    _speed_var: float = 0.0

    def predict(self, t_ms: float) -> None:
        """Move on to *t_ms*, unseen so far."""
        dt_s = (t_ms - self.t_ms) / 1000
        agility = _AGILITY * self.diameter**2
        self.x += self.vx * dt_s
        self.y += self.vy * dt_s
        if self.t_ms > self.seen_ms:
            calmed = math.exp(-dt_s / _CALM_S)
            self.vx *= calmed
            self.vy *= calmed
        self._place_var += dt_s * (2 * self._cross_var + dt_s * (self._speed_var + agility * dt_s / 3))
        self._cross_var += dt_s * (self._speed_var + agility * dt_s / 2)
        self._speed_var += agility * dt_s
        self.t_ms = t_ms
        self.trust -= _MISS
        if self.trust < _UNSURE:
            self.sure = False

    def spread(self) -> float:
        """Return the variance of the distance, per axis, at which its head should now be found, px^2."""
        return self._place_var + (_PLACE_NOISE * self.diameter) ** 2

    def take(self, head: Head) -> None:
        """Take *head*, of the frame to which it was moved on, for its own."""
        self._before = (self.x, self.y, self.vx, self.vy, self.t_ms)
        if not self.hits:
            self._place_var = (_PLACE_NOISE * self.diameter) ** 2
            self._speed_var = (_START_SPEED * self.diameter) ** 2
        else:
            noise = (_PLACE_NOISE * self.diameter * (1 if head.strong else _WEAK_NOISE)) ** 2
            place_gain = self._place_var / (self._place_var + noise)
            speed_gain = self._cross_var / (self._place_var + noise)
            dx, dy = head.x - self.x, head.y - self.y
            self.x += place_gain * dx
            self.y += place_gain * dy
            self.vx += speed_gain * dx
            self.vy += speed_gain * dy
            self._speed_var -= speed_gain * self._cross_var
            self._cross_var *= 1 - place_gain
            self._place_var *= 1 - place_gain
        self.hits += 1
        self.trust = min(self.trust + _MISS + 1, _MOST_TRUST)
        self.diameter += max(_SIZE_GAIN, 1 / self.hits) * (head.diameter - self.diameter)
        self.seen_ms, self.seen_x, self.seen_y = self.t_ms, self.x, self.y

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

    def begin_anew(self, head: Head) -> None:
        """Take *head* for its own though it is not where it should be: its motion is unknown again."""
        self.x, self.y, self.vx, self.vy = head.x, head.y, 0.0, 0.0
        self._place_var = (_PLACE_NOISE * self.diameter) ** 2
        self._cross_var = 0.0
        self._speed_var = (_START_SPEED * self.diameter) ** 2
        self.take(head)


@dataclass(slots=True)
class Head:
    """One of a frame's heads, in plain numbers."""

    x: float
    y: float
    diameter: float
    strong: bool


class Tracker:
    """
    Gives the heads of one frame after another their tracks.

    Strong heads are matched first; weak ones can only continue a track, as a head that is half hidden does. State: the
    live tracks, at most `_MOST_TRACKS`.

    Args:
        width, height: The picture, px.
        strong: Score from which a head may begin a track.
        weak: Score from which it may continue one.
    """

    def __init__(self, width: int, height: int, strong: float, weak: float) -> None:
        self._width, self._height = width, height
        self._strong, self._weak = strong, weak
        self._tracks: list[Track] = []
        self._ended: list[int] = []
        self._born = 0

    @property
    def alive(self) -> bool:
        """Whether any head is being followed, seen or not, sure or not."""
        return bool(self._tracks)

    @property
    def tracks(self) -> Sequence[Track]:
        """The live tracks; only to look at, and only until the next update."""
        return self._tracks

    @property
    def ended(self) -> Sequence[int]:
        """The numbers of the tracks that died in the last update."""
        return self._ended

    def update(self, heads: Heads, t_ms: float) -> list[Sighting]:
        """
        Return where the sure tracks were seen in this frame.

        When a track becomes sure, or is again, its sightings of before come with it, oldest first: a fast walker may be
        over the line by then.

        Args:
            heads: The frame's heads.
            t_ms: The frame's time; not before that of the last update.
        """
        strong, weak = self._plain(heads)
        self._move_on(t_ms)
        free, strong = _match(self._tracks, strong)
        free, _ = _match(free, weak)
        strong = _find_again(free, strong)
        for head in strong:
            self._give_birth(head, t_ms)
        return [sighting for track in self._tracks if track.seen_ms == t_ms for sighting in _report(track)]

    def _plain(self, heads: Heads) -> tuple[list[Head], list[Head]]:
        """Return the strong and the weak heads."""
        strong: list[Head] = []
        weak: list[Head] = []
        rows = zip(heads.centres.tolist(), heads.diameters.tolist(), heads.scores.tolist(), strict=True)
        for (x, y), diameter, score in rows:
            if score >= self._strong:
                strong.append(Head(x, y, diameter, strong=True))
            elif score >= self._weak:
                weak.append(Head(x, y, diameter, strong=False))
        return strong, weak

    def _move_on(self, t_ms: float) -> None:
        """Move every track on to *t_ms* and end those that have been unseen for too long."""
        kept: list[Track] = []
        self._ended = []
        for track in self._tracks:
            track.predict(t_ms)
            if t_ms - track.seen_ms <= self._patience_ms(track):
                kept.append(track)
            else:
                self._ended.append(track.number)
        self._tracks = kept

    def _patience_ms(self, track: Track) -> float:
        if not track.proven:
            return _DOUBTFUL_MS
        inside = 0 <= track.x <= self._width and 0 <= track.y <= self._height
        return _LOST_MS if inside else _GONE_MS

    def _give_birth(self, head: Head, t_ms: float) -> None:
        """Begin a track with *head*, unless it stands on the ground of one that lives."""
        if len(self._tracks) >= _MOST_TRACKS:
            return
        for track in self._tracks:
            ground = _OWN_GROUND * max(track.diameter, head.diameter)
            if abs(track.x - head.x) < ground and math.hypot(track.x - head.x, track.y - head.y) < ground:
                return
        self._born += 1
        track = Track(self._born, head.x, head.y, head.diameter, t_ms)
        track.take(head)
        self._tracks.append(track)


def _match(tracks: Iterable[Track], heads: list[Head]) -> tuple[list[Track], list[Head]]:
    """
    Give each of *heads* to the track that most likely made it; return the tracks and heads that are left.

    The likeliest pair of all goes first. Likelihood counts a track's own uncertainty against it: one that was long
    unseen could be anywhere near, and must not take the head of one that was seen a moment ago. The assignment that is
    best in sum (Hungarian method) was measured on the same traffic and counted no better; see docs/accuracy.md.
    """
    tracks = list(tracks)
    if not tracks or not heads:
        return tracks, heads
    pairs: list[tuple[float, int, int]] = []
    for row, track in enumerate(tracks):
        spread = track.spread()
        reach = min(math.sqrt(_GATE * spread), _REACH * track.diameter)
        penalty = 2 * math.log(spread / track.diameter**2)
        for column, head in enumerate(heads):
            dx, dy = head.x - track.x, head.y - track.y
            if abs(dx) > reach or abs(dy) > reach or dx * dx + dy * dy > reach * reach:
                continue
            size_step = abs(math.log(head.diameter / track.diameter))
            if size_step <= _LARGEST_SIZE_STEP:
                cost = (dx * dx + dy * dy) / spread + (size_step / _SIZE_STEP) ** 2 + penalty
                pairs.append((cost, row, column))
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


def _find_again(lost: Iterable[Track], heads: list[Head]) -> list[Head]:
    """Give *heads* that appear where a sure track vanished to that track; return those that are left."""
    lost = [track for track in lost if track.proven]
    left: list[Head] = []
    for head in heads:
        near = [
            (away, index)
            for index, track in enumerate(lost)
            if (away := track.away(head)) < _BACK_AGAIN * track.diameter
            and abs(math.log(head.diameter / track.diameter)) <= _LARGEST_SIZE_STEP
        ]
        if near:
            lost.pop(min(near)[1]).begin_anew(head)
        else:
            left.append(head)
    return left


def _report(track: Track) -> list[Sighting]:
    """Return what *track*, seen in this frame, has to tell: nothing until it is sure, then all it saw."""
    sighting = Sighting(track.number, track.x, track.y, track.diameter, track.t_ms)
    if track.sure:
        return [sighting]
    track.waiting = [*track.waiting[1 - _MOST_WAITING :], sighting]
    if track.trust < _SURE:
        return []
    track.sure = track.proven = True
    told, track.waiting = track.waiting, []
    return told
