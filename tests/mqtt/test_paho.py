"""
Canaries for what this program uses of paho's private parts: each fails, and says so, when paho changes one.

If one fails after an update of paho: read edge/mqtt/client.py beside the new version, mend it, then mend the canary.
"""

from __future__ import annotations

import ast
import inspect
import socket
import ssl
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from edge.mqtt import client as ours
from tests.publisher.wire import connack, puback

CANARIES = {"_sock_recv", "_packet_handle", "_in_packet", "_ssl_wrap_socket"}
OWN = {"_limits", "_tls", "_kinds"}


def changed(what: str) -> str:
    return f"paho has changed {what}: edge/mqtt/client.py relies on it, see the text above this test"


class Watched(Client):
    """A client of paho's that notes how its private parts are used."""

    def __init__(self) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, "canary", protocol=MQTTProtocolVersion.MQTTv5)
        self.asked: list[tuple[int, int]] = []
        self.handled: list[tuple[int, int]] = []

    def _sock_recv(self, bufsize: int) -> bytes:
        self.asked.append((self._in_packet["command"], bufsize))
        received: bytes = super()._sock_recv(bufsize)
        return received

    def _packet_handle(self) -> MQTTErrorCode:
        self.handled.append((self._in_packet["command"], self._in_packet["remaining_length"]))
        return super()._packet_handle()


@pytest.fixture
def watched() -> Watched:
    """Give a client that is connected to a broker which has sent a CONNACK and a PUBACK, as one piece."""
    client = Watched()
    with socket.create_server(("127.0.0.1", 0)) as server:
        client.connect("127.0.0.1", server.getsockname()[1])
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(connack() + puback(7))
            client.loop_read()
            client.loop_read()
    sock = client.socket()
    assert sock is not None
    sock.close()
    return client


def private_names(source: str) -> set[str]:
    """Return the attributes with a leading underscore that *source* uses."""
    return {
        node.attr if isinstance(node, ast.Attribute) else node.name
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Attribute) and node.attr.startswith("_"))
        or (isinstance(node, ast.FunctionDef) and node.name.startswith("_"))
    }


def test_every_private_name_has_a_canary() -> None:
    """Only edge/mqtt/client.py uses private names of paho's, and those that it uses are watched here."""
    root = Path(ours.__file__).parents[1]
    modules = [path for path in root.rglob("*.py") if "paho" in path.read_text(encoding="utf-8")]
    of_paho = {name for name in dir(Client(CallbackAPIVersion.VERSION2)) if name.startswith("_") and name[1] != "_"}
    used = private_names(Path(ours.__file__).read_text(encoding="utf-8")) - OWN

    assert CANARIES == used
    for path in modules:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        foreign = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and node.attr in of_paho
            and not (isinstance(node.value, ast.Name) and node.value.id == "self")
        }
        assert path == Path(ours.__file__) or not foreign, f"{path} uses {foreign} of paho's"


def test_own_attributes_hide_none_of_pahos() -> None:
    """What the subclass keeps for itself has names that paho doesn't use."""
    of_paho = set(dir(Client(CallbackAPIVersion.VERSION2)))

    for name in (*OWN, "bound", "flush", "handled", "foreign", "unwanted", "closed_by_broker"):
        assert name not in of_paho, changed(name)


def test_sock_recv_is_asked_for_all_that_a_packet_still_needs(watched: Watched) -> None:
    """`_sock_recv(bufsize)` is the one way in, and is told the size before memory is taken."""
    assert ["self", "bufsize"] == list(inspect.signature(Client._sock_recv).parameters), changed("_sock_recv")
    assert (0x20, len(connack()) - 2) in watched.asked, changed(
        "_sock_recv: it isn't asked for a packet's rest at once"
    )
    assert (0, 1) == watched.asked[0], changed("_sock_recv: a packet doesn't begin with one byte")


def test_in_packet_names_the_packet_that_is_read(watched: Watched) -> None:
    """`_in_packet["command"]` is the packet's first byte, 0 before there is one."""
    assert 0 == watched._in_packet["command"], changed("_in_packet")
    assert [0x20, 0x40] == [command for command, _ in watched.handled], changed('_in_packet["command"]')


def test_packet_handle_is_called_once_for_each_packet(watched: Watched) -> None:
    """`_packet_handle()` takes a whole packet; what it returns decides whether the connection goes on."""
    assert ["self"] == list(inspect.signature(Client._packet_handle).parameters), changed("_packet_handle")
    assert [(0x20, 3), (0x40, 4)] == watched.handled, changed("_packet_handle")


def test_ssl_wrap_socket_makes_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    """`_ssl_wrap_socket(tcp_sock)` is called with the connected socket, and returns the one that is used."""
    assert ["self", "tcp_sock"] == list(inspect.signature(Client._ssl_wrap_socket).parameters), changed(
        "_ssl_wrap_socket"
    )
    seen: list[socket.socket] = []

    def wrap(_self: Client, tcp_sock: socket.socket) -> ssl.SSLSocket:
        seen.append(tcp_sock)
        raise ConnectionAbortedError("that is enough")

    monkeypatch.setattr(Client, "_ssl_wrap_socket", wrap)
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.tls_set_context(ssl.create_default_context())
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(ConnectionAbortedError):
            client.connect("127.0.0.1", server.getsockname()[1])
        assert server.getsockname() == seen[0].getpeername(), changed("_ssl_wrap_socket")
    seen[0].close()
