"""
What the shipped model scores on the clips of this machine: `python -m tests.golden` writes expected.json anew.

Run it when a better model, tracker or line has landed, and look at what changed. The total over all clips may not get
worse. Each clip's figures are printed and kept, but a single clip is too small to hold a change against.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.core import head_model
from edge.core.tally import Flag
from edge.evaluation.evaluate import read_truth
from edge.evaluation.score import Event, Score, together
from edge.vision.clip import ClipSource
from edge.vision.clip_counter import DEFAULT_FPS
from edge.vision.pipeline import Pipeline
from edge.vision.scene import Crossing
from tests import clips

EXPECTED = Path(__file__).parent / "expected.json"


@dataclass(frozen=True)
class Measured:
    """
    What the product makes of a clip.

    Attributes:
        score: Of its crossings.
        flags: Every one that a frame of it raised.
        shaken_ms: Times at which crossings would be refused.
    """

    score: Score
    flags: Flag
    shaken_ms: list[float]


def measured(clip: Path) -> Measured:
    """Count *clip* as the product does and score it."""
    truth = read_truth(clip.with_suffix(".json"))
    source = ClipSource(str(clip), fps=DEFAULT_FPS)
    pipeline = Pipeline(head_model.read(), {"line": truth.line}, DEFAULT_FPS)
    crossings: list[Crossing] = []
    flags, shaken_ms = Flag(0), []
    while (frame := source.read()) is not None:
        crossings += pipeline.look(frame)
        flags |= pipeline.flags
        if pipeline._check.refuses(frame.t_ms):
            shaken_ms.append(frame.t_ms)
    crossings += pipeline.finish()
    source.close()
    score = truth.score(Event(crossing.t_ms / 1000, crossing.direction) for crossing in crossings)
    return Measured(score, flags, shaken_ms)


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
    found = {clip.stem: measured(clip).score for clip in clips.found()}
    if missing := set(expected()["clips"] if EXPECTED.exists() else ()) - set(found):
        sys.exit(f"these clips aren't on this machine, and their figures would be lost: {', '.join(sorted(missing))}")
    text = "\n".join(lines(found)) + "\n"
    EXPECTED.write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
