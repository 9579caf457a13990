"""
sites.yaml: what people know of the shops and no box can: names, regions, opening hours, holidays, uses of lines.

Everything in it is optional, and so is the file. It is read as strictly as footfall.yaml, with every fault at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema, model_validator

from edge.config.opening_hours import OpeningHours
from edge.config.schema import parse_as, read_text
from edge.config.section import Name, Section, refusal

_DAY = timedelta(days=1)
_LONGEST_EVENT = 366
"""An event has no more days than a leap year."""


class Role(StrEnum):
    """What a line is for: people who cross an `entrance` are visitors; those of a `passage` go by outside."""

    ENTRANCE = "entrance"
    PASSAGE = "passage"


def _read_day(value: object) -> object:
    """Refuse what is no day, in words for people; YAML has read 2026-12-25 as a date already."""
    if isinstance(value, datetime) or not isinstance(value, date):
        raise refusal(f"must be a day, but is {value}", "write it as 2026-12-25")
    return value


def _read_week(value: object) -> OpeningHours:
    """Return opening hours written as in footfall.yaml: {days: spans}."""
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise refusal("must be opening hours", 'write them as {mon-sat: "09:30-20:00", sun: closed}')
    try:
        return OpeningHours.parse({str(days): text for days, text in value.items()})
    except ValueError as exc:
        cause, advice = exc.args
        raise refusal(cause, advice) from exc


Day = Annotated[date, BeforeValidator(_read_day)]
Text = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
"""A name for people: any script, without control characters."""
Week = Annotated[OpeningHours, PlainValidator(_read_week), WithJsonSchema({"type": "object"})]
Most = Annotated[int, Field(ge=1, le=80_000_000)]


class Event(Section):
    """A holiday or anything else that explains the counts of some days. Charts mark it."""

    name: Text = Field(description="what people call it")
    day: Day | None = Field(default=None, description="the day, if it is one")
    first: Day | None = Field(default=None, alias="from", description="the first day, if there are several")
    last: Day | None = Field(default=None, alias="to", description="the last day")
    closed: bool = Field(default=False, description="whether the shop is closed all day")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        several = self.first is not None and self.last is not None
        if (self.day is not None) == several or (self.first is None) != (self.last is None):
            raise refusal("needs either `day`, or both `from` and `to`", "write {name: Sale, day: 2026-11-27}")
        if self.first is not None and self.last is not None and not 0 <= (self.last - self.first).days < _LONGEST_EVENT:
            raise refusal("must end on or after its first day, and within a year", "look at `from` and `to`")
        return self

    def days(self) -> Iterator[date]:
        """Yield its days."""
        first, last = self.day or self.first, self.day or self.last
        while first is not None and last is not None and first <= last:
            yield first
            first += _DAY


class CameraPlan(Section):
    """What is known of one camera."""

    name: Text | None = Field(default=None, description="what people call it")
    lines: dict[Name, Role] = Field(
        default_factory=dict,
        description="what each line is for: entrance, or passage; one that isn't named is an entrance",
    )
    most_an_hour: Most | None = Field(
        default=None,
        description="more people in one direction in an hour are not believed until somebody confirms them",
    )


class SitePlan(Section):
    """What is known of one site."""

    name: Text | None = Field(default=None, description="what people call it")
    region: Text | None = Field(default=None, description="the region that it is added up in")
    area_m2: float | None = Field(default=None, gt=0, le=10_000_000, description="sales area, m2")
    open: Week | None = Field(default=None, description="opening hours, as in footfall.yaml")
    calendars: tuple[Text, ...] = Field(default=(), description="which of the file's calendars hold here")
    events: tuple[Event, ...] = Field(default=(), description="days of this site alone")
    cameras: dict[Name, CameraPlan] = Field(default_factory=dict, description="its cameras")


class Sites(Section):
    """The whole of sites.yaml."""

    sites: dict[Name, SitePlan] = Field(default_factory=dict, description="the shops, by their names in the topics")
    calendars: dict[Text, tuple[Event, ...]] = Field(default_factory=dict, description="holidays that shops share")
    currency: Text | None = Field(default=None, description="what sales are counted in, as in EUR")

    @model_validator(mode="after")
    def _calendars_exist(self) -> Self:
        for name, plan in self.sites.items():
            for calendar in plan.calendars:
                if calendar not in self.calendars:
                    known = ", ".join(self.calendars) or "none"
                    raise refusal(f'{name} names the calendar "{calendar}"', f"calendars of this file: {known}")
        return self

    def site(self, name: str) -> SitePlan:
        """Return what is known of a site; an empty plan if nothing is."""
        return self.sites.get(name) or _NOTHING

    def name(self, site: str, camera: str | None = None) -> str:
        """Return what people call a site, or a camera."""
        plan = self.site(site)
        if camera is None:
            return plan.name or site
        return self.camera(site, camera).name or camera

    def camera(self, site: str, camera: str) -> CameraPlan:
        """Return what is known of a camera; an empty plan if nothing is."""
        return self.site(site).cameras.get(camera) or CameraPlan.model_validate({})

    def events(self, site: str) -> DayBook:
        """Return a site's holidays and events by day."""
        book = DayBook()
        plan = self.site(site)
        shared = [event for calendar in plan.calendars for event in self.calendars[calendar]]
        for event in (*shared, *plan.events):
            for day in event.days():
                book.names.setdefault(day, []).append(event.name)
                if event.closed:
                    book.closed.add(day)
        return book


