"""
What the update script on a box asks of a ledger, whatever version it is of: the release that asks may be newer than the
one that writes.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from edge.publisher.ledger import file


def newest_readings(path: Path) -> list[tuple[str, int, int]]:
    """
    Return camera, stream and sequence of each camera's newest reading; a run of vision that is new is a new stream.

    Raises:
        LedgerUnusable: the ledger can't be read.
    """
    try:
        with file.connected_for_reading(path) as connection:
            return connection.execute(
                "SELECT s.camera, s.id, max(r.sequence) FROM readings r JOIN streams s ON s.id = r.stream"
                " WHERE s.id IN (SELECT max(id) FROM streams GROUP BY camera) GROUP BY s.id"
            ).fetchall()
    except sqlite3.Error as exc:
        raise file.unusable(path, exc) from exc


def copy(path: Path, to: Path) -> None:
    """
    Write a copy of the whole ledger, as it is now, to *to*, in one rename.

    Raises:
        LedgerUnusable: the ledger can't be read, or the copy can't be written.
    """
    new = Path(f"{to}.new")
    try:
        new.unlink(missing_ok=True)
        with file.connected_for_reading(path) as connection, contextlib.closing(sqlite3.connect(new)) as target:
            connection.backup(target)
        new.replace(to)
    except (sqlite3.Error, OSError) as exc:
        raise file.unusable(to, exc) from exc
