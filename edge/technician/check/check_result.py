"""One line of a check: what was looked at, how it stands, what was found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


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


Finding = CheckResult
"""The name under which the broker's part of `check` still knows it."""
