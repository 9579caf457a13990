"""
The camera's own service, stopped for as long as a technician looks, and started again whatever happens.

A camera can be opened by one process only. Where systemd runs none of ours, as in a trial, this does nothing.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import subprocess
from collections.abc import Iterator

log = logging.getLogger(__name__)

_GRACE_S = 120


@contextlib.contextmanager
def paused(camera: str, longest_s: float) -> Iterator[bool]:
    """
    Stop the vision of *camera* for the body's time; give whether there was one to stop.

    Should this process be killed, a timer of systemd's own starts the service *longest_s* and two minutes after it was
    stopped.
    """
    unit = f"footfall-vision@{camera}.service"
    timer = f"footfall-resume-{camera}"
    if not _says("is-active", unit):
        yield False
        return
    wake = ["systemd-run", "--quiet", f"--unit={timer}", f"--on-active={longest_s + _GRACE_S:.0f}s", "--collect"]
    if not _done(*wake, "systemctl", "start", unit):
        log.warning("if this is killed, start the service again yourself: sudo systemctl start %s", unit)
    try:
        if not _done("systemctl", "stop", unit):
            log.warning("%s could not be stopped; it may still hold the camera: run this with sudo", unit)
        yield True
    finally:
        _done("systemctl", "stop", f"{timer}.timer")
        if not _done("systemctl", "start", unit):
            log.error("%s could not be started again; type: sudo systemctl start %s", unit, unit)


def reload_publisher() -> bool:
    """Let the publisher take the new config, where systemd runs it; tell whether it does."""
    unit = "footfall-publisher.service"
    return _says("is-active", unit) and _done("systemctl", "reload-or-restart", unit)


def _says(*question: str) -> bool:
    """Ask systemd a question that is answered by the exit code."""
    return shutil.which("systemctl") is not None and _done("systemctl", "--quiet", *question, quiet=True)


def _done(*command: str, quiet: bool = False) -> bool:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as exc:
        log.warning("%s: %s", " ".join(command), exc)
        return False
    if done.returncode and not quiet:
        log.warning("%s: %s", " ".join(command), done.stderr.strip())
    return done.returncode == 0
