"""The section of one camera: where its pictures come from, its lines, when it is open."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)

from edge.config.line import Lines
from edge.config.opening_hours import OpeningHours
from edge.config.section import Section, beside, refusal

_Side = Annotated[int, Field(ge=64, le=4096, strict=True)]

_NO_SECOND_NETWORK = "use a USB or CSI camera: one with a network of its own could send pictures past the seal"


def _parse_source(value: object) -> object:
    """Refuse what people write for a camera, and say what to write instead; a number is a V4L2 device's."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return value
    if match := re.fullmatch(r"(?:video)?(\d+)", value):
        raise refusal(f'"{value}" is no camera', f"did you mean /dev/video{match[1]}?")
    if (match := re.fullmatch(r"csi[: ]*(\d*)", value, re.IGNORECASE)) and not re.fullmatch(r"csi:\d+", value):
        raise refusal(f'"{value}" is no camera', f"did you mean csi:{match[1] or 0}?")
    scheme, divider, rest = value.partition("://")
    if divider and scheme.lower() == "file":
        raise refusal("a clip is named by its path, not by an address", f"write {rest}")
    if divider:
        raise refusal("network cameras aren't supported", _NO_SECOND_NETWORK)
    return value


def _place_source(source: str, info: ValidationInfo) -> str:
    """Return the source; a clip's relative path is taken from the config file's folder."""
    if source.startswith(("/dev/", "csi:")):
        return source
    path = beside(source, info)
    if path.is_dir():
        raise refusal(f"{source} is a folder", "name one clip in it, or a camera such as /dev/video0")
    return str(path)


def _parse_opening(value: object) -> object:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise refusal('must be days and their times, as in {mon-sat: "09:30-22:00"}')
    unquoted = [days for days, spans in value.items() if not isinstance(spans, str)]
    if unquoted:
        raise refusal(f"the times of {unquoted[0]} aren't text", 'write them in quotes, as "09:30-22:00"')
    try:
        hours = OpeningHours.parse(value)
    except ValueError as exc:
        raise refusal(*exc.args) from exc
    if not hours.spans:
        raise refusal("the shop would never open", "name a day and its times, or leave `open` out: always open")
    return hours


SLOWEST_FPS = 4.0
"""People can't be followed by fewer pictures a second than this: they step too far from one to the next."""


class Camera(Section):
    """One camera and the lines in its picture."""

    source: Annotated[
        str, StringConstraints(min_length=1), BeforeValidator(_parse_source), AfterValidator(_place_source)
    ] = Field(
        description="`/dev/videoN` or `/dev/v4l/by-id/…` for a V4L2 camera, `csi:N` for a Raspberry Pi camera, or the "
        "path of a clip; a relative one is taken from this file's folder",
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
        WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1}),
    ] = Field(
        default=None,
        description='opening hours by day; outside them the camera is closed. `fri: "20:00-02:00"` runs past midnight, '
        "commas divide several spans, a day that isn't named, or is `closed`, is closed",
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

    @property
    def clip(self) -> Path | None:
        """The clip that gives its pictures; None for a camera."""
        return None if self.live or self.helped else Path(self.source)

    @property
    def device(self) -> str | None:
        """The device that only one camera can have; None for a clip."""
        return str(Path(self.source).resolve()) if self.live else self.source if self.helped else None
