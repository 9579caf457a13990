"""Storing hours: once each, the highest revision, in SQLite and in PostgreSQL alike."""

from __future__ import annotations

import json
import random
import re
import sqlite3
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.core.clock import ManualClock
from edge.core.errors import ExtraMissing
from edge.core.hour import Hour
from edge.headquarters import corrections
from edge.headquarters.address import open_reader, open_store
from edge.headquarters.collect import judge
from edge.headquarters.errors import StoreUnusable
from edge.headquarters.store.batch import Outcome
from edge.headquarters.store.store import Store, Unstorable
from edge.headquarters.store.tables import VERSION
from tests.headquarters.conftest import Postgres
from tests.headquarters.messages import NOW, TOPIC, told

DOCS = (Path(__file__).parents[2] / "docs" / "headquarters.md").read_text(encoding="utf-8")


def add(store: Store, *payloads: bytes, topic: str = TOPIC) -> Outcome:
    return store.add(judge([(topic, payload) for payload in payloads], NOW), NOW)


def kept(store: Store, *sites: str) -> list[Hour]:
    return list(store.hours(NOW - timedelta(days=900), NOW + timedelta(days=900), sites))


def told_fields(store: Store, *fields: str) -> list[tuple[Any, ...]]:
    return [tuple(getattr(hour, field) for field in fields) for hour in kept(store)]


def test_an_hour_comes_out_as_it_went_in(store: Store) -> None:
    """Every field, and the start as the same instant."""
    add(store, told(flags={"dark"}, watched_ms=1_000_000))

    assert [
        Hour.decode(told(flags={"dark"}, watched_ms=1_000_000)),
    ] == kept(store)


def test_repeats_change_nothing(store: Store) -> None:
    """The same message again, in the same batch and in later ones, is one row."""
    first = add(store, told(), told())
    second = add(store, told())

    assert (1, 1, 0, 1) == (first.stored, first.repeated, second.stored, second.repeated)
    assert 1 == len(kept(store))
    assert {} == store.quarantined()


