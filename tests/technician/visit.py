"""What the tests of `setup` and `audit` are made of: a config, the command as a process, a systemd that only notes."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge.core.head_model import shipped
from tests.technician.chromium import Page

PATIENCE_S = 300.0

CONFIG = """\
# Shop at the corner, put up by Ms Li
site: sh-023
timezone: Asia/Shanghai

cameras:
  door:   # above the main entrance
    source: {clip}
    loop: true
    lines:
      # across the mat
      entrance: {{from: [0.10, 0.55], to: [0.90, 0.55], inside: [0.5, 0.9]}}   # measured twice
broker: {{host: 127.0.0.1, tls: false}}
ledger: {folder}/ledger.sqlite
tally_dir: {folder}
"""

SYSTEMCTL = """\
#!/bin/sh
echo "${{0##*/}} $*" >>"{log}"
case "${{0##*/}} $*" in {during}) kill -s TERM $PPID ;; esac
case "$*" in *is-active*) exit {active} ;; esac
"""


def write_config(folder: Path) -> Path:
    """Write a config whose camera is the demo clip, again and again."""
    path = folder / "footfall.yaml"
    path.write_text(CONFIG.format(clip=shipped("demo/door.mp4"), folder=folder), encoding="utf-8")
    return path


def fake_systemd(folder: Path, *, active: bool, during: str = "nothing") -> tuple[Path, Path]:
    """
    Make a systemctl and a systemd-run that note what they are asked; return their folder and their notes.

    Whoever asks what fits the shell's pattern *during* is sent SIGTERM meanwhile.
    """
    programs, notes = folder / "bin", folder / "notes"
    programs.mkdir()
    notes.touch()
    for name in ("systemctl", "systemd-run"):
        (programs / name).write_text(
            SYSTEMCTL.format(log=notes, active=0 if active else 3, during=during), encoding="utf-8"
        )
        (programs / name).chmod(0o755)
    return programs, notes


def tap_on_phone(page: Page, address: str, ways: Sequence[str]) -> None:
    """Open the page of an audit on a phone, start it, and tap *ways* with the thumbs."""
    page.be_phone(375, 667)
    page.open(address)
    page.wait("!document.querySelector('#ready-part').hidden")
    page.click("#start")
    page.wait("!document.querySelector('#counting-part').hidden")
    for way in ways:
        thumb = page.middle(f".tap.{way}")
        page.swipe(thumb, thumb)


class Command:
    """A `footfall` command that runs, and what it says on both its outputs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []
        self._rows: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for row in self.process.stdout:
            self._rows.put(row)
        self._rows.put(None)

    def hear(self, pattern: str) -> str:
        """Return the first match of *pattern* in what it says; fail if it ends, or says nothing more, before."""
        for row in self.said:
            if found := re.search(pattern, row):
                return found[0]
        while True:
            more = self._rows.get(timeout=PATIENCE_S)
            assert more is not None, f"it ended before it said {pattern!r}: {''.join(self.said)}"
            self.said.append(more)
            if found := re.search(pattern, more):
                return found[0]

    @property
    def address(self) -> str:
        """The address of its page, with the token."""
        return self.hear(r"http://127\.0\.0\.1:\d+/\?token=\S+")

    def end(self) -> tuple[int, str]:
        """Wait for its end; return its exit code and all that it said."""
        while (more := self._rows.get(timeout=PATIENCE_S)) is not None:
            self.said.append(more)
        return self.process.wait(PATIENCE_S), "".join(self.said)


@contextlib.contextmanager
def footfall(*arguments: str, path: Sequence[Path] = (), stdin: int = subprocess.DEVNULL) -> Iterator[Command]:
    """Start `footfall ARGUMENTS`; kill it if the test left it running."""
    with subprocess.Popen(
        [sys.executable, "-m", "edge", *arguments],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **os.environ,
            "PATH": os.pathsep.join([*map(str, path), os.environ["PATH"]]),
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "300",
        },
    ) as process:
        command = Command(process)
        try:
            yield command
        finally:
            process.kill()
            # Its vision says a last word and ends, once nobody holds the window.
            command.reader.join(PATIENCE_S)
