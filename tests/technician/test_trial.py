"""`footfall run` in systemd's place: its watchdog, and what is left behind."""

from __future__ import annotations

import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.technician import trial
from tests.publisher.rig import lives

pytestmark = pytest.mark.processes

UNITS = Path(__file__).parents[2] / "systemd"

FALLS_SILENT = """
import os, signal, socket, subprocess, sys
began = sys.argv[1]
if os.path.exists(began):
    os.kill(os.getppid(), signal.SIGTERM)
    sys.exit()
child = subprocess.Popen(["sleep", "1000"])
open(began, "w").write(str(child.pid))
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.connect("\\0" + os.environ["NOTIFY_SOCKET"][1:])
told.send(b"READY=1\\nSTATUS=sealed")
told.send(b"WATCHDOG=1")
signal.pause()
"""
"""Says that it works, and then does nothing more; started for the second time it asks `run` to stop, and ends."""


@pytest.fixture(name="handlers", autouse=True)
def _handlers() -> Iterator[None]:
    """Give the signals back that `run` takes."""
    taken = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in taken}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_process_that_does_no_work_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is killed with all that it has started, as a stalled camera's program, and begins anew."""
    monkeypatch.setattr(trial, "WATCHDOG_S", 0.3)
    began = tmp_path / "began"
    child = trial._Child("vision door", [sys.executable, "-c", FALLS_SILENT, str(began)], [])
    code = trial._keep_running([child])
    left = int(began.read_text())

    assert 0 == code
    assert "vision door has done no work for 0.3 s; killed by its watchdog" in caplog.messages
    assert "vision door ended (killed by SIGKILL); started again" in caplog.messages
    assert not lives(left)


def test_a_process_that_works_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each word of work puts the watchdog off; a word about something else doesn't."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    child = trial._Child("vision door", [sys.executable, "-c", ""], [])
    child.start()
    left = [child.left_s]
    for seconds, word in ((100, b"READY=1\nSTATUS=sealed"), (50, b"WATCHDOG=1"), (50, b"STATUS=x")):
        now[0] += seconds
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.sendto(word, child.told.getsockname())
        child.hear()
        left.append(child.left_s)
    child.end()
    child.told.close()

    assert [600, 60, 60, 10] == left


@pytest.mark.parametrize("unit", ["footfall-vision@.service", "footfall-publisher.service"])
def test_the_watchdog_is_that_of_the_units(unit: str) -> None:
    """A trial is as patient as a box."""
    said = dict(re.findall(r"^(WatchdogSec|TimeoutStartSec)=(\d+)", (UNITS / unit).read_text(), re.MULTILINE))

    assert trial.WATCHDOG_S == float(said["WatchdogSec"])
    assert trial.START_S >= float(said["TimeoutStartSec"])


@pytest.mark.parametrize(("code", "told"), [(0, 0), (74, 74), (-9, -9), (137, -9), (143, -15)])
def test_what_ended_it(code: int, told: int) -> None:
    """The helper of a vision process ends with 128 and the signal's number, which is the signal."""
    child = trial._Child("vision door", [sys.executable, "-c", ""], [])
    child.start()
    child.end()
    child.told.close()
    child.process.returncode = code

    assert told == child.code
