"""
What may stand behind the commands' arguments.

Each reader takes the text, and raises argparse.ArgumentTypeError, which says what is needed instead.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from datetime import date

from edge.core.clock import TrialClock


def numbers(count: int) -> Callable[[str], tuple[float, ...]]:
    """Return a reader of *count* numbers divided by commas."""

    def read(text: str) -> tuple[float, ...]:
        try:
            numbers = tuple(float(part) for part in text.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != count:
            raise argparse.ArgumentTypeError(f"{count} numbers are needed, divided by commas, not {text!r}")
        return numbers

    return read


def number(least: float, most: float) -> Callable[[str], float]:
    """Return a reader of a number from *least* to *most*."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"a number from {least:g} to {most:g} is needed, not {text!r}")
        return number

    return read


def trial_clock(spec: str) -> TrialClock:
    """Return the clock of a trial, as `TrialClock.from_spec` reads it."""
    try:
        return TrialClock.from_spec(spec)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def day(text: str) -> date:
    """Return a day, as in 2026-11-24."""
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"a day is needed, as in 2026-11-24, not {text!r}") from exc


def camera_descriptor(text: str) -> tuple[str, int]:
    """Return CAMERA=FD as a camera's name and a file descriptor."""
    camera, _, descriptor = text.rpartition("=")
    if not descriptor.isdecimal():
        raise argparse.ArgumentTypeError(f"CAMERA=FD is needed, as in door=3, not {text!r}")
    return camera, int(descriptor)


def days(text: str) -> int:
    """Return how many days, 1 to 366."""
    number = int(text)
    if not 1 <= number <= 366:  # noqa: PLR2004 - a year
        raise argparse.ArgumentTypeError(f"1 to 366 days, not {number}")
    return number


def name(text: str) -> str:
    """Return a collector's name."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", text):
        raise argparse.ArgumentTypeError(f"a name has 1 to 32 letters, digits, dashes, not {text!r}")
    return text
