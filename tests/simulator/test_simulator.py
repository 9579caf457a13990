"""Short runs of what `python -m tests.simulator` measures at length; docs/accuracy.md has the long ones."""

from __future__ import annotations

import importlib.util

import pytest

from tests.simulator.__main__ import SEED, busy, frame_ms, soak
from tests.simulator.eye import Errors
from tests.simulator.judge import run
from tests.simulator.rivals import Centroid, Ours, Supervision


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


@pytest.mark.parametrize(("heads", "most_ms"), [(10, 0.3), (40, 1.0)])
def test_processor_time(heads: int, most_ms: float) -> None:
    """Tracker and line take less than 0.3 ms of one processor for a frame with ten heads, and 1 ms for one with 40."""
    assert frame_ms(heads, frames=100) < most_ms


def test_memory_is_flat() -> None:
    """What tracker and line hold doesn't grow with the hours."""
    held, tracks, paths = soak(0.6)

    assert max(held[3:]) < max(held[:3]) + 64
    assert max(tracks, paths) < 20
