"""One line of `check` and its like: what was looked at, how it stands, what was found, what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.text import Text

State = Literal["ok", "warn", "fail"]

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """
    One line.

    Attributes:
        what: What was looked at.
        state: ok; warn: it counts, but somebody should look; fail: it doesn't count, or nobody hears of it.
        found: What was found.
        advice: What to do; empty when there is nothing to do.
    """

    what: str
    state: State
    found: str
    advice: str = ""


def ok(what: str, found: str) -> CheckResult:
    """Return a result that needs nothing done."""
    return CheckResult(what, "ok", found)


def warn(what: str, found: str, advice: str) -> CheckResult:
    """Return a result that somebody should look at."""
    return CheckResult(what, "warn", found, advice)


def fail(what: str, found: str, advice: str) -> CheckResult:
    """Return a result with which the box is not ready."""
    return CheckResult(what, "fail", found, advice)


def show(out: Console, result: CheckResult) -> None:
    """Print one line of a check, and below it what to do."""
    advice = f"\n      -> {result.advice}" if result.advice else ""
    out.print(
        Text.assemble(
            (f"{result.state:<4}", _STYLES[result.state]),
            "  ",
            (f"{result.what}: ", "dim"),
            result.found,
            (advice, "bold"),
        )
    )
