"""
Sums stored hours for a report: days, weeks, an hour-by-weekday map, and how much of each is known. Pure functions.

An hour that nobody watched is never a zero here: it has a state of its own, and each sum says how much of it is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import groupby
from zoneinfo import ZoneInfo

from edge.core.hour import WELL_WATCHED, Hour

YEAR = timedelta(days=364)
"""52 weeks: from a day to the same weekday of last year."""
_HOUR = timedelta(hours=1)
_UNBALANCED = 0.1
"""In and out that differ by a larger share than this are out of balance."""
_LEAST_FOR_BALANCE = 200
"""With fewer people than this, in and out together, a balance is chance."""


class State(StrEnum):
    """How reliable an hour is."""

    GOOD = "good"
    CLOSED = "closed"
    POOR = "poor"
    UNWATCHED = "unwatched"
    MISSING = "missing"


_BELIEVED = frozenset({State.GOOD, State.CLOSED})
_COUNTED = frozenset({State.GOOD, State.CLOSED, State.POOR})


@dataclass(frozen=True, slots=True)
class Slot:
    """One hour of a camera that was told or should have been; counts are zero where nothing was told."""

    site: str
    camera: str
    start: datetime
    local: datetime
    state: State
    in_: int = 0
    out: int = 0
    hour: Hour | None = None


@dataclass(slots=True)
class Sum:
    """The sum of several hours, and how much of it is known."""

    in_: int = 0
    out: int = 0
    hours: int = 0
    believed: int = 0
    counted: int = 0
    closed: int = 0

    def add(self, slot: Slot) -> None:
        """Add one camera's hour."""
        self.in_ += slot.in_
        self.out += slot.out
        self.hours += 1
        self.believed += slot.state in _BELIEVED
        self.counted += slot.state in _COUNTED
        self.closed += slot.state is State.CLOSED

    def include(self, other: Sum) -> None:
        """Add another sum."""
        self.in_ += other.in_
        self.out += other.out
        self.hours += other.hours
        self.believed += other.believed
        self.counted += other.counted
        self.closed += other.closed

    @property
    def known(self) -> float:
        """Share of the hours that are reliable, 0 to 1."""
        return self.believed / self.hours if self.hours else 0.0

    @property
    def empty(self) -> bool:
        """Whether no hour of it was counted."""
        return not self.counted

    @property
    def balance(self) -> float | None:
        """In minus out as a share of the larger; None with too few people."""
        most = max(self.in_, self.out)
        return None if self.in_ + self.out < _LEAST_FOR_BALANCE else (self.in_ - self.out) / most

    @property
    def unbalanced(self) -> bool:
        """Whether in and out differ by more than a door explains."""
        return self.balance is not None and abs(self.balance) > _UNBALANCED


@dataclass(slots=True)
class Cell:
    """One weekday's hour of the map: the mean of the reliable hours or, without any, of the poor ones."""

    good: list[int] = field(default_factory=list)
    poor: list[int] = field(default_factory=list)
    closed: int = 0
    lost: int = 0

    @property
    def mean(self) -> float | None:
        """People in, an hour; None where no open hour was counted."""
        counted = self.good or self.poor
        return sum(counted) / len(counted) if counted else None

    @property
    def state(self) -> State:
        """Which kind of hours the mean is made of."""
        if self.good:
            return State.GOOD
        if self.poor:
            return State.POOR
        return State.CLOSED if self.closed else State.UNWATCHED if self.lost else State.MISSING


HeatMap = Mapping[tuple[int, int], Cell]
"""(weekday, 0 is Monday; hour of the day): cell. A pair that is absent was never due."""


@dataclass(slots=True)
class Part:
    """A camera, or a site with all of its cameras."""

    name: str
    total: Sum = field(default_factory=Sum)
    before: Sum = field(default_factory=Sum)
    """The same days a year earlier."""
    days: dict[date, Sum] = field(default_factory=dict)
    weeks: dict[date, Sum] = field(default_factory=dict)
    """By the week's Monday."""
    days_before: dict[date, Sum] = field(default_factory=dict)
    """Last year's, under this year's dates."""
    weeks_before: dict[date, Sum] = field(default_factory=dict)
    heat: dict[tuple[int, int], Cell] = field(default_factory=dict)
    states: dict[State, int] = field(default_factory=dict)
    cameras: list[Part] = field(default_factory=list)

    def hours_in(self, state: str) -> int:
        """Return how many hours of the period are in *state*."""
        return self.states.get(State(state), 0)

    @property
    def change(self) -> float | None:
        """Change against last year, as a share; None where one of the years is not known well enough."""
        is_known = self.total.known >= WELL_WATCHED and self.before.known >= WELL_WATCHED
        return (self.total.in_ - self.before.in_) / self.before.in_ if is_known and self.before.in_ else None


