"""
A detector that errs as asked: turns true heads into the Heads that the tracker is given.

It misses in short runs as real ones do, puts heads beside their place, takes two heads that touch for one, sees heads
where there are none (anywhere, on shoulders, and always again at the same few places), and is less sure of some.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np

from edge.vision.scene import NO_HEADS, Heads
from tests.simulator.walkers import HEIGHT, WIDTH, Moment

STRONG, WEAK = 0.5, 0.25


@dataclass(frozen=True, slots=True)
class Errors:
    """
    How the detector errs.

    Args:
        recall: Share of heads in the picture that are found.
        run_s: Mean length of a run of misses; frames are missed one by one where this is 0.
        jitter: Standard deviation of the centre, head diameters.
        size: Standard deviation of the diameter's logarithm.
        weak: Share of the found ones whose score is weak.
        false: False heads a frame, anywhere.
        shoulder: Share of heads beside which a false one is seen.
        ghosts: Places where a false head is seen most of the time: a mannequin, a lamp.
    """

    recall: float = 0.9
    run_s: float = 0.12
    jitter: float = 0.08
    size: float = 0.08
    weak: float = 0.12
    false: float = 0.03
    shoulder: float = 0.01
    ghosts: int = 1


class Eye:
    """Sees one world, with its own randomness."""

    def __init__(self, errors: Errors, seed: int) -> None:
        self._errors = errors
        self._random = random.Random(seed)
        self._missing: dict[int, bool] = {}
        self._t_s = 0.0
        self._ghosts = [(self._random.uniform(0, WIDTH), self._random.uniform(0, HEIGHT)) for _ in range(errors.ghosts)]

    def look(self, moment: Moment) -> Heads:
        """Return what is seen of *moment*."""
        errors, rnd = self._errors, self._random
        dt_s, self._t_s = moment.t_s - self._t_s, moment.t_s
        found: list[tuple[float, float, float, float]] = []
        missing: dict[int, bool] = {}
        for number, x, y, diameter, height in moment.heads:
            missing[number] = self._misses(self._missing.get(number), dt_s)
            if not missing[number]:
                found.append((height, *self._blur(x, y, diameter)))
            if rnd.random() < errors.shoulder:
                angle = rnd.uniform(0, 2 * math.pi)
                found.append(
                    (0.0, *self._blur(x + diameter * math.cos(angle), y + diameter * math.sin(angle), diameter))
                )
        self._missing = missing
        for x, y in self._ghosts:
            if rnd.random() < 0.7:
                found.append((0.0, *self._blur(x, y, 36.0)))
        while rnd.random() < errors.false:
            found.append((0.0, rnd.uniform(0, WIDTH), rnd.uniform(0, HEIGHT), rnd.uniform(20, 50)))
        return self._heads(found)

    def _misses(self, before: bool | None, dt_s: float) -> bool:
        """Tell whether a head is missed now: a chain of two states whose share and mean run are as asked."""
        share = 1 - self._errors.recall
        if before is None or self._errors.run_s <= 0:
            return self._random.random() < share
        stays = math.exp(-dt_s / self._errors.run_s)
        chance = stays + (1 - stays) * share if before else (1 - stays) * share
        return self._random.random() < chance

    def _blur(self, x: float, y: float, diameter: float) -> tuple[float, float, float]:
        errors, rnd = self._errors, self._random
        return (
            x + rnd.gauss(0, errors.jitter * diameter),
            y + rnd.gauss(0, errors.jitter * diameter),
            diameter * math.exp(rnd.gauss(0, errors.size)),
        )

    def _heads(self, found: list[tuple[float, float, float, float]]) -> Heads:
        """Drop, of two that lie on each other, the lower; give each a score."""
        kept: list[tuple[float, float, float]] = []
        for _, x, y, diameter in sorted(found, reverse=True):
            inside = 0 <= x < WIDTH and 0 <= y < HEIGHT
            if inside and all(math.dist((x, y), (kx, ky)) >= 0.5 * max(diameter, kd) for kx, ky, kd in kept):
                kept.append((x, y, diameter))
        if not kept:
            return NO_HEADS
        rows = np.array(kept, np.float32)
        scores = [
            self._random.uniform(*((WEAK, STRONG) if self._random.random() < self._errors.weak else (STRONG, 1.0)))
            for _ in kept
        ]
        return Heads(rows[:, :2], rows[:, 2], np.array(scores, np.float32))
