"""
Hours on a grid of local days by 24 hours, and what sums and comparisons are made of. Pure.

On a grid, last week is seven rows up and the same weekday of last year 364 rows; cameras add up cell by cell. An hour
that clocks show twice shares a cell with its twin, and one that they skip has none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.headquarters.report.camera_hours import DAY_S, HOUR_S, CameraHours, day_number
from edge.headquarters.report.reliability import State, is_counted, is_known

YEAR = 364
"""Days, 52 weeks: from a day to the same weekday of last year."""
_UNBALANCED = 0.1
"""In and out that differ by a larger share than this are out of balance."""
_LEAST_FOR_BALANCE = 200
"""With fewer people than this, in and out together, a balance is chance."""
_HALF = 2
"""A mean of four weeks needs an hour in at least so many of them."""

Rows = NDArray[np.int64]
"""Rows of a grid, (n,) int64; -1 stands for a day that it doesn't have."""


@dataclass(slots=True)
class Sum:
    """
    The sum of several hours, and how much of it is known.

    Attributes:
        in_: People in.
        out: People out.
        passing: People who went by, over passages.
        open_hours: Hours in which the shop was open, as far as is known.
        good_hours: Those of them that are good.
        counted: Hours of which there are counts, closed ones too.
    """

    in_: int = 0
    out: int = 0
    passing: int = 0
    open_hours: int = 0
    good_hours: int = 0
    counted: int = 0

    def include(self, other: Sum) -> None:
        """Add another sum."""
        self.in_ += other.in_
        self.out += other.out
        self.passing += other.passing
        self.open_hours += other.open_hours
        self.good_hours += other.good_hours
        self.counted += other.counted

    @property
    def known(self) -> float:
        """Share of the open hours that are good, 0 to 1; 1 where the shop was never open."""
        return self.good_hours / self.open_hours if self.open_hours else float(self.counted > 0)

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

    @property
    def capture(self) -> float | None:
        """Share of those who came by that came in; None without a passage."""
        return self.in_ / self.passing if self.passing else None


@dataclass(slots=True)
class Comparison:
    """
    People of now beside people of then, over the hours that are known on both sides.

    Attributes:
        now: People in those hours.
        then: People in the hours that they are compared with; a mean, where those are several.
        hours: How many hours were compared: those in which the shop was open on either side.
        open_hours: How many open hours the period has.
    """

    now: int = 0
    then: float = 0.0
    hours: int = 0
    open_hours: int = 0

    def include(self, other: Comparison) -> None:
        """Add another comparison."""
        self.now += other.now
        self.then += other.then
        self.hours += other.hours
        self.open_hours += other.open_hours

    @property
    def change(self) -> float | None:
        """Change as a share; None where there is nothing to compare with."""
        return (self.now - self.then) / self.then if self.then else None

    @property
    def share(self) -> float:
        """Share of the open hours that were compared, 0 to 1."""
        return min(1.0, self.hours / self.open_hours) if self.open_hours else 0.0


