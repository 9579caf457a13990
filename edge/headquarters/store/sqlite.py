"""The store in an SQLite file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from edge.headquarters.errors import StoreUnusable
from edge.headquarters.store.reader import Reader
from edge.headquarters.store.store import Store, Unstorable, refuse_newer

_RETRY_S = 0.05
"""Time between two tries to switch a file that is locked to write-ahead logging, s."""
_MOST_TRIES = 600
"""Tries to switch a file that is locked to write-ahead logging; together half a minute."""
_TYPES = {
    "moment": "INTEGER",
    "day": "TEXT",
    "json": "TEXT",
    "bytes": "BLOB",
    "identity": "INTEGER PRIMARY KEY",
    # Hours come by time and are read by camera: in the key's order a report reads one camera's rows from few pages.
    # Measured with a year of 100 cameras, stored hour by hour: 1.7 us of CPU a row in place of 4.6.
    "in_order": " WITHOUT ROWID",
}
_TRIGGERS = tuple(
    f"CREATE TRIGGER IF NOT EXISTS corrections_no_{what.lower()} BEFORE {what} ON corrections BEGIN"
    " SELECT RAISE(ABORT, 'a correction is never changed or deleted; enter another that revokes it'); END"
    for what in ("UPDATE", "DELETE")
)


class SqliteReader(Reader):
    """A file that is only read, by whoever may read it: nothing is made, changed or locked."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        if not path.is_file():
            raise StoreUnusable(self.name, "there is no such file", "look at --store; `footfall collect` makes one")
        # Without write-ahead files nobody writes, and a folder that can't be written may hold none.
        is_still = not path.with_name(f"{path.name}-wal").exists() and not os.access(path.parent, os.W_OK)
        address = f"{path.absolute().as_uri()}?mode=ro" + ("&immutable=1" if is_still else "")
        try:
            self._connection = sqlite3.connect(address, uri=True, timeout=30, isolation_level=None)
        except sqlite3.Error as exc:
            raise StoreUnusable(self.name, str(exc)) from exc
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self.close)
            self.version = self._version()
            refuse_newer(self.name, self.version)
            on_failure.pop_all()

    def _version(self) -> int:
        try:
            found = self._connection.execute("SELECT version FROM footfall_store").fetchone()
        except sqlite3.OperationalError as exc:
            cause = "it is no store of hours" if "no such table" in str(exc) else str(exc)
            raise StoreUnusable(self.name, cause) from exc
        except sqlite3.Error as exc:
            raise StoreUnusable(self.name, str(exc)) from exc
        return 0 if found is None else int(found[0])

    def close(self) -> None:
        """Let go of it."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def _stream(self, statement: str, values: Mapping[str, object]) -> Iterator[Sequence[Any]]:
        try:
            yield from self._connection.execute(statement, values)
        except sqlite3.Error as exc:
            raise StoreUnusable(self.name, str(exc)) from exc

    def _fetch(self, statement: str, values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as exc:
            raise StoreUnusable(self.name, str(exc)) from exc

    def _instant(self, moment: datetime) -> int:
        return int(moment.timestamp())

    def _seconds(self, column: str) -> str:
        return column


class SqliteStore(SqliteReader, Store):
    """A file; as many collectors as run on its machine."""

    def __init__(self, path: Path) -> None:
        Store.__init__(self, str(path))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # What shops count is the chain's own business: not every account on the machine reads it.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o640))
            self._connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        except (OSError, sqlite3.Error) as exc:
            raise StoreUnusable(self.name, str(exc)) from exc
        try:
            self._write_ahead()
            self._connection.execute("PRAGMA synchronous=FULL")
            self._begin(_TYPES, _TRIGGERS)
        except sqlite3.Error as exc:
            self.close()
            raise StoreUnusable(self.name, str(exc)) from exc
        except StoreUnusable:
            self.close()
            raise

    def _write_ahead(self) -> None:
        """Readers and writers at once; two that ask for it together get `locked` instead of waiting."""
        for last in (False,) * _MOST_TRIES + (True,):
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as exc:
                if last or exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                time.sleep(_RETRY_S)
            else:
                return

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

    def _lock_tables(self) -> None:
        """Do nothing: BEGIN IMMEDIATE has locked the file."""

    def _run(self, statement: str, values: Mapping[str, object] | None = None) -> Any:
        return self._connection.execute(statement, values or {})
