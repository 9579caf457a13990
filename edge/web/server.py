"""
A web server for one technician, on loopback, for a quarter of an hour.

::

    GET /?token=...     once: the browser is remembered by a cookie, anybody else is refused from then on
    GET /, /page.css .. with the cookie
    GET /events         with the cookie: what happens, as server-sent events, until all is over
    POST /...           with the cookie, the page's own token in a header, and JSON

Whatever the request, its Host must be loopback's name: a page elsewhere that lets its own name point here (DNS
rebinding) gets nothing. Nothing that is served refers to another place, and the browser is told to load nothing else.
The standard library's server is enough for one reader; it is bound to 127.0.0.1 and can't be told otherwise.
"""

from __future__ import annotations

import hmac
import html
import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edge.core.errors import EdgeError, PageUnavailable

log = logging.getLogger(__name__)

Answer = Mapping[str, Any]

_FOLDER = Path(__file__).parent
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_MOST_BYTES = 65_536
_MOST_STREAMS = 4
_PATIENCE_S = 15
_HOSTS = {"127.0.0.1", "localhost"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_REFUSALS = {
    "stranger": "This page belongs to one browser. Open it with the address that the terminal shows.",
    "used": "This address was opened in another browser already, and it works once. "
    "If that wasn't you, end it in the terminal with Ctrl-C. To go on in this browser, end it and start it again.",
    "host": "This address isn't this page's.",
    "request": "This isn't a request that the page makes.",
    "busy": "The page is open too many times; close the other tabs.",
}


@dataclass(frozen=True, slots=True)
class Site:
    """
    What is served.

    Attributes:
        page: The file that stands at /.
        files: Those beside it.
        events: Gives what happens, one JSON object after another; ends when all is over.
        posts: What answers to each POST. An EdgeError becomes {"error": its sentence}.
    """

    page: str
    files: tuple[str, ...]
    events: Callable[[], Iterator[Answer]]
    posts: Mapping[str, Callable[[dict[str, Any]], Answer]]


@dataclass(slots=True)
class _Keys:
    """Who may come in: whoever has the token first, and from then on that browser."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    page: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    used: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def use(self, token: str) -> bool:
        """Tell whether *token* is right and is used for the first time."""
        with self.lock:
            good = same(token, self.token) and not self.used
            self.used = self.used or good
            return good


def same(given: str, secret: str) -> bool:
    """Compare in a time that tells nothing of where they differ."""
    return hmac.compare_digest(given.encode(errors="replace"), secret.encode())


class Server:
    """
    The server, listening from here on.

    Args:
        site: What it serves.
        port: Where, on 127.0.0.1; 0 takes any that is free.

    Attributes:
        port: Where it listens.

    Raises:
        PageUnavailable: the port is taken.
    """

    def __init__(self, site: Site, port: int) -> None:
        self.site = site
        self.keys = _Keys()
        self._streams: set[object] = set()
        self._changed = threading.Condition()
        handler = type("Handler", (_Handler,), {"owner": self})
        try:
            self._http = _Http(("127.0.0.1", port), handler)
        except OSError as exc:
            raise PageUnavailable(port, exc.strerror or str(exc)) from exc
        self.port: int = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.1,), name="page", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """The address to open, with its token."""
        return f"http://127.0.0.1:{self.port}/?token={self.keys.token}"

    def enter(self, stream: object) -> bool:
        """Take one more who is told what happens, if there aren't too many."""
        with self._changed:
            if len(self._streams) >= _MOST_STREAMS:
                return False
            self._streams.add(stream)
            return True

    def leave(self, stream: object) -> None:
        """Let go of one."""
        with self._changed:
            self._streams.discard(stream)
            self._changed.notify_all()

    def drain(self, longest_s: float) -> None:
        """Wait until every page has heard the last word."""
        with self._changed:
            self._changed.wait_for(lambda: not self._streams, longest_s)

    def close(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, _request: object, _client: object) -> None:
        """Leave it: a browser that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    owner: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "footfall", ""
    timeout = _PATIENCE_S

    def do_GET(self) -> None:
        """Serve a file, the events, or the way in."""
        path, query = urlsplit(self.path)[2:4]
        token = parse_qs(query).get("token", [""])[0]
        if not self._is_for_us():
            self._refuse("host", HTTPStatus.FORBIDDEN)
        elif self._is_known():
            if token:
                self._redirect()
            elif path == "/events":
                self._stream()
            else:
                self._serve(path)
        elif token and self.owner.keys.use(token):
            self._redirect(f"{self._cookie_name}={self.owner.keys.cookie}; HttpOnly; SameSite=Strict; Path=/")
        else:
            used = same(token, self.owner.keys.token)
            if used:
                log.warning("somebody tried to open the page with the same address from another browser; refused")
            self._refuse("used" if used else "stranger", HTTPStatus.FORBIDDEN)

    def do_POST(self) -> None:
        """Do what the page asks for."""
        post = self.owner.site.posts.get(self.path)
        if not self._is_for_us():
            self._refuse("host", HTTPStatus.FORBIDDEN)
        elif not self._is_known() or not same(self.headers.get("X-Token", ""), self.owner.keys.page):
            self._refuse("stranger", HTTPStatus.FORBIDDEN)
        elif post is None or (body := self._read_json()) is None:
            self._refuse("request", HTTPStatus.BAD_REQUEST)
        else:
            try:
                answer = post(body)
            except EdgeError as exc:
                answer = {"error": str(exc)}
            except (KeyError, TypeError, ValueError):
                self._refuse("request", HTTPStatus.BAD_REQUEST)
                return
            self._send(HTTPStatus.OK, "application/json", json.dumps(answer).encode())

    def log_message(self, *_arguments: object) -> None:
        """Keep quiet: a token may stand in the address."""

    @property
    def _cookie_name(self) -> str:
        # Cookies are shared by all ports of a host: another box's page must not overwrite this one's.
        return f"footfall-{self.owner.port}"

    def _is_for_us(self) -> bool:
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        return host.rpartition(":")[0] in _HOSTS and origin in (None, f"http://{host}")

    def _is_known(self) -> bool:
        try:
            cookies = SimpleCookie(self.headers.get("Cookie", ""))
        except CookieError:
            return False
        given = cookies.get(self._cookie_name)
        return given is not None and same(given.value, self.owner.keys.cookie)

    def _read_json(self) -> dict[str, Any] | None:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            return None
        if self.headers.get("Content-Type") != "application/json" or not 0 <= length <= _MOST_BYTES:
            return None
        try:
            body = json.loads(self.rfile.read(length))
        except (ValueError, RecursionError):
            return None
        return body if isinstance(body, dict) else None

    def _serve(self, path: str) -> None:
        site = self.owner.site
        name = site.page if path == "/" else path.removeprefix("/")
        if name != site.page and name not in site.files:
            self._refuse("request", HTTPStatus.NOT_FOUND)
            return
        text = (_FOLDER / name).read_text(encoding="utf-8")
        if name == site.page:
            text = text.replace("{{token}}", html.escape(self.owner.keys.page))
        self._send(HTTPStatus.OK, f"{_KINDS[Path(name).suffix]}; charset=utf-8", text.encode())

    def _stream(self) -> None:
        if not self.owner.enter(self):
            self._refuse("busy", HTTPStatus.TOO_MANY_REQUESTS)
            return
        try:
            self._head(HTTPStatus.OK, {"Content-Type": "text/event-stream", "Connection": "close"})
            for event in self.owner.site.events():
                self.wfile.write(b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n")
                self.wfile.flush()
        except OSError:
            pass  # the browser has gone
        finally:
            self.close_connection = True
            self.owner.leave(self)

    def _redirect(self, cookie: str | None = None) -> None:
        headers = {"Location": "/", "Content-Length": "0"}
        self._head(HTTPStatus.SEE_OTHER, headers if cookie is None else {**headers, "Set-Cookie": cookie})

    def _refuse(self, why: str, status: HTTPStatus) -> None:
        # What was sent with it isn't read, so nothing more can be understood on this connection.
        self.close_connection = True
        said = _REFUSALS[why]
        if self.command == "POST":
            self._send(status, "application/json", json.dumps({"error": said}).encode())
            return
        page = (
            '<!doctype html><html lang="en"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>Footfall</title><h1>Not here</h1><p>{html.escape(said)}</p></html>"
        )
        self._send(status, "text/html; charset=utf-8", page.encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self._head(status, {"Content-Type": kind, "Content-Length": str(len(body))})
        self.wfile.write(body)

    def _head(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, **headers}.items():
            self.send_header(name, value)
        if self.close_connection and "Connection" not in headers:
            self.send_header("Connection", "close")
        self.end_headers()
