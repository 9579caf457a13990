"""What every section of footfall.yaml is made of: its base class, names, shares, and paths relative to the file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo
from pydantic_core import PydanticCustomError

from edge.core.topics import NAME_PATTERN

Name = Annotated[str, StringConstraints(pattern=f"^{NAME_PATTERN}$")]
"""A name of the technician's own, as it stands in topics and in the names of units."""

Fraction = Annotated[float, Field(ge=0.0, le=1.0, strict=True)]
Point = tuple[Fraction, Fraction]
"""x and y as shares of the picture's width and height; x to the right, y DOWN."""

SHARES: dict[str, Any] = {"unit": "shares of width and height"}
"""What the reference says beside a point: its unit."""


class Section(BaseModel):
    """Base of every section: unknown keys are refused, and nothing changes after it was read."""

    # Each section is compiled when it is first read alone: a service reads the whole, and needs no other.
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=False, hide_input_in_errors=True, defer_build=True
    )


def refusal(cause: str, advice: str = "") -> PydanticCustomError:
    """Return what a validator raises: *cause* is what is wrong, *advice* what to write instead."""
    return PydanticCustomError("refused", "{cause}", {"cause": cause, "advice": advice})


def beside(path: str | Path, info: ValidationInfo) -> Path:
    """Return *path*; a relative one is taken from the folder of the config file, where that is known."""
    if str(path).startswith("~"):
        raise refusal(f"must be a whole path, but is {path}", "write the folder that `~` stands for, as in /home/pi")
    folder: Path | None = (info.context or {}).get("folder")
    return Path(path) if folder is None else folder / path


FilePath = Annotated[Path, AfterValidator(beside)]
"""The path of a file; a relative one is taken from the config file's folder."""
