"""
Where headquarters keeps hours: SQLite, or PostgreSQL by URL. One transaction a batch; storing twice changes nothing.

The table `hours` is the one of docs/headquarters.md: the key is (site, camera, start as an instant), and the highest
revision stays. Nothing here knows a broker, and nothing here asks a clock.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge.core.errors import HourUnfit, StoreUnusable
from edge.headquarters.hour import LARGEST, ReceivedHour, stamp

MOST_QUARANTINED = 100_000
"""Different messages in quarantine; beyond, those seen longest ago go."""
_VERSION = 1
_BREATH_S = 0.05
_PATIENCE = 600

_TABLES = """
CREATE TABLE IF NOT EXISTS footfall_store (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS hours (
    site TEXT NOT NULL, camera TEXT NOT NULL, start {moment} NOT NULL, "end" {moment} NOT NULL,
    timezone TEXT NOT NULL, revision INTEGER NOT NULL, "in" INTEGER NOT NULL, out INTEGER NOT NULL,
    watched_s INTEGER NOT NULL, flags {json} NOT NULL, lines {json} NOT NULL,
    software TEXT NOT NULL, model TEXT NOT NULL,
    PRIMARY KEY (site, camera, start)
);
CREATE TABLE IF NOT EXISTS statuses (
    site TEXT NOT NULL, camera TEXT NOT NULL, status TEXT NOT NULL, since {moment} NOT NULL,
    PRIMARY KEY (site, camera)
);
CREATE TABLE IF NOT EXISTS sessions (
    broker TEXT NOT NULL, name TEXT NOT NULL, client_id TEXT NOT NULL, since {moment} NOT NULL,
    PRIMARY KEY (broker, name)
);
CREATE TABLE IF NOT EXISTS quarantine (
    topic TEXT NOT NULL, digest TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, size INTEGER NOT NULL,
    payload {bytes} NOT NULL, times INTEGER NOT NULL, first_seen {moment} NOT NULL, last_seen {moment} NOT NULL,
    PRIMARY KEY (topic, digest)
);
"""

_UPSERT = """
INSERT INTO hours VALUES (:site, :camera, :start, :end, :timezone, :revision, :in_, :out, :watched_s, :flags, :lines,
    :software, :model)
ON CONFLICT (site, camera, start) DO UPDATE SET
    "end" = excluded."end", timezone = excluded.timezone, revision = excluded.revision, "in" = excluded."in",
    out = excluded.out, watched_s = excluded.watched_s, flags = excluded.flags, lines = excluded.lines,
    software = excluded.software, model = excluded.model
WHERE excluded.revision > hours.revision
"""
_KNOWN = """
SELECT revision, "in", out, watched_s, flags, lines FROM hours
WHERE site = :site AND camera = :camera AND start = :start
"""
_HOURS = """
SELECT site, camera, start, "end", timezone, revision, "in", out, watched_s, flags, lines, software, model
FROM hours WHERE start >= :since AND start < :until
"""
_QUARANTINE = """
INSERT INTO quarantine (topic, digest, reason, detail, size, payload, times, first_seen, last_seen)
VALUES (:topic, :digest, :reason, :detail, :size, :payload, 1, :now, :now)
ON CONFLICT (topic, digest) DO UPDATE SET
    times = quarantine.times + 1, last_seen = excluded.last_seen, reason = excluded.reason, detail = excluded.detail
"""
_STATUS = """
INSERT INTO statuses (site, camera, status, since) VALUES (:site, :camera, :status, :now)
ON CONFLICT (site, camera) DO UPDATE SET status = excluded.status, since = excluded.since
WHERE statuses.status <> excluded.status
"""
_PRUNE = """
DELETE FROM quarantine WHERE (topic, digest) IN (
    SELECT topic, digest FROM quarantine ORDER BY last_seen DESC, topic, digest LIMIT -1 OFFSET :most)
"""


@dataclass(frozen=True, slots=True)
class Unfit:
    """A message that can't be booked, as it came, and why not."""

    topic: str
    payload: bytes
    fault: HourUnfit


@dataclass(frozen=True, slots=True)
class Arrival:
    """An hour that can be booked, and the bytes that told it."""

    topic: str
    payload: bytes
    hour: ReceivedHour


@dataclass(slots=True)
class Batch:
    """What one transaction books."""

    hours: list[Arrival] = field(default_factory=list)
    unfit: list[Unfit] = field(default_factory=list)
    statuses: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass(slots=True)
class Booked:
    """
    What became of messages.

    Attributes:
        booked: Hours that are new, or replaced a lower revision.
        repeated: Hours that were known already, this revision or a higher one.
        quarantined: Messages by reason.
    """

    booked: int = 0
    repeated: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)

    def add(self, other: Booked) -> None:
        """Add *other* to this."""
        self.booked += other.booked
        self.repeated += other.repeated
        for reason, times in other.quarantined.items():
            self.quarantined[reason] = self.quarantined.get(reason, 0) + times


