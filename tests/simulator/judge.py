"""Run counters over the same simulated traffic and score them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.evaluation.score import Event, Score, score
from edge.vision.tracking.settings import SETTINGS, TrackingSettings
from tests.simulator.eye import Errors, Eye
from tests.simulator.rivals import Ours, Rival
from tests.simulator.walkers import HEIGHT, Traffic, World

_LAST_S = 10.0
"""After the last frame nobody's crossing is half seen: the world runs on a little with nobody judged."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What one counter made of one stretch of traffic.

    Attributes:
        people: Mean number of heads truly in the picture while there were any.
        frame_ms: Mean processor time it took for a frame, ms.
    """

    name: str
    score: Score
    people: float
    frame_ms: float


def run(
    traffic: Traffic,
    errors: Errors,
    *,
    fps: float,
    crossings: int,
    seed: int,
    rivals: Sequence[Callable[[float], Rival]] = (),
    height: int = HEIGHT,
    settings: TrackingSettings = SETTINGS,
) -> list[Outcome]:
    """
    Let *rivals*, or ours alone, count the same traffic until it has made so many true *crossings*.

    The picture is *height* px high, of which ours alone is told, as of the *settings*.
    """
    world, eye = World(traffic, seed), Eye(errors, seed + 1, height)
    counters: list[Rival] = [make(fps) for make in rivals] or [Ours(fps, height, settings, errors.strong)]
    counted: list[list[Event]] = [[] for _ in counters]
    spent_s = [0.0] * len(counters)
    true: list[Event] = []
    frames = busy = people = 0
    end_s = float("inf")
    for moment in world.moments(fps):
        heads = eye.look(moment)
        true += moment.crossings
        frames += 1
        busy += bool(moment.heads)
        people += len(moment.heads)
        for index, counter in enumerate(counters):
            began_s = time.thread_time()
            counted[index] += counter.look(heads, moment.t_s)
            spent_s[index] += time.thread_time() - began_s
        if len(true) >= crossings:
            end_s = min(end_s, moment.t_s)
        if moment.t_s > end_s + _LAST_S:
            break
    return [
        Outcome(
            counter.name,
            _score_until(counted[index], true, end_s),
            people / max(1, busy),
            1000 * spent_s[index] / frames,
        )
        for index, counter in enumerate(counters)
    ]


def _score_until(counted: list[Event], true: list[Event], end_s: float) -> Score:
    """Score what was over before *end_s*; an event near it may have its partner a little later."""
    quiet_s = end_s
    return score([e for e in counted if e.t_s <= quiet_s], [e for e in true if e.t_s <= quiet_s])
