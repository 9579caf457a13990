"""
Measure how the shipped detector errs on rendered doors with known truth, for the counting model and its simulator.

    python -m models.training.fit_tracking DATA/door-heads --out models/training/detector_errors.json

DATA/door-heads is what `models.training.door_heads` wrote. Nothing here is random: the same files give the same report.
The simulator's detector (tests/simulator/eye.py) takes its errors from the report; `TrackingSettings` names what it
takes from there.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.core.head_model import Contract, read

FPS = 10
"""Of the rendered doors."""
SAME = 0.6
"""A found head is a true one if it is nearer to its middle than this, diameters of the true head."""
BESIDE = 1.5
"""Another found one that is nearer to a true head than this is a part of the nearest, diameters."""
FAR = 4.0
"""Farther from every true head than this, diameters, it is clutter; between the two it may be somebody's hand."""
SEEN = 0.5
"""Heads of which a smaller share can be seen are hidden: whether they are found says nothing about the detector."""
SCORES = (0.12, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 1.0)
SIZES = (0, 20, 35, 60, 1000)
"""Edges of the bands of scores, and of diameters, px of a picture of 384 x 288, by which the noise is told."""
QUANTILES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
STATIC = 0.3
"""Clutter that is found again a second later, nearer than this, diameters, stands still: a lamp, a face on a poster."""

