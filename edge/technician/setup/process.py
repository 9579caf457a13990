"""
`footfall setup CAMERA`: the technician draws the camera's lines on a page, and this writes them into the config.

The service's vision process is stopped meanwhile, and a sealed one of this command looks instead. The command ends by
itself, and however it ends, the service is started again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from edge.config import schema
from edge.config.schema import VisionSettings
from edge.core.clock import KernelClock
from edge.core.signals import Notice, stop_signals
from edge.technician import camera_names, systemd_state
from edge.technician.page_address import show_address
from edge.technician.setup import rewrite
from edge.technician.setup.draft import Draft
from edge.technician.vision_process import VisionProcess
from edge.web.server import Answer, Server, Site

_TICK_S = 0.12
"""The page gets at most one event in this time, s: fast enough for a person, slow enough for a phone's connection."""


@dataclass(slots=True)
class Session:
    """The state that the page and the terminal share: the draft, the time that is left, and what was saved."""

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
        """Begin the session's time."""
        self.ends_ms = self.clock.boot_ms() + round(60_000 * self.minutes)

    @property
    def left_s(self) -> float:
        """Seconds until the session ends by itself."""
        return max(0.0, (self.ends_ms - self.clock.boot_ms()) / 1000)

    @property
    def outcome(self) -> str:
        """What has become of the lines, in one sentence."""
        if not self.saved:
            return "Ended; nothing was saved."
        return "Saved; what was changed after that was not." if self.draft.unsaved else "Saved."

    def events(self) -> Iterator[Answer]:
        """Yield what the page shows, whenever it changes, and a last event with the outcome."""
        version = -1
        while not self.over.wait(_TICK_S):
            since, version = version, self.draft.wait(version, 1.0)
            yield {"camera": self.settings.name, "left_s": round(self.left_s), **self.draft.shown(since)}
        yield {"over": True, "saved": self.saved, "unsaved": self.draft.unsaved}

    def change(self, sent: dict[str, Any]) -> Answer:
        """Take the lines from the page."""
        self.draft.change(sent["lines"])
        return {}

    def preview(self, _sent: dict[str, Any]) -> Answer:
        """Return what saving would change in the file, as a diff."""
        return {"diff": rewrite.diff(self.text, self._rewritten(), self.path.name)}

    def save(self, _sent: dict[str, Any]) -> Answer:
        """Write the file, and have the publisher load it again."""
        after = self._rewritten()
        if after == self.text:
            return {"said": "Nothing has changed, so nothing was written."}
        backup = rewrite.replace(self.path, self.text, after)
        self.text, self.saved = after, True
        self.draft.mark_saved()
        reloaded = systemd_state.reload_publisher()
        said = f"Saved. The old file is kept as {backup.name}."
        return {"said": said + (" The publisher has loaded it." if reloaded else "")}

    def end(self, _sent: dict[str, Any]) -> Answer:
        """End the session now."""
        self.over.set()
        return {}

    def _rewritten(self) -> str:
        return rewrite.rewrite(self.text, self.settings.name, self.draft.wanted(), self.path)


def run(path: Path, camera: str, *, port: int, minutes: float) -> int:
    """
    Serve the page until the technician ends it or the time is over; return 0.

    Args:
        path: The config file.
        camera: The camera's name.
        port: The page's port on 127.0.0.1.
        minutes: The session ends by itself after this time.

    Raises:
        ConfigError: the config can't be used.
        PageUnavailable: the port is taken.
        VisionEnded, WireError: vision could not go on.
    """
    settings = schema.load(path).vision(camera)
    draft = Draft(settings.camera.lines)
    session = Session(path, settings, schema.read_text(path), minutes, draft)
    site = Site(
        "setup.html",
        ("style.css", "icon.svg", "setup.js", "lines.js", "history.js", "hold.js", "magnifier.js", "picture.js"),
        session.events,
        {"/lines": session.change, "/preview": session.preview, "/save": session.save, "/end": session.end},
    )
    out = Console(highlight=False, soft_wrap=True)
    with stop_signals(session.over), systemd_state.paused(camera, 60 * minutes) as was_running:
        server = Server(site, port)
        try:
            vision = VisionProcess(settings, path, picture=True, counting=False)
            try:
                vision.start(draft.observe, session.over.set)
                show_address(out, server, f"It ends by itself in {minutes:g} minutes; end it sooner with Ctrl-C.")
                _offer_lasting_name(out, settings.camera.source)
                if was_running:
                    out.print(f"The service doesn't count at {camera} meanwhile; it goes on when this ends.")
                session.over.wait(session.left_s)
            finally:
                session.over.set()
                vision.stop()
            server.wait_for_streams()
        finally:
            server.close()
    if vision.fault is not None:
        raise vision.fault
    out.print(session.outcome)
    return 0


def _offer_lasting_name(out: Console, source: str) -> None:
    """Say how to name a camera that is named by a number which may be another camera's after a restart."""
    lasting = camera_names.lasting(source) if camera_names.is_numbered(source) else None
    if lasting is not None:
        out.print(
            f"{source} may be another camera after a restart; its plug's name stays. In the config: source: {lasting}"
        )
