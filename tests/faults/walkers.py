"""
Simulated walkers in a process of their own: vision's real odometers and its real end of the diode, without a camera.

Each crossing is first noted on a board in shared memory, which outlives the process: the truth. Then it is counted.
"""

from __future__ import annotations

import mmap
import random
import signal
import struct
import threading
from pathlib import Path
from typing import Final

from edge.core.tally import Flag, line_key
from edge.vision.odometer import DiodeWriter, Odometers
from edge.vision.scene import Direction
from tests.faults.clock import SharedClock

LINES: Final = ("entrance", "side")
DIRECTIONS: Final[tuple[Direction, ...]] = ("in", "out")
_STAMPS = 256
_LAYOUT = struct.Struct(f"<6q{_STAMPS}q")
"""number of the run, whether to stand still, counts (line by line, in and out), and when the last ones crossed"""


class Board:
    """The truth about one run."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_LAYOUT.size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _LAYOUT.size)

    def _get(self, at: int) -> int:
        value: int = struct.unpack_from("<q", self._map, 8 * at)[0]
        return value

    def _set(self, at: int, value: int) -> None:
        struct.pack_into("<q", self._map, 8 * at, value)

    @property
    def run(self) -> int:
        """The run's number; 0 until it is known."""
        return self._get(0)

    @run.setter
    def run(self, number: int) -> None:
        self._set(0, number)

    @property
    def still(self) -> bool:
        """Whether nobody may walk."""
        return bool(self._get(1))

    @still.setter
    def still(self, still: bool) -> None:
        self._set(1, int(still))

    def count(self, line: str, direction: Direction) -> int:
        """Return how many have crossed."""
        return self._get(2 + 2 * LINES.index(line) + DIRECTIONS.index(direction))

    @property
    def counted(self) -> int:
        """How many have crossed, all lines and directions."""
        return sum(self._get(2 + n) for n in range(4))

    def stamps(self, number: int) -> list[int]:
        """Return the boot times of the last *number* crossings, ms."""
        counted = self.counted
        return [self._get(6 + n % _STAMPS) for n in range(counted - min(number, _STAMPS), counted)]

    def note(self, line: str, direction: Direction, boot_ms: int) -> None:
        """Note one crossing."""
        at = 2 + 2 * LINES.index(line) + DIRECTIONS.index(direction)
        self._set(6 + self.counted % _STAMPS, boot_ms)
        self._set(at, self._get(at) + 1)


def main(clock: str, board: str, fifo: str, seed: int) -> int:
    """Let people walk until SIGTERM."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    shared, truth, dice = SharedClock(Path(clock)), Board(Path(board)), random.Random(seed)
    odometers = Odometers(LINES, shared)
    diode = DiodeWriter(Path(fifo))
    truth.run = odometers._run
    while not stopping.is_set():
        now_ms = shared.boot_ms()
        odometers.write(diode)
        if not truth.still:
            for line in LINES:
                for direction in DIRECTIONS:
                    if dice.random() < 0.2:
                        truth.note(line, direction, now_ms)
                        odometers.cross(line, direction)
        odometers.watch(Flag(0))
        stopping.wait(0.003)
    odometers.write(diode, last=True)
    return 0


KEYS = {line_key(name): name for name in LINES}