TYPICAL = (
    *("missed", "miss_run_s", "missed_at_border", "position_noise", "size_noise", "part_share", "part_run_s"),
    *("clutter_a_frame", "static_clutter_a_frame"),
)
"""Of these the median over the doors is told, too: one dim door has more misses than ten others."""

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DoorHeads:
    """
    What is true of one rendered door, and what the detector found.

    Attributes:
        size: Width and height of the picture, px.
        times_ms: Time of each frame, (frames,).
        true: (n, 6) float32: frame, person's number, x, y, diameter (px), visible share of the head.
        found: (m, 5) float32: frame, x, y, diameter (px), score.
    """

    size: tuple[int, int]
    times_ms: npt.NDArray[np.float64]
    true: npt.NDArray[np.float32]
    found: npt.NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Write *path* at once, never a part of it."""
        partial = path.with_suffix(".part")
        with partial.open("wb") as file:
            np.savez_compressed(file, size=self.size, times_ms=self.times_ms, true=self.true, found=self.found)
        partial.replace(path)

    @staticmethod
    def load(path: Path) -> DoorHeads:
        """Read one file."""
        with np.load(path) as saved:
            width, height = map(int, saved["size"])
            return DoorHeads((width, height), saved["times_ms"], saved["true"], saved["found"])


@dataclass
class Gathered:
    """
    What was found in all doors.

    Attributes:
        heads: (score, dx, dy in diameters, logarithm of the size's error, diameter) of each true head that was found.
        steps: Change of that logarithm from one frame to the next, of each head that was found in both.
        found: For each person, in order of time, whether the head was found in each frame in which it could be seen.
        at_border: Whether found, of heads whose middle is nearer to the border than half a diameter.
        parts: (score, share of its head's score, distance in diameters) of each part beside a head.
        runs: For each person, whether a part was beside the head, frame by frame.
        clutter: (score, whether static) of what is nowhere near a head.
        frames: How many there were.
    """

    heads: list[tuple[float, ...]] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    found: list[list[bool]] = field(default_factory=list)
    at_border: list[bool] = field(default_factory=list)
    parts: list[tuple[float, ...]] = field(default_factory=list)
    runs: list[list[bool]] = field(default_factory=list)
    clutter: list[tuple[float, bool]] = field(default_factory=list)
    frames: int = 0


def gather(door: DoorHeads, weak: float, into: Gathered) -> None:
    """Add what was found in one door, from the score *weak* on."""
    width, height = door.size
    found_in = [
        door.found[(door.found[:, 0] == index) & (door.found[:, 4] >= weak)] for index in range(len(door.times_ms))
    ]
    people: dict[int, list[bool]] = {}
    beside: dict[int, list[bool]] = {}
    sizes: dict[int, tuple[int, float]] = {}
    for index, found in enumerate(found_in):
        into.frames += 1
        true = door.true[door.true[:, 0] == index]
        owners = _owners(found, true)
        for row, (_, number, x, y, diameter, visible) in enumerate(true.tolist()):
            mine = int(np.flatnonzero(owners == row)[0]) if (owners == row).any() else None
            if min(x, y, width - x, height - y) < diameter / 2:
                into.at_border.append(mine is not None)
            elif visible >= SEEN:
                people.setdefault(int(number), []).append(mine is not None)
            if mine is None:
                continue
            _, found_x, found_y, found_diameter, score = found[mine].tolist()
            error = math.log(found_diameter / diameter)
            if visible >= SEEN:
                noise = (found_x - x) / diameter, (found_y - y) / diameter
                into.heads.append((score, *noise, error, diameter))
            last, before = sizes.get(int(number), (-1, 0.0))
            if last == index - 1:
                into.steps.append(error - before)
            sizes[int(number)] = index, error
            parts = [part for part in _others(found, owners) if _nearest(part, true) == row]
            beside.setdefault(int(number), []).append(bool(parts))
            into.parts += [(part[4], part[4] / score, _distance(part, (x, y)) / diameter) for part in parts]
        later = found_in[index + FPS] if index + FPS < len(found_in) else np.empty((0, 5), np.float32)
        for other in _others(found, owners):
            if _nearest(other, true, FAR) is None:
                again = any(_distance(row, (other[1], other[2])) < STATIC * other[3] for row in later.tolist())
                into.clutter.append((other[4], again))
    into.found += people.values()
    into.runs += beside.values()


def _owners(found: Rows, true: Rows) -> npt.NDArray[np.intp]:
    """Return, for each found head, the index of the true one that it is, -1 for none; the nearest pairs first."""
    owners = np.full(len(found), -1, np.intp)
    if not len(found) or not len(true):
        return owners
    away = np.hypot(found[:, None, 1] - true[None, :, 2], found[:, None, 2] - true[None, :, 3]) / true[None, :, 4]
    for flat in np.argsort(away, axis=None, kind="stable"):
        row, column = np.unravel_index(flat, away.shape)
        if away[row, column] > SAME:
            break
        if owners[row] < 0 and column not in owners:
            owners[row] = column
    return owners


def _others(found: Rows, owners: npt.NDArray[np.intp]) -> list[list[float]]:
    rows: list[list[float]] = found[owners < 0].tolist()
    return rows


def _nearest(other: Sequence[float], true: Rows, within: float = BESIDE) -> int | None:
    """Return the index of the true head that is nearest to *other*, if it is nearer than *within*, diameters."""
    away = [_distance(other, (x, y)) / diameter for _, _, x, y, diameter, _ in true.tolist()]
    nearest = min(range(len(away)), key=away.__getitem__, default=None)
    return nearest if nearest is not None and away[nearest] < within else None


def _distance(row: Sequence[float], place: tuple[float, float]) -> float:
    return math.hypot(row[1] - place[0], row[2] - place[1])


def chain(runs: Sequence[Sequence[bool]]) -> tuple[float, float]:
    """
    Return the share of frames in which something is so, and with which time constant, s, that is forgotten.

    A chain of two states: if it is so now, it is so in the next frame with the probability e + (1 - e) share.
    """
    states = [state for run in runs for state in run]
    share = sum(states) / max(1, len(states))
    pairs = [(now, after) for run in runs for now, after in pairwise(run)]
    staying = sum(now and after for now, after in pairs) / max(1, sum(now for now, _ in pairs))
    remembered = (staying - share) / max(1e-9, 1 - share)
    return share, -1 / FPS / math.log(remembered) if 0 < remembered < 1 else 0.0


def report(gathered: Gathered, contract: Contract) -> dict[str, Any]:
    """Return what was measured, as JSON."""
    heads = np.array(gathered.heads)
    parts = np.array(gathered.parts).reshape(-1, 3)
    missed, miss_s = chain([[not found for found in run] for run in gathered.found])
    beside, beside_s = chain(gathered.runs)
    clutter = np.array([score for score, _ in gathered.clutter])
    static = sum(again for _, again in gathered.clutter)
    return {
        "model": contract.identity,
        "thresholds": [contract.strong, contract.weak],
        "frames": gathered.frames,
        "heads": len(heads),
        "missed": _rounded(missed),
        "miss_run_s": _rounded(miss_s),
        "missed_at_border": _rounded(1 - sum(gathered.at_border) / max(1, len(gathered.at_border))),
        "scores_of_heads": _quantiles(heads[:, 0]),
        "scores_of_clutter": _quantiles(clutter),
        "position_noise": _rounded(_spread(heads[:, 1:3])),
        "position_noise_by_score": list(_by(heads, 0, SCORES, (1, 2))),
        "position_noise_by_size": list(_by(heads, 4, SIZES, (1, 2))),
        "size_noise": _rounded(_spread(heads[:, 3])),
        "size_step": _rounded(_spread(np.array(gathered.steps))),
        "size_noise_by_score": list(_by(heads, 0, SCORES, (3,))),
        "part_share": _rounded(beside),
        "part_run_s": _rounded(beside_s),
        "part_distance": _quantiles(parts[:, 2]),
        "scores_of_parts": _quantiles(parts[:, 0]),
        "part_score_share": _quantiles(parts[:, 1]),
        "clutter_a_frame": _rounded((len(clutter) - static) / max(1, gathered.frames)),
        "static_clutter_a_frame": _rounded(static / max(1, gathered.frames)),
    }


def _spread(values: npt.NDArray[np.float64]) -> float:
    """Return the standard deviation around the median, without the outermost percent."""
    away = np.abs(values - np.median(values, axis=0)).ravel()
    return float(np.sqrt(np.mean(away[away <= np.quantile(away, 0.99)] ** 2))) if len(away) else 0.0


def _by(
    rows: npt.NDArray[np.float64], key: int, edges: Sequence[float], columns: Sequence[int]
) -> Iterator[dict[str, float]]:
    for low, high in pairwise(edges):
        chosen = rows[(rows[:, key] >= low) & (rows[:, key] < high)]
        if len(chosen):
            yield {"from": low, "to": high, "heads": len(chosen), "noise": _rounded(_spread(chosen[:, list(columns)]))}


def _quantiles(values: npt.NDArray[np.float64]) -> list[float]:
    return [_rounded(float(value)) for value in np.quantile(values, QUANTILES)] if len(values) else []


def _rounded(value: float) -> float:
    return round(value, 4)


def main() -> None:
    """Write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--contract", type=Path, default=Path("models/head.json"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    contract = read(options.contract)
    gathered = Gathered()
    doors: list[dict[str, Any]] = []
    paths = sorted(options.folder.glob("*.npz"))
    if not paths:
        parser.error(f"there are no doors in {options.folder}; models.training.door_heads renders some")
    for path in paths:
        door, alone = DoorHeads.load(path), Gathered()
        gather(door, contract.weak, gathered)
        gather(door, contract.weak, alone)
        doors.append(report(alone, contract))
    typical = {name: _rounded(float(np.median([door[name] for door in doors]))) for name in TYPICAL}
    made = {"doors": len(paths), "typical": typical, **report(gathered, contract), "quantiles": list(QUANTILES)}
    options.out.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
