"""
What the process that sees tells systemd: one byte to a helper, which knows a dozen sentences.

systemd writes parts of what it is told into the journal: values that it can't parse, as text. So a captured process
with the readiness socket could write pictures there. The process that sees holds no such socket. The process that
systemd has started becomes a helper: it has the socket and the reading end of a pipe, no camera, no file and a system
call filter of its own. The process that sees is its child, and goes on. The helper reads one byte and sends the
sentence that the byte stands for; it hands signals on, and ends as its child does. After a byte that stands for nothing
it listens no more, and the watchdog ends both.

A captured process can choose among the sentences. The helper lets a change through once in ten seconds in the long
run, and eight at once: 8,648 changes of 3.6 bits each a day, which `systemctl status` shows and the journal doesn't.
"""

from __future__ import annotations

import contextlib
import enum
import gc
import os
import resource
import signal
import time
from pathlib import Path
from typing import NoReturn

from edge.core import errors
from edge.core.systemd import Notifier
from edge.sandbox import prctl, seccomp

_CHANGES_AT_ONCE = 8
"""Changes of the sentence that are let through without a wait: a start, a reload, an error and a stop are six."""
_CHANGE_EVERY_S = 10.0
"""Seconds after which one more change is let through."""
_ALIVE_EVERY_S = 1.0
"""Seconds between two words to the watchdog, which waits for sixty."""


SIGNALLED = 128
"""Added to a signal's number where a signal has ended the child, as a shell does: the helper's own exit code."""


class Word(enum.IntEnum):
    """What can be said; the byte that says it."""

    ALIVE = 1
    CLOSED = 2
    SEALED = 3
    NOT_SEALED = 4
    RELOADING = 5
    RELOADED = 6
    REFUSED = 7
    CAMERA = 8
    CAMERA_CLOSED = 9
    CONFIG_CHANGED = 10
    MODEL = 11
    FAILED = 12
    STOPPING = 13

    @classmethod
    def of(cls, exc: errors.EdgeError) -> Word:
        """Return the word for the error that ends a process."""
        kinds = (
            (errors.CameraClosed, cls.CAMERA_CLOSED),
            (errors.CameraError, cls.CAMERA),
            (errors.ConfigChanged, cls.CONFIG_CHANGED),
            (errors.DetectorError, cls.MODEL),
        )
        return next((word for kind, word in kinds if isinstance(exc, kind)), cls.FAILED)


SENTENCES = {
    Word.ALIVE: "WATCHDOG=1",
    Word.CLOSED: "READY=1\nSTATUS=the shop is closed: no camera, and so no seal yet",
    Word.SEALED: "READY=1\nSTATUS=sealed",
    Word.NOT_SEALED: "READY=1\nSTATUS=NOT SEALED",
    Word.RELOADING: "RELOADING=1\nMONOTONIC_USEC={now_us}",
    Word.RELOADED: "READY=1\nSTATUS=config read again",
    Word.REFUSED: "READY=1\nSTATUS=config REFUSED, the old one goes on; to see why, type: sudo footfall check",
    Word.CAMERA: "STATUS=the camera or clip can't be opened, or it stopped; type: sudo footfall check",
    Word.CAMERA_CLOSED: "STATUS=the shop has closed; a new process opens the camera again",
    Word.CONFIG_CHANGED: "STATUS=the config was changed in what only a new process can take up",
    Word.MODEL: "STATUS=the head model can't be used; type: sudo footfall check",
    Word.FAILED: "STATUS=ended by an error; docs/operations.md explains its exit code",
    Word.STOPPING: "STOPPING=1",
}
"""All that systemd is ever told; *now_us* is filled in by the helper from its own clock."""


class Readiness:
    """
    The writing end of the pipe to the helper, or nothing where there is no systemd.

    Made first of all, while this process has one thread. Where there is systemd, it goes on as the helper's child.
    """

    def __init__(self) -> None:
        self._pipe: int | None = None
        notifier = Notifier()
        if not notifier.descriptors:
            return
        seccomp.load_library()
        reading, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        child = os.fork()
        if child:
            _serve(reading, notifier, child)
        prctl.die_with_parent()
        os.close(reading)
        notifier.close()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The pipe's writing end, if there is one."""
        return () if self._pipe is None else (self._pipe,)

    def say(self, word: Word) -> None:
        """Say *word*. Where the helper is gone nothing happens: the watchdog ends this process in time."""
        if self._pipe is not None:
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                os.write(self._pipe, bytes([word]))

    def alive(self) -> None:
        """Feed the watchdog; call it after work was done, never from a timer."""
        self.say(Word.ALIVE)


def _serve(pipe: int, notifier: Notifier, child: int) -> NoReturn:
    """Be the helper of *child* until the pipe ends, and end as it does; never comes back."""
    code = os.EX_SOFTWARE
    try:
        _confine(pipe, notifier.descriptors[0], child)
        with contextlib.suppress(ValueError):
            _pass_on(pipe, notifier)
        os.close(pipe)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        os._exit(code if code >= 0 else SIGNALLED - code)


def _pass_on(pipe: int, notifier: Notifier) -> None:
    """Send the sentence of each byte, and fewer than that when they change too often."""
    changes, refilled_s = float(_CHANGES_AT_ONCE), time.monotonic()
    alive_s = -_ALIVE_EVERY_S
    last: Word | None = None
    while byte := os.read(pipe, 1):
        word = Word(byte[0])
        now_s = time.monotonic()
        if word is Word.ALIVE:
            if now_s - alive_s >= _ALIVE_EVERY_S:
                alive_s = now_s
                notifier.send(SENTENCES[word])
            continue
        changes = min(_CHANGES_AT_ONCE, changes + (now_s - refilled_s) / _CHANGE_EVERY_S)
        refilled_s = now_s
        if word is not last and changes >= 1:
            changes -= 1
            last = word
            notifier.send(SENTENCES[word].format(now_us=time.monotonic_ns() // 1000))


def _confine(pipe: int, readiness: int, child: int) -> None:
    """Give up everything but reading from *pipe*, sending to *readiness*, and waiting for *child*."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # systemd sends what ends a service to each of its processes; others send it to this one alone.
        signal.signal(number, lambda number, _: os.kill(child, number))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    for entry in list(Path("/proc/self/fd").iterdir()):
        if int(entry.name) not in (0, 1, 2, pipe, readiness):
            with contextlib.suppress(OSError):
                os.close(int(entry.name))
    gc.disable()
    prctl.hide_memory()
    prctl.gain_nothing()
    prctl.drop_capabilities()
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (0, 0))
    seccomp.readiness_filter(pipe, readiness, child).load()
