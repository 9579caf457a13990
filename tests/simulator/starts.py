"""
Who stood still and sets out again: does the motion gate's pause cost a crossing? `python -m tests.simulator.starts`.

One person after another comes in at a drawn door, stands without a movement until the tracker takes them for a thing,
then goes over the line and out. The gate sees a drawn thumbnail of each frame, with floor, clothes, light and noise
of its own for each person, so that some have next to no contrast; the tracker is given what a detector that errs finds
in the frames that pass. Beside it the same tracker is given every frame.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from edge.evaluation.score import Event
from edge.vision.motion_gate import MotionGate
from edge.vision.thumbnail import COLUMNS, Grey, shape_for, shrink
from tests.simulator.eye import Errors, Eye
from tests.simulator.rivals import Ours
from tests.simulator.walkers import HEAD_M, HEIGHT, LINE_Y, PX, WIDTH, Moment, Truth

SEED = 23
_DEEP_M, _WIDE_M = HEIGHT / PX, WIDTH / PX
_POINTS = 2 * COLUMNS / WIDTH
"""Points of the drawn picture for each px."""
_EASE_S = 0.25
"""Nobody is at their full speed at once."""
_NOISES = 200
_FAINT = 15.0
"""Grey levels; the gate can hardly tell less from noise."""
_AFTER_S = 2.5
"""The door is looked at for so long after the person has left."""


@dataclass(frozen=True, slots=True)
class Start:
    """
    One person's way, m and s: comes in at `edge`, stands at `place`, and leaves over the line in a straight line.

    Attributes:
        side: 1 for somebody who stands towards the picture's bottom, -1 for the top.
        place: Where they stand, x and how far from the line.
        turn: How far they go sideways for each metre forward.
        speed: m/s.
        stands_s: For how long they stand.
    """

    side: int
    place: tuple[float, float]
    turn: float
    speed: float
    stands_s: float

    def path(self, fps: float, rnd: random.Random) -> Iterator[tuple[float, float, float]]:
        """Yield time, x and y, m, of each frame until they are out of the picture."""
        x, away = self.place
        y = LINE_Y + self.side * away
        outside = LINE_Y + self.side * (_DEEP_M / 2 + HEAD_M)
        t_s = 0.0
        comes_s = abs(outside - y) / self.speed
        while t_s < comes_s:
            yield t_s, x, outside + (y - outside) * t_s / comes_s
            t_s += _beat(fps, rnd)
        sets_out_s = comes_s + self.stands_s
        while t_s < sets_out_s:
            yield t_s, x, y
            t_s += _beat(fps, rnd)
        gone, forward = 0.0, -self.side / math.hypot(1, self.turn)
        while -HEAD_M < y < _DEEP_M + HEAD_M:
            going_s = t_s - sets_out_s
            gone = self.speed * (going_s - _EASE_S * (1 - math.exp(-going_s / _EASE_S)))
            y = LINE_Y + self.side * away + forward * gone
            yield t_s, min(max(x + forward * self.turn * gone, 0.5), _WIDE_M - 0.5), y
            t_s += _beat(fps, rnd)


def _beat(fps: float, rnd: random.Random) -> float:
    return max(0.2, rnd.gauss(1.0, 0.15)) / fps


def draw_start(rnd: random.Random) -> Start:
    """Return somebody's way."""
    return Start(
        side=rnd.choice((1, -1)),
        place=(rnd.uniform(1.0, _WIDE_M - 1.0), rnd.uniform(0.35, 1.0)),
        turn=rnd.gauss(0, 0.3),
        speed=min(3.0, max(0.3, rnd.lognormvariate(math.log(1.2), 0.4))),
        stands_s=rnd.uniform(16.0, 19.0),
    )


