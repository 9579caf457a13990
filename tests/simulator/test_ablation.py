"""The ablation: each part is really off, and heads that were kept are counted as those that were found."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from edge.core import head_model
from edge.vision.scene import Heads
from edge.vision.tracking.settings import SETTINGS
from tests import clips
from tests.simulator.ablation import NEIGHBOURS, PAGE, PARTS, STEPS, Recording, count, load


def test_each_part_and_neighbour_is_a_setting() -> None:
    """What is switched off or moved is a field of the settings, and its value is another one."""
    names = {field.name for field in fields(SETTINGS)}

    assert {name for off in PARTS.values() for name in off} <= names
    assert set(NEIGHBOURS) <= names
    assert all(replace(SETTINGS, **off) != SETTINGS for off in PARTS.values())
    assert len(set(STEPS)) == 11


def test_kept_heads(tmp_path: Path) -> None:
    """A recording that was written and read again is the same, frames without heads too."""
    rng = np.random.default_rng(2)
    frames = []
    for index, size in enumerate((0, 3, 0, 1, 0)):
        heads = Heads(*(rng.random(shape).astype(np.float32) for shape in ((size, 2), size, size)))
        frames.append((100.0 * index, index == 0, heads))
    Recording(clips.DEMO, (640, 480), frames).save(tmp_path / "kept.npz")
    again = load(clips.DEMO, tmp_path / "kept.npz")

    assert again.size == (640, 480)
    assert [frame[:2] for frame in again.frames] == [frame[:2] for frame in frames]
    for (_, _, one), (_, _, other) in zip(again.frames, frames, strict=True):
        assert all(np.array_equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))


def test_a_clip_without_heads_counts_nothing() -> None:
    """Counting kept heads scores against the clip's truth."""
    empty = Heads(np.empty((0, 2), np.float32), np.empty(0, np.float32), np.empty(0, np.float32))
    contract = head_model.read()
    score = count(Recording(clips.DEMO, (640, 480), [(0.0, True, empty)]), contract.strong, contract.weak, SETTINGS)

    assert (score.right, sum(score.counted.values())) == (0, 0)
    assert sum(score.true.values()) == 13


@pytest.mark.parametrize("part", PARTS)
def test_the_page_has_each_part(part: str) -> None:
    """The committed page has a row for each part."""
    assert f"| {part} |" in PAGE.read_text(encoding="utf-8")
