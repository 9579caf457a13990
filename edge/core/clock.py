"""
Boot time; wall time, and whether it can be trusted. The only module that asks a clock anything.

Boot time (CLOCK_BOOTTIME) orders and measures everything: it never steps and counts through suspend. Wall time only
names the hour, and only when the kernel says that something keeps it right (adjtimex(2), as set by systemd-timesyncd,
chrony and ntpd). Three clocks share one face: the kernel's, a trial's (faster, honest about it) and one that tests
move by hand.
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIME_ERROR = 5
_STA_UNSYNC = 0x0040


class Clock(Protocol):
    """What the rest of the program may ask."""

    @property
    def boot_id(self) -> str:
        """Which boot the boot time belongs to."""

    @property
    def speed(self) -> float:
        """Seconds that pass on this clock in a real second."""

    @property
    def trial(self) -> bool:
        """Whether the wall time is made up for a trial."""

    def boot_ms(self) -> int:
        """Return the milliseconds since boot; never steps."""

    def wall_ms(self) -> int:
        """Return the milliseconds since 1970 UTC, right or wrong."""

    def trusted(self) -> bool:
        """Tell whether the wall time is known to be right."""


class _Timeval(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_usec", ctypes.c_long))


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", _Timeval),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("padding", ctypes.c_int * 11),
    )


def kernel_synchronised() -> bool:
    """Tell whether the kernel holds its wall clock for synchronised (adjtimex(2) without setting anything)."""
    timex = _Timex()
    state: int = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    return state not in (-1, _TIME_ERROR) and not timex.status & _STA_UNSYNC


class KernelClock:
    """The box's own clock."""

    speed = 1.0
    trial = False

    def __init__(self) -> None:
        self.boot_id = _BOOT_ID.read_text().strip()

    def boot_ms(self) -> int:
        """Return CLOCK_BOOTTIME in ms."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def wall_ms(self) -> int:
        """Return CLOCK_REALTIME in ms since 1970 UTC."""
        return time.clock_gettime_ns(time.CLOCK_REALTIME) // 1_000_000

    def trusted(self) -> bool:
        """Ask the kernel."""
        return kernel_synchronised()


class TrialClock:
    """
    A clock that starts at a chosen wall time and runs *speed* times as fast as the real one.

    Every hour counted by it carries the flag `trial`. Two processes share one by its :meth:`spec`.
    """

    trial = True

    def __init__(self, speed: float, boot_origin_ms: int, wall_origin_ms: int) -> None:
        if not 0 < speed <= 10_000:  # noqa: PLR2004 - said in the sentence below
            raise ValueError(f"a trial clock's speed is more than 0 and at most 10000, not {speed}")
        self.speed = speed
        self._kernel = KernelClock()
        self._boot_origin_ms = boot_origin_ms
        self._wall_origin_ms = wall_origin_ms
        self.boot_id = f"trial-{boot_origin_ms}-{self._kernel.boot_id}"

    @classmethod
    def starting_at(cls, wall_ms: int, speed: float) -> TrialClock:
        """Return a clock that reads *wall_ms* now."""
        return cls(speed, KernelClock().boot_ms(), wall_ms)

    @classmethod
    def from_spec(cls, spec: str) -> TrialClock:
        """Return the clock that another process described by :meth:`spec`; ValueError if it can't be one."""
        try:
            speed, boot, wall = spec.split(":")
            return cls(float(speed), int(boot), int(wall))
        except ValueError as exc:
            raise ValueError(f"a trial clock is SPEED:BOOT_MS:WALL_MS, not {spec!r} ({exc})") from exc

    def spec(self) -> str:
        """Return what another process needs to share this clock."""
        return f"{self.speed}:{self._boot_origin_ms}:{self._wall_origin_ms}"

    def _passed_ms(self) -> int:
        return round((self._kernel.boot_ms() - self._boot_origin_ms) * self.speed)

    def boot_ms(self) -> int:
        """Return boot time in ms, as if the speed were real."""
        return self._boot_origin_ms + self._passed_ms()

    def wall_ms(self) -> int:
        """Return the made-up wall time, ms since 1970 UTC."""
        return self._wall_origin_ms + self._passed_ms()

    def trusted(self) -> bool:
        """Return True: it is right by definition."""
        return True


@dataclass(slots=True)
class ManualClock:
    """A clock that stands still until :meth:`advance` or a test moves it."""

    boot: int = 0
    wall: int = 0
    synchronised: bool = True
    boot_id: str = "manual"
    speed: float = 1.0
    trial: bool = field(default=False)

    def boot_ms(self) -> int:
        """Return the boot time it was set to, ms."""
        return self.boot

    def wall_ms(self) -> int:
        """Return the wall time it was set to, ms since 1970 UTC."""
        return self.wall

    def trusted(self) -> bool:
        """Return what it was set to."""
        return self.synchronised

    def advance(self, milliseconds: int) -> None:
        """Let time pass on both."""
        self.boot += milliseconds
        self.wall += milliseconds
