"""
Roles of PostgreSQL: a writer that can do what `collect` needs and nothing else, and a reader that changes nothing.

The role that owns the tables does the rest: `correct`, `alert`, `retain`, and making the tables of a new release.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from edge.core.errors import HEADQUARTERS_EXTRA, ConfigError, ExtraMissing
from edge.headquarters.errors import StoreUnusable

try:
    import psycopg
    from psycopg import sql
except ImportError as exc:
    raise ExtraMissing("PostgreSQL's client", HEADQUARTERS_EXTRA) from exc

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

WRITER: Mapping[str, str] = {
    "footfall_store": "SELECT",
    "hours": "SELECT, INSERT, UPDATE",
    "statuses": "SELECT, INSERT, UPDATE",
    "sessions": "SELECT, INSERT, UPDATE, DELETE",
    "quarantine": "SELECT, INSERT, UPDATE, DELETE",
    "sites": "SELECT, INSERT, DELETE",
}
"""Rights by table. It deletes no hour, and neither sees nor makes a correction."""
READER: Mapping[str, str] = dict.fromkeys(
    (
        "footfall_store", "hours", "days", "statuses", "corrections", "sites", "alerts", "footfall_hours",
        "footfall_days", "footfall_corrections", "footfall_cameras", "footfall_alerts",
    ),
    "SELECT",
)  # fmt: skip
"""Rights by table and view. It sees no session, whose client id nobody else should know, and no quarantine, in which
there is whatever anybody sent."""
_READERS_SETTINGS = ("SET default_transaction_read_only = on", "SET jit = off")
"""To compile the views' expressions takes longer than they run."""


def grant(url: str, writer: str | None, reader: str | None) -> Iterator[str]:
    """
    Make the roles, or set the rights of those that are there anew; yield a line about each.

    Raises:
        ConfigError: a name can't be a role's, or the role is one that may do everything.
        StoreUnusable: the database refuses it.
    """
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            for name, rights, settings in ((writer, WRITER, ()), (reader, READER, _READERS_SETTINGS)):
                if name is not None:
                    yield _set(connection, name, rights, settings)
    except psycopg.Error as exc:
        said = (str(exc).splitlines() or [type(exc).__name__])[0]
        raise StoreUnusable(re.sub(r"(://[^:/@]*):[^@]*@", r"\1@", url), said) from exc


def _set(connection: psycopg.Connection[Any], name: str, rights: Mapping[str, str], settings: tuple[str, ...]) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError("roles", [f'"{name}" is no name for a role: lower-case letters, digits, _'])
    found = connection.execute(
        "SELECT rolsuper OR rolname = current_user OR EXISTS (SELECT 1 FROM pg_tables WHERE tableowner = rolname)"
        " FROM pg_roles WHERE rolname = %s",
        [name],
    ).fetchone()
    if found is not None and found[0]:
        raise ConfigError("roles", [f"{name} owns tables or may do everything; give another name"])
    role = sql.Identifier(name)

    def run(statement: str, **parts: sql.Composable) -> None:
        connection.execute(sql.SQL(statement).format(role=role, **parts))

    if found is None:
        run("CREATE ROLE {role} LOGIN")
    ((schema, database),) = connection.execute("SELECT current_schema(), current_database()").fetchall()
    place = sql.Identifier(schema)
    # Before PostgreSQL 15 everybody may make tables in `public`.
    run("REVOKE CREATE ON SCHEMA {place} FROM PUBLIC", place=place)
    run("REVOKE ALL ON ALL TABLES IN SCHEMA {place} FROM {role}", place=place)
    run("REVOKE CREATE ON SCHEMA {place} FROM {role}", place=place)
    run("GRANT CONNECT ON DATABASE {database} TO {role}", database=sql.Identifier(database))
    run("GRANT USAGE ON SCHEMA {place} TO {role}", place=place)
    for table, what in rights.items():
        run("GRANT {what} ON {table} TO {role}", what=sql.SQL(what), table=sql.Identifier(table))
    for setting in settings:
        run("ALTER ROLE {role} {setting}", setting=sql.SQL(setting))
    is_new = "made" if found is None else "set anew"
    return f"{name}: {is_new}; give it a password with \\password {name} in psql, or let it in by peer"
