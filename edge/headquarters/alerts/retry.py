"""What webhook and mail share: few tries with pauses between them, whom to trust, and errors without secrets."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path

from edge.config.broker import Tls
from edge.config.credentials import context
from edge.core.errors import ConfigError, TlsFileError
from edge.core.printable import printable
from edge.headquarters.errors import TellingFailed

PAUSES_S = (2.0, 8.0)
"""Pauses before the second and the third try, s. What fails three times is told by the next run, if it still holds."""


def with_retries(attempt: Callable[[], None], pauses_s: tuple[float, ...] | None = None) -> None:
    """
    Run *attempt* until it succeeds, at most once more than there are pauses.

    Raises:
        TellingFailed: the last try failed, or one in a way that trying again can't change.
    """
    for pause_s in PAUSES_S if pauses_s is None else pauses_s:
        try:
            return attempt()
        except TellingFailed as exc:
            if not exc.may_pass:
                raise
        time.sleep(pause_s)
    return attempt()


def certified(ca_file: Path | None, key: str) -> ssl.SSLContext:
    """
    Return what a TLS connection is made with: 1.2 or newer, and the server's name is checked.

    Args:
        ca_file: The authority's certificate; None for the system's authorities.
        key: The setting that names it.

    Raises:
        ConfigError: the file can't be used.
    """
    try:
        return context(Tls.model_construct(ca_file=ca_file, cert_file=None, key_file=None))
    except TlsFileError as exc:
        raise ConfigError(key, [f"{key}: {ca_file}: {exc.cause}; {exc.advice}"]) from exc
    except OSError as exc:
        raise ConfigError(key, [f"{key}: {ca_file}: {exc.strerror}"]) from exc


def reason(error: Exception) -> str:
    """Return why a connection failed, in a few words of the system's; never what was sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return printable(error.strerror or type(error).__name__, 200)
    return type(error).__name__
