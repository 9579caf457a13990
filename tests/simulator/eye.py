"""
A detector that errs as asked: turns true heads into the Heads that the tracker is given.

Its errors last, as those of real detectors do: it misses a head for several frames, sees one twice, or a shoulder
beside it, and goes on doing so for a while. It also puts heads beside their place, takes two that touch for one, finds
those that the picture's edge cuts less often and less exactly, is less sure of some, and sees heads where there are
none: anywhere, and always again at the same few places.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge.vision.scene import NO_HEADS, Heads
from tests.simulator.walkers import HEIGHT, LINE_Y, PX, WIDTH, Moment

STRONG, WEAK = 0.5, 0.25
_SAME_HEAD = 0.5
"""As the detector does: of two heads nearer to each other than this, diameters, the lower is dropped."""
_DOUBLE = (0.5, 0.8)
_SHOULDER = (0.8, 1.3)
"""How far the second peak of one head, and a shoulder taken for a head, are from the head's middle, diameters."""
_GHOST_SEEN = 0.7
"""Share of the frames in which a lamp is taken for a head."""
_EVEN = 21
"""Quantiles are kept in so many even steps."""
MEASURED = Path(__file__).parents[2] / "models" / "training" / "detector_errors.json"
_DIMNESS = 0.35
"""Spread of the logarithm of how much less sure they are than heads."""


@dataclass(frozen=True, slots=True)
class Errors:
    """
    How the detector errs.

    Args:
        recall: Share of heads that are found, where nothing makes it harder.
        run_s: Time constant of misses, s; frames are missed one by one where this is 0.
        edge: Share of heads missed whose centre is at the picture's edge; none more half a head inside.
        strip: Share of heads missed on the line and half a metre around, as in a door's shadow.
        jitter: Standard deviation of the centre, head diameters.
        size: Standard deviation of the diameter's logarithm.
        weak: Share of the found ones whose score is weak.
        double, shoulder: Shares of heads with such a false one beside them; it stays `beside_s` on average.
        dim: How sure those are, as a share of how sure heads are (median). On the training's validation pictures
            0.65, with one beside 15 % of the heads; there all is harder than at most doors.
        false: False heads a frame, anywhere.
        ghosts: Places where a false head is seen most of the time: a mannequin, a lamp.
        strong: Score from which a head may begin a track.
        scores, part_scores, false_scores: Evenly spaced quantiles of the scores of heads, of parts beside them, and of
            false heads; imagined where empty.
        part_away: Quantiles of how far parts are from their head's middle, diameters; imagined where empty.
        noise: (score up to which, jitter, size) of heads by their score; the same for all where empty.
    """

    recall: float = 0.9
    run_s: float = 0.12
    edge: float = 0.4
    strip: float = 0.0
    jitter: float = 0.08
    size: float = 0.08
    weak: float = 0.12
    double: float = 0.01
    shoulder: float = 0.02
    dim: float = 1.0
    beside_s: float = 0.4
    false: float = 0.03
    ghosts: int = 1
    strong: float = STRONG
    scores: tuple[float, ...] = ()
    part_scores: tuple[float, ...] = ()
    false_scores: tuple[float, ...] = ()
    part_away: tuple[float, ...] = ()
    noise: tuple[tuple[float, float, float], ...] = ()


def measured(path: Path = MEASURED) -> Errors:
    """
    Return the errors that the shipped detector makes on rendered doors, as models/training/fit_tracking.py found them.

    Rates are those of the median door, scores those of all doors.
    """
    report = json.loads(path.read_text(encoding="utf-8"))
    even, typical = np.linspace(0, 1, _EVEN), report["typical"]

    def quantiles(name: str) -> tuple[float, ...]:
        return tuple(np.interp(even, report["quantiles"], report[name]).tolist())

    bands = zip(report["position_noise_by_score"], report["size_noise_by_score"], strict=True)
    return Errors(
        recall=1 - typical["missed"],
        run_s=typical["miss_run_s"],
        edge=typical["missed_at_border"],
        jitter=typical["position_noise"],
        size=typical["size_noise"],
        weak=0.0,
        double=0.0,
        shoulder=typical["part_share"],
        beside_s=typical["part_run_s"],
        false=typical["clutter_a_frame"],
        ghosts=round(typical["static_clutter_a_frame"] / _GHOST_SEEN),
        strong=report["thresholds"][0],
        scores=quantiles("scores_of_heads"),
        part_scores=quantiles("scores_of_parts"),
        false_scores=quantiles("scores_of_clutter"),
        part_away=quantiles("part_distance"),
        noise=tuple((place["to"], place["noise"], size["noise"]) for place, size in bands),
    )


_Found = tuple[float, float, float, float, float]
"""Height above the floor (0 for what is no head), score, x, y, diameter."""


@dataclass(slots=True)
class _Seen:
    """How one walker is being seen: which errors are under way, and where the false head beside it is."""

    missed: bool = False
    double: bool = False
    shoulder: bool = False
    beside: dict[tuple[float, float], tuple[float, float, float]] = field(default_factory=dict)


