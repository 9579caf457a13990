"""Read the labelled sets of real heads, which are for measuring: brt, mall and scut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Labelled:
    """
    One picture.

    Attributes:
        path: Within the sets' folder.
        picture: (h, w, 3) uint8 BGR.
        heads: (n, 5) float32: x, y, diameter, width, height in px; of a set of points (n, 3), without the last two.
    """

    path: str
    picture: npt.NDArray[np.uint8]
    heads: npt.NDArray[np.float32]


class HeadSet:
    """
    One labelled set.

    Attributes:
        kind: "boxes" or "points".
    """

    def __init__(self, folder: Path, name: str) -> None:
        listed = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        self._folder, self._pictures = folder, listed["images"]
        self.kind: str = listed["kind"]

    def part(self, split: str, point_diameter: float) -> Iterator[Labelled]:
        """
        Yield the pictures of a *split*, "train" or "test"; heads labelled by a point get *point_diameter*, px.

        Raises:
            FileNotFoundError: a picture isn't there.
        """
        for path, entry in self._pictures.items():
            if entry["split"] != split:
                continue
            picture = cv2.imread(str(self._folder / path), cv2.IMREAD_COLOR)
            if picture is None:
                raise FileNotFoundError(self._folder / path)
            yield Labelled(path, np.asarray(picture, np.uint8), self._heads(entry, point_diameter))

    def _heads(self, entry: dict[str, Any], point_diameter: float) -> npt.NDArray[np.float32]:
        if self.kind == "boxes":
            boxes = np.array(entry["boxes"], np.float32).reshape(-1, 4)
            sides = boxes[:, 2:] - boxes[:, :2]
            return np.column_stack((boxes[:, :2] + sides / 2, np.sqrt(np.prod(sides, axis=1)), sides))
        points = np.array(entry["points"], np.float32).reshape(-1, 2)
        return np.column_stack((points, np.full(len(points), point_diameter, np.float32)))
