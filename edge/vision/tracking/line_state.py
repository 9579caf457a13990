"""How one head stands to one line: beyond the band it has a side, and in the band it keeps the one it had."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from edge.vision.explain import OVER, Reason
from edge.vision.pixel_line import PixelLine
from edge.vision.scene import Sighting
from edge.vision.tracking.settings import TrackingSettings


class Passage(NamedTuple):
    """A head's way over a line, to *side*: a crossing if *reason* is `OVER`; the rest is as in Explanation."""

    side: int
    reason: Reason
    depth: float
    t_ms: float
    x: float
    y: float
    unseen_ms: float


@dataclass(slots=True)
class LineState:
    """
    How one head stands to one line.

    Attributes:
        side: The side that the head is known to be on, 1 or -1; 0 while it was only seen in the band.
        beyond_ms: Since when it has only been seen beyond the band on the other side.
        over: Times it went through the line since `side` was known: 1 for each way to the positive side, -1 back.
        reached: How far beyond the line it was seen since then, diameters.
    """

    pixel_line: PixelLine
    settings: TrackingSettings
    side: int = 0
    beyond_ms: float = math.inf
    over: int = 0
    reached: float = 0.0
    _last: Sighting | None = None
    _distance: float = 0.0
    _on_line: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def follow(self, seen: Sighting) -> Passage | None:
        """Go on to where the head was *seen*; return what that decides, if anything."""
        line = self.pixel_line.line
        distance = line.distance(seen.x, seen.y)
        if distance == 0:
            # Exactly on the line is on neither side: the step is judged as a whole, when it leads off the line.
            self.beyond_ms = math.inf
            return None
        side = 1 if distance > 0 else -1
        last, before = self._last, self._distance
        self._last, self._distance = seen, distance
        if last is not None and before * side < 0:
            is_through = line.is_met((last.x, last.y), (seen.x, seen.y))
            if is_through or not self.over:
                share, unseen_ms = before / (before - distance), seen.t_ms - last.t_ms
                x, y = last.x + share * (seen.x - last.x), last.y + share * (seen.y - last.y)
                self._on_line = (last.t_ms + share * unseen_ms, x, y, unseen_ms)
            self.over += side if is_through else 0
        if side == self.side and not self.over and self.beyond_ms == math.inf and not self.reached:
            return None  # as nearly always: it is where it was, and nothing is open
        return self._judge(side, abs(distance) / seen.diameter, seen.t_ms)

    def end(self, *, left: bool) -> Passage | None:
        """Return what is decided by that the head is never seen again; *left*: it went out of the picture."""
        if self.over * self.side >= 0:
            return None
        # Who was last seen in the picture may have turned back.
        is_over = left and self.beyond_ms < math.inf
        return Passage(-self.side, OVER if is_over else "lost at the line", self.reached, *self._on_line)

    def _judge(self, side: int, depth: float, t_ms: float) -> Passage | None:
        """Decide the side of a head that is *depth* diameters from the line on *side* now."""
        is_through = self.over * side > 0
        if side != self.side and is_through:
            self.reached = max(self.reached, depth)
        if depth < self.settings.band:
            self.beyond_ms = math.inf
            return None
        reason: Reason | None = "turned back" if self.reached else None
        if self.side == -side:
            self.beyond_ms = min(self.beyond_ms, t_ms)
            if depth < self.settings.clear and t_ms - self.beyond_ms < self.settings.stayed_ms:
                return None
            reason = OVER if is_through else "passed the line's end"
        passage = Passage(-self.side, reason, max(self.reached, depth), *self._on_line) if reason else None
        self.side, self.beyond_ms, self.over, self.reached = side, math.inf, 0, 0.0
        return passage
