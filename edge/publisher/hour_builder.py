"""
Between diodes and outbox: writes readings into the ledger, and builds the hours that are over from them.

Decides when the ledger is written (at most once a beat in normal work), which wall time a boot's readings have, and
when a closed hour is rebuilt (edge.publisher.rebuild). It knows no broker.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

from edge.config.schema import CameraAccount, PublisherSettings
from edge.core.clock import Clock
from edge.core.errors import LedgerFull
from edge.core.hour import HOUR_MS, Source, rfc3339
from edge.core.tally import BEAT_MS, Tally, line_key
from edge.publisher import rebuild
from edge.publisher.clock_offset import ClockOffset
from edge.publisher.hours import GRACE_MS, hour_at, spread_ms
from edge.publisher.ledger.ledger import Ledger, Row

log = logging.getLogger(__name__)

KEEP_READINGS_MS = 48 * HOUR_MS
"""Readings are kept this long, so that hours can be rebuilt from them, ms."""
CORRECT_EVERY_MS = HOUR_MS
"""Readings that come late change closed hours at most once in this time, ms; an honest box hardly ever has any."""
KEEP_HOURS_MS = 400 * 24 * HOUR_MS
"""Acknowledged hours are kept this long, ms."""
_PRUNE_EVERY_MS = HOUR_MS
"""Time between two prunings, and before the first one after the clock has moved, ms."""
_NEVER = 2**62
_MOST_BUFFERED = 20_000
"""Most readings in memory while the ledger can't be written; beyond, only each line's last of each hour stays."""


@dataclass(slots=True)
class _Camera:
    """A camera, its readings that aren't in the ledger yet, and what is known of its hours."""

    account: CameraAccount
    source: Source
    spread_ms: int
    names: Mapping[int, str]
    """Names of its lines, by line key."""
    buffer: list[Tally] = field(default_factory=list)
    due_ms: int | None = None
    """Wall time at which the next hour closes; None: not known, ask the ledger."""
    closed_until_ms: int = 0
    """Wall time up to which all hours are closed."""
    late_since_ms: int | None = None
    """Wall time from which on closed hours have to be rebuilt, because readings came late."""
    corrected_ms: int | None = None
    """Boot time at which hours were last rebuilt for late readings."""


