"""
The webhook: changes as JSON, by POST. Neither its address nor its token ever reaches a log.

No redirect is followed: the token would go along to whoever the server names.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import urllib.parse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from edge import __version__
from edge.config.credentials import read_secret
from edge.headquarters.alerts.change import Change
from edge.headquarters.alerts.retry import certified, reason, with_retries
from edge.headquarters.alerts.settings import Webhook
from edge.headquarters.errors import TellingFailed
from edge.web.language import Language

MOST_CHANGES = 200
"""A message has no more changes; further ones go in the next."""
_TIMEOUT_S = 10.0
"""The server must answer within this, s."""
_MAY_PASS = (408, 425, 429)
"""Refusals besides those from 500 on that may pass."""
_ACCEPTED = range(200, 300)
_SERVERS_FAULT = 500


class WebhookChannel:
    """A webhook that takes changes."""

    name = "webhook"
    most = MOST_CHANGES

    def __init__(self, settings: Webhook, words: Language) -> None:
        self._settings = settings
        self._words = words

    def tell(self, changes: Sequence[Change], now: datetime) -> None:
        """
        Send *changes* in one message.

        Raises:
            TellingFailed: the server did not take it, after three tries.
                PasswordFileError, ConfigError: the token's or the authority's file can't be used.
        """
        self._post(
            {
                "schema": 1,
                "sent": now.astimezone(UTC).isoformat(timespec="seconds"),
                "changes": [change.as_json(self._words) for change in changes],
            }
        )

    def test(self, now: datetime) -> None:
        """Send a message without changes, so that a person sees that the way works; raises as :meth:`tell`."""
        self._post(
            {"schema": 1, "sent": now.astimezone(UTC).isoformat(timespec="seconds"), "test": True, "changes": []}
        )

    def _post(self, message: dict[str, Any]) -> None:
        body = json.dumps(message, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", "User-Agent": f"footfall-edge/{__version__}"}
        if self._settings.token_file is not None:
            headers["Authorization"] = f"Bearer {read_secret(self._settings.token_file, 'webhook.token')}"
        trusted = certified(self._settings.ca_file, "webhook.ca_file") if self._settings.is_tls else None
        with_retries(lambda: self._try(body, headers, trusted))

    def _try(self, body: bytes, headers: dict[str, str], trusted: ssl.SSLContext | None) -> None:
        parts = urllib.parse.urlsplit(self._settings.url)
        server = f"webhook {self._settings.host}"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if trusted is None:
            connection = http.client.HTTPConnection(self._settings.host, parts.port, timeout=_TIMEOUT_S)
        else:
            connection = http.client.HTTPSConnection(
                self._settings.host, parts.port, timeout=_TIMEOUT_S, context=trusted
            )
        with contextlib.closing(connection):
            try:
                connection.request("POST", path, body, headers)
                status = connection.getresponse().status
            except (OSError, http.client.HTTPException) as exc:
                raise TellingFailed(server, f"it does not answer: {reason(exc)}") from exc
            except ValueError:
                raise TellingFailed(
                    server, "the token can't be sent", "write it alone into its file, in ASCII", may_pass=False
                ) from None
        if status not in _ACCEPTED:
            may_pass = status >= _SERVERS_FAULT or status in _MAY_PASS
            raise TellingFailed(server, f"it answers with the status {status}", may_pass=may_pass)