class Look:
    """
    How the door and one person look to the gate: a textured floor, a head on shoulders, the camera's noise.

    Attributes:
        contrast: By how many grey levels the head or the shoulders, whichever is more, differ from the floor.
    """

    def __init__(self, rnd: random.Random) -> None:
        self._random = np.random.default_rng(rnd.getrandbits(32))
        rows, columns = 2 * shape_for(WIDTH, HEIGHT)[0], 2 * COLUMNS
        level = rnd.uniform(30, 200)
        coarse = self._random.normal(level, rnd.uniform(2, 30), (rows // 10, columns // 10)).astype(np.float32)
        self._floor = np.clip(cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC), 0, 255)
        steps = [rnd.choice((-1, 1)) * rnd.uniform(0, 120) for _ in range(2)]
        self._head, self._body = (min(250.0, max(5.0, level + step)) for step in steps)
        self.contrast = max(abs(self._head - level), abs(self._body - level))
        self._noise = rnd.uniform(0.5, 6)

    def thumbnail(self, x: float, y: float) -> Grey:
        """Return the thumbnail of a picture with the person at *x*, *y*, m."""
        picture = self._floor.copy()
        centre = (round(16 * x * PX * _POINTS), round(16 * y * PX * _POINTS))
        radius = HEAD_M * PX * _POINTS / 2
        for colour, wide, deep in ((self._body, 2.0, 1.2), (self._head, 1.0, 1.0)):
            axes = (round(16 * wide * radius), round(16 * deep * radius))
            cv2.ellipse(picture, centre, axes, 0, 0, 360, colour, -1, cv2.LINE_AA, 4)
        noise = _noises()[self._random.integers(_NOISES)]
        picture = cv2.addWeighted(picture, 1, noise, self._noise, 0, dtype=cv2.CV_8U)
        return shrink(np.asarray(picture, np.uint8), shape_for(WIDTH, HEIGHT))


@cache
def _noises() -> npt.NDArray[np.float32]:
    """Return the noise of as many pictures as are drawn before one comes again, grey levels of a camera with one."""
    shape = (_NOISES, 2 * shape_for(WIDTH, HEIGHT)[0], 2 * COLUMNS)
    return np.random.default_rng(SEED).standard_normal(shape, np.float32)


@dataclass(slots=True)
class Outcome:
    """
    What became of some starts.

    Attributes:
        starts: How many.
        gated, ungated: How many of them were counted as they were, once and in the right direction, with the gate and
            with every frame.
        lost, won: Counted so with every frame alone, and with the gate alone.
        faint: How many of the lost ones differ from the floor by less than 15 grey levels, head and shoulders.
        standing_frames, standing_looks: Frames in which they were taken for a thing and stood, and those that passed.
    """

    starts: int = 0
    gated: int = 0
    ungated: int = 0
    lost: int = 0
    won: int = 0
    faint: int = 0
    standing_frames: int = 0
    standing_looks: int = 0


def run(starts: int, *, first: int = 0, fps: float = 15.0, errors: Errors | None = None, seed: int = SEED) -> Outcome:
    """Let so many people stand and set out. Each has a number, from *first* on; all that is drawn follows from it."""
    outcome = Outcome()
    for number in range(first, first + starts):
        rnd = random.Random(f"{seed} {number}")
        _one(draw_start(rnd), rnd, outcome, fps, errors or Errors(ghosts=0))
    return outcome


def _one(start: Start, rnd: random.Random, outcome: Outcome, fps: float, errors: Errors) -> None:
    look, eye, gate, truth = Look(rnd), Eye(errors, rnd.getrandbits(32)), MotionGate(), Truth()
    gated, ungated = Ours(fps), Ours(fps)
    true: list[Event] = []
    counts: tuple[list[Event], list[Event]] = ([], [])
    path = list(start.path(fps, rnd))
    last_s = path[-1][0]
    path += [(last_s + n / fps, -1.0, -1.0) for n in range(1, round(_AFTER_S * fps))]
    before = (-1.0, -1.0)
    for t_s, x, y in path:
        here = [(1, x * PX, y * PX, HEAD_M * PX, 0.5)] if 0 <= y * PX < HEIGHT and x >= 0 else []
        if here and (event := truth.see(x, y, t_s)) is not None:
            true.append(event)
        heads = eye.look(Moment(t_s, here, []))
        followed, standing = bool(gated.tracker.tracks), gated.tracker.all_static
        passes = gate.passes(look.thumbnail(x, y), 1000 * t_s, followed=followed, standing=standing)
        if followed and standing and (x, y) == before:
            outcome.standing_frames += 1
            outcome.standing_looks += passes
        before = (x, y)
        if passes:
            counts[0].extend(gated.look(heads, t_s))
        counts[1].extend(ungated.look(heads, t_s))
    right = [[event.direction for event in counted] == [event.direction for event in true] for counted in counts]
    outcome.starts += 1
    outcome.gated += right[0]
    outcome.ungated += right[1]
    outcome.lost += right[1] and not right[0]
    outcome.won += right[0] and not right[1]
    outcome.faint += right[1] and not right[0] and look.contrast < _FAINT


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator.starts", description=__doc__)
    parser.add_argument("--starts", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first, to share the work (default 0)")
    parser.add_argument("--fps", type=float, default=15.0)
    options = parser.parse_args()
    outcome = run(options.starts, first=options.first, fps=options.fps)
    print(", ".join(f"{field.name} {getattr(outcome, field.name)}" for field in fields(outcome)))


if __name__ == "__main__":
    main()
