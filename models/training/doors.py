"""
Render doors with truth, to choose thresholds by: how heads are found is one thing, how people are counted another.

    python -m models.training.doors DATA/doors --doors 16 --seed 7
    python -m models.training.doors DATA/doors --choose models/head.json

Each door is 20 s at 10 frames a second of a random scene with a camera over it, and people who walk through, alone, in
pairs, past each other, to and fro. Half of the cameras look straight down; every second door is an ordinary shop's by
day. Only thresholds and the size of the input are chosen by them: the network never sees one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.config.schema import Line
from edge.core.head_model import Contract, read
from edge.evaluation.score import Event, Score, score, together
from edge.vision.detector import Detector
from edge.vision.scene import Heads

from .assets import Assets
from .camera_effects import pass_on, spoil
from .counting import counted
from .data import shared_out
from .scene import Scene, SceneMaker, View, look
from .walkers import Walker, crossings, dressed, middles, through, turning_back, walking

WIDTH, HEIGHT, FPS, SECONDS = 640, 480, 10, 20
_STRONG = (0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
_WEAK = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)
_LEVEL, _LOWEST_LINTEL = 1.6, 2.0
"""Metres over the floor: heads, and the lowest top of a door."""
_NEARLY = 0.01
"""What F1 may be less by than the best, for thresholds that count nearly as well."""


@dataclass(frozen=True)
class Door:
    """A rendered door: frames (n, 480, 640, 3) uint8 BGR, its level line (y, 0 to 1; inside is below), the truth."""

    frames: npt.NDArray[np.uint8]
    line: float
    events: tuple[Event, ...]


def random_view(random: np.random.Generator, width: int = WIDTH, height: int = HEIGHT) -> View:
    """Draw a camera that looks along or against the way through the door, and sees the heads on its line."""
    while True:
        tilt = abs(random.normal(0, 8)) if random.random() < 0.5 else random.uniform(10, 50)
        eye = np.array([random.normal(0, 0.2), random.uniform(2.3, 4.0), random.uniform(0.4, 1.6)], np.float32)
        yaw = random.choice([0.0, np.pi]) + random.normal(0, 0.05)
        roll, wide, bend = random.normal(0, 0.03), random.uniform(60, 105), random.uniform(0, 0.6)
        view = look(eye, tilt, yaw, roll, wide, bend, width, height)
        if not _behind_lintel(view):
            return view


def random_walkers(random: np.random.Generator) -> list[Walker]:
    """Draw who comes by: one to three every few seconds; some turn back."""
    walkers: list[Walker] = []
    t = 2.0
    while t < SECONDS - 2:
        inwards, speed = bool(random.random() < 0.5), float(random.uniform(0.7, 1.6))
        for index in range(int(random.choice([1, 1, 1, 2, 2, 3]))):
            x = -0.55 + 0.55 * index + random.normal(0, 0.07)
            way = through(t + random.uniform(0, 0.4), x, x + random.normal(0, 0.2), inwards=inwards, speed=speed)
            if random.random() < 0.12:
                way = turning_back(way)
            loads = ["none", "none", "shoulder", "backpack", "hand", "trolley"]
            walkers.append(
                Walker(
                    "", int(random.integers(1 << 30)), way, str(random.choice(loads)), float(random.uniform(0.6, 1.1))
                )
            )
        t += float(random.uniform(1.2, 3.5))
    return walkers


class DoorMaker:
    """Draws doors; one a process."""

    def __init__(self) -> None:
        self._assets = Assets(2 * WIDTH, 2 * HEIGHT)

    def door(self, seed: int) -> Door:
        """Return the door of a *seed*: an ordinary shop's where it is odd."""
        random = np.random.default_rng(seed)
        assets, view, walkers = self._assets, random_view(random), random_walkers(random)
        assets.renderer.drop_after(assets.fixed)
        scene = SceneMaker(assets, random).furnished(view, "ordinary" if seed % 2 else "any")
        looks = dressed(assets, walkers)
        line, _ = _line(view)
        frames, paths = [], {number: [] for number in range(1, len(walkers) + 1)}  # type: ignore[var-annotated]
        for index in range(FPS * SECONDS):
            assets.renderer.drop_after(assets.fixed)
            now: Scene = replace(scene, people=walking(assets, walkers, looks, index / FPS))
            drawn, found = middles(assets, now, view)
            still = np.zeros((HEIGHT, WIDTH), np.float32)
            same = np.random.default_rng(seed)
            finished = pass_on(drawn, still, same) if seed % 2 else spoil(drawn, still, scene.mood, same)
            frames.append(finished[:, :, ::-1])
            for number, (_, y) in found.items():
                paths[number].append((index / FPS, y))
        events = (Event(t, "in" if down else "out") for t, down, _ in crossings(paths, line))
        return Door(np.stack(frames), line, tuple(events))


