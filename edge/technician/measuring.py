"""Starting `footfall measure`, and taking its figures: pictures are looked at there, sealed, and never here."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from edge.core.errors import MeasuringFailed
from edge.core.signals import kill_group

_HUNG_S = 60.0
"""A measurement hangs if it uses no CPU time for so long, in s, beyond the time for which it looks."""
_LONGEST_S = 600.0
"""A measurement that goes on using CPU time is ended after this, in s: a slow box needs minutes to load libraries."""
_TICK_S = 1.0


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
            process_group=0,
        )
        self._began_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        kill_group(self._process.pid)
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
        said = self._wait()
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

    def _wait(self) -> str:
        """
        Wait until it has ended, and return all that it has printed.

        A slow box, or a busy one, is waited for as long as the measurement uses CPU time. Raises MeasuringFailed.
        """
        used_s, moved_s = self._cpu_s(), time.monotonic()
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.communicate(timeout=_TICK_S)[0]
            now_s, cpu_s = time.monotonic(), self._cpu_s()
            if cpu_s > used_s:
                used_s, moved_s = cpu_s, now_s
            hung = now_s - moved_s > self._seconds + _HUNG_S
            if hung or now_s - self._began_s > self._seconds + _LONGEST_S:
                break
        kill_group(self._process.pid)
        said, _ = self._process.communicate()
        raise self._late(said, now_s - self._began_s, used_s)

    def _cpu_s(self) -> float:
        """Return how much CPU time it has used, in s; 0 once it is gone."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8", errors="replace")
            # Behind the name, which may hold blanks: user and system time are the 12th and 13th field from there.
            user, system = stat.rpartition(")")[2].split()[11:13]
            return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def _late(self, said: str, after_s: float, cpu_s: float) -> MeasuringFailed:
        """Return the error of a measurement that was ended: the camera's fault only where it was being opened."""
        stages = [line for line in said.splitlines() if line.startswith('{"stage"')]
        stage = json.loads(stages[-1])["stage"] if stages else "loading"
        load, processors = os.getloadavg()[0], os.cpu_count() or 1
        if stage == "opening" and load <= 2 * processors:
            return MeasuringFailed(f"it can't be opened within {after_s:.0f} s", "look at the camera's plug and cable")
        doing = {"loading": "load its libraries", "opening": "open the camera"}.get(stage, "look at pictures")
        cause = f"this box ran out of time: in {after_s:.0f} s the measurement got {cpu_s:.0f} s to {doing}"
        if load > 2 * processors:
            busy = f"a load of {load:.0f} on {processors} processors"
            return MeasuringFailed(cause, f"end what keeps this box busy ({busy}), then check again")
        return MeasuringFailed(cause, f"the card or the box is too slow, or worn; {self._by_hand}")

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
