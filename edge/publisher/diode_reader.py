"""
The read end of each camera's diode. Takes whole records, believes none without its validator, and answers nothing.

Records are looked at in the pipe (tee(2)) and stay there until they are in the ledger: whoever kills this process
between the two takes nothing away.

A record that can't be true closes that camera's pipe for the life of this process: no resync, since whoever sent it may
send anything. The other cameras go on. A line that isn't known is the one thing that is asked about first: vision may
have taken up a config that the publisher hasn't.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import logging
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from edge.config.schema import CameraAccount
from edge.core.clock import Clock
from edge.core.errors import DiodeMissing, LineUnknown, WireError
from edge.core.tally import SIZE, Tally
from edge.publisher.reading_validator import ReadingValidator

log = logging.getLogger(__name__)

_PIPE_BYTES = 1_048_576
"""The room that is asked for in the pipe, for a publisher that is away for long, bytes."""
_SPLICE_F_NONBLOCK = 2
_tee = ctypes.CDLL(None, use_errno=True).tee


class DiodeReader:
    """
    One camera's pipe and the validator behind it.

    Args:
        camera: Whose.
        clock: Tells the validator the time.
        newest: The newest readings of this boot that the ledger knows.
        previous_lines: The lines of the run that they belong to.
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
        previous_lines: Iterable[str] = (),
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
            self._room = fcntl.fcntl(self._descriptor, fcntl.F_GETPIPE_SZ)
        except OSError as exc:
            raise DiodeMissing(camera.tally, f"descriptor {descriptor} is no pipe: {exc.strerror}") from exc
        self._copy, self._into_copy = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # Without the favour less is looked at in one go.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._into_copy, fcntl.F_SETPIPE_SZ, self._room)
        self._room = min(self._room, fcntl.fcntl(self._into_copy, fcntl.F_GETPIPE_SZ))
        self._validator = ReadingValidator(
            camera.lines,
            newest,
            previous_lines=previous_lines,
            speed=clock.speed,
            burst=max(1_500, self._room // SIZE),
        )
        self._inspected = 0
        """Bytes at the front of the pipe that were looked at and not taken out."""
        self._unknown = False
        """Whether a record of a line that isn't known is next."""
        self._asked = False

    @property
    def lines(self) -> frozenset[int]:
        """The keys of the lines that may come now."""
        return self._validator.lines

    @property
    def has_unknown_line(self) -> bool:
        """Whether a line came that isn't known, and nobody has been asked about it yet: see :meth:`expect`."""
        return self._unknown and not self._asked

    def expect(self, lines: Iterable[str]) -> None:
        """Take these for the camera's lines from now on; one that still isn't among them closes the pipe."""
        self._validator.expect(lines)
        self._asked = True

    def read(self) -> list[Tally]:
        """Return what has come and is new; it stays in the pipe until :meth:`release`."""
        accepted: list[Tally] = []
        if self.fault is not None or self.has_unknown_line:
            return accepted
        begin = self._inspected
        try:
            accepted.extend(self._validator.accept(self._peek(), self._clock.boot_ms()))
        except LineUnknown as exc:
            if self._unknown and exc.at == 0:
                self._refuse(exc)
                return accepted
            self._inspected = begin + exc.at
            self._unknown, self._asked = True, False
        except WireError as exc:
            self._refuse(exc)
        else:
            self._unknown = self._unknown and self._inspected == begin
        return accepted

    @property
    def half_full(self) -> bool:
        """Whether what was looked at takes up half the pipe, so that vision may soon find no room."""
        return self._inspected > self._room // 2

    def release(self) -> None:
        """Take out of the pipe what was looked at."""
        while self.fault is None and self._inspected > 0:
            self._inspected -= len(os.read(self._descriptor, self._inspected))

    def close(self) -> None:
        """Close the pipe."""
        if self.fault is None:
            self._close_all()

    def _peek(self) -> bytes:
        """Return what is in the pipe and was not looked at, without taking it out."""
        size: int = _tee(self._descriptor, self._into_copy, self._room, _SPLICE_F_NONBLOCK)
        if size < 0:
            if ctypes.get_errno() == errno.EAGAIN:
                return b""
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        found = bytearray()
        while len(found) < size:
            found += os.read(self._copy, size - len(found))
        new = bytes(found[self._inspected :])
        self._inspected = max(self._inspected, size)
        return new

    def _refuse(self, fault: WireError) -> None:
        log.error("%s: %s; its pipe stays closed", self.camera, fault)
        self._close_all()
        self.fault = fault

    def _close_all(self) -> None:
        for descriptor in (self._descriptor, self._copy, self._into_copy):
            os.close(descriptor)


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
