"""The page's server, spoken to byte by byte as a browser, a neighbour and an attacker would."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from edge.core.errors import ConfigError, PageUnavailable
from edge.web.server import Server, Site

JSON = "application/json"
SCRIPTS = ("lines.js", "history.js", "hold.js", "magnifier.js", "picture.js")
PAGES = {
    "setup.html": ("style.css", "icon.svg", "setup.js", *SCRIPTS),
    "audit.html": ("style.css", "icon.svg", "audit.js", "picture.js"),
}


@dataclass
class Box:
    """What stands behind the page in these tests."""

    done: list[dict[str, Any]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def events(self) -> Iterator[dict[str, Any]]:
        yield {"hello": 1}
        self.over.wait(30)
        yield {"over": True}

    def act(self, sent: dict[str, Any]) -> dict[str, Any]:
        self.done.append(sent)
        if "fault" in sent:
            raise ConfigError("f", ["a sentence"])
        if "wrong" in sent:
            raise KeyError("x")
        return {"did": sent}


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: str


@pytest.fixture(name="box")
def _box() -> Box:
    return Box()


@pytest.fixture(name="server")
def _server(box: Box) -> Iterator[Server]:
    server = Server(Site("setup.html", ("style.css",), box.events, {"/act": box.act}), 0)
    yield server
    box.over.set()
    server.close()


def ask(
    server: Server, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> Answer:
    """Make one request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read().decode())


def token(server: Server) -> str:
    return "/?" + server.address.partition("/?")[2]


def enter(server: Server) -> dict[str, str]:
    """Open the address as a browser does; return the headers that the page's requests have."""
    cookie = ask(server, "GET", token(server)).headers["Set-Cookie"].partition(";")[0]
    page = ask(server, "GET", "/", {"Cookie": cookie}).body
    found = re.search('name="token" content="([^"]+)"', page)
    assert found
    return {"Cookie": cookie, "X-Token": found[1], "Content-Type": JSON}


def test_the_way_in(server: Server) -> None:
    """The token opens the page once, and leaves the address at once; then the cookie is what counts."""
    first = ask(server, "GET", token(server))
    cookie = first.headers["Set-Cookie"]

    assert (303, "/") == (first.status, first.headers["Location"])
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert ask(server, "GET", "/", {"Cookie": cookie.partition(";")[0]}).status == 200
    assert ask(server, "GET", token(server), {"Cookie": cookie.partition(";")[0]}).status == 303


def test_a_second_browser_is_refused(server: Server) -> None:
    """The same address in another browser gets a sentence that says why, and no cookie."""
    enter(server)
    second = ask(server, "GET", token(server))

    assert second.status == 403
    assert "opened in another browser already" in second.body
    assert "Set-Cookie" not in second.headers


@pytest.mark.parametrize("path", ["/", "/?token=", "/?token=wrong", "/style.css", "/events", "/act", "/../errors.py"])
@pytest.mark.parametrize("cookie", ["", "footfall-1=x", "=;;\x7f", "footfall={port}"])
def test_a_stranger_gets_nothing(server: Server, path: str, cookie: str) -> None:
    """Without the cookie nothing is served at all, whatever is asked for."""
    answer = ask(server, "GET", path, {"Cookie": cookie.format(port=server.port)})

    assert answer.status == 403
    assert "belongs to one browser" in answer.body


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://{host}"}, 200),
        ({"X-Token": ""}, 403),
        ({"X-Token": "x" * 43}, 403),
        ({"Cookie": ""}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example:{port}"}, 403),
        ({"Host": "127.0.0.1.evil.example:{port}"}, 403),
        ({"Host": "localhost:9"}, 200),
        ({"Content-Type": "text/plain"}, 400),
    ],
)
def test_who_may_post(server: Server, box: Box, headers: dict[str, str], status: int) -> None:
    """A POST needs the cookie, the page's own token, a loopback Host, no foreign Origin, and JSON."""
    names = {"host": f"127.0.0.1:{server.port}", "port": str(server.port)}
    changed = {name: value.format(**names) for name, value in headers.items()}
    answer = ask(server, "POST", "/act", {**enter(server), **changed}, b'{"a": 1}')

    assert status == answer.status
    assert box.done == ([{"a": 1}] if status == 200 else [])


def test_rebinding_gets_no_page(server: Server) -> None:
    """A name that an attacker lets point here gets nothing, token or not, and doesn't use the token up."""
    foreign = {"Host": f"evil.example:{server.port}"}

    assert ask(server, "GET", token(server), foreign).status == 403
    assert ask(server, "GET", "/", {**enter(server), **foreign}).status == 403


