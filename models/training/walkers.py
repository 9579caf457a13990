"""People who walk through rendered scenes, frame by frame, and which of them cross a level line of the picture when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from . import shapes
from .assets import Assets, PersonAsset
from .people import Look
from .render import Draw
from .scene import Scene, View, dyed, heads

_STRIDE_M = 1.35
"""A whole cycle of the walk."""


@dataclass(frozen=True)
class Walker:
    """
    One person's way: at each time (seconds) the place on the floor, (x, z) in metres; straight in between.

    Attributes:
        note: For the truth.
        seed: Of the person's look.
    """

    note: str
    seed: int
    way: tuple[tuple[float, float, float], ...]
    load: str = "none"
    tall: float = 1.0

    def at(self, t: float) -> tuple[float, float, float, float] | None:
        """Return x, z, yaw (radians) and metres walked so far; None when out of sight."""
        times, xs, zs = (np.array(column) for column in zip(*self.way, strict=True))
        if not times[0] <= t <= times[-1]:
            return None
        x, z = np.interp(t, times, xs), np.interp(t, times, zs)
        fine = np.arange(times[0], t, 0.02)
        walked = np.hypot(np.diff(np.interp(fine, times, xs)), np.diff(np.interp(fine, times, zs))).sum()
        step = 0.25
        ahead = [np.interp(t + step, times, v) - np.interp(t - step, times, v) for v in (xs, zs)]
        if np.hypot(*ahead) < 0.05:
            late = np.searchsorted(times, t, side="right")
            ahead = [v[min(late, len(v) - 1)] - v[late - 1] for v in (xs, zs)]
        return float(x), float(z), float(np.arctan2(ahead[0], ahead[1])), float(walked)


def through(
    t: float, x: float, to: float, *, inwards: bool, speed: float = 1.2
) -> tuple[tuple[float, float, float], ...]:
    """Return a straight way through the door that is at its middle at *t*."""
    half = 2.6 / speed
    start, end = (x, -1.6), (to, 3.6)
    if not inwards:
        start, end = end, start
    return ((t - half, *start), (t + half, *end))


def turning_back(way: Sequence[tuple[float, float, float]]) -> tuple[tuple[float, float, float], ...]:
    """Return the way of somebody who goes two fifths of a straight *way*, and then back to its beginning."""
    (t0, x0, z0), (t1, x1, z1) = way
    return way[0], ((t0 + t1) / 2, (x0 + x1) / 2, 0.4 * z1 + 0.6 * z0), (t1, x0, z0)


def dressed(assets: Assets, walkers: Sequence[Walker]) -> list[Look]:
    """Return how each of *walkers* looks: by their seed, as tall as they are, with what they carry."""
    looks = [assets.wardrobe.look(np.random.default_rng(walker.seed)) for walker in walkers]
    return [
        replace(one, load=walker.load, body=one.body * np.float32(1.7 * max(0.85, walker.tall) / one.height))
        for one, walker in zip(looks, walkers, strict=True)
    ]


def walking(
    assets: Assets, walkers: Sequence[Walker], looks: Sequence[Look], t: float
) -> dict[int, tuple[PersonAsset, npt.NDArray[np.float64]]]:
    """Return those who are in sight at *t* seconds, by number (1 and up), uploaded and with their places."""
    people = {}
    for number, (walker, appearance) in enumerate(zip(walkers, looks, strict=True), 1):
        place = walker.at(t)
        if place is None:
            continue
        x, z, yaw, walked = place
        walk = assets.wardrobe.walk
        phase = walked / _STRIDE_M * len(walk) % len(walk)
        before, after = walk[int(phase)], walk[(int(phase) + 1) % len(walk)]
        part = phase - int(phase)
        step = {name: (1 - part) * way + part * after[name] for name, way in before.items()}
        step = {name: way / np.linalg.norm(way) for name, way in step.items()}
        person = assets.wardrobe.pose(appearance, step, np.random.default_rng(walker.seed))
        uploaded = PersonAsset(assets.renderer.upload(person.mesh), person, appearance, walker.seed)
        people[number] = uploaded, shapes.transform((x, 0, z), yaw)
    return people


def middles(assets: Assets, scene: Scene, view: View) -> tuple[npt.NDArray[np.uint8], dict[int, tuple[float, float]]]:
    """Draw *scene* with its people; return the picture, RGB, and the heads' middles in it, 0 to 1, by number."""
    draws = list(scene.draws)
    for number, (someone, matrix) in scene.people.items():
        draws.append(Draw(someone.mesh, matrix, *dyed(assets, someone), number))
    drawn, identity = assets.renderer.draw(draws, view.pinhole, scene.light, scene.middle)
    found = {}
    for number in scene.people:
        for head in heads(replace(scene, people={number: scene.people[number]}), view, identity):
            found[number] = (head.x / view.lens.width, head.y / view.lens.height)
    return view.lens.apply(drawn, view.pinhole.focal, smooth=True), found


def crossings(paths: dict[int, list[tuple[float, float]]], line: float) -> list[tuple[float, bool, int]]:
    """Return (seconds, whether downwards, number) of each crossing of the level *line*; *paths* has (seconds, y)."""
    events = []
    for number, path in paths.items():
        for (t0, y0), (t1, y1) in pairwise(path):
            if (y0 < line) != (y1 < line):
                t = t0 + (t1 - t0) * (line - y0) / (y1 - y0)
                events.append((round(t, 2), y1 > y0, number))
    return sorted(events)
