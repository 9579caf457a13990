"""The helper that tells systemd: a dozen sentences, by one byte each, and nothing else."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.core import errors
from edge.sandbox.readiness import SENTENCES, Word

pytestmark = pytest.mark.processes

REPOSITORY = Path(__file__).parents[2]

BODY = """
    import os, sys, time, signal
    from edge.sandbox.readiness import Readiness, Word
    readiness = Readiness()
    (pipe,) = readiness.descriptors
    {body}
"""


@pytest.fixture(name="systemd")
def _systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(60)
        yield listener


def run(systemd: socket.socket, body: str) -> subprocess.Popen[bytes]:
    """Start a process that makes the helper, and does *body* as its child."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(BODY).format(body=body)],
        env={**os.environ, "NOTIFY_SOCKET": systemd.getsockname(), "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.DEVNULL,
    )


def heard(systemd: socket.socket) -> list[str]:
    """Return what has come."""
    systemd.setblocking(False)
    found = []
    while True:
        try:
            found.append(systemd.recv(65536).decode())
        except BlockingIOError:
            return found


def test_sentences(systemd: socket.socket) -> None:
    """Each word is told by its sentence; the helper ends as its child does, with the same code."""
    process = run(systemd, "readiness.say(Word.SEALED); readiness.alive(); readiness.say(Word.STOPPING); os._exit(74)")

    assert process.wait(60) == 74
    assert heard(systemd) == [SENTENCES[Word.SEALED], SENTENCES[Word.ALIVE], SENTENCES[Word.STOPPING]]


@pytest.mark.parametrize("field", ["ERRNO=", "STATUS=", "MAINPID=", "WATCHDOG_USEC=", "EXTEND_TIMEOUT_USEC="])
def test_nothing_else_is_told(systemd: socket.socket, field: str) -> None:
    """Whatever a captured process writes, systemd hears none of it, nor of anything after it."""
    process = run(systemd, f"os.write(pipe, b'{field}PICTURE'); readiness.say(Word.SEALED); os._exit(5)")

    assert process.wait(60) == 5
    assert heard(systemd) == []


def test_changes_are_few(systemd: socket.socket) -> None:
    """A thousand changes in a moment become eight, and one more for each ten seconds that they take."""
    began_s = time.monotonic()
    process = run(
        systemd,
        "os.set_blocking(pipe, True)\nfor n in range(1000): os.write(pipe, bytes([2 + n % 12]))\nos._exit(0)",
    )

    assert process.wait(60) == 0
    assert 8 <= len(heard(systemd)) <= 8 + (time.monotonic() - began_s) / 10


def test_signals(systemd: socket.socket) -> None:
    """SIGHUP and SIGTERM are handed on; where a signal ends the process that sees, the helper's code says so."""
    body = (
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP, signal.SIGTERM])\n"
        "readiness.say(Word.SEALED)\n"
        "signal.sigwait([signal.SIGHUP])\nreadiness.say(Word.RELOADED)\n"
        "signal.sigwait([signal.SIGTERM])\nreadiness.say(Word.STOPPING)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    process = run(systemd, body)
    for number, word in ((signal.SIGHUP, Word.SEALED), (signal.SIGTERM, Word.RELOADED)):
        assert systemd.recv(4096).decode() == SENTENCES[word]
        process.send_signal(number)

    assert systemd.recv(4096).decode() == SENTENCES[Word.STOPPING]
    assert process.wait(60) == 128 + signal.SIGKILL


def test_without_systemd() -> None:
    """Where there is no systemd there is no helper, and nothing happens."""
    environment = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
    program = "from edge.sandbox.readiness import *; r = Readiness(); r.say(Word.SEALED); print(r.descriptors)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "()\n"


def test_words_for_errors() -> None:
    """Each error that ends a process has a word, and each word a sentence of fixed text."""
    missing = errors.CameraMissing("/dev/video0", "it is gone", "look")

    assert Word.of(missing) is Word.CAMERA
    assert Word.of(errors.SealError("x")) is Word.FAILED
    assert set(Word) == set(SENTENCES)
    assert all(len(sentence) < 200 for sentence in SENTENCES.values())
