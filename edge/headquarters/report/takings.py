"""
What sales and staff say beside visitors: conversion, sales per visitor, visitors per staff hour. Pure.

Each ratio is made only of days, or hours, that are known on both sides: a day counts if every open hour of it is good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from edge.headquarters.report.grid import Grid, Rows
from edge.headquarters.report.reliability import State, is_known
from edge.headquarters.sales import WHOLE_DAY, Key, Table

_POWER_SHARE = 0.5
"""The power hours of a week are the fewest hours that together have this share of its visitors."""


@dataclass(slots=True)
class Ratio:
    """
    An amount for so many visitors, over what is known on both sides.

    Attributes:
        amount: As in the file: transactions, money, staff hours.
        visitors: People in.
        used: Rows of the file that were used.
        rows: Rows of the file that lie in the report's days.
    """

    amount: Decimal = Decimal(0)
    visitors: int = 0
    used: int = 0
    rows: int = 0

    def include(self, other: Ratio) -> None:
        """Add another one."""
        self.amount += other.amount
        self.visitors += other.visitors
        self.used += other.used
        self.rows += other.rows

    @property
    def per_visitor(self) -> Decimal | None:
        """Amount a visitor; None without visitors."""
        return self.amount / self.visitors if self.visitors else None

    @property
    def visitors_per(self) -> Decimal | None:
        """Visitors for one of the amount; None without any."""
        return self.visitors / self.amount if self.amount else None


@dataclass(slots=True)
class Takings:
    """Ratios of a site, or of several together."""

    transactions: Ratio = field(default_factory=Ratio)
    revenue: Ratio = field(default_factory=Ratio)
    staff: Ratio = field(default_factory=Ratio)

    @classmethod
    def of(cls, grid: Grid, days: Rows, sales: Table | None, staff: Table | None, site: str) -> Takings:
        """Return the ratios of a site on *days*, rows of its grid."""
        found = cls()
        rows = set(days.tolist())
        if sales is not None:
            _add(sales.site(site), grid, rows, [found.transactions, found.revenue])
        if staff is not None:
            _add(staff.site(site), grid, rows, [found.staff])
        return found

    def include(self, other: Takings) -> None:
        """Add another site's."""
        self.transactions.include(other.transactions)
        self.revenue.include(other.revenue)
        self.staff.include(other.staff)


def _add(amounts: Mapping[Key, tuple[Decimal, ...]], grid: Grid, rows: set[int], ratios: list[Ratio]) -> None:
    for (day, hour), values in amounts.items():
        row = grid.row(day)
        if row not in rows:
            continue
        cells = slice(None) if hour == WHOLE_DAY else slice(hour, hour + 1)
        due = grid.is_due[row, cells]
        # A day that the shop was closed on is known, and has sold nothing that visitors could explain.
        usable = bool(is_known(grid.state[row, cells][due]).all() and due.any())
        for ratio, value in zip(ratios, values, strict=True):
            ratio.rows += 1
            if usable:
                ratio.used += 1
                ratio.amount += value
                ratio.visitors += int(grid.in_[row, cells].sum())


def peak_hours(grid: Grid, days: Rows) -> tuple[tuple[int, int], float, list[tuple[int, int]]] | None:
    """
    Return the busiest hour of a week, its mean of people in, and the power hours: each as (weekday, hour).

    Power hours are the fewest hours of the week that together have half of its visitors. None if nothing is known.
    """
    mean = weekly_mean(grid, days)
    if not mean.any():
        return None
    order = np.argsort(-mean.ravel(), kind="stable")
    share = np.cumsum(mean.ravel()[order]) / mean.sum()
    power = order[: int(np.searchsorted(share, _POWER_SHARE)) + 1]
    best = int(order[0])
    return (best // 24, best % 24), float(mean.ravel()[best]), sorted((int(at) // 24, int(at) % 24) for at in power)


def per_open_hour(grid: Grid, days: Rows) -> float | None:
    """Return people in for each open hour that is good; None if there is none."""
    good = grid.state[days] == State.GOOD
    return float(grid.in_[days][good].sum() / good.sum()) if good.any() else None


def weekly_mean(grid: Grid, days: Rows) -> NDArray[np.float64]:
    """Return the mean of people in of each weekday's hour over good hours, shape (7, 24), 0 is Monday."""
    good = grid.state[days] == State.GOOD
    total, times = grid.by_weekday(days, np.where(good, grid.in_[days], 0)), grid.by_weekday(days, good)
    return np.divide(total, times, out=np.zeros((7, 24)), where=times > 0)
