"""
What a door costs: CPU time of a camera's frames from JPEG to crossings, `python -m tests.door_cost`.

Three doors, of the demo clip's first pictures: nobody is there; somebody stands there and never moves; people walk.
Each frame has noise of its own and comes as JPEG, as a camera sends it. The interpreter alone is timed between the
frames, so that the ratio to it holds on a busy machine too. CPU time is that of the one thread that does everything.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from edge.config.schema import Line
from edge.core import head_model
from edge.vision.clip import ClipSource
from edge.vision.detector import Detector
from edge.vision.jpeg import JpegReader
from edge.vision.pipeline import Pipeline
from edge.vision.scene import Pixels

FPS = 15.0
_SEED = 7
_NOISE = 2.0
"""Spread of a camera's noise, grey levels, before its own encoder."""
_QUALITY = 85
_FILM = 60
"""Noisy pictures of a still door before they come again."""
_SETTLE_S = 25.0
"""What stands is taken for a thing by then, s."""
_LINE = Line.model_validate({"from": (0.1, 0.5), "to": (0.9, 0.5), "inside": (0.5, 0.9)})


@dataclass(slots=True)
class Cost:
    """CPU times of one door, ms."""

    name: str
    frames_ms: list[float] = field(default_factory=list)
    looked_ms: list[float] = field(default_factory=list)
    interpreter_ms: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        invoke, frame = float(np.median(self.interpreter_ms)), float(np.mean(self.frames_ms))
        looked = float(np.median(self.looked_ms)) if self.looked_ms else float("nan")
        share = len(self.looked_ms) / len(self.frames_ms)
        return (
            f"{self.name:10} {frame * FPS / 10:5.2f} % of a core; the detector runs on {share:6.1%} of the frames; "
            f"such a frame takes {looked:5.2f} ms, {looked / invoke:.2f} x the interpreter's {invoke:.2f}; "
            f"all of a second {frame * FPS / invoke:.2f} x"
        )


def walking(size: tuple[int, int]) -> Iterator[Pixels]:
    """Yield the demo clip's pictures at this size, over and over."""
    clip = ClipSource(str(head_model.shipped("demo/door.mp4")), fps=FPS, loop=True)
    while (frame := clip.read()) is not None:
        yield np.asarray(cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def standing(detector: Detector, size: tuple[int, int], people: int) -> Iterator[Pixels]:
    """Yield the first picture of the demo clip that has so many heads, all sure, over and over, with noise."""
    strong = detector.contract.strong
    picture = next(
        picture
        for picture in walking(size)
        if people == len(scores := detector.detect(picture).scores) and all(scores >= strong + 0.2)
    )
    random = np.random.default_rng(_SEED)
    film = [picture + random.normal(0, _NOISE, picture.shape) for _ in range(_FILM)]
    return itertools.cycle([np.clip(noisy, 0, 255).astype(np.uint8) for noisy in film])


def measure(name: str, detector: Detector, pictures: Iterator[Pixels], seconds: float) -> Cost:
    """Look at *pictures* for so many of their own seconds, after some in which all settles; time *detector* between."""
    stages: list[str] = []

    def entered(stage: str) -> AbstractContextManager[object]:
        stages.append(stage)
        return nullcontext()

    cost, reader = Cost(name), JpegReader()
    pipeline = Pipeline(detector.contract, {"door": _LINE}, FPS, timed=entered)
    settle = round(_SETTLE_S * FPS)
    for number, picture in enumerate(itertools.islice(pictures, settle + round(seconds * FPS))):
        packed = np.asarray(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1], np.uint8)
        stages.clear()
        began_s = time.thread_time()
        frame = reader.read(packed, 1000 * number / FPS)
        assert frame is not None
        pipeline.look(frame)
        spent_ms = 1000 * (time.thread_time() - began_s)
        if number < settle:
            continue
        cost.frames_ms.append(spent_ms)
        if "detector" in stages:
            cost.looked_ms.append(spent_ms)
        if number % 10 == 0:
            began_s = time.thread_time()
            detector._interpreter.invoke()
            cost.interpreter_ms.append(1000 * (time.thread_time() - began_s))
    return cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", help="another head.json")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 480))
    options = parser.parse_args()
    cv2.setNumThreads(1)
    detector, size = Detector(head_model.read(options.model)), (options.size[0], options.size[1])
    for name, pictures in (
        ("nobody", standing(detector, size, 0)),
        ("somebody", standing(detector, size, 1)),
        ("walking", walking(size)),
    ):
        print(measure(name, detector, pictures, options.seconds), flush=True)


if __name__ == "__main__":
    main()
