"""A captured vision process tries every way out that we know; nothing arrives where it shouldn't."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import secrets
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edge.core import tally
from edge.core.errors import WireError, WireTooFast
from edge.core.head_model import shipped
from edge.publisher.reading_validator import ReadingValidator
from edge.sandbox import readiness
from tests.nobody import AS_NOBODY, needs_nobody

pytestmark = [pytest.mark.processes, pytest.mark.host]

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
REFUSALS = {"EPERM", "EACCES", "ENOSYS", "no answer"}

VICTIM = "import sys; from edge.sandbox import prctl; prctl.hide_memory(); sys.stdin.read(); print('unharmed')"
"""Another process of the same user, as the publisher is in a trial."""

CONFIG = """
site: sh-023
timezone: Asia/Shanghai
cameras:
  door:
    source: {clip}
    lines: {{entrance: {{from: [0.1, 0.5], to: [0.9, 0.5], inside: [0.5, 0.9]}}}}
broker: {{host: 127.0.0.1, tls: false}}
"""


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


hostile = _load("hostile")


@dataclass
class Surroundings:
    """Everything around the captured process through which a picture could leave, seen from the other side."""

    folder: Path
    folders: list[Path]
    listeners: dict[str, socket.socket]
    systemd: socket.socket
    victim: subprocess.Popen[str]
    diode: tuple[int, int]
    report: tuple[int, int]
    log: str = ""
    told: list[bytes] = field(default_factory=list)
    outcomes: dict[str, list[str]] = field(default_factory=dict)

    def attack(
        self, prefix: tuple[str, ...], *, only: tuple[str, ...] = (), sealed: bool = True, old: bool = False
    ) -> None:
        """Start the captured process, and wait for its end."""
        what = {
            "config": str(self.folder / "footfall.yaml"),
            "tcp": self.listeners["tcp"].getsockname()[1],
            "udp": self.listeners["udp"].getsockname()[1],
            "abstract": self.listeners["abstract"].getsockname()[1:].decode(),
            "path": self.listeners["path"].getsockname(),
            "victim": self.victim.pid,
            "file": str(self.folder / "log"),
            "folders": [str(folder) for folder in self.folders],
            "diode": self.diode[1],
            "report": self.report[1],
            "only": only,
            "sealed": sealed,
            "old": old,
        }
        done = subprocess.run(
            [*prefix, sys.executable, str(HERE / "hostile.py")],
            env={
                **os.environ,
                "FOOTFALL_HOSTILE": json.dumps(what),
                "NOTIFY_SOCKET": str(self.systemd.getsockname()),
                "PYTHONPATH": str(REPOSITORY),
                "HOME": str(self.folders[1]),
            },
            cwd=self.folders[2],
            pass_fds=[self.diode[1], self.report[1]],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        self.log = done.stdout + done.stderr
        with contextlib.suppress(BlockingIOError):
            while True:
                self.told.append(self.systemd.recv(65536))
        self.outcomes = json.loads(os.read(self.report[0], 1 << 20))

    def arrived(self) -> list[str]:
        """Return whom something reached."""
        return [name for name, listener in self.listeners.items() if select.select([listener], [], [], 0)[0]]

    def written(self) -> list[str]:
        """Return what stands in the folders that wasn't there."""
        return [str(found) for folder in self.folders for found in folder.rglob("*")]

    def crossed(self) -> bytes:
        """Return what came through the diode."""
        os.set_blocking(self.diode[0], False)
        with contextlib.suppress(BlockingIOError):
            return os.read(self.diode[0], 1 << 20)
        return b""


def _listener(family: int, kind: int, address: Any) -> socket.socket:
    listener = socket.socket(family, kind)
    listener.bind(address)
    if kind == socket.SOCK_STREAM:
        listener.listen()
    listener.setblocking(False)
    return listener


