"""
All hours of one camera as arrays: those that came, those that are missing, and what a person has said about them.

Ten thousand cameras with two years each don't fit into memory as objects; one camera as arrays takes 1 MB.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from edge.headquarters.report.reliability import Flags, State
from edge.headquarters.sites import CameraPlan, Role
from edge.headquarters.store.reader import Reader

EPOCH = date(1970, 1, 1)
HOUR_S = 3600
DAY_S = 86_400
_FLOAT_BOUND = 10
"""Without a bound of the plan, more than so many times the people of the usual busiest hour of a day are doubted."""
_LEAST_BOUND = 200
"""So many people in an hour are never doubted without a bound of the plan."""
_DAYS_FOR_BOUND = 7
"""A camera must have so many good days before its usual busiest hour is known."""

Ints = NDArray[np.int64]
Window = tuple[datetime, datetime]
"""From when to when hours are needed; instants."""


@dataclass(slots=True)
class CameraHours:
    """
    Hours of one camera, in order of their start; all arrays have n entries.

    Attributes:
        start_s: First moment, s since 1970 UTC.
        local_s: The same as the shop's clocks show it, as if they were UTC's.
        length_s: Length, s.
        in_: People in, over the lines that are entrances.
        out: People out, likewise.
        passing: People over the lines that are passages, both ways.
        watched_s: Seconds watched.
        flags: Bits; see `Flags`.
        state: `State` of each.
        zone: Index into `zones`.
        is_due: Whether the shop was open in it, as far as is known.
        zones: Names of the time zones.
        trials: How many hours of trials were left out.
        rest: Further columns of those that came, by start, for tables; empty unless asked for.
    """

    start_s: Ints
    length_s: Ints
    in_: Ints
    out: Ints
    passing: Ints
    watched_s: Ints
    flags: Ints
    state: NDArray[np.uint8]
    zone: Ints
    zones: list[str]
    local_s: Ints
    is_due: NDArray[np.bool_]
    trials: int = 0
    rest: dict[int, Sequence[Any]] = field(default_factory=dict)

    @property
    def local_days(self) -> Ints:
        """The day of each hour as the shop's clocks show it, in days since 1970."""
        return self.local_s // DAY_S

    def only(self, which: NDArray[np.bool_]) -> CameraHours:
        """Return those hours for which *which*, of shape (n,), is true."""
        columns = ("start_s", "length_s", "in_", "out", "passing", "watched_s", "flags", "state", "zone", "local_s")
        chosen: dict[str, Any] = {name: getattr(self, name)[which] for name in (*columns, "is_due")}
        return replace(self, **chosen)

    def is_between(self, first: date, last: date) -> NDArray[np.bool_]:
        """Tell of each hour whether it is of one of the local days from *first* to *last*, both included."""
        found: NDArray[np.bool_] = (self.local_days >= day_number(first)) & (self.local_days <= day_number(last))
        return found


@dataclass(frozen=True, slots=True)
class Demand:
    """
    What is wanted of a camera.

    Attributes:
        windows: Stretches of time, in order, that don't overlap.
        due: Hours that end later have not to be there yet.
        retired: From then on no hour is missing any more; None while the camera is in use.
        every_column: Whether `CameraHours.rest` is filled.
    """

    windows: Sequence[Window]
    due: datetime
    retired: datetime | None = None
    every_column: bool = False


def day_number(day: date) -> int:
    """Return a day as days since 1970."""
    return (day - EPOCH).days


def read(
    store: Reader, sources: Sequence[tuple[str, str]], demand: Demand, plan: CameraPlan, flags: Flags
) -> CameraHours:
    """
    Read the hours that *sources*, cameras by site and camera, have together; one, unless somebody has merged some.

    Raises:
        StoreUnusable: they can't be read.
    """
    parts: list[Ints] = []
    rest: dict[int, Sequence[Any]] = {}
    trials = 0
    first_s = min(filter(None, (store.first_start(*source) for source in sources)), default=None)
    kept = max(filter(None, (_kept_until(store, *source) for source in sources)), default=None)
    zones = [] if kept is None else [str(kept.tzinfo)]
    lines = demand.every_column or _has_passage(plan)
    for since, until in demand.windows:
        columns: list[Ints] = []
        for site, camera in sources:
            rows = store.rows(site, camera, since, until, lines=lines, every_column=demand.every_column)
            if demand.every_column:
                rest |= {row[0]: row[5:] for row in rows}
            columns.append(_columns(rows, plan, zones, flags))
        came = np.concatenate(columns, axis=1)
        came = came[:, np.argsort(came[_START], kind="stable")]
        is_trial = came[_FLAGS] & flags.bit("trial") != 0
        trials += int(is_trial.sum())
        came = came[:, ~is_trial]
        last = min(until, demand.due, demand.retired or until)
        began = first_s is not None and first_s < since.timestamp()
        # What came before is kept as days, which tell what was missing then.
        due_from = since if kept is None else max(since, kept)
        parts += [came, _missing(came, due_from if began or kept is not None else None, last)]
    whole = np.concatenate(parts, axis=1)
    whole = whole[:, np.argsort(whole[_START], kind="stable")]
    return _finished(whole, zones, flags, rest, trials)


