"""
From boot time to wall time: which offset a boot has, and when to believe another one. Pure.

The wall time of a reading is its boot time plus the offset of its boot. The offset is learned once the clock is
trusted, and holds for the readings of before, too.
"""

from __future__ import annotations

import logging

from edge.core.clock import Clock

log = logging.getLogger(__name__)

CONFIRM_MS = 120_000
"""A jump of the clock by more than a minute is believed once it has lasted this long, ms."""

_SMALL_MS = 60_000
"""A jump of the clock by at most this much is believed at once, ms."""
_JITTER_MS = 1_000
"""Two readings of one offset differ by at most this much, ms: clocks are slewed, and read one after the other."""
_NOT_BEFORE_MS = 1_577_836_800_000
"""A clock that says less than 2020-01-01 is wrong, whatever it says of itself, ms since 1970 UTC."""


class ClockOffset:
    """
    Wall time less boot time of this boot, ms; None until the clock was trusted.

    Args:
        offset_ms: The offset that the ledger knows of this boot.
    """

    def __init__(self, offset_ms: int | None = None) -> None:
        self.offset_ms = offset_ms
        self._candidate: tuple[int, int] | None = None

    def update(self, clock: Clock) -> bool:
        """Read the clock; return whether the offset has changed."""
        boot_ms, wall_ms = clock.boot_ms(), clock.wall_ms()
        if not clock.trusted() or wall_ms < _NOT_BEFORE_MS:
            self._candidate = None
            return False
        seen = wall_ms - boot_ms
        jitter = round(_JITTER_MS * max(1.0, clock.speed / 10))
        if self.offset_ms is None:
            log.info("the clock is synchronised; the hours of this boot can be built from now on")
        elif abs(jump := seen - self.offset_ms) <= jitter:
            self._candidate = None
            return False
        elif abs(jump) <= _SMALL_MS:
            log.info("the clock was corrected by %.1f s", jump / 1000)
        elif self._candidate is None or abs(self._candidate[0] - seen) > jitter:
            log.warning("the clock jumped by %.0f s; this is believed if it lasts for two minutes", jump / 1000)
            self._candidate = (seen, boot_ms)
            return False
        elif boot_ms - self._candidate[1] < CONFIRM_MS:
            return False
        else:
            log.warning(
                "the clock's jump by %.0f s has lasted for two minutes; the hours of this boot are rebuilt", jump / 1000
            )
        self._candidate = None
        self.offset_ms = seen
        return True

    def wall_ms(self, clock: Clock) -> int | None:
        """Return the wall time by the believed offset; None if there is none."""
        return None if self.offset_ms is None else clock.boot_ms() + self.offset_ms
