"""
The tables of a store, and how a store of an earlier release gets those that are new. Only additions: a column or row
that is there stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

VERSION = 3
"""
Version of the tables. 1: hours, statuses, sessions, quarantine. 2: corrections, sites, an index on `start`. 3: alerts,
days.
"""

_FIRST = (
    """
    CREATE TABLE IF NOT EXISTS hours (
        site TEXT NOT NULL, camera TEXT NOT NULL, start {moment} NOT NULL, "end" {moment} NOT NULL,
        timezone TEXT NOT NULL, revision INTEGER NOT NULL, "in" INTEGER NOT NULL, out INTEGER NOT NULL,
        watched_s INTEGER NOT NULL, flags {json} NOT NULL, lines {json} NOT NULL,
        software TEXT NOT NULL, model TEXT NOT NULL,
        PRIMARY KEY (site, camera, start)
    ){in_order}""",
    """
    CREATE TABLE IF NOT EXISTS statuses (
        site TEXT NOT NULL, camera TEXT NOT NULL, status TEXT NOT NULL, since {moment} NOT NULL,
        PRIMARY KEY (site, camera)
    )""",
    """
    CREATE TABLE IF NOT EXISTS sessions (
        broker TEXT NOT NULL, name TEXT NOT NULL, client_id TEXT NOT NULL, since {moment} NOT NULL,
        PRIMARY KEY (broker, name)
    )""",
    """
    CREATE TABLE IF NOT EXISTS quarantine (
        topic TEXT NOT NULL, digest TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, size INTEGER NOT NULL,
        payload {bytes} NOT NULL, times INTEGER NOT NULL, first_seen {moment} NOT NULL, last_seen {moment} NOT NULL,
        PRIMARY KEY (topic, digest)
    )""",
)

_SECOND = (
    "CREATE INDEX IF NOT EXISTS hours_by_start ON hours (start)",
    # What people know better than a camera. Rows are added, and never changed or deleted: triggers see to it.
    """
    CREATE TABLE IF NOT EXISTS corrections (
        id {identity}, made {moment} NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL, action TEXT NOT NULL,
        site TEXT NOT NULL, camera TEXT NOT NULL, since {moment}, until {moment}, value TEXT NOT NULL, revokes INTEGER
    )""",
    # sites.yaml, for those who read by SQL.
    """
    CREATE TABLE IF NOT EXISTS sites (
        site TEXT NOT NULL, camera TEXT NOT NULL, site_name TEXT NOT NULL, camera_name TEXT, region TEXT,
        area_m2 REAL, passages {json} NOT NULL, PRIMARY KEY (site, camera)
    )""",
)

_THIRD = (
    # What each channel was last told is wrong; `store` is no channel, but what is wrong now.
    """
    CREATE TABLE IF NOT EXISTS alerts (
        channel TEXT NOT NULL, site TEXT NOT NULL, camera TEXT NOT NULL, kind TEXT NOT NULL, since {moment} NOT NULL,
        PRIMARY KEY (channel, site, camera, kind)
    )""",
    # What is left of hours that are older than `footfall retain` keeps: a row for each camera and local day, under the
    # names that reports showed, with the corrections that held. `in`, `out` and `lines` are sums of counted hours.
    """
    CREATE TABLE IF NOT EXISTS days (
        site TEXT NOT NULL, camera TEXT NOT NULL, day {day} NOT NULL, timezone TEXT NOT NULL, "in" INTEGER NOT NULL,
        out INTEGER NOT NULL, lines {json} NOT NULL, open_hours INTEGER NOT NULL, good_hours INTEGER NOT NULL,
        counted_hours INTEGER NOT NULL, watched_s INTEGER NOT NULL, flags {json} NOT NULL,
        PRIMARY KEY (site, camera, day)
    )""",
)
_BY_VERSION = (_FIRST, _SECOND, _THIRD)


def statements(known: int, types: Mapping[str, str], last: Sequence[str]) -> list[str]:
    """
    Return what makes the tables of this version from those of version *known*; nothing if they are there.

    Args:
        known: Version of the store; 0 of an empty one.
        types: This database's types: moment, day, json, bytes, identity; in_order: what keeps rows in a key's order.
        last: What this database alone gets, once the tables are there: its triggers and views.
    """
    made = [statement.format(**types) for new in _BY_VERSION[known:] for statement in new]
    return [*made, *last] if made else []
