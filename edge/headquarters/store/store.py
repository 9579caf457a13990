"""
Where headquarters keeps hours: SQLite, or PostgreSQL by URL. One transaction a batch; storing twice changes nothing.

The table `hours` is the one of docs/headquarters.md: the key is (site, camera, start as an instant), and the highest
revision stays. Nothing here knows a broker, and nothing here asks a clock.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from edge.core.errors import HourUnfit, StoreUnusable
from edge.core.hour import SCHEMA, Hour, LineCount
from edge.headquarters.receive import LARGEST, stamp
from edge.headquarters.store.batch import Arrival, Batch, Outcome, Unfit

MOST_QUARANTINED = 100_000
"""Most different messages in quarantine; beyond, those seen longest ago are dropped."""
_VERSION = 1
"""Version of the tables."""

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

    def add(self, batch: Batch, now: datetime) -> Outcome:
        """Store *batch* as a whole; when this returns, a power cut can't take it."""
        try:
            return self._add_together(batch, now)
        except Unstorable:
            # One row that no check foresaw must not hold up the others for ever.
            return self._add_singly(batch, now)

    def _add_together(self, batch: Batch, now: datetime) -> Outcome:
        outcome = Outcome()
        with self._transaction():
            # In order, so that two collectors that store the same hours can't wait for each other.
            for arrival in sorted(batch.hours, key=_order):
                fault = self._upsert(arrival.hour, outcome)
                if fault is not None:
                    self._set_aside(Unfit(arrival.topic, arrival.payload, fault), now, outcome)
            for unfit in sorted(batch.unfit, key=lambda unfit: (unfit.topic, unfit.payload)):
                self._set_aside(unfit, now, outcome)
            for (site, camera), status in sorted(batch.statuses.items()):
                self._run(_STATUS, {"site": site, "camera": camera, "status": status, "now": self._instant(now)})
        return outcome

    def _add_singly(self, batch: Batch, now: datetime) -> Outcome:
        outcome = self._add_together(Batch(unfit=batch.unfit, statuses=batch.statuses), now)
        for arrival in batch.hours:
            try:
                outcome.add(self._add_together(Batch(hours=[arrival]), now))
            except Unstorable as exc:
                fault = HourUnfit("unstorable", str(exc)[:1000])
                outcome.add(self._add_together(Batch(unfit=[Unfit(arrival.topic, arrival.payload, fault)]), now))
        return outcome

    def _upsert(self, hour: Hour, outcome: Outcome) -> HourUnfit | None:
        """Store *hour*; return why not if it contradicts what is known."""
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
            outcome.stored += 1
            return None
        revision, *known, flags, lines = self._run(
            _KNOWN, {"site": hour.site, "camera": hour.camera, "start": values["start"]}
        ).fetchone()
        told = [hour.in_, hour.out, hour.watched_s]
        same = told == known and _parsed(flags) == sorted(hour.flags) and _parsed(lines) == _parsed(hour.lines_json())
        if revision > hour.revision or same:
            outcome.repeated += 1
            return None
        return HourUnfit(
            "conflict",
            f"revision {revision} of {hour.site}/{hour.camera} {stamp(hour.start)} is known with in {known[0]}, "
            f"out {known[1]}, watched {known[2]} s; this one says in {hour.in_}, out {hour.out}, "
            f"watched {hour.watched_s} s: two boxes go by one name, or a box has lost its ledger",
        )

    def _set_aside(self, unfit: Unfit, now: datetime, outcome: Outcome) -> None:
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
        outcome.quarantined[reason] = outcome.quarantined.get(reason, 0) + 1

    def prune(self, most: int = MOST_QUARANTINED) -> int:
        """Keep the quarantine bounded; return how many messages were dropped."""
        with self._transaction():
            dropped: int = self._run(_PRUNE, {"most": most}).rowcount
        return dropped

    def release(self, unfit: Unfit) -> None:
        """Take a message out of quarantine, because it has been stored."""
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

    def hours(self, since: datetime, until: datetime, sites: Sequence[str] = ()) -> Iterator[Hour]:
        """Yield the hours that start in [*since*, *until*), of *sites* or all, by site, camera and start."""
        names = {f"site{number}": site for number, site in enumerate(sites)}
        only = f" AND site IN ({', '.join(f':{name}' for name in names)})" if names else ""
        rows = self._stream(
            f"{_HOURS}{only} ORDER BY site, camera, start",
            {"since": self._instant(since), "until": self._instant(until), **names},
        )
        for row in rows:
            yield _hour(row)

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


def _order(arrival: Arrival) -> tuple[str, str, datetime, int]:
    return arrival.hour.site, arrival.hour.camera, arrival.hour.start, arrival.hour.revision


def _hour(row: Sequence[Any]) -> Hour:
    """Return the hour of a row; it was valid when it was stored, and isn't validated again."""
    site, camera, start, end, zone, revision, in_, out, watched_s, flags, lines, software, model = row
    return Hour.model_construct(
        version=SCHEMA,
        site=site,
        camera=camera,
        start=_moment(start),
        end=_moment(end),
        timezone=zone,
        revision=revision,
        lines={
            name: LineCount.model_construct(in_=count["in"], out=count["out"]) for name, count in _parsed(lines).items()
        },
        in_=in_,
        out=out,
        watched_s=watched_s,
        flags=tuple(_parsed(flags)),
        software=software,
        model=model,
    )


def _clean(text: str) -> str:
    """Return *text* without what a database's text can't hold."""
    return text.replace("\0", "\ufffd").encode(errors="backslashreplace").decode()


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _moment(value: int | datetime) -> datetime:
    return value.astimezone(UTC) if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
