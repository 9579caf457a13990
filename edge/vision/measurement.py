"""
What `footfall check` and `footfall bench` start to measure with: a process that seals itself, then prints figures.

It sees pictures, so it is sealed as the service is before it looks at the first; all that leaves it is one JSON object
of numbers and flags on its standard output. Being a process of its own, it may also be killed by an interpreter that
doesn't fit its libraries, and whoever started it can say so.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterator

import cv2
import numpy as np

from edge.config.schema import VisionSettings
from edge.core import head_model
from edge.core.clock import Clock
from edge.core.errors import CameraLost
from edge.core.tally import Flag
from edge.vision.camera import Capture, open_source
from edge.vision.clip import ClipSource
from edge.vision.detector import Detector
from edge.vision.jpeg import JpegReader
from edge.vision.picture_check import PictureCheck
from edge.vision.pipeline import Pipeline
from edge.vision.scene import Frame
from edge.vision.seal import Seal

_SAYING = (1, 2)
"""Standard output and error, which the service's seal takes away: here somebody waits for figures, or for the cause."""
_SETTLE_S = 1.0
"""A camera's first second finds its exposure; it isn't judged by it."""
_STOPPED_S = 3.0
"""A camera that has given pictures and gives none for so long, in s, has stopped."""
_MOST_THREADS = 4
_WARM_UP = 5
_TRIES = 20
_MOST_RUNS = 100_000


def look(settings: VisionSettings, clock: Clock, seconds: float, seal: Seal) -> None:
    """
    Look through the camera for *seconds* and print what it gives.

    {"width", "height", "fps", "frames", "flags", "plain": next to nothing can be seen}. Before that, how far it is:
    {"stage": "opening" or "looking"}.

    Raises:
        CameraError: it can't be opened, or it stopped.
        SealError: this process could not be sealed.
    """
    camera = settings.camera
    _print({"stage": "opening"})
    is_clip = not (camera.live or camera.helped)
    before = None if is_clip else open_source(camera, clock)
    capture: Capture | None = None
    try:
        seal.close(_SAYING)
        _print({"stage": "looking"})
        # A clip is parsed by a process that is sealed.
        source = before = before or open_source(camera, clock)
        # A thread reads, so that a camera that falls silent ends nothing but the waiting.
        capture, before = Capture(source, every_frame=is_clip), None
        capture.start()
        picture_check = PictureCheck(camera.fps)
        began_s = _now_s(clock)
        first_s = last_s = began_s
        width = height = frames = counted = 0
        flags = Flag(0)
        while last_s - began_s < seconds:
            frame = capture.take(seconds - (last_s - began_s))
            if frame is None and capture.over:
                break
            if frame is None and frames and _now_s(clock) - last_s > _STOPPED_S:
                raise CameraLost(camera.source, "it gave pictures, and then no more", "look at its plug and cable")
            last_s = _now_s(clock)
            if frame is None:
                continue
            width, height = frame.size
            frames += 1
            # A clip's own times don't matter here: it is watched as a camera would be.
            flags = picture_check.look(frame.at((last_s - began_s) * 1000))
            if last_s - began_s < _SETTLE_S or frames == 1:
                first_s = last_s
            else:
                counted += 1
    finally:
        if capture is not None:
            capture.stop()
        if before is not None:
            before.close()
    _print(
        {
            "width": width,
            "height": height,
            "fps": round(counted / (last_s - first_s), 1) if last_s > first_s else 0.0,
            "frames": frames,
            "flags": [flag.name.lower() for flag in flags if flag.name],
            "plain": picture_check.is_plain,
        }
    )


def _now_s(clock: Clock) -> float:
    return clock.boot_ms() / 1000


