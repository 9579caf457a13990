"""
What is wrong now, camera by camera: the first page's problems that go on, cameras that are silent, unusual days.

It reads a few weeks of each camera and writes nothing. A problem is an alert from a state of the hours, never from one
message, so that whoever asks twice gets the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from edge.headquarters.alerts.settings import Rules
from edge.headquarters.corrections import InForce, Names
from edge.headquarters.report.period import Period
from edge.headquarters.report.problems import Kind, Problem
from edge.headquarters.report.study import CameraStudy, Chain, SiteStudy
from edge.headquarters.sites import Sites
from edge.headquarters.store.reader import Alerting, Reader

_HOUR = timedelta(hours=1)
_EASTERNMOST = timedelta(hours=14)
"""The offset of the zone in which a day begins first; rows of days that have not begun are empty."""
_UNTIL_ANSWERED = (Kind.MISSING, Kind.DOUBTED)
"""These go on until hours come or a person answers, not only as long as they are new."""
_AT_ONCE = (Kind.SILENT, Kind.MISSING, Kind.DOUBTED, Kind.UNBALANCED, Kind.UNUSUAL)
"""These need no `least_hours`."""
_WEEKS = 4
"""A day is compared with the same weekday of so many weeks before."""
_LEAST_COMPARED = 0.5
"""A day is unusual only if at least this share of its open hours could be compared."""
_LEAST_PEOPLE = 100
"""With fewer people than this on a usual day, no day is unusual: it would be chance."""


@dataclass(frozen=True, slots=True)
class Alert:
    """
    Something that is wrong with a camera now.

    Attributes:
        place: Site and camera as people call them.
        problem: What is wrong, with times of the site's clocks.
        since: The same beginning as an instant, with the site's offset.
    """

    site: str
    camera: str
    place: str
    problem: Problem
    since: datetime

    @property
    def key(self) -> Alerting:
        """What it is told apart by: while this is the same, it is the same alert."""
        return self.site, self.camera, self.problem.kind.value


def alerts(store: Reader, plan: Sites, rules: Rules, now: datetime) -> Iterator[Alert]:
    """
    Yield every alert, by site and camera.

    Raises:
        StoreUnusable: the store can't be read.
    """
    corrections = InForce.of(store.corrections())
    last = (now + _EASTERNMOST).date()
    period = Period(last, rules.days + 1, weeks=_WEEKS + 2, is_recent=True)
    chain = Chain(plan, corrections, period, now - timedelta(minutes=rules.overdue_min))
    for site, cameras in chain.sources(store).items():
        study = chain.study(store, site, cameras)
        if study is None:
            continue
        for camera in study.cameras:
            sources = cameras[camera.camera]
            zone = _zone(store, sources)
            moment = now.astimezone(zone) - timedelta(minutes=rules.overdue_min)
            found = [
                *_silent(store, corrections, sources, rules, now),
                *_going_on(camera, rules),
                *_unusual(study, camera, rules, moment),
            ]
            for problem in found:
                if problem.kind not in rules.ignore:
                    place = f"{study.name} / {camera.name}"
                    yield Alert(site, camera.camera, place, problem, problem.since.replace(tzinfo=zone))


def _zone(store: Reader, sources: Sequence[Names]) -> ZoneInfo:
    """Return the time zone of a camera's newest hour."""
    return ZoneInfo(max(store.newest(*names) for names in sources)[1])


def _silent(
    store: Reader, corrections: InForce, sources: Sequence[Names], rules: Rules, now: datetime
) -> Iterator[Problem]:
    """Yield that no hour comes any more: at night too, since a box tells closed hours as well."""
    if all(corrections.retired.get(names, now + _HOUR) <= now for names in sources):
        return
    start_s, zone = max(store.newest(*names) for names in sources)
    end = datetime.fromtimestamp(start_s, UTC) + _HOUR
    if now - end >= timedelta(minutes=rules.overdue_min):
        hours = max(1, int((now - end) / _HOUR))
        yield Problem(Kind.SILENT, end.astimezone(ZoneInfo(zone)).replace(tzinfo=None), None, hours)


def _going_on(camera: CameraStudy, rules: Rules) -> Iterator[Problem]:
    """Yield the first page's problems that are alerts."""
    for problem in camera.problems:
        is_long = problem.kind in _AT_ONCE or problem.hours >= rules.least_hours
        goes_on = problem.until is None or problem.kind in _UNTIL_ANSWERED
        if problem.kind is not Kind.SILENT and is_long and goes_on:
            yield problem


def _unusual(study: SiteStudy, camera: CameraStudy, rules: Rules, local: datetime) -> Iterator[Problem]:
    """Yield how the last whole day before *local* differs from the same weekdays; not of a day that has a name."""
    day = local.date() - timedelta(days=1)
    if study.label(day):
        return
    weeks = [camera.grid.rows([day - timedelta(weeks=number)]) for number in range(1, _WEEKS + 1)]
    found = camera.grid.compare(camera.grid.rows([day]), *weeks)
    if found.change is None or found.share < _LEAST_COMPARED or found.then < _LEAST_PEOPLE:
        return
    if found.change <= -1 or abs(math.log1p(found.change)) >= math.log(rules.unusual_factor):
        since = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - local time, as all problems have it
        yield Problem(Kind.UNUSUAL, since, None, found.hours, change=found.change)
