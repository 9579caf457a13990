"""
One site's figures: its cameras' hours on a grid, what people have corrected, and everything that its pages show.

Sites are studied one after the other, so that a chain of any size needs the memory of its largest shop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from edge.headquarters.corrections import Action, InForce, Names
from edge.headquarters.report import camera_hours, problems
from edge.headquarters.report.camera_hours import CameraHours, Demand, day_number
from edge.headquarters.report.grid import Comparison, Grid, Sum
from edge.headquarters.report.period import Period, Rulers
from edge.headquarters.report.problems import Problem
from edge.headquarters.report.reliability import Flags, State, is_counted
from edge.headquarters.report.takings import Takings
from edge.headquarters.sales import Table
from edge.headquarters.sites import DayBook, Sites, open_week
from edge.headquarters.store.reader import Correction, Reader


@dataclass(slots=True)
class Question:
    """
    Hours with more people than there can have been, which wait for a person to exclude or to confirm them.

    Attributes:
        since: First of them, local time.
        until: Last of them.
        hours: How many.
        most: Most people in one direction in one of them.
        bound: More than so many are not believed.
    """

    site: str
    camera: str
    since: datetime
    until: datetime
    hours: int
    most: int
    bound: int


@dataclass(slots=True)
class Applied:
    """A correction that touches the report's days, and how many hours and people it touches there."""

    correction: Correction
    hours: int = 0
    people: int = 0


@dataclass(slots=True)
class Figures:
    """
    What the first page says of a site, or of several together.

    Attributes:
        week: The last seven days.
        period: All days of the report.
        last_week: The week beside the one before.
        last_year: The week beside the same weekdays of last year.
        four_weeks: The week beside the mean of the four weeks before.
        period_last_year: All days beside last year's.
    """

    week: Sum = field(default_factory=Sum)
    period: Sum = field(default_factory=Sum)
    last_week: Comparison = field(default_factory=Comparison)
    last_year: Comparison = field(default_factory=Comparison)
    four_weeks: Comparison = field(default_factory=Comparison)
    period_last_year: Comparison = field(default_factory=Comparison)
    takings: Takings = field(default_factory=Takings)

    @classmethod
    def of(cls, grid: Grid, rulers: Rulers) -> Figures:
        """Return the figures of a grid."""
        return cls(
            grid.sum(rulers.week),
            grid.sum(rulers.days),
            grid.compare(rulers.week, rulers.week_before),
            grid.compare(rulers.week, rulers.week_year),
            grid.compare(rulers.week, *rulers.four_weeks),
            grid.compare(rulers.days, rulers.days_year),
        )

    def include(self, other: Figures) -> None:
        """Add another site's."""
        self.week.include(other.week)
        self.period.include(other.period)
        self.last_week.include(other.last_week)
        self.last_year.include(other.last_year)
        self.four_weeks.include(other.four_weeks)
        self.period_last_year.include(other.period_last_year)
        self.takings.include(other.takings)


@dataclass(slots=True)
class CameraStudy:
    """One camera, under the names that reports show."""

    camera: str
    name: str
    grid: Grid
    problems: list[Problem]
    hours: CameraHours


@dataclass(slots=True)
class SiteStudy:
    """One site with its cameras."""

    site: str
    name: str
    region: str | None
    grid: Grid
    rulers: Rulers
    figures: Figures
    book: DayBook
    cameras: list[CameraStudy]
    questions: list[Question]
    applied: list[Applied]
    notes: dict[date, list[str]]
    trials: int

    def label(self, day: date) -> str:
        """Return what is known of a day: holidays, events and notes; "" of an ordinary one."""
        return "; ".join([*self.book.names.get(day, ()), *self.notes.get(day, ())])


