"""The store in an SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from edge.core.errors import StoreUnusable
from edge.headquarters.store.store import Store, Unstorable

_RETRY_S = 0.05
"""Time between two tries to switch a file that is locked to write-ahead logging, s."""
_MOST_TRIES = 600
"""Tries to switch a file that is locked to write-ahead logging; together half a minute."""


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
        for last in (False,) * _MOST_TRIES + (True,):
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as exc:
                if last or exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                time.sleep(_RETRY_S)
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
