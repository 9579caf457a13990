"""
The traps in which other counters fell, one test each: from what a detector says to what is counted.

Those of the camera, the config and the broker stand beside their own modules' tests.
"""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from edge.evaluation.score import Event
from edge.vision.scene import NO_HEADS, Heads
from tests.simulator.__main__ import below_line
from tests.simulator.eye import WEAK, Errors
from tests.simulator.judge import Outcome, run
from tests.simulator.rivals import Ours
from tests.simulator.walkers import HEIGHT, WIDTH, Traffic

pytestmark = pytest.mark.no_cover
"""Thousands of steps of a few modules that others cover: they take three times as long when each line is noted."""

HEAD = 37.0
FPS = 10.0
FLAWLESS = Errors(recall=1.0, run_s=0.0, jitter=0.03, size=0.02, weak=0.0, false=0.0, shoulder=0.0, ghosts=0)

Path = list[tuple[float, float] | None]


def count(*paths: Path, fps: float = FPS, jitter: float = 0.0, seed: int = 0) -> list[str]:
    """Show a counter the heads of people on *paths*, a place or None for each frame, and return what it counts."""
    ours, rnd = Ours(fps), random.Random(seed)
    counted: list[str] = []
    for index in range(max(map(len, paths))):
        places = [
            (path[index][0] + rnd.gauss(0, jitter * HEAD), path[index][1] + rnd.gauss(0, jitter * HEAD))  # type: ignore[index]
            for path in paths
            if index < len(path) and path[index] is not None
        ]
        seen = NO_HEADS
        if places:
            size = len(places)
            seen = Heads(np.array(places, np.float32), np.full(size, HEAD, np.float32), np.full(size, 0.9, np.float32))
        counted += [event.direction for event in ours.look(seen, index / fps)]
    return counted


def walk(*places: tuple[float, float], speed: float = 1.2, fps: float = FPS) -> Path:
    """Return a walk from place to place, px, at *speed* in m/s."""
    step = speed * 160 / fps
    path: Path = [places[0]]
    for (x1, y1), (x2, y2) in pairwise(places):
        steps = max(1, round(np.hypot(x2 - x1, y2 - y1) / step))
        path += [(x1 + (x2 - x1) * i / steps, y1 + (y2 - y1) * i / steps) for i in range(1, steps + 1)]
    return path


def test_round_the_end_of_the_line() -> None:
    """Who walks round the line's end isn't counted, to and fro."""
    assert count(walk((30, 40), (30, 440), (30, 40))) == []


@pytest.mark.parametrize("seed", range(20))
def test_standing_on_the_line(seed: int) -> None:
    """Who stands on the line for a minute, trembling as detections do, counts once when walking on and not before."""
    stand: Path = [(320.0, 240.0)] * 600
    path = walk((320, 20), (320, 240)) + stand + walk((320, 240), (320, 460))

    assert count(path, jitter=0.08, seed=seed) == ["in"]


def past_a_lamp(rnd: random.Random) -> tuple[Path, Path, Path]:
    """Return where a lamp near the line is seen, and heads and shoulders of 25 who go in past it and 25 who go out."""
    lamp = (320.0, 240 + rnd.uniform(-2, 2) * HEAD)
    lamps: Path = [lamp] * 200
    heads: Path = [None] * 200
    shoulders: Path = [None] * 200
    for way in (1, -1) * 25:
        x, step = 320 + rnd.uniform(-1.2, 1.2) * HEAD, rnd.uniform(0.5, 2.5) * 160 / FPS
        dx, dy = rnd.choice((-1, 1)) * rnd.uniform(0.8, 1.3) * HEAD, rnd.uniform(-0.5, 0.5) * HEAD
        begins = rnd.uniform(10, 470)
        for y in np.arange(10, 470, step).tolist()[::way]:
            beside = begins - 70 < y < begins + 70
            hidden = np.hypot(x - lamp[0], y - lamp[1]) < HEAD / 2
            lamps.append(None if hidden or rnd.random() < 0.3 else lamp)
            heads.append(None if rnd.random() < 0.1 else (x, y))
            shoulders.append((x + dx, y + dy) if beside and heads[-1] else None)
        lamps += [lamp] * 25
        heads += [None] * 25
        shoulders += [None] * 25
    return lamps, heads, shoulders