@dataclass(slots=True)
class DayBook:
    """
    The holidays and events of one site.

    Attributes:
        names: What each day is called; most days aren't in it.
        closed: Days on which the shop is closed whatever its opening hours say.
    """

    names: dict[date, list[str]] = field(default_factory=dict)
    closed: set[date] = field(default_factory=set)

    def same_last_year(self, day: date, default: date) -> date | None:
        """
        Return the day of last year that *day* is best compared with.

        A day with a name is compared with the day of last year that has the same name and is nearest to *default*.
        None of a day without a name whose *default* has one, or the other way round.
        """
        ours, theirs = set(self.names.get(day, ())), set(self.names.get(default, ()))
        if ours == theirs:
            return default
        if not ours:
            return None
        same = [other for other, names in self.names.items() if ours & set(names) and 0 < (day - other).days <= 400]  # noqa: PLR2004 - a year, and a movable feast
        near = [other for other in same if abs((other - default).days) <= 40]  # noqa: PLR2004 - Easter moves by 35 days
        return min(near, key=lambda other: (abs((other - default).days), other), default=None)


_NOTHING = SitePlan.model_validate({})


def load(path: Path | None) -> Sites:
    """
    Read sites.yaml; an empty one where there is no *path*.

    Raises:
        ConfigError: with every fault that the file has.
    """
    if path is None:
        return Sites.model_validate({})
    return parse(read_text(path, "give the file with --sites"), path)


def parse(text: str, path: Path = Path("sites.yaml")) -> Sites:
    """Read sites.yaml from *text*; *path* is named in messages."""
    return parse_as(Sites, text, path)


def open_week(hours: OpeningHours | None) -> Sequence[Sequence[bool]] | None:
    """Return for each weekday (0 is Monday) and hour whether the shop is open in any minute of it; None if unknown."""
    if hours is None:
        return None
    monday = datetime(2024, 1, 1)  # noqa: DTZ001 - local time, as the opening hours are
    return [
        [
            any(hours.is_open(monday + timedelta(days=day, hours=hour, minutes=minute)) for minute in range(60))
            for hour in range(24)
        ]
        for day in range(7)
    ]


def as_table(sites: Sites) -> Iterator[Mapping[str, Any]]:
    """Yield a row for each camera that the file names, and one for each site that names none, for SQL's views."""
    for site, plan in sorted(sites.sites.items()):
        common = {"site": site, "site_name": plan.name or site, "region": plan.region, "area_m2": plan.area_m2}
        for camera in [*plan.cameras] or [""]:
            lines = sites.camera(site, camera).lines.items()
            yield {
                **common,
                "camera": camera,
                "camera_name": sites.name(site, camera) if camera else None,
                "passages": sorted(name for name, role in lines if role is Role.PASSAGE),
            }
