"""
footfall.yaml -> frozen settings; each process is handed only its own slice.

Every fault of a file is found at once, each with file:line, key, what is wrong and what to write instead.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import math
import re
import typing
import zoneinfo
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from edge.errors import ConfigError
from edge.opening import OpeningHours
from edge.polyline import Polyline
from edge.tally import line_key

DEFAULT_PATH = Path("/etc/footfall/footfall.yaml")

_SMALLEST_SIDE = 0.04
"""A line must leave this share of the picture on each side: a head nearer to the edge is never seen whole."""
_SHORTEST_LINE = 0.02
_CLEAR_OF_LINE = 0.01
_MOST_CORNERS = 8

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$")]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Point = tuple[Fraction, Fraction]
"""x and y as shares of the picture's width and height; x to the right, y DOWN."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False, hide_input_in_errors=True)


class Line(_Section):
    """
    A threshold across the picture.

    A head that comes from the other side to the side of *inside* counts as in.
    """

    start: Point = Field(alias="from", description="one end, as shares of width and height")
    end: Point = Field(alias="to", description="the other end")
    via: tuple[Point, ...] = Field(
        default=(), description="points between the ends, in order, where the threshold is curved; absent = straight"
    )
    inside: Point = Field(description="any point of the picture on the shop's side of the line")

    @property
    def points(self) -> tuple[tuple[float, float], ...]:
        """The line's points from one end to the other."""
        return (self.start, *self.via, self.end)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if any(math.dist(one, other) < _SHORTEST_LINE for one, other in pairwise(self.points)):
            raise PydanticCustomError(
                "line_without_length",
                "the line has no length: `from` and `to` are the same place; draw it across the door"
                if not self.via
                else "two neighbours among `from`, `via` and `to` are the same place; leave one of them out",
            )
        line = Polyline(self.points)
        if len(self.via) > _MOST_CORNERS or line.crosses_itself():
            raise PydanticCustomError(
                "line_tangled",
                "the line crosses itself or has more than {most} points in `via`; follow the threshold from one end "
                "to the other with few points",
                {"most": _MOST_CORNERS},
            )
        if abs(line.distance(*self.inside)) < _CLEAR_OF_LINE:
            raise PydanticCustomError(
                "inside_on_line", "`inside` lies on the line; give any point that is clearly on the shop's side of it"
            )
        share = _smaller_side(self.start, self.end) if not self.via else _smaller_side_of(line)
        if share < _SMALLEST_SIDE:
            raise PydanticCustomError(
                "line_at_edge",
                "the line leaves only {share} % of the picture on one side, where no head is ever seen whole; "
                "move it inwards until each side has at least {least} %, or turn the camera",
                {"share": f"{100 * share:.1f}", "least": f"{100 * _SMALLEST_SIDE:.0f}"},
            )
        return self


def _smaller_side(start: Point, end: Point) -> float:
    """Return the smaller of the two shares into which the line, drawn on to the picture's edges, cuts the picture."""
    (x1, y1), (x2, y2) = start, end

    def side(x: float, y: float) -> float:
        return (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)

    corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
    kept: list[tuple[float, float]] = []
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        a, b = side(ax, ay), side(bx, by)
        if a >= 0:
            kept.append((ax, ay))
        if (a > 0 > b) or (a < 0 < b):
            kept.append((ax + (bx - ax) * a / (a - b), ay + (by - ay) * a / (a - b)))
    area = sum(ax * by - bx * ay for (ax, ay), (bx, by) in zip(kept, kept[1:] + kept[:1], strict=True)) / 2
    return min(area, 1 - area)


def _smaller_side_of(line: Polyline) -> float:
    """Return the same of a bent line, to a percent: by the side on which each of a grid's points lies."""
    grid = [(index + 0.5) / 50 for index in range(50)]
    positive = sum(line.distance(x, y) > 0 for x in grid for y in grid) / len(grid) ** 2
    return min(positive, 1 - positive)


