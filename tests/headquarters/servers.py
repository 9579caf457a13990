"""Real servers on loopback that take what headquarters tells: HTTP and SMTP, with and without TLS."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from edge.headquarters import broker_certificates
from tests.publisher.rig import free_port

USER, PASSWORD = "hq", "s3cret-of-the-mail-server"


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Return what a server named localhost identifies itself with, and its authority's certificate."""
    folder.mkdir(mode=0o700)
    broker_certificates.make(folder, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "broker.pem", folder / "broker.key")
    return context, folder / "ca.pem"


class Hook:
    """A webhook's server: keeps each request, and answers with the next of *answers*, then with 204."""

    def __init__(
        self, *answers: int, context: ssl.SSLContext | None = None, location: str = "", host: str = "127.0.0.1"
    ) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.answers = list(answers)
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.requests.append((self.path, dict(self.headers), json.loads(body)))
                self.send_response(hook.answers.pop(0) if hook.answers else 204)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Kind and state of each change that was told."""
        return [(one["kind"], one["state"]) for _, _, message in self.requests for one in message["changes"]]

    def close(self) -> None:
        """Take no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextlib.contextmanager
def hook(
    *answers: int, context: ssl.SSLContext | None = None, location: str = "", host: str = "127.0.0.1"
) -> Iterator[Hook]:
    """Give a webhook's server."""
    made = Hook(*answers, context=context, location=location, host=host)
    try:
        yield made
    finally:
        made.close()


class Mailbox:
    """What a mail server has taken: each mail with the mailboxes that it was for."""

    def __init__(self, unknown: str = "") -> None:
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.tried = 0
        self.fails = 0
        self._unknown = unknown

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Refuse the mailbox that nobody has."""
        if address == self._unknown:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - likewise
        """Keep a mail; the first ones only for now if they shall fail."""
        self.tried += 1
        if self.tried <= self.fails:
            return "451 come back later"
        mail = message_from_bytes(envelope.content or b"", policy=default)  # type: ignore[arg-type]
        assert isinstance(mail, EmailMessage)
        self.mails.append((list(envelope.rcpt_tos), mail))
        return "250 OK"


def _knows(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
    is_ours = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=is_ours, handled=False)


class _Starttls(Controller):
    """A server that takes mail only after STARTTLS."""

    context: ssl.SSLContext | None = None

    def factory(self) -> SMTP:
        return SMTP(
            self.handler, hostname="localhost", tls_context=self.context, require_starttls=True,
            authenticator=_knows, auth_required=True,
        )  # fmt: skip


@contextlib.contextmanager
def mail_server(
    box: Mailbox, context: ssl.SSLContext | None = None, *, starttls: bool = False, host: str = "127.0.0.1"
) -> Iterator[int]:
    """Give the port of a mail server: plain, or with TLS from the start, or with STARTTLS and a password."""
    port = free_port()
    if starttls:
        controller: Controller = _Starttls(box, hostname="127.0.0.1", port=port)
        controller.context = context  # type: ignore[attr-defined]
    elif context is not None:
        controller = Controller(
            box, hostname="127.0.0.1", port=port, ssl_context=context, authenticator=_knows, auth_required=True,
            auth_require_tls=False,
        )  # fmt: skip
    else:
        controller = Controller(box, hostname=host, port=port)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()
