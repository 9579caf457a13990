"""
A web server for one technician, on loopback, for as long as one command runs.

::

    GET /?token=...      works once: the browser gets a cookie, and every other browser is refused from then on
    GET /, /style.css .. needs the cookie
    GET /events          needs the cookie: server-sent events until the session ends
    POST /...            needs the cookie, the page's own token in a header, and a JSON body

The Host header of each request must name loopback. So a foreign page whose name resolves to 127.0.0.1 (DNS rebinding)
gets nothing. No served file refers to another host, and the browser is told to load from this server only.
The standard library's server is enough for one reader. It is bound to 127.0.0.1, and no option changes that.
"""

from __future__ import annotations

import hmac
import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edge.core.errors import EdgeError, PageUnavailable
from edge.web.render import FOLDER, STYLE, render

log = logging.getLogger(__name__)

Answer = Mapping[str, Any]

_CONTENT_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_MAX_BODY_BYTES = 65_536
"""A longer request body is refused before it is read."""
_MAX_STREAMS = 4
"""So many tabs may listen to the events at once."""
_LAST_EVENT_S = 10.0
"""A page has so long to take the last event before the server closes, s."""
_TIMEOUT_S = 15
"""A connection that sends nothing for so long is closed."""
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
    "used": "This address was opened in another browser already, and it works once. If that wasn't you, end the "
    "command in the terminal with Ctrl-C. To go on in this browser, end the command and start it again.",
    "host": "This server only answers to 127.0.0.1 and localhost.",
    "request": "The page does not make this request.",
    "busy": "The page is open in too many tabs; close the others.",
}


@dataclass(frozen=True, slots=True)
class Site:
    """
    What a server serves.

    Attributes:
        page: The template of the page at /.
        files: The files beside it: `style.css`, and names in `edge/web/static`.
        events: Yields one JSON object per event, and returns when the session ends.
        posts: path: function that takes the request's JSON object and returns the answer's. An EdgeError becomes
            {"error": its sentence}; KeyError, TypeError and ValueError become status 400.
        values: What the page's template shows; the server adds `token`.
    """

    page: str
    files: tuple[str, ...]
    events: Callable[[], Iterator[Answer]]
    posts: Mapping[str, Callable[[dict[str, Any]], Answer]]
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class _Keys:
    """The secrets of one session: the first browser with the token gets the cookie, and no other browser does."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    page: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    used: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def use(self, token: str) -> bool:
        """Return whether *token* is right and is used for the first time."""
        with self.lock:
            good = same(token, self.token) and not self.used
            self.used = self.used or good
            return good


def same(given: str, secret: str) -> bool:
    """Compare in a time that does not depend on where the two differ."""
    return hmac.compare_digest(given.encode(errors="replace"), secret.encode())


class Server:
    """
    A server that listens from its creation until `close`.

    Args:
        site: What it serves.
        port: TCP port on 127.0.0.1; 0 takes any free one.

    Attributes:
        port: The port it listens on.

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
        """The address that opens the page, with its token."""
        return f"http://127.0.0.1:{self.port}/?token={self.keys.token}"

    def add_stream(self, stream: object) -> bool:
        """Register an event stream; return False if there are too many."""
        with self._changed:
            if len(self._streams) >= _MAX_STREAMS:
                return False
            self._streams.add(stream)
            return True

    def remove_stream(self, stream: object) -> None:
        """Unregister an event stream that has ended."""
        with self._changed:
            self._streams.discard(stream)
            self._changed.notify_all()

    def wait_for_streams(self) -> None:
        """Wait until every event stream has ended, so that each page has got the last event; ten seconds at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._streams, _LAST_EVENT_S)

    def close(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, _request: object, _client: object) -> None:
        """Ignore the error: a browser that closed its connection is normal."""


class _Handler(BaseHTTPRequestHandler):
    owner: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "footfall", ""
    timeout = _TIMEOUT_S

    def do_GET(self) -> None:
        """Serve a file, the events, or exchange the token for a cookie."""
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
        """Call the function that the page asks for."""
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
        """Log nothing: an address may hold the token."""

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
        if self.headers.get("Content-Type") != "application/json" or not 0 <= length <= _MAX_BODY_BYTES:
            return None
        try:
            body = json.loads(self.rfile.read(length))
        except (ValueError, RecursionError):
            return None
        return body if isinstance(body, dict) else None

    def _serve(self, address: str) -> None:
        site = self.owner.site
        name = site.page if address == "/" else address.removeprefix("/")
        if name != site.page and name not in site.files:
            self._refuse("request", HTTPStatus.NOT_FOUND)
            return
        if name == site.page:
            self._send_html(HTTPStatus.OK, render(name, **{**site.values, "token": self.owner.keys.page}))
            return
        path = STYLE if name == STYLE.name else FOLDER / "static" / name
        self._send(HTTPStatus.OK, f"{_CONTENT_TYPES[path.suffix]}; charset=utf-8", path.read_bytes())

    def _stream(self) -> None:
        if not self.owner.add_stream(self):
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
            self.owner.remove_stream(self)

    def _redirect(self, cookie: str | None = None) -> None:
        headers = {"Location": "/", "Content-Length": "0"}
        self._head(HTTPStatus.SEE_OTHER, headers if cookie is None else {**headers, "Set-Cookie": cookie})

    def _refuse(self, why: str, status: HTTPStatus) -> None:
        # The request's body is not read, so the next request on this connection could not be found.
        self.close_connection = True
        reason = _REFUSALS[why]
        if self.command == "POST":
            self._send(status, "application/json", json.dumps({"error": reason}).encode())
        else:
            self._send_html(status, render("refusal.html", reason=reason))

    def _send_html(self, status: HTTPStatus, text: str) -> None:
        self._send(status, "text/html; charset=utf-8", text.encode())

    def _send(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self._head(status, {"Content-Type": content_type, "Content-Length": str(len(body))})
        self.wfile.write(body)

    def _head(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, **headers}.items():
            self.send_header(name, value)
        if self.close_connection and "Connection" not in headers:
            self.send_header("Connection", "close")
        self.end_headers()
