"""Headquarters outside the box, and a witness of what vision really said: neither shares code with the publisher."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge.core import tally
from tests.publisher.rig import Listener, Mosquitto, free_port
from tests.system.boxes import Box, wait_until

_WRITE = re.compile(r'write\(\d+, "((?:\\x[0-9a-f]{2}){48})", 48\b')  # also one that another thread interrupts


class Headquarters:
    """
    A broker that the box can reach, and a subscriber that keeps the highest revision of each hour.

    Args:
        folder: For the broker's files.
        port: Where the box looks for the broker; any that is free if it isn't given.
    """

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self._broker = Mosquitto(
            folder, ("allow_anonymous true", f"listener {self.port} 0.0.0.0", "allow_anonymous true")
        )
        self._broker.start()
        self._listener = Listener(self._broker.port)

    def hours(self) -> dict[str, dict[str, object]]:
        """Return the newest revision of each hour, by its start."""
        kept: dict[str, dict[str, object]] = {}
        for topic, _, payload in self._listener.received:
            if topic.endswith("/hour"):
                hour = json.loads(payload)
                if hour["start"] not in kept or hour["revision"] > kept[hour["start"]]["revision"]:
                    kept[hour["start"]] = hour
        return dict(sorted(kept.items()))

    def totals(self) -> tuple[int, int]:
        """Return what all hours sum to: in, out."""
        hours = self.hours().values()
        return sum(int(str(hour["in"])) for hour in hours), sum(int(str(hour["out"])) for hour in hours)

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()
        self._broker.stop()


class Witness:
    """
    Reads, from outside, every record that a box's vision writes into its diode (strace), and keeps each run's last.

    A run whose process was there before the witness, or that wrote nothing while it looked, isn't in it.
    """

    def __init__(self, box: Box) -> None:
        self._box = box
        self._last: dict[tuple[int, int], tuple[int, int]] = {}
        self._watched: dict[int, subprocess.Popen[str]] = {}
        self._looking = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    @property
    def runs(self) -> int:
        """How many runs of vision it has seen."""
        return len({run for run, _ in self._last})

    def totals(self) -> tuple[int, int]:
        """Return what all runs have counted by their last words: in, out."""
        last = list(self._last.values())
        return sum(in_ for in_, _ in last), sum(out for _, out in last)

    @contextmanager
    def away(self) -> Iterator[None]:
        """
        Look away: the kernel lets one process at a time look into another, and `footfall privacy` is to be the one.

        What a run counts meanwhile is in its next record, as records are sums; no run may end meanwhile.
        """
        with self._looking:
            self._let_go()
            yield
        wait_until(lambda: all(map(_traced, filter(self._box.holds, _visions()))), "the witness to look again")

    def close(self) -> None:
        """Look away for good."""
        self._stopping.set()
        self._thread.join()
        self._let_go()

    def _let_go(self) -> None:
        for process in self._watched.values():
            process.terminate()
            process.wait()
        self._watched.clear()

    def _look(self) -> None:
        while not self._stopping.wait(0.05):
            with self._looking:
                self._look_for_more()

    def _look_for_more(self) -> None:
        for process in _visions():
            if process not in self._watched and self._box.holds(process):
                self._watched[process] = strace = subprocess.Popen(
                    ["strace", "-f", "-qq", "-e", "trace=write", "-xx", "-s", "48", "-p", str(process)],
                    stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                )  # fmt: skip
                threading.Thread(target=self._read, args=[strace], daemon=True).start()

    def _read(self, strace: subprocess.Popen[str]) -> None:
        assert strace.stderr is not None
        with strace.stderr as lines:
            for line in lines:
                if found := _WRITE.search(line):
                    record = tally.decode(bytes.fromhex(found[1].replace("\\x", "")))
                    self._last[record.run, record.line] = record.in_, record.out


def _visions() -> Iterator[int]:
    """Yield the processes on this machine, in boxes too, that see."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"/opt/footfall/current/bin/footfall" in words and b"vision" in words and _has_its_diode(folder):
            yield int(folder.name)


def _traced(process: int) -> bool:
    """Tell whether somebody looks into the process, or it has ended."""
    try:
        return "\nTracerPid:\t0\n" not in Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return True


def _has_its_diode(process: Path) -> bool:
    """Tell whether the process has got so far: looking at it earlier would only slow its start."""
    with suppress(OSError):
        return any(descriptor.readlink().suffix == ".tally" for descriptor in (process / "fd").iterdir())
    return False


@contextmanager
def headquarters(folder: Path, port: int | None = None) -> Iterator[Headquarters]:
    """Give a headquarters."""
    made = Headquarters(folder, port)
    try:
        yield made
    finally:
        made.close()
