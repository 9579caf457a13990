"""
Render the demonstration clip and its truth: forty seconds at a shop's door, seen from above.

    python -m models.training.demo models/demo

Nobody in it exists. The truth is where the rendered heads' middles cross the line.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from . import shapes
from .people import Look
from .render import Draw, Light
from .scene import Scene, View, colours, dyed, heads, look, textured
from .stock import Stock, StockedPerson

WIDTH, HEIGHT, FPS, SECONDS = 640, 480, 15, 40
_LINE = 0.52
"""Height of the level line in the picture, 0 to 1."""
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


def _through(
    t: float, x: float, to: float, *, inwards: bool, speed: float = 1.2
) -> tuple[tuple[float, float, float], ...]:
    """Return a straight way through the door that is at its middle at *t*."""
    half = 2.6 / speed
    start, end = (x, -1.6), (to, 3.6)
    if not inwards:
        start, end = end, start
    return ((t - half, *start), (t + half, *end))


WALKERS = (
    Walker("alone", 3, _through(3.0, 0.1, -0.3, inwards=True)),
    Walker("alone, bag", 8, _through(6.4, -0.2, 0.4, inwards=False), "hand"),
    Walker("pair, left", 12, _through(9.6, -0.42, -0.5, inwards=True, speed=1.05)),
    Walker("pair, right", 17, _through(9.7, 0.35, 0.35, inwards=True, speed=1.05), "shoulder"),
    Walker("passes the one who leaves", 21, _through(13.4, -0.45, -0.7, inwards=True, speed=1.25)),
    Walker("passes the one who enters", 25, _through(13.5, 0.45, 0.6, inwards=False, speed=1.15), "backpack"),
    Walker(
        "turns back before the line", 30, ((15.6, 0.1, -1.6), (18.1, 0.15, 0.45), (19.2, 0.2, 0.5), (21.6, 0.0, -1.6))
    ),
    Walker("there and back", 34, ((20.9, -0.3, -1.6), (24.0, -0.25, 2.0), (25.6, 0.05, 2.1), (28.9, 0.25, -1.6))),
    Walker("with a child", 41, _through(30.0, -0.3, -0.4, inwards=True, speed=0.95)),
    Walker("child", 44, _through(30.15, 0.3, 0.25, inwards=True, speed=0.95), "none", 0.68),
    Walker("alone", 47, _through(33.0, 0.25, 0.0, inwards=False, speed=1.1), "shoulder"),
    Walker("fast", 52, _through(35.6, -0.3, 0.5, inwards=True, speed=1.7)),
    Walker("alone", 58, _through(37.4, 0.2, -0.4, inwards=False, speed=1.3), "backpack"),
)


class DemoMaker:
    """Draws the clip's frames."""

    def __init__(self) -> None:
        self._stock = Stock(2 * WIDTH, 2 * HEIGHT)
        eye = np.array([0.0, 3.25, 1.35], np.float32)
        self._view: View = look(eye, 9, 0.0, 0.01, 88, 0.35, WIDTH, HEIGHT)
        self._looks = [self._look(walker) for walker in WALKERS]
        self._random = np.random.default_rng(7)
        self._still = self._room()
        self._keep = len(self._stock.solids) + len(self._stock.props) + len(self._stock.blots)

    def _look(self, walker: Walker) -> Look:
        drawn = self._stock.wardrobe.look(np.random.default_rng(walker.seed))
        body = drawn.body * np.float32(walker.tall * 1.7 / drawn.height)
        lean = np.clip(drawn.lean, -0.2, 0.2)
        return replace(drawn, body=body, height=1.7 * walker.tall, load=walker.load, lean=lean, arms="swing")

    def _room(self) -> list[Draw]:
        """Return floor, pavement, mat, wall, door frame and a few goods."""
        stock, solid = self._stock, self._stock.solids["box"]
        floor, wall = stock.kinds["floor"], textured(stock.kinds["wall"][3], 0.6)
        draws = [
            Draw(stock.solids["floor"], shapes.transform((0, 0, 15)), colours(0.55), textured(floor[26], 0.8), 0,
                 False),
            Draw(stock.solids["floor"], shapes.transform((0, -0.02, -15)), colours(0.6, 0.5), textured(floor[14], 0.6),
                 0, False),
            Draw(stock.solids["patch"], shapes.transform((0, 0.006, 0.75), 0, (1.5, 1, 0.9)), colours(0.05),
                 textured(floor[8], 2), 0, False),
        ]  # fmt: skip
        for side in (-1, 1):
            place = shapes.transform((side * 3.9, 0, -0.1), 0, (6, 3.2, 0.2))
            draws.append(Draw(solid, place, colours((0.6, 0.57, 0.5)), wall))
            place = shapes.transform((side * 0.95, 0, -0.1), 0, (0.08, 2.25, 0.28))
            draws.append(Draw(solid, place, colours((0.08, 0.1, 0.12)), textured()))
        place = shapes.transform((0, 2.25, -0.1), 0, (2.0, 0.9, 0.2))
        draws.append(Draw(solid, place, colours((0.6, 0.57, 0.5)), wall, 0, False))
        for x, z, prop in ((-1.75, 2.3, 20), (1.8, 0.5, 33), (1.75, 2.6, 61)):
            goods = stock.props[prop]
            paint = goods.colours if goods.colours is not None else colours((0.35, 0.2, 0.12))
            draws.append(Draw(goods.mesh, shapes.transform((x, 0, z), 0.3), paint, textured(goods.layer)))
        return draws

    def frame(self, t: float) -> tuple[npt.NDArray[np.uint8], dict[int, tuple[float, float]]]:
        """Return the frame at *t* seconds, BGR, and the heads' middles in it, 0 to 1, by walker."""
        stock = self._stock
        stock.renderer.drop_after(self._keep)
        people = {}
        for number, (walker, appearance) in enumerate(zip(WALKERS, self._looks, strict=True), 1):
            place = walker.at(t)
            if place is None:
                continue
            x, z, yaw, walked = place
            walk = stock.wardrobe.walk
            phase = walked / _STRIDE_M * len(walk) % len(walk)
            before, after = walk[int(phase)], walk[(int(phase) + 1) % len(walk)]
            part = phase - int(phase)
            step = {name: (1 - part) * way + part * after[name] for name, way in before.items()}
            step = {name: way / np.linalg.norm(way) for name, way in step.items()}
            person = stock.wardrobe.pose(appearance, step, np.random.default_rng(walker.seed))
            stocked = StockedPerson(stock.renderer.upload(person.mesh), person, appearance, walker.seed)
            people[number] = stocked, shapes.transform((x, 0, z), yaw)
        draws = list(self._still)
        for number, (someone, matrix) in people.items():
            draws.append(Draw(someone.mesh, matrix, *dyed(stock, someone), number))
        camera = self._view.pinhole
        drawn, identity = stock.renderer.draw(draws, camera, _light(), np.array([0, 0, 1], np.float32))
        finished = self._view.lens.apply(drawn, camera.focal, smooth=True).astype(np.float32)
        finished += self._random.normal(0, 2.0, (HEIGHT, WIDTH, 1)).astype(np.float32)
        scene = Scene(draws, _light(), people, np.zeros(3, np.float32), "indoor")
        seen = [
            n for n in people if any(True for _ in heads(replace(scene, people={n: people[n]}), self._view, identity))
        ]
        middles = {}
        for n in seen:
            head = heads(replace(scene, people={n: people[n]}), self._view, identity)[0]
            middles[n] = (head.x / WIDTH, head.y / HEIGHT)
        return np.clip(finished[:, :, ::-1], 0, 255).astype(np.uint8), middles


