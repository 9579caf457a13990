"""The ledger: what a file can suffer, and what is left of it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge.core.errors import LedgerBusy, LedgerFull, LedgerUnusable
from edge.core.hour import HOUR_MS, Hour, Source
from edge.core.tally import BEAT_MS
from edge.publisher.hours import Span
from edge.publisher.ledger.file import APPLICATION_ID, MIGRATIONS
from edge.publisher.ledger.ledger import Ledger
from edge.publisher.ledger.view import LedgerView, Row
from tests.publisher.rig import Box, Walkers, wait_until

NINE = "2026-03-02T09:00:00+08:00"
MakeBox = Callable[..., Box]


def opened(path: Path) -> Ledger:
    return Ledger(path, "b1", 60_000)


def an_hour(start_ms: int) -> Hour:
    source = Source("sh-023", "door-a", ZoneInfo("UTC"), "head-test 1")
    return Hour.counted(
        source, start_ms, start_ms + HOUR_MS, {"entrance": (start_ms // HOUR_MS, 2)}, watched_ms=HOUR_MS
    )


def readings(ledger: Ledger) -> int:
    count: int = ledger._connection.execute("SELECT count(*) FROM readings").fetchone()[0]
    return count


def write_some(ledger: Ledger, beats: int = 50) -> None:
    walkers = Walkers()
    with ledger.transaction():
        ledger.record("door-a", [("entrance", walkers.reading(n * BEAT_MS, in_=1)) for n in range(beats)])


def test_a_transaction_is_whole_or_not_at_all(tmp_path: Path) -> None:
    """Something that goes wrong midway leaves no trace."""
    ledger = opened(tmp_path / "l")
    write_some(ledger)

    def go_wrong() -> None:
        with ledger.transaction():
            ledger.record("door-a", [("entrance", Walkers(run=2).reading(0))])
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        go_wrong()

    assert 50 == readings(ledger)
    ledger.close()


def test_two_publishers_cant_share_a_ledger(tmp_path: Path) -> None:
    """The second is told so; the first isn't disturbed."""
    ledger = opened(tmp_path / "l")

    with pytest.raises(LedgerBusy, match="another publisher"):
        opened(tmp_path / "l")
    write_some(ledger)
    ledger.close()
    opened(tmp_path / "l").close()


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda path: path.write_bytes(os.urandom(8192)), "is damaged"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:3000] + bytes(2000) + path.read_bytes()[5000:]),
            "is damaged",
        ),
        (lambda path: path.write_bytes(path.read_bytes()[: 7 * 1024 + 100]), "is damaged"),
        (lambda path: _execute(path, "PRAGMA user_version = 100"), "newer than this program"),
        (lambda path: _execute(path, "PRAGMA application_id = 1"), "is no ledger of ours"),
    ],
    ids=["noise", "hole", "torn", "newer", "foreign"],
)
def test_a_ledger_that_cant_be_relied_on_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None], cause: str
) -> None:
    """It keeps its bytes under another name, one line says why, and a new one is begun."""
    path = tmp_path / "ledger.sqlite"
    ledger = opened(path)
    write_some(ledger, 500)
    ledger.close()
    spoil(path)
    spoilt = path.read_bytes()
    fresh = opened(path)

    assert 0 == readings(fresh)
    assert spoilt == (tmp_path / "ledger.sqlite.aside-1").read_bytes()
    assert [True] == [cause in record.message for record in caplog.records]
    fresh.close()


