"""
Render doors with known truth and keep what the shipped detector finds in them; the pictures themselves are dropped.

    python -m models.training.door_heads DATA/door-heads --doors 24 --seed 40

Each door is 20 s of a random scene with a camera over it, and people who walk through alone, in pairs and close behind
each other; every second one is an ordinary shop's by day. A file holds the true heads and the found ones, frame by
frame: `models.training.fit_tracking` measures the detector's errors on these files.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge.core.head_model import read
from edge.vision.detector import Detector

from .assets import Assets
from .camera_effects import pass_on, spoil
from .data import shared_out
from .doors import random_view
from .fit_tracking import FPS, DoorHeads
from .render import Draw
from .scene import SceneMaker, dyed, heads
from .walkers import Walker, dressed, through, turning_back, walking

WIDTH, HEIGHT, SECONDS = 384, 288, 20
LEAST_SCORE = 0.12
"""Found heads are kept from this score on, below every threshold."""
LEAST_VISIBLE = 0.1
"""True heads of which a smaller share can be seen are left out."""


def random_walkers(random: np.random.Generator) -> list[Walker]:
    """Draw who comes by: one to four every few seconds, beside or behind each other; some turn back on the line."""
    walkers: list[Walker] = []
    t = 0.5
    while t < SECONDS - 1:
        inwards, speed = bool(random.random() < 0.5), float(random.uniform(0.6, 1.7))
        count, queue = int(random.choice([1, 1, 2, 2, 3, 4])), bool(random.random() < 0.4)
        gap = float(random.uniform(0.38, 0.7))
        x0 = float(random.uniform(-0.6, 0.4))
        for index in range(count):
            x = x0 + random.normal(0, 0.08) if queue else x0 + gap * index + random.normal(0, 0.05)
            start = t + (index * gap / speed if queue else random.uniform(0, 0.3))
            way = through(start, x, x + random.normal(0, 0.2), inwards=inwards, speed=speed)
            if random.random() < 0.12:
                way = turning_back(way)
            load = str(random.choice(["none", "none", "shoulder", "backpack", "hand", "trolley"]))
            walkers.append(Walker("", int(random.integers(1 << 30)), way, load, float(random.uniform(0.6, 1.1))))
        t += float(random.uniform(0.8, 3.0))
    return walkers


def door(assets: Assets, detector: Detector, seed: int) -> DoorHeads:
    """Render the door of a *seed*, an ordinary shop's where it is odd, and look at each frame."""
    random = np.random.default_rng(seed)
    view, walkers = random_view(random, WIDTH, HEIGHT), random_walkers(random)
    assets.renderer.drop_after(assets.fixed)
    scene = SceneMaker(assets, random).furnished(view, "ordinary" if seed % 2 else "any")
    looks = dressed(assets, walkers)
    still = np.zeros((HEIGHT, WIDTH), np.float32)
    true: list[tuple[float, ...]] = []
    found: list[tuple[float, ...]] = []
    for index in range(FPS * SECONDS):
        assets.renderer.drop_after(assets.fixed)
        now = replace(scene, people=walking(assets, walkers, looks, index / FPS))
        draws = list(now.draws)
        for number, (someone, matrix) in now.people.items():
            draws.append(Draw(someone.mesh, matrix, *dyed(assets, someone), number))
        drawn, identity = assets.renderer.draw(draws, view.pinhole, now.light, now.middle)
        for number in now.people:
            alone = replace(now, people={number: now.people[number]})
            true += [
                (index, number, head.x, head.y, head.diameter, head.visible)
                for head in heads(alone, view, identity)
                if head.visible >= LEAST_VISIBLE
            ]
        picture = view.lens.apply(drawn, view.pinhole.focal, smooth=True)
        same = np.random.default_rng(seed)
        finished = pass_on(picture, still, same) if seed % 2 else spoil(picture, still, scene.mood, same)
        seen = detector.detect(np.ascontiguousarray(finished[:, :, ::-1]))
        rows = zip(seen.centres.tolist(), seen.diameters.tolist(), seen.scores.tolist(), strict=True)
        found += [(index, x, y, diameter, score) for (x, y), diameter, score in rows]
    return DoorHeads(
        (WIDTH, HEIGHT),
        np.arange(FPS * SECONDS) * 1000 / FPS,
        np.array(true, np.float32).reshape(-1, 6),
        np.array(found, np.float32).reshape(-1, 5),
    )


def main() -> None:
    """Render doors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--contract", type=Path, default=Path("models/head.json"))
    parser.add_argument("--doors", type=int, default=24)
    parser.add_argument("--seed", type=int, default=40)
    parser.add_argument("--part", default="0/1", help="which share of the doors, as 0/2 and 1/2")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    detector = Detector(replace(read(options.contract), weak=LEAST_SCORE))
    assets = Assets(2 * WIDTH, 2 * HEIGHT)
    for number in shared_out(options.doors, options.part):
        path = options.folder / f"{number:03d}.npz"
        if path.exists():
            continue
        made = door(assets, detector, 1000 * options.seed + number)
        made.save(path)
        print(f"door {number + 1} of {options.doors}: {len(made.true)} true heads, {len(made.found)} found", flush=True)


if __name__ == "__main__":
    main()