def _parse_opening(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    faults = [days for days, spans in value.items() if not isinstance(days, str) or not isinstance(spans, str)]
    if faults:
        raise PydanticCustomError(
            "opening",
            'the times of {days} aren\'t text; write them in quotes, as "09:30-22:00"',
            {"days": str(faults[0])},
        )
    try:
        return OpeningHours.parse(value)
    except ValueError as exc:
        raise PydanticCustomError("opening", "{fault}", {"fault": str(exc)}) from exc


class Camera(_Section):
    """One camera and the lines in its picture."""

    source: Annotated[str, StringConstraints(min_length=1)] = Field(
        description="/dev/videoN for a V4L2 camera, csi:N for a Raspberry Pi camera, or the path of a clip"
    )
    size: tuple[Annotated[int, Field(ge=64, le=4096)], Annotated[int, Field(ge=64, le=4096)]] = Field(
        default=(640, 480), description="width and height to ask the camera for, px"
    )
    fps: Annotated[float, Field(ge=1, le=60)] = Field(
        default=15, description="pictures a second to ask for and look at"
    )
    lines: Annotated[dict[Name, Line], Field(min_length=1, max_length=8)] = Field(
        description="name: {from, to, inside}"
    )
    open: Annotated[OpeningHours | None, BeforeValidator(_parse_opening)] = Field(
        default=None, description="opening hours; the camera is closed outside them; absent = always open"
    )
    replay: Literal["pace", "fast"] = Field(
        default="pace", description="a clip: at its own pace, or as fast as it goes"
    )
    loop: bool = Field(default=False, description="a clip: begin again when it ends")

    @field_validator("lines")
    @classmethod
    def _told_apart(cls, lines: dict[str, Line]) -> dict[str, Line]:
        if len({line_key(name) for name in lines}) < len(lines):
            raise PydanticCustomError("line_key", "two lines' names stand for the same number; rename one of them")
        return lines


class Tls(_Section):
    """How to know the broker, and how it knows us. All optional."""

    ca_file: Path | None = Field(
        default=None, description="authority that signed the broker's certificate; absent = the system's"
    )
    cert_file: Path | None = Field(default=None, description="this box's certificate")
    key_file: Path | None = Field(default=None, description="this box's key")

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise PydanticCustomError("tls_pair", "`cert_file` and `key_file` come together; give both or neither")
        return self


def _parse_tls(value: object) -> object:
    return {} if value is True else None if value is False else value


class Broker(_Section):
    """Headquarters' MQTT broker."""

    host: Annotated[str, StringConstraints(min_length=1)] = Field(description="name or address")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(
        default=0, description="8883 with TLS, else 1883", validate_default=False
    )
    username: str | None = Field(default=None)
    password_file: Path | None = Field(default=None, description="file that holds the password; not readable by others")
    tls: Annotated[Tls | None, BeforeValidator(_parse_tls)] = Field(
        default=None,
        description="true, false or {ca_file, cert_file, key_file}; absent = true unless the broker is on this box",
    )
    protocol: Literal["5", "3.1.1"] = Field(default="5", description='MQTT version: "5" or "3.1.1"')
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = Field(
        default=60, description="a silent link is found dead after 1.5 times this"
    )

    @field_validator("protocol", mode="before")
    @classmethod
    def _number_or_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        filled = dict(value)
        filled.setdefault("tls", not _is_loopback(str(filled.get("host"))))
        filled.setdefault("port", 1883 if filled["tls"] is False else 8883)
        return filled

    @model_validator(mode="after")
    def _password_has_user(self) -> Self:
        if self.password_file is not None and self.username is None:
            raise PydanticCustomError("password_alone", "`password_file` needs a `username` beside it")
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Config(_Section):
    """The whole of footfall.yaml."""

    site: Name = Field(description="the shop's name in the topics")
    timezone: str = Field(description="the shop's time zone, as in Asia/Shanghai")
    cameras: Annotated[dict[Name, Camera], Field(min_length=1, max_length=8)] = Field(description="name: camera")
    broker: Broker
    ledger: Path = Field(default=Path("/var/lib/footfall/ledger.sqlite"), description="the ledger's file")
    tally_dir: Path = Field(default=Path("/run/footfall"), description="folder of the diodes, <camera>.tally")
    model: Path | None = Field(
        default=None, description="another head model's contract, head.json; absent = the shipped one"
    )

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError) as exc:
            raise PydanticCustomError(
                "timezone",
                '"{zone}" is no time zone{hint}',
                {
                    "zone": value,
                    "hint": _did_you_mean(value, zoneinfo.available_timezones()) or "; write one as in Europe/Berlin",
                },
            ) from exc
        return value

    def vision(self, camera: str) -> VisionSettings:
        """Return what the process that sees *camera* may know; ConfigError if there is no such camera."""
        settings = self.cameras.get(camera)
        if settings is None:
            known = ", ".join(self.cameras)
            raise ConfigError("config", [f'no camera is called "{camera}"; the config has: {known}'])
        return VisionSettings(
            name=camera,
            camera=settings,
            timezone=self.timezone,
            model=self.model,
            tally=self.tally_dir / f"{camera}.tally",
        )

    def publisher(self) -> PublisherSettings:
        """Return what the process that talks may know."""
        return PublisherSettings(
            site=self.site,
            timezone=self.timezone,
            cameras=tuple(
                CameraAccount(name, tuple(camera.lines), camera.open, self.tally_dir / f"{name}.tally")
                for name, camera in self.cameras.items()
            ),
            broker=self.broker,
            ledger=self.ledger,
            model=self.model,
        )