@dataclass(frozen=True, slots=True)
class StoredHour:
    """One camera's hour, its highest revision."""

    site: str
    camera: str
    start: datetime
    end: datetime
    timezone: str
    revision: int
    in_: int
    out: int
    watched_s: int
    flags: tuple[str, ...]
    lines: Mapping[str, Mapping[str, int]]
    software: str
    model: str


class Unstorable(Exception):
    """The database takes this batch for impossible: one of its rows is to blame, not the disk or the wire."""


class Store(ABC):
    """
    An open store.

    Raises:
        StoreUnusable: from each method, when the database can't be reached, read or written. Nothing of the batch was
            stored then; the same call may succeed later.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""

    @abstractmethod
    def _lock_tables(self) -> None:
        """Keep two collectors that start at once from making the tables together."""

    @abstractmethod
    def _instant(self, moment: datetime) -> object:
        """Return *moment* as this database keeps it."""

    @abstractmethod
    def _transaction(self) -> contextlib.AbstractContextManager[None]:
        """Do what follows as a whole or not at all, durably; StoreUnusable or Unstorable if not."""

    @abstractmethod
    def _run(self, statement: str, values: Mapping[str, object] | None = None) -> Any:
        """Run one statement with :named values; return its cursor."""

    @abstractmethod
    def _stream(self, statement: str, values: Mapping[str, object]) -> Iterator[Sequence[Any]]:
        """Yield rows without holding all of them in memory."""

    # --- storing -----------------------------------------------------------------------------------------------------

    def book(self, batch: Batch, now: datetime) -> Booked:
        """Store *batch* as a whole; when this returns, a power cut can't take it."""
        try:
            return self._book(batch, now)
        except Unstorable:
            # One row that no check foresaw must not hold up the others for ever.
            return self._book_singly(batch, now)

    def _book(self, batch: Batch, now: datetime) -> Booked:
        booked = Booked()
        with self._transaction():
            # In order, so that two collectors that store the same hours can't wait for each other.
            for arrival in sorted(batch.hours, key=_order):
                fault = self._upsert(arrival.hour, booked)
                if fault is not None:
                    self._set_aside(Unfit(arrival.topic, arrival.payload, fault), now, booked)
            for unfit in sorted(batch.unfit, key=lambda unfit: (unfit.topic, unfit.payload)):
                self._set_aside(unfit, now, booked)
            for (site, camera), status in sorted(batch.statuses.items()):
                self._run(_STATUS, {"site": site, "camera": camera, "status": status, "now": self._instant(now)})
        return booked

    def _book_singly(self, batch: Batch, now: datetime) -> Booked:
        booked = self._book(Batch(unfit=batch.unfit, statuses=batch.statuses), now)
        for arrival in batch.hours:
            try:
                booked.add(self._book(Batch(hours=[arrival]), now))
            except Unstorable as exc:
                fault = HourUnfit("unstorable", str(exc)[:1000])
                booked.add(self._book(Batch(unfit=[Unfit(arrival.topic, arrival.payload, fault)]), now))
        return booked

    def _upsert(self, hour: ReceivedHour, booked: Booked) -> HourUnfit | None:
        """Book *hour*; return why not if it contradicts what is known."""
        values = {
            "site": hour.site,
            "camera": hour.camera,
            "start": self._instant(hour.start),
            "end": self._instant(hour.end),
            "timezone": hour.timezone,
            "revision": hour.revision,
            "in_": hour.in_,
            "out": hour.out,
            "watched_s": hour.watched_s,
            "flags": json.dumps(sorted(hour.flags)),
            "lines": hour.lines_json(),
            "software": hour.software,
            "model": hour.model,
        }
        if self._run(_UPSERT, values).rowcount == 1:
            booked.booked += 1
            return None
        revision, *known, flags, lines = self._run(
            _KNOWN, {"site": hour.site, "camera": hour.camera, "start": values["start"]}
        ).fetchone()
        told = [hour.in_, hour.out, hour.watched_s]
        same = told == known and _parsed(flags) == sorted(hour.flags) and _parsed(lines) == _parsed(hour.lines_json())
        if revision > hour.revision or same:
            booked.repeated += 1
            return None
        return HourUnfit(
            "conflict",
            f"revision {revision} of {hour.site}/{hour.camera} {stamp(hour.start)} is known with in {known[0]}, "
            f"out {known[1]}, watched {known[2]} s; this one says in {hour.in_}, out {hour.out}, "
            f"watched {hour.watched_s} s: two boxes go by one name, or a box has lost its ledger",
        )

    def _set_aside(self, unfit: Unfit, now: datetime, booked: Booked) -> None:
        reason = unfit.fault.reason
        self._run(
            _QUARANTINE,
            {
                "topic": _clean(unfit.topic),
                "digest": hashlib.sha256(unfit.payload).hexdigest(),
                "reason": reason,
                "detail": _clean(unfit.fault.detail),
                "size": len(unfit.payload),
                "payload": unfit.payload[:LARGEST],
                "now": self._instant(now),
            },
        )
        booked.quarantined[reason] = booked.quarantined.get(reason, 0) + 1

    def prune(self, most: int = MOST_QUARANTINED) -> int:
        """Keep the quarantine bounded; return how many messages were dropped."""
        with self._transaction():
            dropped: int = self._run(_PRUNE, {"most": most}).rowcount
        return dropped

    def release(self, unfit: Unfit) -> None:
        """Take a message out of quarantine, because it has been booked."""
        with self._transaction():
            self._run(
                "DELETE FROM quarantine WHERE topic = :topic AND digest = :digest",
                {"topic": _clean(unfit.topic), "digest": hashlib.sha256(unfit.payload).hexdigest()},
            )

    # --- sessions at brokers -----------------------------------------------------------------------------------------

    def session(self, broker: str, name: str) -> str | None:
        """Return the client id of the session that the broker keeps for the collector *name*; None if there is none."""
        rows = self._stream(
            "SELECT client_id FROM sessions WHERE broker = :broker AND name = :name", {"broker": broker, "name": name}
        )
        return next((str(found) for (found,) in rows), None)

    def remember_session(self, broker: str, name: str, client_id: str, now: datetime) -> None:
        """Note that the broker keeps a session for the collector *name* under *client_id*."""
        with self._transaction():
            self._run(
                "INSERT INTO sessions VALUES (:broker, :name, :client_id, :now) ON CONFLICT (broker, name)"
                " DO UPDATE SET client_id = excluded.client_id, since = excluded.since",
                {"broker": broker, "name": name, "client_id": client_id, "now": self._instant(now)},
            )

    def forget_session(self, broker: str, name: str) -> None:
        """Note that the broker keeps no session for the collector *name* any more."""
        with self._transaction():
            self._run("DELETE FROM sessions WHERE broker = :broker AND name = :name", {"broker": broker, "name": name})

    # --- reading -----------------------------------------------------------------------------------------------------

    def hours(self, since: datetime, until: datetime, sites: Sequence[str] = ()) -> Iterator[StoredHour]:
        """Yield the hours that start in [*since*, *until*), of *sites* or all, by site, camera and start."""
        names = {f"site{number}": site for number, site in enumerate(sites)}
        only = f" AND site IN ({', '.join(f':{name}' for name in names)})" if names else ""
        rows = self._stream(
            f"{_HOURS}{only} ORDER BY site, camera, start",
            {"since": self._instant(since), "until": self._instant(until), **names},
        )
        for site, camera, start, end, zone, revision, in_, out, watched_s, flags, lines, software, model in rows:
            yield StoredHour(
                site, camera, _moment(start), _moment(end), zone, revision, in_, out, watched_s, tuple(_parsed(flags)),
                _parsed(lines), software, model,
            )  # fmt: skip

    def count(self) -> int:
        """Return how many hours there are."""
        ((found,),) = self._stream("SELECT count(*) FROM hours", {})
        return int(found)

    def extent(self) -> tuple[datetime, datetime] | None:
        """Return the start of the first and of the last hour; None if there is none."""
        first, last = self._run("SELECT min(start), max(start) FROM hours").fetchone()
        return None if first is None else (_moment(first), _moment(last))

    def statuses(self) -> dict[tuple[str, str], tuple[str, datetime]]:
        """Return what each camera's box last said, and since when: (site, camera) -> (`online` or `offline`, since)."""
        rows = self._run("SELECT site, camera, status, since FROM statuses ORDER BY site, camera").fetchall()
        return {(site, camera): (status, _moment(since)) for site, camera, status, since in rows}

    def quarantine(self) -> Iterator[tuple[Unfit, int]]:
        """Yield what is in quarantine, with the size that each message had; larger ones are kept in part."""
        rows = self._stream("SELECT topic, payload, reason, detail, size FROM quarantine ORDER BY topic, digest", {})
        for topic, payload, reason, detail, size in rows:
            yield Unfit(topic, bytes(payload), HourUnfit(reason, detail)), size

    def quarantined(self) -> dict[str, int]:
        """Return how many different messages are in quarantine, by reason."""
        return dict(self._run("SELECT reason, count(*) FROM quarantine GROUP BY reason ORDER BY reason").fetchall())

    def _begin(self, types: Mapping[str, str]) -> None:
        """Make the tables where there are none; refuse a store that is newer than this program."""
        with self._transaction():
            self._lock_tables()
            for statement in _TABLES.format(**types).split(";"):
                if statement.strip():
                    self._run(statement)
            found = self._run("SELECT version FROM footfall_store").fetchone()
            if found is None:
                self._run(f"INSERT INTO footfall_store VALUES ({_VERSION})")  # noqa: S608 - a constant
        if found is not None and found[0] > _VERSION:
            raise StoreUnusable(self.name, f"its version is {found[0]}, this program knows {_VERSION}; use a newer one")


