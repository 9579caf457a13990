"""
`footfall evaluate`: count every clip of a folder that has a truth file beside it, and say what was right and wrong.

The clips go through the same pipeline as a camera's pictures. The truth file of door.mp4 is door.json: `fps` and
`frames` of the clip, `line` as in the config, and `events`, each {"t": seconds from the first frame, "dir": "in"}; an
event with "doubtful": true counts neither way.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from edge.config.schema import Line
from edge.core.errors import ClipTruncated, ClipUntimed, ConfigError
from edge.core.head_model import Contract
from edge.evaluation import timelines
from edge.evaluation.score import Event, Score, score, together
from edge.vision.clip_counter import count_clip
from edge.vision.explain import Explanation, in_words
from edge.vision.scene import Direction

log = logging.getLogger(__name__)

CLIP_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".webm")


class _TrueEvent(BaseModel):
    """One crossing as a person saw it."""

    t: float = Field(ge=0, description="seconds from the first frame")
    dir: Direction
    note: str = ""
    doubtful: bool = Field(
        default=False, description="whether even the annotator was unsure; then it counts neither way"
    )


class Truth(BaseModel):
    """What a truth file must say; what else it says is for people."""

    model_config = ConfigDict(extra="ignore")

    fps: float = Field(gt=0)
    frames: int = Field(gt=0)
    line: Line
    events: list[_TrueEvent]

    @property
    def certain(self) -> list[_TrueEvent]:
        """The events that count."""
        return [event for event in self.events if not event.doubtful]

    def score(self, counted: Iterable[Event]) -> Score:
        """Return how well *counted* matches these events."""
        doubtful = [Event(event.t, event.dir) for event in self.events if event.doubtful]
        return score(counted, [Event(event.t, event.dir) for event in self.certain], doubtful=doubtful)


@dataclass(frozen=True, slots=True)
class ClipCondition:
    """
    What a person should know about a clip.

    Attributes:
        missing: Frames that it promises and doesn't have.
        note: What is doubtful about its times; empty if nothing is.
    """

    missing: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One clip, counted and held against its truth; `seconds` is its length, `explained` says why."""

    clip: str
    seconds: float
    counted: tuple[Event, ...]
    true: tuple[Event, ...]
    notes: tuple[str, ...]
    score: Score
    explained: tuple[Explanation, ...] = ()
    condition: ClipCondition = ClipCondition()


CountClip = Callable[[Path, Line], Iterable[Event | Explanation | ClipCondition]]
"""
Returns the crossings of a line that are counted in a clip, why each way over it was counted or not, and at most one
ClipCondition.
"""


def run(
    folder: Path,
    contract: Contract,
    *,
    fps: float,
    fps_of_clip: float | None = None,
    html: Path | None = None,
    as_json: bool = False,
) -> Score:
    """
    Evaluate the clips of *folder*, print the result, and write the page *html* if one is asked for.

    What is doubtful about the clips' times goes to stderr.

    Raises:
        ConfigError: there is no clip with a truth file, or a truth file can't be read.
        CameraMissing, ClipUntimed, DetectorError: a clip or the model can't be used.
        ClipTruncated: frames are missing in some of them; what is there was evaluated and printed.
    """
    evaluations = evaluate(folder, counted_by(contract, fps, fps_of_clip))
    for evaluation in evaluations:
        if evaluation.condition.note:
            log.warning("%s: %s", evaluation.clip, evaluation.condition.note)
    total = together(evaluation.score for evaluation in evaluations)
    if as_json:
        print(json.dumps(_as_json(evaluations, total, contract), indent=2))
    else:
        _print(evaluations, total)
    if html is not None:
        html.write_text(timelines.page(evaluations, total, contract.identity), encoding="utf-8")
    cut = [evaluation for evaluation in evaluations if evaluation.condition.missing]
    if cut:
        names = ", ".join(evaluation.clip for evaluation in cut)
        raise ClipTruncated(names, sum(evaluation.condition.missing for evaluation in cut))
    return total


def counted_by(contract: Contract, fps: float, fps_of_clip: float | None = None) -> CountClip:
    """
    Return what counts a clip as a box does, looking at *fps* frames a second.

    Where a clip's times can't be known, the `fps` of its truth file says them, since the events there hang on it.

    Args:
        contract: The head model's.
        fps: Frames a second to look at.
        fps_of_clip: Each clip's own frames a second, where somebody knows better than the clips.
    """

    def count(clip: Path, line: Line) -> Iterator[Event | Explanation | ClipCondition]:
        try:
            yield from counted_at(clip, line, fps_of_clip)
        except ClipUntimed as exc:
            # Known before anything is counted.
            true_fps = read_truth(clip.with_suffix(".json")).fps
            settled = f"{exc.cause}; the rate of its truth file is used, {true_fps:g} frames a second"
            yield from counted_at(clip, line, true_fps, settled)

    def counted_at(
        clip: Path, line: Line, own_fps: float | None, settled: str = ""
    ) -> Iterator[Event | Explanation | ClipCondition]:
        step = None
        for step in count_clip(clip, {"line": line}, contract, fps, fps_of_clip=own_fps):
            for crossing in step.crossings:
                yield Event(crossing.t_ms / 1000, crossing.direction)
            yield from step.explained
        if step is not None:
            yield ClipCondition(step.missing, "; ".join(filter(None, (settled, step.note))))

    return count


