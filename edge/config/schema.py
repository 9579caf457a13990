"""
footfall.yaml -> frozen settings; each process is handed only its own slice.

Every fault of a file is found at once, each with file:line, key, what is wrong and what to write instead.
"""

from __future__ import annotations

import ipaddress
import math
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from edge.config.geometry import Polyline
from edge.config.messages import did_you_mean, faults, say
from edge.config.opening_hours import OpeningHours
from edge.config.yaml_lines import Document
from edge.core.errors import ConfigError
from edge.core.tally import line_key
from edge.core.topics import NAME_PATTERN

DEFAULT_PATH = Path("/etc/footfall/footfall.yaml")

_SMALLEST_SIDE = 0.04
"""A line must leave this share of the picture on each side: a head nearer to the edge is never seen whole."""
_SHORTEST_LINE = 0.02
_CLEAR_OF_LINE = 0.01
_MOST_CORNERS = 8

Name = Annotated[str, StringConstraints(pattern=f"^{NAME_PATTERN}$")]
Fraction = Annotated[float, Field(ge=0.0, le=1.0, strict=True)]
Point = tuple[Fraction, Fraction]
"""x and y as shares of the picture's width and height; x to the right, y DOWN."""


_SHARES: dict[str, Any] = {"unit": "shares of width and height"}
"""Beside each key: its unit; what its absence means, where its default doesn't tell; a name for what it holds."""

_Side = Annotated[int, Field(ge=64, le=4096, strict=True)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False, hide_input_in_errors=True)


class Line(_Section):
    """
    A threshold across the picture.

    A head that comes from the other side to the side of *inside* counts as in.
    """

    start: Point = Field(
        alias="from",
        description="one end of the line; x to the right, y down",
        examples=[[0.10, 0.55]],
        json_schema_extra=_SHARES,
    )
    end: Point = Field(alias="to", description="the other end", examples=[[0.90, 0.55]], json_schema_extra=_SHARES)
    via: tuple[Point, ...] = Field(
        default=(),
        description="points between the ends, in order, where the threshold is curved",
        examples=[[[0.50, 0.60]]],
        json_schema_extra={**_SHARES, "absent": "straight"},
    )
    inside: Point = Field(
        description="any point of the picture on the shop's side of the line",
        examples=[[0.50, 0.90]],
        json_schema_extra=_SHARES,
    )

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


def _told_apart(lines: dict[str, Line]) -> dict[str, Line]:
    if len({line_key(name) for name in lines}) < len(lines):
        raise PydanticCustomError("line_key", "two lines' names stand for the same number; rename one of them")
    return lines


Lines = Annotated[dict[Name, Line], Field(min_length=1, max_length=8), AfterValidator(_told_apart)]
_LINES: TypeAdapter[dict[str, Line]] = TypeAdapter(Lines)


def _parse_opening(value: object) -> object:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise PydanticCustomError(
            "opening", "must be days and their times, as in {example}", {"example": '{mon-sat: "09:30-22:00"}'}
        )
    unquoted = [days for days, spans in value.items() if not isinstance(days, str) or not isinstance(spans, str)]
    if unquoted:
        raise PydanticCustomError(
            "opening",
            'the times of {days} aren\'t text; write them in quotes, as "09:30-22:00"',
            {"days": str(unquoted[0])},
        )
    try:
        return OpeningHours.parse(value)
    except ValueError as exc:
        raise PydanticCustomError("opening", "{fault}", {"fault": str(exc)}) from exc


