"""
A ledger that its own publisher may have made to harm whoever reads it, as root does for `privacy`, `status`, `counts`.

A captured publisher writes any file it likes: a pipe that never answers, a link to another file, a view in the place of
a table that goes on for ever. So the file must be one, its tables must be tables, what they hold is of our types, and
all of the reading has a deadline.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from pathlib import Path

from edge.core.errors import LedgerUnusable

_DEADLINE_S = 20.0
"""Seconds that reading may take altogether; the largest ledger of a box, two years of eight cameras, takes two."""
_STEPS = 10_000
"""SQLite's own steps between two looks at the clock."""
_LONGEST = 1_000_000
"""Bytes of one value."""


def connect(path: Path) -> sqlite3.Connection:
    """
    Open the ledger at *path* read-only.

    Raises:
        LedgerUnusable: it is no file of its own, or holds what no ledger of ours has.
        sqlite3.Error: SQLite can't read it.
    """
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise LedgerUnusable(path, "it is no ordinary file")
    except OSError as exc:
        if isinstance(exc, LedgerUnusable):
            raise
        raise LedgerUnusable(path, exc.strerror or str(exc)) from exc
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_DEADLINE_S)
    try:
        _restrain(connection)
        _refuse_foreign(path, connection)
    except BaseException:
        connection.close()
        raise
    return connection


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
