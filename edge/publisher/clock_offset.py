"""
From boot time to wall time: which offset a boot has, and when to believe another one. Pure.

A reading's place among the hours is its boot time plus its boot's offset. The offset is learned when the clock is
trusted, so that what was read off before is placed by it too.
"""

from __future__ import annotations

import logging

from edge.core.clock import Clock

log = logging.getLogger(__name__)

STANDS_MS = 120_000
"""A jump of more than a minute must stand this long before it is believed."""

_SMALL_MS = 60_000
_JITTER_MS = 1_000
"""Two readings of the same offset differ by less: clocks are read one after the other, and are slewed."""
_NOT_BEFORE_MS = 1_577_836_800_000
"""2020-01-01: no clock that says less can be right, whatever it says about itself."""


class Placing:
    """
    The offset of this boot, ms; None until the clock was trusted.

    Args:
        offset_ms: What the ledger knows of this boot.
    """

    def __init__(self, offset_ms: int | None = None) -> None:
        self.offset_ms = offset_ms
        self._candidate: tuple[int, int] | None = None

    def look(self, clock: Clock) -> bool:
        """Look at the clock; return whether the offset has changed by it."""
        boot_ms, wall_ms = clock.boot_ms(), clock.wall_ms()
        if not clock.trusted() or wall_ms < _NOT_BEFORE_MS:
            self._candidate = None
            return False
        seen = wall_ms - boot_ms
        jitter = round(_JITTER_MS * max(1.0, clock.speed / 10))
        if self.offset_ms is None:
            log.info("the clock is synchronised; what this boot has counted is placed into hours from now on")
        elif abs(jump := seen - self.offset_ms) <= jitter:
            self._candidate = None
            return False
        elif abs(jump) <= _SMALL_MS:
            log.info("the clock was corrected by %.1f s", jump / 1000)
        elif self._candidate is None or abs(self._candidate[0] - seen) > jitter:
            log.warning("the clock jumped by %.0f s; believed if it stands for two minutes", jump / 1000)
            self._candidate = (seen, boot_ms)
            return False
        elif boot_ms - self._candidate[1] < STANDS_MS:
            return False
        else:
            log.warning("the clock's jump by %.0f s has stood; hours of this boot are placed anew", jump / 1000)
        self._candidate = None
        self.offset_ms = seen
        return True

    def wall_ms(self, clock: Clock) -> int | None:
        """Return the wall time by the believed offset; None if there is none."""
        return None if self.offset_ms is None else clock.boot_ms() + self.offset_ms
