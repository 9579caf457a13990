"""
A sealed vision process of the technician's own, and the read end of its preview pipe.

It is the same program as the service's, with one pipe more, which is opened before it is sealed. This side never sees
a picture: only records that `edge.core.silhouette.SilhouetteValidator` lets through, and the first that can't be true
ends it all.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge.config.schema import VisionSettings
from edge.core.clock import KernelClock
from edge.core.errors import EdgeError, VisionEnded, WireError
from edge.core.signals import kill_group
from edge.core.silhouette import SIZE, Silhouette, SilhouetteValidator
from edge.core.tally import SIZE as TALLY_SIZE

log = logging.getLogger(__name__)

_USER = "footfall-vision"
_STOP_S = 10.0


class VisionProcess:
    """
    Vision as a child, and a thread that reads what it says.

    Args:
        settings: The camera's slice.
        path: The config file, which the child reads for itself.
        picture: Whether it is to draw cells.
        counting: Whether its tallies go to the publisher, where one holds the camera's diode open; else they are
            read and thrown away.
    """

    def __init__(self, settings: VisionSettings, path: Path, *, picture: bool, counting: bool) -> None:
        self._settings = settings
        self._validator = SilhouetteValidator(len(settings.camera.lines))
        self._clock = KernelClock()
        self._looks, shown = os.pipe()
        self._waste: int | None = None
        descriptors = [shown]
        command = [sys.executable, "-m", "edge", "vision", settings.name, "--config", str(path.absolute())]
        command += [f"--window={shown}", *([] if picture else ["--no-picture"])]
        if not (counting and _held_open(settings.tally)):
            self._waste, tallies = os.pipe()
            os.set_blocking(self._waste, False)
            descriptors.append(tallies)
            command.append(f"--diode={tallies}")
        # Its own group: Ctrl-C is for this process, which ends it in order.
        self._child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, pass_fds=descriptors, process_group=0, **_as_vision()
        )
        for descriptor in descriptors:
            os.close(descriptor)
        self.fault: EdgeError | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._read, name="window", daemon=True)

    def start(self, see: Callable[[Silhouette], None], ended: Callable[[], None]) -> None:
        """Hand each record to *see*, and call *ended* when there can be no more; `fault` then says why."""
        self._see, self._ended = see, ended
        self._thread.start()

    def stop(self) -> None:
        """End vision, and wait for it."""
        self._stopping = True
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        kill_group(self._child.pid)
        self._thread.join(_STOP_S)
        os.close(self._looks)
        if self._waste is not None:
            os.close(self._waste)

    def _read(self) -> None:
        buffer = b""
        try:
            while chunk := os.read(self._looks, SIZE - len(buffer)):
                self._throw_away()
                buffer += chunk
                if len(buffer) == SIZE:
                    self._see(self._validator.accept(buffer, self._clock.boot_ms()))
                    buffer = b""
        except WireError as exc:
            log.error("%s: %s; nothing more is read from it", self._settings.name, exc)  # noqa: TRY400 - a line
            self.fault = exc
            self._child.kill()
        else:
            code = self._child.wait()
            if code and not self._stopping:
                self.fault = VisionEnded(self._settings.name, code)
        self._ended()

    def _throw_away(self) -> None:
        if self._waste is not None:
            with contextlib.suppress(BlockingIOError):
                while os.read(self._waste, 100 * TALLY_SIZE):
                    pass


def _held_open(diode: Path) -> bool:
    """Tell whether somebody reads the FIFO, so that vision may write to it."""
    try:
        os.close(os.open(diode, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _as_vision() -> Mapping[str, Any]:
    """Return how to start a child as the service's own user; as ourselves if we aren't root or it isn't there."""
    try:
        user = pwd.getpwnam(_USER)
    except KeyError:
        return {}
    if os.geteuid() != 0:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ["video"]}
