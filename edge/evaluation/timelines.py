"""The page of `footfall evaluate --html`: one time line for each clip, true crossings above counted ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from edge.evaluation.score import Score
from edge.web.charts import Mark, Ring, timeline
from edge.web.render import render

if TYPE_CHECKING:
    from edge.evaluation.evaluate import Evaluation

_TRUE, _COUNTED = 0, 1
"""The rows of a time line."""


def page(evaluations: Sequence[Evaluation], total: Score, model: str) -> str:
    """
    Return the page as HTML.

    Args:
        evaluations: One for each clip.
        total: All of them together.
        model: The head model's name, version and digest.
    """
    scores = [(evaluation.clip, evaluation.score) for evaluation in evaluations]
    return render(
        "evaluation.html",
        model=model,
        rows=[(name, *_cells(score)) for name, score in [*scores, ("all", total)]],
        clips=[(evaluation.clip, _summary(evaluation.score), _timeline(evaluation)) for evaluation in evaluations],
    )


def _cells(score: Score) -> Iterator[str]:
    for direction in ("in", "out"):
        yield str(score.counted[direction])
        yield str(score.true[direction])
    yield str(score.right)
    for share in (score.precision, score.recall, score.f1):
        yield f"{share:.3f}"


def _summary(score: Score) -> str:
    errors = "".join(f"{error.fault} at {error.t_s:.1f} s, " for error in score.errors).removesuffix(", ")
    return f"{score.right} of {sum(score.true.values())} right" + (f"; {errors}" if errors else "")


def _timeline(evaluation: Evaluation) -> Markup:
    true = [
        Mark(event.t_s, _TRUE, event.direction, f"{event.t_s:.2f} s, {event.direction}" + (f": {note}" if note else ""))
        for event, note in zip(evaluation.true, evaluation.notes, strict=True)
    ]
    counted = [
        Mark(event.t_s, _COUNTED, event.direction, f"{event.t_s:.2f} s, {event.direction}")
        for event in evaluation.counted
    ]
    rings = [
        Ring(error.t_s, _TRUE if error.fault == "missed" else _COUNTED, error.fault)
        for error in evaluation.score.errors
    ]
    label = f"{evaluation.clip}: {_summary(evaluation.score)}"
    return timeline(("true", "counted"), evaluation.seconds, [*true, *counted], rings, label)
