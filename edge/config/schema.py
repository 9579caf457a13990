"""
footfall.yaml -> frozen settings; each process is handed only its own slice.

Every fault of a file is found at once, each with file:line, key, what is wrong and what to write instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import yaml
from pydantic import AfterValidator, Field, ValidationError, field_validator

from edge.config.broker import Broker, Tls, is_loopback
from edge.config.camera import Camera
from edge.config.line import LINES, Line
from edge.config.messages import did_you_mean, explain, faults
from edge.config.opening_hours import OpeningHours
from edge.config.section import FilePath, Name, Section, refusal
from edge.config.yaml_lines import Document
from edge.core.config_message import ConfigMessage
from edge.core.errors import ConfigError
from edge.core.time_zone import is_time_zone, time_zones

__all__ = [
    "DEFAULT_LEDGER", "Broker", "Camera", "CameraAccount", "Config", "Line", "PublisherSettings", "Tls",
    "VisionSettings", "is_loopback", "line", "lines", "load", "parse", "parse_as",
    "read_text",
]  # fmt: skip


_Root = TypeVar("_Root", bound=Section)

DEFAULT_LEDGER = Path("/var/lib/footfall/ledger.sqlite")
"""The ledger of an installed box."""


def _each_its_own(cameras: dict[str, Camera]) -> dict[str, Camera]:
    """Refuse a device that two cameras name: it can be opened once."""
    owners: dict[str, str] = {}
    for name, camera in cameras.items():
        if camera.device is not None and (owner := owners.setdefault(camera.device, name)) != name:
            raise refusal(
                f"{owner} and {name} have the same `source`, {camera.source}, which can be opened once",
                "name another camera, or draw both lines in one",
            )
    return cameras


class Config(Section):
    """The whole of footfall.yaml."""

    site: Name = Field(description="the shop's name in the topics", examples=["sh-023"])
    timezone: str = Field(description="the shop's time zone; the hours' edges follow it", examples=["Asia/Shanghai"])
    cameras: Annotated[dict[Name, Camera], Field(min_length=1, max_length=8), AfterValidator(_each_its_own)] = Field(
        description="the cameras, by name", json_schema_extra={"name": "door-a"}
    )
    broker: Broker = Field(description="headquarters' MQTT broker")
    ledger: FilePath = Field(
        default=DEFAULT_LEDGER,
        description="the only state on disk",
        examples=["/var/lib/footfall/ledger.sqlite"],
    )
    tally_dir: FilePath = Field(
        default=Path("/run/footfall"),
        description="folder of the diodes, one FIFO `<camera>.tally` each",
        examples=["/run/footfall"],
    )
    model: FilePath | None = Field(
        default=None,
        description="another head model's contract, `head.json`",
        examples=["/opt/heads/head.json"],
        json_schema_extra={"absent": "the shipped one"},
    )

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        if not is_time_zone(value):
            raise refusal(f'"{value}" is no IANA time zone', _advise_zone(value))
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
        said = [
            ConfigMessage(*explain(e, Line), key=".".join(map(str, e["loc"])) or "line", place="--line")
            for e in faults(exc)
        ]
        raise ConfigError("--line", said) from exc


def lines(raw: Mapping[str, object]) -> dict[str, Line]:
    """
    Return the lines of a camera from *raw*, values as the file holds them.

    Raises:
        ConfigError: with every fault, each under the name of its line.
    """
    try:
        return LINES.validate_python(raw)
    except ValidationError as exc:
        said = [
            ConfigMessage(*explain(error, Line), key=str(error["loc"][0]) if error["loc"] else "lines")
            for error in faults(exc)
        ]
        raise ConfigError("lines", said) from exc


def load(path: Path) -> Config:
    """
    Read the config file at *path*.

    Raises:
        ConfigError: with every fault that the file has.
    """
    return parse(read_text(path, "give another with --config"), path)


def read_text(path: Path, advice: str = "") -> str:
    """
    Return the text of the file at *path* with each character as it is there: ends of lines and a BOM stay.

    Raises:
        ConfigError: it can't be read; gives *advice*.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        message = ConfigMessage(f"can't be read: {exc.strerror}", advice, place=str(path))
        raise ConfigError(path, [message]) from exc
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        from edge.config import yaml_faults

        raise ConfigError(path, [yaml_faults.explain_encoding(data, exc, path)]) from exc


def parse(text: str, path: Path = Path("footfall.yaml")) -> Config:
    """Read a config from *text*; see :func:`parse_as`."""
    return parse_as(Config, text, path)


def parse_as(root: type[_Root], text: str, path: Path) -> _Root:
    """
    Read any file that is made of sections from *text*.

    Args:
        root: The section that is the whole file.
        text: The file.
        path: Where it stands: named in messages, and its folder is where relative paths begin.

    Raises:
        ConfigError: with every fault that the text has.
    """
    try:
        document = Document(text)
    except (yaml.MarkedYAMLError, yaml.reader.ReaderError) as exc:
        from edge.config import yaml_faults

        raise ConfigError(path, [yaml_faults.explain(exc, text, path)]) from exc
    except RecursionError as exc:
        message = ConfigMessage("sections stand in sections without end", "write it without `*`", place=str(path))
        raise ConfigError(path, [message]) from exc
    try:
        config = root.model_validate(document.value, context={"folder": path.absolute().parent})
    except ValidationError as exc:
        raise ConfigError(path, _in_order([*_doubled(document), *_wrong(document, exc, root)], path)) from exc
    if document.faults:
        raise ConfigError(path, _in_order(_doubled(document), path))
    return config


_Placed = tuple[int, str, str, str]
"""A fault: line of the file, key, cause, advice."""


def _doubled(document: Document) -> Iterator[_Placed]:
    for number, key, first in document.faults:
        yield number, key, f"stands here twice, first on line {first}", "keep one"


def _wrong(document: Document, exc: ValidationError, root: type[Section]) -> Iterator[_Placed]:
    for error in faults(exc):
        cause, advice = explain(error, root, document.written(error["loc"]))
        if error["type"] == "extra_forbidden" and (section := document.empty_before(error["loc"])) is not None:
            advice = f"indent it further if it belongs to `{section}`"
        yield (*document.place(error["loc"]), cause, advice)


def _in_order(found: Iterable[_Placed], path: Path) -> list[ConfigMessage]:
    return [
        ConfigMessage(cause, advice, key=key, place=f"{path}:{number}") for number, key, cause, advice in sorted(found)
    ]


def _advise_zone(written: str) -> str:
    """Return the time zone that was meant, or how one is written."""
    name = written.removeprefix("posix/").removeprefix("right/")
    known = time_zones()
    ends = sorted(zone for zone in known if zone.casefold().endswith(f"/{name.casefold().replace(' ', '_')}"))
    if name in known or ends:
        return f'did you mean "{name if name in known else ends[0]}"?'
    return did_you_mean(name, known) or "write one as in Europe/Berlin"
