"""
A time server (SNTP) on the host's loopback, which a machine's systemd-timesyncd asks; it may lie, or say nothing.

It needs port 123: timesyncd can't be told of another.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from datetime import datetime
from types import TracebackType
from typing import Self

PORT = 123
_SINCE_1900_S = 2_208_988_800
_SERVER = 0x24
"""No leap second, version 4, a server's answer."""


def port_is_taken() -> bool:
    """Tell whether another program has the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.bind(("127.0.0.1", PORT))
        return False
    return True


class TimeServer:
    """
    A time server whose time begins at a moment of the test's choice, and goes on from there.

    Args:
        begins: What it says first, with its offset from UTC.

    Attributes:
        lie_s: What it adds to its time.
        asked: How often somebody has asked.
    """

    def __init__(self, begins: str) -> None:
        self.lie_s = 0.0
        self.asked = 0
        self._ahead_s = datetime.fromisoformat(begins).timestamp() - time.monotonic()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", PORT))
        self._thread = threading.Thread(target=self._serve, name="time", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                question, address = self._socket.recvfrom(512)
                if len(question) < 48:
                    continue
                self.asked += 1
                now = _stamp(time.monotonic() + self._ahead_s + self.lie_s)
                head = struct.pack("!BBbbII4s", _SERVER, 2, 4, -20, 0, 0x100, b"LOCL")
                self._socket.sendto(head + now + question[40:48] + now + now, address)


def _stamp(unix_s: float) -> bytes:
    return struct.pack("!II", int(unix_s) + _SINCE_1900_S, int(unix_s % 1 * 2**32))
