"""
Count doors with the shipped model and with the beliefs, side by side: `python -m tests.simulator.belief`.

It prints one table, in Markdown: all recorded doors, at the shipped thresholds of the head model, at ten pairs around
them and at two far lower ones, and the simulated doors of `python -m tests.simulator`. The heads of the recorded doors
are found once and kept in --heads, where `python -m tests.simulator.ablation` keeps them too. docs/adr/0130 says what
was learned.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from edge.core import head_model
from edge.core.head_model import Contract
from edge.evaluation.score import Score, together
from edge.vision.tracking.settings import SETTINGS
from tests import clips
from tests.simulator.__main__ import Case, cases
from tests.simulator.ablation import HEADS, STEPS, Recording, count, count_with, recordings, shown
from tests.simulator.belief.model import BeliefModel, Beliefs
from tests.simulator.rivals import Ours

_CROSSINGS, _QUICK_CROSSINGS = 400, 40
_LOW = ((-0.1, -0.1), (-0.15, -0.13))
"""Far lower thresholds, which the eleven pairs leave out: a model that weighs scores should bear them."""
_HEADER = ("", "shipped: right / false / missed", "F1", "beliefs: right / false / missed", "F1")


def count_believing(recording: Recording, strong: float, weak: float) -> Score:
    """Count one clip by the beliefs with these thresholds, and hold it against its truth."""
    return count_with(recording, lambda line, size: BeliefModel({"line": line}, *size, strong, weak))


def row(name: str, *scores: Score) -> str:
    """Return a line of the table."""
    return f"| {' | '.join((name, *(cell for score in scores for cell in shown(score))))} |"


def recorded(doors: Sequence[Recording], contract: Contract, *, quick: bool) -> Iterator[str]:
    """Yield a row for each recorded door at the shipped thresholds, their totals, and the means over eleven pairs."""
    f1: list[tuple[float, float]] = []
    for strong_step, weak_step in STEPS[:1] if quick else (*STEPS, *_LOW):
        strong, weak = contract.strong + strong_step, contract.weak + weak_step
        shipped = [count(door, strong, weak, SETTINGS) for door in doors]
        believed = [count_believing(door, strong, weak) for door in doors]
        totals = together(shipped), together(believed)
        if not f1:
            for door, *scores in zip(doors, shipped, believed, strict=True):
                yield row(door.clip.stem, *scores)
        f1.append((totals[0].f1, totals[1].f1))
        yield row(f"**all recorded doors**, thresholds {strong:.2f} and {weak:.2f}", *totals)
        if len(f1) == len(STEPS):
            ours, theirs = (sum(column) / len(f1) for column in zip(*f1, strict=True))
            yield f"| **mean over these {len(f1)} pairs of thresholds** | | {ours:.4f} | | {theirs:.4f} |"


def simulated(case: Case) -> list[Score]:
    """Return what the shipped model and the beliefs make of the same simulated heads."""
    strong = case.errors.strong
    outcomes = case.outcomes(
        [lambda fps: Ours(fps, case.height, strong=strong), lambda fps: Beliefs(fps, case.height, strong)]
    )
    return [outcome.score for outcome in outcomes]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator.belief", description=__doc__)
    parser.add_argument("--heads", type=Path, default=HEADS)
    parser.add_argument(
        "--crossings", type=int, help=f"simulated ones a row, {_CROSSINGS}; with --quick {_QUICK_CROSSINGS}"
    )
    parser.add_argument("--quick", action="store_true", help="only the shipped thresholds, and fewer crossings")
    options = parser.parse_args()
    crossings = options.crossings or (_QUICK_CROSSINGS if options.quick else _CROSSINGS)
    contract = head_model.read()
    doors = list(recordings(options.heads, contract))
    if not doors:
        absent = f"the recorded doors are LEFT OUT: there are none in {clips.DOORS}; FOOTFALL_CLIPS names the folder"
        print(absent, file=sys.stderr)
    print(f"| {' | '.join(_HEADER)} |\n|---|" + "--:|" * (len(_HEADER) - 1))
    for line in recorded(doors, contract, quick=options.quick) if doors else ():
        print(line, flush=True)
    plan = [
        (heading.split("\n")[0] + (f": {case.name}" if len(wanted) > 1 else ""), case)
        for heading, _, wanted in cases(crossings, crossings)
        for case in wanted
    ]
    for name, case in track(plan, "counting", console=Console(stderr=True)):
        print(row(name, *simulated(case)), flush=True)


if __name__ == "__main__":
    main()
