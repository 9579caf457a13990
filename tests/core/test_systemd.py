"""What systemd is told, over a real socket, and that nothing is said where there is none."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.core.systemd import Notifier


@pytest.fixture(name="ear", params=["path", "abstract"])
def _ear(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Listen where systemd would: at a path, or in the abstract namespace, which is written with an @."""
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(name if request.param == "path" else f"\0{name}")
        ear.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", name if request.param == "path" else f"@{name}")
        yield ear


@pytest.fixture(name="notifier")
def _notifier(ear: socket.socket) -> Iterator[Notifier]:
    """Make one that is connected; it stays so for a process's life, so that only a test ever closes it."""
    assert ear.fileno() >= 0
    notifier = Notifier()
    assert notifier._socket is not None
    yield notifier
    notifier._socket.close()


def test_each_word_arrives(ear: socket.socket, notifier: Notifier) -> None:
    """READY with a status, a status alone, the watchdog's food and the farewell, each as sd_notify(3) writes it."""
    notifier.ready("sealed")
    notifier.status("no hour waits")
    notifier.alive()
    notifier.stopping()

    heard = [ear.recv(1000) for _ in range(4)]

    assert [b"READY=1\nSTATUS=sealed", b"STATUS=no hour waits", b"WATCHDOG=1", b"STOPPING=1"] == heard


def test_children_are_not_told_where_to_speak(notifier: Notifier) -> None:
    """The address leaves the environment, so that no helper can speak in this process's name."""
    assert "NOTIFY_SOCKET" not in os.environ
    assert notifier._socket is not None
    assert not notifier._socket.get_inheritable()


def test_a_systemd_that_does_not_listen_stops_nothing(ear: socket.socket, notifier: Notifier) -> None:
    """A full or a closed socket costs a word, never a wait and never an error."""
    for _ in range(2000):
        notifier.alive()
    ear.close()
    notifier.alive()


def test_without_systemd_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a trial there is nobody to tell, and no socket is opened."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    notifier.ready("x")
    notifier.alive()

    assert notifier._socket is None


def test_a_systemd_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address at which nobody listens is none."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notifier = Notifier()
    notifier.ready("x")

    assert notifier._socket is None
