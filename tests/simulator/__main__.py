"""
Measure tracker and line on simulated doors and write docs/accuracy.md: `python -m tests.simulator`.

`python -m tests.simulator soak` lets 24 simulated hours go by and prints what memory they took. The comparison needs
the extra `compare`; where that isn't installed, the other counters' rows are left out and the page says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from edge.vision.scene import Heads
from tests.simulator.eye import WEAK, Errors, Eye, measured
from tests.simulator.judge import Outcome, run
from tests.simulator.rivals import Centroid, Ours, Rival, Supervision
from tests.simulator.walkers import HEAD_M, HEIGHT, LINE_Y, PX, WIDTH, Traffic, World

PAGE = Path(__file__).parents[2] / "docs" / "accuracy.md"
SEED = 20
BUSY_GAP_S = 0.25
LONG_S = (14.0, 40.0)
"""How long people stand about until what stands is taken for a thing, or longer."""

_HEADER = ("F1", "precision", "recall", "in off", "out off", "missed", "double", "wrong way", "false")

Row = tuple[str, Outcome]


def busy(people: int) -> Traffic:
    """Return traffic in which up to so many people are in view, and mostly nearly so many are."""
    return Traffic(people, gap_s=BUSY_GAP_S)


def below_line(diameters: float) -> int:
    """Return the height, px, of a picture whose lower edge is so many head diameters below the line."""
    return round((LINE_Y + diameters * HEAD_M) * PX)


def table(first: str, rows: Sequence[Row], *, mean: bool = False) -> Iterator[str]:
    """Yield the lines of a table of *rows*; *mean* also tells how many people were in view on average."""
    heads = (first, *(("mean in view",) if mean else ()), *_HEADER)
    yield "| " + " | ".join(heads) + " |"
    yield "|---|" + "--:|" * (len(heads) - 1)
    for name, outcome in rows:
        score = outcome.score
        cells = [
            name,
            *([f"{outcome.people:.1f}"] if mean else []),
            *(f"{share:.4f}" for share in (score.f1, score.precision, score.recall)),
            *(f"{score.total_error(way):.2%}" for way in ("in", "out")),
            *(str(score.count(fault)) for fault in ("missed", "double", "wrong way", "false")),
        ]
        yield "| " + " | ".join(cells) + " |"


@dataclass(frozen=True, slots=True)
class Case:
    """One row to measure."""

    name: str
    traffic: Traffic
    errors: Errors
    crossings: int
    fps: float = 10.0
    height: int = HEIGHT

    def outcomes(self, rivals: Sequence[Callable[[float], Rival]] = ()) -> list[Outcome]:
        """Return what *rivals*, or ours alone, make of it."""
        return run(
            self.traffic,
            self.errors,
            fps=self.fps,
            crossings=self.crossings,
            seed=SEED,
            height=self.height,
            rivals=rivals,
        )

    def row(self) -> Row:
        (outcome,) = self.outcomes()
        return self.name, outcome


def compared(crossings: int) -> list[Row]:
    """Return what each counter makes of the same heads: up to six in view, recall 0.9, 10 fps."""
    rivals: list[Callable[[float], Rival]] = [Ours]
    if importlib.util.find_spec("supervision") is not None:
        rivals += [Supervision, lambda fps: Supervision(fps, threshold=2, grow=2.0)]
    rivals.append(Centroid)
    outcomes = run(busy(6), Errors(), fps=10, crossings=crossings, seed=SEED, rivals=rivals)
    return [(outcome.name, outcome) for outcome in outcomes]


def frame_ms(heads: int, frames: int = 400) -> float:
    """Return the best-of-three mean time, ms, that tracker and line take for a frame with so many walking heads."""
    rng = np.random.default_rng(SEED)
    columns = max(5, round(heads**0.5 * 1.2))
    starts = np.array([(60 + 520 * (i % columns) / columns, 480 * (i // columns) / 6) for i in range(heads)])
    best = float("inf")
    for _ in range(3):
        ours, spent = Ours(10), 0.0
        for index in range(frames):
            centres = (starts + np.array((0, 6.0 * index))) % (WIDTH, HEIGHT) + rng.normal(0, 3, starts.shape)
            seen = Heads(
                centres.astype(np.float32),
                np.full(heads, 30, np.float32),
                rng.uniform(WEAK + 0.1, 1, heads).astype(np.float32),
            )
            began = time.thread_time()
            ours.look(seen, index / 10)
            spent += time.thread_time() - began
        best = min(best, 1000 * spent / frames)
    return best


def soak(hours: float, fps: float = 10.0) -> tuple[list[float], int, int]:
    """
    Let simulated hours of traffic go by.

    Returns:
        Memory that tracker and line hold after each sixth of the time, KiB; tracks alive and paths kept at the end.
    """
    world, eye, ours = World(Traffic(4, gap_s=20.0), SEED), Eye(Errors(), SEED), Ours(fps)
    held: list[float] = []
    tracemalloc.start()
    own = tracemalloc.Filter(True, "*/edge/vision/*")
    for moment in world.moments(fps):
        ours.look(eye.look(moment), moment.t_s)
        if moment.t_s >= (len(held) + 1) * hours * 600:
            shot = tracemalloc.take_snapshot().filter_traces([own])
            held.append(sum(trace.size for trace in shot.traces) / 1024)
            print(f"{moment.t_s / 3600:5.1f} h  {held[-1]:7.1f} KiB", file=sys.stderr)
            if len(held) == 6:
                break
    tracemalloc.stop()
    return held, len(ours.tracker.tracks), len(ours.counter.histories)


def cases(many: int, few: int) -> Iterator[tuple[str, str, list[Case]]]:
    """Yield heading, head of the first column, and rows of each table: *many* crossings where a bar is set."""
    alone = Traffic(1, groups=0)
    yield (
        f"Up to six in view\n\nRecall 0.9, 10 fps, {many:,} crossings",
        "counter",
        [Case("Footfall", busy(6), Errors(), many)],
    )
    yield (
        f"Single walkers\n\nNobody else in view, 10 fps, {many:,} crossings each",
        "recall",
        [
            *(Case(f"{r}", alone, Errors(recall=r), many) for r in (0.7, 0.9)),
            Case("0.9, nothing beside a head taken for one", alone, Errors(double=0, shoulder=0), many),
            Case("0.9, shoulders on 15 % of heads, 0.65 times as sure", alone, Errors(shoulder=0.15, dim=0.65), many),
        ],
    )
    yield (
        f"By density\n\nRecall 0.9, 10 fps, {few:,} crossings each",
        "in view",
        [Case(f"up to {p}", busy(p), Errors(), few) for p in (1, 2, 3, 4, 6, 8, 10, 12, 15)],
    )
    yield (
        f"By the detector's recall\n\nUp to six in view, 10 fps, {few:,} crossings each",
        "recall",
        [Case(f"{r:.2f}", busy(6), Errors(recall=r), few) for r in (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)],
    )
    yield (
        f"By frames a second\n\nUp to six in view, recall 0.9, {few:,} crossings each",
        "fps",
        [Case(f"{f:g}", busy(6), Errors(), few, f) for f in (5, 8, 10, 15, 30)],
    )
    yield (
        f"By the line's distance from the edge\n\nUp to four in view, recall 0.9, 10 fps, {few:,} crossings each",
        "head diameters",
        [Case(f"{d:g}", busy(4), Errors(), few, height=below_line(d)) for d in (6.5, 4, 2.5, 1.5, 1, 0.7)],
    )
    own = measured()
    yield (
        (
            "With the shipped detector's own errors\n\nMeasured on rendered doors "
            f"(models/training/detector_errors.json), 10 fps but where another is named, {few:,} crossings each"
        ),
        "traffic",
        [
            Case("alone", alone, own, few),
            Case("up to six in view", busy(6), own, few),
            Case("up to fifteen in view", busy(15), own, few),
            Case("up to six in view, 5 fps", busy(6), own, few, 5),
            Case(
                "up to four in view, a line one head diameter from the border", busy(4), own, few, height=below_line(1)
            ),
        ],
    )
    hard = {
        "as above": Errors(),
        "a shadow: half of the heads missed half a metre around the line": Errors(strip=0.5),
        "a shoulder beside one head in ten": Errors(shoulder=0.1),
        "misses that last (time constant 0.4 s)": Errors(run_s=0.4),
        "twenty false heads a minute and five mannequins": Errors(false=0.033, ghosts=5),
        "twice the jitter": Errors(jitter=0.16, size=0.16),
    }
    yield (
        f"Harder than most doors\n\nUp to four in view, recall 0.9, 10 fps, {few:,} crossings each",
        "detector",
        [
            *(Case(name, busy(4), errors, few) for name, errors in hard.items()),
            Case(
                "as above; two in five stand for 14 to 40 s", replace(busy(4), odd=0.8, waits_s=LONG_S), Errors(), few
            ),
        ],
    )


def page(many: int, few: int) -> Iterator[str]:
    """Yield the page; rows are measured beside each other, one a processor."""
    times = {heads: frame_ms(heads) for heads in (1, 10, 40, 100)}
    plan = list(cases(many, few))
    with ProcessPoolExecutor() as pool, Progress(console=Console(stderr=True)) as progress:
        beside = pool.submit(compared, few)
        rows = [[pool.submit(case.row) for case in wanted] for _, _, wanted in plan]
        waiting: list[Future[Any]] = [beside, *(row for table_rows in rows for row in table_rows)]
        for _ in progress.track(as_completed(waiting), total=len(waiting), description="counting"):
            pass
    yield from _INTRODUCTION.format(
        version=platform.python_version(), machine=platform.machine(), seed=SEED
    ).splitlines()
    for (heading, first, _), table_rows in zip(plan, rows, strict=True):
        yield f"\n## {heading}:\n"
        yield from table(first, [row.result() for row in table_rows], mean=first == "in view")
    yield f"\n## Beside others\n\nUp to six in view, recall 0.9, 10 fps, {few:,} crossings, the same heads for all:\n"
    yield from table("counter", beside.result())
    ours = beside.result()[0][1].frame_ms
    yield "\n| counter | time a frame against ours |\n|---|--:|"
    yield from (f"| {name} | {outcome.frame_ms / ours:.1f} |" for name, outcome in beside.result())
    yield from ("", *_RIVALS.splitlines())
    if not any("LineZone" in name for name, _ in beside.result()):
        yield "\n**supervision wasn't installed when this page was made; its rows are missing.**"
    yield "\n## Time\n\nTracker and line, one thread, processor time:\n\n| heads | ms a frame |\n|--:|--:|"
    yield from (f"| {heads} | {ms:.3f} |" for heads, ms in times.items())


_INTRODUCTION = """\
# Accuracy

