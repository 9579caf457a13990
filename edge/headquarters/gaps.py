"""Which hours of a camera are known, and which are missing between them. Pure; costs a few bytes a camera."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

HOUR = timedelta(hours=1)
REMEMBERED = timedelta(days=14)
"""Of a camera, what ended longer than this before its newest hour is forgotten."""


@dataclass(slots=True)
class KnownHours:
    """
    The hours of one camera that are known, as spans of time without a gap.

    Attributes:
        spans: Start and end of each span, s since 1970 UTC, in order; they don't touch.
    """

    spans: list[tuple[int, int]] = field(default_factory=list)

    def add(self, start: datetime, end: datetime) -> None:
        """Note an hour; one that is known already changes nothing."""
        first_s, last_s = round(start.timestamp()), round(end.timestamp())
        at = bisect_left(self.spans, (first_s, first_s))
        if at and self.spans[at - 1][1] >= first_s:
            at -= 1
        beyond = at
        while beyond < len(self.spans) and self.spans[beyond][0] <= last_s:
            first_s, last_s = min(first_s, self.spans[beyond][0]), max(last_s, self.spans[beyond][1])
            beyond += 1
        self.spans[at:beyond] = [(first_s, last_s)]
        oldest_s = self.spans[-1][1] - REMEMBERED.total_seconds()
        while self.spans[0][1] < oldest_s:
            del self.spans[0]

    def gaps(self) -> Iterator[tuple[datetime, datetime]]:
        """Yield from when to when nothing is known, between hours that are."""
        for (_, end_s), (start_s, _) in pairwise(self.spans):
            yield datetime.fromtimestamp(end_s, UTC), datetime.fromtimestamp(start_s, UTC)

    def missing(self) -> int:
        """Return how many hours are missing between those that are known."""
        return sum(round((until - since) / HOUR) for since, until in self.gaps())

    @property
    def end(self) -> datetime | None:
        """The end of the newest hour; None if none is known."""
        return datetime.fromtimestamp(self.spans[-1][1], UTC) if self.spans else None


Gap = tuple[str, str, datetime, datetime]
"""Site, camera, and from when to when no hour of it is known."""


class GapWatch:
    """The gaps of all cameras, and which of them opened or closed since somebody last asked."""

    def __init__(self) -> None:
        self._cameras: dict[tuple[str, str], KnownHours] = {}
        self._touched: set[tuple[str, str]] = set()
        self._open: dict[tuple[str, str], set[Gap]] = {}

    def add(self, site: str, camera: str, start: datetime, end: datetime) -> None:
        """Note an hour."""
        self._cameras.setdefault((site, camera), KnownHours()).add(start, end)
        self._touched.add((site, camera))

    def changes(self) -> tuple[list[Gap], list[tuple[str, str]]]:
        """Return the gaps that are new, in order, and the cameras that had a gap and have none any more."""
        opened: list[Gap] = []
        closed: list[tuple[str, str]] = []
        for names in sorted(self._touched):
            now = {(*names, since, until) for since, until in self._cameras[names].gaps()}
            before = self._open.pop(names, set())
            # A gap that was closed in part is no new one.
            opened += [gap for gap in now if not any(gap[2] >= old[2] and gap[3] <= old[3] for old in before)]
            if now:
                self._open[names] = now
            elif before:
                closed.append(names)
        self._touched.clear()
        return sorted(opened), closed

    def missing(self) -> tuple[int, int]:
        """Return how many hours are missing, and at how many cameras."""
        return sum(self._cameras[names].missing() for names in self._open), len(self._open)


def describe(gaps: Iterable[Gap]) -> Iterator[str]:
    """Yield a sentence about each gap."""
    for site, camera, since, until in gaps:
        hours = round((until - since) / HOUR)
        yield (
            f"{site}/{camera}: {hours} {'hour is' if hours == 1 else 'hours are'} missing"
            f" from {since:%Y-%m-%dT%H:%MZ} to {until:%Y-%m-%dT%H:%MZ}"
        )