@pytest.mark.slow
def test_lamps_at_the_line() -> None:
    """Of a thousand who pass lamps at the line, with shoulders taken for heads, 1.5 % at most count wrongly."""
    wrong = 0
    for seed in range(20):
        counted = count(*past_a_lamp(random.Random(seed)), jitter=0.08, seed=seed)
        wrong += abs(counted.count("in") - 25) + abs(counted.count("out") - 25)
    print(f"{wrong} of 1000")

    assert wrong <= 15


@pytest.mark.parametrize("apex", [200, 225, 240, 250])
def test_turn_back(apex: float) -> None:
    """Who touches the line and turns back counts nothing."""
    assert count(walk((320, 20), (320, apex), (320, 20))) == []


def test_there_and_back() -> None:
    """Who goes in and comes back out counts one in and one out."""
    assert count(walk((320, 20), (320, 400), (320, 20))) == ["in", "out"]


@pytest.mark.parametrize("lost_at", range(180, 301, 10))
@pytest.mark.parametrize("missed", [3, 6, 9])
def test_lost_at_the_line(lost_at: float, missed: int) -> None:
    """A head that the detector loses at the line and finds again beyond it counts once, not twice, and not never."""
    path = walk((320, 20), (320, 460))
    first = next(index for index, place in enumerate(path) if place and place[1] >= lost_at)
    path[first : first + missed] = [None] * missed

    assert count(path) == ["in"]


def test_identity_changes_at_the_line() -> None:
    """Two who meet on the line and turn round count nothing, or as two who passed, never as one way."""
    down = walk((300, 20), (300, 225), (300, 20))
    up = walk((330, 460), (330, 255), (330, 460))

    assert sorted(count(down, up)) in ([], ["in", "out"])


def test_state_of_the_dead() -> None:
    """After a thousand visitors neither tracker nor line remembers any of them."""
    ours = Ours(FPS)
    for visitor in range(1000):
        for index in range(8):
            seen = Heads(np.array([[320, 100 + 40 * index]], np.float32), np.full(1, HEAD), np.full(1, 0.9))
            ours.look(seen, 20 * visitor + index / FPS)
    for index in range(40):
        ours.look(NO_HEADS, 20_000 + index / FPS)

    assert not ours.tracker.tracks
    assert not ours.counter.histories


def test_side_by_side() -> None:
    """Two who go in side by side, shoulder to shoulder (0.4 m from head to head), are two."""
    assert count(walk((290, 20), (290, 460)), walk((354, 20), (354, 460))) == ["in", "in"]


@pytest.mark.parametrize("speed", [0.4, 1.2])
def test_pressed_together(speed: float) -> None:
    """Two heads that go over together, no farther apart than a head and its shoulder, count once."""
    assert count(walk((300, 20), (300, 460), speed=speed), walk((346, 20), (346, 460), speed=speed)) == ["in"]


@pytest.mark.parametrize("angle", range(0, 360, 45))
@pytest.mark.parametrize("away", [0.7, 1.0, 1.3])
def test_shoulder_that_comes_along(angle: int, away: float) -> None:
    """A shoulder taken for a second head for a second and a half, right over the line, doesn't count."""
    body = walk((320, 20), (320, 460))
    dx, dy = away * HEAD * np.cos(np.radians(angle)), away * HEAD * np.sin(np.radians(angle))
    shoulder: Path = [
        (place[0] + dx, place[1] + dy) if place and 3 <= index < 18 else None for index, place in enumerate(body)
    ]

    assert count(body, shoulder) == ["in"]


