"""
What a report's page shows: columns by day, week or month, a map by weekday and hour, tables. The template draws it.

Hours that nobody watched are hatched, never zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from markupsafe import Markup

from edge.core.hour import WELL_WATCHED
from edge.headquarters.summary import Cell, Part, Period, State, Sum
from edge.web import charts
from edge.web.charts import Column
from edge.web.render import render as render_template

MOST_SITES = 60
"""So many sites get charts of their own; the comparison holds all of them."""
MOST_COLUMNS = 42
"""A chart by day has no more columns than this, six weeks; a longer period is shown by week and by month. On a phone
of 360 px a bar of 42 columns is 2.5 px wide, and of the 53 weeks of a year 2 px."""
_WEEKS_PX = 90
"""The height of the second chart of each site, by week or month."""
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HALF, _FULL = 0.6, 0.8
"""A cell of the map has so strong a colour from this share of the largest cell on that its number needs the opposite
colour: in the dark scheme from the first share on, in the light one from the second."""


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


class _Chart(NamedTuple):
    """The sums of one kind of period, this year's and last year's, and how they are named."""

    name: str
    starts: Sequence[date]
    now: Mapping[date, Sum]
    before: Mapping[date, Sum]
    title: Callable[[date], str]
    label: Callable[[date], str]
    height_px: int


def render(parts: Sequence[Part], period: Period, made: datetime, *, trials: int = 0, whole: bool = True) -> str:
    """
    Return the page as HTML.

    Args:
        parts: The sites.
        period: The days they are about.
        made: The time of the report, UTC.
        trials: How many hours of trials were left out.
        whole: Whether the last day is over.
    """
    total = Sum()
    for part in parts:
        total.include(part.total)
    most = max([1, *(max(part.total.in_, part.before.in_) for part in parts)])
    return render_template(
        "headquarters.html",
        title=f"People in, {_from_to(period)}" + ("" if whole else ", so far"),
        extent=_extent(parts),
        parts=parts,
        ranking=sorted(parts, key=lambda part: (-part.total.in_, part.name)),
        shown=sorted(parts, key=lambda part: part.name)[:MOST_SITES],
        total=total,
        unbalanced=sum(camera.total.unbalanced for part in parts for camera in part.cameras),
        made=made,
        trials=trials,
        weekdays=_WEEKDAYS,
        well_watched=WELL_WATCHED,
        charts_of=lambda part: _charts(part, period),
        heat_of=_heat,
        days_of=lambda part: _days(part, period),
        share_of_most=lambda total: f"{total.in_ / most:.4f}",
        percent=_percent,
        hours=_hours,
    )


def _extent(parts: Sequence[Part]) -> str:
    cameras = sum(len(part.cameras) for part in parts)
    return f"{len(parts):,} {_plural(len(parts), 'site')}, {cameras:,} {_plural(cameras, 'camera')}"


def _charts(part: Part, period: Period) -> Iterator[tuple[str, Markup]]:
    """Yield (heading, chart): by day and week, or by week and month where days would be too thin to see."""
    by_day = _Chart("Days", period.dates, part.days, part.days_before, _weekday, _if_monday, charts.COLUMNS_PX)
    if len(period.dates) <= MOST_COLUMNS:
        weeks = (period.mondays, part.weeks, part.weeks_before)
        chosen = [by_day, _Chart("Weeks", *weeks, _week, _day, _WEEKS_PX)]
    else:
        weekly, monthly = (_grouped(by_day, start) for start in (_monday, _first_of_month))
        chosen = [
            _Chart("Weeks", *weekly, _week, _day, charts.COLUMNS_PX),
            _Chart("Months", *monthly, _month, _month, _WEEKS_PX),
        ]
    for chart in chosen:
        columns = [
            _column(chart.title(start), chart.label(start), chart.now.get(start), chart.before.get(start))
            for start in chart.starts
        ]
        label = f"{part.name}: people in by {chart.name.lower().removesuffix('s')}"
        yield chart.name, charts.columns(columns, label, height_px=chart.height_px)


def _grouped(days: _Chart, start_of: Callable[[date], date]) -> tuple[list[date], dict[date, Sum], dict[date, Sum]]:
    """Return the starts, and the sums of this year and last year, of the periods that *days* lie in."""
    grouped: tuple[dict[date, Sum], dict[date, Sum]] = ({}, {})
    for sums, groups in zip((days.now, days.before), grouped, strict=True):
        for day, of_day in sums.items():
            groups.setdefault(start_of(day), Sum()).include(of_day)
    return sorted({start_of(day) for day in days.starts}), *grouped


def _column(name: str, label: str, now: Sum | None, before: Sum | None) -> Column:
    bars = [("now", None if now is None or now.empty else now.in_)]
    bars.append(("before", None if before is None or before.empty else before.in_))
    if now is None or now.empty:
        words, unknown = "nobody watched", 1.0
    else:
        words, unknown = f"{now.in_:,} in, {now.out:,} out", 1 - now.known
        if now.known < 1:
            words += f", {_percent(now.known)} of the hours known"
    if before is not None and not before.empty:
        words += f"; last year {before.in_:,} in"
    return Column(bars, f"{name}: {words}", label, unknown)


def _heat(part: Part) -> Iterator[HeatCell]:
    most = max([1.0, *(cell.mean for cell in part.heat.values() if cell.mean is not None)])
    for weekday, name in enumerate(_WEEKDAYS):
        for hour in range(24):
            yield _heat_cell(part.heat.get((weekday, hour), Cell()), weekday, hour, f"{name} {hour}:00", most)


def _heat_cell(cell: Cell, weekday: int, hour: int, name: str, most: float) -> HeatCell:
    mean, state = cell.mean, cell.state
    if mean is None:
        words = {State.CLOSED: "closed", State.UNWATCHED: "nobody watched"}.get(state, "no hour was due")
        kind = {State.CLOSED: "closed", State.UNWATCHED: "hatched"}.get(state, "")
        return HeatCell(weekday, hour, None, kind, "", f"{name}: {words}")
    is_poor = state is State.POOR
    words = f"{mean:.1f} in, mean of {len(cell.good or cell.poor)} {'badly watched ' if is_poor else ''}hours"
    if cell.lost:
        words += f"; {cell.lost} more nobody watched"
    share = mean / most
    kinds = (("hatched", is_poor), ("half", share > _HALF), ("full", share > _FULL))
    kind = " ".join(word for word, holds in kinds if holds)
    return HeatCell(weekday, hour, round(share, 3), kind, f"{mean:.0f}", f"{name}: {words}")


def _days(part: Part, period: Period) -> Iterator[tuple[str, Sum, Sum]]:
    """Yield (name, this year's sum, last year's), the newest day first."""
    for day in reversed(period.dates):
        yield _weekday(day), part.days.get(day, Sum()), part.days_before.get(day, Sum())


def _hours(count: int) -> str:
    return f"{count:,} h" if count else "0"


def _percent(share: float) -> str:
    # 99.96 % isn't all of it.
    return f"{int(share * 1000) / 10:g} %"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _from_to(period: Period) -> str:
    year = f" {period.first.year}" if period.first.year != period.last.year else ""
    return f"{_day(period.first)}{year} to {_day(period.last)} {period.last.year}"


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"


def _weekday(day: date) -> str:
    return f"{_WEEKDAYS[day.weekday()]} {_day(day)}"


def _if_monday(day: date) -> str:
    return "" if day.weekday() else _day(day)


def _week(day: date) -> str:
    return f"week of {_day(day)}"


def _month(day: date) -> str:
    return f"{day:%b %Y}"


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _first_of_month(day: date) -> date:
    return day.replace(day=1)


def last_day(newest: datetime) -> date:
    """Return the last day that can be whole when the newest hour starts at *newest*."""
    return (newest + timedelta(hours=1)).date() - timedelta(days=1)
