"""
What each part of the counting model is worth: `python -m tests.simulator.ablation` writes docs/ablation.md.

Every part is switched off alone, and each of a few settings is moved up and down. All clips with truth are counted, at
the shipped thresholds of the head model and as a mean over eleven pairs of thresholds: a part that helps at one pair
only is luck. Simulated doors stand beside them. The heads of the clips are found once and kept in --heads.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from rich.console import Console
from rich.progress import track

from edge.config.schema import Line
from edge.core import head_model
from edge.core.head_model import Contract
from edge.evaluation.evaluate import read_truth
from edge.evaluation.score import Event, Score, together
from edge.vision.clip import ClipSource
from edge.vision.clip_counter import DEFAULT_FPS
from edge.vision.detector import Detector
from edge.vision.picture_check import PictureCheck
from edge.vision.scene import Crossing, Heads
from edge.vision.tracking.line import CrossingCounter
from edge.vision.tracking.settings import SETTINGS, TrackingSettings
from edge.vision.tracking.tracker import Tracker
from tests import clips
from tests.simulator.__main__ import SEED, below_line, busy
from tests.simulator.eye import Errors
from tests.simulator.judge import run
from tests.simulator.walkers import HEIGHT, Traffic

PAGE = Path(__file__).parents[2] / "docs" / "ablation.md"
HEADS = Path(tempfile.gettempdir()) / "footfall-heads"
"""Where the heads of the clips are kept, unless --heads names another folder."""
LEAST_SCORE = 0.12
"""Heads are kept from this score on, below every threshold that is tried."""
STEPS = (
    *((0.0, 0.0), (-0.05, 0.0), (0.05, 0.0), (0.1, 0.0), (0.0, -0.05), (0.0, 0.05)),
    *((-0.05, -0.05), (0.05, 0.05), (0.05, -0.05), (0.1, 0.05), (-0.05, -0.1)),
)
"""What is added to the strong and the weak threshold in each of the eleven pairs; the first is the shipped one."""
_NEVER = float("inf")

PARTS: dict[str, dict[str, float]] = {
    "a weak detection is placed worse": {"weak_noise": 1.0},
    "a weak detection must be near": {"weak_reach": _NEVER},
    "a strong detection is preferred": {"weak_penalty": 0.0},
    "a weak detection says less": {"weak_hit": 1.0},
    "a head keeps its size": {"size_change": _NEVER},
    "no match farther than three diameters": {"reach": _NEVER},
    "an unseen head slows down": {"slowing_s": 1e9},
    "held back while doubtful": {"doubt": -_NEVER},
    "confidence has a floor": {"least": -_NEVER},
    "confidence has a ceiling": {"most": _NEVER},
    "gone sooner outside the picture": {"left_ms": SETTINGS.lost_ms},
    "people come in and go out unseen at the border": {"border": 0.0},
    "continues one that was lost near by": {"lost_reach": 0.0},
    "what is static is a thing": {"static_ms": _NEVER},
    "part of a head beside it": {"part_reach": 0.0},
    "part of a much more confident head": {"dim": 0.0},
    "verified again after an absence": {"reverify_ms": _NEVER},
    "two that cross together may be one": {"pair_reach": 0.0},
    "a dead band": {"band": 0.0},
    "must stay beyond the band": {"stayed_ms": 0.0},
    "clearly beyond is beyond": {"clear": _NEVER},
}
NEIGHBOURS = (
    *(
        "position_noise",
        "acceleration",
        "gate",
        "size_noise",
        "smoothing",
        "miss",
        "confirm",
        "tentative_ms",
        "left_ms",
    ),
    *(
        "lost_ms",
        "lost_reach",
        "border",
        "part_reach",
        "dim",
        "dim_reach",
        "reverify_ms",
        "pair_reach",
        "band",
        "clear",
    ),
)
"""Settings that are moved up and down by `SHARE`."""
SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Recording:
    """
    The heads of one clip.

    Attributes:
        size: Width and height of the picture, px.
        frames: Time, ms, whether another scene begins with it, and the heads of each frame.
    """

    clip: Path
    size: tuple[int, int]
    frames: Sequence[tuple[float, bool, Heads]]

    def save(self, path: Path) -> None:
        """Write *path* at once."""
        counts = [len(heads.scores) for _, _, heads in self.frames]
        rows = [np.column_stack((heads.centres, heads.diameters, heads.scores)) for _, _, heads in self.frames]
        partial = path.with_suffix(".part")
        with partial.open("wb") as file:
            np.savez_compressed(
                file,
                size=self.size,
                times=[t_ms for t_ms, _, _ in self.frames],
                cuts=[cut for _, cut, _ in self.frames],
                counts=counts,
                heads=np.concatenate([np.empty((0, 4), np.float32), *rows]),
            )
        partial.replace(path)


def load(clip: Path, path: Path) -> Recording:
    """Read what `save` wrote of *clip*."""
    with np.load(path) as saved:
        ends = np.cumsum(saved["counts"])
        heads = [rows.astype(np.float32) for rows in np.split(saved["heads"], ends[:-1])]
        frames = [
            (float(t_ms), bool(cut), Heads(rows[:, :2], rows[:, 2], rows[:, 3]))
            for t_ms, cut, rows in zip(saved["times"], saved["cuts"], heads, strict=True)
        ]
        width, height = map(int, saved["size"])
    return Recording(clip, (width, height), frames)


def record(clip: Path, contract: Contract) -> Recording:
    """Find the heads in each frame of *clip* that a box without a motion gate would look at."""
    source, check = ClipSource(str(clip), fps=DEFAULT_FPS), PictureCheck(DEFAULT_FPS)
    detector = Detector(replace(contract, weak=LEAST_SCORE))
    frames: list[tuple[float, bool, Heads]] = []
    size = (0, 0)
    try:
        while (frame := source.read()) is not None:
            check.look(frame)
            frames.append((frame.t_ms, check.cut or frame.size != size, detector.detect(frame.pixels)))
            size = frame.size
    finally:
        source.close()
    return Recording(clip, size, frames)


def recordings(folder: Path, contract: Contract) -> Iterator[Recording]:
    """Yield the heads of each real door's clip on this machine, found now if *folder* hasn't got them yet."""
    folder.mkdir(parents=True, exist_ok=True)
    doors = [clip for clip in clips.found() if clip != clips.DEMO]
    for clip in track(doors, "finding heads", console=Console(stderr=True)):
        kept = folder / f"{clip.stem}-{contract.sha256[:12]}.npz"
        if not kept.exists():
            record(clip, contract).save(kept)
        yield load(clip, kept)


class Model(Protocol):
    """Counts over a line in the pictures of one scene."""

    def look(self, heads: Heads, t_ms: float) -> Sequence[Crossing]:
        """Return the crossings that are known to count with the frame of *t_ms*."""

    def finish(self) -> Sequence[Crossing]:
        """Return the crossings that were undecided at the end of the pictures, and count."""


class Shipped:
    """The product's tracker and counter."""

    def __init__(
        self, line: Line, size: tuple[int, int], strong: float, weak: float, settings: TrackingSettings
    ) -> None:
        self._tracker = Tracker(*size, strong, weak, settings)
        self._counter = CrossingCounter({"line": line}, *size, settings)

    def look(self, heads: Heads, t_ms: float) -> list[Crossing]:
        """Count."""
        sightings = self._tracker.update(heads, t_ms)
        return self._counter.update(sightings, self._tracker.ended, self._tracker.rejected)

    def finish(self) -> tuple[()]:
        """Return nothing: it leaves nothing undecided."""
        return ()