def _light() -> Light:
    way = np.array([0.2, 1.0, 0.25])
    return Light(
        (way / np.linalg.norm(way)).astype(np.float32), np.full(3, 0.45, np.float32), np.full(3, 0.6, np.float32),
        np.full(3, 0.3, np.float32), np.array([0.3, 2.9, 1.6], np.float32), np.full(3, 0.8, np.float32), 1.6, 5, 0.2,
        1.0,
    )  # fmt: skip


def crossings(paths: dict[int, list[tuple[float, float]]]) -> list[dict[str, object]]:
    """Return each crossing of the line: *paths* has (seconds, y) of each walker's head. Inside is the lower side."""
    events: list[tuple[float, str, str]] = []
    for number, path in paths.items():
        for (t0, y0), (t1, y1) in pairwise(path):
            if (y0 < _LINE) != (y1 < _LINE):
                t = t0 + (t1 - t0) * (_LINE - y0) / (y1 - y0)
                events.append((round(t, 2), "in" if y1 > y0 else "out", WALKERS[number - 1].note))
    return [{"t": t, "dir": way, "note": note} for t, way, note in sorted(events)]


def main() -> None:
    """Write door.mp4 and door.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--stills", type=Path, help="also write a sheet of stills here")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    encoder = shutil.which("ffmpeg")
    if encoder is None:
        parser.error("ffmpeg isn't installed")
    clip = options.out / "door.mp4"
    command = [
        encoder, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{WIDTH}x{HEIGHT}",
        "-r", str(FPS), "-i", "-", "-c:v", "libx264", "-preset", "slow", "-crf", "29", "-pix_fmt", "yuv420p",
        "-movflags", "+faststart", str(clip),
    ]  # fmt: skip
    maker, paths, stills = DemoMaker(), {n: [] for n in range(1, len(WALKERS) + 1)}, []
    with subprocess.Popen(command, stdin=subprocess.PIPE) as pipe:
        assert pipe.stdin is not None  # noqa: S101 - it was asked for
        for index in range(FPS * SECONDS):
            picture, middles = maker.frame(index / FPS)
            pipe.stdin.write(picture.tobytes())
            for number, (_, y) in middles.items():
                paths[number].append((index / FPS, y))
            if index % 25 == 10:
                stills.append(cv2.resize(picture, (320, 240), interpolation=cv2.INTER_AREA))
    truth = {
        "clip": clip.name, "fps": float(FPS), "frames": FPS * SECONDS, "width": WIDTH, "height": HEIGHT,
        "view": "overhead",
        "line": {"from": [0.03, _LINE], "to": [0.97, _LINE], "inside": [0.5, 0.9]},
        "events": crossings(paths),
        "ignored": ["about 18 to 19.5 s: someone comes in as far as the mat and turns back before the line"],
        "sure": "Exact: computed from the rendered heads.",
        "difficulty": "Rendered. A pair, two in opposite directions, a child, a turn-back, one there and back.",
    }  # fmt: skip
    (options.out / "door.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    if options.stills:
        cv2.imwrite(str(options.stills), np.vstack([np.hstack(stills[row * 6 : row * 6 + 6]) for row in range(4)]))


if __name__ == "__main__":
    main()
