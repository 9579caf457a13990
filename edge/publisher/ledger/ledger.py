"""
The only state on disk: readings of the odometers, and the hours made from them, which are also the outbox. SQLite only.

An hour's row is done when the broker has acknowledged it; until then it stays. Nothing here knows a broker or a pipe,
and nothing here asks a clock.

Each commit is forced to the disk (`synchronous=FULL`, ADR 63): a power cut takes the readings since the last beat, no
others; and a revision that headquarters has seen is still known after it, or the next one would carry its number.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from edge.core.errors import LedgerBusy, LedgerFull, LedgerUnusable
from edge.core.hour import Hour
from edge.core.tally import Flag, Tally, line_key
from edge.publisher.ledger import file
from edge.publisher.ledger.view import LedgerView, Row

__all__ = ["Ledger", "Row"]

log = logging.getLogger(__name__)


class Ledger(LedgerView):
    """
    The open ledger, for writing; one process at a time.

    Where its disk is full from the start, and no reserve is left, a copy in memory stands for it (ADR 120): what waits
    in it can be sent, and nothing can be written until there is room.

    Args:
        path: Its file; `-wal`, `-shm` and `.lock` stand beside it.
        boot_id: Which boot this is.
        boot_ms: Boot time now.

    Raises:
        LedgerBusy: another publisher holds it.
        LedgerUnusable: it can't be opened or written. One that is corrupt, newer than this program or no ledger at all
            is set aside under another name instead, and a new one begun.
    """

    def __init__(self, path: Path, boot_id: str, boot_ms: int) -> None:
        self.commits = 0
        """Transactions since it was opened."""
        self._reopen: Callable[[], None] | None = None
        """How to open the file, while a copy in memory stands for it."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise file.unusable(path, exc) from exc
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            os.close(self._lock)
            raise LedgerBusy(path) from exc
        try:
            try:
                self._open(path, boot_id, boot_ms)
            except LedgerFull:
                self._open_on_a_full_disk(path, boot_id, boot_ms)
        except LedgerUnusable:
            os.close(self._lock)
            raise
        self.keep_reserve()

    def _open(self, path: Path, boot_id: str, boot_ms: int) -> None:
        """Open the file, bring its tables up to date and look up this boot."""
        connection, begun, replaced = file.open_sound(path)
        self._begin(path, connection, boot_id, boot_ms, begun=begun, replaced=replaced)

    def _open_on_a_full_disk(self, path: Path, boot_id: str, boot_ms: int) -> None:
        """Open the file with the room that the reserve gives, or else a copy of it in memory."""
        if file.use_reserve(path):
            log.error("ledger %s: the disk is full; the reserve beside it is used, so that hours can be sent", path)
            with contextlib.suppress(LedgerFull):
                self._open(path, boot_id, boot_ms)
                return
        log.error("ledger %s: the disk is full; hours are sent from a copy in memory, and nothing is written", path)
        memory = file.copied_into_memory(path)
        begun = memory.execute("PRAGMA user_version").fetchone()[0] == 0
        self._begin(path, memory, boot_id, boot_ms, begun=begun, replaced=False)
        self._reopen = lambda: self._open(path, boot_id, boot_ms)

    def _begin(
        self, path: Path, connection: sqlite3.Connection, boot_id: str, boot_ms: int, *, begun: bool, replaced: bool
    ) -> None:
        super().__init__(path, connection)
        try:
            with self.transaction():
                file.migrate(connection)
                if begun:
                    connection.execute(
                        "INSERT INTO origin (replaced, boot_id, boot_ms) VALUES (?, ?, ?)", (replaced, boot_id, boot_ms)
                    )
                connection.execute("INSERT OR IGNORE INTO boots (boot_id) VALUES (?)", (boot_id,))
                row = connection.execute("SELECT id FROM boots WHERE boot_id = ?", (boot_id,)).fetchone()
                self._boot = int(row[0])
                self._mark_final_for_an_older_release()
        except LedgerUnusable:
            connection.close()
            raise

    def _leave_memory(self) -> None:
        """Open the file in place of its copy in memory; LedgerFull, and the copy stays, while there is no room."""
        reopen = self._reopen
        if reopen is None:
            return
        memory, boot = self._connection, self._boot
        if file.has_little_room(self.path):
            raise LedgerFull(self.path)
        self._reopen = None
        try:
            reopen()
        except LedgerUnusable:
            self._reopen, self._connection, self._boot = reopen, memory, boot
            raise
        memory.close()

    def keep_reserve(self) -> None:
        """Set room aside for a start on a full disk, where the disk has it."""
        file.keep_reserve(self.path)

    def close(self) -> None:
        """Write everything into the one file and let go of it."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        os.close(self._lock)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """
        Do what follows as a whole or not at all; once it is done, a power cut can't take it.

        Raises:
            LedgerFull: no room; nothing of it was written.
            LedgerUnusable: anything else that the file or the disk does.
        """
        self._leave_memory()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
            self.commits += 1
        except sqlite3.Error as exc:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise file.unusable(self.path, exc) from exc
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    # --- readings ----------------------------------------------------------------------------------------------------

    @property
    def offset_ms(self) -> int | None:
        """Wall time less boot time of this boot; None while it isn't known."""
        row = self._connection.execute("SELECT offset_ms FROM boots WHERE id = ?", (self._boot,)).fetchone()
        offset: int | None = row[0]
        return offset

    def set_offset(self, offset_ms: int) -> None:
        """Note wall time less boot time of this boot."""
        self._connection.execute("UPDATE boots SET offset_ms = ? WHERE id = ?", (offset_ms, self._boot))

    def newest(self, camera: str) -> list[Tally]:
        """Return the newest reading of each of the camera's streams of this boot."""
        rows = self._connection.execute(
            "SELECT s.run, max(r.sequence), s.line, r.in_, r.out, r.frames, r.boot_ms, r.watched_ms, r.flags"
            " FROM streams s JOIN readings r ON r.stream = s.id WHERE s.boot = ? AND s.camera = ? GROUP BY s.id",
            (self._boot, camera),
        )
        return [
            Tally(run, sequence, line_key(line), in_, out, frames, boot_ms, watched_ms, Flag(flags))
            for run, sequence, line, in_, out, frames, boot_ms, watched_ms, flags in rows
        ]

    def lines_of_newest_run(self, camera: str) -> list[str]:
        """Return the names of the lines of the camera's newest run of this boot."""
        rows = self._connection.execute(
            "SELECT line FROM streams WHERE boot = ?1 AND camera = ?2 AND run ="
            " (SELECT run FROM streams WHERE boot = ?1 AND camera = ?2 ORDER BY id DESC LIMIT 1)",
            (self._boot, camera),
        )
        return [line for (line,) in rows]

    def record(self, camera: str, readings: Iterable[tuple[str, Tally]]) -> int | None:
        """
        Write readings of this boot, each with its line's name; those that are known already are left as they are.

        Returns:
            The boot time from which on something is new, ms: the start of the earliest interval that they end.
        """
        earliest: int | None = None
        for line, tally in readings:
            stream = self._stream(camera, line, tally)
            before = self._connection.execute(
                "SELECT max(boot_ms) FROM readings WHERE stream = ? AND sequence < ?", (stream, tally.sequence)
            ).fetchone()[0]
            start = tally.boot_ms - tally.watched_ms if before is None else before
            earliest = start if earliest is None else min(earliest, start)
            self._connection.execute(
                "INSERT OR IGNORE INTO readings (stream, sequence, boot_ms, in_, out, watched_ms, frames, flags)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    stream,
                    tally.sequence,
                    tally.boot_ms,
                    tally.in_,
                    tally.out,
                    tally.watched_ms,
                    tally.frames,
                    int(tally.flags),
                ),
            )
        return earliest

    def _stream(self, camera: str, line: str, tally: Tally) -> int:
        key = (self._boot, camera, tally.run, line)
        known = self._connection.execute(
            "SELECT id FROM streams WHERE boot = ? AND camera = ? AND run = ? AND line = ?", key
        ).fetchone()
        if known is None:
            known = self._connection.execute(
                "INSERT INTO streams (boot, camera, run, line, from_zero, restarted) SELECT ?1, ?2, ?3, ?4,"
                # A ledger that replaces another doesn't know what that one had counted of a run that began before it.
                " NOT (o.replaced AND o.boot_id = b.boot_id AND ?5 < o.boot_ms),"
                " EXISTS (SELECT 1 FROM streams WHERE camera = ?2 AND (boot, run) <> (?1, ?3))"
                " OR EXISTS (SELECT 1 FROM hours WHERE camera = ?2)"
                " FROM origin o, boots b WHERE b.id = ?1 RETURNING id",
                (*key, tally.boot_ms - tally.watched_ms),
            ).fetchone()
        stream: int = known[0]
        return stream

    def first_interval_ms(self, camera: str) -> int | None:
        """Return when the first interval that is in no final hour begins, wall time; None if there is none."""
        first: int | None = self._connection.execute(
            "SELECT min(max(r.boot_ms - iif(s.from_zero, r.watched_ms, 0), b.pruned_ms) + b.offset_ms) FROM readings r"
            " JOIN streams s ON s.id = r.stream JOIN boots b ON b.id = s.boot WHERE s.camera = ?",
            (camera,),
        ).fetchone()[0]
        return first

    def prune(self, now_ms: int, boot_ms: int, keep_ms: int, keep_hours_ms: int) -> None:
        """
        Throw away readings older than *keep_ms*, and acknowledged hours older than *keep_hours_ms*.

        Now less *keep_ms* is the edge of an hour, so that only whole hours lose their readings. These hours are final:
        if readings that stay ever fall into one of them, they are added to what it says. The age of this boot's
        readings is told by boot time: a wrong wall clock can't make them old. The newest reading of each stream before
        the cut stays, for the next one to be subtracted from. Of readings without wall time, the last of each hour of
        boot time stays.
        """
        cut = {"boot": self._boot, "boot_cut": boot_ms - keep_ms, "cut": now_ms - keep_ms}
        self._connection.execute(
            "UPDATE boots SET pruned_ms = max(pruned_ms, min("
            " CASE id WHEN :boot THEN :boot_cut ELSE :cut - offset_ms END, (SELECT coalesce(max(r.boot_ms), 0)"
            " FROM readings r JOIN streams s ON s.id = r.stream WHERE s.boot = boots.id)))"
            " WHERE offset_ms IS NOT NULL",
            cut,
        )
        old = (
            "SELECT r.stream, r.sequence, lead(r.boot_ms) OVER (PARTITION BY r.stream ORDER BY r.sequence) AS next_ms,"
            " r.boot_ms, b.offset_ms, b.id AS boot FROM readings r JOIN streams s ON s.id = r.stream"
            " JOIN boots b ON b.id = s.boot"
        )
        beyond = "CASE boot WHEN :boot THEN :boot_cut ELSE :cut - offset_ms END"
        self._connection.execute(
            f"DELETE FROM readings WHERE (stream, sequence) IN (SELECT stream, sequence FROM ({old}) WHERE"  # noqa: S608 - constants
            f" (offset_ms IS NOT NULL AND next_ms <= {beyond}) OR (offset_ms IS NULL AND"
            " next_ms / 3600000 = boot_ms / 3600000 AND (boot <> :boot OR next_ms <= :boot_cut)))",
            cut,
        )
        # What is left of an earlier boot, and of runs that ended long ago, has no successor to be subtracted from.
        self._connection.execute(
            "DELETE FROM readings WHERE stream IN (SELECT s.id FROM streams s JOIN boots b ON b.id = s.boot"
            " WHERE b.offset_ms IS NOT NULL"
            " AND (b.id <> :boot OR s.id NOT IN (SELECT max(id) FROM streams GROUP BY camera, line))"
            " AND (SELECT max(boot_ms) FROM readings WHERE stream = s.id) <= b.pruned_ms)",
            cut,
        )
        self._mark_final(now_ms - keep_ms)
        self._connection.execute("UPDATE boots SET settled_ms = pruned_ms")
        self._connection.execute("DELETE FROM streams WHERE id NOT IN (SELECT stream FROM readings)")
        self._connection.execute(
            "DELETE FROM hours WHERE delivered_ms IS NOT NULL AND end_ms < ?", (now_ms - keep_hours_ms,)
        )

    def _mark_final(self, until_ms: int) -> None:
        """Note that the hours up to *until_ms* are final: their readings are gone."""
        self._connection.execute(
            "UPDATE hours SET settled = 1 WHERE NOT settled AND end_ms <= ? AND revision ="
            " (SELECT max(revision) FROM hours h WHERE h.camera = hours.camera AND h.start_ms = hours.start_ms)",
            (until_ms,),
        )

    def _mark_final_for_an_older_release(self) -> None:
        """Note what a release has thrown away that made no note of it, whole hours at a time (ADR 11)."""
        boots = self._connection.execute(
            "SELECT id, offset_ms, pruned_ms + offset_ms FROM boots"
            " WHERE offset_ms IS NOT NULL AND pruned_ms > settled_ms"
        ).fetchall()
        for boot, offset_ms, cut_ms in boots:
            (end_ms,) = self._connection.execute(
                "SELECT coalesce(max(end_ms), ?1) FROM hours WHERE start_ms < ?1 AND end_ms > ?1", (cut_ms,)
            ).fetchone()
            self._mark_final(end_ms)
            self._connection.execute(
                "UPDATE boots SET pruned_ms = ?2, settled_ms = ?2 WHERE id = ?1", (boot, end_ms - offset_ms)
            )

    # --- hours -------------------------------------------------------------------------------------------------------

    def closed_until(self, camera: str, now_ms: int) -> int | None:
        """Return the end of the camera's last hour that was closed after it had ended; None if there is none."""
        row = self._connection.execute(
            "SELECT end_ms FROM hours WHERE camera = ? AND end_ms <= min(closed_ms, ?) ORDER BY start_ms DESC LIMIT 1",
            (camera, now_ms),
        ).fetchone()
        return None if row is None else row[0]

    def final_hours(self, camera: str, since_ms: int) -> dict[int, Hour]:
        """Return what each final hour said when its readings were thrown away, by its start, ms since 1970 UTC."""
        rows = self._rows(
            "SELECT camera, start_ms, max(revision), end_ms, payload, closed_ms, delivered_ms FROM hours"
            " WHERE camera = ? AND start_ms >= ? AND settled GROUP BY start_ms",
            (camera, since_ms),
        )
        return {row.span.start_ms: hour for row in rows if (hour := row.hour) is not None}

    def first_not_final_ms(self, camera: str) -> int | None:
        """Return the start of the camera's first hour of which the newest row isn't final; None if there is none."""
        first: int | None = self._connection.execute(
            "SELECT min(start_ms) FROM (SELECT start_ms, settled, max(revision) FROM hours WHERE camera = ?"
            " GROUP BY start_ms) WHERE NOT settled",
            (camera,),
        ).fetchone()[0]
        return first

    def add(self, row: Row) -> None:
        """Write a new revision of an hour."""
        self._connection.execute(
            "INSERT INTO hours (camera, start_ms, revision, end_ms, payload, closed_ms, delivered_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                row.camera,
                row.span.start_ms,
                row.revision,
                row.span.end_ms,
                row.payload,
                row.closed_ms,
                row.delivered_ms,
            ),
        )

    def confirm(self, row: Row, closed_ms: int) -> None:
        """Note, in all its revisions, when an hour was last looked at."""
        self._connection.execute(
            "UPDATE hours SET closed_ms = ? WHERE camera = ? AND start_ms = ?",
            (closed_ms, row.camera, row.span.start_ms),
        )

    def mark_delivered(self, keys: Iterable[tuple[str, int, int]], now_ms: int) -> None:
        """Note that the broker has acknowledged these rows."""
        self._connection.executemany(
            "UPDATE hours SET delivered_ms = ? WHERE camera = ? AND start_ms = ? AND revision = ?",
            [(now_ms, *key) for key in keys],
        )
