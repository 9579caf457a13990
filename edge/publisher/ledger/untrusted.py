"""
A ledger that its own publisher may have made to harm whoever reads it, as root does for `privacy`, `status`, `counts`.

A captured publisher writes any file it likes: a pipe that never answers, a link to another file, a view in the place of
a table that goes on for ever. So the file must be one, its tables must be tables, what they hold is of our types, and
all of the reading has a deadline.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from edge.core.errors import LedgerUnusable
from edge.publisher.ledger import file

_DEADLINE_S = 20.0
"""Seconds that reading may take altogether; the largest ledger of a box, two years of eight cameras, takes two."""
_STEPS = 10_000
"""SQLite's own steps between two looks at the clock."""
_LONGEST = 1_000_000
"""Bytes of one value."""


@contextlib.contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """
    Open the ledger at *path* for reading.

    Raises:
        LedgerUnusable: it is no file of its own, or holds what no ledger of ours has.
        sqlite3.Error: SQLite can't read it.
    """
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        _refuse_other_than_file(path, name)
    with file.connected_for_reading(path) as connection:
        _restrain(connection)
        _refuse_foreign(path, connection)
        yield connection


def _refuse_other_than_file(path: Path, name: Path) -> None:
    try:
        if not stat.S_ISREG(os.lstat(name).st_mode):
            raise LedgerUnusable(path, f"{name.name} is no ordinary file")
    except FileNotFoundError:
        if name == path:
            raise LedgerUnusable(path, "it isn't there") from None
    except OSError as exc:
        if isinstance(exc, LedgerUnusable):
            raise
        raise LedgerUnusable(path, exc.strerror or str(exc)) from exc


def _refuse_foreign(path: Path, connection: sqlite3.Connection) -> None:
    foreign = connection.execute(
        "SELECT count(*) FROM sqlite_schema WHERE type NOT IN ('table', 'index')"
        " OR (type = 'table' AND (rootpage = 0 OR sql NOT LIKE 'CREATE TABLE %'))"
    ).fetchone()[0]
    if foreign:
        raise LedgerUnusable(path, "it holds views, triggers or tables that no ledger of ours has")


def _restrain(connection: sqlite3.Connection) -> None:
    """Let nothing in the file run functions, read other files, or take for ever."""
    until_s = time.monotonic() + _DEADLINE_S
    connection.set_progress_handler(lambda: time.monotonic() > until_s, _STEPS)
    connection.text_factory = lambda raw: raw.decode(errors="replace")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
        connection.execute(f"PRAGMA {pragma}")
