"""
Measure a model file on rendered validation pictures and, where they are present, on real heads and real doors.

    python -m models.training.evaluate models/head.json --pictures VALIDATION --heads ../shared/heads \
        --clips ../shared/clips --out models/results.json

The box's own detector is measured, letterbox and all, and for the doors its own tracker and line. How a detection is
matched to a head: `matching.py`. Only test parts are looked at; nothing is chosen by them.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge.core.head_model import Contract, read
from edge.evaluation.evaluate import counted_by, evaluate
from edge.evaluation.score import Score, together
from edge.vision.clip_counter import DEFAULT_FPS
from edge.vision.detector import Detector

from .augment import SEEN, SMALLEST
from .labelled import HeadSet
from .matching import Pair, Sum, Truth, by_size, by_tilt, summed
from .shards import load
from .speed import speed

FLOOR = 0.03
"""Weakest score looked at."""
_POINT_RADIUS = {"brt": 20.0, "mall": 10.0}
"""Px of the picture as stored, within which a detection finds a head of a set of points."""
_SIZES = (0.0, 8.0, 12.0, 16.0, 24.0, 36.0, 56.0, 500.0)
_TILTS = (0.0, 10.0, 25.0, 40.0, 55.0, 90.0)
_LEAST = 12.0
"""Heads of fewer px at the model's input are told apart in the sets of boxes."""


def rendered(contract: Contract, folder: Path) -> list[Pair]:
    """Detect in rendered pictures."""
    detector = Detector(replace(contract, weak=FLOOR))
    pairs = []
    for shard in load(folder):
        for index, picture in enumerate(shard.pictures):
            labels = shard.of(index)
            good = (labels[:, 3] >= SEEN) & (labels[:, 2] >= SMALLEST)
            detected = detector.detect(np.ascontiguousarray(picture[:, :, ::-1]))
            truth = Truth(labels[good, :3], labels[~good, :3], tilt=float(shard.tilts[index]))
            pairs.append((detected, truth))
    return pairs


def real(contract: Contract, folder: Path, name: str, split: str = "test") -> tuple[list[str], list[Pair], str]:
    """Detect in one part of a set of real heads; return the pictures' paths, the pairs and the kind of its labels."""
    detector = Detector(replace(contract, weak=FLOOR))
    heads = HeadSet(folder, name)
    paths, pairs = [], []
    for one in heads.part(split, _POINT_RADIUS.get(name, 0.0)):
        scale = min(contract.width / one.picture.shape[1], contract.height / one.picture.shape[0])
        spare = np.zeros((0, one.heads.shape[1]), np.float32)
        paths.append(one.path)
        pairs.append((detector.detect(one.picture), Truth(one.heads, spare, scale)))
    return paths, pairs, heads.kind


def doors(contract: Contract, folder: Path) -> dict[str, Any]:
    """Count real doors with the whole pipeline."""
    evaluations = evaluate(folder, counted_by(contract, DEFAULT_FPS))
    return {
        **{evaluation.clip: _score(evaluation.score) for evaluation in evaluations},
        "all": _score(together(evaluation.score for evaluation in evaluations)),
    }


def _score(result: Score) -> dict[str, Any]:
    return {
        "true": sum(result.true.values()),
        "counted": sum(result.counted.values()),
        "right": result.right,
        "f1": round(result.f1, 4),
    }


def _told(total: Sum, contract: Contract) -> dict[str, Any]:
    return {
        "heads": total.heads,
        "average_precision": round(total.average_precision(), 4),
        "recall_at_one_false_a_picture": round(total.recall_at(1.0), 4),
        "strong": total.at(contract.strong),
        "weak": total.at(contract.weak),
    }


def report(contract: Contract, pictures: Path | None, heads: Path | None, clips: Path | None) -> dict[str, Any]:
    """Return all figures of one model that can be had."""
    results: dict[str, Any] = {"model": contract.identity, "sha256": contract.sha256}
    if pictures:
        pairs = rendered(contract, pictures)
        total = summed(pairs, "circles")
        results["rendered"] = {
            **_told(total, contract),
            "match": "middle within half a diameter; heads of which 40 % or more is seen, from 5 px",
            "by_diameter_px": by_size(pairs, "circles", _SIZES, contract.strong),
            "by_tilt_deg": by_tilt(pairs, "circles", _TILTS, contract.strong),
            "median_size_error": round(float(np.median(total.errors)), 4),
        }
    for name in ("brt", "mall", "scut") if heads else ():
        assert heads is not None  # noqa: S101 - for the type checker
        if not (heads / f"{name}.json").exists():
            continue
        _, pairs, kind = real(contract, heads, name)
        results[name] = _told(summed(pairs, kind), contract)
        if kind == "boxes":
            large = summed([(found, truth.sized(_LEAST, np.inf)) for found, truth in pairs], kind)
            results[name]["average_precision_from_12_px"] = round(large.average_precision(), 4)
            results[name]["by_diameter_px"] = by_size(pairs, kind, _SIZES, contract.strong)
            results[name]["match"] = "boxes, overlap of half or more"
        else:
            results[name]["match"] = f"within {_POINT_RADIUS[name]:.0f} px"
    if clips:
        results["doors"] = doors(contract, clips)
    results["speed"] = speed(contract)
    return results


def main() -> None:
    """Print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contract", type=Path)
    parser.add_argument("--pictures", type=Path, help="rendered validation pictures")
    parser.add_argument("--heads", type=Path, help="folder of brt.json, mall.json, scut.json")
    parser.add_argument("--clips", type=Path, help="folder of clips with truth files")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    contract = read(options.contract)
    text = json.dumps(report(contract, options.pictures, options.heads, options.clips), indent=2) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
