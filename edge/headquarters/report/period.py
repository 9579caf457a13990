"""The days that a report is about, those that it compares them with, and the rows of a grid that they stand in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from edge.headquarters.report.camera_hours import Window
from edge.headquarters.report.grid import YEAR, Grid, Rows
from edge.headquarters.sites import DayBook

_DAY = timedelta(days=1)
_WEEK = 7
_WEEKS_OF_MEAN = 4
_FEAST = timedelta(days=45)
"""Last year's hours are read so much further where holidays are aligned: Easter moves by up to 35 days."""


@dataclass(frozen=True, slots=True)
class Period:
    """
    The days and the weeks that a report is about; local dates, the last one included.

    Attributes:
        aligned: Whether holidays are compared with last year's day of the same name.
        is_recent: Whether last year is left out: no hour of it is read, and nothing is compared with it.
    """

    last: date
    days: int = 28
    weeks: int = 13
    aligned: bool = False
    is_recent: bool = False

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
    def week(self) -> list[date]:
        """The last seven days, which the first page is about; fewer, if the period has fewer."""
        return self.dates[-_WEEK:]

    @property
    def mondays(self) -> list[date]:
        """All weeks, by their Mondays."""
        return [self.first_week + timedelta(weeks=n) for n in range(self.weeks)]

    @property
    def shown_from(self) -> date:
        """The first day that anything of this year is shown of."""
        return min(self.first, self.first_week)

    @property
    def until(self) -> datetime:
        """The time up to which hours are needed; a day late, since zones differ."""
        return _midnight(self.last + 2 * _DAY)

    @property
    def grid_first(self) -> date:
        """The first day of the grids: last year's first one, or this year's if last year is left out."""
        if self.is_recent:
            return self.shown_from
        return self.shown_from - timedelta(days=YEAR) - (_FEAST if self.aligned else timedelta(0))

    @property
    def grid_days(self) -> int:
        """How many days the grids have."""
        return (self.last - self.grid_first).days + 1

    @property
    def windows(self) -> Sequence[Window]:
        """From when to when hours are needed, last year's first; a day more at both ends, since zones differ."""
        now = (_midnight(self.shown_from - _DAY), self.until)
        if self.is_recent:
            return [now]
        end = self.last - timedelta(days=YEAR) + (_FEAST if self.aligned else timedelta(0)) + 2 * _DAY
        then = (_midnight(self.grid_first - _DAY), _midnight(end))
        return [then, now] if then[1] < now[0] else [(then[0], now[1])]


@dataclass(frozen=True, slots=True)
class Rulers:
    """The rows of a site's grids that its figures are made of; equal lengths belong together."""

    week: Rows
    week_before: Rows
    week_year: Rows
    four_weeks: tuple[Rows, ...]
    days: Rows
    days_year: Rows

    @classmethod
    def of(cls, grid: Grid, period: Period, book: DayBook) -> Rulers:
        """
        Return the rows for *grid*, and for each other grid of the same period.

        A holiday is compared with its namesake where the period is aligned.
        """
        return cls(
            grid.rows(period.week),
            grid.rows(day - timedelta(days=_WEEK) for day in period.week),
            _last_year(grid, period.week, period, book),
            tuple(grid.rows(day - timedelta(weeks=n) for day in period.week) for n in range(1, _WEEKS_OF_MEAN + 1)),
            grid.rows(period.dates),
            _last_year(grid, period.dates, period, book),
        )


def _last_year(grid: Grid, days: Sequence[date], period: Period, book: DayBook) -> Rows:
    """Return for each of *days* the row of last year that it is compared with; -1 where there is none."""
    if not period.aligned:
        return grid.rows(day - timedelta(days=YEAR) for day in days)
    partners = (book.same_last_year(day, day - timedelta(days=YEAR)) for day in days)
    return np.fromiter((-1 if day is None else grid.row(day) for day in partners), np.int64, len(days))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
