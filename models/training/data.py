"""
Write training pictures with their labels.

    python -m models.training.data OUT --pictures 6000 --seed 1

Pictures come in shards of a few hundred, each with a seed of its own, so that a stopped run can go on and several
processes can share the work (`--part 0/2`, `--part 1/2`).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from .assets import Assets
from .camera_effects import pass_on, spoil
from .dimensions import HEIGHT, PADDING, WIDTH
from .scene import Head, Kind, SceneMaker, heads, random_view
from .shards import Shard, load, store

SHARD = 250
_SHAPES = [((400, 300), 0.55), ((400, 225), 0.25), ((300, 300), 0.1), ((225, 300), 0.06), ((169, 300), 0.04)]
"""Sizes of pictures on the 400 x 300 canvas, and how often each is drawn."""
_GOOD_CAMERA = 0.9
"""Share of pictures in good light that a sound camera took."""
_FAINT, _PLAIN = 4.5, 12.0
"""Contrast round a head under which nobody could see it, and from which everybody can, grey levels."""


class PictureMaker:
    """Makes finished pictures with labels; one a process."""

    def __init__(self) -> None:
        self._assets = Assets(2 * WIDTH, 2 * HEIGHT)

    def shard(self, seed: int, count: int, kinds: dict[Kind, float]) -> Shard:
        """Draw *count* pictures from *seed*, with people of their own; *kinds* says how often each kind is drawn."""
        random = np.random.default_rng(seed)
        self._assets.new_people(random, 36, 3)
        maker = SceneMaker(self._assets, random)
        pictures = np.full((count, HEIGHT, WIDTH, 3), PADDING, np.uint8)
        labels: list[tuple[float, ...]] = []
        tilts = np.zeros(count, np.float32)
        for index in range(count):
            size = _SHAPES[int(random.choice(len(_SHAPES), p=[share for _, share in _SHAPES]))][0]
            left, top = (WIDTH - size[0]) // 2, (HEIGHT - size[1]) // 2
            patience = int(random.choice([1, 4], p=[0.2, 0.8]))
            kind: Kind = random.choice(list(kinds), p=list(kinds.values()))
            for _ in range(patience):
                view = random_view(random, *size, kind)
                scene = maker.make(view, kind)
                drawn, identity = self._assets.renderer.draw(scene.draws, view.pinhole, scene.light, scene.middle)
                found = heads(scene, view, identity)
                if any(head.visible > 0.4 for head in found):
                    break
            clean = view.lens.apply(drawn, view.pinhole.focal, smooth=True)
            people = (identity[:, :, :1] > 0).astype(np.uint8) * 255
            moving = view.lens.apply(people, view.pinhole.focal, smooth=True).astype(np.float32) / 255
            good = kind != "any" and random.random() < _GOOD_CAMERA
            finished = pass_on(clean, moving, random) if good else spoil(clean, moving, scene.mood, random)
            pictures[index, top : top + size[1], left : left + size[0]] = finished
            tilts[index] = view.tilt
            labels += [
                (index, head.x + left, head.y + top, head.diameter, _discernible(finished, head)) for head in found
            ]
        return Shard(pictures, np.array(labels, np.float32).reshape(-1, 5), tilts)


def _discernible(picture: npt.NDArray[np.uint8], head: Head) -> float:
    """Return a head's visible share, or at most 0.3 if the picture shows next to nothing there, or mostly noise."""
    reach = head.diameter
    box = picture[
        max(0, int(head.y - reach)) : int(head.y + reach) + 1, max(0, int(head.x - reach)) : int(head.x + reach) + 1
    ]
    grey = box.astype(np.float32).mean(axis=2)
    calm = cv2.GaussianBlur(grey, (0, 0), max(0.8, head.diameter / 8))
    shown, noise = float(calm.std()), float((grey - calm).std())
    return head.visible if shown > _PLAIN or (shown > _FAINT and shown > 0.8 * noise) else min(head.visible, 0.3)


def shared_out(count: int, part: str) -> range:
    """Return which of *count* numbers are one process's *part*, as 0/2 and 1/2."""
    first, parts = map(int, part.split("/"))
    return range(first, count, parts)


def sheet(shard: Shard, columns: int, rows: int) -> npt.NDArray[np.uint8]:
    """Return the first pictures of a shard side by side, BGR, with rings round the heads that are mostly seen."""
    tiles = []
    for index in range(columns * rows):
        tile = shard.pictures[index][:, :, ::-1].copy()
        for x, y, diameter, visible in shard.of(index):
            colour = (0, 220, 0) if visible >= 0.4 else (0, 0, 220)
            cv2.circle(tile, (int(x), int(y)), max(2, int(diameter / 2)), colour, 1, cv2.LINE_AA)
        tiles.append(tile)
    return np.vstack([np.hstack(tiles[row * columns : (row + 1) * columns]) for row in range(rows)])


def main() -> None:
    """Write shards until there are enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pictures", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1, help="shard n is drawn from 10000 * seed + n")
    parser.add_argument("--ordinary", type=float, default=0.0, help="share of ordinary shops by day, 0 to 1")
    parser.add_argument("--queue", type=float, default=0.0, help="share of queues under a low camera, 0 to 1")
    parser.add_argument("--part", default="0/1", help="which share of the shards, as 0/2 and 1/2")
    parser.add_argument("--sheet", type=Path, help="also write a contact sheet of the first shard here")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    kinds: dict[Kind, float] = {"ordinary": options.ordinary, "queue": options.queue}
    kinds["any"] = 1 - sum(kinds.values())
    numbers = shared_out(-(-options.pictures // SHARD), options.part)
    maker, begun = PictureMaker(), time.monotonic()
    for done, number in enumerate(numbers, 1):
        path = options.out / f"{number:04d}.pictures.npy"
        if not path.exists():
            store(maker.shard(10000 * options.seed + number, SHARD, kinds), path)
        spent = time.monotonic() - begun
        left = spent / done * (len(numbers) - done)
        print(f"{done}/{len(numbers)} shards, {left:.0f} s left", flush=True)
    if options.sheet:
        cv2.imwrite(str(options.sheet), sheet(load(options.out)[0], 6, 5), [cv2.IMWRITE_JPEG_QUALITY, 60])


if __name__ == "__main__":
    main()
