"""
Match detections to labelled heads, strongest first, and sum up: average precision, recall, false heads.

A head is found when a detection's middle lies within half of its diameter (circles), within a stated radius (points),
or when the square round the detected circle overlaps the labelled box by half or more (boxes). Each head is found once;
the rest is false.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.vision.scene import Heads

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Truth:
    """
    One picture's heads.

    Attributes:
        heads: (n, 3) or, for boxes, (n, 5): x, y, diameter or match radius, width, height; px of the picture.
        spare: The same, of heads that may be found or not.
        scale: Px of the model's input for one of the picture.
        tilt: How far the camera looks away from straight down, degrees, where that is known.
    """

    heads: Floats
    spare: Floats
    scale: float = 1.0
    tilt: float = 0.0

    def sized(self, low: float, high: float) -> Truth:
        """Return the same with all heads spare but those of *low* to *high* px at the model's input."""
        wanted = (self.heads[:, 2] * self.scale >= low) & (self.heads[:, 2] * self.scale < high)
        return replace(self, heads=self.heads[wanted], spare=np.concatenate((self.spare, self.heads[~wanted])))


Pair = tuple[Heads, Truth]


@dataclass(frozen=True)
class Sum:
    """
    What came of all pictures.

    Attributes:
        scores: (d,) of the detections that count.
        hits: (d,) whether each found a head.
        errors: (hits,) how far the logarithm of each found head's size is off.
        heads: How many there were.
        pictures: Likewise.
    """

    scores: npt.NDArray[np.float64]
    hits: npt.NDArray[np.bool_]
    errors: npt.NDArray[np.float64]
    heads: int
    pictures: int

    def curve(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return scores, falling, with the precision and recall from each on."""
        order = np.argsort(-self.scores, kind="stable")
        hits = np.cumsum(self.hits[order])
        return self.scores[order], hits / np.arange(1, len(hits) + 1), hits / max(1, self.heads)

    def average_precision(self) -> float:
        """Return the area under precision (made to fall) over recall."""
        _, precision, recall = self.curve()
        highest = np.maximum.accumulate(precision[::-1])[::-1]
        return float(np.sum(np.diff(recall, prepend=0.0) * highest))

    def recall_at(self, false_a_picture: float) -> float:
        """Return the recall with so many false heads in a picture, on average."""
        order = np.argsort(-self.scores, kind="stable")
        hits = self.hits[order]
        allowed = np.cumsum(~hits) <= false_a_picture * self.pictures
        return float(np.count_nonzero(hits & allowed)) / max(1, self.heads)

    def at(self, score: float) -> dict[str, float]:
        """Return precision, recall and false heads a picture of detections of at least *score*."""
        chosen = self.hits[self.scores >= score]
        right = int(np.count_nonzero(chosen))
        return {
            "score": round(score, 3),
            "precision": round(right / max(1, len(chosen)), 4),
            "recall": round(right / max(1, self.heads), 4),
            "false_a_picture": round((len(chosen) - right) / max(1, self.pictures), 4),
        }


def summed(pairs: list[Pair], kind: str) -> Sum:
    """Match each picture's detections to its heads; *kind* is circles, points or boxes."""
    scores: list[float] = []
    hits: list[bool] = []
    errors: list[float] = []
    for detected, truth in pairs:
        found, judged = matched(detected, truth, kind)
        scores += detected.scores[judged].tolist()
        hits += (found[judged] >= 0).tolist()
        got = judged & (found >= 0)
        errors += np.abs(np.log(detected.diameters[got] / truth.heads[found[got], 2])).tolist()
    return Sum(
        np.array(scores, np.float64), np.array(hits, bool), np.array(errors, np.float64),
        sum(len(truth.heads) for _, truth in pairs), len(pairs),
    )  # fmt: skip


def matched(detected: Heads, truth: Truth, kind: str) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Return, for each detection, the head that it found or -1, and whether it counts: those on spare heads don't."""
    found = np.full(len(detected.scores), -1, np.intp)
    judged = np.ones(len(detected.scores), bool)
    free = np.ones(len(truth.heads), bool)
    for index in np.argsort(-detected.scores, kind="stable"):
        centre, diameter = detected.centres[index], float(detected.diameters[index])
        fits = _fit(centre, diameter, truth.heads, kind) * free
        if len(fits) and fits.max() > 0:
            found[index] = int(np.argmax(fits))
            free[found[index]] = False
        elif len(truth.spare) and _fit(centre, diameter, truth.spare, kind).max() > 0:
            judged[index] = False
    return found, judged


def by_size(pairs: list[Pair], kind: str, edges: tuple[float, ...], score: float) -> dict[str, Any]:
    """Return AP and recall by size at the model's input, px; false heads count where their own size belongs."""
    table = {}
    for low, high in pairwise(edges):
        part = summed([_sized(pair, kind, low, high) for pair in pairs], kind)
        table[f"{low:g}-{high:g}"] = {
            "heads": part.heads,
            "average_precision": round(part.average_precision(), 4),
            "recall": part.at(score)["recall"],
        }
    return table


def _sized(pair: Pair, kind: str, low: float, high: float) -> Pair:
    """Return a picture's heads of *low* to *high* px at the input, and the detections on them or of their size."""
    detected, truth = pair
    part = truth.sized(low, high)
    found, _ = matched(detected, part, kind)
    size = detected.diameters * truth.scale
    kept = (found >= 0) | ((size >= low) & (size < high))
    return Heads(detected.centres[kept], detected.diameters[kept], detected.scores[kept]), part


def by_tilt(pairs: list[Pair], kind: str, edges: tuple[float, ...], score: float) -> dict[str, Any]:
    """Return precision and recall by how far the camera looks away from straight down, degrees."""
    table = {}
    for low, high in pairwise(edges):
        part = summed([pair for pair in pairs if low <= pair[1].tilt < high], kind)
        table[f"{low:g}-{high:g}"] = {"heads": part.heads, **part.at(score)}
    return table


def _fit(centre: Floats, diameter: float, heads: Floats, kind: str) -> npt.NDArray[np.float64]:
    """Return how well a detection fits each head: above 0 is a match."""
    away = np.abs(heads[:, :2] - centre)
    if kind == "boxes":
        wide = np.minimum(centre + diameter / 2, heads[:, :2] + heads[:, 3:5] / 2) - np.maximum(
            centre - diameter / 2, heads[:, :2] - heads[:, 3:5] / 2
        )
        shared = np.prod(np.maximum(wide, 0), axis=1)
        overlap = shared / (diameter**2 + np.prod(heads[:, 3:5], axis=1) - shared)
        return np.asarray(np.where(overlap >= 0.5, overlap, 0.0))
    reach = heads[:, 2] / 2 if kind == "circles" else heads[:, 2]
    return np.asarray(np.maximum(0.0, 1 - np.hypot(away[:, 0], away[:, 1]) / np.maximum(reach, 3.0)))
