"""The diode between the two processes, in hands that repeat, drop, reorder and hold back records."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import select
import threading
from collections import deque
from pathlib import Path

from edge.core.tally import SIZE, Tally, decode

_SMALL_PIPE = 4_096


class Relay:
    """
    Passes records on from one FIFO to another.

    A real pipe drops nothing of itself: what is dropped here stands for writes that found it full, so the newest record
    of a run is only ever held back, never dropped. Records of one run are reordered among themselves.

    Args:
        source: Vision's FIFO; it is made, and small.
        target: The publisher's.
        seed: Of the dice.
    """

    def __init__(self, source: Path, target: Path, seed: int) -> None:
        self.told: dict[tuple[int, int], Tally] = {}
        """The newest record that vision has written, by run and line."""
        self.paused = False
        self.mischief: set[str] = set()
        """What to do: `repeat`, `drop`, `reorder`."""
        self.done = dict.fromkeys(("repeated", "dropped", "reordered"), 0)
        self._dice = random.Random(seed)
        self._past: deque[bytes] = deque(maxlen=40)
        self._held: list[tuple[Tally, bytes]] = []
        self._out: deque[bytes] = deque()
        for path in (source, target):
            os.mkfifo(path)
        self._source = os.open(source, os.O_RDWR | os.O_NONBLOCK)
        self._target = os.open(target, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self._source, fcntl.F_SETPIPE_SZ, _SMALL_PIPE)
        self._lock = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            select.select([self._source], [], [], 0.01)
            with self._lock:
                self.turn()
            if self.paused:
                threading.Event().wait(0.005)

    def turn(self) -> None:
        """Take in what vision has written, unless told to pause, and pass on what may go."""
        chunk = b""
        if not self.paused:
            with contextlib.suppress(BlockingIOError):
                chunk = os.read(self._source, 100 * SIZE)
        for at in range(0, len(chunk), SIZE):
            record = chunk[at : at + SIZE]
            tally = decode(record)
            self.told[tally.run, tally.line] = tally
            self._take(tally, record)
        if not self.mischief & {"drop", "reorder"}:
            self._let_go()
        with contextlib.suppress(BlockingIOError):
            while self._out:
                os.write(self._target, self._out[0])
                self._out.popleft()

    def _take(self, tally: Tally, record: bytes) -> None:
        if self._held and self._held[-1][0].run != tally.run:
            self._let_go()
        if "drop" in self.mischief:
            before = len(self._held)
            self._held = [(held, _) for held, _ in self._held if held.line != tally.line or self._dice.random() < 0.3]
            self.done["dropped"] += before - len(self._held)
        self._held.append((tally, record))
        if "reorder" in self.mischief and len(self._held) > 1:
            self._dice.shuffle(self._held)
            self.done["reordered"] += 1
        if len(self._held) > 6:
            self._let_go()

    def _let_go(self) -> None:
        for _, record in self._held:
            self._out.append(record)
            self._past.append(record)
            if "repeat" in self.mischief and self._dice.random() < 0.5:
                self._out.append(self._dice.choice(self._past))
                self.done["repeated"] += 1
        self._held.clear()

    def lose(self) -> None:
        """Empty both pipes, as a power cut does."""
        with self._lock:
            self._held.clear()
            self._out.clear()
            self._past.clear()
            for descriptor in (self._source, self._target):
                with contextlib.suppress(BlockingIOError):
                    while os.read(descriptor, 65_536):
                        pass

    def unread(self) -> bool:
        """Tell whether something of vision's waits in its pipe."""
        with self._lock:
            return bool(select.select([self._source], [], [], 0)[0])

    def drained(self) -> bool:
        """Tell whether everything that vision has written was taken in and passed on."""
        with self._lock:
            unread = select.select([self._source], [], [], 0)[0]
            return not (unread or self._held or self._out)

    def close(self) -> None:
        """Let go of both pipes."""
        self._stopping = True
        self._thread.join(5)
        os.close(self._source)
        os.close(self._target)