How well tracker and line count, apart from the camera and the head model.
This page is made by a command; its figures are never edited by hand:

```sh
pip install '.[test,compare]' && python -m tests.simulator
```

People walk through a simulated door (tests/simulator/walkers.py): 0.3 to 3 m/s, most about 1.2; a quarter comes in
groups; one in six turns back, waits, goes there and back, or passes beside the line.
A simulated detector (tests/simulator/eye.py) then errs as real ones do: it misses heads for several frames, puts them
beside their place, finds those at the picture's edge less often, is unsure of one in eight, sees shoulders (one head
in fifty, for 0.4 s on average) and second peaks beside heads, a lamp that is nearly always there, and heads where
nothing is. One table has the errors that the shipped detector makes on rendered doors instead.
Frames come unevenly, and 3 % never come.

An event is right if a true crossing goes the same way within one second, one to one.
*in off* and *out off* say how far the totals are off: misses and false ones netted.
Python {version} on {machine}, seed {seed}.
Real doors are measured by `footfall evaluate`; tests/golden holds what they score."""

_RIVALS = """\
supervision's ByteTrack matches boxes by their overlap, and heads are small: at 10 fps a walker's head doesn't overlap
with where it was.
Its second row gives it boxes twice as large and two frames to confirm a crossing.
The centroid tracker is the one that popular counters copy: nearest centre, 40 frames of patience, counted once when
past the middle."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("page", "soak"), default="page")
    parser.add_argument("--crossings", type=int, default=10_000, help="where a bar is set (default 10000)")
    parser.add_argument("--few", type=int, default=1_500, help="elsewhere (default 1500)")
    parser.add_argument("--hours", type=float, default=24.0)
    options = parser.parse_args()
    if options.what == "soak":
        held, tracks, paths = soak(options.hours)
        print(f"{held[0]:.1f} KiB after a sixth of {options.hours:g} h, {held[-1]:.1f} at the end; {tracks=} {paths=}")
        return
    PAGE.write_text("\n".join(page(options.crossings, options.few)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
