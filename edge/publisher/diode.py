"""
The read end of each camera's diode. Takes whole records, believes none without its gate, and answers nothing.

A record that can't be true closes that camera's pipe for the life of this process: no resync, since whoever sent it may
send anything. The other cameras go on. A line that isn't known is the one thing that is asked about first: vision may
have taken up a config that the publisher hasn't.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from edge.clock import Clock
from edge.config import CameraAccount
from edge.errors import DiodeMissing, LineUnknown, WireError
from edge.tally import SIZE, Gate, Tally

log = logging.getLogger(__name__)

_PIPE_BYTES = 1_048_576
_CHUNK = 1_365 * SIZE
"""Just under 64 KiB, in whole records."""
_CHUNKS_A_TURN = 16


class Diode:
    """
    One camera's pipe and the gate behind it.

    Args:
        camera: Whose.
        clock: Tells the gate the time.
        newest: The newest readings of this boot that the ledger knows.
        still: The lines of the run that they belong to.
        descriptor: An inherited pipe; None opens the camera's FIFO, and makes it if it isn't there.

    Raises:
        DiodeMissing: the FIFO can't be made or opened, or something else stands in its place.
    """

    def __init__(
        self,
        camera: CameraAccount,
        clock: Clock,
        newest: Iterable[Tally],
        descriptor: int | None = None,
        *,
        still: Iterable[str] = (),
    ) -> None:
        self.camera = camera.name
        self.fault: WireError | None = None
        self._clock = clock
        self._descriptor = _open_fifo(camera.tally) if descriptor is None else descriptor
        try:
            os.set_blocking(self._descriptor, False)
            # More room is a favour, for a publisher that is away for long; a small pipe loses no count either.
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            room = fcntl.fcntl(self._descriptor, fcntl.F_GETPIPE_SZ)
        except OSError as exc:
            raise DiodeMissing(camera.tally, f"descriptor {descriptor} is no pipe: {exc.strerror}") from exc
        self._gate = Gate(camera.lines, newest, still=still, speed=clock.speed, burst=max(1_500, room // SIZE))
        self._held = b""
        self._asked = False

    @property
    def lines(self) -> frozenset[int]:
        """The keys of the lines that may come now."""
        return self._gate.lines

    @property
    def puzzled(self) -> bool:
        """Whether a line came that isn't known, and nobody has been asked about it yet: see :meth:`expect`."""
        return bool(self._held) and not self._asked

    def expect(self, lines: Iterable[str]) -> None:
        """Take these for the camera's lines from now on; one that still isn't among them closes the pipe."""
        self._gate.expect(lines)
        self._asked = True

    def read(self) -> list[Tally]:
        """Return what has come and is new; at most a pipe's worth, so that no camera starves another."""
        accepted: list[Tally] = []
        if self.fault is not None:
            return accepted
        try:
            if self._held:
                if not self._asked:
                    return accepted
                chunk, self._held = self._held, b""
                accepted.extend(self._gate.accept(chunk, self._clock.boot_ms()))
            self._asked = False
            for _ in range(_CHUNKS_A_TURN):
                chunk = os.read(self._descriptor, _CHUNK)
                accepted.extend(self._gate.accept(chunk, self._clock.boot_ms()))
                if len(chunk) < _CHUNK:
                    break
        except BlockingIOError:
            pass
        except LineUnknown as exc:
            if self._asked:
                self._close(exc)
            else:
                self._held = chunk[exc.at :]
        except WireError as exc:
            self._close(exc)
        return accepted

    def _close(self, fault: WireError) -> None:
        log.error("%s: %s; its pipe stays closed", self.camera, fault)
        self.fault = fault
        self._held = b""
        os.close(self._descriptor)

    def close(self) -> None:
        """Let go of the pipe."""
        if self.fault is None:
            os.close(self._descriptor)


def _open_fifo(path: Path) -> int:
    try:
        with contextlib.suppress(FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Vision, of this one's group in a trial, may write; this side only reads.
            os.mkfifo(path, 0o620)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as exc:
        cause = "it is a symbolic link" if exc.errno == errno.ELOOP else exc.strerror or str(exc)
        raise DiodeMissing(path, cause) from exc
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DiodeMissing(path, "something that is no FIFO stands there")
    return descriptor
