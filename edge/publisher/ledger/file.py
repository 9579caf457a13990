"""
The ledger's file: its tables, and how one is opened that can be relied on.

A file that is corrupt, of a newer generation than this program or no ledger at all is renamed, with what stands beside
it, and never deleted: somebody may still read it.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edge.core.errors import LedgerFull, LedgerUnusable

log = logging.getLogger(__name__)

MIGRATIONS = (
    """
    CREATE TABLE boots (
        id INTEGER PRIMARY KEY,
        boot_id TEXT NOT NULL UNIQUE,
        offset_ms INTEGER,               -- wall time less boot time; NULL: this boot never saw a synchronised clock
        pruned_ms INTEGER NOT NULL DEFAULT 0  -- boot time up to which readings were thrown away
    ) STRICT;
    CREATE TABLE streams (               -- one line's odometer through one run of vision
        id INTEGER PRIMARY KEY,
        boot INTEGER NOT NULL REFERENCES boots (id),
        camera TEXT NOT NULL,
        run INTEGER NOT NULL,
        line TEXT NOT NULL,
        from_zero INTEGER NOT NULL,      -- 0: what the first reading says was counted before this ledger began
        restarted INTEGER NOT NULL,      -- 1: the camera has had a run before this one
        UNIQUE (boot, camera, run, line)
    ) STRICT;
    CREATE TABLE readings (
        stream INTEGER NOT NULL REFERENCES streams (id),
        sequence INTEGER NOT NULL,
        boot_ms INTEGER NOT NULL,
        in_ INTEGER NOT NULL,
        out INTEGER NOT NULL,
        watched_ms INTEGER NOT NULL,
        frames INTEGER NOT NULL,
        flags INTEGER NOT NULL,
        PRIMARY KEY (stream, sequence)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE hours (
        camera TEXT NOT NULL,
        start_ms INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        end_ms INTEGER NOT NULL,
        payload BLOB NOT NULL,           -- the message, byte for byte
        closed_ms INTEGER NOT NULL,      -- wall time of the last look at it; before its end: the clock was wrong then
        delivered_ms INTEGER,            -- wall time of the broker's acknowledgement
        PRIMARY KEY (camera, start_ms, revision)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX outbox ON hours (camera, start_ms, revision) WHERE delivered_ms IS NULL;
    CREATE TABLE origin (                -- one row: how this file began
        replaced INTEGER NOT NULL,       -- 1: it took the place of one that could not be used
        boot_id TEXT NOT NULL,
        boot_ms INTEGER NOT NULL
    ) STRICT;
    """,
    """
    -- 1: its readings were thrown away
    ALTER TABLE hours ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;
    -- boot time up to which that is noted; less than pruned_ms where a release that doesn't know of it has thrown away
    ALTER TABLE boots ADD COLUMN settled_ms INTEGER NOT NULL DEFAULT 0;
    """,
)
"""
Each runs in one transaction, with the note that it ran (`user_version`).

A box that goes back to an older program must find its ledger: a migration only adds tables, columns with a default and
indices, and every INSERT names its columns. What an older program couldn't live with begins a new generation.
"""

_GENERATION = 100
"""Versions of one generation, 1 to 99, use each other's ledgers."""

APPLICATION_ID = 0x464F4F54

RESERVE_BYTES = 1_572_864
"""Room that is kept beside the ledger for a start on a full disk, bytes: SQLite's shared memory (32 KiB), and a
write-ahead log of 1,000 pages of 1,048 bytes."""
_LITTLE_ROOM = 65_536
"""With less free room than this an error of SQLite's about a file is called a full disk, bytes."""

_BESIDE = ("", "-wal", "-shm")
_NO_SHARED_MEMORY = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)
"""What SQLite says where it can't make its shared memory."""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""What SQLite says of a file that is no sound ledger."""
_MEMORY = "/dev/shm"  # noqa: S108 - a folder of nobody else's name is made in it


def open_sound(path: Path) -> tuple[sqlite3.Connection, bool, bool]:
    """
    Open the ledger at *path*, or a new one if there is none or it can't be relied on.

    Returns:
        The connection; whether the file is new; whether it took the place of one that was set aside.

    Raises:
        LedgerFull: there is no room on its disk.
        LedgerUnusable: the file can't be opened or written.
    """
    try:
        connection, fault = _try(path)
        if fault is not None:
            connection.close()
            log.error("ledger %s %s; set aside as %s, and a new one begun", path, fault, _set_aside(path))
            connection, _ = _try(path)
        begun: bool = connection.execute("PRAGMA user_version").fetchone()[0] == 0
    except (sqlite3.Error, OSError) as exc:
        raise unusable(path, exc) from exc
    # Also when the one before this died right after it had set the file aside.
    return connection, begun, any(path.parent.glob(f"{path.name}.aside-*"))


@contextlib.contextmanager
def connected_for_reading(path: Path) -> Iterator[sqlite3.Connection]:
    """
    Connect to the ledger for reading, also where nothing can be written beside it.

    SQLite reads a write-ahead log by way of shared memory, a file that the first who opens the ledger makes. On a card
    that is mounted read-only, and on a full disk, it can't be made. Then nobody writes the ledger either, as that would
    need it too: a ledger without a log can be read as it stands, and one with a log is copied into memory.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(contextlib.closing(sqlite3.connect(uri, uri=True)))
        try:
            connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.OperationalError as exc:
            if _plain_code(exc) not in _NO_SHARED_MEMORY:
                raise
            connection.close()
            wal = Path(f"{path}-wal")
            if wal.exists() and wal.stat().st_size:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="footfall-", dir=_MEMORY)))
                for source in (path, wal):
                    shutil.copyfile(source, folder / source.name)
                uri = f"{(folder / path.name).as_uri()}?mode=rw"
            else:
                uri += "&immutable=1"
            connection = stack.enter_context(contextlib.closing(sqlite3.connect(uri, uri=True)))
        yield connection