class SqliteStore(Store):
    """A file; as many collectors as run on its machine."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        except (OSError, sqlite3.Error) as exc:
            raise StoreUnusable(self.name, str(exc)) from exc
        try:
            self._write_ahead()
            self._connection.execute("PRAGMA synchronous=FULL")
            self._begin({"moment": "INTEGER", "json": "TEXT", "bytes": "BLOB"})
        except sqlite3.Error as exc:
            self.close()
            raise StoreUnusable(self.name, str(exc)) from exc
        except StoreUnusable:
            self.close()
            raise

    def _write_ahead(self) -> None:
        """Readers and writers at once; two that ask for it together get `locked` instead of waiting."""
        for last in (False,) * _PATIENCE + (True,):
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as exc:
                if last or exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                time.sleep(_BREATH_S)
            else:
                return

    def close(self) -> None:
        """Let go of it."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except (sqlite3.DataError, sqlite3.IntegrityError, OverflowError, UnicodeEncodeError) as exc:
            raise Unstorable(str(exc)) from exc
        except sqlite3.Error as exc:
            raise StoreUnusable(self.name, str(exc)) from exc
        finally:
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")

    def _instant(self, moment: datetime) -> int:
        return int(moment.timestamp())

    def _lock_tables(self) -> None:
        """Do nothing: BEGIN IMMEDIATE has locked the file."""

    def _run(self, statement: str, values: Mapping[str, object] | None = None) -> Any:
        return self._connection.execute(statement, values or {})

    def _stream(self, statement: str, values: Mapping[str, object]) -> Iterator[Sequence[Any]]:
        try:
            yield from self._connection.execute(statement, values)
        except sqlite3.Error as exc:
            raise StoreUnusable(self.name, str(exc)) from exc


def _order(arrival: Arrival) -> tuple[str, str, datetime, int]:
    return arrival.hour.site, arrival.hour.camera, arrival.hour.start, arrival.hour.revision


def _clean(text: str) -> str:
    """Return *text* without what a database's text can't hold."""
    return text.replace("\0", "\ufffd").encode(errors="backslashreplace").decode()


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _moment(value: int | datetime) -> datetime:
    return value.astimezone(UTC) if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)


def rejudged(quarantine: Iterable[tuple[Unfit, int]]) -> Iterator[Unfit]:
    """Yield what was kept whole, and so can be judged again."""
    return (unfit for unfit, size in quarantine if size == len(unfit.payload))
