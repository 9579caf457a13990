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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from edge.config.credentials import read_password
from edge.config.schema import PublisherSettings
from edge.core import head_model
from edge.core.clock import Clock
from edge.core.errors import ConfigChanged, EdgeError, LedgerFull
from edge.core.systemd import Notifier
from edge.publisher import sandbox
from edge.publisher.diode_reader import Diode
from edge.publisher.hour_builder import Bookkeeper
from edge.publisher.ledger.ledger import Ledger
from edge.publisher.outbox import Link

log = logging.getLogger(__name__)

_BREATH_S = 0.5
_MOST_UNWRITTEN = 64
"""Acknowledgements that are written at once instead of with the next beat: only a backlog has so many."""
_STATUS_EVERY_S = 10.0
_FAREWELL_S = 3.0


def run(
    load: Callable[[], PublisherSettings],
    clock: Clock,
    diodes: Mapping[str, int],
    notifier: Notifier,
    config: Path | None = None,
) -> None:
    """
    Run until SIGTERM or SIGINT; then take in what the diodes still hold, write it and say `offline`.

    SIGHUP reads the config again. One that can't be used is refused, and the old one goes on.

    Args:
        load: Reads what the publisher may know; called now, and again for each SIGHUP.
        clock: The box's, or a trial's.
        diodes: Inherited pipes, camera -> descriptor; the others are FIFOs in the file system.
        notifier: Tells systemd.
        config: The file that *load* reads, if it does.

    Raises:
        LedgerError: the ledger can't be used.
        DiodeMissing: a FIFO can't be had.
        WireError: no camera's diode can be believed any more.
        PasswordFileError: the broker's password can't be read.
        DetectorError: the model's contract isn't there.
        ConfigChanged: a new config needs a new process.
        SealError: the kernel refuses a rule of the sandbox.
    """
    settings = load()
    identity = head_model.read(settings.model).identity
    read_password(settings.broker)
    with _Signals() as signals, contextlib.ExitStack() as stack:
        ledger = Ledger(settings.ledger, clock.boot_id, clock.boot_ms())
        stack.callback(ledger.close)
        books = Bookkeeper(ledger, settings, clock, identity)
        pipes: list[Diode] = []
        for camera in settings.cameras:
            still = ledger.lines_of_newest_run(camera.name)
            pipe = Diode(camera, clock, ledger.newest(camera.name), diodes.get(camera.name), still=still)
            stack.callback(pipe.close)
            pipes.append(pipe)
        links = [Link(settings.site, c.name, settings.broker, books, signals.wake) for c in settings.cameras]
        sandbox.enter(settings, config)
        publisher = _Publisher(settings, books, pipes, links, notifier)
        notifier.ready("diodes open")
        log.info("counts of %s go into %s", ", ".join(c.name for c in settings.cameras), settings.ledger)
        try:
            breath_s = max(0.01, min(_BREATH_S, 5 / clock.speed))
            while not signals.stop:
                publisher.turn()
                if signals.reload or publisher.puzzled:
                    signals.reload = False
                    publisher.reload(load)
                signals.sleep(links, breath_s)
        finally:
            notifier.stopping()
            publisher.end()
        log.info("stopped; everything that was read is in the ledger")


class _Publisher:
    """Everything that a turn of the loop goes round."""

    def __init__(
        self,
        settings: PublisherSettings,
        books: Bookkeeper,
        pipes: Sequence[Diode],
        links: Sequence[Link],
        notifier: Notifier,
    ) -> None:
        self._settings = settings
        self._books = books
        self._pipes = pipes
        self._links = links
        self._notifier = notifier
        self._status_s = -_STATUS_EVERY_S

    def turn(self) -> None:
        """Go round once; raise the last WireError when no diode is left."""
        self._read()
        self._books.turn(last=self._books.unwritten >= _MOST_UNWRITTEN)
        self._release()
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

    @property
    def puzzled(self) -> bool:
        """Whether a camera tells of a line that the config, as it was read, doesn't have."""
        return any(pipe.puzzled for pipe in self._pipes)

    def reload(self, load: Callable[[], PublisherSettings]) -> None:
        """
        Read the config again and take up its lines and opening hours.

        Raises:
            ConfigChanged: it can be used, and by a new process only.
        """
        self._notifier.reloading()
        # What waits was counted on the lines of before.
        self._read()
        try:
            new = load()
            read_password(new.broker)
            identity = head_model.read(new.model).identity
        except EdgeError as exc:
            for complaint in str(exc).splitlines():
                log.error("config refused: %s", complaint)  # noqa: TRY400 - a line each
            log.error("the old config goes on")  # noqa: TRY400 - likewise
            for pipe, camera in zip(self._pipes, self._settings.cameras, strict=True):
                if pipe.puzzled:
                    pipe.expect(camera.lines)
            self._notifier.ready(f"config REFUSED, the old one goes on: {str(exc).partition(chr(10))[0]}")
            return
        changed = self._settings.beyond_reload(new)
        if identity != self._books.model and "model" not in changed:
            changed.append("model")
        if changed:
            raise ConfigChanged(changed)
        for pipe, camera in zip(self._pipes, new.cameras, strict=True):
            pipe.expect(camera.lines)
        self._books.adopt(new.cameras, {pipe.camera: pipe.lines for pipe in self._pipes})
        self._settings = new
        log.info("config read again: lines and opening hours are as it says now")
        self._notifier.ready("config read again")

    def end(self) -> None:
        """Take in what the diodes still hold, write it, and take leave of the broker."""
        self._read()
        try:
            self._books.turn(last=True)
            self._release()
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

    def _release(self) -> None:
        """Take out of the pipes what is in the ledger; where that is full, what memory has to hold."""
        for pipe in self._pipes:
            if pipe.crowded or not self._books.waiting(pipe.camera):
                pipe.release()


class _Signals:
    """Notices SIGTERM, SIGINT and SIGHUP, and wakes the loop; the handlers do nothing else."""

    def __init__(self) -> None:
        self.stop = False
        self.reload = False
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.setblocking(False)
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._note)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # what signal() gave
        self._woken.close()
        self._waker.close()

    def _note(self, number: int, _frame: object) -> None:
        if number == signal.SIGHUP:
            self.reload = True
        else:
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