@dataclass(slots=True)
class Grid:
    """
    Hours of one camera, or of several together; all arrays have the shape (days, 24).

    Attributes:
        first: The local day of the first row.
        in_: People in; 0 where nothing was counted.
        out: People out.
        passing: People over passages.
        state: `State`.
        flags: Bits; see `Flags`.
        is_due: Whether the shop was open, as far as is known.
        cameras: The grids that this one was made of.
        kept: Sums of days of which no hours are kept any more: each row holds the fields of `Sum`; shape (days, 6).
        kept_flags: Bits of their flags; shape (days,).
        daily: The sum of each day, once somebody has asked for one.
    """

    first: date
    in_: NDArray[np.int64]
    out: NDArray[np.int64]
    passing: NDArray[np.int64]
    state: NDArray[np.uint8]
    flags: NDArray[np.int64]
    is_due: NDArray[np.bool_]
    kept: NDArray[np.int64]
    kept_flags: NDArray[np.int64]
    cameras: list[Grid] = field(default_factory=list)
    daily: NDArray[np.int64] | None = None

    @classmethod
    def empty(cls, first: date, days: int) -> Grid:
        """Return a grid in which no hour is due."""
        shape = (days, 24)
        in_, out, passing, flags = (np.zeros(shape, np.int64) for _ in range(4))
        kept, kept_flags = np.zeros((days, 6), np.int64), np.zeros(days, np.int64)
        return cls(
            first, in_, out, passing, np.zeros(shape, np.uint8), flags, np.zeros(shape, bool), kept, kept_flags
        )  # fmt: skip

    @classmethod
    def of(cls, hours: CameraHours, first: date, days: int) -> Grid:
        """Return the grid of one camera; hours outside *days* days from *first* are left out."""
        grid = cls.empty(first, days)
        row = hours.local_days - day_number(first)
        column = hours.local_s % DAY_S // HOUR_S
        inside = (row >= 0) & (row < days)
        counted = inside & is_counted(hours.state)
        where = (row[counted], column[counted])
        np.add.at(grid.in_, where, hours.in_[counted])
        np.add.at(grid.out, where, hours.out[counted])
        np.add.at(grid.passing, where, hours.passing[counted])
        where = (row[inside], column[inside])
        np.maximum.at(grid.state, where, hours.state[inside])
        np.bitwise_or.at(grid.flags, where, hours.flags[inside])
        np.logical_or.at(grid.is_due, where, hours.is_due[inside])
        return grid

    @classmethod
    def together(cls, cameras: Sequence[Grid]) -> Grid:
        """Return all cameras of a site as one; an hour is good where it is good at every camera that was due."""
        site = cls.empty(cameras[0].first, len(cameras[0].state))
        site.cameras = list(cameras)
        states = np.stack([camera.state for camera in cameras])
        is_due = states != State.NOT_DUE
        known = is_known(states)
        counted = is_counted(states)
        all_closed = (states == State.CLOSED) | ~is_due
        some_open_counted = (counted & (states != State.CLOSED)).any(axis=0)
        worst = states.max(axis=0)
        state = np.where(some_open_counted, np.uint8(State.POOR), worst)
        state[(known | ~is_due).all(axis=0)] = State.GOOD
        state[all_closed.all(axis=0)] = State.CLOSED
        state[~is_due.any(axis=0)] = State.NOT_DUE
        site.state = state.astype(np.uint8)
        for camera in cameras:
            site.in_ += camera.in_
            site.out += camera.out
            site.passing += camera.passing
            site.flags |= camera.flags
            site.is_due |= camera.is_due
            site.kept += camera.kept
            site.kept_flags |= camera.kept_flags
        return site

    def keep(self, day: date, whole: Sum, flags: int) -> None:
        """Add the sum of a day of which no hours are kept, and the bits of its flags; other days are left out."""
        row = self.row(day)
        if row >= 0:
            self.kept[row] += dataclasses.astuple(whole)
            self.kept_flags[row] |= flags

    @property
    def is_kept(self) -> bool:
        """Whether it holds a day of which no hours are kept."""
        return bool(self.kept.any())

    @property
    def parts(self) -> list[Grid]:
        """The cameras that this grid is made of; itself, if it is one camera's."""
        return self.cameras or [self]

    def row(self, day: date) -> int:
        """Return the row of *day*; -1 if there is none."""
        row = (day - self.first).days
        return row if 0 <= row < len(self.state) else -1

    def rows(self, days: Iterable[date]) -> Rows:
        """Return the rows of *days*."""
        return np.fromiter((self.row(day) for day in days), np.int64)

    def day(self, row: int) -> date:
        """Return the day of *row*."""
        return self.first + timedelta(days=row)

    def sum(self, rows: Rows) -> Sum:
        """Add up *rows*; hours of the cameras are counted one by one."""
        if self.daily is None:
            self.daily = self._sum_days()
        return Sum(*self.daily[rows[rows >= 0]].sum(axis=0).tolist())

    def _sum_days(self) -> NDArray[np.int64]:
        """Return the sum of each row, shape (days, 6): the fields of `Sum`."""
        daily = self.kept.copy()
        for column, counts in enumerate((self.in_, self.out, self.passing)):
            daily[:, column] += counts.sum(axis=1)
        for camera in self.parts:
            daily[:, 3] += camera.is_due.sum(axis=1)
            daily[:, 4] += (camera.is_due & (camera.state == State.GOOD)).sum(axis=1)
            daily[:, 5] += is_counted(camera.state).sum(axis=1)
        return daily

    def flags_of(self, rows: Rows) -> int:
        """Return the bits of all flags of *rows*."""
        rows = rows[rows >= 0]
        return int(np.bitwise_or.reduce(np.append(self.flags[rows].ravel(), self.kept_flags[rows])))

    def by_weekday(self, rows: Rows, values: NDArray[Any]) -> NDArray[np.float64]:
        """Add up *values*, shape (n, 24), which belong to *rows*, by weekday; shape (7, 24), 0 is Monday."""
        total = np.zeros((7, 24))
        np.add.at(total, (rows + self.first.weekday()) % 7, values)
        return total

    def hours_in(self, rows: Rows, *states: State) -> int:
        """Return how many open hours of *rows* are in one of *states*, over the cameras."""
        rows = rows[rows >= 0]
        return sum(int((camera.is_due[rows] & np.isin(camera.state[rows], states)).sum()) for camera in self.parts)

    def compare(self, now: Rows, *then: Rows) -> Comparison:
        """
        Compare the days *now* with those of *then*, camera by camera and hour by hour, where both are known.

        Args:
            now: Rows.
            then: For each of *now* the row that it is compared with, or -1. Where there are several lists, their mean
                over the hours that are known in at least two.
        """
        found = Comparison()
        ours = now >= 0
        for camera in self.parts:
            found.include(_compare(camera, now[ours], [rows[ours] for rows in then]))
        return found


def _compare(camera: Grid, now: Rows, then: Sequence[Rows]) -> Comparison:
    now_known = is_known(camera.state[now])
    is_open = camera.state[now] == State.GOOD
    total = np.zeros((len(now), 24), np.float64)
    times = np.zeros((len(now), 24), np.int64)
    was_open = np.zeros((len(now), 24), bool)
    for rows in then:
        there = (rows >= 0)[:, None] & is_known(camera.state[rows])
        total += np.where(there, camera.in_[rows], 0)
        times += there
        was_open |= there & (camera.state[rows] == State.GOOD)
    both = now_known & (times >= min(_HALF, len(then)))
    mean = np.divide(total, times, out=np.zeros_like(total), where=times > 0)
    return Comparison(
        int(camera.in_[now][both].sum()),
        float(mean[both].sum()),
        int((both & (is_open | was_open)).sum()),
        int(camera.is_due[now].sum()),
    )
