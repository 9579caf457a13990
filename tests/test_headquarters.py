"""docs/headquarters.md's own SQL, on a real SQLite and a real PostgreSQL: hours stored by it stay right."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema
import pytest

from edge.core.hour import FLAGS, HOUR_MS, Hour, Source
from edge.publisher import hours

pytestmark = pytest.mark.processes

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "headquarters.md").read_text(encoding="utf-8")
SCHEMA = json.loads((DOCS / "hour.schema.json").read_text(encoding="utf-8"))
SQLITE_TABLE, SQLITE_UPSERT, PG_TABLE, PG_UPSERT, OVERDUE = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
ZONE = ZoneInfo("Europe/Berlin")
TEN_MS = 1_793_443_200_000
"""2026-10-31T12:00+01:00, the day after clocks were set back."""

Row = tuple[str, str, int, int, int, int]


def told(start_ms: int, revision: int, in_: int, out: int = 0, *, flags: frozenset[str] = frozenset()) -> str:
    """Return an hour's message as a box sends it."""
    source = Source("sh-023", "door-a", ZONE, "head-test 1")
    lines = {"entrance": (in_, out)}
    return (
        Hour.counted(source, start_ms, start_ms + HOUR_MS, lines, watched_ms=HOUR_MS, flags=flags, revision=revision)
        .encode()
        .decode()
    )


