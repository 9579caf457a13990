"""What goes into a store in one transaction, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from edge.core.hour import Hour
from edge.headquarters.errors import HourUnfit


@dataclass(frozen=True, slots=True)
class Unfit:
    """A message that can't be stored as an hour, as it came, and why not."""

    topic: str
    payload: bytes
    fault: HourUnfit


@dataclass(frozen=True, slots=True)
class KeptDay:
    """
    What is kept of a camera's local day when its hours are not.

    Attributes:
        lines: People in and out of each line, over the counted hours.
        open_hours: Hours in which the shop was open, as far as was known.
        good_hours: Those of them that were good.
        counted_hours: Hours whose people are in the sums, closed ones too.
        watched_s: Seconds watched, of all hours that came.
        flags: Flags of all hours that came, sorted.
    """

    day: date
    timezone: str
    lines: Mapping[str, tuple[int, int]]
    open_hours: int
    good_hours: int
    counted_hours: int
    watched_s: int
    flags: Sequence[str]


@dataclass(frozen=True, slots=True)
class Arrival:
    """An hour that can be stored, and the bytes that it came as."""

    topic: str
    payload: bytes
    hour: Hour


@dataclass(slots=True)
class Batch:
    """What one transaction stores."""

    hours: list[Arrival] = field(default_factory=list)
    unfit: list[Unfit] = field(default_factory=list)
    statuses: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """
    What became of messages.

    Attributes:
        stored: Hours that are new, or replaced a lower revision.
        repeated: Hours that were known already, this revision or a higher one.
        quarantined: Messages by reason.
    """

    stored: int = 0
    repeated: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)

    def add(self, other: Outcome) -> None:
        """Add *other* to this."""
        self.stored += other.stored
        self.repeated += other.repeated
        for reason, times in other.quarantined.items():
            self.quarantined[reason] = self.quarantined.get(reason, 0) + times


def rejudged(quarantine: Iterable[tuple[Unfit, int]]) -> Iterator[Unfit]:
    """Yield what was kept whole, and so can be judged again."""
    return (unfit for unfit, size in quarantine if size == len(unfit.payload))
