"""
`footfall audit CAMERA`: a person counts beside the box, by taps on the page or by keys, and signs the result.

No picture is made or kept: the preview of the sealed vision process carries its odometers and no cells. If the
publisher holds the camera's diode open, vision goes on writing to it, so that the hour of an audit is complete.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.live import Live
from rich.text import Text

from edge import __version__
from edge.config import schema
from edge.config.schema import Config
from edge.core import head_model
from edge.core.clock import KernelClock
from edge.core.errors import ConfigError, ReportUnwritable
from edge.core.signals import Notice, stop_signals
from edge.technician import systemd_state
from edge.technician.audit import certainty
from edge.technician.audit.count import Count, recover
from edge.technician.audit.keys import Keys
from edge.technician.audit.report import Report, Signature
from edge.technician.page_address import show_address
from edge.technician.vision_process import VisionProcess
from edge.web.server import Answer, Server, Site

_TICK_S = 0.3
"""The page is told of the time that is left at least this often, s."""
_READY_S = 600.0
"""An audit that nobody starts ends after this time, s."""
_SIGN_S = 600.0
"""An audit that nobody signs ends unsigned after this time, s."""
_MOST_NAME = 60
"""A signer's name is cut to so many characters."""
_ELSEWHERE = "run this with sudo, or name another folder with --reports"
"""What to do where reports can't be kept."""


@dataclass(slots=True)
class Session:
    """
    The state that the page, the keys and the terminal share.

    Attributes:
        attended: Set once nobody is waited for: the audit was signed, or ended.
        over: Set once the report is written.
    """

    camera: str
    count: Count
    attended: Notice = field(default_factory=Notice)
    over: Notice = field(default_factory=Notice)
    signature: Signature | None = None
    report: Report | None = None
    _number: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def events(self) -> Iterator[Answer]:
        """Yield the state whenever it changes, and a last event with the verdict."""
        while not self.over.is_set():
            yield self.shown()
            self.count.wait(_TICK_S)
        yield {**self.shown(), "over": True}

    def shown(self) -> dict[str, Any]:
        """Return the state as JSON, numbered from 1; the box's count only when the person may see it."""
        with self._lock:
            self._number += 1
            return {"number": self._number, **self._state()}

    def _state(self) -> dict[str, Any]:
        count = self.count
        person, box = count.totals()
        is_shown = count.box_shown or count.phase in ("signing", "over")
        return {
            "camera": self.camera,
            "phase": count.phase if count.seen else "waiting",
            "left_s": round(count.left_s),
            "person": person,
            "box": box if is_shown else None,
            "shown": count.box_shown,
            "result": Report(count.about, count.result(), None).summary() if count.phase == "signing" else None,
            "verdict": self.report.verdict if self.report else "",
        }

    def act(self, sent: dict[str, Any]) -> Answer:
        """Do what a button or a key asks for. Raises KeyError for an unknown action."""
        count = self.count
        {
            "start": count.start,
            "in": lambda: count.tap("in"),
            "out": lambda: count.tap("out"),
            "undo": count.undo,
            "box": count.show_box,
            "finish": count.finish,
        }[sent["do"]]()
        return self.shown()

    def sign(self, sent: dict[str, Any]) -> Answer:
        """Sign the result. Without a name it stays unsigned. Raises ValueError if there is nothing to sign."""
        if self.count.phase != "signing":
            raise ValueError("nothing to sign")
        name = " ".join(str(sent["name"]).split())[:_MOST_NAME]
        self.signature = Signature(name, sent["accepted"] is True) if name else None
        self.attended.set()
        return {}


def run(path: Path, camera: str, *, line: str | None, port: int, minutes: float, folder: Path | None) -> int:
    """
    Hold an audit; return 0 if it was signed and accepted, else 1.

    Args:
        path: The config file.
        camera: The camera's name.
        line: The line to audit; None adds all lines of the camera.
        port: The page's port on 127.0.0.1.
        minutes: The counting ends by itself after this time.
        folder: Where the report goes; None is `audits` beside the ledger.

    Raises:
        ConfigError: the config can't be used, or has no such line.
        ReportUnwritable: there is no place for reports.
        PageUnavailable: the port is taken.
        VisionEnded, WireError: vision could not go on.
    """
    whole = schema.load(path)
    settings = whole.vision(camera)
    lines = list(settings.camera.lines)
    if line is not None and line not in lines:
        raise ConfigError("--line", [f'--line: no line of {camera} is called "{line}"; it has: {", ".join(lines)}'])
    folder = _prepare(folder or whole.ledger.parent / "audits")
    out = Console(highlight=False, soft_wrap=True)
    _report_broken_off_audits(folder, camera, out)
    began = _now(whole)
    about = _about(whole, camera, line or ", ".join(lines), began)
    stem = f"{camera}-{began.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    count = Count(lines, line, 60 * minutes, folder / f"{stem}.taps", about)
    session = Session(camera, count)
    site = Site(
        "audit.html",
        ("style.css", "icon.svg", "audit.js", "picture.js"),
        session.events,
        {"/act": session.act, "/sign": session.sign},
        {"advice": certainty.advice()},
    )
    with stop_signals(session.attended), systemd_state.paused(camera, _READY_S + 60 * minutes + _SIGN_S):
        server = Server(site, port)
        try:
            vision = VisionProcess(settings, path, picture=False, counting=True)
            try:
                vision.start(count.see, session.attended.set)
                show_address(out, server, f"You count for {minutes:g} minutes, from when you start it.")
                _attend(session, out)
            finally:
                vision.stop()
            if count.begun:
                count.close()
                session.report = Report(about, count.result(), session.signature)
                _export(session.report, folder / stem, count.store)
            session.over.set()
            server.wait_for_streams()
        finally:
            server.close()
    if vision.fault is not None:
        raise vision.fault
    if session.report is None:
        out.print("It was ended before it began; there is no report.")
        return 1
    out.print(f"\n{session.report.text()}\nKept as {folder / stem}.txt and .html.")
    return 0 if session.report.accepted else 1


