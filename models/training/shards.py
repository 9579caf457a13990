"""Training pictures with their labels, as they lie on disk: in shards of a few hundred."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Shard:
    """
    Pictures and labels.

    Attributes:
        pictures: (n, 300, 400, 3) uint8 RGB, letterboxed.
        labels: (m, 5) float32: picture, x, y, diameter (px of the canvas), visible share.
        tilts: (n,) float32: how far each camera looks away from straight down, degrees.
    """

    pictures: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.float32]
    tilts: npt.NDArray[np.float32]

    def of(self, index: int) -> npt.NDArray[np.float32]:
        """Return the heads of one picture, (k, 4): x, y, diameter, visible share."""
        return self.labels[self.labels[:, 0] == index, 1:]


def load(folder: Path) -> list[Shard]:
    """Read all finished shards."""
    return [
        Shard(np.load(path, mmap_mode="r"), *(np.load(_beside(path, part)) for part in ("labels", "tilts")))
        for path in sorted(folder.glob("*.pictures.npy"))
    ]


def store(shard: Shard, path: Path) -> None:
    """Write a shard; the pictures come last, at *path*, whole or not at all."""
    np.save(_beside(path, "labels"), shard.labels)
    np.save(_beside(path, "tilts"), shard.tilts)
    partial = path.with_suffix(".part.npy")
    np.save(partial, shard.pictures)
    partial.rename(path)


def _beside(pictures: Path, part: str) -> Path:
    """Return where another part of the shard lies whose pictures are in the file *pictures*."""
    return pictures.with_name(pictures.name.replace("pictures", part))
