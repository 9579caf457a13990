"""
How reliable a camera's hour is. One rule, for one hour and for a camera's millions of them alike.

An hour that nobody watched is never a zero here: it has a state of its own, and each sum says how much of it is known.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from edge.core.hour import TROUBLES, WELL_WATCHED

_HARMLESS = ("closed", "restarted")
"""Flags that a partly closed hour may carry and still be good."""


class State(IntEnum):
    """How reliable an hour is; the higher, the worse."""

    NOT_DUE = 0
    CLOSED = 1
    GOOD = 2
    POOR = 3
    UNWATCHED = 4
    MISSING = 5
    EXCLUDED = 6
    """A person has said that it is wrong."""
    DOUBTED = 7
    """More people than there can have been: not believed until a person confirms it."""

    @property
    def word(self) -> str:
        """Its name as tables show it."""
        return self.name.lower()


KNOWN = (State.CLOSED, State.GOOD)
"""What comparisons are made of."""
COUNTED = (State.CLOSED, State.GOOD, State.POOR)
"""What sums are made of."""
_IS_KNOWN = np.array([state in KNOWN for state in State])
_IS_COUNTED = np.array([state in COUNTED for state in State])


def is_known(states: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell of each state whether comparisons are made of it."""
    found: NDArray[np.bool_] = _IS_KNOWN[states]
    return found


def is_counted(states: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell of each state whether sums are made of it."""
    found: NDArray[np.bool_] = _IS_COUNTED[states]
    return found


class Flags:
    """Flags as bits, and which bit each has; a flag that nobody knew gets a bit when it is first seen."""

    MOST = 62
    """Bits there are; further flags share the last one."""

    def __init__(self) -> None:
        self._bits: dict[str, int] = {}
        for flag in ("trial", *_HARMLESS, *TROUBLES):
            self.bit(flag)

    def bit(self, flag: str) -> int:
        """Return the bit of *flag*, as a number with that bit set."""
        return self._bits.setdefault(flag, 1 << min(len(self._bits), self.MOST))

    def bits(self, flags: list[str]) -> int:
        """Return the bits of all *flags*."""
        found = 0
        for flag in flags:
            found |= self.bit(flag)
        return found

    def names(self, bits: int) -> list[str]:
        """Return the flags that *bits* stand for, in order."""
        return sorted(flag for flag, bit in self._bits.items() if bits & bit)

    def states(
        self, watched_s: NDArray[np.int64], length_s: NDArray[np.int64], bits: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """
        Return the state of each hour.

        Args:
            watched_s: (n,) int64, seconds in which pictures were looked at.
            length_s: (n,) int64, seconds of the hour, 1 to 3600.
            bits: (n,) int64, the hours' flags.
        """
        closed = bits & self.bit("closed") != 0
        troubled = bits & self.bits(list(TROUBLES)) != 0
        harmless = self.bits(list(_HARMLESS))
        states = np.where(watched_s >= WELL_WATCHED * length_s, State.GOOD, State.POOR).astype(np.uint8)
        states[troubled] = State.POOR
        states[watched_s == 0] = State.UNWATCHED
        # The message does not say how long the shop was open in an hour in which it opened or closed; so what was
        # watched of such an hour counts as all of its open time.
        states[closed] = np.where(watched_s[closed] > 0, State.GOOD, State.CLOSED)
        states[closed & (bits & ~harmless != 0)] = State.POOR
        return states
