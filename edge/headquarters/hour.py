"""
From a topic and its bytes to an hour that can be booked, or to the reason why not. Pure.

docs/hour.schema.json is the law. Whatever a box, a stranger or a broken box publishes ends here as a
:class:`ReceivedHour` or as an :class:`~edge.core.errors.HourUnfit`, and as nothing else.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from edge.core.errors import HourUnfit
from edge.core.time_zone import is_time_zone

LARGEST = 65_536
"""Bytes of a message; an hour of eight lines has about 700."""
_TOPIC = re.compile(r"footfall/v1/([a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?)/([a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?)/hour")
_STATUS = re.compile(r"footfall/v1/([a-z0-9-]{1,32})/([a-z0-9-]{1,32})/status")
_STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[+-][0-9]{2}:[0-9]{2}")
_AHEAD = timedelta(minutes=10)
"""How much a collector's clock may be behind a box's."""
_OLDEST = timedelta(days=500)
"""A box keeps hours for 400 days."""


def _moment(value: object) -> object:
    """Return the instant of an RFC 3339 text with an offset; pydantic says what is wrong with the rest."""
    if not isinstance(value, str) or not _STAMP.fullmatch(value):
        raise PydanticCustomError("stamp", "should be written as 2026-05-01T10:00:00+08:00")
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise PydanticCustomError("stamp", "is no moment that there is") from exc


def _zone(value: str) -> str:
    if not is_time_zone(value):
        raise PydanticCustomError("zone", "is no time zone that is known here")
    return value


_Name = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$")]
_People = Annotated[int, Field(ge=0, le=80_000_000)]
_Moment = Annotated[datetime, BeforeValidator(_moment)]
_Flag = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,31}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Count(_Part):
    """Crossings of one line."""

    in_: _People = Field(alias="in")
    out: _People


class ReceivedHour(_Part):
    """What one camera counted in one hour, as docs/hour.schema.json describes it; start and end are instants, UTC."""

    version: Literal[1] = Field(alias="schema")
    site: _Name
    camera: _Name
    start: _Moment
    end: _Moment
    timezone: Annotated[str, AfterValidator(_zone)]
    revision: Annotated[int, Field(ge=1, le=2**31 - 1)]
    lines: Annotated[dict[_Name, Count], Field(min_length=1, max_length=64)]
    in_: _People = Field(alias="in")
    out: _People
    watched_s: Annotated[int, Field(ge=0, le=3600)]
    flags: Annotated[list[_Flag], Field(max_length=32)]
    software: Annotated[str, Field(pattern=r"^footfall-edge [^\x00-\x1f]+$", max_length=200)]
    model: Annotated[str, Field(pattern=r"^[^\x00-\x1f]+$", max_length=200)]

    @model_validator(mode="after")
    def _sums(self) -> Self:
        if self.in_ != sum(line.in_ for line in self.lines.values()):
            raise PydanticCustomError("sum", '"in" should be the sum over the lines')
        if self.out != sum(line.out for line in self.lines.values()):
            raise PydanticCustomError("sum", '"out" should be the sum over the lines')
        length_s = (self.end - self.start).total_seconds()
        if not 0 < length_s <= 3600:  # noqa: PLR2004 - an hour
            raise PydanticCustomError("length", '"end" should be at most an hour after "start"')
        if self.watched_s > length_s:
            raise PydanticCustomError("length", '"watched_s" should be no more than the hour has')
        if len(set(self.flags)) != len(self.flags):
            raise PydanticCustomError("flags", '"flags" should have each flag once')
        return self

    def lines_json(self) -> str:
        """Return the lines as one JSON object, always the same for the same counts."""
        return json.dumps(
            {name: {"in": count.in_, "out": count.out} for name, count in sorted(self.lines.items())},
            separators=(",", ":"),
        )


def status_of(topic: str) -> tuple[str, str] | None:
    """Return site and camera of a status topic; None of any other."""
    found = _STATUS.fullmatch(topic)
    return (found[1], found[2]) if found else None


def receive(topic: str, payload: bytes, now: datetime, *, trial: bool = False) -> ReceivedHour:
    """
    Return the hour that *payload* tells.

    Args:
        topic: Where it was published.
        payload: Any bytes.
        now: Headquarters' own time.
        trial: Take hours of a trial's made-up clock, too, whenever they say that they were.

    Raises:
        HourUnfit: with one of the reasons `topic`, `oversized`, `garbage`, `schema`, `invalid`, `names`, `trial`,
            `future`, `ancient`.
    """
    names = _TOPIC.fullmatch(topic)
    if names is None:
        raise HourUnfit("topic", f"{topic[:200]} isn't footfall/v1/<site>/<camera>/hour")
    if len(payload) > LARGEST:
        raise HourUnfit("oversized", f"{len(payload)} bytes; an hour has at most {LARGEST}")
    try:
        hour = ReceivedHour.model_validate_json(payload)
    except ValidationError as exc:
        raise _unfit(payload, exc) from exc
    if (hour.site, hour.camera) != names.groups():
        raise HourUnfit("names", f"it says {hour.site}/{hour.camera}, but came as {names[1]}/{names[2]}")
    if "trial" in hour.flags:
        if not trial:
            raise HourUnfit("trial", "its clock was made up for a trial; it is no hour that ever was")
        return hour
    if hour.end > now + _AHEAD:
        raise HourUnfit(
            "future", f"it ends at {stamp(hour.end)}, but it is {stamp(now)}: a clock is wrong, there or here"
        )
    if hour.start < now - _OLDEST:
        raise HourUnfit(
            "ancient", f"it starts at {stamp(hour.start)}, before a box could have kept it: its clock is wrong"
        )
    return hour


def stamp(moment: datetime) -> str:
    """Return *moment* as UTC text that sorts as time does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _unfit(payload: bytes, error: ValidationError) -> HourUnfit:
    faults = error.errors(include_url=False, include_input=False)
    if faults[0]["type"] == "json_invalid":
        return HourUnfit("garbage", "it isn't JSON")
    version = _version(payload)
    if version is not None and version != 1:
        return HourUnfit("schema", f"its schema is {str(version)[:40]}; this collector knows 1: is there a newer one?")
    said = "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']) or 'hour'}: {fault['msg']}" for fault in faults[:5]
    )
    return HourUnfit("invalid", said[:1000])


def _version(payload: bytes) -> Any:
    try:
        told = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return told.get("schema") if isinstance(told, dict) else None
