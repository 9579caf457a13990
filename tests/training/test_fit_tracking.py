"""What is measured on rendered doors: errors that were put in come out again."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from edge.core import head_model
from models.training.fit_tracking import FPS, DoorHeads, Gathered, chain, gather, report
from tests.simulator.eye import MEASURED, measured

HEAD = 30.0


def door(seed: int, jitter: float = 0.06, missed: float = 0.2, parts: float = 0.3) -> DoorHeads:
    """Return three people who stand still for a minute, found with the given errors, and a lamp."""
    rng = np.random.default_rng(seed)
    frames = 60 * FPS
    true, found = [], []
    for index in range(frames):
        for number, x in enumerate((80.0, 180.0, 300.0), 1):
            true.append((index, number, x, 150, HEAD, 1.0))
            if rng.random() < missed:
                continue
            dx, dy = rng.normal(0, jitter * HEAD, 2)
            found.append((index, x + dx, 150 + dy, HEAD * np.exp(rng.normal(0, 0.1)), rng.uniform(0.5, 0.9)))
            if rng.random() < parts:
                found.append((index, x, 150 + 1.2 * HEAD, HEAD, 0.4))
        found.append((index, 330.0, 30.0, HEAD, 0.3))
    rows = np.array(true, np.float32), np.array(found, np.float32)
    return DoorHeads((384, 288), np.arange(frames) * 1000 / FPS, *rows)


def test_errors_that_were_put_in_come_out() -> None:
    """Recall, jitter, sizes, parts and a lamp are measured as they are."""
    gathered = Gathered()
    gather(door(3), 0.25, gathered)
    made = report(gathered, head_model.read())

    assert made["missed"] == pytest.approx(0.2, abs=0.02)
    assert made["position_noise"] == pytest.approx(0.06, rel=0.1)
    assert made["size_noise"] == pytest.approx(0.1, rel=0.1)
    assert made["part_share"] == pytest.approx(0.3, abs=0.03)
    assert made["static_clutter_a_frame"] == pytest.approx(1, abs=0.05)
    assert made["clutter_a_frame"] == pytest.approx(0, abs=0.05)
    assert made["scores_of_parts"][0] == pytest.approx(0.4, abs=1e-3)


def test_the_same_doors_give_the_same_report() -> None:
    """Nothing in the measurement is random."""
    made = []
    for _ in range(2):
        gathered = Gathered()
        gather(door(5), 0.25, gathered)
        made.append(report(gathered, head_model.read()))

    assert made[0] == made[1]


@pytest.mark.parametrize(("share", "lasting_s"), [(0.1, 0.3), (0.3, 1.0)])
def test_runs(share: float, lasting_s: float) -> None:
    """The share and the time constant of a chain of two states are found again from what it gave."""
    rnd, stays = random.Random(7), np.exp(-1 / FPS / lasting_s)
    runs = []
    for _ in range(300):
        run = [rnd.random() < share]
        for _ in range(200):
            run.append(rnd.random() < (stays if run[-1] else 0.0) + (1 - stays) * share)
        runs.append(run)
    found_share, found_s = chain(runs)

    assert found_share == pytest.approx(share, rel=0.1)
    assert found_s == pytest.approx(lasting_s, rel=0.15)


def test_the_simulator_takes_the_committed_report() -> None:
    """The simulated detector errs as the committed report says."""
    told = json.loads(Path(MEASURED).read_text(encoding="utf-8"))
    errors = measured()

    assert errors.recall == pytest.approx(1 - told["typical"]["missed"])
    assert errors.shoulder == told["typical"]["part_share"]
    assert errors.scores[0] == told["scores_of_heads"][0]
    assert errors.scores[-1] == told["scores_of_heads"][-1]
    assert errors.strong == told["thresholds"][0] == head_model.read().strong