class Camera(_Section):
    """One camera and the lines in its picture."""

    source: Annotated[str, StringConstraints(min_length=1)] = Field(
        description="`/dev/videoN` for a V4L2 camera, `csi:N` for a Raspberry Pi camera, or the path of a clip",
        examples=["/dev/video0"],
    )
    size: tuple[_Side, _Side] = Field(
        default=(640, 480),
        description="width and height to ask the camera for; `csi:` needs a width that divides by 64",
        examples=[[640, 480]],
        json_schema_extra={"unit": "px"},
    )
    fps: Annotated[float, Field(ge=1, le=60, strict=True)] = Field(
        default=15,
        description="pictures a second to ask for and look at",
        examples=[15],
        json_schema_extra={"unit": "pictures a second"},
    )
    lines: Lines = Field(description="the lines across the picture, by name", json_schema_extra={"name": "entrance"})
    open: Annotated[
        OpeningHours | None,
        BeforeValidator(_parse_opening),
        WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}}),
    ] = Field(
        default=None,
        description='opening hours by day; outside them the camera is closed. `fri: "20:00-02:00"` runs past midnight, '
        "commas divide several spans, a day that isn't named is closed",
        examples=[{"mon-sat": "09:30-22:00", "sun": "10:00-20:00"}],
        json_schema_extra={"unit": "shop's time", "absent": "always open"},
    )
    replay: Literal["pace", "fast"] = Field(
        default="pace", description="a clip: at its own pace, or as fast as it goes", examples=["pace"]
    )
    loop: bool = Field(default=False, strict=True, description="a clip: begin again when it ends", examples=[False])

    @property
    def live(self) -> bool:
        """Whether it is a device, which may be unplugged and come back."""
        return self.source.startswith("/dev/")

    @property
    def helped(self) -> bool:
        """Whether another program gives its pictures."""
        return self.source.startswith("csi:")


class Tls(_Section):
    """How to know the broker, and how it knows us. All optional."""

    ca_file: Path | None = Field(
        default=None,
        description="authority that signed the broker's certificate",
        examples=["/etc/footfall/ca.pem"],
        json_schema_extra={"absent": "the system's"},
    )
    cert_file: Path | None = Field(
        default=None,
        description="this box's certificate; goes with `key_file`",
        examples=["/etc/footfall/box.pem"],
        json_schema_extra={"absent": "none"},
    )
    key_file: Path | None = Field(
        default=None,
        description="this box's key",
        examples=["/etc/footfall/box.key"],
        json_schema_extra={"absent": "none"},
    )

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise PydanticCustomError("tls_pair", "`cert_file` and `key_file` come together; give both or neither")
        return self


def _parse_tls(value: object) -> object:
    return {} if value is True else None if value is False else value


