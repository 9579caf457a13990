"""
`footfall run`: vision and publisher from one terminal, for a trial.

It stands where systemd stands on a box: it holds both ends of each diode, so that a pipe outlives the processes on
it, starts a process again that was killed or that does no work any more, and stops vision before the publisher, so
that the last readings are still read. SIGHUP is passed on, and reads the config again; when it is the terminal that
hung up, everything ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from edge.config import schema
from edge.config.schema import DEFAULT_LEDGER, Config
from edge.core.clock import KernelClock, TrialClock
from edge.core.errors import CameraClosed
from edge.core.signals import kill_group
from edge.sandbox import prctl
from edge.sandbox.readiness import SIGNALLED

log = logging.getLogger(__name__)

_STOP_S = 20.0
_MOST_RESTARTS = 100
WATCHDOG_S = 60.0
"""A process that tells of no work for so long, in s, is killed and started again, as under systemd."""
START_S = 600.0
"""A process may take so long to tell that it is up, in s: longer than on a box, as the machine does other things."""


@dataclass(slots=True)
class _Child:
    """
    One of the processes, how to start it again, and its watchdog.

    It tells of its work as it would tell systemd, by a socket that the environment names.
    """

    name: str
    command: Sequence[str]
    descriptors: Sequence[int]
    process: subprocess.Popen[bytes] = field(init=False)
    told: socket.socket = field(init=False)
    _due_s: float = field(init=False)
    """When it must have told something by, in s of the monotonic clock."""

    def __post_init__(self) -> None:
        """Open its socket, which stays through restarts."""
        self.told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self.told.bind(f"\0footfall-run-{secrets.token_hex(8)}")

    def start(self) -> None:
        address = "@" + self.told.getsockname()[1:].decode()
        self.process = subprocess.Popen(
            self.command,
            pass_fds=self.descriptors,
            process_group=0,
            env={**os.environ, "NOTIFY_SOCKET": address},
            preexec_fn=prctl.die_with_parent,  # noqa: PLW1509 - this process has one thread
        )
        self._due_s = time.monotonic() + START_S

    @property
    def left_s(self) -> float:
        """Seconds until the watchdog kills it; less than nothing when it must."""
        return self._due_s - time.monotonic()

    def hear(self) -> None:
        """Take what it has told, and put the watchdog off where it has worked."""
        with contextlib.suppress(BlockingIOError):
            while message := self.told.recv(4096):
                if {b"WATCHDOG=1", b"READY=1"} & set(message.splitlines()):
                    self._due_s = time.monotonic() + WATCHDOG_S

    def kill(self) -> None:
        """Kill it, and whatever it has started."""
        kill_group(self.process.pid)
        self.process.wait()

    def end(self) -> None:
        """Ask it to stop, and wait; kill it if it doesn't. What it has started ends with it."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            log.warning("%s doesn't stop; killed", self.name)
        self.kill()

    @property
    def code(self) -> int:
        """What it has ended with; a negative number is the signal that has killed it, or the child of its helper."""
        code = self.process.returncode
        return SIGNALLED - code if code > SIGNALLED else code


def run(path: Path, trial_speed: float | None = None, *, sealed: bool = True) -> int:
    """
    Run every camera's vision and the publisher until SIGTERM or SIGINT; return the exit code of whichever failed.

    Args:
        path: The config file.
        trial_speed: Run on a made-up clock that starts at the top of this hour and is so many times as fast.
        sealed: False only while developing.

    Raises:
        ConfigError: the config can't be used.
    """
    settings = schema.load(path)
    _say_what_to_expect(settings, trial_speed)
    # The seal tries to look into its parent's memory, and refuses to go on where it can.
    prctl.hide_memory()
    common = ["--config", str(path)]
    if trial_speed is not None:
        clock = _trial_clock(settings.timezone, trial_speed)
        log.warning(
            "a trial: the clock is made up and runs %g times as fast; its hours are flagged `trial`", trial_speed
        )
        common += ["--trial-clock", clock.spec()]
    footfall = [sys.executable, "-m", "edge"]
    pipes = {camera: os.pipe() for camera in settings.cameras}
    readers = [f"--diode={camera}={ends[0]}" for camera, ends in pipes.items()]
    publisher = _Child("publisher", [*footfall, "publisher", *common, *readers], [ends[0] for ends in pipes.values()])
    visions = [
        _Child(
            f"vision {camera}",
            [*footfall, "vision", camera, *common, f"--diode={ends[1]}", *([] if sealed else ["--unsealed"])],
            [ends[1]],
        )
        for camera, ends in pipes.items()
    ]
    return _keep_running([*visions, publisher])


