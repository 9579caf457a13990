"""
Both real processes over a real FIFO, a real mosquitto, and a subscriber that isn't ours.

The clip is counted as fast as it goes on a trial's clock, on which an hour lasts twelve seconds; what must come out is
compared with what the same pipeline counts in this process, so that any head model will do.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from edge.core.clock import KernelClock, TrialClock
from edge.core.tally import SIZE, Tally, decode
from tests import piece
from tests.publisher.rig import Listener, Mosquitto, utc_ms, wait_until

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parent.parent
HOUR, STATUS = "footfall/v1/sh-023/door/hour", "footfall/v1/sh-023/door/status"
SPEED = 300.0
FPS = 5.0
"""Frames a second of the clip that are looked at: enough to count people, and a third of the work."""
LONG_S = 300.0
"""A machine that is busy with other things is given so much time."""

DOCS = ROOT / "docs"
API = yaml.safe_load((DOCS / "asyncapi.yaml").read_text(encoding="utf-8"))
CONTRACT = jsonschema.Draft202012Validator(
    json.loads((DOCS / "hour.schema.json").read_text(encoding="utf-8")), format_checker=jsonschema.FormatChecker()
)


@pytest.fixture(name="broker")
def _broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(name="steps", scope="module")
def _steps() -> list[list[Any]]:
    """Return what each frame of the demo clip confirms, as this process finds it."""
    steps: list[list[Any]] = list(piece.crossings(piece.CLIP, fps=FPS))
    assert min(piece.counted(steps)) > 0, "with a model that counts nothing these tests say nothing"
    return steps


class Box:
    """
    A box: its config, its FIFO that outlives both processes, its ledger.

    Vision writes into a pipe whose records are noted before they are handed on to the publisher's FIFO, so that a test
    knows exactly what each run of vision has said.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.ledger = folder / "ledger.sqlite"
        self.config = folder / "footfall.yaml"
        self.clock = TrialClock(SPEED, KernelClock().boot_ms(), utc_ms("2026-03-02T10:00:00+08:00"))
        self.said: list[Tally] = []
        self._fifo_path = folder / "door.tally"
        os.mkfifo(self._fifo_path)
        # As systemd does: both ends are held, so that the pipe and what is in it stay when a process dies.
        self._fifo = os.open(self._fifo_path, os.O_RDWR | os.O_NONBLOCK)
        self._tap, self._vision_end = os.pipe()
        self._log = folder / "log"
        self._processes: list[subprocess.Popen[bytes]] = []
        line = {end: list(point) for end, point in piece.LINE.items()}
        camera = {"source": str(piece.CLIP), "replay": "fast", "fps": FPS, "lines": {"entrance": line}}
        self.config.write_text(
            yaml.safe_dump(
                {
                    "site": "sh-023",
                    "timezone": "Asia/Shanghai",
                    "cameras": {"door": camera},
                    "broker": {"host": "127.0.0.1", "port": port},
                    "ledger": str(self.ledger),
                    "tally_dir": str(folder),
                }
            ),
            encoding="utf-8",
        )
        threading.Thread(target=self._hand_on, daemon=True).start()

    def _hand_on(self) -> None:
        with contextlib.suppress(OSError):
            while record := os.read(self._tap, SIZE):
                self.said.append(decode(record))
                with contextlib.suppress(BlockingIOError):
                    os.write(self._fifo, record)

    def start(self, *command: str, descriptors: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        """Start one of the processes on the trial's clock."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "edge", *command),
                    *("--config", str(self.config), "--trial-clock", self.clock.spec()),
                ],
                stdout=log,
                stderr=log,
                pass_fds=descriptors,
                cwd=ROOT,
            )
        self._processes.append(process)
        return process

    def vision(self) -> subprocess.Popen[bytes]:
        return self.start("vision", "door", f"--diode={self._vision_end}", descriptors=(self._vision_end,))

    def publisher(self) -> subprocess.Popen[bytes]:
        return self.start("publisher")

    def last_of_each_run(self) -> list[Tally]:
        """Return the last reading of each run of vision, in the order of the runs."""
        return list({tally.run: tally for tally in self.said}.values())

    def rows(self) -> list[tuple[str, bool]]:
        """Return the payload of each hour in the ledger, oldest first, and whether it was acknowledged."""
        with contextlib.closing(sqlite3.connect(f"{self.ledger.as_uri()}?mode=ro", uri=True)) as ledger:
            if not ledger.execute("SELECT count(*) FROM sqlite_master WHERE name = 'hours'").fetchone()[0]:
                return []  # SQLite makes the file before its tables
            found = ledger.execute("SELECT payload, delivered_ms IS NOT NULL FROM hours ORDER BY start_ms, revision")
            return [(payload.decode(), bool(done)) for payload, done in found]

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        os.close(self._vision_end)
        os.close(self._fifo)


@pytest.fixture(name="box")
def _box(tmp_path: Path, broker: Mosquitto) -> Iterator[Box]:
    box = Box(tmp_path, broker.port)
    yield box
    print((tmp_path / "log").read_text(encoding="utf-8"))  # pytest shows it when a test fails
    box.close()


@pytest.fixture(name="listener")
def _listener(broker: Mosquitto) -> Iterator[Listener]:
    """Listen to everything with mosquitto_sub."""
    listener = Listener(broker.port)

    def hears() -> bool:
        subprocess.run(["mosquitto_pub", "-p", str(broker.port), "-q", "1", "-t", "probe", "-m", "x"], check=True)
        return bool(listener.payloads("probe"))

    wait_until(hears, "the listener to hear")
    yield listener
    listener.close()


def heard_hours(listener: Listener) -> dict[str, dict[str, Any]]:
    """Return the newest revision of each hour that the subscriber has heard, by its start."""
    hours: dict[str, dict[str, Any]] = {}
    for payload in listener.payloads(HOUR):
        hour = json.loads(payload)
        if hour["revision"] >= hours.get(hour["start"], hour)["revision"]:
            hours[hour["start"]] = hour
    return hours


def total(listener: Listener) -> tuple[int, int]:
    """Return how many went in and out, as headquarters would add it up."""
    hours = heard_hours(listener).values()
    return sum(hour["in"] for hour in hours), sum(hour["out"] for hour in hours)


def counted_after(steps: list[list[Any]], frames: int) -> tuple[int, int]:
    """Return what the clip's first *frames* frames confirm."""
    return piece.counted(steps[:frames])


def wait_for_all(box: Box, listener: Listener) -> None:
    """Wait until an hour has been heard that ends after the last reading of vision, and so all that it counted."""
    last_ms = max(tally.boot_ms for tally in box.said)
    offset_ms = box.clock.wall_ms() - box.clock.boot_ms()

    def heard() -> bool:
        return any(utc_ms(hour["end"]) > last_ms + offset_ms + 1000 for hour in heard_hours(listener).values())

    wait_until(heard, "the hour after vision's last reading", LONG_S)


def finish(box: Box, publisher: subprocess.Popen[bytes], listener: Listener) -> None:
    """Stop the publisher, and hold what was heard against what the ledger holds."""
    publisher.send_signal(signal.SIGTERM)

    assert 0 == publisher.wait(300)
    wait_until(lambda: listener.payloads(STATUS)[-1] == "offline", "the farewell")
    rows = box.rows()
    assert [payload for payload, done in rows if done] == sorted_by_start(listener.payloads(HOUR))
    assert {HOUR, STATUS, "probe"} == {topic for topic, _, _ in listener.received}
    assert not any(retained for _, retained, _ in listener.received)
    for payload, _ in rows:
        CONTRACT.validate(json.loads(payload))
        assert "trial" in json.loads(payload)["flags"]


def sorted_by_start(payloads: list[str]) -> list[str]:
    """Return each payload once, by hour and revision: MQTT promises at least once, and corrections come late."""
    return sorted(set(payloads), key=lambda payload: (json.loads(payload)["start"], json.loads(payload)["revision"]))


def as_told_in_asyncapi() -> dict[str, tuple[int, bool]]:
    """Return QoS and retain of each topic, as docs/asyncapi.yaml has them."""
    return {
        API["channels"][operation["channel"]["$ref"].rpartition("/")[2]]["address"].format(
            site="sh-023", camera="door"
        ): (
            operation["bindings"]["mqtt"]["qos"],
            operation["bindings"]["mqtt"]["retain"],
        )
        for operation in API["operations"].values()
    }


def as_seen_by(broker: Mosquitto) -> dict[str, tuple[int, bool]]:
    """Return the same of what the box really sent, as the broker's own log has it; and of its last will."""
    log = (broker.folder / f"mosquitto-{broker.port}.log").read_text(encoding="utf-8")
    sent = re.findall(r"Received PUBLISH from footfall-\S+ \(d\d, q(\d), r(\d), m\d+, '([^']+)'", log)
    will = re.search(r"Will message specified \(7 bytes\) \(r(\d), q(\d)\)\.\n.*?(footfall\S+)", log)
    assert will is not None
    assert (STATUS, "1", "1") == (will[3], will[1], will[2])
    return {topic: (int(qos), retain == "1") for qos, retain, topic in sent}


def ended(process: subprocess.Popen[bytes]) -> Callable[[], bool]:
    return lambda: process.poll() is not None


def test_headquarters_hears_what_the_ledger_holds_and_nothing_else(
    box: Box, broker: Mosquitto, listener: Listener, steps: list[list[Any]]
) -> None:
    """A clip's crossings arrive as hours: the ledger's own bytes, on two topics, as docs/asyncapi.yaml tells them."""
    publisher, vision = box.publisher(), box.vision()
    wait_until(ended(vision), "the clip's end", LONG_S)
    wait_for_all(box, listener)
    counted = total(listener)
    finish(box, publisher, listener)

    assert 0 == vision.returncode
    assert len(steps) == box.said[-1].frames
    assert counted_after(steps, len(steps)) == counted
    assert ["online", "offline"] == listener.payloads(STATUS)
    assert len(box.rows()) == len(listener.payloads(HOUR)), "an hour was sent twice without need"
    assert as_told_in_asyncapi() == as_seen_by(broker)


def test_vision_is_killed_in_the_middle(box: Box, listener: Listener, steps: list[list[Any]]) -> None:
    """What it had counted since its last reading is lost, and nothing else; the next run counts on from nothing."""
    publisher, vision = box.publisher(), box.vision()
    wait_until(lambda: box.said and box.said[-1].frames > len(steps) // 2, "half of the clip", LONG_S)
    vision.kill()
    vision.wait()
    again = box.vision()
    wait_until(ended(again), "the clip's end", LONG_S)
    wait_for_all(box, listener)
    counted = total(listener)
    flags = {flag for hour in heard_hours(listener).values() for flag in hour["flags"]}
    finish(box, publisher, listener)

    first, second = box.last_of_each_run()
    before, after = counted_after(steps, first.frames), counted_after(steps, len(steps))
    assert before == (first.in_, first.out)
    assert after == (second.in_, second.out)
    assert (before[0] + after[0], before[1] + after[1]) == counted
    assert "restarted" in flags


def test_the_publisher_is_killed_in_the_middle(box: Box, listener: Listener, steps: list[list[Any]]) -> None:
    """Readings wait in the pipe and hours in the ledger: not one count is lost, and none comes twice."""
    publisher, vision = box.publisher(), box.vision()
    for share in (4, 2):
        wait_until(lambda: box.said and box.said[-1].frames > len(steps) // share, "a part of the clip", LONG_S)  # noqa: B023 - called at once
        publisher.kill()
        publisher.wait()
        publisher = box.publisher()
    wait_until(ended(vision), "the clip's end", LONG_S)
    wait_for_all(box, listener)
    counted = total(listener)
    finish(box, publisher, listener)

    assert len(box.last_of_each_run()) == 1
    assert counted_after(steps, len(steps)) == counted


def test_the_broker_is_away(box: Box, broker: Mosquitto, steps: list[list[Any]]) -> None:
    """Hours that close while it is down are all there when it is up again, oldest first."""
    broker.stop()
    publisher, vision = box.publisher(), box.vision()
    wait_until(ended(vision), "the clip's end", LONG_S)
    wait_until(lambda: box.ledger.exists() and len(box.rows()) >= 2, "two hours", LONG_S)
    broker.start()
    listener = Listener(broker.port)
    wait_until(lambda: len(listener.payloads(HOUR)) >= 2, "two hours", LONG_S)
    wait_for_all(box, listener)
    starts = [json.loads(payload)["start"] for payload in listener.payloads(HOUR)]
    counted = total(listener)
    publisher.terminate()
    publisher.wait(300)
    listener.close()

    assert starts == sorted(starts)
    assert counted_after(steps, len(steps)) == counted