def _execute(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_the_second_that_is_set_aside_doesnt_overwrite_the_first(tmp_path: Path) -> None:
    """Each gets a name of its own."""
    path = tmp_path / "ledger.sqlite"
    for noise in (b"one" * 500, b"two" * 500):
        path.write_bytes(noise)
        opened(path).close()

    assert [b"one" * 500, b"two" * 500] == [
        (tmp_path / f"ledger.sqlite.aside-{number}").read_bytes() for number in (1, 2)
    ]


def test_what_a_lost_ledger_had_booked_isnt_booked_again(box: MakeBox) -> None:
    """A new ledger counts a run that is already under way from where it finds it, not from its beginning."""
    bench = box(NINE)
    walkers = Walkers(boot_ms=bench.clock.boot)
    bench.let(walkers, minutes=90, in_=1)
    bench.kill()
    bench.settings.ledger.write_bytes(b"noise" * 1000)
    bench.open()
    bench.let(walkers, minutes=33, in_=1)
    bench.let(Walkers(run=2, boot_ms=bench.clock.boot), minutes=60, in_=1)

    assert [("2026-03-02T10:00:00+08:00", 33 * 6 - 1 - 18), ("2026-03-02T11:00:00+08:00", 360)] == bench.told(
        "start", "in"
    )


def test_an_unwritable_place_is_told_in_a_sentence(tmp_path: Path) -> None:
    """A path that can't hold a file gives LedgerUnusable with the path in it."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()

    with pytest.raises(LedgerUnusable, match="file/l"):
        opened(tmp_path / "file" / "l")
    with pytest.raises(LedgerUnusable, match="folder"):
        opened(tmp_path / "folder")


def test_a_full_disk_loses_nothing(box: MakeBox, caplog: pytest.LogCaptureFixture) -> None:
    """Readings wait in memory, loudly, and are written when there is room; the hours come out right."""
    bench = box(NINE)
    walkers = Walkers(boot_ms=bench.clock.boot)
    bench.let(walkers, minutes=10, in_=1)
    _limit_pages(bench.ledger)
    bench.let(walkers, minutes=80, in_=1)
    full, summary = bench.builder.full, bench.builder.summary()
    bench.ledger._connection.execute("PRAGMA max_page_count = 1000000")
    bench.let(walkers, minutes=33, in_=1)

    assert full
    assert "DISK FULL" in summary
    assert not bench.builder.full
    assert [(360, 3600, []), (360, 3600, [])] == bench.told("in", "watched_s", "flags")
    assert 1 == sum("disk is full" in record.message for record in caplog.records)


def _limit_pages(ledger: Ledger) -> None:
    pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
    ledger._connection.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """The library's error becomes LedgerFull, and nothing of the transaction stays."""
    ledger = opened(tmp_path / "l")
    _limit_pages(ledger)

    with pytest.raises(LedgerFull, match="disk is full"):
        write_some(ledger, 5000)
    assert 0 == readings(ledger)
    ledger.close()


WRITER = """
import sys
from pathlib import Path
from zoneinfo import ZoneInfo
from edge.publisher.ledger.ledger import Ledger
from tests.publisher.rig import Walkers

ledger = Ledger(Path(sys.argv[1]), "b1", 0)
walkers = Walkers(run=int(sys.argv[2]))
for beat in range(10**9):
    with ledger.transaction():
        ledger.record("door-a", [("entrance", walkers.reading(beat * 10_000, in_=1))])
    print(beat, flush=True)
"""


@pytest.mark.processes
def test_sigkill_while_it_writes_takes_nothing_that_was_committed(tmp_path: Path) -> None:
    """Killed again and again in the midst of writing, the ledger is sound and holds every commit."""
    committed = []
    for run in (1, 2, 3):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "l"), str(run)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        last = [child.stdout.readline() for _ in range(40 + 17 * run)][-1]
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()
        child.wait()
        child.stdout.close()
        committed.append(int((rest.splitlines() or [last])[-1] if rest.endswith("\n") or not rest else last))
    ledger = opened(tmp_path / "l")
    newest = {tally.run: tally.in_ for tally in ledger.newest("door-a")}
    ledger.close()

    assert [] == list(tmp_path.glob("*aside*"))
    assert all(newest[run] >= beat + 1 for run, beat in enumerate(committed, start=1))


def test_migrations_are_noted_with_what_they_did(tmp_path: Path) -> None:
    """A fresh ledger has the newest version, and opening it again changes nothing."""
    path = tmp_path / "l"
    dumps = []
    for _ in range(2):
        opened(path).close()
        connection = sqlite3.connect(path)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        dumps.append(list(connection.iterdump()))
        connection.close()

        assert len(MIGRATIONS) == version
    assert dumps[0] == dumps[1]


