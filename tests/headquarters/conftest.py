"""What headquarters' tests share: brokers, a real PostgreSQL, and messages made by the product's own code."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.headquarters.address import open_store
from edge.headquarters.store.store import Store
from tests.publisher.rig import Mosquitto, brokers, free_port, wait_until

Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(scope="session")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path_factory.mktemp("broker"), ("allow_anonymous true", "max_queued_messages 0"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def own_mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Brokers that a test may stop, start and configure."""
    with brokers(tmp_path, "allow_anonymous true", "max_queued_messages 0") as make:
        yield make


class Postgres:
    """A real server of its own on loopback, run by a user that isn't root."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._data = folder / "data"
        self._bin = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as:
            shutil.chown(folder, "postgres", "postgres")
        self._run("initdb", "-D", self._data, "-A", "trust", "-U", "footfall", "-E", "UTF8", "--no-sync")
        self._names = itertools.count(1)

    def _run(self, program: str, *arguments: object) -> None:
        subprocess.run(
            [*self._as, str(self._bin / program), *map(str, arguments)],
            check=True, cwd="/", timeout=300, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self) -> None:
        """Start it, and return when it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "-D", self._data, "-w", "-t", "60", "-l", self._data / "log", "-o", options, "start")

    def stop(self) -> None:
        """Stop it as a crash does."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def database(self) -> str:
        """Make an empty database; return its URL."""
        name = f"hours{next(self._names)}"
        self._run("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", "footfall", name)
        return f"postgresql://footfall@127.0.0.1:{self.port}/{name}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        pytest.skip("NO POSTGRESQL ON THIS MACHINE: apt-get install postgresql")
    # Not in pytest's folder: that is closed to everybody but its own user.
    folder = Path(tempfile.mkdtemp(prefix="footfall-postgres-"))
    server = Postgres(folder)
    server.start()
    yield server
    with contextlib.suppress(subprocess.CalledProcessError):
        server.stop()
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.processes)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name an empty store, in turn of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "hours.sqlite")
    server: Postgres = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = open_store(store_url)
    yield opened
    opened.close()


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Start `footfall` with these arguments; what it says goes to `log.<number>`. Killed at the test's end."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*arguments: object) -> subprocess.Popen[bytes]:
        log = (tmp_path / f"log.{len(running)}").open("wb")
        with log:
            child = subprocess.Popen(
                [sys.executable, "-m", "edge", *map(str, arguments)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        running.append(child)
        return child

    yield start
    for child in running:
        child.kill()
        child.wait()


@pytest.fixture
def said(tmp_path: Path) -> Callable[..., str]:
    """Return what the programs that were spawned have said, all of them or one."""

    def read(number: int | None = None) -> str:
        logs = sorted(tmp_path.glob("log.*")) if number is None else [tmp_path / f"log.{number}"]
        return "\n".join(log.read_text() for log in logs)

    return read


def until_said(said: Callable[..., str], words: str, number: int | None = None) -> None:
    """Wait until a spawned program has said *words*."""
    wait_until(lambda: words in said(number), f"{words!r} in the log", 30)