class Eye:
    """
    Sees one world, with its own randomness.

    Args:
        height: Of its picture, px; what lies below isn't in it.
    """

    def __init__(self, errors: Errors, seed: int, height: float = HEIGHT) -> None:
        self._errors, self._height = errors, height
        self._random = random.Random(seed)
        self._seen: dict[int, _Seen] = {}
        self._t_s = 0.0
        self._ghosts = [(self._random.uniform(0, WIDTH), self._random.uniform(0, height)) for _ in range(errors.ghosts)]

    def look(self, moment: Moment) -> Heads:
        """Return what is seen of *moment*."""
        errors, rnd = self._errors, self._random
        dt_s, self._t_s = moment.t_s - self._t_s, moment.t_s
        found: list[_Found] = []
        seen: dict[int, _Seen] = {}
        for number, x, y, diameter, height in moment.heads:
            if y >= self._height:
                continue
            old = self._seen.get(number)
            now = seen[number] = _Seen(beside=old.beside if old else {})
            now.missed = self._lasts(old.missed if old else None, 1 - errors.recall, errors.run_s, dt_s)
            now.double = self._lasts(old.double if old else None, errors.double, errors.beside_s, dt_s)
            now.shoulder = self._lasts(old.shoulder if old else None, errors.shoulder, errors.beside_s, dt_s)
            cut = self._cut(x, y, diameter)
            if not (now.missed or rnd.random() < errors.edge * cut or rnd.random() < errors.strip * _in_strip(y)):
                score = self._score()
                found.append((height, score, *self._blur(*self._pulled_in(x, y, diameter, cut), score)))
            for there, where in ((now.double, _DOUBLE), (now.shoulder, _SHOULDER)):
                if there:
                    dx, dy, dim = now.beside.setdefault(where, self._beside(where))
                    score = rnd.choice(errors.part_scores) if errors.part_scores else dim * self._score()
                    found.append((0.0, score, *self._blur(x + dx * diameter, y + dy * diameter, diameter, score)))
                else:
                    now.beside.pop(where, None)
        self._seen = seen
        for x, y in self._ghosts:
            if rnd.random() < _GHOST_SEEN:
                score = self._false_score()
                found.append((0.0, score, *self._blur(x, y, 36.0, score)))
        while rnd.random() < errors.false:
            place = rnd.uniform(0, WIDTH), rnd.uniform(0, self._height), rnd.uniform(20, 50)
            found.append((0.0, self._false_score(), *place))
        return self._heads(found)

    def _lasts(self, before: bool | None, share: float, run_s: float, dt_s: float) -> bool:
        """Tell whether an error is there now: a chain of two states, forgotten with a time constant of *run_s*."""
        if before is None or run_s <= 0:
            return self._random.random() < share
        stays = math.exp(-dt_s / run_s)
        return self._random.random() < (stays if before else 0.0) + (1 - stays) * share

    def _beside(self, where: tuple[float, float]) -> tuple[float, float, float]:
        """Return where a false head is beside a head, diameters, and how sure it is, as a share of the head."""
        errors, rnd = self._errors, self._random
        angle, away = rnd.uniform(0, 2 * math.pi), rnd.uniform(*where)
        if errors.part_away:
            away = rnd.choice(errors.part_away)
        dim = errors.dim * math.exp(rnd.gauss(0, _DIMNESS)) if errors.dim < 1 else 1.0
        return away * math.cos(angle), away * math.sin(angle), dim

    def _blur(self, x: float, y: float, diameter: float, score: float) -> tuple[float, float, float]:
        errors, rnd = self._errors, self._random
        bands = (band[1:] for band in errors.noise if score < band[0])
        jitter, size = next(bands, (errors.jitter, errors.size))
        return (
            x + rnd.gauss(0, jitter * diameter),
            y + rnd.gauss(0, jitter * diameter),
            diameter * math.exp(rnd.gauss(0, size)),
        )

    def _heads(self, found: list[_Found]) -> Heads:
        """Drop, of two that lie on each other, the lower; give each a score."""
        kept: list[tuple[float, float, float, float]] = []
        for _, score, x, y, diameter in sorted(found, reverse=True):
            inside = 0 <= x < WIDTH and 0 <= y < self._height
            if inside and all(math.dist((x, y), (kx, ky)) >= _SAME_HEAD * max(diameter, kd) for kx, ky, kd, _ in kept):
                kept.append((x, y, diameter, score))
        rows = np.array(
            [(x, y, diameter, min(1.0, score)) for x, y, diameter, score in kept if score >= WEAK], np.float32
        )
        return Heads(rows[:, :2], rows[:, 2], rows[:, 3]) if len(rows) else NO_HEADS

    def _cut(self, x: float, y: float, diameter: float) -> float:
        """Return how much of a head the edge cuts off: 1 where its centre is at the edge, 0 where it is whole."""
        return max(0.0, 1 - min(x, y, WIDTH - x, self._height - y) / (diameter / 2))

    def _pulled_in(self, x: float, y: float, diameter: float, cut: float) -> tuple[float, float, float]:
        """Return the middle and the size of what is left of a head that the edge cuts."""
        if not cut:
            return x, y, diameter
        least = diameter / 4 * (1 + (1 - cut))
        return (
            min(max(x, least), WIDTH - least),
            min(max(y, least), self._height - least),
            diameter * (1 - 0.25 * cut),
        )

    def _false_score(self) -> float:
        return self._random.choice(self._errors.false_scores) if self._errors.false_scores else self._score()

    def _score(self) -> float:
        rnd = self._random
        if self._errors.scores:
            return rnd.choice(self._errors.scores)
        return rnd.uniform(*((WEAK, STRONG) if rnd.random() < self._errors.weak else (STRONG, 1.0)))


def _in_strip(y: float) -> bool:
    return abs(y - LINE_Y * PX) < PX / 2