@dataclass(frozen=True, slots=True)
class VisionSettings:
    """The slice of the process that sees: no site, no broker, no ledger."""

    name: str
    camera: Camera
    timezone: str
    model: Path | None
    tally: Path


@dataclass(frozen=True, slots=True)
class CameraAccount:
    """What the publisher knows of a camera: its name, its lines' names, when it is open, where its diode is."""

    name: str
    lines: tuple[str, ...]
    open: OpeningHours | None
    tally: Path


@dataclass(frozen=True, slots=True)
class PublisherSettings:
    """The slice of the process that talks: no camera source, no geometry."""

    site: str
    timezone: str
    cameras: tuple[CameraAccount, ...]
    broker: Broker
    ledger: Path
    model: Path | None


def line(ends: Sequence[float], inside: Sequence[float]) -> Line:
    """
    Return the line from x1, y1 to x2, y2 with *inside* on the shop's side; all as shares of the picture.

    Raises:
        ConfigError: no such line can be.
    """
    try:
        return Line.model_validate({"from": list(ends[:2]), "to": list(ends[2:]), "inside": list(inside)})
    except ValidationError as exc:
        faults = [f"--line: {'.'.join(map(str, e['loc'])) or 'line'}: {_say(e)}" for e in exc.errors(include_url=False)]
        raise ConfigError("--line", faults) from exc


def load(path: Path) -> Config:
    """
    Read the config file at *path*.

    Raises:
        ConfigError: with every fault that the file has.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        cause = exc.strerror if isinstance(exc, OSError) else "it isn't UTF-8 text"
        raise ConfigError(path, [f"{path}: can't be read: {cause}; give another with --config"]) from exc
    return parse(text, path)


def parse(text: str, path: Path = Path("footfall.yaml")) -> Config:
    """Read a config from *text*; *path* is named in the complaints. Raises ConfigError."""
    try:
        document = _Document(text)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(path, [f"{where}: this isn't YAML: {exc.problem or exc.context}"]) from exc
    except yaml.YAMLError as exc:
        raise ConfigError(path, [f"{path}: this isn't YAML: {exc}"]) from exc
    complaints = [(line, f"{path}:{line}: {key}: {what}") for line, key, what in document.faults]
    try:
        config = Config.model_validate(document.value)
    except ValidationError as exc:
        for error in exc.errors(include_url=False):
            line, key = document.place(error["loc"])
            complaints.append((line, f"{path}:{line}: {key}: {_say(error)}"))
    else:
        if not complaints:
            return config
    raise ConfigError(path, [complaint for _, complaint in sorted(complaints)])


class _Document:
    """A YAML document as plain values, with the line on which each key stands."""

    def __init__(self, text: str) -> None:
        self.faults: list[tuple[int, str, str]] = []
        self._lines: dict[tuple[str, ...], int] = {}
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            self.value: Any = self._build(loader, node, ()) if node is not None else {}
        finally:
            loader.dispose()

    def _build(self, loader: yaml.SafeLoader, node: yaml.Node, path: tuple[str, ...]) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            loader.flatten_mapping(node)
            mapping: dict[Hashable, Any] = {}
            for key_node, value_node in node.value:
                key = loader.construct_object(key_node, deep=True)
                inner = (*path, str(key))
                if inner in self._lines:
                    line = key_node.start_mark.line + 1
                    self.faults.append(
                        (line, ".".join(inner), f"stands here twice, first on line {self._lines[inner]}; keep one")
                    )
                    continue
                self._lines[inner] = key_node.start_mark.line + 1
                mapping[str(key)] = self._build(loader, value_node, inner)
            return mapping
        if isinstance(node, yaml.SequenceNode):
            return [self._build(loader, item, (*path, str(index))) for index, item in enumerate(node.value)]
        return loader.construct_object(node, deep=True)

    def place(self, location: tuple[int | str, ...]) -> tuple[int, str]:
        """Return the line and the written key that are nearest to a validation error's *location*."""
        keys = tuple(str(part) for part in location if part != "[key]")
        nearest = keys
        while nearest and nearest not in self._lines:
            nearest = nearest[:-1]
        return self._lines.get(nearest, 1), ".".join(keys) or "the file"


