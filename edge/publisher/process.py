"""
The publisher: reads the diodes, keeps the ledger, sends hours. Composes other modules, decides nothing itself.

One loop, one thread; nothing in it waits longer than half a second, so that SIGTERM is answered at once.
"""

from __future__ import annotations

import contextlib
import logging
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Self

from edge.config.credentials import read_password
from edge.config.schema import PublisherSettings
from edge.core import head_model
from edge.core.clock import Clock
from edge.core.errors import ConfigChanged, ConfigError, EdgeError, LedgerFull
from edge.core.systemd import Notifier
from edge.publisher import sandbox
from edge.publisher.diode_reader import DiodeReader
from edge.publisher.hour_builder import HourBuilder
from edge.publisher.ledger.ledger import Ledger
from edge.publisher.outbox import OutboxConnection

log = logging.getLogger(__name__)

_LONGEST_WAIT_S = 0.5
"""The loop goes round at least this often, s."""
_MOST_UNWRITTEN = 64
"""Acknowledgements that are written at once instead of with the next beat: only a backlog has so many."""
_STATUS_EVERY_S = 10.0
"""Time between two status texts for systemd, s."""
_DISCONNECT_S = 3.0
"""Longest wait for the broker's answer to `offline`, s."""


def run(load: Callable[[], PublisherSettings], clock: Clock, diodes: Mapping[str, int], notifier: Notifier) -> None:
    """
    Run until SIGTERM or SIGINT; then take in what the diodes still hold, write it and say `offline`.

    SIGHUP reads the config again. One that can't be used is refused, and the old one goes on.

    Args:
        load: Reads what the publisher may know; called now, and again for each SIGHUP.
        clock: The box's, or a trial's.
        diodes: Inherited pipes, camera -> descriptor; the others are FIFOs in the file system.
        notifier: Tells systemd.

    Raises:
        LedgerError: the ledger can't be used.
        DiodeMissing: a FIFO can't be had.
        WireError: no camera's diode can be believed any more.
        PasswordFileError: the broker's password can't be read.
        DetectorError: the model's contract isn't there.
        ConfigChanged: a new config needs a new process.
        SealError: the kernel has Landlock, and refuses the sandbox's rules.
    """
    settings = load()
    identity = head_model.read(settings.model).identity
    read_password(settings.broker)
    with _Signals() as signals, contextlib.ExitStack() as stack:
        ledger = Ledger(settings.ledger, clock.boot_id, clock.boot_ms())
        stack.callback(ledger.close)
        builder = HourBuilder(ledger, settings, clock, identity)
        pipes: list[DiodeReader] = []
        for camera in settings.cameras:
            previous = ledger.lines_of_newest_run(camera.name)
            pipe = DiodeReader(
                camera, clock, ledger.newest(camera.name), diodes.get(camera.name), previous_lines=previous
            )
            stack.callback(pipe.close)
            pipes.append(pipe)
        connections = [
            OutboxConnection(settings.site, camera.name, settings.broker, builder, signals.wake)
            for camera in settings.cameras
        ]
        sandbox.enter(settings)
        publisher = _Publisher(settings, builder, pipes, connections, notifier)
        notifier.ready("diodes open")
        log.info("counts of %s go into %s", ", ".join(c.name for c in settings.cameras), settings.ledger)
        try:
            wait_s = max(0.01, min(_LONGEST_WAIT_S, 5 / clock.speed))
            while not signals.stop:
                publisher.turn()
                if signals.reload or publisher.has_unknown_line:
                    signals.reload = False
                    publisher.reload(load)
                signals.sleep(connections, wait_s)
        finally:
            notifier.stopping()
            publisher.end()
        log.info("stopped; everything that was read is in the ledger")


class _Publisher:
    """What the loop works on."""

    def __init__(
        self,
        settings: PublisherSettings,
        builder: HourBuilder,
        pipes: Sequence[DiodeReader],
        connections: Sequence[OutboxConnection],
        notifier: Notifier,
    ) -> None:
        self._settings = settings
        self._builder = builder
        self._pipes = pipes
        self._connections = connections
        self._notifier = notifier
        self._status_s = -_STATUS_EVERY_S

    def turn(self) -> None:
        """Run the loop's body once; raise the last WireError when no diode is left."""
        self._read()
        self._builder.turn(last=self._builder.unwritten >= _MOST_UNWRITTEN)
        self._release()
        for connection in self._connections:
            connection.turn()
        self._notifier.alive()
        now_s = time.monotonic()
        if now_s - self._status_s >= _STATUS_EVERY_S:
            self._status_s = now_s
            self._notifier.status(
                self._builder.summary() + "; " + "; ".join(f"{k.camera}: {k.state}" for k in self._connections)
            )
        faults = [pipe.fault for pipe in self._pipes if pipe.fault is not None]
        if len(faults) == len(self._pipes):
            raise faults[-1]

    @property
    def has_unknown_line(self) -> bool:
        """Whether a camera tells of a line that the config, as it was read, doesn't have."""
        return any(pipe.has_unknown_line for pipe in self._pipes)

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
            said = exc.messages if isinstance(exc, ConfigError) else (exc,)
            for message in said:
                log.error("config refused: %s", message)  # noqa: TRY400 - a line each
            log.error("the old config goes on")  # noqa: TRY400 - likewise
            for pipe, camera in zip(self._pipes, self._settings.cameras, strict=True):
                if pipe.has_unknown_line:
                    pipe.expect(camera.lines)
            self._notifier.ready(f"config REFUSED, the old one goes on: {said[0]}")
            return
        changed = self._settings.beyond_reload(new)
        if identity != self._builder.model and "model" not in changed:
            changed.append("model")
        if changed:
            raise ConfigChanged(changed)
        for pipe, camera in zip(self._pipes, new.cameras, strict=True):
            pipe.expect(camera.lines)
        self._builder.adopt(new.cameras, {pipe.camera: pipe.lines for pipe in self._pipes})
        self._settings = new
        log.info("config read again: lines and opening hours are as it says now")
        self._notifier.ready("config read again")

    def end(self) -> None:
        """Take in what the diodes still hold, write it, and disconnect from the broker."""
        self._read()
        try:
            self._builder.turn(last=True)
            self._release()
        finally:
            for connection in self._connections:
                connection.end(_DISCONNECT_S)
            with contextlib.suppress(LedgerFull):
                self._builder.turn(last=True)

    def _read(self) -> None:
        for pipe in self._pipes:
            readings = pipe.read()
            if readings:
                self._builder.take(pipe.camera, readings)

    def _release(self) -> None:
        """Take out of the pipes what is in the ledger; where that is full, what memory has to hold."""
        for pipe in self._pipes:
            if pipe.half_full or not self._builder.is_buffered(pipe.camera):
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

    def sleep(self, connections: list[OutboxConnection], longest_s: float) -> None:
        """Wait until a socket of *connections* has something, a signal came, or *longest_s* have passed."""
        sockets = [found for connection in connections if (found := connection.sockets()) is not None]
        writing = [sock for sock, wants_write in sockets if wants_write]
        with contextlib.suppress(ValueError, OSError):
            readable, _, _ = select.select([self._woken, *(sock for sock, _ in sockets)], writing, [], longest_s)
            if self._woken in readable:
                self._woken.recv(4096)