class Broker(_Section):
    """Headquarters' MQTT broker."""

    host: Annotated[str, StringConstraints(min_length=1)] = Field(
        description="its name or address", examples=["mqtt.example.com"]
    )
    port: Annotated[int, Field(ge=1, le=65535, strict=True)] = Field(
        default=0,
        description="its port",
        examples=[8883],
        json_schema_extra={"absent": "8883 with TLS, else 1883"},
        validate_default=False,
    )
    username: str | None = Field(
        default=None, description="who we are", examples=["sh-023"], json_schema_extra={"absent": "nobody"}
    )
    password_file: Path | None = Field(
        default=None,
        description="file that holds the password; nobody but its owner may read it",
        examples=["/etc/footfall/mqtt.password"],
        json_schema_extra={"absent": "no password"},
    )
    tls: Annotated[Tls | None, BeforeValidator(_parse_tls)] = Field(
        default=None,
        description="`true`, `false` or a section with the three keys below",
        json_schema_extra={"absent": "`true`, but `false` when the broker is on this box"},
    )
    protocol: Literal["5", "3.1.1"] = Field(default="5", description="MQTT version", examples=["5"])
    keepalive_s: Annotated[int, Field(ge=5, le=3600, strict=True)] = Field(
        default=60,
        description="a silent link is found dead after 1.5 times this",
        examples=[60],
        json_schema_extra={"unit": "s"},
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
        filled.setdefault("tls", not is_loopback(str(filled.get("host"))))
        filled.setdefault("port", 1883 if filled["tls"] is False else 8883)
        return filled

    @model_validator(mode="after")
    def _password_has_user(self) -> Self:
        if self.password_file is not None and self.username is None:
            raise PydanticCustomError("password_alone", "`password_file` needs a `username` beside it")
        return self


def is_loopback(host: str) -> bool:
    """Tell whether *host* is this box itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Config(_Section):
    """The whole of footfall.yaml."""

    site: Name = Field(description="the shop's name in the topics", examples=["sh-023"])
    timezone: str = Field(description="the shop's time zone; the hours' edges follow it", examples=["Asia/Shanghai"])
    cameras: Annotated[dict[Name, Camera], Field(min_length=1, max_length=8)] = Field(
        description="the cameras, by name", json_schema_extra={"name": "door-a"}
    )
    broker: Broker = Field(description="headquarters' MQTT broker")
    ledger: Path = Field(
        default=Path("/var/lib/footfall/ledger.sqlite"),
        description="the only state on disk",
        examples=["/var/lib/footfall/ledger.sqlite"],
    )
    tally_dir: Path = Field(
        default=Path("/run/footfall"),
        description="folder of the diodes, one FIFO `<camera>.tally` each",
        examples=["/run/footfall"],
    )
    model: Path | None = Field(
        default=None,
        description="another head model's contract, `head.json`",
        examples=["/opt/heads/head.json"],
        json_schema_extra={"absent": "the shipped one"},
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
                    "hint": did_you_mean(value, zoneinfo.available_timezones()) or "; write one as in Europe/Berlin",
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

    def beyond_reload(self, new: VisionSettings) -> list[str]:
        """Return the keys in which *new* differs and which only a new process can take up: all but `lines`, `open`."""
        live = {"lines", "open"}
        keys = [
            key
            for key in Camera.model_fields
            if key not in live and getattr(new.camera, key) != getattr(self.camera, key)
        ]
        return (
            keys + (["model"] if new.model != self.model else []) + (["tally_dir"] if new.tally != self.tally else [])
        )


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

    def beyond_reload(self, new: PublisherSettings) -> list[str]:
        """Return the keys in which *new* differs and which only a new process can take up: all but `lines`, `open`."""
        keys = ("site", "timezone", "broker", "ledger", "model")
        differing = [key for key in keys if getattr(new, key) != getattr(self, key)]
        if [camera.name for camera in new.cameras] != [camera.name for camera in self.cameras]:
            return [*differing, "cameras"]
        moved = [camera.tally for camera in new.cameras] != [camera.tally for camera in self.cameras]
        return differing + (["tally_dir"] if moved else [])


def line(ends: Sequence[float], inside: Sequence[float]) -> Line:
    """
    Return the line from x1, y1 to x2, y2 with *inside* on the shop's side; all as shares of the picture.

    Raises:
        ConfigError: no such line can be.
    """
    try:
        return Line.model_validate({"from": list(ends[:2]), "to": list(ends[2:]), "inside": list(inside)})
    except ValidationError as exc:
        said = [f"--line: {'.'.join(map(str, e['loc'])) or 'line'}: {say(e, Line)}" for e in faults(exc)]
        raise ConfigError("--line", said) from exc


def lines(raw: Mapping[str, object]) -> dict[str, Line]:
    """
    Return the lines of a camera from *raw*, values as the file holds them.

    Raises:
        ConfigError: with every fault, each after the name of its line.
    """
    try:
        return _LINES.validate_python(raw)
    except ValidationError as exc:
        said = [f"{error['loc'][0] if error['loc'] else 'lines'}: {say(error, Line)}" for error in faults(exc)]
        raise ConfigError("lines", said) from exc


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
        document = Document(text)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(
            path, [f"{where}: this isn't YAML: {', '.join(filter(None, (exc.context, exc.problem)))}"]
        ) from exc
    except yaml.reader.ReaderError as exc:
        where = f"{path}:{text.count(chr(10), 0, exc.position) + 1}"
        raise ConfigError(path, [f"{where}: this isn't YAML: it holds the character {exc.character:#x}"]) from exc
    except RecursionError as exc:
        raise ConfigError(path, [f"{path}: sections stand in sections without end; write it without `*`"]) from exc
    complaints = [(line, f"{path}:{line}: {key}: {what}") for line, key, what in document.faults]
    try:
        config = Config.model_validate(document.value)
    except ValidationError as exc:
        for error in faults(exc):
            line, key = document.place(error["loc"])
            complaints.append((line, f"{path}:{line}: {key}: {say(error, Config)}"))
    else:
        if not complaints:
            return config
    raise ConfigError(path, [complaint for _, complaint in sorted(complaints)])