def evaluate(folder: Path, count: CountClip) -> list[Evaluation]:
    """Return each clip's evaluation, by name; progress goes to stderr. Raises ConfigError."""
    pairs = list(_clips(folder))
    if not pairs:
        raise ConfigError(
            folder, [f"{folder}: there is no clip with a truth file here; put door.json beside door.mp4, and so on"]
        )
    evaluations = []
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for clip, truth in progress.track(pairs, description="counting"):
            seen = tuple(count(clip, truth.line))
            counted = tuple(event for event in seen if isinstance(event, Event))
            evaluations.append(
                Evaluation(
                    clip=clip.name,
                    seconds=truth.frames / truth.fps,
                    counted=counted,
                    true=tuple(Event(event.t, event.dir) for event in truth.certain),
                    notes=tuple(event.note for event in truth.certain),
                    score=truth.score(counted),
                    explained=tuple(event for event in seen if isinstance(event, Explanation)),
                    condition=next((found for found in seen if isinstance(found, ClipCondition)), ClipCondition()),
                )
            )
    return evaluations


def _clips(folder: Path) -> Iterator[tuple[Path, Truth]]:
    """Yield (clip, its truth) of a folder in the order of their names."""
    if not folder.is_dir():
        raise ConfigError(folder, [f"{folder}: there is no such folder; give one with clips in it"])
    for clip in sorted(folder.iterdir()):
        beside = clip.with_suffix(".json")
        if clip.suffix.lower() in CLIP_SUFFIXES and beside.is_file():
            yield clip, read_truth(beside)


def read_truth(path: Path) -> Truth:
    """Return what the truth file at *path* says; ConfigError tells what is wrong with it."""
    try:
        return Truth.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise ConfigError(path, [f"{path}: can't be read: {exc.strerror}"]) from exc
    except ValidationError as exc:
        faults = [
            f"{path}: {'.'.join(map(str, error['loc'])) or 'the file'}: {error['msg']}"
            for error in exc.errors(include_url=False)
        ]
        raise ConfigError(path, faults) from exc


def _print(evaluations: Sequence[Evaluation], total: Score) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("clip")
    for heading in ("in", "true", "out", "true", "right", "precision", "recall", "F1"):
        table.add_column(heading, justify="right")
    for evaluation in evaluations:
        table.add_row(evaluation.clip, *_cells(evaluation.score))
    if len(evaluations) > 1:
        table.add_section()
        table.add_row("all", *_cells(total), style="bold")
    console = Console(highlight=False)
    console.print(table)
    for evaluation in evaluations:
        for error in evaluation.score.errors:
            console.print(f"{evaluation.clip}  {error.t_s:7.2f} s  {error.direction:3}  {error.fault}", markup=False)
        for explanation in evaluation.explained:
            if explanation.verdict == "refused":
                console.print(f"{evaluation.clip} {in_words(explanation)}", markup=False)


def _cells(result: Score) -> list[str]:
    totals = [f"{number}" for way in ("in", "out") for number in (result.counted[way], result.true[way])]
    return [*totals, f"{result.right}", f"{result.precision:.3f}", f"{result.recall:.3f}", f"{result.f1:.3f}"]


def _as_json(evaluations: Sequence[Evaluation], total: Score, contract: Contract) -> dict[str, Any]:
    return {
        "model": contract.identity,
        "clips": [
            {
                "clip": evaluation.clip,
                **_score_json(evaluation.score),
                "missing": evaluation.condition.missing,
                "refused": [
                    {"t": round(e.t_ms / 1000, 2), "dir": e.direction, "reason": e.reason}
                    for e in evaluation.explained
                    if e.verdict == "refused"
                ],
                "explained": [e._asdict() for e in evaluation.explained],
            }
            for evaluation in evaluations
        ],
        "total": _score_json(total, errors=False),
    }


def _score_json(result: Score, *, errors: bool = True) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "counted": result.counted,
        "true": result.true,
        "right": result.right,
        "precision": round(result.precision, 4),
        "recall": round(result.recall, 4),
        "f1": round(result.f1, 4),
    }
    if errors:
        shown["errors"] = [{"t": round(e.t_s, 2), "dir": e.direction, "fault": e.fault} for e in result.errors]
    return shown
