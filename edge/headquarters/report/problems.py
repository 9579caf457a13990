"""
Why a camera can't be trusted, since when, and what to do. Pure.

A problem is found on the open hours of the report's days; it begins where it began, also before them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from edge.core.hour import TROUBLES
from edge.headquarters.report.grid import Grid, Rows
from edge.headquarters.report.reliability import Flags, State

_ONGOING = 12
"""A problem goes on if it was seen in one of a camera's last so many open hours."""
_WORTH_TELLING = 2
"""A problem of fewer open hours isn't told, unless it goes on."""
_LAST_DAYS = 7
"""In and out are out of balance if they are so in the last days: a line that was put right is no problem any more."""


class Kind(StrEnum):
    """What is wrong; the flags among them are those of the hours."""

    SILENT = "silent"
    MISSING = "missing"
    OFF = "off"
    DOUBTED = "doubted"
    UNBALANCED = "unbalanced"
    CAMERA_LOST = "camera_lost"
    COVERED = "covered"
    DARK = "dark"
    FROZEN = "frozen"
    MOVED = "moved"
    SLOW = "slow"
    UNUSUAL = "unusual"
    """An alert only: the first page shows such a day beside the others."""


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One problem of one camera.

    Attributes:
        since: First hour of it, local time.
        until: Last hour of it; None while it goes on.
        hours: Open hours in the report's days that it spoils.
        balance: In minus out as a share of the larger, where that is the problem.
        change: People of a day against the mean of the same weekdays, as a share, where that is the problem.
    """

    kind: Kind
    since: datetime
    until: datetime | None
    hours: int
    balance: float | None = None
    change: float | None = None


TROUBLE_BITS = Flags().bits(list(TROUBLES))
"""Bits of the flags that explain an unwatched hour; the same in every `Flags`, which begin with these."""


def find(camera: Grid, days: Rows, flags: Flags) -> list[Problem]:
    """Return what is wrong with a camera on *days*, rows without gaps: what goes on first, then the longest."""
    finder = _Finder(camera, days, flags)
    found = [*finder.of_states(), *finder.of_flags(), *finder.of_balance()]
    return sorted(found, key=lambda one: (one.until is not None, -one.hours, one.kind))


class _Finder:
    """Looks for problems of one camera."""

    def __init__(self, camera: Grid, days: Rows, flags: Flags) -> None:
        self._camera = camera
        self._days = days
        self._flags = flags
        self._due = camera.is_due & (camera.state != State.NOT_DUE)
        self._end = (int(days[-1]) + 1) * 24
        """The first cell after the days."""

    def of_states(self) -> Iterator[Problem]:
        """Yield what hours that did not come, or that nobody watched, tell."""
        camera = self._camera
        missing = self._due & (camera.state == State.MISSING)
        tail = np.zeros_like(missing)
        tail.ravel()[self._silent_from(missing) :] = True
        yield from self._if_any(Kind.SILENT, missing & tail, least=1)
        yield from self._if_any(Kind.MISSING, missing & ~tail)
        # What a flag explains is told as that flag.
        unwatched = self._due & (camera.state == State.UNWATCHED) & (camera.flags & TROUBLE_BITS == 0)
        yield from self._if_any(Kind.OFF, unwatched)
        yield from self._if_any(Kind.DOUBTED, camera.state == State.DOUBTED, least=1)

    def _silent_from(self, missing: NDArray[np.bool_]) -> int:
        """Return the first of the missing hours with which a camera's hours end; the end without any."""
        state = self._camera.state
        told = np.flatnonzero((state != State.MISSING) & (state != State.NOT_DUE))
        after = int(told[-1]) + 1 if len(told) else 0
        cells = np.flatnonzero(missing.ravel()[after : self._end])
        return after + int(cells[0]) if len(cells) else self._end

    def of_flags(self) -> Iterator[Problem]:
        """Yield what the hours' own flags tell."""
        camera = self._camera
        for flag in TROUBLES:
            flagged = self._due & (camera.flags & self._flags.bit(flag) != 0) & (camera.state != State.EXCLUDED)
            yield from self._if_any(Kind(flag), flagged)

    def of_balance(self) -> Iterator[Problem]:
        """Yield that in and out differ in the last days, and the first day since when they have."""
        camera, days = self._camera, self._days
        total, recent = camera.sum(days), camera.sum(days[-_LAST_DAYS:])
        if not recent.unbalanced and not (total.unbalanced and recent.balance is None):
            return
        since = int(days[-1])
        for row in range(int(days[-1]), -1, -1):
            one = camera.sum(np.array([row]))
            if one.balance is not None and not one.unbalanced:
                break
            if one.unbalanced:
                since = row
        balance = recent.balance if recent.unbalanced else total.balance
        hours = camera.hours_in(days[days >= since], State.GOOD, State.POOR)
        yield Problem(Kind.UNBALANCED, datetime.combine(camera.day(since), time()), None, hours, balance=balance)

    def _if_any(self, kind: Kind, where: NDArray[np.bool_], least: int = _WORTH_TELLING) -> Iterator[Problem]:
        """Yield the problem whose cells are *where*, if it reaches into the days and is worth telling."""
        hours = int(where[self._days].sum())
        if not hours:
            return
        open_cells = np.flatnonzero(self._due.ravel() | where.ravel())
        open_cells = open_cells[open_cells < self._end]
        positions = np.flatnonzero(where.ravel()[open_cells])
        first, last = self._first(open_cells, positions), int(positions[-1])
        goes_on = len(open_cells) - 1 - last < _ONGOING and kind is not Kind.DOUBTED
        if goes_on or hours >= least:
            until = None if goes_on else self._moment(int(open_cells[last]))
            yield Problem(kind, self._moment(int(open_cells[first])), until, hours)

    def _first(self, open_cells: Rows, positions: Rows) -> int:
        """Return the first of *positions* in the days; further back, as long as less than a day is without any."""
        begin = np.searchsorted(open_cells, int(self._days[0]) * 24)
        first = int(positions[np.searchsorted(positions, begin)])
        for position in positions[positions < first][::-1]:
            if first - int(position) > _ONGOING:
                break
            first = int(position)
        return first

    def _moment(self, cell: int) -> datetime:
        return datetime.combine(self._camera.day(cell // 24), time()) + timedelta(hours=cell % 24)
