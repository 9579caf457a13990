"""Reads single keys from the terminal without Enter, and whole lines that another thread can interrupt."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Callable
from typing import Any, Self

_TICK_S = 0.2
"""How long one read waits for a key, s."""


class Keys:
    """The terminal's keys. If standard input is no terminal, no key ever comes."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._before: list[Any] | None = None

    @property
    def present(self) -> bool:
        """Whether there is a terminal to type on."""
        return self._descriptor is not None

    def __enter__(self) -> Self:
        """Switch the terminal to single keys."""
        if self._descriptor is not None:
            self._before = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor)
        return self

    def __exit__(self, *_exc: object) -> None:
        """Restore the terminal's mode."""
        if self._descriptor is not None and self._before is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def key(self) -> str:
        """Return the next key, or "" if none comes within a fraction of a second."""
        return self._read(1)

    def line(self, waits: Callable[[], bool]) -> str | None:
        """Return one line, outside of the with statement; None at the end of the input or once *waits* is false."""
        typed = ""
        while waits():
            typed += (more := self._read(1024))
            if "\n" in typed:
                return typed.strip()
            if not more and self._descriptor is None:
                return None
        return None

    def _read(self, most: int) -> str:
        if self._descriptor is None:
            select.select([], [], [], _TICK_S)
            return ""
        if not select.select([self._descriptor], [], [], _TICK_S)[0]:
            return ""
        read = os.read(self._descriptor, most)
        if not read:
            self._descriptor = None
        return read.decode(errors="replace")
