"""Short runs of what `python -m tests.simulator` measures at length; docs/accuracy.md has the long ones."""

from __future__ import annotations

import importlib.util
import itertools
import re

import pytest

from tests.simulator import starts
from tests.simulator.__main__ import PAGE, SEED, busy, frame_ms, soak
from tests.simulator.eye import Errors, Eye
from tests.simulator.judge import run
from tests.simulator.rivals import Centroid, Ours, Supervision
from tests.simulator.walkers import World

pytestmark = pytest.mark.slow


def test_better_than_a_centroid_tracker() -> None:
    """On the same heads we count better than the tracker that popular counters copy."""
    ours, theirs = run(busy(6), Errors(), fps=10, crossings=300, seed=SEED, rivals=(Ours, Centroid))

    assert ours.score.f1 > theirs.score.f1


@pytest.mark.skipif(importlib.util.find_spec("supervision") is None, reason="the extra `compare` isn't installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("grow", [1.0, 2.0])
def test_better_and_faster_than_supervision(grow: float) -> None:
    """On the same heads we count better than ByteTrack and LineZone, and in less time."""
    ours, theirs = run(
        busy(6), Errors(), fps=10, crossings=300, seed=SEED, rivals=(Ours, lambda fps: Supervision(fps, grow=grow))
    )

    assert ours.score.f1 > theirs.score.f1
    assert ours.frame_ms < theirs.frame_ms


def test_time_by_heads() -> None:
    """Four times as many heads take less than twelve times as long: nothing goes over all pairs more than once."""
    assert frame_ms(40, frames=100) < 12 * frame_ms(10, frames=100)


def test_memory_is_flat() -> None:
    """What tracker and line hold doesn't grow with the hours."""
    held, tracks, paths = soak(0.6)

    assert max(held[3:]) < max(held[:3]) + 64
    assert tracks < 20
    assert paths <= tracks


@pytest.mark.parametrize("seed", range(3, 6))
def test_every_path_ends_with_its_track(seed: int) -> None:
    """Whatever tracks took over from each other in a crowd, none of them is remembered once it is gone."""
    errors = Errors(recall=0.8, shoulder=0.15, dim=0.65, ghosts=3)
    world, eye, ours = World(busy(6), seed), Eye(errors, seed), Ours(10)
    for moment in itertools.islice(world.moments(10), 3000):
        ours.look(eye.look(moment), moment.t_s)

    assert set(ours.counter.histories) <= {track.number for track in ours.tracker.tracks}


def test_who_stood_still_is_counted_when_they_set_out() -> None:
    """With the gate, that looks at them once a second, as many as with every frame; ADR 101 has 5,160 of them."""
    outcome = starts.run(60)
    print(outcome)

    assert outcome.gated >= outcome.ungated - 1
    assert outcome.gated >= 57
    assert outcome.standing_looks < 0.2 * outcome.standing_frames


def test_the_page_meets_its_bars() -> None:
    """The committed page meets its bars: F1 0.99 at six in view, 1 % a direction, doubles that are one in 2,000."""
    text = PAGE.read_text(encoding="utf-8")
    ours = next(row for row in text.splitlines() if row.startswith("| Footfall |"))
    f1, _, _, in_off, out_off = (float(cell.strip(" %")) for cell in ours.split("|")[2:7])
    alone = text.split("## Single walkers")[1].split("\n## ")[0]
    doubles = {row.split("|")[1].strip(): int(row.split("|")[8]) for row in alone.splitlines() if row.startswith("| 0")}

    assert f1 >= 0.99
    assert max(in_off, out_off) < 1
    crossings = int(re.search(r"([\d,]+) crossings each", alone)[1].replace(",", ""))  # type: ignore[index]

    assert crossings >= 4000
    assert doubles["0.9, nothing beside a head taken for one"] == 0
    assert doubles["0.9"] <= crossings / 2000
