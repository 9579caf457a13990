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
from edge.technician.check.check_result import Finding, fail, ok

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def run(path: Path, *, as_json: bool) -> int:
    """
    Check everything and print it; return 0 if nothing fails, else 1.

    Args:
        path: The config file.
        as_json: One object on stdout: {"schema": 1, "box", "at", "software", "ok", "findings": [{"what", "state",
            "found", "advice"}]}.
    """
    found: list[Finding] = []
    progress = Console(stderr=True)
    out = Console(highlight=False, soft_wrap=True)
    with progress.status("", spinner="line") as status:
        for step, findings in _steps(path):
            status.update(f"{step} ...")
            for finding in findings:
                found.append(finding)
                if not as_json:
                    _show(out, finding)
    failed = [finding for finding in found if finding.state == "fail"]
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
                    "findings": [asdict(finding) for finding in found],
                },
                ensure_ascii=False,
            )
        )
    else:
        out.print(_verdict(found))
    return 1 if failed else 0


def _steps(path: Path) -> Iterator[tuple[str, Iterator[Finding]]]:
    """Yield what is looked at now, and its findings, each found only when it is asked for."""
    try:
        settings = schema.load(path)
    except ConfigError as exc:
        yield "config", (fail("config", said.problem, said.advice or "correct it") for said in exc.messages)
        yield "box", (finding for part in (box.check_heat, box.check_clock) for finding in part())
        return
    publisher = settings.publisher()
    yield "config", iter([ok("config", f"{path}: {_summary(settings)}")])
    for camera in settings.cameras:
        yield (
            f"camera {camera}: looking for {check_camera.LOOK_S:g} s",
            check_camera.check_camera(path, settings, camera),
        )
    yield "model: running it on the demo clip", check_camera.check_model(path, settings)
    yield "heat", box.check_heat()
    yield "clock", box.check_clock()
    yield "disk", box.check_disk(publisher)
    yield "ledger", box.check_ledger(publisher)
    yield "broker files", box.check_broker_files(publisher)
    yield f"broker {settings.broker.host}", broker.check_broker(publisher)
    yield "units", box.check_units(publisher)


def _summary(settings: schema.Config) -> str:
    lines = sum(len(camera.lines) for camera in settings.cameras.values())
    return f"site {settings.site}, {len(settings.cameras)} camera(s), {lines} line(s), {settings.timezone}"


def _show(out: Console, finding: Finding) -> None:
    advice = f"\n      -> {finding.advice}" if finding.advice else ""
    out.print(
        Text.assemble(
            (f"{finding.state:<4}", _STYLES[finding.state]),
            "  ",
            (f"{finding.what}: ", "dim"),
            finding.found,
            (advice, "bold"),
        )
    )


def _verdict(found: Sequence[Finding]) -> Text:
    fails, warns = (sum(finding.state == state for finding in found) for state in ("fail", "warn"))
    if fails:
        return Text(f"{fails} of {len(found)} fail: this box doesn't do its work yet", "bold red")
    if warns:
        return Text(f"nothing fails; {warns} of {len(found)} are worth a look", "yellow")
    return Text(f"all {len(found)} are well", "bold green")
