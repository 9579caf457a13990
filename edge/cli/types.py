"""
What the commands' options and arguments hold.

Each reader takes the text as it was typed, and raises ValueError, which says what is needed instead.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import click

from edge.core.clock import TrialClock

FILE = click.Path(path_type=Path)
"""A file or folder, which the command opens itself."""

_MOST_DAYS = 366
"""Days that one report may cover: a leap year."""


class Reader(click.ParamType[object]):
    """An option's type: *read* makes the value from the text; *name* is shown in the help."""

    def __init__(self, name: str, read: Callable[[str], object]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Return the value; a default that isn't text is one already."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


def numbers(count: int) -> Reader:
    """Return the type of *count* numbers separated by commas."""

    def read(text: str) -> tuple[float, ...]:
        try:
            numbers = tuple(float(part) for part in text.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != count:
            raise ValueError(f"{count} numbers are needed, divided by commas, not {text!r}")
        return numbers

    return Reader("numbers", read)


def number(least: float, most: float) -> Reader:
    """Return the type of a number from *least* to *most*."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise ValueError(f"a number from {least:g} to {most:g} is needed, not {text!r}")
        return number

    return Reader("number", read)


def whole(least: int, most: int) -> Reader:
    """Return the type of a whole number from *least* to *most*."""

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ValueError(f"a whole number from {least} to {most} is needed, not {text!r}")
        return int(text)

    return Reader("number", read)


def _read_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise ValueError(f"a day is needed, as in 2026-11-24, not {text!r}") from exc


def _read_camera_descriptor(text: str) -> tuple[str, int]:
    camera, _, descriptor = text.rpartition("=")
    if not descriptor.isdecimal():
        raise ValueError(f"CAMERA=FD is needed, as in door=3, not {text!r}")
    return camera, int(descriptor)


def _read_days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_DAYS:
        raise ValueError(f"1 to {_MOST_DAYS} days are needed, not {text!r}")
    return int(text)


def _read_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", text):
        raise ValueError(f"a name has 1 to 32 letters, digits, dashes, not {text!r}")
    return text


def _read_moment(text: str) -> date | datetime:
    for read in (date.fromisoformat, datetime.fromisoformat):
        with contextlib.suppress(ValueError):
            found = read(text)
            if not isinstance(found, datetime) or found.tzinfo is None:
                return found
    raise ValueError(f"a day as 2026-11-16, or a shop's local time as 2026-11-16T14:00, is needed, not {text!r}")


MOMENT = Reader("moment", _read_moment)
"""A day, or a moment of a shop's local time."""
DAY = Reader("day", _read_day)
"""A day, as in 2026-11-24."""
DAYS = Reader("days", _read_days)
"""How many days, 1 to 366."""
NAME = Reader("name", _read_name)
"""A collector's name."""
CAMERA_DESCRIPTOR = Reader("camera=fd", _read_camera_descriptor)
"""CAMERA=FD: a camera's name, and the file descriptor of its diode."""
TRIAL_CLOCK = Reader("spec", TrialClock.from_spec)
"""The clock of a trial, as `TrialClock.from_spec` reads it."""
