"""
Count real doors as other cameras might have shown them: mirrored, brighter, darker, coarser, grey.

    python -m models.training.variants models/head.json --clips ../shared/clips

A few clips say little of which of two models is better: one more or fewer is luck. So each is counted in six forms and
with eleven pairs of thresholds, and the mean F1 is told. That takes about three minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.field.evaluate import Truth, read_truth
from edge.field.score import Event, Score, score, together
from edge.model import read
from edge.vision.camera import ClipSource
from edge.vision.detector import Detector
from edge.vision.line import Counter
from edge.vision.scene import Heads
from edge.vision.tracker import Tracker

Picture = npt.NDArray[np.uint8]

_FPS = 15.0
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


def _grey(picture: Picture) -> Picture:
    return np.asarray(cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)


_FORMS: dict[str, Callable[[Picture], Picture]] = {
    "as it is": lambda picture: picture,
    "mirrored": lambda picture: np.ascontiguousarray(picture[:, ::-1]),
    "brighter": _in_light(0.7),
    "darker": _in_light(1.5),
    "coarser": _coarse,
    "grey": _grey,
}

Seen = list[tuple[float, Heads]]
"""The heads of a clip's frames, each with its time, ms."""


def watched(detector: Detector, clip: Path) -> tuple[tuple[int, int], dict[str, Seen]]:
    """Return a clip's width and height, and what is seen in each form of it."""
    source = ClipSource(str(clip), fps=_FPS)
    width, height = source.size
    seen: dict[str, Seen] = {form: [] for form in _FORMS}
    while (frame := source.read()) is not None:
        for form, made in _FORMS.items():
            heads = detector.detect(made(frame.pixels))
            if form == "mirrored":
                heads = heads._replace(centres=np.abs(np.array((width, 0), np.float32) - heads.centres))
            seen[form].append((frame.t_ms, heads))
    source.close()
    return (width, height), seen


def counted(seen: Seen, size: tuple[int, int], truth: Truth, strong: float, weak: float) -> Score:
    """Count what was seen in a clip with these thresholds."""
    tracker, counter = Tracker(*size, strong=strong, weak=weak), Counter({"door": truth.line}, *size)
    found = []
    for t_ms, heads in seen:
        crossings = counter.update(tracker.update(heads, t_ms), tracker.ended)
        found += [Event(crossing.t_ms / 1000, crossing.direction) for crossing in crossings]
    return score(found, [Event(event.t, event.dir) for event in truth.events])


def main() -> None:
    """Print the mean F1 of each form, and of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contract", type=Path)
    parser.add_argument("--clips", type=Path, required=True, help="folder of clips with truth files")
    options = parser.parse_args()
    detector = Detector(replace(read(options.contract), weak=min(weak for _, weak in _PAIRS)))
    clips = [
        (read_truth(clip.with_suffix(".json")), *watched(detector, clip))
        for clip in sorted(options.clips.glob("*.mp4"))
    ]
    means = []
    for form in _FORMS:
        each = [together(counted(seen[form], size, truth, *pair) for truth, size, seen in clips).f1 for pair in _PAIRS]
        means.append(float(np.mean(each)))
        print(f"{form}: mean F1 {means[-1]:.3f}, from {min(each):.3f} to {max(each):.3f}", flush=True)
    print(f"all: mean F1 {np.mean(means):.4f}")


if __name__ == "__main__":
    main()
