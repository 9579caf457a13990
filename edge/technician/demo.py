"""
The trial: the real programs count the shipped demo clip, and this module watches as headquarters would.

It starts `footfall run` on a config of its own, listens at the broker as a plain subscriber who knows nothing of the
box, and shows the hour that arrived beside the truth. It must never look at the ledger, the diodes or the programs'
memory: what it can't learn from the broker, headquarters couldn't either.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from edge.core.clock import KernelClock
from edge.core.errors import ModelMismatch
from edge.core.head_model import shipped
from edge.core.signals import Notice, stop_signals
from edge.mqtt.subscription import Message
from edge.technician.demo_headquarters import (
    CAMERA,
    LINE,
    SITE,
    STATUS_TOPIC,
    ZONE,
    Headquarters,
    Received,
    find_fault,
)

_HOUR_S = 3600
_SENT_BY_S = 600
"""An hour is sent at most this long after its end (grace and spread), on the trial's clock."""
_START_UP_S = 60
"""Real seconds within which a slow machine has started both programs."""
_ANSWER_S = 10
_TICK_S = 0.2


@dataclass(frozen=True, slots=True)
class Truth:
    """What the demo clip really shows."""

    clip: Path
    seconds: float
    line: dict[str, list[float]]
    in_: int
    out: int


def read_truth() -> Truth:
    """
    Return what door.json says of the shipped demo clip.

    Raises:
        ModelMissing: either isn't there.
        ModelMismatch: door.json isn't what the clip's generator writes.
    """
    clip, described = shipped("demo/door.mp4"), shipped("demo/door.json")
    try:
        told: dict[str, Any] = json.loads(described.read_text(encoding="utf-8"))
        directions = [event["dir"] for event in told["events"]]
        return Truth(
            clip=clip,
            seconds=told["frames"] / told["fps"],
            line={end: list(told["line"][end]) for end in ("from", "to", "inside")},
            in_=directions.count("in"),
            out=directions.count("out"),
        )
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as exc:
        raise ModelMismatch(described, "description", "a JSON object with line and events", repr(exc)) from exc


def run(*, host: str = "127.0.0.1", port: int = 1883, speed: float = 60.0) -> int:
    """
    Count the demo clip with the real programs and print the hour that arrived at the broker.

    Args:
        host: Name or address of a broker that is running already and wants no password.
        port: Its port.
        speed: How many times faster than real the trial's clock runs.

    Returns:
        0 when the hour arrived and can be booked; 1 when not; 2 when the clip doesn't fit into an hour at this speed.

    Raises:
        ModelMissing: the demo clip isn't installed.
        ModelMismatch: its description can't be read.
        BrokerUnreachable, BrokerRefused: there is no broker to listen to.
    """
    out, progress = Console(highlight=False), Console(stderr=True, highlight=False)
    truth = read_truth()
    fastest = _HOUR_S / (truth.seconds + 10)
    if not 0 < speed <= fastest:
        progress.print(
            f"--speed must be more than 0 and at most {fastest:.0f}, or the clip outlasts the trial's hour",
            soft_wrap=True,
        )
        return 2
    headquarters = Headquarters(host, port)
    try:
        with tempfile.TemporaryDirectory(prefix="footfall-demo-") as name, stop_signals() as stopping:
            return _Trial(Path(name), headquarters, truth, speed, stopping).show(out, progress, host, port)
    finally:
        headquarters.close()


