"""
A clock in a file, which real processes read and the harness drives: speed, steps, synchronisation, reboots.

It takes the place of the kernel's at the process's edge, where `process.run` is handed its clock. Everything behind
that edge is what runs on a box.
"""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path

_LAYOUT = struct.Struct("<qqqdqqq")
"""version (odd while being written), kernel boot time at the anchor (ns), boot time at the anchor (ms), speed,
wall time less boot time (ms), synchronised, number of the boot"""


class SharedClock:
    """The clock as a process reads it."""

    trial = False

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _LAYOUT.size)
        self.speed: float = self._read()[2]

    def _read(self) -> tuple[int, int, float, int, int, int]:
        while True:
            version, *fields = _LAYOUT.unpack(self._map[:])
            if version % 2 == 0 and version == _LAYOUT.unpack(self._map[:])[0]:
                return tuple(fields)

    @property
    def boot_id(self) -> str:
        """Which boot it is."""
        return f"boot-{self._read()[5]}"

    def boot_ms(self) -> int:
        """Return the milliseconds since this boot."""
        anchor_ns, boot_ms, speed, *_ = self._read()
        return boot_ms + round((_now_ns() - anchor_ns) / 1e6 * speed)

    def wall_ms(self) -> int:
        """Return the wall time, right or wrong."""
        return self.boot_ms() + self._read()[3]

    def trusted(self) -> bool:
        """Return what it was set to."""
        return bool(self._read()[4])


class Hand(SharedClock):
    """
    The hand that moves it.

    Args:
        path: The file; it is made.
        wall_ms: What it reads at first; synchronised.
        speed: Its seconds in a real one.
    """

    def __init__(self, path: Path, wall_ms: int, speed: float) -> None:
        path.write_bytes(_LAYOUT.pack(0, _now_ns(), 60_000, speed, wall_ms - 60_000, 1, 1))
        super().__init__(path)

    def _write(self, boot_ms: int, offset_ms: int, synchronised: int, boot: int) -> None:
        version = _LAYOUT.unpack(self._map[:])[0]
        fields = (_now_ns(), boot_ms, self.speed, offset_ms, synchronised, boot)
        self._map[:8] = struct.pack("<q", version + 1)
        self._map[8:] = _LAYOUT.pack(version + 1, *fields)[8:]
        self._map[:8] = struct.pack("<q", version + 2)

    def advance(self, ms: int) -> None:
        """Let *ms* pass at once on both, as a suspended machine does."""
        *_, offset_ms, synchronised, boot = self._read()
        self._write(self.boot_ms() + ms, offset_ms, synchronised, boot)

    def step(self, ms: int) -> None:
        """Step the wall clock."""
        *_, offset_ms, synchronised, boot = self._read()
        self._write(self.boot_ms(), offset_ms + ms, synchronised, boot)

    def set_wall(self, wall_ms: int, *, synchronised: bool) -> None:
        """Set the wall clock, and whether the kernel vouches for it."""
        boot_ms = self.boot_ms()
        self._write(boot_ms, wall_ms - boot_ms, int(synchronised), self._read()[5])

    def synchronise(self, *, synchronised: bool = True) -> None:
        """Say whether the kernel vouches for the wall clock."""
        *_, offset_ms, _, boot = self._read()
        self._write(self.boot_ms(), offset_ms, int(synchronised), boot)

    def reboot(self, off_ms: int, *, wall_error_ms: int = 0) -> None:
        """Cut the power for *off_ms*: another boot, whose wall clock is off by so much and not synchronised."""
        wall_ms = self.wall_ms() + off_ms + wall_error_ms
        self._write(20_000, wall_ms - 20_000, 0, self._read()[5] + 1)


def _now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