@pytest.mark.parametrize("first", [1, 4])
def test_shoulder_seen_before_its_head(first: int) -> None:
    """A shoulder that is found before the head it belongs to, and lost later, is still one person with it."""
    body = walk((320, 20), (320, 460))
    head: Path = [place if index >= first else None for index, place in enumerate(body)]
    shoulder: Path = [
        (place[0] + 0.9 * HEAD, place[1] - 0.3 * HEAD) if place and index < 14 else None
        for index, place in enumerate(body)
    ]

    assert count(head, shoulder) == ["in"]


@pytest.mark.parametrize("offset", [0.55, 0.75])
def test_one_head_seen_twice(offset: float) -> None:
    """A second peak on a head, now and then, counts nothing."""
    rnd = random.Random(7)
    body = walk((320, 20), (320, 460))
    second: Path = [
        (place[0] + offset * HEAD, place[1] + 3) if place and rnd.random() < 0.4 else None for place in body
    ]

    assert count(body, second, jitter=0.05) == ["in"]


def test_opposite_ways_at_once() -> None:
    """One in and one out at the same moment are counted as such."""
    assert sorted(count(walk((290, 20), (290, 460)), walk((340, 460), (340, 20)))) == ["in", "out"]


def test_close_behind_each_other() -> None:
    """Three in a queue, two heads apart, are three."""
    queue = [walk((320, 20 - 75 * place), (320, 460)) for place in range(3)]

    assert count(*[[place if place and place[1] >= 0 else None for place in path] for path in queue]) == ["in"] * 3


@pytest.mark.parametrize(("fps", "speed"), [(5.0, 2.5), (8.0, 3.0), (10.0, 3.0), (15.0, 3.0), (30.0, 3.0), (5.0, 0.3)])
def test_fast_walker_at_low_fps(fps: float, speed: float) -> None:
    """A runner at 10 fps, and a brisk walker at 5, are counted."""
    assert count(walk((320, 10), (320, 470), speed=speed, fps=fps), fps=fps) == ["in"]
    assert count(walk((320, 470), (320, 10), speed=speed, fps=fps), fps=fps) == ["out"]


