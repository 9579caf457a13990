"""
What can be asked of a ledger without changing it: by the publisher that holds it, and by anybody beside it.

A reader never holds up the publisher, and never waits for it: the file is in WAL mode. Nothing here writes, and nothing
here asks a clock.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from edge.core.errors import LedgerMissing, LedgerUnusable
from edge.core.hour import HOUR_MS, Hour
from edge.core.tally import Flag
from edge.publisher.hours import Interval, Span
from edge.publisher.ledger import file, untrusted

_INTERVALS = """
    SELECT run, line, max(start_ms, settled_ms), end_ms, iif(mine, in_, 0), iif(mine, out, 0),
        iif(start_ms < settled_ms, watched_ms * (end_ms - settled_ms) / (end_ms - start_ms), watched_ms),
        iif(mine, flags, 0), restarted AND mine
    FROM (SELECT *, (start_ms + end_ms) / 2 >= settled_ms AS mine FROM (
        SELECT s.boot * 4294967296 + s.run AS run, s.line,
            lag(r.boot_ms, 1, r.boot_ms - iif(s.from_zero, r.watched_ms, 0)) OVER o + b.offset_ms AS start_ms,
            r.boot_ms + b.offset_ms AS end_ms,
            r.in_ - lag(r.in_, 1, iif(s.from_zero, 0, r.in_)) OVER o AS in_,
            r.out - lag(r.out, 1, iif(s.from_zero, 0, r.out)) OVER o AS out,
            r.watched_ms - lag(r.watched_ms, 1, iif(s.from_zero, 0, r.watched_ms)) OVER o AS watched_ms,
            r.flags, s.restarted AND lag(0, 1, 1) OVER o AS restarted, b.pruned_ms + b.offset_ms AS settled_ms
        FROM readings r JOIN streams s ON s.id = r.stream JOIN boots b ON b.id = s.boot
        WHERE s.camera = :camera AND b.offset_ms IS NOT NULL
        WINDOW o AS (PARTITION BY r.stream ORDER BY r.sequence)
    )) WHERE end_ms >= :start AND start_ms <= :end AND (end_ms > settled_ms OR mine)
"""
"""What lies before *settled_ms* is in final hours: an interval across it is cut there, and its counts went with its
middle."""

_WINDOW_MS = 60_000
"""What a camera does now is told by its readings of this long, ms."""
_LATEST_MS = 32_500_000_000_000
"""The year 3000, ms since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class Row:
    """One revision of one camera's hour, as it is or will be sent."""

    camera: str
    span: Span
    revision: int
    payload: bytes
    closed_ms: int
    delivered_ms: int | None

    @property
    def key(self) -> tuple[str, int, int]:
        """Camera, start and revision: what names a row for ever."""
        return self.camera, self.span.start_ms, self.revision

    @property
    def hour(self) -> Hour | None:
        """The hour that the payload holds; None if it holds none, as on a card that has lost bits."""
        try:
            return Hour.decode(self.payload)
        except ValidationError:
            return None


@dataclass(frozen=True, slots=True)
class Pace:
    """
    What a camera's newest readings say of it.

    Attributes:
        boot_id: The boot in which the newest was read off.
        boot_ms: When, boot time.
        wall_ms: When, wall time; None while that boot doesn't know it.
        fps: Frames looked at a second, over the last minute of that run; None if there is only one reading.
        watched: Share of that time that was watched, 0 to 1.
        flags: Those that held at any time in it.
    """

    boot_id: str
    boot_ms: int
    wall_ms: int | None
    fps: float | None
    watched: float
    flags: Flag


@dataclass(frozen=True, slots=True)
class SinceStart:
    """
    What a camera's newest run has counted, whether or not it has a place in an hour.

    Attributes:
        lines: (in, out) of each line by name.
        first_boot_ms: Boot time of the run's oldest reading that is kept.
    """

    lines: Mapping[str, tuple[int, int]]
    first_boot_ms: int


