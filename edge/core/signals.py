"""
Being asked to stop: SIGINT, SIGTERM and SIGHUP give notice; the handlers do nothing else.

A handler runs in the main thread, between any two of its steps. `threading.Event` can't be set there: where the signal
comes while that very thread is inside `wait`, with the event's lock in its hand, `set` waits for the lock for ever.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_BREATH_S = 0.1


class Notice:
    """An event that anybody may set: a signal's handler at any moment, and any thread."""

    def __init__(self) -> None:
        self._given = False

    def set(self) -> None:
        """Give notice."""
        self._given = True

    def clear(self) -> None:
        """Forget that it was given."""
        self._given = False

    def is_set(self) -> bool:
        """Tell whether it was given."""
        return self._given

    def wait(self, longest_s: float) -> bool:
        """Return True as soon as it is given, to a tenth of a second; False after *longest_s*."""
        # Whoever slept for longer would sleep through a signal that comes between the question and the sleep.
        until_s = time.monotonic() + longest_s
        while not self._given and (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(_BREATH_S, left_s))
        return self._given


def kill_group(leader: int) -> None:
    """
    Kill what is left of the process group of *leader*, which was started as one: a program of a program, too.

    A process that was killed ends none of those that it has started.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


@contextmanager
def stop_signals(stopping: Notice | None = None) -> Iterator[Notice]:
    """
    Give a notice that SIGINT, SIGTERM and SIGHUP set, instead of ending the process before it has cleaned up.

    Args:
        stopping: The notice; None makes one.
    """
    notice = Notice() if stopping is None else stopping

    def stop(_number: int, _frame: FrameType | None) -> None:
        notice.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield notice
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
