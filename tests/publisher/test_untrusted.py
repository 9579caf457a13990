"""A ledger that a captured publisher has made up does no harm to whoever reads it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from edge.core.errors import LedgerUnusable
from edge.publisher.ledger import untrusted
from edge.publisher.ledger.ledger import Ledger
from edge.publisher.ledger.view import LedgerView

ENDLESS = (
    "CREATE VIEW hours AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
    " SELECT 'door' AS camera, i AS start_ms, i AS revision, i AS end_ms, x'00' AS payload, i AS closed_ms,"
    " i AS delivered_ms FROM n"
)


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite"
    Ledger(path, "boot", 0).close()
    return path


@pytest.mark.parametrize(
    "harm", ["DROP TABLE hours; " + ENDLESS, "CREATE TRIGGER t AFTER INSERT ON hours BEGIN SELECT 1; END"]
)
def test_what_no_ledger_has(path: Path, harm: str) -> None:
    """A view in the place of a table, which may have no end, or a trigger, makes it no ledger."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as ledger:
        ledger.executescript(harm)

    with pytest.raises(LedgerUnusable, match="no ledger of ours has"), LedgerView.opened(path):
        pass


@pytest.mark.parametrize("row", ["text", 1, b"bytes, but the time isn't one"])
def test_a_row_of_another_type(path: Path, row: object) -> None:
    """A value that a publisher of ours never writes is told as a fault of the ledger, not as one of this program."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as ledger:
        ledger.execute("ALTER TABLE hours RENAME TO old")
        ledger.execute(
            "CREATE TABLE hours (camera, start_ms, revision, end_ms, payload, closed_ms, delivered_ms, settled)"
        )
        ledger.execute("INSERT INTO hours VALUES ('door', 1e300, 1, 1, ?, 1, NULL, 0)", (row,))

    with LedgerView.opened(path) as view, pytest.raises(LedgerUnusable, match="no publisher of ours writes"):
        view.outbox("door", 10)


def test_no_file_of_its_own(path: Path, tmp_path: Path) -> None:
    """A pipe, which would never answer, and a link to somebody else's file are not opened."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(path)

    for name in ("pipe", "link"):
        with pytest.raises(LedgerUnusable, match="no ordinary file"):
            untrusted.connected(tmp_path / name).__enter__()


def test_text_that_is_none(path: Path) -> None:
    """Bytes that aren't UTF-8 are read as such, and don't end the program."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as ledger:
        ledger.execute("INSERT INTO boots (boot_id) VALUES (CAST(x'ff1b' AS TEXT))")
        ledger.execute("INSERT INTO streams VALUES (1, 2, 'door', 1, 'line', 1, 0)")
        ledger.execute("INSERT INTO readings VALUES (1, 1, 1, 1, 1, 1, 1, 0)")

    with LedgerView.opened(path) as view:
        pace = view.pace("door")

    assert pace is not None
    assert pace.boot_id == "\ufffd\x1b"