class Sqlite:
    """The documented table in memory."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:")
        self.connection.execute(SQLITE_TABLE)

    def store(self, payload: str) -> None:
        with self.connection:
            self.connection.execute(SQLITE_UPSERT, {"message": payload})

    def rows(self) -> list[Row]:
        """Return site, camera, start (s), revision, in, out."""
        return self.connection.execute(
            'SELECT site, camera, start, revision, "in", out FROM hours ORDER BY start'
        ).fetchall()

    def close(self) -> None:
        self.connection.close()


class Postgres:
    """The documented table in a cluster of our own, reached by a socket in *folder*."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.folder = folder
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self._binaries = binaries
        folder.mkdir()
        if self._as:
            shutil.chown(folder, "postgres")
        self._run(binaries / "initdb", "-D", folder / "data", "-A", "trust", "-N", "-E", "UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        self._run(
            binaries / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w", "-t", "60", "-o", options, "start"
        )

    def _run(self, *command: object, sql: str | None = None) -> str:
        done = subprocess.run(
            [*self._as, *map(str, command)], input=sql, capture_output=True, text=True, check=False, cwd="/"
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sql(self, text: str) -> str:
        """Run *text*, stop at the first error, return what it printed."""
        return self._run(
            *(self._binaries / "psql", "-h", self.folder, "-d", "postgres", "-XqAt", "-v", "ON_ERROR_STOP=1"), sql=text
        )

    def begin(self) -> None:
        self.sql(f"DROP TABLE IF EXISTS hours; {PG_TABLE}")

    def store(self, payload: str) -> None:
        quoted = payload.replace("'", "''")
        self.sql(f"PREPARE upsert (jsonb) AS {PG_UPSERT} EXECUTE upsert ('{quoted}');")

    def rows(self) -> list[Row]:
        """Return site, camera, start (s), revision, in, out."""
        text = self.sql(
            'SELECT site, camera, extract(epoch FROM start)::int, revision, "in", out FROM hours ORDER BY 3;'
        )
        split = [line.split("|") for line in text.splitlines()]
        return [(site, camera, *map(int, numbers)) for site, camera, *numbers in split]  # type: ignore[misc]

    def close(self) -> None:
        self._run(self._binaries / "pg_ctl", "-D", self.folder / "data", "-m", "immediate", "-w", "stop")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL on this machine: apt-get install postgresql")
    # Not below pytest's own folder, which is closed to the server's user.
    folder = Path(tempfile.mkdtemp(prefix="footfall-pg-"))
    folder.chmod(0o711)
    postgres = Postgres(found[-1].parent, folder / "cluster")
    yield postgres
    postgres.close()
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[Sqlite | Postgres]:
    if request.param == "sqlite":
        sqlite = Sqlite()
        yield sqlite
        sqlite.close()
    else:
        postgres: Postgres = request.getfixturevalue("cluster")
        postgres.begin()
        yield postgres


def test_the_highest_revision_stays_whatever_the_order(store: Sqlite | Postgres) -> None:
    """Repeats and reordering change nothing: the seed's order of every message, twice, leaves the newest of each."""
    messages = [told(TEN_MS + h * HOUR_MS, r, in_=10 * h + r) for h in range(3) for r in (1, 2, 3)]
    shuffled = [*messages, *messages]
    random.Random(5).shuffle(shuffled)
    for payload in shuffled:
        store.store(payload)

    expected = [("sh-023", "door-a", TEN_MS // 1000 + h * 3600, 3, 10 * h + 3, 0) for h in range(3)]
    assert expected == store.rows()


def test_a_correction_downwards_counts(store: Sqlite | Postgres) -> None:
    """An hour that is taken back is empty at headquarters, too."""
    store.store(told(TEN_MS, 1, in_=9))
    store.store(told(TEN_MS, 2, in_=0))

    assert [("sh-023", "door-a", TEN_MS // 1000, 2, 0, 0)] == store.rows()


def test_an_hour_that_happens_twice_is_two(store: Sqlite | Postgres) -> None:
    """When clocks are set back, both hours named 02:00 are kept."""
    twice_ms = 1_792_886_400_000
    for number in range(2):
        store.store(told(twice_ms + number * HOUR_MS, 1, in_=number + 1))
    starts = [json.loads(told(twice_ms + n * HOUR_MS, 1, 0))["start"] for n in range(2)]

    assert ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"] == starts
    assert [1, 2] == [row[4] for row in store.rows()]


def test_a_later_schema_is_left_aside(store: Sqlite | Postgres) -> None:
    """The documented statement stores nothing that it may misread."""
    later: dict[str, Any] = {**json.loads(told(TEN_MS, 1, in_=1)), "schema": 2}
    store.store(json.dumps(later))

    assert [] == store.rows()


@pytest.mark.parametrize("name", ["O'Neill", 'a"b', "門"])
def test_awkward_text_is_only_text(store: Sqlite | Postgres, name: str) -> None:
    """Quotes and other scripts in a message end up in a column, nowhere else."""
    odd = {**json.loads(told(TEN_MS, 1, in_=1)), "model": name}
    store.store(json.dumps(odd))

    assert 1 == len(store.rows())


@pytest.mark.parametrize(("late_s", "overdue"), [(3_890, False), (3_910, True)])
def test_silence_is_found(late_s: int, overdue: bool) -> None:
    """The documented query finds a camera whose next hour should have come, and no other."""
    sqlite = Sqlite()
    now_s = (TEN_MS + HOUR_MS) // 1000 + late_s
    sqlite.connection.create_function("unixepoch", 0, lambda: now_s)
    sqlite.store(told(TEN_MS, 1, in_=1))
    found = sqlite.connection.execute(OVERDUE).fetchall()
    sqlite.close()

    assert overdue == bool(found)


def test_overdue_is_later_than_the_latest_box() -> None:
    """The documented margin holds an hour, the grace and the widest spread."""
    assert HOUR_MS + hours.GRACE_MS + hours.MOST_SPREAD_MS < 3_900_000


def test_the_shown_hour_is_one() -> None:
    """The example on the page fulfils the JSON Schema."""
    shown, *_ = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)

    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(shown))


@pytest.mark.parametrize("field", sorted(SCHEMA["properties"]))
def test_every_field_is_explained(field: str) -> None:
    """Each field of the schema stands in the page's table."""
    assert f"`{field}`" in PAGE.split("| field | unit |", 1)[1].split("\n\n", 1)[0]


def test_the_largest_hour_is_as_small_as_told() -> None:
    """An hour with eight lines, the longest names, every flag and the largest counts is under 2 KiB."""
    name = "n" * 31
    lines = {f"{name}{number}": (10_000_000, 10_000_000) for number in range(8)}
    source = Source("s" * 32, "c" * 32, ZoneInfo("America/Argentina/ComodRivadavia"), "m" * 64)
    payload = Hour.counted(
        source, TEN_MS, TEN_MS + HOUR_MS, lines, watched_ms=HOUR_MS, flags=FLAGS, revision=24
    ).encode()

    assert "under 2 KiB" in PAGE
    assert len(payload) < 2048
