"""
Where headquarters keeps hours: SQLite, or PostgreSQL by URL. One transaction a batch; storing twice changes nothing.

The table `hours` is the one of docs/headquarters.md: the key is (site, camera, start as an instant), and the highest
revision stays. Nothing here knows a broker, and nothing here asks a clock.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from edge.core.hour import Hour
from edge.core.printable import printable
from edge.headquarters.errors import HourUnfit, StoreUnusable
from edge.headquarters.receive import LARGEST, stamp
from edge.headquarters.store.batch import Arrival, Batch, KeptDay, Outcome, Unfit
from edge.headquarters.store.reader import Alerting, Correction, Reader, parsed
from edge.headquarters.store.tables import VERSION, statements

MOST_QUARANTINED = 100_000
"""Most different messages in quarantine; beyond, those seen longest ago are dropped."""
_LONGEST = timedelta(hours=1)
"""An hour that begins so much earlier than another can't overlap it."""

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
_OVERLAPPING = """
SELECT {start} FROM hours WHERE site = :site AND camera = :camera AND start > :earliest AND start < :end
    AND start <> :start AND "end" > :start LIMIT 1
"""
_CORRECTION = """
INSERT INTO corrections (made, who, why, action, site, camera, since, until, value, revokes)
VALUES (:made, :who, :why, :action, :site, :camera, :since, :until, :value, :revokes) RETURNING id
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
_KEEP = """
INSERT INTO days
VALUES (:site, :camera, :day, :timezone, :in_, :out, :lines, :open_hours, :good_hours, :counted_hours, :watched_s,
    :flags)
ON CONFLICT (site, camera, day) DO UPDATE SET
    timezone = excluded.timezone, "in" = excluded."in", out = excluded.out, lines = excluded.lines,
    open_hours = excluded.open_hours, good_hours = excluded.good_hours, counted_hours = excluded.counted_hours,
    watched_s = excluded.watched_s, flags = excluded.flags
