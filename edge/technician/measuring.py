"""Starting `footfall measure`, and taking its figures: pictures are looked at there, sealed, and never here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from edge.core.errors import MeasuringFailed

_START_UP_S = 60.0
"""Seconds that a measurement may take to start: a slow card loads numpy, OpenCV and the interpreter for so long."""


@dataclass(frozen=True, slots=True)
class Look:
    """
    What a camera gave; flags as in the hours.

    Attributes:
        plain: Whether next to nothing can be seen in the last picture: a plain floor, or a cap on the lens.
    """

    width: int
    height: int
    fps: float
    frames: int
    flags: tuple[str, ...]
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Stages:
    """
    How long the stages take on this box.

    Attributes:
        stages: name: {"p50", "p95", "cpu_p50", "cpu_p95"}, ms of elapsed and of CPU time; `all` is everything, on
            frames that the detector looked at.
        fps: Frames a second that can be held while people walk, beside whatever else ran on the box.
        cpu_fps: The same by CPU time: what the box can hold that does nothing else.
        cpu_share: Share of the elapsed time in which the stages had a core, 0 to 1; much less than 1 on a busy box.
        frames: How many were looked at.
        threads: Number of threads: median ms of the detector.
        memory_mb: The process's largest size.
        interpreter, model: What ran what.
    """

    stages: Mapping[str, Mapping[str, float]]
    fps: float
    cpu_fps: float
    cpu_share: float
    frames: int
    threads: Mapping[str, float]
    memory_mb: int
    interpreter: str
    model: str


class Measuring:
    """
    A running measurement.

    Args:
        config: The config file.
        camera: Whose size, rate and lines are measured with.
        seconds: How long.
        look: Through the camera, instead of timing the stages on the demo clip.
    """

    def __init__(self, config: Path, camera: str, seconds: float, *, look: bool) -> None:
        self._seconds, self._look = seconds, look
        self._arguments = ["measure", camera, "--config", str(config), "--seconds", f"{seconds:g}"]
        if look:
            self._arguments.append("--look")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge", *self._arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def ended(self, within_s: float) -> bool:
        """Tell whether it has ended, waiting at most *within_s*; it says so little that it never waits for us."""
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def figures(self) -> dict[str, Any]:
        """
        Wait for the figures and return them.

        Raises:
            MeasuringFailed: there are none; with the sentence that the process ended with.
        """
        try:
            said, _ = self._process.communicate(timeout=self._seconds + _START_UP_S)
        except subprocess.TimeoutExpired:
            cause = f"it gave no figures within {self._seconds + _START_UP_S:.0f} s"
            raise MeasuringFailed(cause, self._advise_late()) from None
        code = self._process.returncode
        if code < 0:
            name = signal.Signals(-code).name
            raise MeasuringFailed(
                f"the process was killed by {name}",
                "the interpreter, numpy and OpenCV don't fit each other; install the package again",
            )
        if code:
            raise self._failure(said, code)
        figures: dict[str, Any] = json.loads(said.splitlines()[-1])
        return figures

    def _advise_late(self) -> str:
        """Return what to do about a measurement that takes too long: because of other programs, or of the camera."""
        load, processors = os.getloadavg()[0], os.cpu_count() or 1
        if load > 2 * processors:
            return f"end what keeps this box busy (a load of {load:.0f} on {processors} processors), then check again"
        return "look at the camera's plug and cable" if self._look else self._by_hand

    @property
    def _by_hand(self) -> str:
        return f"type `footfall {' '.join(self._arguments)}` to see all that it says"

    def _failure(self, said: str, code: int) -> MeasuringFailed:
        """Return the error that the process has told as JSON, or how to see what it says if it has told none."""
        try:
            error = json.loads(said.splitlines()[-1])["error"]
        except (IndexError, KeyError, ValueError):
            return MeasuringFailed(f"it ended with exit code {code}", self._by_hand)
        return MeasuringFailed(error["cause"], error["advice"] or self._by_hand, subject=error["subject"])


def look(config: Path, camera: str, seconds: float) -> Look:
    """Look through *camera*; raises MeasuringFailed."""
    with Measuring(config, camera, seconds, look=True) as measuring:
        figures = measuring.figures()
    return Look(**{**figures, "flags": tuple(figures["flags"])})


def time_stages(config: Path, camera: str, seconds: float) -> Stages:
    """Time the stages as *camera* would need them; raises MeasuringFailed."""
    with Measuring(config, camera, seconds, look=False) as measuring:
        return Stages(**measuring.figures())
