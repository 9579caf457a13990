"""The trial: real programs, real broker, and what it says when something is wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.core.errors import BrokerUnreachable
from edge.technician import demo, demo_headquarters

pytestmark = pytest.mark.processes

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
HOUR: dict[str, Any] = {
    "site": demo_headquarters.SITE,
    "camera": demo_headquarters.CAMERA,
    "timezone": demo_headquarters.ZONE,
    "revision": 1,
    "in": 3,
    "out": 0,
    "flags": ["trial"],
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(name="port")
def _port(tmp_path: Path) -> Iterator[int]:
    """Start a mosquitto on loopback and give its port."""
    assert MOSQUITTO, "these tests need Debian's mosquitto: run tests/run.sh"
    port = free_port()
    settings = tmp_path / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest stderr\n")
    settings.chmod(0o644)
    with subprocess.Popen([MOSQUITTO, "-v", "-c", str(settings)], stderr=subprocess.PIPE, text=True) as broker:
        assert broker.stderr
        try:
            assert any(" running" in line for line in broker.stderr)
            yield port
        finally:
            broker.terminate()
            broker.stderr.read()


@pytest.fixture(name="fastest")
def _fastest() -> float:
    """Give the speed at which the clip just fits into the trial's hour."""
    return 3600 / (demo.read_truth().seconds + 12)


@contextmanager
def start(port: int, folder: Path, speed: float) -> Iterator[subprocess.Popen[str]]:
    """Start `footfall demo`, whose temporary files are in *folder*; end it if the test can't."""
    with subprocess.Popen(
        [sys.executable, "-m", "edge", "demo", "--port", str(port), "--speed", f"{speed:g}"],
        env={**os.environ, "TMPDIR": str(folder), "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def left_behind(folder: Path) -> list[str]:
    """Return the files in *folder*, and the command lines of live processes that name it."""
    commands = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            commands.append(path.read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [*map(str, folder.iterdir()), *(command for command in commands if str(folder) in command)]


def test_the_hour_arrives(port: int, tmp_path: Path, fastest: float) -> None:
    """The demo's hour arrives, is one that headquarters could book, and nothing stays behind."""
    folder = tmp_path / "demo"
    folder.mkdir()
    with start(port, folder, fastest) as process:
        said, complained = process.communicate(timeout=300)
    topic, payload = re.findall(r"^(footfall/v1/\S+/hour)\n(.*)$", said, re.MULTILINE)[0]
    hour = json.loads(payload)

    assert process.returncode == 0, complained
    assert topic == demo_headquarters.HOUR_TOPIC
    assert demo_headquarters.find_fault(payload.encode()) is None
    assert hour["watched_s"] > 0
    assert f"{demo_headquarters.STATUS_TOPIC}  online" in said
    assert f"{demo_headquarters.STATUS_TOPIC}  offline" in said
    assert left_behind(folder) == []


def test_a_stop_leaves_nothing_behind(port: int, tmp_path: Path) -> None:
    """SIGTERM in the middle of the trial ends its programs, removes its files and says so."""
    folder = tmp_path / "demo"
    folder.mkdir()
    with start(port, folder, 1) as process:
        assert process.stderr
        assert "are counting" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        _, complained = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "stopped before the hour was over" in complained
    assert left_behind(folder) == []


def test_no_broker_is_one_sentence(tmp_path: Path, fastest: float) -> None:
    """Without a broker the demo ends at once, with the code for it and one sentence."""
    port = free_port()
    with start(port, tmp_path, fastest) as process:
        _, complained = process.communicate(timeout=60)

    assert BrokerUnreachable.exit_code == process.returncode
    assert [f"footfall: broker 127.0.0.1:{port} can't be reached: Connection refused"] == complained.splitlines()


def test_a_speed_at_which_the_clip_does_not_fit(tmp_path: Path) -> None:
    """A trial whose hour is shorter than the clip isn't begun."""
    with start(free_port(), tmp_path, 3600) as process:
        _, complained = process.communicate(timeout=60)

    assert process.returncode == 2
    assert complained.startswith("--speed must be more than 0 and at most")


def test_headquarters_falls_back_to_the_older_protocol(tmp_path: Path) -> None:
    """A broker that speaks only MQTT 3.1.1, like the one from PyPI, is understood, and the config will say so."""
    port = free_port()
    settings = tmp_path / "amqtt.yaml"
    settings.write_text(
        f"listeners: {{default: {{type: tcp, bind: '127.0.0.1:{port}'}}}}\n"
        "plugins: {amqtt.plugins.authentication.AnonymousAuthPlugin: {allow_anonymous: true}}\n"
    )
    program = Path(sys.executable).with_name("amqtt")
    with subprocess.Popen([program, "-c", str(settings)], stderr=subprocess.PIPE, text=True) as broker:
        assert broker.stderr
        try:
            assert any("bind to" in line for line in broker.stderr)
            headquarters = demo_headquarters.Headquarters("127.0.0.1", port)
            headquarters.close()
        finally:
            broker.terminate()
            broker.stderr.read()

    assert headquarters.protocol == "3.1.1"


def test_a_good_hour_has_no_fault() -> None:
    """An hour of the trial's own site, camera and zone, flagged as a trial, can be booked."""
    assert demo_headquarters.find_fault(json.dumps(HOUR).encode()) is None


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (b"\xff", "it isn't JSON"),
        (b"[]", "it isn't a JSON object"),
        (json.dumps({**HOUR, "in": -1}).encode(), '"in" should be a whole number, but is -1'),
        (json.dumps({**HOUR, "out": True}).encode(), '"out" should be a whole number, but is True'),
        (json.dumps({**HOUR, "revision": None}).encode(), '"revision" should be a whole number, but is None'),
        (json.dumps({**HOUR, "site": "other"}).encode(), "\"site\" should be demo, but is 'other'"),
        (json.dumps({**HOUR, "flags": []}).encode(), "doesn't carry the flag"),
    ],
)
def test_a_bad_hour_is_named(payload: bytes, complaint: str) -> None:
    """What keeps an hour from being booked is said in words."""
    assert complaint in (demo_headquarters.find_fault(payload) or "")
