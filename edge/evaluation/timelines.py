"""The page of `footfall evaluate --html`: a time line for each clip, and a strip of beliefs for each decision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from edge.evaluation.score import WINDOW_S, Score
from edge.vision.explain import Explanation
from edge.web.charts import Mark, Ring, strip, timeline
from edge.web.render import render

if TYPE_CHECKING:
    from edge.evaluation.evaluate import Evaluation

_TRUE, _COUNTED = 0, 1
"""The rows of a time line."""
_SAME_S = 0.002
"""An explanation's time is rounded to ms."""
_FULL = {"confidence": 50, "score": 100, "unseen": 1_000, "depth": 20, "apart": 40}
"""The value of each belief that fills its bar, in the units of Explanation."""


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
        clips=[
            (evaluation.clip, _summary(evaluation.score), _timeline(evaluation), list(_decisions(evaluation)))
            for evaluation in evaluations
        ],
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


def _decisions(evaluation: Evaluation) -> Iterator[tuple[str, str, str, Markup]]:
    """Yield time, direction, verdict with place and the strip of each way over the line, in order of time."""
    wrong = {(error.t_s, error.direction): error.fault for error in evaluation.score.errors}
    for e in sorted(evaluation.explained):
        fault = next((fault for (t, way), fault in wrong.items() if way == e.direction and _is_at(t, e, fault)), None)
        said = e.reason if e.verdict == "counted" else f"{e.verdict}: {e.reason}"
        said += f", at {e.x}, {e.y} px" + (f" ({fault})" if fault else "")
        yield f"{e.t_ms / 1000:.2f} s", e.direction, said, _strip(e)


def _is_at(t_s: float, explanation: Explanation, fault: str) -> bool:
    """Tell whether an error may be due to this decision: a false count at its very time, a miss within the window."""
    away_s = abs(t_s - explanation.t_ms / 1000)
    if fault == "missed":
        return explanation.verdict != "counted" and away_s <= WINDOW_S
    return explanation.verdict == "counted" and away_s < _SAME_S


def _strip(explanation: Explanation) -> Markup:
    bars = [(name, value / _FULL[name], str(value)) for name, value in explanation.beliefs.items()]
    return strip(bars, ", ".join(f"{name} {value}" for name, value in explanation.beliefs.items()))
