"""
Measure a model file on rendered validation pictures and, where they are present, on sets of real heads.

    python -m models.training.evaluate models/head.json --pictures VALIDATION --heads ../shared/heads --out results.json

The box's own detector is measured, letterbox and all. A head is found when a detection's middle lies within half of
its diameter (rendered heads), within the stated radius (sets of points), or when the squares round the detected circles
overlap the labelled boxes by half (sets of boxes). Each head is found once; the rest is false.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.model import Contract, read
from edge.vision.detector import Detector
from edge.vision.scene import Heads

from .augment import SEEN, SMALLEST
from .data import load

_FLOOR = 0.03
"""Weakest score looked at."""
_POINT_RADIUS = {"brt": 20.0, "mall": 10.0}
"""Px of the picture as stored, within which a detection finds a head of a set of points."""
_BINS = (5, 10, 16, 24, 36, 56, 500)


@dataclass(frozen=True)
class Truth:
    """One picture's heads: (n, 3) x, y, diameter or match radius; those of *spare* may be found or not."""

    heads: npt.NDArray[np.float32]
    spare: npt.NDArray[np.float32]


@dataclass
class Tally:
    """Detections of all pictures: score, whether it found a head, the head's diameter; and all heads' diameters."""

    scores: list[float]
    hits: list[bool]
    found: list[float]
    heads: list[float]
    errors: list[float]

    def curve(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return scores, falling, with the precision and recall from each on."""
        order = np.argsort(-np.array(self.scores), kind="stable")
        hits = np.cumsum(np.array(self.hits)[order])
        return (
            np.array(self.scores)[order],
            hits / np.arange(1, len(hits) + 1),
            hits / max(1, len(self.heads)),
        )

    def average_precision(self) -> float:
        """Return the area under precision (made to fall) over recall."""
        if not self.scores:
            return 0.0
        _, precision, recall = self.curve()
        highest = np.maximum.accumulate(precision[::-1])[::-1]
        return float(np.sum(np.diff(recall, prepend=0.0) * highest))

    def at(self, score: float) -> dict[str, float]:
        """Return precision and recall of detections of at least *score*."""
        chosen = np.array(self.scores) >= score
        hits = int(np.array(self.hits, bool)[chosen].sum())
        return {
            "score": round(score, 3),
            "precision": round(hits / max(1, int(chosen.sum())), 4),
            "recall": round(hits / max(1, len(self.heads)), 4),
        }

    def thresholds(self) -> tuple[float, float]:
        """Return the strong score, of the best F1, and the weak one, below which over a third of finds is false."""
        scores, precision, recall = self.curve()
        best = int(np.argmax(2 * precision * recall / np.maximum(precision + recall, 1e-9)))
        pure = np.flatnonzero(precision >= 2 / 3)
        return float(scores[best]), float(max(0.1, min(scores[pure[-1]], scores[best] * 0.6)))

    def by_size(self, score: float) -> dict[str, dict[str, float]]:
        """Return the recall of heads by diameter, px of the picture."""
        chosen = np.array(self.hits, bool) & (np.array(self.scores) >= score)
        found, heads = np.array(self.found)[chosen], np.array(self.heads)
        table = {}
        for low, high in pairwise(_BINS):
            of = int(((heads >= low) & (heads < high)).sum())
            table[f"{low}-{high}"] = {
                "heads": of, "recall": round(float(((found >= low) & (found < high)).sum()) / max(1, of), 4)
            }  # fmt: skip
        return table


def count(pairs: list[tuple[Heads, Truth]], kind: str) -> Tally:
    """Match detections to heads, strongest first."""
    tally = Tally([], [], [], [], [])
    for detected, truth in pairs:
        free = np.ones(len(truth.heads), bool)
        tally.heads += [float(size) for size in truth.heads[:, 2]]
        for centre, diameter, score in zip(*_columns(detected), strict=True):
            fits = _fit(centre, float(diameter), truth.heads, kind) * free
            best = int(np.argmax(fits)) if len(fits) else -1
            hit = best >= 0 and fits[best] > 0
            if not hit and len(truth.spare) and _fit(centre, float(diameter), truth.spare, kind).max() > 0:
                continue
            tally.scores.append(float(score))
            tally.hits.append(bool(hit))
            tally.found.append(float(truth.heads[best, 2]) if hit else 0.0)
            if hit:
                free[best] = False
                tally.errors.append(abs(float(np.log(diameter / truth.heads[best, 2]))))
    return tally


def _columns(detected: Heads) -> tuple[Any, Any, Any]:
    return detected.centres, detected.diameters, detected.scores


def _fit(
    centre: npt.NDArray[np.float32], diameter: float, heads: npt.NDArray[np.float32], kind: str
) -> npt.NDArray[np.float64]:
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


def rendered(contract: Contract, folder: Path) -> Tally:
    """Measure on rendered pictures."""
    detector = Detector(replace(contract, weak=_FLOOR))
    pairs = []
    for shard in load(folder):
        for index, picture in enumerate(shard.pictures):
            labels = shard.labels[shard.labels[:, 0] == index, 1:]
            good = (labels[:, 3] >= SEEN) & (labels[:, 2] >= SMALLEST)
            detected = detector.detect(np.ascontiguousarray(picture[:, :, ::-1]))
            pairs.append((detected, Truth(labels[good, :3], labels[~good, :3])))
    return count(pairs, "circles")


def real(contract: Contract, folder: Path, name: str) -> Tally:
    """Measure on the test part of one set of real heads."""
    detector = Detector(replace(contract, weak=_FLOOR))
    listed = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    pairs = []
    for path, entry in listed["images"].items():
        if entry["split"] != "test":
            continue
        picture = cv2.imread(str(folder / path), cv2.IMREAD_COLOR)
        if picture is None:
            picture = cv2.imread(str(folder / name / path), cv2.IMREAD_COLOR)
        if listed["kind"] == "boxes":
            boxes = np.array(entry["boxes"], np.float32).reshape(-1, 4)
            sides = boxes[:, 2:] - boxes[:, :2]
            heads = np.column_stack((boxes[:, :2] + sides / 2, np.sqrt(np.prod(sides, axis=1)), sides))
        else:
            points = np.array(entry["points"], np.float32).reshape(-1, 2)
            heads = np.column_stack((points, np.full(len(points), _POINT_RADIUS[name], np.float32)))
        pairs.append((detector.detect(picture), Truth(heads, np.zeros((0, 5), np.float32))))
    return count(pairs, listed["kind"])


def latency(contract: Contract) -> float:
    """Return the median milliseconds of one detection, one thread, of a 640 x 480 picture."""
    detector, picture = Detector(contract), np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    spent = []
    for _ in range(120):
        begun = time.perf_counter()
        detector.detect(picture)
        spent.append(time.perf_counter() - begun)
    return float(np.median(spent[20:])) * 1000


def _told(tally: Tally, contract: Contract) -> dict[str, Any]:
    return {
        "heads": len(tally.heads),
        "average_precision": round(tally.average_precision(), 4),
        "strong": tally.at(contract.strong),
        "weak": tally.at(contract.weak),
    }


def main() -> None:
    """Print and write the results; with --choose print the thresholds that the rendered pictures ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contract", type=Path)
    parser.add_argument("--pictures", type=Path, help="rendered validation pictures")
    parser.add_argument("--heads", type=Path, help="folder of brt.json, mall.json, scut.json")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--choose", action="store_true", help="print thresholds and end")
    options = parser.parse_args()
    contract = read(options.contract)
    results: dict[str, Any] = {"model": contract.identity, "sha256": contract.sha256}
    if options.pictures:
        tally = rendered(contract, options.pictures)
        if options.choose:
            print(
                *(f"--{name} {value:.2f}" for name, value in zip(("strong", "weak"), tally.thresholds(), strict=True))
            )
            return
        results["rendered"] = {
            **_told(tally, contract),
            "match": "middle within half a diameter; heads of which 40 % or more is seen, from 5 px",
            "recall_by_diameter_px": tally.by_size(contract.strong),
            "median_size_error": round(float(np.median(tally.errors)), 4),
        }
    for name in ("brt", "mall", "scut") if options.heads else ():
        if (options.heads / f"{name}.json").exists():
            match = (
                f"within {_POINT_RADIUS[name]:.0f} px" if name in _POINT_RADIUS else "boxes, overlap of half or more"
            )
            results[name] = {**_told(real(contract, options.heads, name), contract), "match": match}
    results["latency_ms"] = round(latency(contract), 2)
    text = json.dumps(results, indent=2) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
