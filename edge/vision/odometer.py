"""What one run of vision has counted, and the one-way pipe down which it says so."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from edge.core.clock import Clock
from edge.core.errors import DiodeMissing
from edge.core.tally import BEAT_MS, Flag, Tally, encode, line_key
from edge.vision.explain import KINDS, Kind
from edge.vision.pipeline import UNSEEN
from edge.vision.scene import Direction

log = logging.getLogger(__name__)

_LONGEST_GAP_MS = 1_000
"""Time between two frames counts as watched up to this; what lies beyond was not seen."""


class DiodeWriter:
    """
    The write end of the diode. Never waits: what doesn't fit is dropped, and the next reading makes up for it.

    Args:
        path: The FIFO, made by systemd or by the publisher.
        descriptor: An inherited pipe instead.

    Raises:
        DiodeMissing: there is no FIFO, or nobody holds its other end.
    """

    def __init__(self, path: Path, descriptor: int | None = None) -> None:
        try:
            self._descriptor = (
                os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC) if descriptor is None else descriptor
            )
            os.set_blocking(self._descriptor, False)
        except OSError as exc:
            raise DiodeMissing(path, exc.strerror or str(exc)) from exc
        self._dropping = False

    @property
    def descriptor(self) -> int:
        """The pipe's."""
        return self._descriptor

    def write(self, tally: Tally) -> None:
        """Write one record, whole or not at all."""
        try:
            os.write(self._descriptor, encode(tally))
        except (BlockingIOError, BrokenPipeError):
            if not self._dropping:
                log.warning("nobody reads the diode; counting goes on and no count is lost")
            self._dropping = True
        else:
            self._dropping = False


class Odometers:
    """
    What this run has counted since it began, and when to say so.

    Args:
        lines: Names of the camera's lines.
        clock: Gives the boot time of each reading.
    """

    def __init__(self, lines: Iterable[str], clock: Clock) -> None:
        self._clock = clock
        self._run = secrets.randbelow(2**32 - 1) + 1
        self._counts: dict[str, dict[Direction, int]] = {name: {"in": 0, "out": 0} for name in lines}
        self._uncounted: dict[str, dict[Kind, int]] = {name: dict.fromkeys(KINDS, 0) for name in self._counts}
        self._frames = 0
        self._watched_ms = 0
        self._sequence = 0
        self._flags = Flag.RESTARTED
        self._last_frame_ms: int | None = None
        self._next_beat_ms = clock.boot_ms()

    @property
    def totals(self) -> tuple[int, int, int]:
        """In, out (over all lines) and frames since the run began."""
        counts = self._counts.values()
        return sum(c["in"] for c in counts), sum(c["out"] for c in counts), self._frames

    def of(self, line: str) -> tuple[int, int, int, int, int]:
        """Return in, out, and what was not counted by its kind, over one line since the run began."""
        counts, uncounted = self._counts[line], self._uncounted[line]
        return counts["in"], counts["out"], uncounted["picture"], uncounted["part"], uncounted["nearly"]

    def cross(self, line: str, direction: Direction) -> None:
        """Add one crossing."""
        self._counts[line][direction] += 1

    def explain(self, line: str, kind: Kind) -> None:
        """Add one way over a line that was not counted: for the technician's page, never for the diode."""
        self._uncounted[line][kind] += 1

    def watch(self, flags: Flag) -> None:
        """Add one frame, and the time since the one before unless *flags* say that nothing was seen."""
        now_ms = self._clock.boot_ms()
        self._frames += 1
        self._flags |= flags
        if self._last_frame_ms is not None and not flags & UNSEEN:
            self._watched_ms += min(now_ms - self._last_frame_ms, round(_LONGEST_GAP_MS * self._clock.speed))
        self._last_frame_ms = now_ms

    def unwatched(self, flag: Flag) -> None:
        """Say why no frame is looked at now."""
        self._flags |= flag
        self._last_frame_ms = None

    def write(self, diode: DiodeWriter, *, last: bool = False) -> None:
        """Write a reading of every line when the beat is due, or because it is the *last*."""
        now_ms = self._clock.boot_ms()
        if now_ms < self._next_beat_ms and not last:
            return
        self._next_beat_ms = now_ms + BEAT_MS
        for name, counts in self._counts.items():
            diode.write(
                Tally(
                    run=self._run,
                    sequence=self._sequence,
                    line=line_key(name),
                    in_=counts["in"],
                    out=counts["out"],
                    frames=self._frames,
                    boot_ms=now_ms,
                    watched_ms=self._watched_ms,
                    flags=self._flags,
                )
            )
        self._sequence += 1
        self._flags = Flag(0)
