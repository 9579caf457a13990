"""The store on a PostgreSQL server. Its client, psycopg, is in the extra `headquarters`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from edge.core.errors import HEADQUARTERS_EXTRA, ExtraMissing
from edge.headquarters.errors import StoreUnusable
from edge.headquarters.store.reader import Reader
from edge.headquarters.store.store import Store, Unstorable, refuse_newer
from edge.headquarters.store.tables import VERSION
from edge.headquarters.store.views import INDEX, VIEWS

try:
    import psycopg
except ImportError as exc:
    raise ExtraMissing("PostgreSQL's client", HEADQUARTERS_EXTRA) from exc


_TYPES = {
    "moment": "TIMESTAMPTZ",
    "day": "DATE",
    "json": "JSONB",
    "bytes": "BYTEA",
    "identity": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "in_order": "",
}
_TRIGGERS = (
    """
    CREATE OR REPLACE FUNCTION footfall_keep_corrections() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'a correction is never changed or deleted; enter another that revokes it';
    END $$
    """,
    "DROP TRIGGER IF EXISTS corrections_are_kept ON corrections",
    """
    CREATE TRIGGER corrections_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON corrections
    EXECUTE FUNCTION footfall_keep_corrections()
    """,
)


class PostgresReader(Reader):
    """A server's database that is only read; a role that may do no more is enough."""

    def __init__(self, url: str) -> None:
        super().__init__(re.sub(r"(://[^:/@]*):[^@]*@", r"\1@", url))
        self._url = url
        self._connection: Any = None
        self._connect()

    def close(self) -> None:
        """Let go of it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> None:
        try:
            self._connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=10,
                # A server that has vanished is noticed within half a minute.
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
            )
            self._connection.execute("SET timezone TO 'UTC'")
            self._set_up()
        except psycopg.errors.UndefinedTable as exc:
            self.close()
            raise StoreUnusable(self.name, "it is no store of hours; `footfall collect` makes one") from exc
        except psycopg.Error as exc:
            self.close()
            raise StoreUnusable(self.name, _first_line(exc)) from exc
        except StoreUnusable:
            self.close()
            raise

    def _set_up(self) -> None:
        """Look at the tables; may raise psycopg's errors."""
        self._connection.execute("SET default_transaction_read_only TO on")
        found = self._connection.execute("SELECT version FROM footfall_store").fetchone()
        self.version = 0 if found is None else int(found[0])
        refuse_newer(self.name, self.version)

    def _stream(self, statement: str, values: Mapping[str, object]) -> Iterator[Sequence[Any]]:
        if self._connection is None or self._connection.closed:
            self._connect()
        try:
            with self._connection.transaction(), self._connection.cursor(name="footfall") as cursor:
                cursor.itersize = 5_000
                yield from cursor.execute(_pyformat(statement), values)
        except psycopg.Error as exc:
            raise StoreUnusable(self.name, _first_line(exc)) from exc

    def _fetch(self, statement: str, values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        if self._connection is None or self._connection.closed:
            self._connect()
        try:
            found: Sequence[Sequence[Any]] = self._connection.execute(_pyformat(statement), values).fetchall()
        except psycopg.Error as exc:
            raise StoreUnusable(self.name, _first_line(exc)) from exc
        return found

    def _instant(self, moment: datetime) -> datetime:
        return moment

    def _seconds(self, column: str) -> str:
        return f"CAST(extract(epoch FROM {column}) AS bigint)"


class PostgresStore(PostgresReader, Store):
    """A server; as many collectors as it takes."""

    def _set_up(self) -> None:
        # A cluster may have been set up to acknowledge before it has written.
        self._connection.execute("SET synchronous_commit TO on")
        # A role that only writes hours may make no tables; it finds them made.
        found = self._connection.execute("SELECT to_regclass('footfall_store')").fetchone()
        if found[0] is not None:
            ((self.version,),) = self._connection.execute("SELECT coalesce(max(version), 0) FROM footfall_store")
            if self.version == VERSION:
                return
        self._begin(_TYPES, (*_TRIGGERS, INDEX, *VIEWS))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        if self._connection is None or self._connection.closed:
            self._connect()
        try:
            with self._connection.transaction():
                yield
        except (psycopg.DataError, psycopg.IntegrityError, UnicodeEncodeError) as exc:
            raise Unstorable(_first_line(exc)) from exc
        except psycopg.Error as exc:
            if self._connection.broken:
                self.close()
            raise StoreUnusable(self.name, _first_line(exc)) from exc

    def _run(self, statement: str, values: Mapping[str, object] | None = None) -> Any:
        return self._connection.execute(_pyformat(statement), values)

    def _lock_tables(self) -> None:
        self._run("SELECT pg_advisory_xact_lock(70117)")


def _pyformat(statement: str) -> str:
    statement = statement.replace("LIMIT -1", "LIMIT ALL")
    return re.sub(r":([a-z_0-9]+)", r"%(\1)s", statement)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
