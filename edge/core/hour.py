"""
An hour of one camera: its one type, its bytes on the wire, and the rules that make it valid.

The publisher builds hours and its ledger keeps their bytes; headquarters decodes and stores them; `status`, `counts`
and the report show them. docs/hour.schema.json is generated from this type (`schema_text`). Nothing here opens a file
or asks a clock.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

import edge
from edge.core.topics import NAME_PATTERN

SCHEMA: Final = 1
"""Version of the message; it changes when a field is added."""
SOFTWARE = f"footfall-edge {edge.__version__}"
"""The name of this program in the hours that it builds."""
HOUR_MS = 3_600_000
"""Length of a full hour, ms."""
WELL_WATCHED = 0.9
"""Share of the time that must have been watched for a count to be called good."""
TEST = "test"
"""The flag of an hour that says nothing of any door: it only shows that the way to headquarters works."""
FLAGS = (
    "camera_lost", "closed", "coarse", "covered", "dark", "frozen", "moved", "off", "restarted", "slow", TEST, "trial",
)  # fmt: skip
"""The flags that this program gives. Other flags are valid, too: a later version may add some."""
TROUBLES = ("camera_lost", "covered", "dark", "frozen", "moved", "slow")
"""Flags of an hour whose count may be wrong, however long was watched. Sums keep it, comparisons leave it out."""

_LONGEST = timedelta(milliseconds=HOUR_MS)
_STAMP = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[+-][0-9]{2}:[0-9]{2}"


def rfc3339(moment_ms: int, zone: ZoneInfo) -> str:
    """Return the moment (ms since 1970 UTC) in whole seconds, with the offset that holds in *zone* at it."""
    return datetime.fromtimestamp(moment_ms // 1000, zone).isoformat(timespec="seconds")


def _parse_moment(value: object) -> datetime:
    if not isinstance(value, str) or not re.fullmatch(_STAMP, value):
        raise PydanticCustomError("stamp", "should be written as 2026-05-01T10:00:00+08:00")
    try:
        moment = datetime.fromisoformat(value)
        # The first and the last day of the calendar have moments that UTC can't name.
        moment.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise PydanticCustomError("stamp", "is no moment that exists") from exc
    return moment


_Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
_People = Annotated[int, Field(ge=0, le=80_000_000)]
_Flag = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,31}$")]
_Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]+$", max_length=200)]
"""Text without control characters, which would act on a terminal that shows it."""
_Moment = Annotated[
    datetime,
    BeforeValidator(_parse_moment),
    PlainSerializer(lambda moment: moment.isoformat(timespec="seconds")),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": f"^{_STAMP}$"}),
]


def _refuse_truth(value: object) -> object:
    """Refuse true, which Python takes for 1, and JSON does not."""
    if isinstance(value, bool):
        raise ValueError("a number is needed, not true or false")  # noqa: TRY004 - pydantic takes no TypeError
    return value


_Version = Annotated[Literal[1], BeforeValidator(_refuse_truth)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class LineCount(_Part):
    """Crossings of one line."""

    in_: _People = Field(alias="in", description="Crossings towards the shop's side.")
    out: _People = Field(description="Crossings away from the shop's side.")


@dataclass(frozen=True, slots=True)
class Source:
    """
    What all hours of one camera have in common.

    Attributes:
        site: The shop's name.
        camera: The camera's name.
        zone: The shop's time zone.
        model: Name and version of the head model.
        trial: Whether the clock is made up for a trial, so that each hour carries the flag `trial`.
    """

    site: str
    camera: str
    zone: ZoneInfo
    model: str
    trial: bool = False


class Hour(_Part):
    """
    What one camera counted in one hour.

    One object a message, UTF-8, on footfall/v1/<site>/<camera>/hour. Store it by (site, camera, start as an instant)
    and keep the highest revision; docs/headquarters.md shows how.
    """

    version: _Version = Field(
        alias="schema", description="Version of this contract. A field may be added only with a new version."
    )
    site: _Name = Field(description="The shop, as in the topic.")
    camera: _Name = Field(description="The camera, as in the topic.")
    start: _Moment = Field(
        description="First moment of the hour, RFC 3339 with the site's offset at that moment. An hour that happens"
        " twice (clocks set back) is two, told apart by the offset: compare instants, not text."
    )
    end: _Moment = Field(
        description="First moment after the hour, RFC 3339 with the site's offset at that moment. Never more than"
        " 3600 s after start; less where clocks change by half an hour, and in the first hour after a change of the"
        " site's zone."
    )
    timezone: _Text = Field(description="The site's zone, a name of the IANA time zone database.")
    revision: Annotated[int, Field(ge=1, le=2**31 - 1)] = Field(
        description="1 for the first message of an hour; a correction carries a higher one, and the highest is right."
    )
    lines: Annotated[dict[_Name, LineCount], Field(min_length=1, max_length=64)] = Field(
        description="Every line of the camera, counted or not, by name."
    )
    in_: _People = Field(
        alias="in", description="Sum over the lines. People; never scaled by the time that was watched."
    )
    out: _People = Field(description="Sum over the lines. People; never scaled by the time that was watched.")
    watched_s: Annotated[int, Field(ge=0, le=3600)] = Field(
        description="Seconds of the hour in which pictures were really looked at. Zero people with 3600 watched is a"
        " quiet shop; zero with 0 watched is no data."
    )
    flags: Annotated[tuple[_Flag, ...], Field(max_length=32, json_schema_extra={"uniqueItems": True})] = Field(
        description="Why the rest wasn't watched, or not well; sorted, each once. The set is open: a later version may"
        " add flags. Store flags that you don't know, and act on none of them. Known in this version: "
        + ", ".join(FLAGS)
        + ".",
        examples=[[], ["dark", "slow"]],
    )
    software: Annotated[str, Field(pattern=r"^footfall-edge [^\x00-\x1f\x7f-\x9f]+$", max_length=200)] = Field(
        description="Program and version that closed the hour."
    )
    model: _Text = Field(description="Name and version of the head model.")

    @model_validator(mode="after")
    def _check_sums(self) -> Self:
        if self.in_ != sum(line.in_ for line in self.lines.values()):
            raise PydanticCustomError("sum", '"in" should be the sum over the lines')
        if self.out != sum(line.out for line in self.lines.values()):
            raise PydanticCustomError("sum", '"out" should be the sum over the lines')
        if not timedelta(0) < self.end - self.start <= _LONGEST:
            raise PydanticCustomError("length", '"end" should be at most an hour after "start"')
        if self.watched_s > self.length_s:
            raise PydanticCustomError("length", '"watched_s" should be no more than the hour has')
        if len(set(self.flags)) != len(self.flags):
            raise PydanticCustomError("flags", '"flags" should have each flag once')
        return self

    @classmethod
    def counted(
        cls,
        source: Source,
        start_ms: int,
        end_ms: int,
        lines: Mapping[str, tuple[int, int]],
        *,
        watched_ms: int,
        flags: Iterable[str] = (),
        revision: int = 1,
    ) -> Self:
        """
        Return the hour that a box has counted.

        Args:
            source: Whose hour.
            start_ms: First moment, ms since 1970 UTC, a whole second.
            end_ms: First moment after it, likewise.
            lines: (in, out) of each line.
            watched_ms: Time that was watched; rounded to seconds.
            flags: In any order; `trial` comes by itself.
            revision: 1 for the first message.

        Raises:
            ValidationError: there can be no such hour.
        """
        return cls.model_validate(
            {
                "schema": SCHEMA,
                "site": source.site,
                "camera": source.camera,
                "start": rfc3339(start_ms, source.zone),
                "end": rfc3339(end_ms, source.zone),
                "timezone": source.zone.key,
                "revision": revision,
                "lines": {name: {"in": in_, "out": out} for name, (in_, out) in lines.items()},
                "in": sum(in_ for in_, _ in lines.values()),
                "out": sum(out for _, out in lines.values()),
                "watched_s": round(watched_ms / 1000),
                "flags": tuple(sorted({*flags, "trial"} if source.trial else set(flags))),
                "software": SOFTWARE,
                "model": source.model,
            }
        )

    @classmethod
    def of_test(cls, source: Source, sent_ms: int, lines: Iterable[str]) -> Self:
        """
        Return an hour that only shows that the way to headquarters works.

        It is one second long, begins off the full minute, where no counted hour begins, and counts nobody: whoever
        stores it in spite of its flags `test` and `trial` changes no sum and replaces no hour.

        Args:
            source: Whose.
            sent_ms: When it is sent, ms since 1970 UTC.
            lines: The names of the camera's lines.
        """
        start_ms = sent_ms // 1000 * 1000
        if start_ms % 60_000 == 0:
            start_ms += 1000
        counts = dict.fromkeys(lines, (0, 0))
        return cls.counted(source, start_ms, start_ms + 1000, counts, watched_ms=0, flags={TEST, "trial"})

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Return the hour that a message holds; pydantic's ValidationError if it holds none."""
        return cls.model_validate_json(payload)

    def encode(self) -> bytes:
        """Return the message: one compact JSON object, UTF-8, keys in the contract's order."""
        return self.model_dump_json(by_alias=True).encode()

    def as_json(self) -> dict[str, Any]:
        """Return the message's fields as JSON has them."""
        return self.model_dump(mode="json", by_alias=True)

    @property
    def start_ms(self) -> int:
        """First moment, ms since 1970 UTC."""
        return int(self.start.timestamp()) * 1000

    @property
    def end_ms(self) -> int:
        """First moment after the hour, ms since 1970 UTC."""
        return int(self.end.timestamp()) * 1000

    @property
    def length_s(self) -> int:
        """Length, s; 3600 but for the exceptions that the field `end` names."""
        return int((self.end - self.start).total_seconds())

    def lines_json(self) -> str:
        """Return the lines as one JSON object that is always the same for the same counts."""
        return json.dumps(
            {name: {"in": count.in_, "out": count.out} for name, count in sorted(self.lines.items())},
            separators=(",", ":"),
        )

    def differs(self, other: Hour, *, flags: bool = True) -> bool:
        """Tell whether counts or watched time are other than in *other* or, if *flags*, the flags are."""
        return (
            self._people != other._people
            or self.watched_s != other.watched_s
            or (flags and set(self.flags) != set(other.flags))
        )

    @property
    def _people(self) -> dict[str, LineCount]:
        """The lines that anybody crossed: a line without a count says nothing of what was counted."""
        return {name: count for name, count in self.lines.items() if count.in_ or count.out}

    def revised(self, revision: int) -> Self:
        """Return the same hour under another revision number, 1 or more."""
        return self.model_copy(update={"revision": revision})

    def plus_final(self, final: Hour) -> Self:
        """
        Return this hour with what was counted in it before, of which no readings are left.

        Args:
            final: What the hour said when its readings were thrown away.
        """
        lines = {name: (count.in_, count.out) for name, count in self.lines.items()}
        for name, count in final.lines.items():
            in_, out = lines.get(name, (0, 0))
            lines[name] = (in_ + count.in_, out + count.out)
        return self.model_copy(
            update={
                "lines": {
                    name: LineCount.model_validate({"in": in_, "out": out}) for name, (in_, out) in lines.items()
                },
                "in_": self.in_ + final.in_,
                "out": self.out + final.out,
                "watched_s": min(self.length_s, self.watched_s + final.watched_s),
                # `off` in this hour only says that its other readings are gone.
                "flags": tuple(sorted({*final.flags, *self.flags} - ({"off"} - {*final.flags}))),
            }
        )


def schema_text() -> str:
    """Return docs/hour.schema.json: the JSON Schema 2020-12 of the message."""
    generated = Hour.model_json_schema(by_alias=True)
    for part in (generated, *generated["$defs"].values()):
        # Titles name types; a title at each field would name a type for each integer.
        for described in part["properties"].values():
            described.pop("title", None)
    # pydantic says of a name that fits no pattern that it may hold anything.
    lines = generated["properties"]["lines"]
    ((pattern, count),) = lines.pop("patternProperties").items()
    lines |= {"propertyNames": {"pattern": pattern}, "additionalProperties": count}
    whole: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:footfall:hour:{SCHEMA}",
        "title": generated.pop("title"),
        "description": " ".join(generated.pop("description").split()),
        **generated,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
