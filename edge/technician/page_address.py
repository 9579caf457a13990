"""Tells the technician how to open a page of this box: the ssh command, the address, and the address as a QR code."""

from __future__ import annotations

import getpass
import io
import os
import socket
from pathlib import Path

import segno
from rich.console import Console
from rich.text import Text

from edge.web.server import Server

_MOST_PARENTS = 8
"""The ssh session is looked for in so many parent processes."""
_SSH_WORDS = 4
"""SSH_CONNECTION holds the client, its port, the server and its port."""


def show_address(out: Console, server: Server, ends: str) -> None:
    """
    Print what to type on the technician's own laptop or phone, and what to open there.

    Args:
        out: Where to print. The QR code is left out if it is no terminal that can show it.
        server: The page's server.
        ends: The sentence that says when the page ends.
    """
    user = os.environ.get("SUDO_USER") or getpass.getuser()
    session = ssh_session()
    host, port = session[2:] if session else (socket.gethostname(), "22")
    option = "" if port == "22" else f"-p {port} "
    out.print("\nOn your own laptop or phone, leave this running:\n")
    out.print(f"  ssh -N {option}-L {server.port}:127.0.0.1:{server.port} {user}@{host}\n", style="bold")
    out.print("and open in its browser, once:\n")
    out.print(f"  {server.address}\n", style="bold cyan")
    if out.is_terminal and out.encoding.lower().startswith("utf"):
        out.print("or scan this address with the phone on which the ssh command runs:\n")
        code = io.StringIO()
        segno.make(server.address, error="l").terminal(code, compact=True)
        # The light parts are what is printed, so that it is no negative on a terminal of any colour.
        out.print(Text(code.getvalue(), "bright_white on black"))
    out.print(f"The address works for one browser. {ends}")


def ssh_session() -> list[str] | None:
    """
    Return client, port, server and port of the ssh session in which the command was typed, or None.

    sudo removes the variable that tells them; the shell in which sudo was typed still has it.
    """
    process = "self"
    for _ in range(_MOST_PARENTS):
        try:
            variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
            parent = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]
        except OSError:
            return None
        for variable in variables:
            name, _, value = variable.decode(errors="replace").partition("=")
            if name == "SSH_CONNECTION" and len(words := value.split()) == _SSH_WORDS:
                return words
        process = parent
    return None
