"""
A shop door seen from above, with people who walk through it: where each head truly is, and which crossings are true.

The floor is 4 x 3 m in a picture of 640 x 480; a head is 0.23 m wide. The line lies across the middle, from 10 to 90 %
of the width, a door post stands at each of its ends, and inside is towards the bottom. People keep their distance,
sway, walk in groups, turn back, wait, and come in at the sides. Everything follows from the seed.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from edge.config.schema import Line
from edge.evaluation.score import Event

WIDTH, HEIGHT = 640, 480
PX = 160.0
"""px a metre."""
HEAD_M = 0.23
LINE = Line.model_validate({"from": (0.1, 0.5), "to": (0.9, 0.5), "inside": (0.5, 0.9)})

_WIDE_M, _DEEP_M = WIDTH / PX, HEIGHT / PX
LINE_Y = _DEEP_M / 2
LINE_X = (0.1 * _WIDE_M, 0.9 * _WIDE_M)
_CLEAR_M = 0.5 * HEAD_M
"""So far beyond the line a head is clearly on the other side."""
_PERSONAL_M = 0.55
_POSTS = [(x, LINE_Y, 0.3) for x in LINE_X]
_STEP_S = 1 / 30

Plan = Literal["through", "turn back", "there and back", "wait", "beside"]


@dataclass(slots=True)
class Truth:
    """Judges one true path: from clearly on one side, through the line, to clearly on the other."""

    side: int = 0
    through: int = 0
    t_s: float = 0.0
    _y: float | None = None

    def see(self, x: float, y: float, t_s: float) -> Event | None:
        """Take the next true place; return the crossing that is now clear."""
        before, self._y = self._y, y
        if before is not None and (before < LINE_Y) != (y < LINE_Y):
            if LINE_X[0] <= x <= LINE_X[1]:
                self.through += 1 if y > before else -1
            self.t_s = t_s
        if abs(y - LINE_Y) < _CLEAR_M:
            return None
        side = 1 if y > LINE_Y else -1
        event = None
        if self.side == -side and self.through * side > 0:
            event = Event(self.t_s, "in" if side > 0 else "out")
        self.side, self.through = side, 0
        return event


@dataclass(slots=True)
class Walker:
    """
    One person.

    Attributes:
        x, y: Head, m from the picture's top left corner.
        speed: Usual speed, m/s.
        goals: Places still to go to, m; the last lies outside the picture.
        wait_s: How long to stand at each goal but the last.
    """

    x: float
    y: float
    speed: float
    goals: deque[tuple[float, float]]
    wait_s: float = 0.0
    phase: float = 0.0
    head_m: float = HEAD_M
    height: float = 1.0
    truth: Truth = field(default_factory=Truth)
    _vx: float = 0.0
    _vy: float = 0.0
    _waits_s: float = 0.0

    def walk(self, others: list[Walker], dt_s: float) -> None:
        """Go on towards the next goal for *dt_s*, and step aside for *others*."""
        goal_x, goal_y = self.goals[0]
        dx, dy = goal_x - self.x, goal_y - self.y
        away = math.hypot(dx, dy)
        if away < 0.15 and len(self.goals) > 1:
            self._waits_s += dt_s
            if self._waits_s >= self.wait_s:
                self._waits_s = 0.0
                self.goals.popleft()
        speed = self.speed * min(1.0, away / 0.3) if len(self.goals) > 1 else self.speed
        wanted_x, wanted_y = speed * dx / max(away, 1e-6), speed * dy / max(away, 1e-6)
        for x, y, keep_off in [*((o.x, o.y, _PERSONAL_M) for o in others if o is not self), *_POSTS]:
            gap_x, gap_y = self.x - x, self.y - y
            gap = math.hypot(gap_x, gap_y)
            if gap < keep_off:
                push = 2.5 * (keep_off - gap) / max(gap, 0.02)
                # Each keeps to the right a little, so that two who meet head on don't stop for ever.
                wanted_x += push * (gap_x - 0.4 * gap_y)
                wanted_y += push * (gap_y + 0.4 * gap_x)
        ease = min(1.0, dt_s / 0.25)
        self._vx += ease * (wanted_x - self._vx)
        self._vy += ease * (wanted_y - self._vy)
        self.phase += 2 * math.pi * (0.6 + 0.9 * math.hypot(self._vx, self._vy)) * dt_s
        sway = 0.2 * math.cos(self.phase) * dt_s
        self.x += self._vx * dt_s + sway
        self.y += self._vy * dt_s

    def is_gone(self) -> bool:
        """Tell whether the last goal is reached."""
        return len(self.goals) == 1 and math.dist((self.x, self.y), self.goals[0]) < 0.3


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame's truth: (walker's number, x px, y px, diameter px, height) of each head in the picture."""

    t_s: float
    heads: list[tuple[int, float, float, float, float]]
    crossings: list[Event]


