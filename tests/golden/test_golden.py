"""Accuracy on real doors may not get worse: what all clips together scored when their figures were last committed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.evaluation.score import together
from tests import clips
from tests.golden.__main__ import expected, figures, measured

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("golden")]  # one worker counts each clip once


@pytest.mark.parametrize("clip", clips.everywhere())
def test_the_truth_of_each_clip_is_the_one_that_was_measured(clip: Path) -> None:
    """Each clip has the number of true crossings that expected.json has; what was counted in it is printed."""
    now = figures(measured(clip))
    print(f"{clip.stem}: {now}, committed: {expected()['clips'][clip.stem]}")

    assert now["true"] == expected()["clips"][clip.stem]["true"]


def test_the_total_is_no_worse() -> None:
    """F1 over all clips together, whatever the head model, is no less than it was."""
    found = {clip.stem: clip for clip in clips.found()}
    if missing := sorted(set(expected()["clips"]) - set(found)):
        pytest.skip(f"not on this machine: {', '.join(missing)}; FOOTFALL_CLIPS names the folder")
    total = together(measured(found[name]) for name in expected()["clips"])
    print(figures(total))

    assert round(total.f1, 4) >= expected()["f1"]