def _say_what_to_expect(settings: Config, trial_speed: float | None) -> None:
    """Say when the first hour will be sent, and where counts are kept if that is an installed box's own ledger."""
    if settings.ledger == DEFAULT_LEDGER:
        log.warning(
            "this trial writes into %s, the ledger of an installed box; for its own write `ledger: ./trial.sqlite`",
            settings.ledger,
        )
    clock = KernelClock()
    if trial_speed is not None:
        log.info("the first hour is over in %.0f s, and sent soon after", 3600 / trial_speed)
        return
    if not clock.trusted():
        log.warning("counting, but no hour is sent until the clock is synchronised; see `timedatectl`")
        return
    now = datetime.fromtimestamp(clock.wall_ms() / 1000, ZoneInfo(settings.timezone))
    end = (now + timedelta(hours=1)).replace(minute=0)
    log.info("the first hour is sent soon after %s; with --trial-speed 60 a minute is an hour", f"{end:%H:%M}")


def _trial_clock(timezone: str, speed: float) -> TrialClock:
    """Return a trial clock that starts at the top of the present hour of the site's own zone."""
    now = datetime.fromtimestamp(KernelClock().wall_ms() / 1000, ZoneInfo(timezone))
    top = now.replace(minute=0, second=0, microsecond=0)
    return TrialClock.starting_at(round(top.timestamp() * 1000), speed)


def _keep_running(children: Sequence[_Child]) -> int:
    """Start *children*, start again those that are killed, and end all, in order, when asked to or when one fails."""
    wake, woken = socket.socketpair()
    for end in (wake, woken):
        end.setblocking(False)
    stop: list[int] = []
    hang_ups: list[int] = []
    terminal = _has_terminal()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stop.append(number))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGHUP, lambda number, _: hang_ups.append(number))
    signal.set_wakeup_fd(wake.fileno())
    running = list(children)
    for child in running:
        child.start()
    failed = 0
    restarts = 0
    try:
        while not stop and not failed:
            left_s = min((child.left_s for child in running), default=WATCHDOG_S)
            select.select([woken, *(child.told for child in running)], [], [], max(0.0, left_s))
            with contextlib.suppress(BlockingIOError):
                woken.recv(4096)
            _pass_on(hang_ups, stop, running, terminal=terminal)
            _watch(running)
            for child in [child for child in running if child.process.poll() is not None]:
                kill_group(child.process.pid)
                code = child.code
                if code == 0:
                    running.remove(child)
                    log.info("%s is done; the hours go on until you stop this with Ctrl-C", child.name)
                elif (code < 0 or code == CameraClosed.exit_code) and restarts < _MOST_RESTARTS:
                    restarts += 1
                    log.warning("%s ended (%s); started again", child.name, _cause(code))
                    child.start()
                else:
                    failed = code if code > 0 else 1
                    log.error("%s ended (%s); stopping", child.name, _cause(code))
    finally:
        for child in children:
            child.end()
            child.told.close()
        signal.set_wakeup_fd(-1)
        wake.close()
        woken.close()
    return failed


def _watch(children: Sequence[_Child]) -> None:
    """Kill those of *children* that have done no work for too long."""
    for child in children:
        child.hear()
        if child.left_s < 0 and child.process.poll() is None:
            log.warning("%s has done no work for %g s; killed by its watchdog", child.name, WATCHDOG_S)
            child.kill()


def _pass_on(hang_ups: list[int], stop: list[int], children: Sequence[_Child], *, terminal: bool) -> None:
    """Hand SIGHUP to *children*, or take it for the end where it came because the terminal is gone."""
    if not hang_ups:
        return
    hang_ups.clear()
    if terminal and not _has_terminal():
        stop.append(signal.SIGHUP)
        return
    for child in children:
        child.process.send_signal(signal.SIGHUP)


def _has_terminal() -> bool:
    """Tell whether this process has a terminal, one that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _cause(code: int) -> str:
    # A sealed process has no log: its code is all that it says.
    return (
        f"exit code {code}, which docs/operations.md explains"
        if code >= 0
        else f"killed by {signal.Signals(-code).name}"
    )
