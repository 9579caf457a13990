"""The keys that are pressed while a table is shown on the terminal."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def pressed_keys() -> Iterator[Callable[[], str]]:
    """Give a function that returns the keys that were pressed since it was last asked; leave the terminal as it was."""
    descriptor = sys.stdin.fileno()
    if not os.isatty(descriptor):
        yield lambda: ""
        return
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor, termios.TCSANOW)

        def pressed() -> str:
            ready = select.select([descriptor], [], [], 0)[0]
            return os.read(descriptor, 64).decode(errors="ignore") if ready else ""

        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)