def test_a_box_that_goes_back_finds_its_ledger(tmp_path: Path) -> None:
    """A newer program has added a column to each table and a table; an older one goes on with that ledger."""
    path = tmp_path / "l"
    ledger = opened(path)
    write_some(ledger)
    before = readings(ledger)
    ledger.close()
    connection = sqlite3.connect(path)
    for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        connection.execute(f"ALTER TABLE {table} ADD COLUMN novelty INTEGER NOT NULL DEFAULT 7")
    connection.execute("CREATE TABLE novelties (id INTEGER PRIMARY KEY) STRICT")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.commit()
    connection.close()
    older = opened(path)
    write_some(older, 2 * before)
    with older.transaction():
        older.add(Row("door-a", Span(0, HOUR_MS), 1, b"an hour", HOUR_MS, None))
    with LedgerView.opened(path) as view:
        hours = view.latest("door-a", 0)

    assert [] == list(tmp_path.glob("*aside*"))
    assert before < readings(older)
    assert [b"an hour"] == [row.payload for row in hours]
    older.close()


def test_a_ledger_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    """What it holds stays; hours whose readings it had thrown away are final."""
    path = tmp_path / "l"
    connection = sqlite3.connect(path)
    for statement in MIGRATIONS[0].split(";\n"):
        connection.execute(statement)
    connection.execute("PRAGMA user_version = 1")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("INSERT INTO boots VALUES (1, 'b0', 1000, ?)", (HOUR_MS + 1000,))
    made = [an_hour(number * HOUR_MS) for number in range(3)]
    for number, hour in enumerate(made):
        row = ("door-a", number * HOUR_MS, 1, (number + 1) * HOUR_MS, hour.encode(), 4 * HOUR_MS, None)
        connection.execute("INSERT INTO hours VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    ledger = opened(path)
    rows, final = ledger.latest("door-a", 0), ledger.final_hours("door-a", 0)
    ledger.close()

    assert [] == list(tmp_path.glob("*aside*"))
    assert made == [row.hour for row in rows]
    assert {0: made[0], HOUR_MS: made[1]} == final


def test_delivered_hours_go_after_400_days_and_others_stay(box: MakeBox) -> None:
    """The outbox is never cut by time."""
    bench = box(NINE)
    bench.let(Walkers(boot_ms=bench.clock.boot), minutes=123)
    first, second = bench.builder.outbox("door-a", 2)
    bench.builder.acknowledge(first)
    bench.idle(1)
    with bench.ledger.transaction():
        bench.ledger.prune(first.span.end_ms + 400 * 24 * HOUR_MS + 1, bench.clock.boot, HOUR_MS, 400 * 24 * HOUR_MS)

    assert [second.key] == [row.key for row in bench.ledger.latest("door-a", 0)]


def test_every_sqlite_error_is_translated(tmp_path: Path) -> None:
    """None of the library's exceptions leaves a transaction as it is."""
    kinds = [kind for kind in vars(sqlite3).values() if isinstance(kind, type) and issubclass(kind, sqlite3.Error)]
    ledger = opened(tmp_path / "l")
    for kind in kinds:
        with pytest.raises(LedgerUnusable, match="ledger"), ledger.transaction():
            raise kind("as if")
    ledger.close()

    assert len(kinds) >= 8


def test_a_second_process_may_look_while_the_first_writes(tmp_path: Path) -> None:
    """A reader sees what is committed and hinders nobody."""
    ledger = opened(tmp_path / "l")
    write_some(ledger)
    reader = sqlite3.connect(f"file:{tmp_path}/l?mode=ro", uri=True)
    seen = reader.execute("SELECT count(*) FROM readings").fetchone()[0]
    with ledger.transaction():
        ledger.record("door-a", [("entrance", Walkers(run=2).reading(0))])
    wait_until(lambda: reader.execute("SELECT count(*) FROM readings").fetchone()[0] == seen + 1, "the new row")
    reader.close()
    ledger.close()
