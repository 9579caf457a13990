"""
What can be read from a store: hours, statuses, quarantine, corrections. Nothing here writes.

A report reads millions of hours, so they come as plain tuples, one camera at a time.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from heapq import merge
from itertools import groupby
from typing import Any, NamedTuple

from edge.core.hour import SCHEMA, Hour, LineCount
from edge.headquarters.errors import HourUnfit
from edge.headquarters.store.batch import KeptDay, Unfit

_COLUMNS = 'site, camera, start, "end", timezone, revision, "in", out, watched_s, flags, lines, software, model'
_HOURS = f"SELECT {_COLUMNS} FROM hours WHERE start >= :since AND start < :until"  # noqa: S608 - a constant
_DAYS_SINCE = 3
"""The version of the tables that brought days and alerts."""
_OF_CAMERA = "FROM hours WHERE site = :site AND camera = :camera"


Alerting = tuple[str, str, str]
"""What an alert is told apart by: site, camera and kind."""


class Correction(NamedTuple):
    """
    One entry of the table `corrections`.

    Attributes:
        number: Counts up from 1.
        made: When it was entered.
        who: Who entered it.
        why: The reason, in words.
        action: What it does; :mod:`edge.headquarters.corrections` lists them.
        site: Whose hours.
        camera: Which camera's; "" for all of the site.
        since: First moment; None for the beginning.
        until: First moment after it; None for no end.
        value: What the action needs besides: a note, or another camera as site/camera.
        revokes: Number of the entry that this one takes back.
    """

    number: int
    made: datetime
    who: str
    why: str
    action: str
    site: str
    camera: str
    since: datetime | None
    until: datetime | None
    value: str
    revokes: int | None


class Reader(ABC):
    """
    An open store.

    Raises:
        StoreUnusable: from each method, when the database can't be reached or read.
    """

    version: int
    """Version of its tables."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""

    @abstractmethod
    def _instant(self, moment: datetime) -> object:
        """Return *moment* as this database keeps it."""

    @abstractmethod
    def _seconds(self, column: str) -> str:
        """Return the SQL for *column*, a moment, as whole seconds since 1970 UTC."""

    @abstractmethod
    def _stream(self, statement: str, values: Mapping[str, object]) -> Iterator[Sequence[Any]]:
        """Yield rows without holding all of them in memory."""

    def _fetch(self, statement: str, values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """Return all rows at once; for few, or for one camera's."""
        return list(self._stream(statement, values))

    # --- hours -------------------------------------------------------------------------------------------------------

    def hours(self, since: datetime, until: datetime, sites: Sequence[str] = ()) -> Iterator[Hour]:
        """Yield the hours that start in [*since*, *until*), of *sites* or all, by site, camera and start."""
        only, names = _of(sites)
        rows = self._stream(
            f"{_HOURS} AND {only} ORDER BY site, camera, start",
            {"since": self._instant(since), "until": self._instant(until), **names},
        )
        for row in rows:
            yield _hour(row)

    def cameras(self) -> Iterator[tuple[str, str]]:
        """Yield site and camera of every camera that has hours or days, in order. It looks at one row a camera."""
        tables = ("hours", "days") if self.version >= _DAYS_SINCE else ("hours",)
        for names, _ in groupby(merge(*map(self._cameras_of, tables))):
            yield names

    def _cameras_of(self, table: str) -> Iterator[tuple[str, str]]:
        # A DISTINCT would go through every row.
        names = ("", "")
        while True:
            found = self._fetch(
                f"SELECT site, camera FROM {table} WHERE (site, camera) > (:site, :camera)"  # noqa: S608 - ours
                " ORDER BY site, camera LIMIT 1",
                {"site": names[0], "camera": names[1]},
            )
            if not found:
                return
            names = (str(found[0][0]), str(found[0][1]))
            yield names

    def first_start(self, site: str, camera: str) -> int | None:
        """Return when a camera's first hour begins, s since 1970 UTC; None if it has none."""
        ((first,),) = self._stream(
            f"SELECT min({self._seconds('start')}) {_OF_CAMERA}", {"site": site, "camera": camera}
        )
        return None if first is None else int(first)

    def newest(self, site: str, camera: str) -> tuple[int, str]:
        """Return when a camera's newest hour begins, s since 1970 UTC, and its time zone; (0, "UTC") without hours."""
        found = self._fetch(
            f"SELECT {self._seconds('start')}, timezone {_OF_CAMERA} ORDER BY start DESC LIMIT 1",
            {"site": site, "camera": camera},
        )
        return next(((int(start), str(zone)) for start, zone in found), (0, "UTC"))

    def newest_of(self, sites: Sequence[str], until: datetime) -> tuple[datetime, str] | None:
        """Return when the newest hour of *sites*, or of all, before *until* begins, and its zone; None without any."""
        only, names = _of(sites)
        found = self._fetch(
            f"SELECT {self._seconds('start')}, timezone FROM hours WHERE start < :until AND {only}"  # noqa: S608 - ours
            " ORDER BY start DESC LIMIT 1",
            {"until": self._instant(until), **names},
        )
        return next(((moment(int(start)), str(zone)) for start, zone in found), None)

    def rows(
        self, site: str, camera: str, since: datetime, until: datetime, *, lines: bool, every_column: bool = False
    ) -> Sequence[Sequence[Any]]:
        """
        Return the hours of one camera that start in [*since*, *until*), in order, as plain tuples.

        Each is (start, end, in, out, watched_s, timezone, flags): moments in s since 1970 UTC, flags as JSON text. With
        *lines*, they follow as JSON text; with *every_column*, then revision, software and model.
        """
        more = (", CAST(lines AS TEXT)" if lines else "") + (", revision, software, model" if every_column else "")
        return self._fetch(
            f'SELECT {self._seconds("start")}, {self._seconds(chr(34) + "end" + chr(34))}, "in", out, watched_s,'
            f" timezone, CAST(flags AS TEXT){more}"
            f" {_OF_CAMERA} AND start >= :since AND start < :until ORDER BY start",
            {"site": site, "camera": camera, "since": self._instant(since), "until": self._instant(until)},
        )

    def count(self) -> int:
        """Return how many hours there are."""
        ((found,),) = self._stream("SELECT count(*) FROM hours", {})
        return int(found)

    def extent(self, sites: Sequence[str] = ()) -> tuple[datetime, datetime] | None:
        """Return the start of the first and of the last hour of *sites*, or of all; None if there is none."""
        only, names = _of(sites)
        ((first, last),) = self._stream(
            f"SELECT (SELECT min(start) FROM hours WHERE {only}), (SELECT max(start) FROM hours WHERE {only})",  # noqa: S608 - ours
            names,
        )
        return None if first is None else (moment(first), moment(last))

    # --- days of which no hours are kept -----------------------------------------------------------------------------

    def kept_until(self, site: str, camera: str) -> tuple[date, str] | None:
        """Return the last day of a camera of which only the day is kept, and its time zone; None if there is none."""
        if self.version < _DAYS_SINCE:
            return None
        found = self._fetch(
            "SELECT day, timezone FROM days WHERE site = :site AND camera = :camera ORDER BY day DESC LIMIT 1",
            {"site": site, "camera": camera},
        )
        return next(((_day(day), str(zone)) for day, zone in found), None)

    def days(self, site: str, camera: str, first: date, last: date) -> Iterator[KeptDay]:
        """Yield the days from *first* to *last* of which no hours are kept, in order."""
        if self.version < _DAYS_SINCE:
            return
        rows = self._fetch(
            "SELECT day, timezone, lines, open_hours, good_hours, counted_hours, watched_s, flags FROM days"
            " WHERE site = :site AND camera = :camera AND day >= :first AND day <= :last ORDER BY day",
            {"site": site, "camera": camera, "first": first.isoformat(), "last": last.isoformat()},
        )
        for day, zone, lines, open_hours, good_hours, counted_hours, watched_s, flags in rows:
            of_lines = {name: (count["in"], count["out"]) for name, count in parsed(lines).items()}
            yield KeptDay(_day(day), zone, of_lines, open_hours, good_hours, counted_hours, watched_s, parsed(flags))

    # --- the rest ----------------------------------------------------------------------------------------------------

    def statuses(self) -> dict[tuple[str, str], tuple[str, datetime]]:
        """Return what each camera's box last said, and since when: (site, camera) -> (`online` or `offline`, since)."""
        rows = self._stream("SELECT site, camera, status, since FROM statuses ORDER BY site, camera", {})
        return {(site, camera): (status, moment(since)) for site, camera, status, since in rows}

    def quarantine(self) -> Iterator[tuple[Unfit, int]]:
        """Yield what is in quarantine, with the size that each message had; larger ones are kept in part."""
        rows = self._stream("SELECT topic, payload, reason, detail, size FROM quarantine ORDER BY topic, digest", {})
        for topic, payload, reason, detail, size in rows:
            yield Unfit(topic, bytes(payload), HourUnfit(reason, detail)), size

    def quarantined(self) -> dict[str, int]:
        """Return how many different messages are in quarantine, by reason."""
        return {
            str(reason): int(times)
            for reason, times in self._stream(
                "SELECT reason, count(*) FROM quarantine GROUP BY reason ORDER BY reason", {}
            )
        }

    def quarantine_list(self, reason: str | None, limit: int) -> Iterator[tuple[datetime, str, str, str, int]]:
        """Yield (last seen, topic, reason, detail, times) of at most *limit* messages, the newest first."""
        only = " WHERE reason = :reason" if reason is not None else ""
        rows = self._stream(
            f"SELECT last_seen, topic, reason, detail, times FROM quarantine{only}"  # noqa: S608 - a constant
            " ORDER BY last_seen DESC, topic, digest LIMIT :most",
            {"most": limit} | ({"reason": reason} if reason is not None else {}),
        )
        for last_seen, topic, why, detail, times in rows:
            yield moment(last_seen), topic, why, detail, int(times)

    def corrections(self) -> list[Correction]:
        """Return every correction that was ever entered, in order; none where the store has no table for them yet."""
        if self.version < 2:  # noqa: PLR2004 - the version that brought them
            return []
        rows = self._stream(
            "SELECT id, made, who, why, action, site, camera, since, until, value, revokes FROM corrections"
            " ORDER BY id",
            {},
        )
        return [
            Correction(
                int(number), moment(made), who, why, action, site, camera,
                None if since is None else moment(since), None if until is None else moment(until), value, revokes,
            )
            for number, made, who, why, action, site, camera, since, until, value, revokes in rows
        ]  # fmt: skip

    def alerts(self, channel: str) -> dict[Alerting, datetime]:
        """Return what *channel* was last told is wrong, and since when; nothing of a store without a table for it."""
        if self.version < _DAYS_SINCE:
            return {}
        rows = self._fetch(
            "SELECT site, camera, kind, since FROM alerts WHERE channel = :channel", {"channel": channel}
        )
        return {(site, camera, kind): moment(since) for site, camera, kind, since in rows}


def _of(sites: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return the SQL that holds for the hours of *sites*, or for all if there are none, and its values."""
    names = {f"site{number}": site for number, site in enumerate(sites)}
    return f"site IN ({', '.join(f':{name}' for name in names)})" if names else "true", names


def moment(value: int | datetime) -> datetime:
    """Return a moment as a database keeps it as UTC."""
    return value.astimezone(UTC) if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)


def _day(value: str | date) -> date:
    return date.fromisoformat(value) if isinstance(value, str) else value


def parsed(value: Any) -> Any:
    """Return what a JSON column holds."""
    return json.loads(value) if isinstance(value, str) else value


def _hour(row: Sequence[Any]) -> Hour:
    """Return the hour of a row; it was valid when it was stored, and isn't validated again."""
    site, camera, start, end, zone, revision, in_, out, watched_s, flags, lines, software, model = row
    return Hour.model_construct(
        version=SCHEMA,
        site=site,
        camera=camera,
        start=moment(start),
        end=moment(end),
        timezone=zone,
        revision=revision,
        lines={
            name: LineCount.model_construct(in_=count["in"], out=count["out"]) for name, count in parsed(lines).items()
        },
        in_=in_,
        out=out,
        watched_s=watched_s,
        flags=tuple(parsed(flags)),
        software=software,
        model=model,
    )
