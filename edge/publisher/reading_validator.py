"""
The publisher's distrust of vision: accepts readings that an honest vision can have made, and refuses all others.

Vision checks the same rules before it writes. They are checked again here because vision may have been captured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from edge.core.errors import LineUnknown, WireOutOfRange, WireTooFast, WireUnexpected
from edge.core.tally import BEAT_MS, PEOPLE_AT_ONCE, PEOPLE_PER_S, SIZE, Tally, decode, line_key

MOST_TIME_MS = 3_600_000
"""People of at most this much time are believed of one reading, however long the time since the one before it, ms."""
_FRAMES_PER_S = 1_000
"""The most frames that a camera gives in a second, and beyond that in a moment."""
_SLACK_MS = 2_000
"""The two processes read the clock at slightly different moments; times may disagree by this much, ms."""
_PAST_RUNS = 16
"""Runs that are remembered as over, so that their late records are dropped."""


@dataclass(slots=True)
class _People:
    """How many more people than `PEOPLE_PER_S` may still cross a line at once, in each direction."""

    in_: float = PEOPLE_AT_ONCE
    out: float = PEOPLE_AT_ONCE


class ReadingValidator:
    """
    Checks one camera's records, in the order in which they came.

    State is bounded: the newest reading of each line of the current run, and the numbers of the last runs.

    Args:
        lines: Names of the camera's lines.
        newest: The newest reading of each line that the ledger knows from this boot, so that a restart of the
            publisher forgets nothing. Those of other runs than the newest only say when that run can have begun.
        previous_lines: Names of lines that the run before may still tell of, until another run begins.
        speed: How much faster than real time the clock runs (a trial's clock).
        burst: How many records may wait in the pipe.
    """

    def __init__(
        self,
        lines: Iterable[str],
        newest: Iterable[Tally] = (),
        *,
        previous_lines: Iterable[str] = (),
        speed: float = 1.0,
        burst: int = 1_500,
    ) -> None:
        self._expected = frozenset(line_key(name) for name in lines)
        self._lines = self._expected | {line_key(name) for name in previous_lines}
        self._slack_ms = round(_SLACK_MS * speed)
        self._burst = float(burst)
        self._allowance = float(burst)
        self._refilled_ms: int | None = None
        self._newest: dict[int, Tally] = {}
        self._people: dict[int, _People] = {}
        self._past_runs: list[int] = []
        self._begin_ms = 0
        """Boot time before which the current run can't have begun: the run before it was still telling then."""
        for tally in sorted(newest, key=lambda t: t.boot_ms):
            if tally.line in self._lines:
                self._note(tally)

    @property
    def newest(self) -> Mapping[int, Tally]:
        """The newest reading of each line of the current run, by line key."""
        return self._newest

    @property
    def lines(self) -> frozenset[int]:
        """The keys of the lines that may come now."""
        return self._lines

    def expect(self, lines: Iterable[str]) -> None:
        """Accept these lines from now on, and those of the current run until another begins."""
        self._expected = frozenset(line_key(name) for name in lines)
        self._lines = self._expected | frozenset(self._newest)

    def accept(self, chunk: bytes, now_ms: int) -> Iterator[Tally]:
        """
        Yield the readings in *chunk* that say something new; repeats and stale records are dropped.

        Args:
            chunk: Whole records, as they were read from the pipe.
            now_ms: Boot time now, ms.

        Raises:
            WireError: on the first record that can't be true; what follows it is not looked at.
        """
        for start in range(0, len(chunk), SIZE):
            tally = decode(chunk[start : start + SIZE])
            self._check_rate(now_ms)
            if tally.line not in self._lines:
                raise LineUnknown(tally.line, start)
            if self._is_new(tally, now_ms):
                self._note(tally)
                yield tally

    def _check_rate(self, now_ms: int) -> None:
        if self._refilled_ms is not None:
            elapsed_beats = max(0, now_ms - self._refilled_ms) / BEAT_MS
            self._allowance = min(self._burst, self._allowance + 2 * len(self._lines) * elapsed_beats)
        self._refilled_ms = now_ms
        if self._allowance < 1:
            raise WireTooFast("records at once", self._burst, self._burst + 1)
        self._allowance -= 1

    def _is_new(self, tally: Tally, now_ms: int) -> bool:
        """Tell whether *tally* says something new; raise WireError if it can't be true."""
        if tally.boot_ms > now_ms + self._slack_ms:
            raise WireOutOfRange("boot_ms", 0, now_ms + self._slack_ms, tally.boot_ms)
        if tally.run in self._past_runs:
            return False
        before = self._newest.get(tally.line)
        if before is not None and before.run == tally.run:
            if tally.sequence <= before.sequence:
                return False
            if tally.boot_ms < before.boot_ms:
                raise WireUnexpected("boot_ms", f"{before.boot_ms} or later", tally.boot_ms)
            self._check_growth(before, tally, tally.boot_ms - before.boot_ms)
            return True
        # Two runs of one camera follow each other. If they could overlap, each could count the same time anew.
        earliest_ms = (self._begin_ms if self._is_current(tally.run) else self._end_ms()) - self._slack_ms
        if tally.boot_ms - tally.watched_ms < earliest_ms:
            raise WireUnexpected("boot_ms less watched_ms", f"{earliest_ms} or later", tally.boot_ms - tally.watched_ms)
        self._check_growth(Tally(tally.run, 0, tally.line, 0, 0, 0, 0, 0), tally, tally.watched_ms)
        return True

    def _is_current(self, run: int) -> bool:
        return all(tally.run == run for tally in self._newest.values())

    def _end_ms(self) -> int:
        """Return the boot time of the current run's newest reading."""
        return max((tally.boot_ms for tally in self._newest.values()), default=0)

    def _check_growth(self, before: Tally, tally: Tally, elapsed_ms: int) -> None:
        """Refuse odometers that ran backwards, or faster than people walk and cameras see, in *elapsed_ms*."""
        left = self._people.setdefault(tally.line, _People())
        walked = PEOPLE_PER_S * min(elapsed_ms, MOST_TIME_MS) / 1000
        for name, most in (
            ("in_", left.in_ + walked),
            ("out", left.out + walked),
            ("frames", _FRAMES_PER_S * (1 + elapsed_ms / 1000)),
            ("watched_ms", elapsed_ms + self._slack_ms),
        ):
            old, new = getattr(before, name), getattr(tally, name)
            if new < old:
                raise WireUnexpected(name, f"{old} or more", new)
            if new - old > most:
                raise WireTooFast(f"{name} since the last reading", int(most), new - old)
        left.in_ = min(PEOPLE_AT_ONCE, left.in_ + walked - (tally.in_ - before.in_))
        left.out = min(PEOPLE_AT_ONCE, left.out + walked - (tally.out - before.out))

    def _note(self, tally: Tally) -> None:
        """Make *tally* the newest of its line, and its run the current one."""
        current = next(iter(self._newest.values()), None)
        if current is not None and current.run != tally.run:
            self._past_runs = [*self._past_runs[1 - _PAST_RUNS :], current.run]
            self._begin_ms = self._end_ms()
            self._newest.clear()
            self._lines = self._expected | {tally.line}
            self._people = {line: left for line, left in self._people.items() if line in self._lines}
        self._newest[tally.line] = tally