def _attend(session: Session, out: Console) -> None:
    """Take keys until the counting is over, then a signature; the page may send both instead."""
    keys = Keys()
    if keys.present:
        out.print("\nHere: space starts. Then i = in, o = out, u = undo, b = show the box's count, q = finish.\n")
    with keys, Live(console=out, auto_refresh=False, transient=True) as live:
        _take_taps(session, keys, live)
    if session.count.phase == "signing" and not session.attended.is_set():
        _take_signature(session, keys, out)


def _take_taps(session: Session, keys: Keys, live: Live) -> None:
    count = session.count
    names = {"i": "in", "o": "out", "u": "undo", "b": "box", "q": "finish", " ": "start"}
    clock = KernelClock()
    until_ms = clock.boot_ms() + 1000 * _READY_S
    while not session.attended.is_set() and count.phase in ("ready", "counting"):
        if count.phase == "ready" and clock.boot_ms() > until_ms:
            session.attended.set()
        if (key := keys.key().lower()) in names:
            session.act({"do": names[key]})
        if count.phase == "counting" and count.left_s <= 0:
            count.finish()
        if keys.present:
            live.update(_line(session), refresh=live.console.is_terminal)


def _take_signature(session: Session, keys: Keys, out: Console) -> None:
    clock = KernelClock()
    until_ms = clock.boot_ms() + 1000 * _SIGN_S

    def waits() -> bool:
        return not session.attended.is_set() and clock.boot_ms() < until_ms

    if keys.present:
        out.print(Report(session.count.about, session.count.result(), None).text())
        out.print("Your name, to sign what you counted (leave it empty not to sign):")
        name, accepted = keys.line(waits), False
        if name:
            out.print("Is the box's count accepted? [y/n]")
            accepted = (keys.line(waits) or "").lower().startswith("y")
        if name is not None and waits():
            session.sign({"name": name, "accepted": accepted})
    while waits():
        session.attended.wait(_TICK_S)


def _line(session: Session) -> Text:
    shown = session.shown()
    if shown["phase"] in ("waiting", "ready"):
        return Text("waiting for the camera" if shown["phase"] == "waiting" else "ready: press space to start")
    box = f"   box: {shown['box']['in']} in, {shown['box']['out']} out" if shown["box"] else ""
    left = shown["left_s"]
    return Text(
        f"you: {shown['person']['in']} in, {shown['person']['out']} out{box}   {left // 60}:{left % 60:02d} left"
    )


def _now(whole: Config) -> datetime:
    return datetime.fromtimestamp(KernelClock().wall_ms() / 1000, ZoneInfo(whole.timezone))


def _about(whole: Config, camera: str, line: str, began: datetime) -> dict[str, str]:
    trusted = "" if KernelClock().trusted() else " (the box's clock wasn't synchronised)"
    return {
        "site": whole.site,
        "camera": camera,
        "line": line,
        "opened": f"{began:%Y-%m-%d %H:%M:%S} {whole.timezone}{trusted}",
        "software": f"footfall-edge {__version__}",
        "model": head_model.read(whole.model).identity,
    }


# --- reports on the box ----------------------------------------------------------------------------------------------


def _prepare(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise ReportUnwritable(folder, exc.strerror or str(exc), _ELSEWHERE) from exc
    if not os.access(folder, os.W_OK):
        raise ReportUnwritable(folder, "this user may not write there", _ELSEWHERE)
    return folder


def _export(report: Report, stem: Path, store: Path) -> None:
    """Write the report and sync it to the disk; only then delete the taps."""
    for suffix, text in ((".txt", report.text()), (".html", report.page())):
        try:
            with stem.with_name(stem.name + suffix).open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as exc:
            raise ReportUnwritable(stem.parent, exc.strerror or str(exc), _ELSEWHERE) from exc
    store.unlink(missing_ok=True)


def _report_broken_off_audits(folder: Path, camera: str, out: Console) -> None:
    """Write the report of each audit that was killed, and delete its taps."""
    for store in sorted(folder.glob(f"{camera}-*.taps")):
        try:
            about, result = recover(store)
        except (ValueError, KeyError, TypeError):
            store.unlink()
            continue
        _export(Report(about, result, None), store.with_suffix(""), store)
        out.print(f"An audit was broken off; what was counted is in {store.with_suffix('.txt')}.")
