"""
Retention: hours that are older than some years become one row a day, from which reports make the same sums.

A day is made as a report would have made it, under the name that reports show, with the corrections that hold now.
After that nothing changes it: neither a correction nor sites.yaml reaches hours that are no longer there, except for
the roles of lines, since a day keeps each line's sums.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np

from edge.core.clock import Clock
from edge.headquarters.address import open_store
from edge.headquarters.corrections import InForce, Names
from edge.headquarters.report.camera_hours import EPOCH, CameraHours, by_role, day_number
from edge.headquarters.report.grid import Grid
from edge.headquarters.report.period import Period
from edge.headquarters.report.reliability import State, is_counted
from edge.headquarters.report.study import Chain
from edge.headquarters.sites import Sites
from edge.headquarters.store.batch import KeptDay
from edge.headquarters.store.store import Store

log = logging.getLogger(__name__)

LEAST_YEARS = 2
"""Hours are kept for at least so long: no box sends one that is older than 500 days, so no day ever changes again."""


@dataclass(slots=True)
class Kept:
    """
    What became days.

    Attributes:
        hours: Hours that are gone.
        days: Days that are kept of them.
        cameras: Of so many cameras.
        left: Cameras, as site/camera, whose hours stay, since their sums could not be kept exactly.
    """

    hours: int = 0
    days: int = 0
    cameras: int = 0
    left: list[str] = field(default_factory=list)


def first_day(now: datetime, years: int) -> date:
    """Return the first local day whose hours stay."""
    today = now.astimezone(UTC).date()
    try:
        return today.replace(year=today.year - years)
    except ValueError:  # 29 February
        return today.replace(year=today.year - years, day=28)


def run(store_url: str, clock: Clock, years: int, plan: Sites, *, dry: bool = False) -> Kept:
    """
    Make days of hours older than *years*; one camera after the other, each as a whole or not at all.

    Raises:
        StoreUnusable: the store can't be read or written. What was done until then stays.
    """
    now = datetime.fromtimestamp(clock.wall_ms() // 1000, UTC)
    until = first_day(now, years)
    store = open_store(store_url)
    kept = Kept()
    try:
        corrections = InForce.of(store.corrections())
        for site, cameras in Chain(plan, corrections, Period(until), now).sources(store).items():
            for camera, sources in cameras.items():
                _keep(store, _Job(plan, corrections, (site, camera), sources, until), kept, dry=dry)
    finally:
        store.close()
    return kept


@dataclass(frozen=True, slots=True)
class _Job:
    """One camera: under which names it is shown, which cameras of the store it is, and the first day that stays."""

    plan: Sites
    corrections: InForce
    names: Names
    sources: Sequence[Names]
    until: date


def _keep(store: Store, job: _Job, kept: Kept, *, dry: bool) -> None:
    starts = [start for start in (store.first_start(*source) for source in job.sources) if start is not None]
    before = [found for found in (store.kept_until(*source) for source in (*job.sources, job.names)) if found]
    if not starts:
        return
    # A day more, since zones differ.
    first = datetime.fromtimestamp(min(starts), UTC).date() - timedelta(days=1)
    if before:
        first = min(first, max(before)[0] + timedelta(days=1))
    if first >= job.until:
        return
    period = Period(job.until - timedelta(days=1), (job.until - first).days, weeks=1, is_recent=True)
    midnight = datetime(job.until.year, job.until.month, job.until.day, tzinfo=UTC)
    chain = Chain(job.plan, job.corrections, period, midnight + timedelta(days=2), every_column=True)
    hours, _ = chain.judged_hours(store, job.names, job.sources)
    stays = hours.start_s[hours.local_days >= day_number(job.until)]
    end_s = int(stays.min()) if len(stays) else int(hours.start_s.max(initial=0)) + 1
    hours = hours.only(hours.start_s < end_s)
    if not len(hours.state):
        return
    days = _days(hours, chain, job)
    if days is None:
        log.warning("%s/%s: cameras that were merged have the same hours; all of them stay as hours", *job.names)
        kept.left.append("/".join(job.names))
        return
    kept.cameras += 1
    kept.days += len(days)
    if dry:
        kept.hours += int((hours.state != State.MISSING).sum())
    else:
        known = {day.day: day for day in store.days(*job.names, days[0].day, days[-1].day)}
        whole = [_added(known[day.day], day) if day.day in known else day for day in days]
        kept.hours += store.keep_days(job.names, whole, job.sources, datetime.fromtimestamp(end_s, UTC))


def _days(hours: CameraHours, chain: Chain, job: _Job) -> list[KeptDay] | None:
    """Return a day for each local day of *hours*; None where the sums of lines are not those of the report."""
    first, last = (int(number) for number in (hours.local_days.min(), hours.local_days.max()))
    begin = EPOCH + timedelta(days=first)
    grid = Grid.of(hours, begin, last - first + 1)
    plan = job.plan.camera(*job.names)
    lines: list[dict[str, tuple[int, int]]] = [{} for _ in range(last - first + 1)]
    watched_s = [0] * len(lines)
    flags = [0] * len(lines)
    counted = is_counted(hours.state)
    for index in np.flatnonzero(hours.state != State.MISSING).tolist():
        row = int(hours.local_days[index]) - first
        watched_s[row] += int(hours.watched_s[index])
        flags[row] |= int(hours.flags[index])
        if counted[index]:
            for name, count in json.loads(hours.rest[int(hours.start_s[index])][_LINES]).items():
                in_, out = lines[row].get(name, (0, 0))
                lines[row][name] = (in_ + count["in"], out + count["out"])
    zone = hours.zones[int(hours.zone[-1])]
    days = []
    for row, of_lines in enumerate(lines):
        whole = grid.sum(np.array([row]))
        if by_role(of_lines, plan) != (whole.in_, whole.out, whole.passing):
            return None
        day = KeptDay(
            begin + timedelta(days=row), zone, of_lines, whole.open_hours, whole.good_hours, whole.counted,
            watched_s[row], chain.flags.names(flags[row]),
        )  # fmt: skip
        days.append(day)
    return days


_LINES = 2
"""Where an hour's lines stand in `CameraHours.rest`."""


def _added(one: KeptDay, other: KeptDay) -> KeptDay:
    """Return two parts of one day together; there are two where a camera's time zone was changed."""
    lines = dict(one.lines)
    for name, (in_, out) in other.lines.items():
        before = lines.get(name, (0, 0))
        lines[name] = (before[0] + in_, before[1] + out)
    return KeptDay(
        one.day, other.timezone, lines, one.open_hours + other.open_hours, one.good_hours + other.good_hours,
        one.counted_hours + other.counted_hours, one.watched_s + other.watched_s, sorted({*one.flags, *other.flags}),
    )  # fmt: skip