def _kept_until(store: Reader, site: str, camera: str) -> datetime | None:
    """Return the first moment after the days of which no hours are kept; None without any."""
    found = store.kept_until(site, camera)
    return None if found is None else datetime.combine(found[0] + timedelta(days=1), time(), _zone(found[1]))


_START, _END, _IN, _OUT, _PASSING, _WATCHED, _FLAGS, _ZONE = range(8)
_GAP = -1
"""In the column of watched seconds: no hour came."""


def _columns(rows: Sequence[Sequence[Any]], plan: CameraPlan, zones: list[str], flags: Flags) -> Ints:
    """Return the rows of the store as an array of shape (8, n)."""
    if not rows:
        return np.empty((8, 0), np.int64)
    start, end, in_, out, watched_s, timezones, flag_texts, *rest = zip(*rows, strict=True)
    columns = np.zeros((8, len(rows)), np.int64)
    for index, column in ((_START, start), (_END, end), (_IN, in_), (_OUT, out), (_WATCHED, watched_s)):
        columns[index] = column
    if _has_passage(plan):
        columns[[_IN, _OUT, _PASSING]] = np.array([_by_role(lines, plan) for lines in rest[0]], np.int64).T
    columns[_FLAGS] = _numbered(flag_texts, lambda text: flags.bits(json.loads(text)))
    for name in dict.fromkeys(timezones):
        if name not in zones:
            zones.append(name)
    columns[_ZONE] = _numbered(timezones, zones.index)
    return columns


def _numbered(texts: Sequence[str], number: Callable[[str], int]) -> Ints | int:
    """Return the *number* of each text, which is asked for once for each different one."""
    known = {text: number(text) for text in set(texts)}
    if len(known) == 1:
        return known[texts[0]]
    return np.fromiter(map(known.__getitem__, texts), np.int64, len(texts))


def _has_passage(plan: CameraPlan) -> bool:
    return Role.PASSAGE in plan.lines.values()


def _by_role(lines: str, plan: CameraPlan) -> tuple[int, int, int]:
    """Return people in and out over entrances, and both ways over passages, of an hour's lines as JSON."""
    return by_role({name: (count["in"], count["out"]) for name, count in json.loads(lines).items()}, plan)


def by_role(lines: Mapping[str, tuple[int, int]], plan: CameraPlan) -> tuple[int, int, int]:
    """Return people in and out over entrances, and both ways over passages; *lines*: people in and out by name."""
    in_ = out = passing = 0
    for name, (came, went) in lines.items():
        if plan.lines.get(name, Role.ENTRANCE) is Role.PASSAGE:
            passing += came + went
        else:
            in_ += came
            out += went
    return in_, out, passing