def _line(view: View) -> tuple[float, float]:
    """Return the height, 0 to 1, of a level line that everybody crosses in the picture's middle part, and its z."""
    heads = np.array([(0.0, _LEVEL, z) for z in np.linspace(-0.6, 2.4, 40)])
    y = view.lens.bent(view.pinhole.project(heads)[:, :2], view.pinhole.focal)[:, 1] / view.lens.height
    nearest = int(np.argmin(np.abs(y - 0.5)))
    return float(np.clip(y[nearest], 0.25, 0.75)), float(heads[nearest, 2])


def _behind_lintel(view: View) -> bool:
    """Tell whether the top of a door would hide the heads on the line: nobody mounts a camera like that."""
    _, line_z = _line(view)
    _, eye_y, eye_z = view.pinhole.eye
    if not line_z < 0 < eye_z:
        return False
    return bool(eye_y + (_LEVEL - eye_y) * eye_z / (eye_z - line_z) > _LOWEST_LINTEL)


def load(folder: Path) -> Iterator[Door]:
    """Read all doors of a folder, one after the other."""
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as saved:
            told = json.loads(str(saved["truth"]))
            yield Door(saved["frames"], told["line"], tuple(Event(t, way) for t, way in told["events"]))


def choose(contract: Contract, doors: Iterable[Door]) -> tuple[float, float, Score]:
    """
    Return the strong and weak score with the most right of those that count nearly as well as the best; its Score.

    The most right, since real heads get lower scores than rendered ones: what is missed here is missed more often
    there.
    """
    detector = Detector(replace(contract, weak=min(_WEAK)))
    watched = [(_across(door.line), door.events, _watched(detector, door)) for door in doors]
    tried: dict[tuple[float, float], Score] = {}
    for strong, weak in product(_STRONG, _WEAK):
        if weak >= strong:
            continue
        thresholds = replace(contract, strong=strong, weak=weak)
        found = together(
            score(counted(seen, line, (WIDTH, HEIGHT), thresholds), events) for line, events, seen in watched
        )
        print(f"{strong:.2f} {weak:.2f}  F1 {found.f1:.3f}, {found.right} of {sum(found.true.values())} right")
        tried[strong, weak] = found
    best = max(found.f1 for found in tried.values())
    near = [pair for pair, found in tried.items() if found.f1 >= best - _NEARLY]
    strong, weak = max(near, key=lambda pair: (tried[pair].right, tried[pair].f1))
    return strong, weak, tried[strong, weak]


def _across(level: float) -> Line:
    """Return the line at *level*, 0 to 1, with the inside below it."""
    return Line.model_validate({"from": (0.0, level), "to": (1.0, level), "inside": (0.5, 0.98)})


def _watched(detector: Detector, door: Door) -> list[tuple[float, Heads]]:
    """Return each frame's time, ms, and the heads found in it."""
    return [
        (1000 * index / FPS, detector.detect(np.ascontiguousarray(frame))) for index, frame in enumerate(door.frames)
    ]


def main() -> None:
    """Render doors, or choose thresholds by them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--doors", type=int, default=16)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--part", default="0/1", help="which share of the doors, as 0/2 and 1/2")
    parser.add_argument("--choose", type=Path, metavar="CONTRACT", help="print thresholds for this model and end")
    options = parser.parse_args()
    if options.choose:
        strong, weak, found = choose(read(options.choose), load(options.folder))
        print(f"F1 {found.f1:.3f}\n--strong {strong:.2f} --weak {weak:.2f}")
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    maker = DoorMaker()
    for number in shared_out(options.doors, options.part):
        path = options.folder / f"{number:03d}.npz"
        if path.exists():
            continue
        door = maker.door(1000 * options.seed + number)
        truth = json.dumps({"line": door.line, "events": door.events})
        partial = path.with_suffix(".part")
        with partial.open("wb") as file:
            np.savez_compressed(file, frames=door.frames, truth=truth)
        partial.replace(path)
        print(f"door {number + 1} of {options.doors}: {len(door.events)} crossings", flush=True)


if __name__ == "__main__":
    main()