def test_the_highest_revision_stays(store: Store) -> None:
    """In whatever order they come; a correction to zero is a correction."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    payloads = [told(revision=number, in_=10 - number, out=0) for number in range(1, 11)]
    random.Random(seed).shuffle(payloads)
    for payload in payloads:
        add(store, payload)

    assert [(10, 0)] == told_fields(store, "revision", "in_")
    assert {} == store.quarantined()


def test_an_hour_that_happens_twice_is_two(store: Store) -> None:
    """The night when clocks go back: the same local time, two instants; and one instant in two zones is one hour."""
    first = NOW.replace(month=10, day=25, hour=0)
    add(store, *(told(first + timedelta(hours=n), zone="Europe/Berlin") for n in range(3)))
    again = add(store, told(first, zone="Europe/Helsinki"))

    assert 3 == len(kept(store))
    assert 0 == again.stored


def test_two_boxes_with_one_name_are_seen(store: Store) -> None:
    """The same revision of the same hour with other counts: the first stays, the other is kept with the reason."""
    add(store, told(in_=10, out=9))
    said = add(store, told(in_=70, out=64))
    ((unfit, size),) = store.quarantine()

    assert {"conflict": 1} == said.quarantined
    assert [(10, 9)] == told_fields(store, "in_", "out")
    assert "two boxes go by one name" in unfit.fault.detail
    assert told(in_=70, out=64) == unfit.payload
    assert size == len(unfit.payload)


@pytest.mark.parametrize("minutes", [-45, -30, 15, 30])
def test_hours_that_overlap_are_not_both_stored(store: Store, minutes: int) -> None:
    """A box whose zone is wrong by part of an hour would count the same people twice: the first stays."""
    zone = {15: "Asia/Kathmandu", -45: "Asia/Kathmandu", 30: "Asia/Kolkata", -30: "Asia/Kolkata"}[minutes]
    add(store, told(NOW - timedelta(hours=5)))
    said = add(store, told(NOW - timedelta(hours=5) + timedelta(minutes=minutes), zone=zone))
    beside = add(store, told(NOW - timedelta(hours=4)), told(NOW - timedelta(hours=6)))

    assert {"overlap": 1} == said.quarantined
    assert 2 == beside.stored
    assert 3 == len(kept(store))


def test_a_store_of_the_first_release_gets_what_is_new(tmp_path: Path) -> None:
    """Its hours stay as they are; the index, the corrections and the rest are added. Read only, it is read as it is."""
    path = tmp_path / "hours.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    connection.execute(
        "INSERT INTO hours VALUES ('a', 'door', 1793440800, 1793444400, 'UTC', 1, 5, 4, 3600, '[]',"
        """ '{"entrance":{"in":5,"out":4}}', 'footfall-edge 0.1.0', 'head 1')"""
    )
    connection.commit()
    connection.close()
    reader = open_reader(str(path))
    before = (reader.version, list(reader.cameras()), reader.corrections())
    reader.close()
    store = open_store(str(path))
    hours = kept(store)
    plan = store._run("EXPLAIN QUERY PLAN SELECT max(start) FROM hours").fetchall()
    store.close()
    again = open_store(str(path))

    assert (1, [("a", "door")], []) == before
    assert [5] == [hour.in_ for hour in hours]
    assert "hours_by_start" in str(plan)
    assert VERSION == again.version
    assert [] == again.corrections()
    again.close()


VERSION_1 = """
CREATE TABLE footfall_store (version INTEGER NOT NULL);
INSERT INTO footfall_store VALUES (1);
CREATE TABLE hours (
    site TEXT NOT NULL, camera TEXT NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL,
    timezone TEXT NOT NULL, revision INTEGER NOT NULL, "in" INTEGER NOT NULL, out INTEGER NOT NULL,
    watched_s INTEGER NOT NULL, flags TEXT NOT NULL, lines TEXT NOT NULL,
    software TEXT NOT NULL, model TEXT NOT NULL,
    PRIMARY KEY (site, camera, start)
);
CREATE TABLE statuses (
    site TEXT NOT NULL, camera TEXT NOT NULL, status TEXT NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (site, camera)
);
CREATE TABLE sessions (
    broker TEXT NOT NULL, name TEXT NOT NULL, client_id TEXT NOT NULL, since INTEGER NOT NULL,
    PRIMARY KEY (broker, name)
);
CREATE TABLE quarantine (
    topic TEXT NOT NULL, digest TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, size INTEGER NOT NULL,
    payload BLOB NOT NULL, times INTEGER NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,
    PRIMARY KEY (topic, digest)
);
"""
"""The tables as release 865bbaf made them."""


def test_a_cameras_hours_lie_together(tmp_path: Path) -> None:
    """Whatever the order in which they came: a report goes through them without looking each of them up."""
    store = open_store(str(tmp_path / "hours.sqlite"))
    add(store, *(told(NOW - timedelta(hours=n), camera=f"door-{n % 2}") for n in range(2, 8)))
    plan = store._run(
        "EXPLAIN QUERY PLAN SELECT * FROM hours WHERE site = 'a' AND camera = 'b' AND start > 1 AND start < 9"
    ).fetchall()
    store.close()

    assert "USING PRIMARY KEY" in str(plan), plan


def test_a_new_file_is_not_everybodys(tmp_path: Path) -> None:
    """The store is its owner's and its group's; so are the files that SQLite puts beside it."""
    store = open_store(str(tmp_path / "hours.sqlite"))
    add(store, told())
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    store.close()

    assert {0o640} == set(modes.values()), modes


def test_a_correction_is_never_changed_or_deleted(store: Store) -> None:
    """Not even by SQL: the database itself refuses it."""
    add(store, told())
    wish = corrections.wish("exclude", "sh-023", why="because", since=NOW.date(), until=NOW.date())
    corrections.enter(store, wish, ManualClock(wall=round(NOW.timestamp() * 1000)), "anna")
    for statement in ("DELETE FROM corrections", "UPDATE corrections SET why = 'x'"):
        with pytest.raises((StoreUnusable, Unstorable), match="never changed or deleted"), store._transaction():
            store._run(statement)

    assert ["because"] == [one.why for one in store.corrections()]


def test_another_version_of_the_program_is_no_conflict(store: Store) -> None:
    """A box that was updated between sending an hour and sending it again is the same box."""
    add(store, told())

    assert 1 == add(store, told().replace(b"footfall-edge ", b"footfall-edge 9")).repeated
    assert {} == store.quarantined()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [(b"\0garbage\xff", "garbage"), (b"x" * 70_000, "oversized"), (told(site="other"), "names"), (b"{}", "invalid")],
)
def test_what_cant_be_stored_is_kept_with_the_reason(store: Store, payload: bytes, reason: str) -> None:
    """Byte for byte, up to 64 KiB, and once however often it comes."""
    for _ in range(3):
        assert {reason: 1} == add(store, payload).quarantined
    ((unfit, size),) = store.quarantine()

    assert {reason: 1} == store.quarantined()
    assert (payload[:65_536], len(payload)) == (unfit.payload, size)


def test_one_bad_message_holds_up_no_other(store: Store) -> None:
    """A batch with everything in it: hours are stored, the rest is set aside."""
    said = add(store, told(), b"nonsense", told(NOW + timedelta(days=9)), told(NOW - timedelta(hours=5)))

    assert 2 == said.stored
    assert {"garbage": 1, "future": 1} == said.quarantined


def test_a_row_that_the_database_refuses_holds_up_no_other(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no check foresaw goes into quarantine as `unstorable`, and the batch around it is stored."""
    batch = judge([(TOPIC, told()), (TOPIC, told(NOW - timedelta(hours=5))), (TOPIC, b"x")], NOW)
    monkeypatch.setattr(type(batch.hours[0].hour), "lines_json", lambda hour: json.dumps(hour.revision))
    broken = batch.hours[1].hour
    object.__setattr__(broken, "timezone", None)
    said = store.add(batch, NOW)

    assert 1 == said.stored
    assert {"unstorable": 1, "garbage": 1} == store.quarantined()