@pytest.fixture(
    name="surroundings",
    params=[pytest.param((), id="this user"), pytest.param(AS_NOBODY, id="nobody", marks=needs_nobody)],
)
def _surroundings(request: pytest.FixtureRequest) -> Iterator[Surroundings]:
    prefix: tuple[str, ...] = request.param
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        folders = [folder / name for name in ("tmp", "home", "cwd")]
        for one in folders:
            one.mkdir()
            one.chmod(0o777)
        (folder / "log").write_bytes(b"a file that was there\n" * 100)
        (folder / "log").chmod(0o666)
        (folder / "footfall.yaml").write_text(CONFIG.format(clip=shipped("demo") / "door.mp4"))
        listeners = {
            "tcp": _listener(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            "udp": _listener(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            "abstract": _listener(socket.AF_UNIX, socket.SOCK_STREAM, f"\0footfall-{secrets.token_hex(4)}"),
            "path": _listener(socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "bus")),
        }
        systemd = _listener(socket.AF_UNIX, socket.SOCK_DGRAM, str(folder / "notify"))
        for listener in (*listeners.values(), systemd):
            stack.callback(listener.close)
        for name in ("bus", "notify"):
            (folder / name).chmod(0o666)
        diode, report = os.pipe(), os.pipe()
        for end in (*diode, *report):
            stack.callback(os.close, end)
        victim = subprocess.Popen(
            [*prefix, sys.executable, "-c", VICTIM],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(victim.communicate)
        surroundings = Surroundings(folder, folders, listeners, systemd, victim, diode, report)
        yield surroundings


@pytest.fixture(name="prefix")
def _prefix(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return AS_NOBODY if "nobody" in request.node.callspec.id else ()


@pytest.mark.parametrize("old", [False, True], ids=["", "old kernel"])
def test_every_way_out(surroundings: Surroundings, prefix: tuple[str, ...], old: bool) -> None:
    """Each of some forty ways out is refused, with or without Landlock and namespaces, or bounded; nothing arrives."""
    before = (surroundings.folder / "log").read_bytes(), (surroundings.folder / "log").stat().st_mtime_ns
    shared_memory = set(Path("/dev/shm").iterdir())  # noqa: S108 - where it tries to write

    surroundings.attack(prefix, old=old)

    stopped = {way.name: way.attempts for way in hostile.WAYS if not way.bound}
    open_ = {name: surroundings.outcomes[name] for name in stopped if not set(surroundings.outcomes[name]) <= REFUSALS}
    assert open_ == {}
    assert len(stopped) >= 20
    assert (surroundings.arrived(), surroundings.written()) == ([], [])
    assert not any("picture" in path.name for path in set(Path("/dev/shm").iterdir()) - shared_memory)  # noqa: S108
    assert before == ((surroundings.folder / "log").read_bytes(), (surroundings.folder / "log").stat().st_mtime_ns)
    assert surroundings.victim.communicate(timeout=300)[0] == "unharmed\n"


def test_what_is_bounded(surroundings: Surroundings, prefix: tuple[str, ...]) -> None:
    """What isn't stopped goes no further than the table says; the diode's reader stops at the picture."""
    accessed = (surroundings.folder / "log").stat().st_atime_ns
    surroundings.attack(prefix)

    bounded = {way.name: surroundings.outcomes[way.name] for way in hostile.WAYS if way.bound}
    assert bounded == {name: ["done"] for name in bounded}
    assert hostile.MARK.hex() not in surroundings.log
    told = [message.decode() for message in surroundings.told]
    sentences = [re.escape(text).replace(r"\{now_us\}", r"\d+") for text in readiness.SENTENCES.values()]
    assert [text for text in told if not re.fullmatch("|".join(sentences), text)] == []
    changes = [text for text in told if text != "WATCHDOG=1"]
    assert 4 <= len(changes) <= 8, "what is more often than that isn't passed on"
    assert accessed == (surroundings.folder / "log").stat().st_atime_ns
    validator = ReadingValidator(["entrance"])
    records = surroundings.crossed()
    accepted: list[tally.Tally] = []
    with pytest.raises(WireError):
        accepted.extend(validator.accept(records, 10**11))
    assert records[len(accepted) * tally.SIZE :].startswith(hostile.MARK)


def test_without_the_seal(surroundings: Surroundings, prefix: tuple[str, ...]) -> None:
    """The same captured process, unsealed, reaches everybody: it is the seal that stops it."""
    only = ("TCP", "UDP", "abstract sockets", "sockets with a path", "a new file", "the log")

    surroundings.attack(prefix, only=only, sealed=False)

    assert set(surroundings.arrived()) == set(surroundings.listeners)
    assert len(surroundings.written()) == len(surroundings.folders)
    assert hostile.MARK.hex() in surroundings.log


def test_a_day_of_lies() -> None:
    """A captured process gets at most two records each ten seconds through the diode, and a burst; then it is shut."""
    beats, burst = 8_640, 100
    validator = ReadingValidator(["entrance"], burst=burst)

    def lie(beat: int) -> list[tally.Tally]:
        now_ms = 10**9 + beat * tally.BEAT_MS
        line, run = tally.line_key("entrance"), secrets.randbelow(2**32 - 1) + 1
        return list(validator.accept(tally.encode(tally.Tally(run, 0, line, 0, 0, 0, now_ms, 0)), now_ms))

    assert sum(len(lie(beat)) for beat in range(beats) for _ in range(2)) <= 2 * beats
    with pytest.raises(WireTooFast):
        [lie(beats) for _ in range(burst + 3)]


def test_table() -> None:
    """The table in docs/privacy.md is the one that the hostile process makes of what it tries."""
    assert hostile.table() in (REPOSITORY / "docs" / "privacy.md").read_text(encoding="utf-8")
