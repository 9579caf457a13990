"""Accuracy on real doors may not get worse: what each clip scored when its figures were last committed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import model
from edge.field.score import together
from tests import clips
from tests.golden.__main__ import expected, figures, measured

NEW_MODEL = "another head model than expected.json is of: `python -m tests.golden` writes its figures"


@pytest.mark.parametrize("clip", clips.everywhere())
def test_no_clip_is_worse(clip: Path) -> None:
    """With the same head model no clip has fewer right crossings, or more wrong ones, than it had."""
    if expected()["model"] != model.read().identity:
        pytest.skip(NEW_MODEL)
    was, now = expected()["clips"][clip.stem], figures(measured(clip))

    assert was["true"] == now["true"]
    assert now["right"] >= was["right"]
    assert now["wrong"] <= was["wrong"]


def test_no_model_is_worse() -> None:
    """Whatever the head model, F1 over all the clips together is no less than it was."""
    found = {clip.stem: clip for clip in clips.found()}
    if missing := sorted(set(expected()["clips"]) - set(found)):
        pytest.skip(f"not on this machine: {', '.join(missing)}; FOOTFALL_CLIPS names the folder")
    total = together(measured(found[name]) for name in expected()["clips"])

    assert round(total.f1, 4) >= expected()["f1"]
