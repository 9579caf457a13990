"""
Make training pictures of the real heads' train parts, for yardsticks: networks that show what real pictures would buy.

    python -m models.training.real_data_baseline DATA/real --heads ../shared/heads

What is trained on them is measured and thrown away: their rights don't allow more. Each picture gives six parts, from
the whole of it down to 200 px across. Heads that are labelled by a point are taken to be 22 px wide.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from .dimensions import HEIGHT, PADDING, WIDTH
from .labelled import HeadSet
from .shards import Shard, store

_PARTS = 6
_LEAST_ACROSS = 200.0
_POINT_DIAMETER = 22.0


def parts(picture: npt.NDArray[np.uint8], heads: npt.NDArray[np.float32], random: np.random.Generator) -> Shard:
    """Cut parts out of one picture, (h, w, 3) RGB, with the *heads* in it, (n, 3): x, y, diameter in px."""
    height, width = picture.shape[:2]
    least = min(WIDTH / width, HEIGHT / height)
    most = max(least, WIDTH / _LEAST_ACROSS)
    cuts, labels = np.full((_PARTS, HEIGHT, WIDTH, 3), PADDING, np.uint8), []
    for index in range(_PARTS):
        scale = least if not index else float(np.exp(random.uniform(np.log(least), np.log(most))))
        at = heads[int(random.integers(len(heads))), :2] if index and len(heads) else np.array((width, height)) / 2
        corner = np.array((WIDTH / 2, HEIGHT / 2)) - scale * at
        move = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        cv2.warpAffine(
            picture, move, (WIDTH, HEIGHT), dst=cuts[index], flags=method, borderMode=cv2.BORDER_CONSTANT,
            borderValue=(PADDING,) * 3,
        )  # fmt: skip
        for x, y, diameter in heads * scale + (*corner, 0):
            if 0 <= x < WIDTH and 0 <= y < HEIGHT:
                labels.append((index, x, y, diameter, 1.0))
    return Shard(cuts, np.array(labels, np.float32).reshape(-1, 5), np.zeros(_PARTS, np.float32))


def together(shards: list[Shard]) -> Shard:
    """Return shards of the same number of pictures as one."""
    for number, shard in enumerate(shards):
        shard.labels[:, 0] += number * _PARTS
    return Shard(*(np.concatenate([getattr(shard, name) for shard in shards]) for name in Shard.__annotations__))


def train_part(folder: Path, name: str, random: np.random.Generator) -> Shard:
    """Return all parts of one set's train pictures."""
    return together(
        [
            parts(cv2.cvtColor(one.picture, cv2.COLOR_BGR2RGB), one.heads[:, :3], random)
            for one in HeadSet(folder, name).part("train", _POINT_DIAMETER)
        ]
    )


def main() -> None:
    """Write one shard for each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--heads", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=6)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(options.seed)
    for number, name in enumerate(("brt", "scut")):
        shard = train_part(options.heads, name, random)
        store(shard, options.out / f"{number:04d}.pictures.npy")
        print(f"{name}: {len(shard.pictures)} pictures, {len(shard.labels)} heads")


if __name__ == "__main__":
    main()
