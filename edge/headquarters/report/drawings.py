"""
What is drawn of a site or a camera: columns by day, week or month, and a map by weekday and hour.

Hours that nobody watched are hatched, never zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from edge.headquarters.report.grid import YEAR, Grid, Rows, Sum
from edge.headquarters.report.period import Period, Rulers
from edge.headquarters.report.reliability import State, is_counted
from edge.headquarters.report.takings import weekly_mean
from edge.web import charts
from edge.web.charts import Column
from edge.web.language import Language
from edge.web.language import marked as _

MOST_COLUMNS = 42
"""A chart by day has no more columns than this, six weeks; a longer period is shown by week and by month. On a phone
of 360 px a bar of 42 columns is 2.5 px wide, and of the 53 weeks of a year 2 px."""
_WEEKS_PX = 90
"""The height of the second chart of each site, by week or month."""
_HALF, _FULL = 0.6, 0.8
"""A cell of the map has so strong a colour from this share of the largest cell on that its number needs the opposite
colour: in the dark scheme from the first share on, in the light one from the second."""


_EMPTY = {"closed": _("closed"), "hatched": _("nobody watched"), "": _("no hour was due")}
"""What a cell of the map without a number says, by its class."""


class HeatCell(NamedTuple):
    """
    One weekday's hour as the template draws it.

    Attributes:
        share: Of the largest cell, 0 to 1; None where no open hour was counted.
        kind: Class names: closed, hatched, half, full.
    """

    weekday: int
    hour: int
    share: float | None
    kind: str
    text: str
    title: str


@dataclass(frozen=True, slots=True)
class Drawer:
    """Draws the grids of one site."""

    period: Period
    rulers: Rulers
    label: Callable[[date], str]
    """What is known of a day: holidays, events and notes."""
    words: Language

    def charts(self, name: str, grid: Grid) -> Iterator[tuple[str, Markup]]:
        """Yield (heading, chart): by day and week, or by week and month where days would be too thin to see."""
        _ = self.words
        by_day = self._days(grid)
        if len(self.period.dates) <= MOST_COLUMNS:
            parts = [
                (_("Days"), by_day, charts.COLUMNS_PX),
                (_("Weeks"), self._grouped(grid, self.period.mondays, _monday), _WEEKS_PX),
            ]
        else:
            mondays = sorted({_monday(day) for day in self.period.dates})
            months = sorted({_first_of_month(day) for day in self.period.dates})
            parts = [
                (_("Weeks"), self._grouped(grid, mondays, _monday, self.period.dates), charts.COLUMNS_PX),
                (_("Months"), self._grouped(grid, months, _first_of_month, self.period.dates), _WEEKS_PX),
            ]
        for heading, columns, height_px in parts:
            yield heading, charts.columns(columns, f"{name}: {heading}", height_px=height_px)

    def days(self, grid: Grid) -> Iterator[tuple[str, str, Sum, Sum]]:
        """Yield (day, what is known of it, this year's sum, last year's), the newest day first."""
        for day, now, then in reversed(list(self._each_day(grid))):
            yield self.words.weekday_and_day(day), self.label(day), now, then

    def _each_day(self, grid: Grid) -> Iterator[tuple[date, Sum, Sum]]:
        """Yield (day, this year's sum, last year's)."""
        rows = self.rulers.days, self.rulers.days_year
        for day, now, then in zip(self.period.dates, *(one[:, None] for one in rows), strict=True):
            yield day, grid.sum(now), grid.sum(then)

    def _days(self, grid: Grid) -> list[Column]:
        columns = []
        for day, now, then in self._each_day(grid):
            label = self.label(day)
            name = self.words.weekday_and_day(day) + (f" ({label})" if label else "")
            text = self.words.day(day) if day.weekday() == 0 else ""
            columns.append(replace(self._column(name, text, now, then), marked=bool(label)))
        return columns

    def _grouped(
        self, grid: Grid, starts: Sequence[date], start_of: Callable[[date], date], only: Sequence[date] | None = None
    ) -> list[Column]:
        """Return a column for each week or month; of *only* these days, or of all days up to the period's last."""
        days = only or [starts[0] + timedelta(days=n) for n in range((self.period.last - starts[0]).days + 1)]
        groups: dict[date, list[date]] = {start: [] for start in starts}
        for day in days:
            groups[start_of(day)].append(day)
        is_month = start_of is _first_of_month
        columns = []
        for start, group in groups.items():
            name = self.words.month(start) if is_month else self.words("week of {day}", day=self.words.day(start))
            label = self.words.month(start) if is_month else self.words.day(start)
            now, then = grid.rows(group), grid.rows(day - timedelta(days=YEAR) for day in group)
            columns.append(self._column(name, label, grid.sum(now), grid.sum(then)))
        return columns

    def _column(self, name: str, label: str, now: Sum, before: Sum) -> Column:
        _ = self.words
        bars = [("now", None if now.empty else now.in_), ("before", None if before.empty else before.in_)]
        if now.empty:
            words, unknown = _("nobody watched"), 1.0
        else:
            words, unknown = _("{in_} in, {out} out", in_=_.number(now.in_), out=_.number(now.out)), 1 - now.known
            if now.known < 1:
                words += ", " + _("{share} of the open hours known", share=_.known(now.known))
        if not before.empty:
            words += "; " + _("last year {in_} in", in_=_.number(before.in_))
        return Column(bars, f"{name}: {words}", label, unknown)

    def heat(self, grid: Grid, days: Rows) -> Iterator[HeatCell]:
        """Yield the cells of the map of *days*, rows of the grid: means of good hours or, without any, of poor ones."""
        state, people = grid.state[days], grid.in_[days]
        counts = {one: grid.by_weekday(days, state == one) for one in State}
        good = weekly_mean(grid, days)
        poor_sum = grid.by_weekday(days, np.where(state == State.POOR, people, 0))
        times = counts[State.POOR]
        poor = np.divide(poor_sum, times, out=np.zeros((7, 24)), where=times > 0)
        lost = grid.by_weekday(days, ~is_counted(state) & (state != State.NOT_DUE))
        mean = np.where(counts[State.GOOD] > 0, good, poor)
        most = max(1.0, float(mean.max()))
        for day in range(7):
            for hour in range(24):
                at = (day, hour)
                name = f"{self.words.weekday(day)} {hour}:00"
                told = int(counts[State.GOOD][at] or counts[State.POOR][at])
                if told:
                    is_poor = not counts[State.GOOD][at]
                    words = f"{name}: {self._mean(float(mean[at]), told, int(lost[at]), is_poor=is_poor)}"
                    share = float(mean[at]) / most
                    kinds = (("hatched", is_poor), ("half", share > _HALF), ("full", share > _FULL))
                    kind = " ".join(word for word, holds in kinds if holds)
                    yield HeatCell(day, hour, round(share, 3), kind, self.words.number(mean[at]), words)
                else:
                    kind = "closed" if counts[State.CLOSED][at] else "hatched" if lost[at] else ""
                    yield HeatCell(day, hour, None, kind, "", f"{name}: {self.words(_EMPTY[kind])}")

    def _mean(self, mean: float, told: int, lost: int, *, is_poor: bool) -> str:
        _ = self.words
        value = _.number(mean, 1)
        if is_poor:
            words = _.plural(
                "{mean} in, mean of {n} badly watched hour", "{mean} in, mean of {n} badly watched hours", told,
                mean=value,
            )  # fmt: skip
        else:
            words = _.plural("{mean} in, mean of {n} hour", "{mean} in, mean of {n} hours", told, mean=value)
        return words + ("; " + _("{lost} more nobody watched", lost=_.number(lost)) if lost else "")


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _first_of_month(day: date) -> date:
    return day.replace(day=1)