def count_with(recording: Recording, begin: Callable[[Line, tuple[int, int]], Model]) -> Score:
    """Count one clip, each scene of it with a model that was begun for its line and size, and score it."""
    truth = read_truth(recording.clip.with_suffix(".json"))
    crossings: list[Crossing] = []
    model: Model | None = None
    for t_ms, begins, heads in recording.frames:
        if begins or model is None:
            crossings += model.finish() if model else ()
            model = begin(truth.line, recording.size)
        crossings += model.look(heads, t_ms)
    crossings += model.finish() if model else ()
    return truth.score([Event(crossing.t_ms / 1000, crossing.direction) for crossing in crossings])


def count(recording: Recording, strong: float, weak: float, settings: TrackingSettings) -> Score:
    """Count one clip with these thresholds and settings, and hold it against its truth."""
    return count_with(recording, lambda line, size: Shipped(line, size, strong, weak, settings))


SIMULATED: dict[str, tuple[Traffic, Errors, float, int]] = {
    "six in view": (busy(6), Errors(), 10.0, HEIGHT),
    "five fps": (busy(6), Errors(), 5.0, HEIGHT),
    "at the border": (busy(4), Errors(), 10.0, below_line(1)),
    "alone, with shoulders": (Traffic(1, groups=0), Errors(shoulder=0.15, dim=0.65), 10.0, HEIGHT),
}


