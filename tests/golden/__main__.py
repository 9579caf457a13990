"""
What the shipped model scores on the clips of this machine: `python -m tests.golden` writes expected.json anew.

Run it when a better model, tracker or line has landed, and look at what changed. The total over all clips may not get
worse. Each clip's figures are printed and kept, but a single clip is too small to hold a change against.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge.core import head_model
from edge.evaluation.evaluate import read_truth
from edge.evaluation.score import Event, Score, together
from edge.vision.clip_counter import DEFAULT_FPS, count_clip
from tests import clips

EXPECTED = Path(__file__).parent / "expected.json"


def measured(clip: Path) -> Score:
    """Count *clip* as the product does and score it."""
    truth = read_truth(clip.with_suffix(".json"))
    steps = count_clip(clip, {"line": truth.line}, head_model.read(), DEFAULT_FPS)
    return truth.score(Event(crossing.t_ms / 1000, crossing.direction) for step in steps for crossing in step.crossings)


def figures(result: Score) -> dict[str, int]:
    """Return what is kept of a clip's score, or of all clips together."""
    return {
        "true": sum(result.true.values()),
        "right": result.right,
        "missed": result.count("missed"),
        "wrong": sum(result.counted.values()) - result.right,
    }


def lines(found: dict[str, Score]) -> Iterator[str]:
    """Yield the file's lines: one a clip, so that a change is read at a glance."""
    total = together(found.values())
    yield "{"
    yield f' "model": {json.dumps(head_model.read().identity)},'
    yield f' "f1": {total.f1:.4f},'
    yield f' "total": {json.dumps(figures(total))},'
    yield ' "clips": {'
    yield ",\n".join(f"  {json.dumps(name)}: {json.dumps(figures(result))}" for name, result in found.items())
    yield " }"
    yield "}"


def expected() -> dict[str, Any]:
    return dict(json.loads(EXPECTED.read_text(encoding="utf-8")))


def main() -> None:
    found = {clip.stem: measured(clip) for clip in clips.found()}
    if missing := set(expected()["clips"] if EXPECTED.exists() else ()) - set(found):
        sys.exit(f"these clips aren't on this machine, and their figures would be lost: {', '.join(sorted(missing))}")
    text = "\n".join(lines(found)) + "\n"
    EXPECTED.write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
