"""What the field's tests are made of: the program itself, a box's config, and books with something in them."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from edge.__main__ import main
from edge.config import schema
from edge.core.clock import KernelClock, ManualClock
from edge.core.tally import BEAT_MS
from edge.publisher.hour_builder import HourBuilder
from edge.publisher.ledger.ledger import Ledger
from tests.publisher.rig import Walkers

REPOSITORY = Path(__file__).parents[2]
DOOR = REPOSITORY / "models" / "demo" / "door.mp4"

CONFIG = """
site: sh-023
timezone: Asia/Shanghai
cameras:
  {camera}:
    source: {source}
    {more}
    lines: {{entrance: {{from: [0.1, 0.5], to: [0.9, 0.5], inside: [0.5, 0.9]}}}}
broker: {{host: {host}, port: {port}, tls: {tls}{broker}}}
ledger: {folder}/ledger.sqlite
tally_dir: {folder}
"""


def write_config(folder: Path, /, **changes: object) -> Path:
    """Write a footfall.yaml in *folder*, with some values changed, and return it."""
    values = {
        "camera": "door-a",
        "source": DOOR,
        "more": "loop: true",
        "host": "127.0.0.1",
        "port": 1,
        "tls": "false",
        "broker": "",
        "folder": folder,
    }
    path = folder / "footfall.yaml"
    path.write_text(CONFIG.format(**{**values, **changes}))
    return path


def footfall(
    *arguments: object, env: Mapping[str, str] | None = None, timeout_s: float = 600
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end and return what it said."""
    return subprocess.run(
        [sys.executable, "-m", "edge", *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )


def here(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program in this process, where it neither seals itself nor asks whether there is a terminal."""
    words = list(map(str, arguments))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


class Books:
    """
    A publisher's books on the ledger that a config names, in this machine's own boot; what they held is on disk.

    Args:
        path: The config.
        wall_ms: Where the clock stands when the walkers begin.
        boot_ms: Boot time then.
        boot_id: None for this machine's own.
    """

    def __init__(self, path: Path, wall_ms: int, boot_ms: int = 60_000, boot_id: str | None = None) -> None:
        self.settings = schema.load(path).publisher()
        self.clock = ManualClock(boot=boot_ms, wall=wall_ms, boot_id=boot_id or KernelClock().boot_id)
        self.ledger = Ledger(self.settings.ledger, self.clock.boot_id, self.clock.boot)
        self.builder = HourBuilder(self.ledger, self.settings, self.clock, "head-test 1")
        self.walkers = Walkers(boot_ms=boot_ms)

    def let(self, minutes: float, *, in_: int = 0, out: int = 0, flags: int = 0, frames: int = 150) -> None:
        """Let *minutes* pass in beats; *in_*, *out* and *frames* a beat."""
        for _ in range(round(minutes * 60_000 / BEAT_MS)):
            self.clock.advance(BEAT_MS)
            reading = self.walkers.reading(self.clock.boot, in_=in_, out=out, flags=flags)
            # The walkers' own odometer of frames moves by one a reading.
            reading = replace(reading, frames=reading.frames * frames)
            self.builder.take(self.settings.cameras[0].name, [reading])
            self.builder.turn()

    def acknowledge(self) -> None:
        """Let a broker take everything that waits."""
        for camera in self.settings.cameras:
            for row in self.builder.outbox(camera.name, 1_000):
                self.builder.acknowledge(row)
        self.builder.turn(last=True)

    def close(self) -> None:
        """End, everything written."""
        self.builder.turn(last=True)
        self.ledger.close()
