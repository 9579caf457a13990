"""
Count real doors as other cameras might have shown them: mirrored, brighter, darker, coarser, grey.

    python -m models.training.robustness models/head.json --clips ../shared/clips

A few clips say little of which of two models is better: one more or fewer is luck. So each is counted in six forms and
with eleven pairs of thresholds, and the mean F1 is told. That takes about three minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.config.schema import Line
from edge.core.head_model import read
from edge.evaluation.evaluate import evaluate
from edge.evaluation.score import Event, together
from edge.vision.clip import ClipSource
from edge.vision.clip_counter import DEFAULT_FPS
from edge.vision.detector import Detector
from edge.vision.scene import Heads

from .counting import counted

Picture = npt.NDArray[np.uint8]

_PAIRS = (
    (0.25, 0.2), (0.3, 0.2), (0.3, 0.25), (0.35, 0.15), (0.35, 0.2), (0.35, 0.25), (0.4, 0.2), (0.4, 0.25),
    (0.45, 0.2), (0.45, 0.25), (0.5, 0.25),
)  # fmt: skip


def _in_light(curve: float) -> Callable[[Picture], Picture]:
    table = (255 * (np.arange(256) / 255) ** curve).astype(np.uint8)
    return lambda picture: np.asarray(cv2.LUT(picture, table), np.uint8)


def _coarse(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (width * 5 // 8, height * 5 // 8), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height)), np.uint8)


_FORMS: dict[str, Callable[[Picture], Picture]] = {
    "as it is": lambda picture: picture,
    "mirrored": lambda picture: np.ascontiguousarray(picture[:, ::-1]),
    "brighter": _in_light(0.7),
    "darker": _in_light(1.5),
    "coarser": _coarse,
    "grey": lambda picture: np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8),
}

_MIRROR = np.array((-1, 1), np.float32)

Seen = list[tuple[float, Heads]]
"""The heads of a clip's frames, each with its time, ms."""


def watched(detector: Detector, clip: Path) -> tuple[tuple[int, int], dict[str, Seen]]:
    """Return a clip's width and height, and what is seen in each form of it."""
    source = ClipSource(str(clip), fps=DEFAULT_FPS)
    width, height = source.size
    seen: dict[str, Seen] = {form: [] for form in _FORMS}
    while (frame := source.read()) is not None:
        for form, made in _FORMS.items():
            heads = detector.detect(made(frame.pixels))
            if form == "mirrored":
                heads = heads._replace(centres=heads.centres * _MIRROR + np.array((width, 0), np.float32))
            seen[form].append((frame.t_ms, heads))
    source.close()
    return (width, height), seen


def main() -> None:
    """Print the mean F1 of each form, and of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contract", type=Path)
    parser.add_argument("--clips", type=Path, required=True, help="folder of clips with truth files")
    options = parser.parse_args()
    contract = read(options.contract)
    detector = Detector(replace(contract, weak=min(weak for _, weak in _PAIRS)))
    watched_once = cache(lambda clip: watched(detector, clip))

    def f1(form: str, strong: float, weak: float) -> float:
        thresholds = replace(contract, strong=strong, weak=weak)

        def count(clip: Path, line: Line) -> Iterator[Event]:
            size, seen = watched_once(clip)
            return counted(seen[form], line, size, thresholds)

        return together(evaluation.score for evaluation in evaluate(options.clips, count)).f1

    means = []
    for form in _FORMS:
        each = [f1(form, *pair) for pair in _PAIRS]
        means.append(float(np.mean(each)))
        print(f"{form}: mean F1 {means[-1]:.3f}, from {min(each):.3f} to {max(each):.3f}", flush=True)
    print(f"all: mean F1 {np.mean(means):.4f}")


if __name__ == "__main__":
    main()