_NOUNS = {"int": "a whole number", "float": "a number", "string": "text", "bool": "true or false", "path": "a path"}


def _say(error: ErrorDetails) -> str:
    """Return a sentence that says what is wrong and what to write instead."""
    kind, context, given = error["type"], error.get("ctx", {}), _show(error["input"])
    if kind == "extra_forbidden":
        return _say_unknown(error["loc"])
    if kind in ("tuple_type", "missing", "too_long", "too_short") and isinstance(error["input"], (list, tuple, str)):
        return f"must be two numbers, as in [0.5, 0.9], but is {given}"
    said = {
        "missing": "is needed here, but isn't there",
        "string_pattern_mismatch": "is no name; use lower-case letters, digits and dashes, at most 32, as in door-a",
        "string_too_short": "must not be empty",
        "greater_than_equal": f"must be at least {context.get('ge')}, but is {given}",
        "less_than_equal": f"must be at most {context.get('le')}, but is {given}",
        "literal_error": f"must be {context.get('expected')}, but is {given}",
        "too_short": "needs at least one entry",
        "too_long": f"has too many entries; at most {context.get('max_length')}",
        "tuple_type": f"must be two numbers, as in [640, 480], but is {given}",
    }
    if kind in said:
        return said[kind]
    if kind.startswith(("dict_", "model_")):
        return f"must be a section with keys of its own, but is {given}"
    noun = _NOUNS.get(kind.partition("_")[0])
    return f"must be {noun}, but is {given}" if noun else error["msg"]


def _say_unknown(location: tuple[int | str, ...]) -> str:
    """Return what to write instead of the unknown setting at *location*."""
    last, known = str(location[-1]), list(_keys_beside(location))
    return f'"{last}" is not a setting' + (_did_you_mean(last, known) or "; known here: " + ", ".join(known))


def _show(value: object) -> str:
    if value is None:
        return "empty"
    return json.dumps(value, default=str, ensure_ascii=False)


def _keys_beside(location: tuple[int | str, ...]) -> Iterator[str]:
    """Yield the settings that are known where *location*, that of an unknown one, stands."""
    section: Any = Config
    for part in location[:-1]:
        section = _section_below(section, str(part))
    if isinstance(section, type) and issubclass(section, BaseModel):
        for name, info in section.model_fields.items():
            yield info.alias or name


def _section_below(section: Any, key: str) -> Any:
    if not (isinstance(section, type) and issubclass(section, BaseModel)):
        return section
    for name, info in section.model_fields.items():
        if key in (name, info.alias):
            return _section_in(info.annotation)
    return section


def _section_in(annotation: Any) -> Any:
    """Return the section class inside an annotation: itself, in a dict's values, or optional."""
    for inner in (annotation, *typing.get_args(annotation)):
        if isinstance(inner, type) and issubclass(inner, _Section):
            return inner
    return annotation


def _did_you_mean(word: str, known: typing.Iterable[str]) -> str:
    folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(re.sub(r"\s+", "_", word.strip()).casefold(), folded, n=1, cutoff=0.6)
    return f'; did you mean "{folded[close[0]]}"?' if close else ""