@dataclass(frozen=True, slots=True)
class Chain:
    """What a report knows besides the hours."""

    sites: Sites
    corrections: InForce
    period: Period
    due: datetime
    flags: Flags = field(default_factory=Flags)
    sales: Table | None = None
    staff: Table | None = None
    every_column: bool = False

    def sources(self, store: Reader, only: Sequence[str] = ()) -> Mapping[str, Mapping[str, list[Names]]]:
        """Return for each site, in order, each camera under its shown name, and which cameras of the store it is."""
        found: dict[str, dict[str, list[Names]]] = {}
        for names in store.cameras():
            if self.corrections.is_of(only, names):
                site, camera = self.corrections.shown_as(names)
                found.setdefault(site, {}).setdefault(camera, []).append(names)
        return {site: dict(sorted(cameras.items())) for site, cameras in sorted(found.items())}

    def study(self, store: Reader, site: str, cameras: Mapping[str, Sequence[Names]]) -> SiteStudy | None:
        """Return the figures of a site; None if it has no hour in the report's days or those that they need."""
        plan, book = self.sites.site(site), self.sites.events(site)
        rulers = Rulers.of(Grid.empty(self.period.grid_first, self.period.grid_days), self.period, book)
        studies: list[CameraStudy] = []
        questions: list[Question] = []
        applied: dict[int, Applied] = {}
        trials = 0
        for camera, sources in cameras.items():
            hours, asked = self.judged_hours(store, (site, camera), sources, applied)
            trials += hours.trials
            grid = Grid.of(hours, self.period.grid_first, self.period.grid_days)
            self._keep_days(store, (site, camera), sources, grid)
            if not len(hours.state) and not grid.is_kept:
                continue
            questions += asked
            found = problems.find(grid, rulers.days, self.flags)
            studies.append(CameraStudy(camera, self.sites.name(site, camera), grid, found, hours))
        if not studies:
            return None
        grid = Grid.together([one.grid for one in studies])
        figures = Figures.of(grid, rulers)
        if self.sales is not None or self.staff is not None:
            figures.takings = Takings.of(grid, rulers.days, self.sales, self.staff, site)
        for source in cameras.values():
            self._note_aliases(source, applied)
        return SiteStudy(
            site, self.sites.name(site), plan.region, grid, rulers, figures, book, studies, questions,
            sorted(applied.values(), key=lambda one: one.correction.number), self._notes(site, studies), trials,
        )  # fmt: skip

    def judged_hours(
        self, store: Reader, names: Names, sources: Sequence[Names], applied: dict[int, Applied] | None = None
    ) -> tuple[CameraHours, list[Question]]:
        """
        Return a camera's hours, each with its state after opening hours, doubts and corrections; and the doubts.

        Args:
            store: Where they are.
            names: Site and camera under which it is shown.
            sources: Which cameras of the store it is.
            applied: Here each correction is noted with what it touches.
        """
        site, camera = names
        plan = self.sites.camera(site, camera)
        demand = Demand(self.period.windows, self.due, self._retired(sources), self.every_column)
        hours = camera_hours.read(store, sources, demand, plan, self.flags)
        if not len(hours.state):
            return hours, []
        closed = [day_number(day) for day in self.sites.events(site).closed]
        camera_hours.set_opening(hours, open_week(self.sites.site(site).open), closed)
        bound = camera_hours.bound_of(hours, plan)
        self._doubt(hours, names, bound)
        questions = list(self._questions(hours, names, bound))
        self._apply_ranges(hours, names, {} if applied is None else applied)
        return hours, questions

    def _keep_days(self, store: Reader, names: Names, sources: Sequence[Names], grid: Grid) -> None:
        """Put the days of which no hours are kept into *grid*."""
        plan = self.sites.camera(*names)
        last = grid.day(len(grid.state) - 1)
        for source in sources:
            for day in store.days(*source, grid.first, last):
                whole = Sum(
                    *camera_hours.by_role(day.lines, plan), day.open_hours, day.good_hours, day.counted_hours
                )  # fmt: skip
                grid.keep(day.day, whole, self.flags.bits(list(day.flags)))

    def _retired(self, sources: Sequence[Names]) -> datetime | None:
        """Return since when a camera is gone; None while any of those that it is made of is in use."""
        moments = [self.corrections.retired.get(names) for names in sources]
        return None if None in moments else max(filter(None, moments), default=None)

    def _doubt(self, hours: CameraHours, names: Names, bound: int | None) -> None:
        """Doubt what is above *bound* and that nobody has confirmed."""
        if bound is None:
            return
        much = (np.maximum(hours.in_, hours.out) > bound) & is_counted(hours.state)
        for one in self.corrections.of_camera(Action.BELIEVE, names):
            much &= ~_between(hours, one)
        hours.state[much] = State.DOUBTED

    def _questions(self, hours: CameraHours, names: Names, bound: int | None) -> Iterator[Question]:
        """Yield one question for all doubted hours of the days that are shown."""
        shown = hours.local_days >= day_number(self.period.shown_from)
        doubted = np.flatnonzero((hours.state == State.DOUBTED) & shown)
        if bound is not None and len(doubted):
            since, until = (_local(hours, int(index)) for index in doubted[[0, -1]])
            most = int(np.maximum(hours.in_, hours.out)[doubted].max())
            yield Question(*names, since, until, len(doubted), most, bound)

    def _apply_ranges(self, hours: CameraHours, names: Names, applied: dict[int, Applied]) -> None:
        """Exclude what a correction excludes, and note in *applied* what each correction touches."""
        shown = hours.is_between(self.period.first, self.period.last)
        for action in (Action.EXCLUDE, Action.BELIEVE, Action.ANNOTATE):
            for one in self.corrections.of_camera(action, names):
                touched = _between(hours, one) & (hours.state != State.MISSING)
                if action is Action.EXCLUDE:
                    hours.state[touched] = State.EXCLUDED
                if (touched & shown).any():
                    entry = applied.setdefault(one.number, Applied(one))
                    entry.hours += int((touched & shown).sum())
                    entry.people += int(hours.in_[touched & shown].sum())

    def _note_aliases(self, sources: Sequence[Names], applied: dict[int, Applied]) -> None:
        for one in self.corrections.lasting:
            if (one.site, one.camera) in sources:
                applied.setdefault(one.number, Applied(one))

    def _notes(self, site: str, studies: Sequence[CameraStudy]) -> dict[date, list[str]]:
        """Return what people have noted, by local day."""
        notes: dict[date, list[str]] = {}
        for one in self.corrections.ranges:
            shown = self.corrections.shown_as((one.site, one.camera)) if one.camera else (one.site, "")
            if one.action != Action.ANNOTATE or shown[0] != site:
                continue
            of_camera = [study for study in studies if shown[1] in ("", study.camera)]
            if not of_camera:
                continue
            hours = of_camera[0].hours
            for number in np.unique(hours.local_days[_between(hours, one)]):
                notes.setdefault(camera_hours.EPOCH + timedelta(days=int(number)), []).append(one.value)
        return notes


def _between(hours: CameraHours, one: Correction) -> NDArray[np.bool_]:
    since = one.since.timestamp() if one.since is not None else -np.inf
    until = one.until.timestamp() if one.until is not None else np.inf
    return (hours.start_s >= since) & (hours.start_s < until)


def _local(hours: CameraHours, index: int) -> datetime:
    return datetime.fromtimestamp(int(hours.local_s[index]), UTC).replace(tzinfo=None)