def shown(score: Score) -> list[str]:
    """Return the cells of one total: right / false / missed, and F1."""
    missed, false = sum(score.true.values()) - score.right, sum(score.counted.values()) - score.right
    return [f"{score.right} / {false} / {missed}", f"{score.f1:.4f}"]


def cells(doors: Sequence[Recording], contract: Contract, settings: TrackingSettings, crossings: int) -> list[str]:
    """Return the cells of one line of the first table; without the simulated ones where *crossings* is 0."""
    scores = [
        together(count(door, contract.strong + strong, contract.weak + weak, settings) for door in doors)
        for strong, weak in STEPS
    ]
    made = [*shown(scores[0]), f"{sum(score.f1 for score in scores) / len(scores):.4f}"]
    for traffic, errors, fps, height in SIMULATED.values() if crossings else ():
        (outcome,) = run(
            traffic, errors, fps=fps, crossings=crossings, seed=SEED, height=height, settings=settings
        )  # fmt: skip
        made.append(f"{outcome.score.f1:.4f}")
    return made


def tables(doors: Sequence[Recording], contract: Contract, crossings: int) -> Iterator[str]:
    """Yield the lines of both tables: each part off, and each neighbour."""
    heads = ["", "right / false / missed", "F1", "mean F1", *(SIMULATED if crossings else ())]
    yield f"| {' | '.join(heads)} |"
    yield "|---|" + "--:|" * (len(heads) - 1)
    settings = {"**as shipped**": SETTINGS, **{name: replace(SETTINGS, **off) for name, off in PARTS.items()}}
    for name, tried in settings.items():
        yield f"| {name} | {' | '.join(cells(doors, contract, tried, crossings))} |"
    yield f"\n## Neighbouring settings\n\nAt the shipped thresholds, each setting moved by {SHARE:.0%} alone:\n"
    yield "| | less: right / false / missed | F1 | more: right / false / missed | F1 |\n|---|--:|--:|--:|--:|"
    found: list[float] = []
    for name in NEIGHBOURS:
        made = []
        for share in (1 - SHARE, 1 + SHARE):
            tried = replace(SETTINGS, **{name: share * getattr(SETTINGS, name)})
            score = together(count(door, contract.strong, contract.weak, tried) for door in doors)
            found.append(score.f1)
            made += shown(score)
        yield f"| `{name}` | {' | '.join(made)} |"
    yield f"\nMean F1 of these {len(found)} neighbours: {sum(found) / len(found):.4f}; the worst: {min(found):.4f}."


_INTRODUCTION = """\
# What each part of the counting model is worth

This page is made by a command; its figures are never edited by hand:

```sh
python -m tests.simulator.ablation --crossings {crossings}
```

The first three columns: {doors} recorded doors with {true} crossings, head model {model}, {fps:g} frames a second; as a
total at the shipped thresholds, and as the mean of F1 over {pairs} pairs of thresholds around them.
The others: simulated doors, F1 over {crossings:,} crossings each, seed {seed}.
Each row is without one part, and with all others.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator.ablation", description=__doc__)
    parser.add_argument("--heads", type=Path, default=HEADS)
    parser.add_argument("--crossings", type=int, default=400, help="simulated ones a cell; 0 leaves these columns out")
    options = parser.parse_args()
    contract = head_model.read()
    doors = list(recordings(options.heads, contract))
    if not doors:
        sys.exit(f"there are no real doors in {clips.DOORS}; FOOTFALL_CLIPS names the folder")
    true = sum(len(read_truth(door.clip.with_suffix(".json")).certain) for door in doors)
    introduction = _INTRODUCTION.format(
        doors=len(doors), true=true, model=contract.identity, fps=DEFAULT_FPS, pairs=len(STEPS),
        crossings=options.crossings, seed=SEED,
    )  # fmt: skip
    lines = [introduction]
    for line in tables(doors, contract, options.crossings):
        print(line, file=sys.stderr, flush=True)
        lines.append(line)
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