@dataclass(frozen=True, slots=True)
class Traffic:
    """
    What comes to the door.

    Args:
        people: Nobody comes in while so many are in the picture.
        gap_s: Mean time until the next comes when there is room.
        groups: Share of comers who are two to four.
        odd: Share who turn back, wait or pass beside; the rest go through.
        speeds: Slowest and fastest, m/s; None takes people as they are, 0.3 to 3 m/s, most about 1.2.
        waits_s: Shortest and longest time that those stand who wait, s.
    """

    people: int
    gap_s: float = 0.5
    groups: float = 0.25
    odd: float = 0.16
    speeds: tuple[float, float] | None = None
    waits_s: tuple[float, float] = (0.5, 8.0)


class World:
    """The floor and who is on it."""

    def __init__(self, traffic: Traffic, seed: int) -> None:
        self._traffic = traffic
        self._random = random.Random(seed)
        self._walkers: dict[int, Walker] = {}
        self._born = 0
        self._next_s = 0.0
        self.t_s = 0.0

    def moments(self, fps: float, *, uneven: float = 0.15, dropped: float = 0.03) -> Iterator[Moment]:
        """
        Yield frames for ever.

        Args:
            fps: Frames a second, on average before dropping.
            uneven: Standard deviation of the time between two, as a share of it.
            dropped: Share of frames that never come.
        """
        crossings: list[Event] = []
        while True:
            until_s = self.t_s + max(0.2, self._random.gauss(1.0, uneven)) / fps
            while self.t_s < until_s:
                dt_s = min(_STEP_S, until_s - self.t_s)
                self.t_s += dt_s
                crossings += self._step(dt_s)
                if until_s - self.t_s < 1e-6:
                    break
            if self._random.random() >= dropped:
                yield Moment(self.t_s, list(self._in_picture()), crossings)
                crossings = []

    def _step(self, dt_s: float) -> list[Event]:
        if self.t_s >= self._next_s and len(self._walkers) < self._traffic.people:
            self._let_in(self._traffic.people - len(self._walkers))
            self._next_s = self.t_s + self._random.expovariate(1 / self._traffic.gap_s)
        crossings = []
        everyone = list(self._walkers.values())
        for number, walker in list(self._walkers.items()):
            walker.walk(everyone, dt_s)
            event = walker.truth.see(walker.x, walker.y, self.t_s)
            if event is not None:
                crossings.append(event)
            if walker.is_gone():
                del self._walkers[number]
        return crossings

    def _in_picture(self) -> Iterator[tuple[int, float, float, float, float]]:
        for number, walker in self._walkers.items():
            x, y = walker.x * PX, walker.y * PX
            if 0 <= x < WIDTH and 0 <= y < HEIGHT:
                yield number, x, y, walker.head_m * PX, walker.height

    def _let_in(self, room: int) -> None:
        """Send one comer, or a group, to the door; who would start on another's feet waits for the next turn."""
        rnd = self._random
        size = min(room, rnd.randint(2, 4)) if rnd.random() < self._traffic.groups else 1
        top = rnd.random() < 0.5
        plan = self._plan()
        x = rnd.uniform(0.6, _WIDE_M - 0.6)
        speed = self._speed()
        for place in range(size):
            start_x = x + 0.55 * (place - (size - 1) / 2)
            goals = self._goals(plan, start_x, top=top)
            start = (-0.35, goals.popleft()[1]) if plan == "beside" else (start_x, -0.35 if top else _DEEP_M + 0.35)
            if any(math.dist(start, (other.x, other.y)) < 0.35 for other in self._walkers.values()):
                continue
            self._born += 1
            self._walkers[self._born] = Walker(
                *start,
                speed,
                goals,
                wait_s=rnd.uniform(*self._traffic.waits_s) if plan in ("wait", "there and back") else 0.0,
                phase=rnd.uniform(0, 2 * math.pi),
                head_m=HEAD_M * rnd.gauss(1.0, 0.06),
                height=rnd.random(),
            )

    def _plan(self) -> Plan:
        if self._random.random() >= self._traffic.odd:
            return "through"
        return self._random.choice(("turn back", "there and back", "wait", "beside"))

    def _goals(self, plan: Plan, x: float, *, top: bool) -> deque[tuple[float, float]]:
        """Return where a walker goes who comes at *x* from the top or the bottom."""
        rnd = self._random
        near, far = (-0.6, _DEEP_M + 0.6) if top else (_DEEP_M + 0.6, -0.6)
        towards = 1 if top else -1
        away_x = min(_WIDE_M - 0.5, max(0.5, x + rnd.gauss(0, 0.5)))
        match plan:
            case "turn back":
                return deque([(x, LINE_Y - towards * rnd.uniform(0.0, 0.4)), (away_x, near)])
            case "there and back":
                return deque([(x, LINE_Y + towards * rnd.uniform(0.4, 1.0)), (away_x, near)])
            case "wait":
                return deque([(x, LINE_Y + rnd.choice((-1, 1)) * rnd.uniform(0.35, 1.0)), (away_x, far)])
            case "beside":
                y = LINE_Y + rnd.choice((-1, 1)) * rnd.uniform(0.35, 1.0)
                return deque([(0.0, y), (_WIDE_M + 0.6, y)])
            case _:
                return deque([(away_x, far)])

    def _speed(self) -> float:
        if self._traffic.speeds is not None:
            return self._random.uniform(*self._traffic.speeds)
        return min(3.0, max(0.3, self._random.lognormvariate(math.log(1.2), 0.4)))