"""
_ALERT = "channel = :channel AND site = :site AND camera = :camera AND kind = :kind"


class Unstorable(Exception):
    """The database takes this batch for impossible: one of its rows is to blame, not the disk or the wire."""


class Store(Reader):
    """
    A store that is open for writing.

    Raises:
        StoreUnusable: from each method, when the database can't be reached, read or written. Nothing of the batch was
            stored then; the same call may succeed later.
    """

    @abstractmethod
    def _lock_tables(self) -> None:
        """Keep two collectors that start at once from making the tables together."""

    @abstractmethod
    def _transaction(self) -> contextlib.AbstractContextManager[None]:
        """Do what follows as a whole or not at all, durably; StoreUnusable or Unstorable if not."""

    @abstractmethod
    def _run(self, statement: str, values: Mapping[str, object] | None = None) -> Any:
        """Run one statement with :named values; return its cursor."""

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
        where = {"site": hour.site, "camera": hour.camera, "start": values["start"], "end": values["end"]}
        overlapping = self._run(
            _OVERLAPPING.format(start=self._seconds("start")),
            {**where, "earliest": self._instant(hour.start - _LONGEST)},
        ).fetchone()
        if overlapping is not None:
            other = datetime.fromtimestamp(overlapping[0], UTC)
            return HourUnfit(
                "overlap",
                f"it begins at {stamp(hour.start)} and ends at {stamp(hour.end)}; an hour of {hour.site}/{hour.camera}"
                f" that begins at {stamp(other)} is known: the same people would be counted twice",
            )
        if self._run(_UPSERT, values).rowcount == 1:
            outcome.stored += 1
            return None
        del where["end"]
        revision, *known, flags, lines = self._run(_KNOWN, where).fetchone()
        told = [hour.in_, hour.out, hour.watched_s]
        same = told == known and parsed(flags) == sorted(hour.flags) and parsed(lines) == parsed(hour.lines_json())
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
                "detail": printable(unfit.fault.detail),
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

    # --- old hours ---------------------------------------------------------------------------------------------------

    def keep_days(
        self, shown: tuple[str, str], days: Iterable[KeptDay], sources: Iterable[tuple[str, str]], until: datetime
    ) -> int:
        """
        Replace old hours by days, as a whole or not at all; return how many hours were deleted.

        Args:
            shown: Site and camera that the days are kept under.
            days: What is kept. It replaces what is kept of the same days.
            sources: Site and camera of the hours that are deleted: those that begin before *until*.
            until: An instant.
        """
        deleted = 0
        with self._transaction():
            for day in days:
                lines = {name: {"in": in_, "out": out} for name, (in_, out) in sorted(day.lines.items())}
                self._run(
                    _KEEP,
                    {
                        "site": shown[0], "camera": shown[1], "day": day.day.isoformat(), "timezone": day.timezone,
                        "in_": sum(in_ for in_, _ in day.lines.values()),
                        "out": sum(out for _, out in day.lines.values()),
                        "lines": json.dumps(lines, separators=(",", ":")), "open_hours": day.open_hours,
                        "good_hours": day.good_hours, "counted_hours": day.counted_hours, "watched_s": day.watched_s,
                        "flags": json.dumps(sorted(day.flags)),
                    },
                )  # fmt: skip
            for site, camera in sources:
                deleted += self._run(
                    "DELETE FROM hours WHERE site = :site AND camera = :camera AND start < :until",
                    {"site": site, "camera": camera, "until": self._instant(until)},
                ).rowcount
        return deleted

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

    # --- what people know better --------------------------------------------------------------------------------------

    def correct(self, correction: Correction) -> int:
        """Enter a correction, whose number is ignored; return the number that it has now."""
        with self._transaction():
            ((number,),) = self._run(
                _CORRECTION,
                {
                    "made": self._instant(correction.made),
                    "who": correction.who,
                    "why": correction.why,
                    "action": correction.action,
                    "site": correction.site,
                    "camera": correction.camera,
                    "since": None if correction.since is None else self._instant(correction.since),
                    "until": None if correction.until is None else self._instant(correction.until),
                    "value": correction.value,
                    "revokes": correction.revokes,
                },
            ).fetchall()
        return int(number)

    def replace_sites(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Make the table `sites` hold *rows*, for those who read by SQL; see `edge.headquarters.sites.as_table`."""
        with self._transaction():
            self._run("DELETE FROM sites")
            for row in rows:
                self._run(
                    "INSERT INTO sites VALUES (:site, :camera, :site_name, :camera_name, :region, :area_m2, :passages)",
                    {**row, "passages": json.dumps(row["passages"])},
                )

    def set_alerts(self, channel: str, began: Mapping[Alerting, datetime], ended: Iterable[Alerting]) -> None:
        """Note that *channel* was told that these alerts have begun, each since when, and that those have ended."""
        with self._transaction():
            for key in ended:
                self._run(f"DELETE FROM alerts WHERE {_ALERT}", _alert(channel, key))  # noqa: S608 - a constant
            for key, since in began.items():
                self._run(
                    "INSERT INTO alerts VALUES (:channel, :site, :camera, :kind, :since)"
                    " ON CONFLICT (channel, site, camera, kind) DO NOTHING",
                    {**_alert(channel, key), "since": self._instant(since)},
                )

    def _begin(self, types: Mapping[str, str], last: Sequence[str]) -> None:
        """Make the tables that are missing; refuse a store that is newer than this program."""
        with self._transaction():
            self._lock_tables()
            self._run("CREATE TABLE IF NOT EXISTS footfall_store (version INTEGER NOT NULL)")
            found = self._run("SELECT version FROM footfall_store").fetchone()
            known = 0 if found is None else int(found[0])
            for statement in statements(known, types, last):
                self._run(statement)
            if found is None:
                self._run(f"INSERT INTO footfall_store VALUES ({VERSION})")  # noqa: S608 - a constant
            elif known < VERSION:
                self._run(f"UPDATE footfall_store SET version = {VERSION}")  # noqa: S608 - a constant
        self.version = max(known, VERSION)
        refuse_newer(self.name, known)


def refuse_newer(name: str, version: int) -> None:
    """Raise StoreUnusable for a store that a newer program has made."""
    if version > VERSION:
        raise StoreUnusable(name, f"its version is {version}, this program knows {VERSION}; use a newer one")


def _alert(channel: str, key: Alerting) -> dict[str, object]:
    return {"channel": channel, "site": key[0], "camera": key[1], "kind": key[2]}


def _order(arrival: Arrival) -> tuple[str, str, datetime, int]:
    return arrival.hour.site, arrival.hour.camera, arrival.hour.start, arrival.hour.revision


def _clean(text: str) -> str:
    """Return *text* without what a database's text can't hold."""
    return text.replace("\0", "\ufffd").encode(errors="backslashreplace").decode()
