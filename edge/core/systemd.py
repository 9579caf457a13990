"""
Tell systemd how we are: READY, WATCHDOG, STATUS, STOPPING (sd_notify(3)). Silent where there is no systemd.

The socket is connected once, at construction, so that a confined process can go on telling: it only sends to the peer
that it already has. The process that sees holds no such socket: see `edge.sandbox.readiness`.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Collection
from pathlib import Path

from edge.core.printable import printable


def drop_in_for(unit: str, folders: Collection[Path]) -> str:
    """Return what a technician types so that *unit*, which lives in a root of its own, sees these folders."""
    shown = " ".join(sorted(map(str, folders)))
    return (
        f"the service sees only /usr, /opt/footfall and /etc/footfall: put the file into /etc/footfall; or type: sudo "
        f"systemctl edit {unit}, and write two lines: [Service] and BindReadOnlyPaths={shown}"
    )


def bound_folders(value: str) -> list[Path]:
    """Return the folders of the box that a value of `BindReadOnlyPaths=` shows to a unit."""
    return [Path(word.lstrip("-+").partition(":")[0]) for word in value.replace('"', " ").split()]


class Notifier:
    """A connected readiness socket, or nothing."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        address = os.environ.pop("NOTIFY_SOCKET", "")
        if not address:
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        try:
            self._socket.connect("\0" + address[1:] if address.startswith("@") else address)
        except OSError:
            # Nobody listens there any more.
            self._socket.close()
            self._socket = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The socket's, if there is one."""
        return () if self._socket is None else (self._socket.fileno(),)

    def close(self) -> None:
        """Close the socket; whatever is told afterwards is told to nobody."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ready(self, status: str) -> None:
        """Say that the service is up."""
        self.send(f"READY=1\nSTATUS={printable(status)}")

    def reloading(self) -> None:
        """Say that a new config is being read; :meth:`ready` ends it."""
        self.send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def status(self, status: str) -> None:
        """Say in one line what the service is doing."""
        self.send(f"STATUS={printable(status)}")

    def alive(self) -> None:
        """Feed the watchdog; call it after work was done, never from a timer."""
        self.send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the service is going down as asked."""
        self.send("STOPPING=1")

    def send(self, message: str) -> None:
        """Send lines of sd_notify(3) as they are; what others have said goes through the methods above."""
        if self._socket is None:
            return
        try:
            self._socket.send(message.encode())
        except OSError:
            # systemd is busy or gone; the next word will do, and the watchdog judges by its own clock.
            return
