"""
`footfall setup CAMERA`: draw the camera's lines on a page, over a silhouette, and write them into the config.

The service's vision is stopped meanwhile and a sealed one of our own looks instead. It all ends by itself, and however
it ends, the service is started again.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from edge.config import schema
from edge.config.schema import VisionSettings
from edge.core.clock import KernelClock
from edge.core.signals import Notice, stop_signals
from edge.technician import systemd_state
from edge.technician.setup import rewrite
from edge.technician.setup.draft import Draft
from edge.technician.vision_process import Eye
from edge.web.server import Answer, Server, Site

_TICK_S = 0.12
"""The page is told at most so often; a person sees no more, and a phone's line carries it."""
_FAREWELL_S = 2.0
_MOST_PARENTS = 8


@dataclass(slots=True)
class Session:
    """What the page and the terminal share: the draft, the time left, and how it ends."""

    path: Path
    settings: VisionSettings
    text: str
    minutes: float
    draft: Draft
    clock: KernelClock = field(default_factory=KernelClock)
    over: Notice = field(default_factory=Notice)
    saved: bool = False
    ends_ms: int = 0

    def __post_init__(self) -> None:
        """Start the time."""
        self.ends_ms = self.clock.boot_ms() + round(60_000 * self.minutes)

    @property
    def left_s(self) -> float:
        """Seconds until it ends by itself."""
        return max(0.0, (self.ends_ms - self.clock.boot_ms()) / 1000)

    def events(self) -> Iterator[Answer]:
        """Give the page what it shows, as often as it changes, and a last word."""
        version = -1
        while not self.over.wait(_TICK_S):
            since, version = version, self.draft.wait(version, 1.0)
            yield {"camera": self.settings.name, "left_s": round(self.left_s), **self.draft.shown(since)}
        yield {"over": True, "saved": self.saved}

    def change(self, sent: dict[str, Any]) -> Answer:
        """Take the lines as they are drawn now."""
        self.draft.change(sent["lines"])
        return {}

    def preview(self, _sent: dict[str, Any]) -> Answer:
        """Show what saving would change in the file."""
        return {"diff": rewrite.diff(self.text, self._rewritten(), self.path.name)}

    def save(self, _sent: dict[str, Any]) -> Answer:
        """Write the file, and let the publisher know the lines' names."""
        after = self._rewritten()
        if after == self.text:
            return {"said": "Nothing has changed, so nothing was written."}
        backup = rewrite.replace(self.path, self.text, after)
        self.text, self.saved = after, True
        self.draft.written()
        reloaded = systemd_state.reload_publisher()
        said = f"Written. The file as it was is kept as {backup.name}."
        return {"said": said + (" The publisher has been told." if reloaded else "")}

    def end(self, _sent: dict[str, Any]) -> Answer:
        """End it now."""
        self.over.set()
        return {}

    def _rewritten(self) -> str:
        return rewrite.rewrite(self.text, self.settings.name, self.draft.wanted(), self.path)


def run(path: Path, camera: str, *, port: int, minutes: float) -> int:
    """
    Serve the page until the technician ends it or the time is over; return 0.

    Args:
        path: The config file.
        camera: Whose lines.
        port: Of 127.0.0.1.
        minutes: It ends by itself after so long.

    Raises:
        ConfigError: the config can't be used.
        PageUnavailable: the port is taken.
        VisionEnded, WireError: vision could not go on.
    """
    settings = schema.load(path).vision(camera)
    draft = Draft(settings.camera.lines)
    session = Session(path, settings, path.read_text(encoding="utf-8"), minutes, draft)
    site = Site(
        "setup.html",
        ("page.css", "icon.svg", "setup.js", "picture.js"),
        session.events,
        {"/lines": session.change, "/preview": session.preview, "/save": session.save, "/end": session.end},
    )
    out = Console(highlight=False, soft_wrap=True)
    with stop_signals(session.over), systemd_state.paused(camera, 60 * minutes) as was_running:
        server = Server(site, port)
        try:
            eye = Eye(settings, path, picture=True, counting=False)
            try:
                eye.start(draft.see, session.over.set)
                tell(out, server, f"It ends by itself in {minutes:g} minutes; end it sooner with Ctrl-C.")
                if was_running:
                    out.print(f"The service doesn't count at {camera} meanwhile; it goes on when this ends.")
                session.over.wait(session.left_s)
            finally:
                session.over.set()
                eye.stop()
            server.drain(_FAREWELL_S)
        finally:
            server.close()
    if eye.fault is not None:
        raise eye.fault
    out.print("Saved." if session.saved else "Ended; nothing was saved.")
    return 0


def tell(out: Console, server: Server, when: str) -> None:
    """Say what to type on the technician's own machine, and what to open there."""
    user = os.environ.get("SUDO_USER") or getpass.getuser()
    session = ssh_session()
    host, port = session[2:] if session else (socket.gethostname(), "22")
    option = "" if port == "22" else f"-p {port} "
    out.print("\nOn your own laptop or phone, leave this running:\n")
    out.print(f"  ssh -N {option}-L {server.port}:127.0.0.1:{server.port} {user}@{host}\n", style="bold")
    out.print("and open in its browser, once:\n")
    out.print(f"  {server.address}\n", style="bold cyan")
    out.print(f"The address works for one browser. {when}")


def ssh_session() -> list[str] | None:
    """
    Return client, port, server and port of the ssh session that this is typed in, or None.

    sudo takes its variable away; the shell that sudo was typed in still has it.
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
            if name == "SSH_CONNECTION" and len(words := value.split()) == 4:  # noqa: PLR2004 - as the docstring says
                return words
        process = parent
    return None