@dataclass(frozen=True, slots=True)
class Period:
    """The days and the weeks that a report is about; local dates, the last one included."""

    last: date
    days: int = 28
    weeks: int = 13

    @property
    def first(self) -> date:
        """The first day."""
        return self.last - timedelta(days=self.days - 1)

    @property
    def first_week(self) -> date:
        """The Monday of the first week."""
        return self.last - timedelta(days=self.last.weekday(), weeks=self.weeks - 1)

    @property
    def dates(self) -> list[date]:
        """All days."""
        return [self.first + timedelta(days=n) for n in range(self.days)]

    @property
    def mondays(self) -> list[date]:
        """All weeks, by their Mondays."""
        return [self.first_week + timedelta(weeks=n) for n in range(self.weeks)]

    @property
    def since(self) -> datetime:
        """The time from which this year's hours are needed; a day early, since zones differ."""
        first = min(self.first, self.first_week)
        return datetime(first.year, first.month, first.day, tzinfo=UTC) - timedelta(days=1)

    @property
    def until(self) -> datetime:
        """The time up to which hours are needed; a day late, since zones differ."""
        return datetime(self.last.year, self.last.month, self.last.day, tzinfo=UTC) + timedelta(days=2)


def state_of(hour: Hour) -> State:
    """Return how reliable *hour* is."""
    if "closed" in hour.flags:
        # The message does not say how long the shop was open in an hour in which it opened or closed; so what was
        # watched of such an hour counts as all of its open time.
        troubled = set(hour.flags) - {"closed", "restarted"}
        return State.POOR if troubled else State.GOOD if hour.watched_s else State.CLOSED
    share = hour.watched_s / (hour.end - hour.start).total_seconds()
    if not hour.watched_s:
        return State.UNWATCHED
    return State.GOOD if share >= WELL_WATCHED else State.POOR


def slots(hours: Iterable[Hour], until: datetime) -> Iterator[Slot]:
    """
    Yield each camera's hours, and those that are missing between its first one and *until*.

    Args:
        hours: Sorted by site, camera and start; hours of trials are left out.
        until: Hours that end later are not due.
    """
    real = (hour for hour in hours if "trial" not in hour.flags)
    for (site, camera), of_camera in groupby(real, key=lambda hour: (hour.site, hour.camera)):
        end, zone = None, "UTC"
        for hour in of_camera:
            if end is not None:
                yield from _missing(site, camera, end, hour.start, zone)
            end, zone = hour.end, hour.timezone
            yield Slot(site, camera, hour.start, _local(hour.start, zone), state_of(hour), hour.in_, hour.out, hour)
        if end is not None:
            yield from _missing(site, camera, end, until, zone)


def _missing(site: str, camera: str, start: datetime, until: datetime, zone: str) -> Iterator[Slot]:
    while until - start >= _HOUR:
        yield Slot(site, camera, start, _local(start, zone), State.MISSING)
        start += _HOUR


def _local(moment: datetime, zone: str) -> datetime:
    return moment.astimezone(_zone(zone))


@lru_cache(maxsize=600)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def summarise(all_slots: Iterable[Slot], period: Period) -> list[Part]:
    """Return every site with its cameras, by name; *all_slots* come by site and camera."""
    sites: list[Part] = []
    for site, of_site in groupby(all_slots, key=lambda slot: slot.site):
        part = Part(site)
        together: dict[datetime, list[Slot]] = {}
        for camera, of_camera in groupby(of_site, key=lambda slot: slot.camera):
            one = Part(camera)
            for slot in of_camera:
                _add(one, slot, period)
                _add(part, slot, period)
                if period.first <= slot.local.date() <= period.last:
                    _add_to_heat(one.heat, [slot])
                    together.setdefault(slot.start, []).append(slot)
            part.cameras.append(one)
        for of_hour in together.values():
            _add_to_heat(part.heat, of_hour)
        sites.append(part)
    return sites


def _add(part: Part, slot: Slot, period: Period) -> None:
    """Add one hour to this year's sums, to last year's, or, in a period of a year and longer, to both."""
    day = slot.local.date()
    monday = day - timedelta(days=day.weekday())
    if period.first <= day <= period.last:
        part.total.add(slot)
        part.days.setdefault(day, Sum()).add(slot)
        part.states[slot.state] = part.states.get(slot.state, 0) + 1
    if period.first_week <= day <= period.last:
        part.weeks.setdefault(monday, Sum()).add(slot)
    if period.first <= day + YEAR <= period.last:
        part.before.add(slot)
        part.days_before.setdefault(day + YEAR, Sum()).add(slot)
    if period.first_week <= day + YEAR <= period.last:
        part.weeks_before.setdefault(monday + YEAR, Sum()).add(slot)


def _add_to_heat(heat: dict[tuple[int, int], Cell], of_hour: Sequence[Slot]) -> None:
    """Add one hour of all cameras of a part to its map."""
    local = of_hour[0].local
    cell = heat.setdefault((local.weekday(), local.hour), Cell())
    states = {slot.state for slot in of_hour}
    people = sum(slot.in_ for slot in of_hour)
    if states == {State.CLOSED}:
        cell.closed += 1
    elif states <= _BELIEVED:
        cell.good.append(people)
    elif states & _COUNTED - {State.CLOSED}:
        cell.poor.append(people)
    else:
        cell.lost += 1
