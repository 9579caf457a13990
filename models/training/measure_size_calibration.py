"""
Measure how much less a score says of a small head than of a large one, so that one threshold can serve all sizes.

    python -m models.training.measure_size_calibration MODEL/head.json --pictures OTHERS

prints the slope for `export --size-slope`, from rendered pictures: a network is less sure of where in a large head its
middle is, and so of the head. Score and size come from one convolution, so the slope goes into its weights
(`size_calibration`) and costs the box nothing. The model must have been exported without a slope, and the pictures be
none that it was trained on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.core.head_model import read

from .evaluate import rendered
from .matching import matched

_WEAKEST = 0.1
"""Detections with lower scores are hardly ever heads, whatever their size."""
_STEPS = 20


def by_size(
    scores: npt.NDArray[np.floating], diameters: npt.NDArray[np.floating], hits: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """
    Return by how much a score's logit should rise when a head is e times as large, and the standard error of that.

    By logistic regression of whether a detection is a head on its logit and the logarithm of its diameter (after Platt
    1999, Probabilistic outputs for support vector machines), fitted by Newton's method.

    Args:
        scores: (n,), of detections, more than 0 and less than 1.
        diameters: (n,), of the same.
        hits: (n,), which of them are heads.
    """
    told = np.column_stack((np.ones(len(scores)), np.log(scores / (1 - scores)), np.log(diameters))).astype(np.float64)
    weights = np.zeros(3)
    for _ in range(_STEPS):
        likely = 1 / (1 + np.exp(-told @ weights))
        bend = told.T @ (told * (likely * (1 - likely))[:, None])
        weights += np.linalg.solve(bend, told.T @ (hits - likely))
    errors = np.sqrt(np.diag(np.linalg.inv(bend)))
    return float(weights[2] / weights[1]), float(errors[2] / weights[1])


def main() -> None:
    """Print the slope for each folder of pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contract", type=Path)
    parser.add_argument("--pictures", type=Path, nargs="+", required=True)
    options = parser.parse_args()
    contract = read(options.contract)
    for folder in options.pictures:
        rows = []
        for detected, truth in rendered(contract, folder):
            found, judged = matched(detected, truth, "circles")
            judged &= (detected.scores > _WEAKEST) & (detected.scores < 1)
            rows.append(np.stack((detected.scores, detected.diameters, found >= 0))[:, judged])
        scores, diameters, hits = np.concatenate(rows, axis=1)
        slope, error = by_size(scores, diameters, hits > 0)
        print(f"{folder}: {slope:.2f}, standard error {error:.2f}")


if __name__ == "__main__":
    main()
