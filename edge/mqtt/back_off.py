"""How long to wait before trying again what has failed: the one rule for brokers and stores."""

from __future__ import annotations

import random
from collections.abc import Callable

_HIGHEST_POWER = 16


class BackOff:
    """
    Exponential back-off with full jitter: each failure in a row doubles the range that the wait is drawn from.

    Args:
        shortest_s: No wait is shorter, s.
        longest_s: No wait is longer, s.
        jitter: Returns a random number between two.
    """

    def __init__(
        self, shortest_s: float, longest_s: float, jitter: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._shortest_s = shortest_s
        self._longest_s = longest_s
        self._jitter = jitter
        self._failures = 0

    def succeeded(self) -> None:
        """Start anew with the shortest range."""
        self._failures = 0

    def failed(self) -> float:
        """Return how long to wait after one more failure, s."""
        self._failures += 1
        highest_s = min(self._longest_s, 2.0 ** min(self._failures, _HIGHEST_POWER))
        return max(self._shortest_s, self._jitter(0.0, highest_s))

    def failed_for_long(self) -> float:
        """Return how long to wait after a failure that only a person can mend, s."""
        self._failures += 1
        return self._jitter(self._longest_s / 2, self._longest_s)
