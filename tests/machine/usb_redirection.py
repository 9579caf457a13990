"""
The cable between a camera and a machine's USB socket: the protocol usbredir, as qemu speaks it.

Plugging in is connecting to the socket; pulling the plug is closing the connection.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.machine.uvc import Camera

_HELLO, _CONNECTED, _RESET, _INTERFACES, _ENDPOINTS = 0, 1, 3, 4, 5
_SET_CONFIGURATION, _GET_CONFIGURATION, _CONFIGURATION_STATUS = 6, 7, 8
_SET_ALTERNATIVE, _GET_ALTERNATIVE, _ALTERNATIVE_STATUS = 9, 10, 11
_CANCEL, _CONTROL, _BULK = 21, 100, 101
_DONE, _CANCELLED, _STALLED = 0, 1, 4
_WIDE_NUMBERS, _WIDE_LENGTHS = 1 << 5, 1 << 6
_CAPABILITIES = 1 << 1 | 1 << 4 | _WIDE_NUMBERS | _WIDE_LENGTHS
"""The device's version and the packets' largest size are told; numbers have 64 bits, lengths of bulk packets 32."""
_HIGH_SPEED = 2
_TO_HOST = 0x80


class Plug:
    """
    A camera that is plugged into a USB socket until :meth:`pull`.

    Args:
        camera: The camera.
        path: The socket.
    """

    def __init__(self, camera: Camera, path: Path) -> None:
        self.camera = camera
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._lock = threading.Lock()
        self._wide = False
        camera.send = self._give
        self._send_plain(_HELLO, b"footfall tests".ljust(64, b"\0") + struct.pack("<I", _CAPABILITIES))
        self._thread = threading.Thread(target=self._serve, name="plug", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pull()

    def pull(self) -> None:
        """Pull the plug; may be called twice."""
        self.camera.forget()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    # --- what is sent ------------------------------------------------------------------------------------------------

    def _send_plain(self, kind: int, body: bytes) -> None:
        self._socket.sendall(struct.pack("<III", kind, len(body), 0) + body)

    def _send(self, kind: int, body: bytes, number: int = 0) -> None:
        head = struct.pack("<IIQ" if self._wide else "<III", kind, len(body), number)
        with self._lock, contextlib.suppress(OSError):
            self._socket.sendall(head + body)

    def _give(self, number: int, packet: bytes) -> None:
        length = struct.pack("<BBHIH", 0x81, _DONE, len(packet) & 0xFFFF, 0, len(packet) >> 16)
        self._send(_BULK, length + packet, number)

    def _announce(self) -> None:
        """Tell of two interfaces, and of the endpoints for control and pictures."""
        self._send(
            _INTERFACES,
            struct.pack("<I", 2) + _bytes({0: 0, 1: 1}) + _bytes({0: 14, 1: 14}) + _bytes({0: 1, 1: 2}) + _bytes({}),
        )
        sizes = {0: 64, 16: 64, 17: 512}
        self._send(
            _ENDPOINTS,
            _bytes({0: 0, 16: 0, 17: 2}, 255)
            + _bytes({})
            + _bytes({17: 1})
            + struct.pack("<32H", *(sizes.get(endpoint, 0) for endpoint in range(32))),
        )

    # --- what is heard -----------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                head = "<IIQ" if self._wide else "<III"
                kind, length, number = struct.unpack(head, self._receive(struct.calcsize(head)))
                self._hear(kind, number, self._receive(length))
        self.camera.forget()

    def _receive(self, length: int) -> bytes:
        received = b""
        while len(received) < length:
            part = self._socket.recv(length - len(received))
            if not part:
                raise EOFError
            received += part
        return received

    def _hear(self, kind: int, number: int, data: bytes) -> None:
        if kind == _HELLO:
            theirs = struct.unpack_from("<I", data, 64)[0]
            assert theirs & _WIDE_LENGTHS, "qemu is too old"
            self._wide = bool(theirs & _WIDE_NUMBERS)
            self._announce()
            self._send(_CONNECTED, struct.pack("<BBBBHHH", _HIGH_SPEED, 0xEF, 2, 1, 0x1D6B, 0x0102, 0x0100))
        elif kind == _RESET:
            self.camera.forget()
        elif kind == _SET_CONFIGURATION:
            self._announce()
            self._send(_CONFIGURATION_STATUS, bytes([_DONE, data[0]]), number)
        elif kind == _GET_CONFIGURATION:
            self._send(_CONFIGURATION_STATUS, bytes([_DONE, 1]), number)
        elif kind == _SET_ALTERNATIVE:
            self._send(_ALTERNATIVE_STATUS, bytes([_DONE, data[0], data[1]]), number)
        elif kind == _GET_ALTERNATIVE:
            self._send(_ALTERNATIVE_STATUS, bytes([_DONE, data[0], 0]), number)
        elif kind == _CONTROL:
            self._answer(number, data)
        elif kind == _BULK:
            self.camera.ask(number)
        elif kind == _CANCEL and self.camera.take_back(number):
            self._send(_BULK, struct.pack("<BBHIH", 0x81, _CANCELLED, 0, 0, 0), number)

    def _answer(self, number: int, data: bytes) -> None:
        endpoint, request, type_, _, value, index, length = struct.unpack_from("<BBBBHHH", data)
        answer = self.camera.control(request, type_, value, index, length, data[10:])
        status = _STALLED if answer is None else _DONE
        body = answer or b""
        told = len(body) if type_ & _TO_HOST else length
        head = struct.pack("<BBBBHHH", endpoint, request, type_, status, value, index, told)
        self._send(_CONTROL, head + (body if type_ & _TO_HOST else b""), number)


def _bytes(values: Mapping[int, int], otherwise: int = 0) -> bytes:
    """Return an array of 32 bytes, one for each interface or endpoint."""
    return bytes(values.get(place, otherwise) for place in range(32))