def time_stages(settings: VisionSettings, seconds: float, seal: Seal) -> None:
    """
    Run the shipped demo clip, at the camera's size, through every stage and print how long each takes.

    {"stages": {name: {"p50", "p95", "cpu_p50", "cpu_p95"}}, ms of elapsed and of CPU time; "fps" and "cpu_fps": frames
    a second that can be held while people walk, by the p95 of all stages together: beside whatever ran on this box
    meanwhile, and on a box that does nothing else; "cpu_share": the share of the elapsed time in which the stages had a
    core; "frames": looked at; "threads": {number: median ms of the detector}; "memory_mb"; "interpreter"; "model"}.

    Before, it prints {"stage": "timing"}. CPU time is that of the whole process, all its threads together.

    Raises:
        DetectorError: the model can't be loaded or run.
        CameraMissing: the clip can't be read.
        SealError: this process could not be sealed.
    """
    contract = head_model.read(settings.model)
    watch = _Stopwatch()
    pipeline = Pipeline(contract, settings.camera.lines, settings.camera.fps, timed=watch)
    size = settings.camera.size
    frame = Frame(np.zeros((size[1], size[0], 3), np.uint8), 0.0)
    seal.close(_SAYING)
    reader = JpegReader()
    _print({"stage": "timing"})
    clip = ClipSource(str(head_model.shipped("demo/door.mp4")), fps=settings.camera.fps, loop=True)
    until_s = time.monotonic() + seconds
    frames = 0
    try:
        while (time.monotonic() < until_s or frames <= _WARM_UP) and frames < _MOST_RUNS:
            taken = clip.read()
            if taken is None:
                break
            _, packed = cv2.imencode(".jpg", cv2.resize(taken.pixels, size, interpolation=cv2.INTER_AREA))
            with watch("all"):
                with watch("decode"):
                    came = reader.read(np.asarray(packed, np.uint8), taken.t_ms)
                assert came is not None  # noqa: S101 - packed just now
                pipeline.look(came)
            frame = came
            watch.end_of_frame(keep=frames >= _WARM_UP)
            frames += 1
    finally:
        clip.close()
    stages = watch.percentiles()
    busy = stages.get("all", {})
    threads = {}
    name = ""
    for number in (1, 2, _MOST_THREADS):
        if number <= (os.cpu_count() or 1):
            detector = Detector(contract, threads=number)
            threads[str(number)] = _median_ms(detector, frame)
            name = detector.interpreter
    _print(
        {
            "stages": stages,
            "fps": _frames_a_second(busy.get("p95", 0.0)),
            "cpu_fps": _frames_a_second(busy.get("cpu_p95", 0.0)),
            "cpu_share": watch.cpu_share(),
            "frames": frames,
            "threads": threads,
            "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "interpreter": f"{name} {_version(name)}".strip(),
            "model": contract.identity,
        }
    )


class _Stopwatch:
    """
    Notes each stage's elapsed time and CPU time, frame by frame; a stage that comes twice in a frame is added up.

    Frames that the detector was spared are left out of `all`.
    """

    def __init__(self) -> None:
        self._times_ms: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._frame: dict[str, tuple[float, float]] = {}

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        began_s, cpu_began_s = time.perf_counter(), time.process_time()
        yield
        cpu_s, elapsed_s = time.process_time() - cpu_began_s, time.perf_counter() - began_s
        elapsed_ms, cpu_ms = self._frame.get(stage, (0.0, 0.0))
        self._frame[stage] = elapsed_ms + elapsed_s * 1000, cpu_ms + cpu_s * 1000

    def end_of_frame(self, *, keep: bool) -> None:
        if "detector" not in self._frame:
            self._frame.pop("all", None)
        if keep:
            for stage, ms in self._frame.items():
                self._times_ms[stage].append(ms)
        self._frame = {}

    def percentiles(self) -> dict[str, dict[str, float]]:
        order = ("decode", "picture check", "gate", "detector", "tracker", "line", "all")
        return {stage: _percentiles(self._times_ms[stage]) for stage in order if self._times_ms[stage]}

    def cpu_share(self) -> float:
        """Return how much of the elapsed time the stages had a core for; 0 without frames."""
        elapsed_ms, cpu_ms = np.sum(self._times_ms["all"] or [(0.0, 0.0)], axis=0)
        return round(float(cpu_ms / elapsed_ms), 3) if elapsed_ms else 0.0


def _percentiles(times_ms: list[tuple[float, float]]) -> dict[str, float]:
    elapsed, cpu = np.array(times_ms).T
    return {
        f"{kind}p{share}": round(float(np.percentile(times, share)), 2)
        for kind, times in (("", elapsed), ("cpu_", cpu))
        for share in (50, 95)
    }


def _frames_a_second(ms: float) -> float:
    return round(1000 / ms, 1) if ms else 0.0


def _median_ms(detector: Detector, frame: Frame) -> float:
    times = []
    for number in range(_WARM_UP + _TRIES):
        began_s = time.perf_counter()
        detector.detect(frame.pixels)
        if number >= _WARM_UP:
            times.append((time.perf_counter() - began_s) * 1000)
    return round(float(np.median(times)), 2)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _print(figures: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()