@pytest.mark.parametrize(
    ("body", "status"), [(b"[1]", 400), (b"{", 400), (b"\xff", 400), (b"[" * 60_000, 400), (b'{"wrong": 1}', 400)]
)
def test_what_is_no_request(server: Server, body: bytes, status: int) -> None:
    """What the page can't have sent is refused, and the server goes on."""
    headers = enter(server)

    assert status == ask(server, "POST", "/act", headers, body).status
    assert ask(server, "POST", "/act", headers, b"{}").status == 200


def test_a_body_that_is_too_large_is_not_read(server: Server) -> None:
    """Nobody can fill the box's memory: the length is judged before anything is read."""
    headers = {**enter(server), "Content-Length": "1000000000"}

    assert ask(server, "POST", "/act", headers).status == 400


def test_an_error_is_a_sentence(server: Server) -> None:
    """An error that this program can name comes as its sentence."""
    answer = ask(server, "POST", "/act", enter(server), b'{"fault": 1}')

    assert (200, {"error": "a sentence"}) == (answer.status, json.loads(answer.body))


@pytest.mark.parametrize("path", ["/", "/style.css", "/nothing"])
def test_headers(server: Server, path: str) -> None:
    """Each answer forbids foreign sources, frames, sniffing, storing and telling on."""
    headers = ask(server, "GET", path, enter(server)).headers
    policy = headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert {"frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} <= set(policy.split("; "))
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_the_page_refers_to_nothing_else(server: Server) -> None:
    """No file that is served names another place, and what isn't served can't be asked for."""
    headers = enter(server)
    page = ask(server, "GET", "/", headers).body

    assert not re.search(r"(?:src|href)=\"(?!/[a-z.]+\")", page)
    assert ask(server, "GET", "/audit.js", headers).status == 404
    assert ask(server, "GET", "/../server.py", headers).status == 404


def test_events_until_the_last(server: Server, box: Box) -> None:
    """Events come as they happen, the last one too, and then the stream ends."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    with contextlib.closing(connection):
        connection.request("GET", "/events", headers=enter(server))
        stream = connection.getresponse()
        first = stream.readline()
        box.over.set()
        server.wait_for_streams()
        rest = stream.read()

    assert (b'data: {"hello":1}\n', b'\ndata: {"over":true}\n\n') == (first, rest)


def test_not_too_many_streams(server: Server) -> None:
    """A fifth tab is told to close the others."""
    headers = enter(server)
    with contextlib.ExitStack() as open_ones:
        for _ in range(4):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
            open_ones.callback(connection.close)
            connection.request("GET", "/events", headers=headers)
            connection.getresponse().readline()

        assert ask(server, "GET", "/events", headers).status == 429


def test_only_loopback(server: Server) -> None:
    """The server listens on 127.0.0.1 and on no other address of the machine."""
    with open("/proc/net/tcp", encoding="ascii") as table:  # noqa: PTH123 - a short look
        rows = [line.split() for line in table]
    listening = {row[1] for row in rows if row[1].endswith(f":{server.port:04X}") and row[3] == "0A"}

    assert {f"0100007F:{server.port:04X}"} == listening


def test_a_taken_port() -> None:
    """A port that another program has is told, with what to do."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PageUnavailable, match=f"port {port} of 127.0.0.1 .* give --port"):
            Server(Site("setup.html", (), lambda: iter(()), {}), port)


def test_what_a_page_shows_is_escaped() -> None:
    """A value of the page's template is text in the page, whatever stands in it."""
    hostile = "<script>alert(1)</script>\"'"
    server = Server(Site("audit.html", (), lambda: iter(()), {}, {"advice": hostile}), 0)
    try:
        page = ask(server, "GET", "/", enter(server)).body
    finally:
        server.close()

    assert "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;" in page
    assert "<script>" not in page


@pytest.mark.parametrize(("page", "files"), PAGES.items())
def test_every_file_of_a_page_is_served(page: str, files: tuple[str, ...]) -> None:
    """Whatever a page's own text and its scripts ask for is there, and is of its kind."""
    server = Server(Site(page, files, lambda: iter(()), {}, {"advice": ""}), 0)
    try:
        headers = enter(server)
        answers = {name: ask(server, "GET", f"/{name}", headers) for name in files}
        asked = re.findall(r'(?:src|href)="/([a-z.]+)"', ask(server, "GET", "/", headers).body)
    finally:
        server.close()
    for name in files:
        asked += re.findall(r'from "/([a-z.]+)"', answers[name].body)

    assert set(asked) == set(files)
    assert {200} == {answer.status for answer in answers.values()}
    assert all(answers[name].headers["Content-Type"].startswith("text/javascript") for name in files if ".js" in name)
