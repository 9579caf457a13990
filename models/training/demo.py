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
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from . import shapes
from .assets import Assets
from .people import Look
from .render import Draw, Light
from .scene import Scene, View, colours, look, textured
from .walkers import Walker, crossings, middles, through, walking

WIDTH, HEIGHT, FPS, SECONDS = 640, 480, 15, 40
_LINE = 0.52
"""Height of the level line in the picture, 0 to 1."""


WALKERS = (
    Walker("alone", 3, through(3.0, 0.1, -0.3, inwards=True)),
    Walker("alone, bag", 8, through(6.4, -0.2, 0.4, inwards=False), "hand"),
    Walker("pair, left", 12, through(9.6, -0.42, -0.5, inwards=True, speed=1.05)),
    Walker("pair, right", 17, through(9.7, 0.35, 0.35, inwards=True, speed=1.05), "shoulder"),
    Walker("passes the one who leaves", 21, through(13.4, -0.45, -0.7, inwards=True, speed=1.25)),
    Walker("passes the one who enters", 25, through(13.5, 0.45, 0.6, inwards=False, speed=1.15), "backpack"),
    Walker(
        "turns back before the line", 30, ((15.6, 0.1, -1.6), (18.1, 0.15, 0.45), (19.2, 0.2, 0.5), (21.6, 0.0, -1.6))
    ),
    Walker("there and back", 34, ((20.9, -0.3, -1.6), (24.0, -0.25, 2.0), (25.6, 0.05, 2.1), (28.9, 0.25, -1.6))),
    Walker("with a child", 41, through(30.0, -0.3, -0.4, inwards=True, speed=0.95)),
    Walker("child", 44, through(30.15, 0.3, 0.25, inwards=True, speed=0.95), "none", 0.68),
    Walker("alone", 47, through(33.0, 0.25, 0.0, inwards=False, speed=1.1), "shoulder"),
    Walker("fast", 52, through(35.6, -0.3, 0.5, inwards=True, speed=1.7)),
    Walker("alone", 58, through(37.4, 0.2, -0.4, inwards=False, speed=1.3), "backpack"),
)


class DemoMaker:
    """Draws the clip's frames."""

    def __init__(self) -> None:
        self._assets = Assets(2 * WIDTH, 2 * HEIGHT)
        eye = np.array([0.0, 3.25, 1.35], np.float32)
        self._view: View = look(eye, 9, 0.0, 0.01, 88, 0.35, WIDTH, HEIGHT)
        self._looks = [self._look(walker) for walker in WALKERS]
        self._random = np.random.default_rng(7)
        self._still = self._room()

    def _look(self, walker: Walker) -> Look:
        drawn = self._assets.wardrobe.look(np.random.default_rng(walker.seed))
        body = drawn.body * np.float32(walker.tall * 1.7 / drawn.height)
        lean = np.clip(drawn.lean, -0.2, 0.2)
        return replace(drawn, body=body, height=1.7 * walker.tall, load=walker.load, lean=lean, arms="swing")

    def _room(self) -> list[Draw]:
        """Return floor, pavement, mat, wall, door frame and a few goods."""
        assets, solid = self._assets, self._assets.solids["box"]
        floor, wall = assets.kinds["floor"], textured(assets.kinds["wall"][3], 0.6)
        draws = [
            Draw(assets.solids["floor"], shapes.transform((0, 0, 15)), colours(0.55), textured(floor[26], 0.8), 0,
                 False),
            Draw(assets.solids["floor"], shapes.transform((0, -0.02, -15)), colours(0.6, 0.5), textured(floor[14], 0.6),
                 0, False),
            Draw(assets.solids["patch"], shapes.transform((0, 0.006, 0.75), 0, (1.5, 1, 0.9)), colours(0.05),
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
            goods = assets.props[prop]
            paint = goods.colours if goods.colours is not None else colours((0.35, 0.2, 0.12))
            draws.append(Draw(goods.mesh, shapes.transform((x, 0, z), 0.3), paint, textured(goods.layer)))
        return draws

    def frame(self, t: float) -> tuple[npt.NDArray[np.uint8], dict[int, tuple[float, float]]]:
        """Return the frame at *t* seconds, BGR, and the heads' middles in it, 0 to 1, by walker."""
        self._assets.renderer.drop_after(self._assets.fixed)
        people = walking(self._assets, WALKERS, self._looks, t)
        scene = Scene(list(self._still), _light(), people, np.array([0, 0, 1], np.float32), "indoor")
        drawn, found = middles(self._assets, scene, self._view)
        finished = drawn.astype(np.float32) + self._random.normal(0, 2.0, (HEIGHT, WIDTH, 1)).astype(np.float32)
        return np.clip(finished[:, :, ::-1], 0, 255).astype(np.uint8), found


def _light() -> Light:
    way = np.array([0.2, 1.0, 0.25])
    return Light(
        (way / np.linalg.norm(way)).astype(np.float32), np.full(3, 0.45, np.float32), np.full(3, 0.6, np.float32),
        np.full(3, 0.3, np.float32), np.array([0.3, 2.9, 1.6], np.float32), np.full(3, 0.8, np.float32), 1.6, 5, 0.2,
        1.0, 0.8,
    )  # fmt: skip


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
        "events": [
            {"t": t, "dir": "in" if down else "out", "note": WALKERS[number - 1].note}
            for t, down, number in crossings(paths, _LINE)
        ],
        "ignored": ["about 18 to 19.5 s: someone comes in as far as the mat and turns back before the line"],
        "sure": "Exact: computed from the rendered heads.",
        "difficulty": "Rendered. A pair, two in opposite directions, a child, a turn-back, one there and back.",
    }  # fmt: skip
    (options.out / "door.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    if options.stills:
        cv2.imwrite(str(options.stills), np.vstack([np.hstack(stills[row * 6 : row * 6 + 6]) for row in range(4)]))


if __name__ == "__main__":
    main()