@pytest.mark.parametrize("place", [(320.0, 240.0), (320.0, 228.0), (320.0, 262.0)])
def test_mannequin(place: tuple[float, float]) -> None:
    """A head that never moves, seen on and off for an hour, counts nothing, also on the line."""
    rnd = random.Random(3)
    path: Path = [place if rnd.random() < 0.7 else None for _ in range(36_000 // 10)]

    assert count(path, jitter=0.08) == []


@pytest.mark.parametrize("seed", range(10))
def test_rain_of_false_heads(seed: int) -> None:
    """A false head in every other frame, anywhere, for a minute, as from a screen or a mirror, counts nothing."""
    rng = np.random.default_rng(seed)
    ours = Ours(FPS)
    counted: list[Event] = []
    for index in range(600):
        size = rng.poisson(0.5)
        centres = (rng.random((size, 2)) * (WIDTH, HEIGHT)).astype(np.float32)
        diameters = rng.uniform(20, 50, size).astype(np.float32)
        counted += ours.look(Heads(centres, diameters, rng.uniform(WEAK, 1, size).astype(np.float32)), index / FPS)

    assert counted == []


def test_mirror() -> None:
    """Whoever is also seen in a mirror beside the door, walking the other way, counts once."""
    body = walk((320, 20), (320, 460))
    mirrored: Path = [(560.0, 20 + 0.4 * (480 - place[1])) if place else None for place in body]

    assert count(body, mirrored) == ["in"]


def test_screen() -> None:
    """Heads on a screen beside the line, that come and go and never cross it, count nothing in ten minutes."""
    rnd = random.Random(5)
    shown: Path = []
    while len(shown) < 6000:
        x, y = rnd.uniform(460, 600), rnd.uniform(30, 180)
        shown += [(x + rnd.gauss(0, 2), y + rnd.gauss(0, 2)) for _ in range(rnd.randint(3, 60))]
        shown += [None] * rnd.randint(0, 10)

    assert count(shown) == []


@pytest.mark.parametrize("missed", [0, 4])
def test_moment_of_crossing(missed: int) -> None:
    """A crossing's time is when the head was on the line, also when that was confirmed only half a second later."""
    ours, path = Ours(FPS), walk((320, 20), (320, 460), speed=0.9)
    passed = next(index for index, place in enumerate(path) if place and place[1] >= HEIGHT / 2)
    counted: list[tuple[Event, float]] = []
    for index, place in enumerate(path):
        unseen = place is None or passed - 1 <= index < passed - 1 + missed
        seen = NO_HEADS if unseen else Heads(np.array([place], np.float32), np.full(1, HEAD), np.full(1, 0.9))
        counted += [(event, index / FPS) for event in ours.look(seen, index / FPS)]
    ((event, told_s),) = counted

    assert told_s > event.t_s
    assert event.t_s == pytest.approx(passed / FPS, abs=0.15)


@pytest.mark.parametrize(("fps", "recall"), [(5.0, 0.8), (10.0, 0.95)])
def test_heads_missed_in_a_shadow_at_the_door(fps: float, recall: float) -> None:
    """Where half of the heads around the line are missed, most crossings still count, and hardly one twice."""
    outcome = simulate(Traffic(4, odd=0.0), Errors(strip=0.5), fps=fps, crossings=200)

    assert outcome.score.recall >= recall
    assert outcome.score.precision >= 0.98


def test_no_heads() -> None:
    """An hour without heads is an hour without crossings, and keeps nothing alive."""
    ours = Ours(FPS)

    assert [ours.look(NO_HEADS, index / FPS) for index in range(36_000)] == [[]] * 36_000
    assert not ours.tracker.tracks


def simulate(
    traffic: Traffic, errors: Errors, *, fps: float, crossings: int, seed: int = 11, height: int = HEIGHT
) -> Outcome:
    (outcome,) = run(traffic, errors, fps=fps, crossings=crossings, seed=seed, height=height)
    print(f"seed {seed}: {outcome}")
    return outcome


@pytest.mark.parametrize("fps", [10.0, 15.0, 30.0])
@pytest.mark.parametrize("people", [1, 4])
def test_flawless_detector(fps: float, people: int) -> None:
    """With a detector that never errs, every true crossing is counted, once, the right way, at the right second."""
    outcome = simulate(Traffic(people), FLAWLESS, fps=fps, crossings=60)

    assert outcome.score.errors == ()
    assert outcome.score.f1 == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_six_people_and_a_detector_that_misses_one_in_ten(seed: int) -> None:
    """At 10 fps, recall 0.9 and up to six people in view, F1 is at least 0.98 on any 250 crossings (0.99 on 10,000)."""
    outcome = simulate(Traffic(6, gap_s=0.25), Errors(recall=0.9), fps=10, crossings=250, seed=seed)

    assert outcome.score.f1 >= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("recall", [0.7, 0.9])
def test_single_walkers_are_never_counted_twice(recall: float) -> None:
    """No single walker is counted twice, whatever the detector misses (300 here; 10,000 in docs/accuracy.md)."""
    outcome = simulate(Traffic(1, groups=0), Errors(recall=recall), fps=10, crossings=300)

    assert outcome.score.count("double") == 0
    assert outcome.score.count("wrong way") == 0


@pytest.mark.parametrize("speeds", [(0.3, 0.5), (2.5, 3.0)])
def test_slow_and_fast(speeds: tuple[float, float]) -> None:
    """Those who creep and those who run are counted alike."""
    outcome = simulate(Traffic(2, speeds=speeds, odd=0.0), Errors(recall=0.95), fps=10, crossings=100)

    assert outcome.score.f1 >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("diameters", [1.0, 1.5])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_line_near_the_edge(diameters: float, seed: int) -> None:
    """A line a head or so from the picture's edge counts who is hardly seen beyond it, going out and coming in."""
    outcome = simulate(Traffic(2), Errors(), fps=10, crossings=200, seed=seed, height=below_line(diameters))

    assert outcome.score.f1 >= 0.93
    assert outcome.score.count("wrong way") == 0
