"""
A rehearsal on this machine: thousands of boxes, one broker, one collector, and an outage or a crash. Loopback only.

It starts its own mosquitto and the real collector, lets the boxes of :mod:`edge.headquarters.boxes` send their hours,
and holds what is stored against what was sent: each hour once. It is bounded, and stops by itself.
"""

from __future__ import annotations

import json
import resource
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from edge.core.clock import Clock
from edge.core.errors import ConfigError
from edge.core.signals import stop_signals
from edge.headquarters.errors import RehearsalFailed
from edge.headquarters.rehearsal import Rehearsal, Result, Wish

_HEADROOM = 600
"""Files that are open beside one for each box."""


def run(wish: Wish, clock: Clock, *, json_file: Path | None = None) -> int:
    """
    Rehearse, and print the figures; return 0.

    Raises:
        ConfigError: that can't be rehearsed.
        ExtraMissing: there is no mosquitto on this machine.
        RehearsalFailed: hours were lost or doubled, or it took too long.
    """
    wish.check()
    _raise_limit(wish.boxes + _HEADROOM)
    console = Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory(prefix="footfall-simulate-") as folder, stop_signals() as stopping:
        result = Rehearsal(wish, clock, Path(folder), console).run(stopping)
    _show(Console(highlight=False), result)
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(result)), encoding="utf-8")
    expected = wish.boxes * wish.hours
    if stopping.is_set():
        raise RehearsalFailed("the rehearsal was stopped before its end")
    if result.stored != expected or result.wrong or result.quarantined:
        raise RehearsalFailed(
            f"{result.stored} of {expected} hours were stored, {result.wrong} of them wrong,"
            f" {result.quarantined} messages are in quarantine"
        )
    return 0


def _show(out: Console, result: Result) -> None:
    table = Table(title=f"{result.boxes} boxes, {result.hours} hours of {result.hour_s:g} s", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    rows = [
        ("hours sent and stored", f"{result.stored} of {result.boxes * result.hours}"),
        ("stored wrong; in quarantine", f"{result.wrong}; {result.quarantined}"),
        (
            "busiest second at the broker",
            f"{result.busiest_s} messages, {'with' if result.spread else 'without'} spread",
        ),
        ("longest from closing to acknowledgement", f"{result.latest_s:.1f} s"),
        ("broker's memory: empty, most", f"{result.broker_empty_mib:.1f} MiB, {result.broker_mib:.1f} MiB"),
        ("broker's memory a connected box", f"{result.broker_kib_a_box:.1f} KiB"),
        ("collector's memory, most", f"{result.collector_mib:.0f} MiB"),
        ("boxes' memory, all", f"{result.boxes_mib:.0f} MiB"),
        ("all of it took", f"{result.seconds:.0f} s"),
    ]
    if result.outage_hours:
        drained = "not drained" if result.drain_s is None else f"drained {result.drain_s:.0f} s after its end"
        rows.insert(3, (f"outage of {result.outage_hours} hours", drained))
    if result.crash:
        drained = "not drained" if result.drain_s is None else f"all stored {result.drain_s:.0f} s later"
        rows.insert(3, (f"broker killed after {result.acknowledged_before_crash} acknowledgements", drained))
    for row in rows:
        table.add_row(*row)
    out.print(table)


def _raise_limit(descriptors: int) -> None:
    """Let this process and its children open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= descriptors:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, max(hard, descriptors)))
    except (ValueError, OSError) as exc:
        raise ConfigError(
            "simulate", [f"{descriptors} open files are needed, {hard} are allowed here; type: ulimit -n {descriptors}"]
        ) from exc
