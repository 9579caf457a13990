"""
One followed head: where it is, how far it is believed, and whose part it may be.

Only place, size, motion and the detector's score are used; nothing here can tell one person from another.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from edge.vision.moving_point import MovingPoint
from edge.vision.scene import Sighting
from edge.vision.tracking.settings import TrackingSettings

_MOST_PENDING = 60
"""An unconfirmed track keeps at most so many points, to report them when it is confirmed."""


class Detection(NamedTuple):
    """One of a frame's heads; *strong* ones can begin a track."""

    x: float
    y: float
    diameter: float
    score: float
    strong: bool


class Track(MovingPoint):
    """
    One head through time: tentative, then confirmed; unseen for a while it is lost, and at last deleted.

    Attributes:
        number: Never used again for another head.
        diameter, t_ms: px, and the newest frame's time.
        score: The mean of its detections' scores, the newest ones first of all.
        owner: The head that this one is suspected to be a part of.
        born_x, born_y, born_ms, judged_ms: Where and when it was first seen, and since when it is judged by that.
        seen_x, seen_y, seen_ms, unseen_ms: Where and when it was last seen, and for how long it hadn't been then.
        still_x, still_y, still_ms: Where and when it came to rest.
        hits, apart: Detections since `judged_ms`; of the newest, those too far from its owner to be a part of it.
        confidence: Grows with each detection and shrinks with each miss.
        confirmed, was_confirmed: Whether it is reported now, and was at any time.
        pending: Its points of while it wasn't reported, the newest `_MOST_PENDING`.
    """

    __slots__ = (
        *("number", "settings", "diameter", "t_ms", "score", "confidence", "owner", "hits", "apart", "pending"),
        *("born_x", "born_y", "born_ms", "judged_ms", "seen_x", "seen_y", "seen_ms", "unseen_ms"),
        *("still_x", "still_y", "still_ms", "confirmed", "was_confirmed"),
    )

    def __init__(self, number: int, head: Detection, t_ms: float, settings: TrackingSettings) -> None:
        noise, speed = settings.position_noise * head.diameter, settings.start_speed * head.diameter
        super().__init__(head.x, head.y, noise, speed)
        self.number, self.settings = number, settings
        self.born_x = self.seen_x = self.still_x = head.x
        self.born_y = self.seen_y = self.still_y = head.y
        self.t_ms = self.born_ms = self.judged_ms = self.seen_ms = self.still_ms = t_ms
        self.diameter = head.diameter
        self.score = self.confidence = self.unseen_ms = 0.0
        self.hits = self.apart = 0
        self.owner: Track | None = None
        self.confirmed = self.was_confirmed = False
        self.pending: list[Sighting] = []
        self.take(head)

    @property
    def is_static(self) -> bool:
        """Whether it was seen in one place for so long that it may be a thing: a mannequin, a lamp."""
        return self.seen_ms - self.still_ms >= self.settings.static_ms

    @property
    def is_credible(self) -> bool:
        """Whether it is believed enough to be reported, and not suspected to be a part of another head."""
        return self.confidence >= self.settings.confirm and self.owner is None

    def is_dim_beside(self, other: Track) -> bool:
        """Tell whether the detector is so much more confident of *other*, beside it, that this need not be a head."""
        return self.score < self.settings.dim * other.score

    def is_alike(self, other: Track) -> bool:
        """Tell whether two sizes can be those of one head."""
        return abs(math.log(self.diameter / other.diameter)) <= self.settings.size_change

    def distance(self, other: Track) -> float:
        """Return how far this one, seen now, is from where *other* is or was last seen, diameters of the larger."""
        predicted = math.hypot(self.x - other.x, self.y - other.y)
        seen = math.hypot(self.x - other.seen_x, self.y - other.seen_y)
        return min(predicted, seen) / max(self.diameter, other.diameter)

    def point(self) -> Sighting:
        """Return where it is now."""
        return Sighting(self.number, self.x, self.y, self.diameter, self.t_ms, self.score, self.confidence)

    def predict(self, t_ms: float) -> None:
        """Move on to *t_ms*, unseen so far; what is static stays where it is."""
        settings, dt_s = self.settings, (t_ms - self.t_ms) / 1000
        if self.is_static:
            noise = settings.weak_noise * settings.position_noise  # it may be setting out
            self.forget_motion(noise * self.diameter, settings.start_speed * self.diameter)
        else:
            self.move(dt_s, settings.acceleration * self.diameter * self.diameter)
            if self.t_ms > self.seen_ms:
                self.slow_down(dt_s, settings.slowing_s)
        self.t_ms = t_ms
        self.confidence = max(settings.least, self.confidence - settings.miss)
        if self.confidence < settings.doubt:
            self.confirmed = False

    def take(self, head: Detection) -> None:
        """Take *head*, of the frame to which the track was moved on, for its own."""
        settings = self.settings
        if self.hits:
            noise = settings.position_noise * self.diameter
            self.correct(head.x, head.y, noise if head.strong else settings.weak_noise * noise)
        self.hits += 1
        gained = settings.miss + (1 if head.strong else settings.weak_hit)
        self.confidence = min(self.confidence + gained, settings.most)
        share = max(1 / self.hits, settings.smoothing)
        self.diameter += share * (head.diameter - self.diameter)
        self.score += share * (head.score - self.score)
        x, y, t_ms = self.x, self.y, self.t_ms
        self.unseen_ms = t_ms - self.seen_ms
        self.seen_ms, self.seen_x, self.seen_y = t_ms, x, y
        sway = settings.sway * self.diameter
        if (x - self.still_x) ** 2 + (y - self.still_y) ** 2 > sway * sway:
            self.still_ms, self.still_x, self.still_y = t_ms, x, y

    def inherit(self, other: Track) -> None:
        """Go on as *other*: this is its head. What this one saw while *other* was seen itself is not reported."""
        self.number, self.was_confirmed, self.owner = other.number, True, None
        self.pending = [point for point in self.pending if point.t_ms > other.seen_ms]

    def suspect(self, owner: Track) -> None:
        """Go on as what may be a part of *owner*, as if first seen now."""
        self.judged_ms, self.hits = self.t_ms, 1
        self.owner, self.apart = owner, 0
        self.was_confirmed = self.confirmed = False
        self.pending = []

    def report(self) -> list[Sighting]:
        """Return what it, seen in this frame, has to report: nothing until it is credible, then all, oldest first."""
        if self.confirmed:
            return [self.point()]
        self.pending = [*self.pending[1 - _MOST_PENDING :], self.point()]
        if not self.is_credible:
            return []
        self.confirmed = self.was_confirmed = True
        told, self.pending = [waited._replace(track=self.number) for waited in self.pending], []
        return told
