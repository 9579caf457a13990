"""The broker and the collector of a rehearsal: real programs, in a folder and on a port of their own."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from edge.config.schema import Broker
from edge.core.errors import ExtraMissing
from edge.headquarters import boxes, broker
from edge.headquarters.errors import RehearsalFailed

_START_S = 120.0
"""A program that hasn't started by then won't, s."""


class Programs:
    """
    The broker and the collector.

    Args:
        folder: For their files.
        accounts: How many boxes have an account at a broker with TLS; None: a broker without either.
    """

    def __init__(self, folder: Path, accounts: int | None) -> None:
        self.store = folder / "hours.sqlite"
        self.log = folder / "collector.log"
        self.broker: subprocess.Popen[bytes] | None = None
        self.collector: subprocess.Popen[bytes] | None = None
        self.accounts = None if accounts is None else folder / "broker" / "accounts"
        self._folder = folder
        self._port = _free_port()
        if accounts is not None:
            self._make_accounts(accounts)

    def address(self) -> Broker:
        """Return where the broker is; whoever needs an account there adds it."""
        tls = False if self.accounts is None else {"ca_file": self._folder / "broker" / "ca.pem"}
        return Broker.model_validate({"host": "127.0.0.1", "port": self._port, "tls": tls})

    def _make_accounts(self, number: int) -> None:
        accounts = [broker.Account(name, name, (boxes.CAMERA,)) for name in map(boxes.site, range(number))]
        with contextlib.redirect_stdout(io.StringIO()):
            broker.run(self._folder / "broker", "127.0.0.1", accounts, ["hq"], port=self._port)
        conf = self._folder / "broker" / "mosquitto.conf"
        # The folder lies where mosquitto's own user can't go.
        conf.write_text(conf.read_text(encoding="utf-8") + "user root\n", encoding="utf-8")

    def start_broker(self) -> None:
        """Start it, and return when it listens; ExtraMissing if there is no mosquitto."""
        path = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if path is None:
            raise ExtraMissing("mosquitto", "apt-get install mosquitto")
        conf = self._folder / "mosquitto.conf"
        conf.write_text(
            f"listener {self._port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
            f"max_inflight_messages 2000\npersistence true\npersistence_location {self._folder}/\nuser root\n",
            encoding="utf-8",
        )
        if self.accounts is not None:
            conf = self._folder / "broker" / "mosquitto.conf"
        self.broker = subprocess.Popen(
            [*_with_us(), path, "-c", str(conf)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _until(lambda: _answers(self._port), "the broker")

    def stop_broker(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, by SIGTERM or without a word."""
        child, self.broker = self.broker, None
        if child is not None:
            _end(child, how)

    def start_collector(self) -> None:
        """Start the real one; wait until the broker has accepted its subscription."""
        log = self.log
        before = log.read_bytes().count(b"connected to") if log.exists() else 0
        scheme, login = "mqtt", []
        if self.accounts is not None:
            account = self.accounts / "hq"
            scheme = "mqtts"
            login = ["--username", "hq", "--password-file", str(account / "mqtt.password")]
            login += ["--ca-file", str(account / "ca.pem")]
        command = [sys.executable, "-m", "edge", "collect", "--trial", "--store", str(self.store), *login]
        with log.open("ab") as out:
            self.collector = subprocess.Popen(
                [*_with_us(), *command, "--broker", f"{scheme}://127.0.0.1:{self._port}"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        try:
            _until(lambda: log.read_bytes().count(b"connected to") > before, "the collector")
        except RehearsalFailed as exc:
            raise RehearsalFailed(f"{exc}: {log.read_text(encoding='utf-8', errors='replace')[-2000:]}") from exc

    def stop_collector(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, by SIGTERM or without a word."""
        child, self.collector = self.collector, None
        if child is not None:
            _end(child, how)


def use(child: subprocess.Popen[bytes] | None) -> tuple[float, float]:
    """Return a program's memory in MiB and the CPU seconds it has used; zeros when it isn't running."""
    return (0.0, 0.0) if child is None else use_of(child.pid)


def use_of(pid: int) -> tuple[float, float]:
    """Return a process's memory in MiB and the CPU seconds it has used; zeros when it has gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    except (OSError, IndexError):
        return 0.0, 0.0
    ticks = int(fields[11]) + int(fields[12])
    return round(pages * resource.getpagesize() / 2**20, 2), round(ticks / os.sysconf("SC_CLK_TCK"), 2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _with_us() -> list[str]:
    """Return what makes a child end when this process is killed without a word, where util-linux has it."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "TERM"]


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _until(holds: Callable[[], bool], what: str) -> None:
    until_s = time.monotonic() + _START_S
    while not holds():
        if time.monotonic() > until_s:
            raise RehearsalFailed(f"{what} did not start within {_START_S:.0f} s")
        time.sleep(0.05)


def _end(child: subprocess.Popen[bytes], how: signal.Signals) -> None:
    child.send_signal(how)
    try:
        child.wait(30)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