def copied_into_memory(path: Path) -> sqlite3.Connection:
    """
    Return a copy of the ledger at *path* in memory, for its one publisher; an empty one if the file can't be relied on.

    It needs no room: the write-ahead log's index is on the heap, as nobody else has the file open. Nothing of the
    ledger is changed but that its log may be written into it.

    Raises:
        LedgerUnusable: the file can't be read.
    """
    memory = sqlite3.connect(":memory:", isolation_level=None)
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as source:
            source.execute("PRAGMA locking_mode = EXCLUSIVE")
            if fault(source) is None:
                source.backup(memory)
    except sqlite3.Error as exc:
        if path.exists() and _plain_code(exc) not in _DAMAGED:
            memory.close()
            raise LedgerUnusable(path, str(exc)) from exc
    return memory


def _plain_code(exc: sqlite3.Error) -> int:
    """Return SQLite's code without what extends it, which is in the higher bytes; 0 if SQLite gave none."""
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF


def unusable(path: Path, exc: sqlite3.Error | OSError) -> LedgerUnusable:
    """Return *exc* as an error of ours, which names a full disk."""
    if isinstance(exc, OSError):
        full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
    else:
        # That there is no room for the shared memory is told as a failed read or a file that can't be opened.
        plain = _plain_code(exc)
        vague = plain in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
        full = plain == sqlite3.SQLITE_FULL or (vague and has_little_room(path))
    cause = (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
    return LedgerFull(path) if full else LedgerUnusable(path, cause)


def has_little_room(path: Path) -> bool:
    """Tell whether the disk of the ledger at *path* has too little room to open one."""
    return _free_bytes(path) < _LITTLE_ROOM


def _free_bytes(path: Path) -> int:
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return _LITTLE_ROOM
    return disk.f_bavail * disk.f_frsize


def keep_reserve(path: Path) -> None:
    """Set room aside beside the ledger at *path*, if there is none yet and the disk has as much left again."""
    reserve = _reserve(path)
    if reserve.exists() or _free_bytes(path) < 2 * RESERVE_BYTES:
        return
    new = Path(f"{reserve}.new")
    # Without a reserve a start on a full disk is from a copy in memory.
    with contextlib.suppress(OSError):
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
        finally:
            os.close(descriptor)
        new.replace(reserve)


def use_reserve(path: Path) -> bool:
    """Free the room that was set aside beside the ledger at *path*; return whether there was any."""
    try:
        _reserve(path).unlink()
    except OSError:
        return False
    return True


def _reserve(path: Path) -> Path:
    return Path(f"{path}.reserve")


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables up to date, inside the caller's transaction."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        for statement in script.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number}")


def _try(path: Path) -> tuple[sqlite3.Connection, str | None]:
    """Return a connection to the file, and what is wrong with the file."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    try:
        # Small pages: a reading is 40 bytes, and each commit writes whole pages.
        connection.execute("PRAGMA page_size = 1024")
        if (found := fault(connection)) is None:
            connection.execute("PRAGMA journal_mode = WAL")
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.DatabaseError as exc:
        if _plain_code(exc) not in _DAMAGED:
            connection.close()
            raise
        found = f"is damaged ({exc})"
    return connection, found


def fault(connection: sqlite3.Connection) -> str | None:
    """Return what makes the file unusable for us; None if nothing does."""
    check: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if check != "ok":
        return f"is damaged ({check})"
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if tables and application != APPLICATION_ID:
        return "is no ledger of ours"
    if of_newer_generation(version):
        return f"is of version {version}, newer than this program's {len(MIGRATIONS)}"
    return None


def of_newer_generation(version: int) -> bool:
    """Tell whether a ledger of this version can't be used by this program, because a later one changed too much."""
    return version // _GENERATION > len(MIGRATIONS) // _GENERATION


def _set_aside(path: Path) -> Path:
    """Rename the file and what stands beside it; return the new name."""
    number = 1
    while any(Path(f"{path}.aside-{number}{end}").exists() for end in _BESIDE):
        number += 1
    aside = Path(f"{path}.aside-{number}")
    for end in _BESIDE:
        beside = Path(f"{path}{end}")
        if beside.exists():
            beside.rename(f"{aside}{end}")
    return aside
