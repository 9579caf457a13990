"""`footfall bench`: how fast this box is, stage by stage, and how warm it gets meanwhile."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from edge.config import schema
from edge.technician import measuring, proc, temperature
from edge.technician.measuring import Stages

_TICK_S = 0.5
_BUSY_SHARE = 0.9
"""If the stages had a core for less of the time than this, something else ran beside them, and bench says so."""


def run(path: Path, camera: str | None, seconds: float, *, as_json: bool) -> None:
    """
    Measure and print.

    Args:
        path: The config file.
        camera: Whose size, rate and lines; None for the first.
        seconds: How long the stages run.
        as_json: One object on stdout: {"camera", "asked_fps", "stages", "fps", "cpu_fps", "cpu_share", "frames",
            "threads", "memory_mb", "interpreter", "model", "cores", "celsius": [before, after], "held_back"}; times in
            ms.

    Raises:
        ConfigError: the config can't be used, or has no such camera.
        MeasuringFailed: the model can't be run here.
    """
    settings = schema.load(path)
    camera = camera or next(iter(settings.cameras))
    asked = settings.vision(camera).camera
    before = temperature.read()
    with measuring.Measuring(path, camera, seconds, look=False) as measurement:
        _wait(measurement, seconds)
        stages = Stages(**measurement.figures())
    after = temperature.read()
    if as_json:
        print(
            json.dumps(
                {
                    "camera": camera,
                    "asked_fps": asked.fps,
                    **asdict(stages),
                    "cores": os.cpu_count(),
                    "celsius": [before.celsius, after.celsius],
                    "held_back": list(after.throttled),
                },
                ensure_ascii=False,
            )
        )
        return
    out = Console(highlight=False, soft_wrap=True)
    out.print(_table(stages))
    width, height = asked.size
    out.print(
        f"{stages.model} in {stages.interpreter}, {stages.frames} frames of {width} x {height}, {stages.memory_mb} MB"
    )
    threads = ", ".join(f"{number}: {ms:g} ms" for number, ms in stages.threads.items())
    out.print(f"detector by threads, median: {threads}; the service uses 1, and the box has {os.cpu_count()} cores")
    out.print(
        f"temperature: {before} before, {after} after" + (f"; {'; '.join(after.throttled)}" if after.throttled else "")
    )
    if proc.running("vision"):
        out.print("the service was running beside it: stop it for figures of the box alone")
    if stages.cpu_share < _BUSY_SHARE:
        out.print(
            f"the box was busy with something else: the stages had a core for {stages.cpu_share:.0%} of the time, and "
            f"held {stages.fps:g} pictures a second; the verdict is from CPU time"
        )
    verdict = "enough for" if stages.cpu_fps >= asked.fps else "NOT enough for"
    out.print(
        f"{stages.cpu_fps:g} pictures a second can be held while people walk: {verdict} the {asked.fps:g} asked for"
    )


def _wait(measurement: measuring.Measuring, seconds: float) -> None:
    """Show progress until the figures are there."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("measuring", total=seconds)
        while not measurement.ended(_TICK_S):
            progress.advance(task, _TICK_S)


def _table(stages: Stages) -> Table:
    table = Table("stage", "p50 ms", "p95 ms", "CPU p50 ms", "CPU p95 ms", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, share in stages.stages.items():
        words = "all, with people" if name == "all" else "decode (MJPG)" if name == "decode" else name
        table.add_row(words, *(f"{share[name]:.2f}" for name in ("p50", "p95", "cpu_p50", "cpu_p95")))
    return table