def test_the_quarantine_is_bounded(store: Store) -> None:
    """Those seen longest ago go first."""
    for number in range(6):
        store.add(judge([(TOPIC, f"junk {number}".encode())], NOW), NOW + timedelta(seconds=number))
    dropped = store.prune(most=2)

    assert 4 == dropped
    assert [b"junk 4", b"junk 5"] == sorted(unfit.payload for unfit, _ in store.quarantine())


def test_collectors_that_store_at_once_get_in_nobodys_way(store_url: str) -> None:
    """Four at a time, the same hours in different orders: each hour once, and no deadlock."""
    payloads = [told(NOW - timedelta(hours=2 + n), camera=f"door-{n % 7}") for n in range(200)]
    messages = [(f"footfall/v1/sh-023/door-{n % 7}/hour", payload) for n, payload in enumerate(payloads)]
    faults: list[BaseException] = []

    def collect(seed: int) -> None:
        try:
            opened = open_store(store_url)
            shuffled = random.Random(seed).sample(messages, len(messages))
            for at in range(0, len(shuffled), 20):
                opened.add(judge(shuffled[at : at + 20], NOW), NOW)
            opened.close()
        except BaseException as exc:  # noqa: BLE001 - told below
            faults.append(exc)

    threads = [threading.Thread(target=collect, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    opened = open_store(store_url)

    assert [] == faults
    assert 200 == len(kept(opened))
    opened.close()


def test_sites_can_be_picked(store: Store) -> None:
    """And the first and the last hour are told."""
    for site in ("one", "two", "three"):
        add(store, told(site=site), told(NOW - timedelta(hours=9), site=site), topic=f"footfall/v1/{site}/door-a/hour")

    assert ["one", "one", "two", "two"] == [hour.site for hour in kept(store, "two", "one")]
    assert (NOW - timedelta(hours=9), NOW - timedelta(hours=2)) == store.extent()


def test_an_empty_store_has_no_extent(store: Store) -> None:
    """And no hours, statuses or quarantine."""
    assert store.extent() is None
    assert ([], {}, {}) == (kept(store), store.statuses(), store.quarantined())


def test_a_status_is_kept_with_the_time_of_its_change(store: Store) -> None:
    """Saying `online` again is no change."""
    topic = "footfall/v1/sh-023/door-a/status"
    for minute, word in enumerate([b"offline", b"online", b"online"]):
        store.add(judge([(topic, word)], NOW), NOW + timedelta(minutes=minute))

    assert {("sh-023", "door-a"): ("online", NOW + timedelta(minutes=1))} == store.statuses()


def test_a_store_of_a_newer_program_is_refused(store: Store, store_url: str) -> None:
    """With a sentence, and without touching it."""
    with store._transaction():
        store._run("UPDATE footfall_store SET version = 99")
    with pytest.raises(StoreUnusable, match="its version is 99"):
        open_store(store_url)


@pytest.mark.parametrize("engine", ["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.processes)])
def test_the_table_is_the_contracts(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The statements of docs/headquarters.md run on the collector's own store."""
    blocks = re.findall(r"```sql\n(.*?)```", DOCS.split(f"\n{engine}, ")[1], re.DOTALL)
    upsert = next(block for block in blocks if block.startswith("INSERT INTO hours"))
    if engine == "SQLite":
        opened = open_store(str(tmp_path / "hours.sqlite"))
        opened._connection.execute(upsert, {"message": told(revision=2).decode()})  # type: ignore[attr-defined]
    else:
        server: Postgres = request.getfixturevalue("postgres")
        opened = open_store(server.database())
        opened._connection.execute(upsert.replace("$1", "%s"), [told(revision=2).decode()])  # type: ignore[attr-defined]
    said = add(opened, told())

    assert 1 == said.repeated
    assert [(2, 48)] == told_fields(opened, "revision", "in_")
    opened.close()


def test_a_store_that_cant_be_opened_is_told(tmp_path: Path) -> None:
    """No folder, no database, no server: one sentence each, and no password in it."""
    (tmp_path / "text").write_text("this is no database, and long enough to be none " * 50)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match="not a database"):
        open_store(str(tmp_path / "text"))
    with pytest.raises(StoreUnusable):
        open_store(str(tmp_path / "file" / "hours.sqlite"))
    with pytest.raises(StoreUnusable) as refusal:
        open_store("postgresql://me:secret@127.0.0.1:1/hours")
    assert "secret" not in str(refusal.value)


def test_a_full_disk_stores_nothing_of_a_batch(tmp_path: Path) -> None:
    """And the same batch passes when there is room again."""
    store = open_store(str(tmp_path / "hours.sqlite"))
    connection: sqlite3.Connection = store._connection  # type: ignore[attr-defined]
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    payloads = [told(NOW - timedelta(hours=2 + n)) for n in range(400)]
    with pytest.raises(StoreUnusable, match="full"):
        add(store, *payloads)
    left = len(kept(store))
    connection.execute("PRAGMA max_page_count = 100000")

    assert 0 == left
    assert 400 == add(store, *payloads).stored
    store.close()


def test_a_server_that_went_away_is_found_again(postgres: Postgres) -> None:
    """While it is down nothing is stored; afterwards the same call stores it, on a new connection."""
    store = open_store(postgres.database())
    postgres.stop()
    try:
        with pytest.raises(StoreUnusable):
            add(store, told())
        with pytest.raises(StoreUnusable):
            add(store, told())
    finally:
        postgres.start()

    assert 1 == add(store, told()).stored
    store.close()


def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's client isn't on a box."""
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    monkeypatch.delitem(__import__("sys").modules, "edge.headquarters.store.postgres", raising=False)
    with pytest.raises(ExtraMissing, match=r"footfall_edge-VERSION-py3-none-any.whl\[headquarters\]"):
        open_store("postgresql://127.0.0.1/hours")


def test_killed_in_the_middle_nothing_is_half(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An end between two rows of a batch leaves none of it."""
    real: Callable[..., Any] = Store._upsert
    calls = iter(range(10))

    def boom(*arguments: Any) -> Any:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(Store, "_upsert", boom)
    with pytest.raises(KeyboardInterrupt):
        add(store, *(told(NOW - timedelta(hours=2 + n)) for n in range(5)))

    assert [] == kept(store)