class HourBuilder:
    """
    Keeps the ledger of one box up to date.

    Args:
        ledger: Already open, for this boot.
        settings: Cameras, site and zone.
        clock: The box's.
        model: Name and version of the head model.
    """

    def __init__(self, ledger: Ledger, settings: PublisherSettings, clock: Clock, model: str) -> None:
        self._ledger = ledger
        self._zone = ZoneInfo(settings.timezone)
        self._clock = clock
        self.model = model
        self._offset = ClockOffset(ledger.offset_ms)
        self._cameras = {
            camera.name: _Camera(
                camera,
                Source(settings.site, camera.name, self._zone, model, trial=clock.trial),
                spread_ms(settings.site, camera.name),
                _by_key((*ledger.lines_of_newest_run(camera.name), *camera.lines)),
            )
            for camera in settings.cameras
        }
        self._acknowledged: dict[tuple[str, int, int], Row] = {}
        self._written_ms: int | None = None
        self._moved_ms = clock.boot_ms()
        self._pruned_ms: int | None = None
        self._rebuild_all = True
        self.full = False
        """Whether the ledger's disk had no room at the last try."""

    def adopt(self, cameras: Iterable[CameraAccount], lines: Mapping[str, frozenset[int]]) -> None:
        """
        Take up other lines and opening hours of the same cameras.

        Args:
            cameras: As they are from now on.
            lines: Keys of the lines that may still come from each, older ones among them.
        """
        for account in cameras:
            camera = self._cameras[account.name]
            kept = lines[account.name] | {tally.line for tally in camera.buffer}
            older = {key: name for key, name in camera.names.items() if key in kept}
            camera.account, camera.names = account, {**older, **_by_key(account.lines)}

    # --- readings in, acknowledgements in, rows out ------------------------------------------------------------------

    def take(self, camera: str, readings: Iterable[Tally]) -> None:
        """Take readings that were validated; the next :meth:`turn` that writes writes them."""
        state = self._cameras[camera]
        state.buffer += readings
        if state.buffer and state.due_ms == _NEVER:
            state.due_ms = None
        if len(state.buffer) > _MOST_BUFFERED:
            state.buffer = decimated(state.buffer)

    def is_buffered(self, camera: str) -> bool:
        """Tell whether readings of the camera are not in the ledger yet."""
        return bool(self._cameras[camera].buffer)

    def acknowledge(self, row: Row) -> None:
        """Note that the broker has taken *row*; it is never offered again."""
        self._acknowledged[row.key] = row

    def outbox(self, camera: str, limit: int) -> list[Row]:
        """Return the camera's oldest rows that no broker has acknowledged, at most *limit*."""
        rows = self._ledger.outbox(camera, limit + len(self._acknowledged))
        return [row for row in rows if row.key not in self._acknowledged][:limit]

    def acknowledged_ms(self, camera: str) -> int | None:
        """Return when a row of the camera was last acknowledged, wall time; None if none ever was."""
        if any(row.camera == camera for row in self._acknowledged.values()):
            return self._clock.wall_ms()
        return self._ledger.acknowledged_ms(camera)

    def acknowledged(self, camera: str, since_ms: int, after_ms: int, limit: int) -> list[Row]:
        """Return the oldest rows acknowledged at *since_ms* or later whose hour starts after *after_ms*."""
        rows = {row.key: row for row in self._ledger.acknowledged(camera, since_ms, after_ms, limit)}
        for row in self._acknowledged.values():
            if row.camera == camera and row.span.start_ms > after_ms:
                rows[row.key] = replace(row, delivered_ms=self._clock.wall_ms())
        return sorted(rows.values(), key=lambda row: (row.span.start_ms, row.revision))[:limit]

    @property
    def unwritten(self) -> int:
        """How many acknowledgements are not in the ledger yet."""
        return len(self._acknowledged)

    def summary(self) -> str:
        """Return one line on what waits."""
        waiting = self._ledger.backlog() - sum(row.delivered_ms is None for row in self._acknowledged.values())
        words = ["no hour waits" if waiting <= 0 else f"{waiting} hours wait for headquarters"]
        if self._offset.offset_ms is None:
            words.append("clock not synchronised yet: hours can't be built")
        if self.full:
            words.append("DISK FULL: readings wait in memory")
        return "; ".join(words)

    # --- writing -----------------------------------------------------------------------------------------------------

    def turn(self, *, last: bool = False) -> bool:
        """
        Write what has come in and close the hours that are over, if it is time to.

        Args:
            last: Write now: there is no later turn.

        Returns:
            Whether the outbox may have grown.

        Raises:
            LedgerUnusable: the ledger can't be written, for another reason than a full disk.
        """
        now_boot = self._clock.boot_ms()
        moved = self._offset.update(self._clock)
        if moved:
            self._moved_ms = now_boot
            self._rebuild_all = True
        early = self._written_ms is not None and now_boot - self._written_ms < BEAT_MS
        if early and not (moved or last):
            return False
        now_ms = self._offset.wall_ms(self._clock)
        due = now_ms is not None and (
            self._rebuild_all or any(c.due_ms is None or now_ms >= c.due_ms for c in self._cameras.values())
        )
        if not (due or self._acknowledged or any(c.buffer for c in self._cameras.values())):
            return False
        self._written_ms = now_boot
        try:
            grown = self._write(now_boot, now_ms)
            self._prune(now_boot, now_ms)
        except LedgerFull as exc:
            if not self.full:
                log.error("%s; readings wait in memory", exc)  # noqa: TRY400 - one event a line
            # Also when it was only the second transaction that failed: look at everything again once there is room.
            self.full = self._rebuild_all = True
            return False
        if self.full:
            log.info("ledger: there is room again, and what had waited is written")
            self._ledger.keep_reserve()
        self.full = False
        return grown

    def _write(self, now_boot: int, now_ms: int | None) -> bool:
        """Write everything that waits, in one transaction, and forget it here only when it is written."""
        grown = False
        with self._ledger.transaction():
            if self._offset.offset_ms is not None and self._offset.offset_ms != self._ledger.offset_ms:
                self._ledger.set_offset(self._offset.offset_ms)
            # By the wall clock, right or wrong: this stamp is only shown.
            self._ledger.mark_delivered(self._acknowledged, self._clock.wall_ms())
            for name, camera in self._cameras.items():
                earliest = self._ledger.record(name, ((camera.names[t.line], t) for t in camera.buffer))
                if now_ms is None:
                    continue
                if earliest is not None and (since_ms := earliest + now_ms - now_boot) < camera.closed_until_ms:
                    camera.late_since_ms = min(since_ms, camera.late_since_ms or since_ms)
                grown |= self._close_due(camera, now_ms)
        for camera in self._cameras.values():
            camera.buffer.clear()
        self._acknowledged.clear()
        if now_ms is not None:
            grown |= self._correct(now_boot, now_ms)
        self._rebuild_all = self._rebuild_all and now_ms is None
        return grown

    def _correct(self, now_boot: int, now_ms: int) -> bool:
        """Rebuild the hours that readings came late for, where that is due; return whether any is new."""
        grown = False
        for camera in self._cameras.values():
            recently = camera.corrected_ms is not None and now_boot - camera.corrected_ms < CORRECT_EVERY_MS
            if camera.late_since_ms is None or (recently and not self._rebuild_all):
                continue
            if not self._rebuild_all:
                with self._ledger.transaction():
                    corrected = self._rebuild(camera, now_ms, since_ms=camera.late_since_ms, flags=True)
                if corrected:
                    camera.corrected_ms = now_boot
                grown |= corrected
            camera.late_since_ms = None
        return grown

    def _close_due(self, camera: _Camera, now_ms: int) -> bool:
        """Close the camera's hours that are over, and rebuild all if that is due; return whether any is new."""
        if self._rebuild_all:
            grown = self._rebuild(camera, now_ms, since_ms=None, flags=False)
        elif camera.due_ms is None or now_ms >= camera.due_ms:
            grown = self._rebuild(camera, now_ms, since_ms=now_ms, flags=True)
        else:
            return False
        open_ms = self._first_open_ms(camera, now_ms)
        camera.closed_until_ms = open_ms or 0
        camera.due_ms = _NEVER if open_ms is None else hour_at(open_ms, self._zone).end_ms + GRACE_MS + camera.spread_ms
        return grown

    def _first_open_ms(self, camera: _Camera, now_ms: int) -> int | None:
        """Return the start of the camera's first hour that isn't closed; None while no reading has a wall time."""
        until_ms = self._ledger.closed_until(camera.account.name, now_ms)
        if until_ms is None:
            first_ms = self._ledger.first_interval_ms(camera.account.name)
            if first_ms is None:
                return None
            until_ms = hour_at(first_ms, self._zone).start_ms
        if until_ms < now_ms - KEEP_HOURS_MS:
            log.warning("%s: hours of more than 400 days ago are left out", camera.account.name)
            until_ms = hour_at(now_ms - KEEP_HOURS_MS, self._zone).start_ms
        return until_ms

    def _rebuild(self, camera: _Camera, now_ms: int, *, since_ms: int | None, flags: bool) -> bool:
        """
        Build the camera's hours that are over and have no row, and again those from *since_ms* on; None: all.

        An hour that comes out as it was keeps its row; with *flags*, other flags alone give it a new revision.
        Returns whether there is any new row.
        """
        name = camera.account.name
        open_ms = self._first_open_ms(camera, now_ms)
        if open_ms is None:
            return False
        todo = rebuild.plan(
            self._ledger,
            name,
            self._zone,
            open_ms=open_ms,
            until_ms=now_ms - GRACE_MS - camera.spread_ms,
            since_ms=since_ms,
            oldest_ms=now_ms - KEEP_HOURS_MS,
        )
        built = rebuild.build(self._ledger, todo, camera.account, camera.source)
        changed = rebuild.compare(todo, built, flags=flags)
        rebuild.write(self._ledger, todo, built, changed, now_ms)
        if changed:
            first, last = (rfc3339(hour.start_ms, self._zone) for hour in (changed[0], changed[-1]))
            highest = max(hour.revision for hour in changed)
            log.info("%s: %d hours closed, %s to %s, revision %d", name, len(changed), first, last, highest)
        return bool(changed)

    def _prune(self, now_boot: int, now_ms: int | None) -> None:
        """Throw away old readings now and then, and never by a clock that has just moved."""
        if now_ms is None or now_boot - self._moved_ms < _PRUNE_EVERY_MS:
            return
        if self._pruned_ms is not None and now_boot - self._pruned_ms < _PRUNE_EVERY_MS:
            return
        self._pruned_ms = now_boot
        with self._ledger.transaction():
            cut_ms = hour_at(now_ms - KEEP_READINGS_MS, self._zone).start_ms
            self._ledger.prune(now_ms, now_boot, now_ms - cut_ms, KEEP_HOURS_MS)


def _by_key(names: Iterable[str]) -> dict[int, str]:
    return {line_key(name): name for name in names}


def decimated(readings: Iterable[Tally]) -> list[Tally]:
    """Return the newest reading of each line and hour of boot time: odometers make it enough for the sums."""
    kept: dict[tuple[int, int, int], Tally] = {}
    for tally in readings:
        kept[tally.run, tally.line, tally.boot_ms // HOUR_MS] = tally
    return list(kept.values())
