"""
`python -m tests.faults.day`: a day of a box at sixty times its speed, real vision on the demo clip, real publisher.

Prints the memory of each process at the start and the end, which hours arrived, and what the ledger was written.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.publisher.rig import Listener, Mosquitto

ROOT = Path(__file__).parents[2]
CONFIG = """
site: sh-023
timezone: Asia/Shanghai
cameras:
  door-a:
    source: {clip}
    loop: true
    fps: 5
    lines:
      entrance: {{from: [0.1, 0.55], to: [0.9, 0.55], inside: [0.5, 0.9]}}
      side: {{from: [0.2, 0.1], to: [0.2, 0.9], inside: [0.9, 0.5]}}
broker: {{host: 127.0.0.1, port: {port}, tls: false}}
ledger: {folder}/ledger.sqlite
tally_dir: {folder}
"""
TOPIC = "footfall/v1/sh-023/door-a/hour"
_WARM_S = 30.0
"""Memory is compared from here on: by then everything is loaded."""


@dataclass
class Day:
    """What was measured."""

    speed: float
    resident: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    """By process: real s since the start, KiB."""
    written: int = 0
    commits: int = 0
    lasted_s: float = 0.0
    hours: Counter[tuple[str, int]] = field(default_factory=Counter)
    """How often each message (start, revision) came."""

    def growth(self, process: str) -> tuple[int, int]:
        """Return the mean resident memory of the first and of the last tenth of the time after warming up, KiB."""
        values = [kib for at_s, kib in self.resident[process] if at_s >= _WARM_S] or [
            kib for _, kib in self.resident[process]
        ]
        tenth = max(1, len(values) // 10)
        return sum(values[:tenth]) // tenth, sum(values[-tenth:]) // tenth

    @property
    def written_a_day(self) -> float:
        """Bytes that the publisher had written to its disk in a day of the box's."""
        return self.written * 86_400 / (self.lasted_s * self.speed)

    @property
    def commits_a_beat(self) -> float:
        """Commits in ten seconds of the box's."""
        return self.commits * 10 / (self.lasted_s * self.speed)


def live(folder: Path, hours: int, speed: float) -> Day:
    """Let a box live until so many of its hours have arrived, or should have long ago."""
    broker = Mosquitto(folder)
    broker.start()
    listener = Listener(broker.port, topic="footfall/#")
    settings = folder / "footfall.yaml"
    settings.write_text(CONFIG.format(clip=ROOT / "models" / "demo" / "door.mp4", port=broker.port, folder=folder))
    day = Day(speed)
    with (folder / "processes.log").open("ab") as out:
        # A sealed process writes to no file; to a pipe it may.
        log = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=out)
    box = subprocess.Popen(
        [sys.executable, "-m", "edge", "run", "--config", settings, "--trial-speed", str(speed)],
        stdout=log.stdin,
        stderr=log.stdin,
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OPENCV_FFMPEG_THREADS": "1"},
    )
    began_s = time.monotonic()
    commits = _Commits(folder / "ledger.sqlite")
    sampled_s = 0.0
    try:
        while day.lasted_s * speed < 2 * (hours + 1) * 3600:
            if len(set(listener.payloads(TOPIC))) >= hours:
                break
            if box.poll() is not None:
                raise RuntimeError(f"the box ended with {box.returncode}: {(folder / 'processes.log').read_text()}")
            day.commits += commits.new()
            if day.lasted_s - sampled_s >= 5:
                sampled_s = day.lasted_s
                for name, pid in _children(box.pid).items():
                    status = Path(f"/proc/{pid}/status").read_text()
                    day.resident.setdefault(name, []).append((day.lasted_s, int(status.split("VmRSS:")[1].split()[0])))
                    if name == "publisher":
                        io = Path(f"/proc/{pid}/io").read_text()
                        day.written = int(io.split("\nwrite_bytes:")[1].split()[0])
            time.sleep(0.02)
            day.lasted_s = time.monotonic() - began_s
    finally:
        box.send_signal(signal.SIGTERM)
        box.wait(30)
        log.communicate(timeout=10)
        commits.close()
        time.sleep(0.5)
        listener.close()
        broker.stop()
    for payload in listener.payloads(TOPIC):
        hour = json.loads(payload)
        day.hours[hour["start"], hour["revision"]] += 1
    return day


class _Commits:
    """Counts another process's commits, as SQLite tells them to a reader that asks often enough."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._connection: sqlite3.Connection | None = None
        self._version = 0

    def new(self) -> int:
        """Return 1 if there was one since the last call."""
        if self._connection is None:
            if not self._ledger.exists():
                return 0
            self._connection = sqlite3.connect(f"file:{self._ledger}?mode=ro", uri=True)
        with contextlib.suppress(sqlite3.OperationalError):
            version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
            before, self._version = self._version, version
            return int(version != before)
        return 0

    def close(self) -> None:
        """Look no more."""
        if self._connection is not None:
            self._connection.close()


def _children(pid: int) -> dict[str, int]:
    """Return the pids of vision and publisher."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError, IndexError):
            words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
            found[words[words.index("edge") + 1]] = int(child)
    return found


def main() -> int:
    """Live a day, say what it was like; return 1 if an hour is missing or came twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.day", description=__doc__)
    parser.add_argument("--hours", type=int, default=24, help="how many (default 24)")
    parser.add_argument("--speed", type=float, default=60.0, help="the box's seconds in a real one (default 60)")
    parser.add_argument("--disk", type=Path, default=Path.cwd(), help="a folder on a real disk (default: this one)")
    options = parser.parse_args()
    # On a real disk: what is written to a tmpfs isn't counted.
    with tempfile.TemporaryDirectory(prefix="day-", dir=options.disk) as name:
        day = live(Path(name), options.hours, options.speed)
    for process in day.resident:
        first, last = day.growth(process)
        print(f"{process}: {first / 1024:.1f} MiB at the start, {last / 1024:.1f} MiB at the end")
    print(f"{len(day.hours)} messages: {sorted(day.hours)}")
    print(f"ledger: {day.written_a_day / 1e6:.2f} MB written a day, {day.commits_a_beat:.3f} commits in 10 s")
    return int(len({start for start, _ in day.hours}) < options.hours or max(day.hours.values()) > 1)


if __name__ == "__main__":
    sys.exit(main())
