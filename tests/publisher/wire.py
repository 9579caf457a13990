"""The broker's side of MQTT, spoken just well enough to misbehave, and a proxy that can fall silent."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

CONNECT, PUBLISH, PINGREQ, DISCONNECT = 1, 3, 12, 14


def connack(reason: int = 0, properties: bytes = b"", *, present: bool = False) -> bytes:
    """Return a CONNACK of MQTT 5; *present*: the broker still has the client's session."""
    body = bytes([present, reason, len(properties)]) + properties
    return bytes([0x20, len(body)]) + body


def puback(mid: int, reason: int = 0) -> bytes:
    """Return a PUBACK of MQTT 5."""
    return bytes([0x40, 4]) + mid.to_bytes(2) + bytes([reason, 0])


def receive_maximum(number: int) -> bytes:
    """Return the property of a CONNACK that limits what may be in flight."""
    return bytes([0x21]) + number.to_bytes(2)


def largest_packet(size: int) -> bytes:
    """Return the property of a CONNACK that limits how large a packet may be."""
    return bytes([0x27]) + size.to_bytes(4)


@dataclass
class Talk:
    """One connection, as the fake broker sees it."""

    sock: socket.socket
    published: list[tuple[str, bytes, int]] = field(default_factory=list)
    """Topic, payload and packet id of each PUBLISH."""

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                raise ConnectionError("the client has gone")
            data += piece
        return data

    def packet(self) -> tuple[int, bytes]:
        """Return the next packet's type and body; ConnectionError when the client has gone."""
        kind = self._exactly(1)[0]
        length = shift = 0
        while True:
            byte = self._exactly(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        body = self._exactly(length)
        if kind >> 4 == PUBLISH:
            size = int.from_bytes(body[:2])
            mid = int.from_bytes(body[2 + size : 4 + size])
            self.published.append((body[2 : 2 + size].decode(), body[5 + size :], mid))
        return kind >> 4, body

    def welcome(self, properties: bytes = b"", *, present: bool = False) -> None:
        """Take the CONNECT and accept it; *present*: as one whose session is still there."""
        self.packet()
        self.sock.sendall(connack(0, properties, present=present))


class FakeBroker:
    """
    A broker that does with each connection what *script* says.

    Args:
        script: Called with each connection, in a thread; the connection is closed when it returns.
    """

    def __init__(self, script: Callable[[Talk], None]) -> None:
        self.talks: list[Talk] = []
        self._script = script
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._server.accept()
                talk = Talk(sock)
                self.talks.append(talk)
                threading.Thread(target=self._talk, args=(talk,), daemon=True).start()

    def _talk(self, talk: Talk) -> None:
        with contextlib.suppress(OSError):
            self._script(talk)
        talk.sock.close()

    def close(self) -> None:
        """Accept no more and hang up on everybody."""
        # shutdown() wakes accept(); close() alone doesn't.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for talk in self.talks:
            with contextlib.suppress(OSError):
                talk.sock.shutdown(socket.SHUT_RDWR)


class Proxy:
    """Passes bytes on to a broker until it is told to fall silent: no FIN, no RST, as when packets are dropped."""

    def __init__(self, port: int) -> None:
        self.silent = False
        self._target = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._server.accept()
                try:
                    pair = (sock, socket.create_connection(("127.0.0.1", self._target)))
                except ConnectionRefusedError:
                    sock.close()
                    continue
                self._pairs.append(pair)
                threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        dropping = False
        with contextlib.suppress(OSError, ValueError):
            while True:
                for sock in select.select([one, other], [], [], 0.02)[0]:
                    data = sock.recv(65_536)
                    # A connection that has lost a packet never gets better; new ones do.
                    dropping = dropping or self.silent
                    if not data and not dropping:
                        one.close()
                        other.close()
                    if not dropping:
                        (other if sock is one else one).sendall(data)
                    elif not data:
                        return

    def hang_up(self) -> None:
        """Break every connection; new ones may be made."""
        pairs, self._pairs = self._pairs, []
        for sock in (sock for pair in pairs for sock in pair):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def close(self) -> None:
        """Hang up on everybody, for good."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.hang_up()
