"""
The errors that only headquarters raises, and the exit code that each one ends a process with; see `edge.core.errors`.

::

    EdgeError
      HourUnfit (ValueError)                 handled inside: headquarters puts the message into quarantine
      StoreError                        74
        StoreUnusable (OSError)              the store of hours can't be opened, read or written
      TellingFailed                     75   the webhook or the mail server did not take what was to be told
      RehearsalFailed                    1   `simulate`: hours were lost or doubled, or it took too long
"""

from __future__ import annotations

from edge.core.errors import EdgeError

REASONS = (
    "topic", "oversized", "garbage", "invalid", "schema", "names", "future", "ancient", "revision", "offset", "edges",
    "overlap", "conflict", "trial", "test", "unstorable",
)  # fmt: skip
"""Why a message goes into quarantine: every `HourUnfit.reason` that there is."""


class HourUnfit(EdgeError, ValueError):
    """
    What came on a topic isn't an hour that can be stored.

    Attributes:
        reason: One word of `REASONS`, what the quarantine is sorted by.
        detail: What exactly, in a sentence.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(detail, subject=reason)


class StoreError(EdgeError):
    """Headquarters' store can't be used."""

    exit_code = 74


class StoreUnusable(StoreError, OSError):
    """It can't be opened, read or written."""

    def __init__(self, store: str, cause: str, advice: str = "") -> None:
        super().__init__(cause, advice, subject=f"store {store}")


class TellingFailed(EdgeError):
    """
    A webhook or a mail server did not take what was to be told. The message names the server, and no secret.

    Attributes:
        may_pass: Whether the same may succeed a moment later.
    """

    exit_code = 75

    def __init__(self, server: str, cause: str, advice: str = "", *, may_pass: bool = True) -> None:
        self.may_pass = may_pass
        super().__init__(cause, advice, subject=server)


class RehearsalFailed(EdgeError):
    """The simulated boxes' hours did not all arrive, each once."""
