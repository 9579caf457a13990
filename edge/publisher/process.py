"""
The publisher: reads the diodes, keeps the books, tells headquarters. Composes other modules, decides nothing itself.

One loop, one thread; nothing in it waits longer than a breath, so that SIGTERM is answered at once.
"""

from __future__ import annotations

import contextlib
import logging
import select
import signal
import socket
import time
from collections.abc import Mapping
from typing import Self

from edge import model
from edge.clock import Clock
from edge.config import PublisherSettings
from edge.errors import LedgerFull
from edge.login import read_password
from edge.publisher.bookkeeper import Bookkeeper
from edge.publisher.diode import Diode
from edge.publisher.ledger import Ledger
from edge.publisher.mqtt import Link
from edge.systemd import Notifier

log = logging.getLogger(__name__)

_BREATH_S = 0.5
_MOST_UNWRITTEN = 64
"""Acknowledgements that are written at once instead of with the next beat: only a backlog has so many."""
_STATUS_EVERY_S = 10.0
_FAREWELL_S = 3.0


def run(settings: PublisherSettings, clock: Clock, diodes: Mapping[str, int], notifier: Notifier) -> None:
    """
    Run until SIGTERM or SIGINT; then take in what the diodes still hold, write it and say `offline`.

    Args:
        settings: What the publisher may know.
        clock: The box's, or a trial's.
        diodes: Inherited pipes, camera -> descriptor; the others are FIFOs in the file system.
        notifier: Tells systemd.

    Raises:
        LedgerError: the ledger can't be used.
        DiodeMissing: a FIFO can't be had.
        WireError: no camera's diode can be believed any more.
        PasswordFileError: the broker's password can't be read.
        DetectorError: the model's contract isn't there.
    """
    identity = model.read(settings.model).identity
    read_password(settings.broker)
    with _Signals() as signals, contextlib.ExitStack() as stack:
        ledger = Ledger(settings.ledger, clock.boot_id, clock.boot_ms())
        stack.callback(ledger.close)
        books = Bookkeeper(ledger, settings, clock, identity)
        pipes: list[Diode] = []
        for camera in settings.cameras:
            pipe = Diode(camera, clock, ledger.newest(camera.name), diodes.get(camera.name))
            stack.callback(pipe.close)
            pipes.append(pipe)
        links = [Link(settings.site, c.name, settings.broker, books, signals.wake) for c in settings.cameras]
        publisher = _Publisher(books, pipes, links, notifier)
        notifier.ready("diodes open")
        log.info("counts of %s go into %s", ", ".join(c.name for c in settings.cameras), settings.ledger)
        try:
            breath_s = max(0.01, min(_BREATH_S, 5 / clock.speed))
            while not signals.stop:
                publisher.turn()
                signals.sleep(links, breath_s)
        finally:
            notifier.stopping()
            publisher.end()
        log.info("stopped; everything that was read is in the ledger")


class _Publisher:
    """Everything that a turn of the loop goes round."""

    def __init__(self, books: Bookkeeper, pipes: list[Diode], links: list[Link], notifier: Notifier) -> None:
        self._books = books
        self._pipes = pipes
        self._links = links
        self._notifier = notifier
        self._status_s = -_STATUS_EVERY_S

    def turn(self) -> None:
        """Go round once; raise the last WireError when no diode is left."""
        self._read()
        self._books.turn(last=self._books.unwritten >= _MOST_UNWRITTEN)
        for link in self._links:
            link.turn()
        self._notifier.alive()
        now_s = time.monotonic()
        if now_s - self._status_s >= _STATUS_EVERY_S:
            self._status_s = now_s
            self._notifier.status(
                self._books.summary() + "; " + "; ".join(f"{k.camera}: {k.state}" for k in self._links)
            )
        faults = [pipe.fault for pipe in self._pipes if pipe.fault is not None]
        if len(faults) == len(self._pipes):
            raise faults[-1]

    def end(self) -> None:
        """Take in what the diodes still hold, write it, and take leave of the broker."""
        self._read()
        try:
            self._books.turn(last=True)
        finally:
            for link in self._links:
                link.close(_FAREWELL_S)
            with contextlib.suppress(LedgerFull):
                self._books.turn(last=True)

    def _read(self) -> None:
        for pipe in self._pipes:
            readings = pipe.read()
            if readings:
                self._books.take(pipe.camera, readings)


class _Signals:
    """Notices SIGTERM and SIGINT, and wakes the loop; the handlers do nothing else."""

    def __init__(self) -> None:
        self.stop = False
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.setblocking(False)
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._note)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # what signal() gave
        self._woken.close()
        self._waker.close()

    def _note(self, _number: int, _frame: object) -> None:
        self.stop = True

    def wake(self) -> None:
        """End the sleep; from any thread."""
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")

    def sleep(self, links: list[Link], longest_s: float) -> None:
        """Wait until a socket of *links* has something, a signal came, or *longest_s* have passed."""
        sockets = [found for link in links if (found := link.sockets()) is not None]
        writing = [sock for sock, wants_write in sockets if wants_write]
        with contextlib.suppress(ValueError, OSError):
            readable, _, _ = select.select([self._woken, *(sock for sock, _ in sockets)], writing, [], longest_s)
            if self._woken in readable:
                self._woken.recv(4096)