class LedgerView:
    """
    An open ledger, for reading.

    Args:
        path: Its file.
        connection: To it.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: Path) -> Iterator[LedgerView]:
        """
        Open the ledger at *path* read-only, beside the publisher that may be running on it.

        Raises:
            LedgerMissing: there is none yet.
            LedgerUnusable: it can't be read, or isn't a ledger that this program can read; also while it is used.
        """
        if not _is_there(path):
            raise LedgerMissing(path)
        try:
            with untrusted.connected(path) as connection:
                version: int = connection.execute("PRAGMA user_version").fetchone()[0]
                if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                    # The publisher has made the file, and is about to make its tables.
                    raise LedgerMissing(path)
                if version < len(file.MIGRATIONS) or file.of_newer_generation(version):
                    raise LedgerUnusable(path, f"it is of version {version}, not {len(file.MIGRATIONS)}")
                yield cls(path, connection)
        except sqlite3.Error as exc:
            raise file.unusable(path, exc) from exc

    def fault(self) -> str | None:
        """Return what makes the file unusable; None if nothing does. Reads all of it."""
        return file.fault(self._connection)

    def intervals(self, camera: str, start_ms: int, end_ms: int) -> Iterator[Interval]:
        """Yield the camera's intervals with a wall time that touch the time from *start_ms* to *end_ms*."""
        rows = self._connection.execute(_INTERVALS, {"camera": camera, "start": start_ms, "end": end_ms})
        for run, line, start, end, in_, out, watched_ms, flags, restarted in rows:
            yield Interval(run, line, start, end, in_, out, max(0, watched_ms), Flag(flags), bool(restarted))

    def without_wall_time(self) -> list[tuple[str, str, str, int, int]]:
        """Return what boots that never knew the time have counted: boot id, camera, line, in, out."""
        return self._connection.execute(
            "SELECT b.boot_id, s.camera, s.line, sum(r.in_), sum(r.out) FROM streams s JOIN boots b ON b.id = s.boot"
            " JOIN readings r ON r.stream = s.id WHERE b.offset_ms IS NULL"
            " AND r.sequence = (SELECT max(sequence) FROM readings WHERE stream = s.id)"
            " GROUP BY b.id, s.camera, s.line ORDER BY b.id, s.camera, s.line"
        ).fetchall()

    def latest(self, camera: str, since_ms: int) -> list[Row]:
        """Return the newest revision of each hour that starts at *since_ms* or later, in order."""
        return self._rows(
            "SELECT camera, start_ms, max(revision), end_ms, payload, closed_ms, delivered_ms FROM hours"
            " WHERE camera = ? AND start_ms >= ? GROUP BY start_ms ORDER BY start_ms",
            (camera, since_ms),
        )

    def outbox(self, camera: str, limit: int) -> list[Row]:
        """Return the camera's rows that no broker has acknowledged, oldest first."""
        return self._rows(
            "SELECT camera, start_ms, revision, end_ms, payload, closed_ms, delivered_ms FROM hours"
            " WHERE camera = ? AND delivered_ms IS NULL ORDER BY start_ms, revision LIMIT ?",
            (camera, limit),
        )

    def acknowledged(self, camera: str, since_ms: int, after_ms: int, limit: int) -> list[Row]:
        """Return the camera's oldest rows acknowledged at *since_ms* or later whose hour starts after *after_ms*."""
        return self._rows(
            "SELECT camera, start_ms, max(revision), end_ms, payload, closed_ms, delivered_ms FROM hours"
            " WHERE camera = ? AND delivered_ms >= ? AND start_ms > ? GROUP BY start_ms ORDER BY start_ms LIMIT ?",
            (camera, since_ms, after_ms, limit),
        )

    def backlog(self) -> int:
        """Return how many rows no broker has acknowledged."""
        count: int = self._connection.execute("SELECT count(*) FROM hours WHERE delivered_ms IS NULL").fetchone()[0]
        return count

    def waiting_since_ms(self) -> int | None:
        """Return the end of the oldest hour that no broker has acknowledged, wall time; None if there is none."""
        end: int | None = self._connection.execute(
            "SELECT min(end_ms) FROM hours WHERE delivered_ms IS NULL"
        ).fetchone()[0]
        return end

    def acknowledged_ms(self, camera: str) -> int | None:
        """Return when a broker last acknowledged an hour of the camera, wall time; None if none ever did."""
        stamp: int | None = self._connection.execute(
            "SELECT max(delivered_ms) FROM hours WHERE camera = ?", (camera,)
        ).fetchone()[0]
        return stamp

    def acknowledged_last_day(self, now_ms: int) -> list[Row]:
        """Return the rows that a broker acknowledged in the 24 hours before now or before the last one, in order."""
        return self._rows(
            "SELECT camera, start_ms, revision, end_ms, payload, closed_ms, delivered_ms FROM hours"
            " WHERE delivered_ms > max(?, (SELECT max(delivered_ms) FROM hours)) - ? ORDER BY delivered_ms, start_ms",
            (now_ms, 24 * HOUR_MS),
        )

    def pace(self, camera: str) -> Pace | None:
        """Return what the camera's newest readings say; None if there are none."""
        newest = self._connection.execute(
            "SELECT s.id, b.boot_id, b.offset_ms, r.boot_ms, r.frames, r.watched_ms FROM readings r"
            " JOIN streams s ON s.id = r.stream JOIN boots b ON b.id = s.boot"
            " WHERE s.camera = ? ORDER BY s.boot DESC, r.boot_ms DESC, s.id DESC LIMIT 1",
            (camera,),
        ).fetchone()
        if newest is None:
            return None
        stream, boot_id, offset_ms, boot_ms, frames, watched_ms = newest
        window = self._connection.execute(
            "SELECT boot_ms, frames, watched_ms, flags FROM readings WHERE stream = ? AND boot_ms >= ?"
            " ORDER BY sequence",
            (stream, boot_ms - _WINDOW_MS),
        ).fetchall()
        first_ms, first_frames, first_watched_ms, _ = window[0]
        passed_ms = boot_ms - first_ms
        flags = Flag(0)
        # A reading's flags are those since the one before it: the first's are of before the window.
        for *_, some in window[1:] or window:
            flags |= Flag(some)
        return Pace(
            boot_id=boot_id,
            boot_ms=boot_ms,
            wall_ms=None if offset_ms is None else boot_ms + offset_ms,
            fps=(frames - first_frames) * 1000 / passed_ms if passed_ms else None,
            watched=(watched_ms - first_watched_ms) / passed_ms if passed_ms else 0.0,
            flags=flags,
        )

    def since_start(self, camera: str) -> SinceStart | None:
        """Return what the camera's newest run has counted, as far as its readings are kept; None if there are none."""
        newest = self._connection.execute(
            "SELECT s.boot, s.run FROM streams s JOIN readings r ON r.stream = s.id WHERE s.camera = ?"
            " ORDER BY s.boot DESC, r.boot_ms DESC, s.id DESC LIMIT 1",
            (camera,),
        ).fetchone()
        if newest is None:
            return None
        rows = self._connection.execute(
            "SELECT s.line, r.in_, r.out, r.boot_ms, s.from_zero AND (b.pruned_ms = 0 OR r.sequence = 0)"
            " FROM streams s JOIN readings r ON r.stream = s.id JOIN boots b ON b.id = s.boot"
            " WHERE s.camera = ? AND (s.boot, s.run) = (?, ?) ORDER BY s.id, r.sequence",
            (camera, *newest),
        ).fetchall()
        lines: dict[str, tuple[int, int]] = {}
        before: dict[str, tuple[int, int]] = {}
        for line, in_, out, _, from_zero in rows:
            base_in, base_out = before.setdefault(line, (0, 0) if from_zero else (in_, out))
            lines[line] = (in_ - base_in, out - base_out)
        return SinceStart(lines, min(first_ms for *_, first_ms, _ in rows))

    def _rows(self, query: str, parameters: tuple[object, ...]) -> list[Row]:
        found = []
        for camera, start, revision, end, payload, closed, delivered in self._connection.execute(query, parameters):
            numbers = (start, revision, end, closed, 0 if delivered is None else delivered)
            if not isinstance(camera, str) or not isinstance(payload, bytes) or not all(map(_is_time, numbers)):
                raise LedgerUnusable(self.path, "it holds a row that no publisher of ours writes")
            found.append(Row(camera, Span(start, end), revision, payload, closed, delivered))
        return found


def _is_time(number: object) -> bool:
    """Tell whether *number* could be a time of this millennium in ms, or less."""
    return isinstance(number, int) and abs(number) < _LATEST_MS


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as exc:
        raise LedgerUnusable(path, exc.strerror or str(exc)) from exc
