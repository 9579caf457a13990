"""
`footfall check`: everything that has to be right at the door, one line each, with what to do about what isn't.

It changes nothing, and disturbs nothing that runs: it reads, writes one probe file beside the ledger and removes it,
looks through a camera that nobody else holds, and logs in at the broker under a name of its own.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from edge import __version__
from edge.config import schema
from edge.core.clock import KernelClock
from edge.core.errors import ConfigError
from edge.technician.check import box, broker
from edge.technician.check import camera as check_camera
from edge.technician.check import config as check_config
from edge.technician.check.check_result import CheckResult, fail, ok, show


def run(path: Path, *, as_json: bool) -> int:
    """
    Check everything and print it; return 0 if nothing fails, else 1.

    Args:
        path: The config file.
        as_json: One object on stdout: {"schema": 1, "box", "at", "software", "ok", "findings": [{"what", "state",
            "found", "advice"}]}.
    """
    results: list[CheckResult] = []
    progress = Console(stderr=True)
    out = Console(highlight=False, soft_wrap=True)
    with progress.status("", spinner="line") as status:
        for step, step_results in _steps(path):
            status.update(f"{step} ...")
            for result in step_results:
                results.append(result)
                if not as_json:
                    show(out, result)
    failed = [result for result in results if result.state == "fail"]
    if as_json:
        at = datetime.fromtimestamp(KernelClock().wall_ms() / 1000, UTC)
        print(
            json.dumps(
                {
                    "schema": 1,
                    "box": socket.gethostname(),
                    "at": at.isoformat(timespec="seconds"),
                    "software": f"footfall-edge {__version__}",
                    "ok": not failed,
                    "findings": [asdict(result) for result in results],
                },
                ensure_ascii=False,
            )
        )
    else:
        out.print(_verdict(results))
    return 1 if failed else 0


def _steps(path: Path) -> Iterator[tuple[str, Iterator[CheckResult]]]:
    """Yield what is looked at now, and its results, each found only when it is asked for."""
    try:
        settings = schema.load(path)
    except ConfigError as exc:
        yield "config", (fail("config", said.problem, said.advice or "correct it") for said in exc.messages)
        yield "box", (result for part in (box.check_temperature, box.check_clock) for result in part())
        return
    publisher = settings.publisher()
    yield "config", iter([ok("config", f"{path}: {_summary(settings)}")])
    yield "lines and hours", check_config.check_config(settings)
    for camera in settings.cameras:
        yield (
            f"camera {camera}: looking for {check_camera.LOOK_S:g} s",
            check_camera.check_camera(path, settings, camera),
        )
    yield "model: running it on the demo clip", check_camera.check_model(path, settings)
    yield "temperature", box.check_temperature()
    yield "clock", box.check_clock()
    yield "disk", box.check_disk(publisher)
    yield "ledger", box.check_ledger(publisher)
    yield "broker files", box.check_broker_files(publisher)
    yield f"broker {settings.broker.host}", broker.check_broker(publisher)
    yield "folders", box.check_folders(settings)
    yield "units", box.check_units(publisher)


def _summary(settings: schema.Config) -> str:
    lines = sum(len(camera.lines) for camera in settings.cameras.values())
    cameras = len(settings.cameras)
    return (
        f"site {settings.site}, {cameras} camera{'s' * (cameras > 1)}, {lines} line{'s' * (lines > 1)}, "
        f"{settings.timezone}"
    )


def _verdict(results: Sequence[CheckResult]) -> Text:
    fails, warns = (sum(result.state == state for result in results) for state in ("fail", "warn"))
    if fails:
        return Text(f"not ready: {fails} of {len(results)} checks failed", "bold red")
    if warns:
        return Text(f"ready; {warns} of {len(results)} checks gave a warning", "yellow")
    return Text(f"ready: all {len(results)} checks passed", "bold green")