def _missing(came: Ints, since: datetime | None, until: datetime) -> Ints:
    """
    Return the hours that did not come, shape (8, n).

    Args:
        came: The hours that came, in order.
        since: From when on hours are due; None from the first one that came.
        until: Hours that end later are not due.
    """
    begin_s = int(since.timestamp()) if since is not None else int(came[_START, 0]) if came.shape[1] else None
    if begin_s is None:
        return np.empty((8, 0), np.int64)
    ends = np.concatenate([[begin_s], np.maximum.accumulate(came[_END])])
    starts = np.concatenate([came[_START], [int(until.timestamp())]])
    zones = np.concatenate([came[_ZONE][:1], came[_ZONE]]) if came.shape[1] else np.zeros(1, np.int64)
    lost = np.maximum(0, (starts - ends) // HOUR_S)
    total = int(lost.sum())
    missing = np.zeros((8, total), np.int64)
    if total:
        of_gap = np.repeat(np.arange(len(lost)), lost)
        number = np.arange(total) - np.repeat(np.cumsum(lost) - lost, lost)
        missing[_START] = ends[of_gap] + number * HOUR_S
        missing[_END] = missing[_START] + HOUR_S
        missing[_WATCHED] = _GAP
        missing[_ZONE] = zones[of_gap]
    return missing


def _finished(whole: Ints, zones: list[str], flags: Flags, rest: dict[int, Sequence[Any]], trials: int) -> CameraHours:
    length_s = whole[_END] - whole[_START]
    is_missing = whole[_WATCHED] == _GAP
    watched_s = np.where(is_missing, 0, whole[_WATCHED])
    state = flags.states(watched_s, length_s, whole[_FLAGS])
    state[is_missing] = State.MISSING
    local_s = whole[_START].copy()
    for index, name in enumerate(zones):
        mine = whole[_ZONE] == index
        local_s[mine] += _offsets(whole[_START][mine], name)
    hours = CameraHours(
        whole[_START], length_s, whole[_IN], whole[_OUT], whole[_PASSING], watched_s, whole[_FLAGS], state,
        whole[_ZONE], zones or ["UTC"], local_s, np.ones(len(state), bool), trials, rest,
    )  # fmt: skip
    hours.is_due = _usually_open(hours)
    return hours


def _usually_open(hours: CameraHours) -> NDArray[np.bool_]:
    """
    Return for each hour whether the shop was open.

    One that came says so. A missing one is taken for open if most of the same weekday's hours were, or, if none of that
    weekday ever came, most of the same hour on other days.
    """
    is_open: NDArray[np.bool_] = hours.state != State.CLOSED
    is_missing = hours.state == State.MISSING
    if is_missing.any():
        of_week = hours.local_s // HOUR_S % (24 * 7)
        told = ~is_missing
        opened = np.bincount(of_week[told & is_open], minlength=168).reshape(7, 24)
        closed = np.bincount(of_week[told & ~is_open], minlength=168).reshape(7, 24)
        usually = np.where(opened + closed > 0, opened >= closed, opened.sum(axis=0) >= closed.sum(axis=0))
        is_open[is_missing] = usually.ravel()[of_week[is_missing]]
    return is_open


def set_opening(hours: CameraHours, week: Sequence[Sequence[bool]] | None, closed_days: Sequence[int]) -> None:
    """
    Let `is_due` follow a plan's opening hours.

    Args:
        hours: What is changed.
        week: For each weekday (0 is Monday) and hour whether the shop is open; None: only *closed_days* count.
        closed_days: Days on which it is closed, in days since 1970.
    """
    days, of_day = hours.local_days, hours.local_s % DAY_S // HOUR_S
    told_open = (hours.state != State.CLOSED) & (hours.state != State.MISSING)
    if week is not None:
        planned = np.array(week, bool)[(days + 3) % 7, of_day]
        hours.is_due = planned & (hours.state != State.CLOSED)
        told_open &= planned
    if closed_days:
        hours.is_due &= ~np.isin(days, np.array(closed_days, np.int64)) | told_open


def bound_of(hours: CameraHours, plan: CameraPlan) -> int | None:
    """Return more than how many people in one direction in an hour are not believed; None if nothing is known."""
    if plan.most_an_hour is not None:
        return plan.most_an_hour
    good = hours.state == State.GOOD
    if not good.any():
        return None
    days = hours.local_days[good]
    busiest: Mapping[int, int] = _largest_by(days, np.maximum(hours.in_, hours.out)[good])
    busy = [most for most in busiest.values() if most]
    if len(busy) < _DAYS_FOR_BOUND:
        return None
    return max(_LEAST_BOUND, _FLOAT_BOUND * int(np.median(busy)))


def _largest_by(keys: Ints, values: Ints) -> dict[int, int]:
    order = np.argsort(keys, kind="stable")
    found, first = np.unique(keys[order], return_index=True)
    return dict(zip(found.tolist(), np.maximum.reduceat(values[order], first).tolist(), strict=True))


def _offsets(start_s: Ints, zone: str) -> Ints:
    """Return the zone's offset from UTC at each moment, s."""
    days = start_s // DAY_S
    found, where = np.unique(days, return_inverse=True)
    at_begin = np.fromiter((_offset(zone, int(day) * DAY_S) for day in found), np.int64, len(found))
    at_end = np.fromiter((_offset(zone, (int(day) + 1) * DAY_S) for day in found), np.int64, len(found))
    offsets = at_begin[where]
    for index in np.flatnonzero((at_begin != at_end)[where]):
        offsets[index] = _offset(zone, int(start_s[index]))
    return offsets


@lru_cache(maxsize=200_000)
def _offset(zone: str, moment_s: int) -> int:
    offset = datetime.fromtimestamp(moment_s, _zone(zone)).utcoffset() or timedelta(0)
    return int(offset.total_seconds())


@lru_cache(maxsize=600)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def each(hours: CameraHours, first: date, last: date) -> Iterator[tuple[int, datetime, State]]:
    """Yield (index, start in local time, state) of each hour of the local days from *first* to *last*."""
    for index in np.flatnonzero(hours.is_between(first, last)).tolist():
        zone = _zone(hours.zones[int(hours.zone[index])])
        yield index, datetime.fromtimestamp(int(hours.start_s[index]), zone), State(int(hours.state[index]))