class _Trial:
    """One run of the real programs, with its config, its log and what it sent, all in *folder*."""

    def __init__(self, folder: Path, headquarters: Headquarters, truth: Truth, speed: float, stopping: Notice) -> None:
        self._folder = folder
        self._headquarters = headquarters
        self._truth = truth
        self._speed = speed
        self._stopping = stopping
        self._received = Received()
        self._log = folder / "log"
        self._clock = KernelClock()

    def show(self, out: Console, progress: Console, host: str, port: int) -> int:
        """Run it and print what came of it; return the exit code."""
        command = [sys.executable, "-m", "edge", "run", "--config", str(self._write_config(host, port))]
        with (
            self._log.open("wb") as log,
            subprocess.Popen(
                [*command, "--trial-speed", f"{self._speed:g}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            ) as child,
        ):
            progress.print(
                f"-> vision and publisher are counting {self._truth.clip.name} ({self._truth.seconds:.0f} s); "
                f"the hour takes {_HOUR_S / self._speed:.0f} s on a clock sped up {self._speed:g} times",
                soft_wrap=True,
            )
            try:
                with _follow(progress, self._speed) as follow:
                    self._listen(child, follow)
                if self._received.hour is not None:
                    self._end(child)
            finally:
                _stop(child)
        fault = self._find_fault(child.returncode)
        if self._received.hour is not None:
            self._print_hour(out, self._received.hour)
        if fault:
            if not self._stopping.is_set():
                self._print_log(progress)
            progress.print(f"The trial failed: {fault}.", style="bold red", markup=False, soft_wrap=True)
            return 1
        self._print_comparison(out)
        return 0

    def _write_config(self, host: str, port: int) -> Path:
        config = {
            "site": SITE,
            "timezone": ZONE,
            "cameras": {CAMERA: {"source": str(self._truth.clip), "lines": {LINE: self._truth.line}}},
            "broker": {"host": host, "port": port, "tls": False, "protocol": self._headquarters.protocol},
            "ledger": str(self._folder / "ledger.sqlite"),
            "tally_dir": str(self._folder),
        }
        path = self._folder / "footfall.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        return path

    def _listen(self, child: subprocess.Popen[bytes], follow: Callable[[float], None]) -> None:
        """Take messages until the hour came, the programs ended, somebody wants to stop or it is too late."""
        began_ms = self._clock.boot_ms()
        deadline_s = (_HOUR_S + _SENT_BY_S) / self._speed + _START_UP_S
        while self._received.hour is None and not self._stopping.is_set() and child.poll() is None:
            passed_s = (self._clock.boot_ms() - began_ms) / 1000
            if passed_s > deadline_s:
                return
            follow(passed_s)
            self._take(_TICK_S)
        while self._take(0):
            pass

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        """End the programs, and take what they send as they go."""
        child.terminate()
        give_up_ms = self._clock.boot_ms() + 1000 * _ANSWER_S
        while not self._received.offline and self._clock.boot_ms() < give_up_ms:
            self._take(_TICK_S)

    def _take(self, wait_s: float) -> bool:
        """Note what has arrived, waiting at most *wait_s*; return whether anything has."""
        messages = self._headquarters.receive(wait_s)
        for message in messages:
            self._received.add(message)
        return bool(messages)

    def _find_fault(self, exit_code: int) -> str | None:
        """Return what kept this from being a good trial, or None."""
        if self._received.hour is None:
            if self._stopping.is_set():
                return "it was stopped before the hour was over"
            if exit_code > 0:
                return f"the programs ended with exit code {exit_code} before the hour was sent"
            return "no hour arrived in time"
        fault = find_fault(self._received.hour.payload)
        if fault:
            return f"the hour that arrived can't be booked: {fault}"
        if not self._received.offline:
            return f"the programs ended, but {STATUS_TOPIC} did not become offline"
        return None

    def _print_hour(self, out: Console, hour: Message) -> None:
        out.print("\nWhat headquarters received, byte for byte:\n", style="bold")
        out.print(hour.topic, style="cyan", markup=False, soft_wrap=True)
        out.print(hour.payload.decode(errors="backslashreplace"), markup=False, soft_wrap=True)

    def _print_comparison(self, out: Console) -> None:
        if self._received.hour is None:
            return
        hour = json.loads(self._received.hour.payload)
        table = Table("")
        for heading in ("in", "out"):
            table.add_column(heading, justify="right")
        table.add_row("counted", str(hour["in"]), str(hour["out"]))
        table.add_row("true", str(self._truth.in_), str(self._truth.out))
        out.print()
        out.print(table)
        out.print(
            f"The clock was sped up {self._speed:g} times, so this is no hour that ever was: it carries the flag "
            f'"trial".\nThe clip lasts {self._truth.seconds:.0f} s, and for the rest of the hour nobody watched: '
            '"watched_s", and the flag "off".\nNothing else arrived on any topic, but:',
            soft_wrap=True,
        )
        for message in self._received.others:
            said = message.payload.decode(errors="backslashreplace")
            out.print(f"  {message.topic}  {said}", markup=False, soft_wrap=True)
        out.print(NEXT, markup=False, soft_wrap=True)

    def _print_log(self, progress: Console) -> None:
        said = self._log.read_text(encoding="utf-8", errors="backslashreplace").rstrip()
        if said:
            progress.print("What the programs said:")
            progress.print(said, markup=False, soft_wrap=True)


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End *child*, at once if it doesn't do so when asked."""
    child.terminate()
    try:
        child.wait(timeout=2 * _ANSWER_S)
    except subprocess.TimeoutExpired:
        child.kill()


NEXT = """
Next, with a real camera above a door: write footfall.yaml,

  site: my-shop
  timezone: Europe/Berlin
  cameras:
    door:
      source: /dev/video0
      lines:
        entrance: {from: [0.10, 0.55], to: [0.90, 0.55], inside: [0.5, 0.9]}
  broker: {host: mqtt.example.com, username: my-shop, password_file: /etc/footfall/mqtt.password}
  ledger: ./ledger.sqlite

and start both programs: .venv-demo/bin/footfall run --config footfall.yaml
`inside` is any point of the picture on the shop's side. docs/operations.md explains each setting."""


@contextmanager
def _follow(console: Console, speed: float) -> Iterator[Callable[[float], None]]:
    """Give a function that shows how far the trial's hour is, told the real seconds since it began."""

    def minute(passed_s: float) -> int:
        return min(60, int(passed_s * speed / 60))

    if not console.is_terminal:
        shown = 0

        def tell(passed_s: float) -> None:
            nonlocal shown
            if minute(passed_s) >= shown + 15:
                shown = minute(passed_s) // 15 * 15
                console.print(f"   minute {shown} of 60")

        yield tell
        return
    columns = (TextColumn("   minute {task.completed:.0f} of 60"), BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task: TaskID = bar.add_task("", total=60)

        def draw(passed_s: float) -> None:
            done = minute(passed_s)
            bar.update(task, completed=done, description="waiting for the hour to be sent" if done == 60 else "")  # noqa: PLR2004 - minutes

        yield draw
