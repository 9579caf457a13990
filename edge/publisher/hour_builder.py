"""
Between diodes and outbox: writes readings into the ledger and, when an hour is over, makes its message from them.

Decides when to write (at most once a beat in normal work), which boot has which place in time, and when an hour that
was closed must be made again with a higher revision. It talks to nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

from edge.config.schema import CameraAccount, PublisherSettings
from edge.core.clock import Clock
from edge.core.errors import LedgerFull
from edge.core.tally import BEAT_MS, Tally, line_key
from edge.publisher import hours, message
from edge.publisher.clock_offset import Placing
from edge.publisher.hours import GRACE_MS, HOUR_MS, Interval, Span, hour_at, spread_ms
from edge.publisher.ledger.ledger import Ledger, Row

log = logging.getLogger(__name__)

KEEP_READINGS_MS = 48 * 3_600_000
"""Hours can be made again, and so corrected, for this long."""
CORRECT_EVERY_MS = 3_600_000
"""Readings that come late change hours that were told no more often; an honest box hardly ever has any."""
KEEP_HOURS_MS = 400 * 86_400_000
_PRUNE_EVERY_MS = 3_600_000
_NEVER = 2**62
_MOST_WAITING = 20_000
"""Readings in memory while the ledger can't be written; beyond, the last of each hour of boot time stays."""


@dataclass(slots=True)
class _Account:
    """A camera, and what isn't in the ledger yet."""

    camera: CameraAccount
    spread_ms: int
    names: Mapping[int, str]
    waiting: list[Tally] = field(default_factory=list)
    due_ms: int | None = None
    """Wall time at which the next hour closes; None: not known, look."""
    until_ms: int = 0
    """Wall time up to which all hours are closed."""
    late_ms: int | None = None
    """Wall time from which on hours that were told have to be made again, because readings came late."""
    corrected_ms: int | None = None
    """Boot time at which that was last done."""


class Bookkeeper:
    """
    Keeps the books of one box.

    Args:
        ledger: Already open, for this boot.
        settings: Cameras, site and zone.
        clock: The box's.
        model: Name and version of the head model.
    """

    def __init__(self, ledger: Ledger, settings: PublisherSettings, clock: Clock, model: str) -> None:
        self._ledger = ledger
        self._site = settings.site
        self._zone = ZoneInfo(settings.timezone)
        self._clock = clock
        self.model = model
        self._placing = Placing(ledger.offset_ms)
        self._accounts = {
            camera.name: _Account(
                camera,
                spread_ms(settings.site, camera.name),
                _by_key((*ledger.lines_of_newest_run(camera.name), *camera.lines)),
            )
            for camera in settings.cameras
        }
        self._acknowledged: dict[tuple[str, int, int], Row] = {}
        self._written_ms: int | None = None
        self._moved_ms = clock.boot_ms()
        self._pruned_ms: int | None = None
        self._review = True
        self.full = False
        """Whether the ledger's disk had no room at the last try."""

    def adopt(self, cameras: Iterable[CameraAccount], lines: Mapping[str, frozenset[int]]) -> None:
        """
        Take up other lines and opening hours of the same cameras.

        Args:
            cameras: As they are from now on.
            lines: Keys of the lines that may still come from each, older ones among them.
        """
        for camera in cameras:
            account = self._accounts[camera.name]
            kept = lines[camera.name] | {tally.line for tally in account.waiting}
            older = {key: name for key, name in account.names.items() if key in kept}
            account.camera, account.names = camera, {**older, **_by_key(camera.lines)}

    # --- what comes in -----------------------------------------------------------------------------------------------

    def take(self, camera: str, readings: Iterable[Tally]) -> None:
        """Take readings that a gate let through; they are written with the next turn that writes."""
        account = self._accounts[camera]
        account.waiting += readings
        if account.waiting and account.due_ms == _NEVER:
            account.due_ms = None
        if len(account.waiting) > _MOST_WAITING:
            account.waiting = thinned(account.waiting)

    def waiting(self, camera: str) -> bool:
        """Tell whether readings of the camera are not in the ledger yet."""
        return bool(self._accounts[camera].waiting)

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
        """Return one line on how the books stand."""
        waiting = self._ledger.backlog() - sum(row.delivered_ms is None for row in self._acknowledged.values())
        words = ["no hour waits" if waiting <= 0 else f"{waiting} hours wait for headquarters"]
        if self._placing.offset_ms is None:
            words.append("clock not synchronised yet: counts wait for their place")
        if self.full:
            words.append("DISK FULL: readings wait in memory")
        return "; ".join(words)

    # --- what is done about it ---------------------------------------------------------------------------------------

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
        moved = self._placing.look(self._clock)
        if moved:
            self._moved_ms = now_boot
            self._review = True
        early = self._written_ms is not None and now_boot - self._written_ms < BEAT_MS
        if early and not (moved or last):
            return False
        now_ms = self._placing.wall_ms(self._clock)
        due = now_ms is not None and (
            self._review or any(a.due_ms is None or now_ms >= a.due_ms for a in self._accounts.values())
        )
        if not (due or self._acknowledged or any(a.waiting for a in self._accounts.values())):
            return False
        self._written_ms = now_boot
        try:
            grown = self._write(now_boot, now_ms, durable=due or last)
            self._prune(now_boot, now_ms)
        except LedgerFull as exc:
            if not self.full:
                log.error("%s; readings wait in memory", exc)  # noqa: TRY400 - one event a line
            # Also when it was only the second transaction that failed: look at everything again once there is room.
            self.full = self._review = True
            return False
        if self.full:
            log.info("ledger: there is room again, and what had waited is written")
        self.full = False
        return grown

    def _write(self, now_boot: int, now_ms: int | None, *, durable: bool) -> bool:
        """Write everything that waits, in one transaction, and forget it here only when it is written."""
        grown = False
        with self._ledger.transaction(durable=durable):
            if self._placing.offset_ms is not None and self._placing.offset_ms != self._ledger.offset_ms:
                self._ledger.place(self._placing.offset_ms)
            # By the wall clock, right or wrong: this stamp is only shown.
            self._ledger.deliver(self._acknowledged, self._clock.wall_ms())
            for name, account in self._accounts.items():
                earliest = self._ledger.record(name, ((account.names[t.line], t) for t in account.waiting))
                if now_ms is None:
                    continue
                if earliest is not None and (since_ms := earliest + now_ms - now_boot) < account.until_ms:
                    account.late_ms = min(since_ms, account.late_ms or since_ms)
                grown |= self._close_due(account, now_ms)
        for account in self._accounts.values():
            account.waiting.clear()
        self._acknowledged.clear()
        if now_ms is not None:
            grown |= self._correct(now_boot, now_ms)
        self._review = self._review and now_ms is None
        return grown

    def _correct(self, now_boot: int, now_ms: int) -> bool:
        """Make the hours again that readings came late for, where that is due; return whether any is new."""
        grown = False
        for account in self._accounts.values():
            recently = account.corrected_ms is not None and now_boot - account.corrected_ms < CORRECT_EVERY_MS
            if account.late_ms is None or (recently and not self._review):
                continue
            if not self._review:
                with self._ledger.transaction(durable=True):
                    corrected = self._settle(account, now_ms, since_ms=account.late_ms)
                if corrected:
                    account.corrected_ms = now_boot
                grown |= corrected
            account.late_ms = None
        return grown

    def _close_due(self, account: _Account, now_ms: int) -> bool:
        """Close the camera's hours that are over, and look at all again if that is due; return whether any is new."""
        if self._review:
            grown = self._settle(account, now_ms, since_ms=None, flags=False)
        elif account.due_ms is None or now_ms >= account.due_ms:
            grown = self._settle(account, now_ms, since_ms=now_ms)
        else:
            return False
        begin = self._begin(account, now_ms)
        account.until_ms = begin or 0
        account.due_ms = _NEVER if begin is None else hour_at(begin, self._zone).end_ms + GRACE_MS + account.spread_ms
        return grown

    def _begin(self, account: _Account, now_ms: int) -> int | None:
        """Return where the camera's first hour that isn't closed begins; None while nothing of it is placed."""
        until = self._ledger.closed_until(account.camera.name, now_ms)
        if until is None:
            first = self._ledger.first_ms(account.camera.name)
            if first is None:
                return None
            until = hour_at(first, self._zone).start_ms
        if until < now_ms - KEEP_HOURS_MS:
            log.warning("%s: hours of more than 400 days ago are left out", account.camera.name)
            until = hour_at(now_ms - KEEP_HOURS_MS, self._zone).start_ms
        return until

    def _settle(self, account: _Account, now_ms: int, *, since_ms: int | None, flags: bool = True) -> bool:
        """
        Make the hours that are over and have no row, and again those from *since_ms* on; None: all that may change.

        An hour that comes out as it was keeps its row; with *flags*, other flags alone make it another.
        Returns whether there is any new row.
        """
        camera = account.camera
        begin = self._begin(account, now_ms)
        if begin is None:
            return False
        everything = since_ms is None
        if since_ms is None:
            since_ms = self._changeable(camera.name, begin, now_ms)
        known = {r.span.start_ms: r for r in self._ledger.latest(camera.name, min(since_ms, begin) - HOUR_MS)}
        # A clock that was set back may place readings before the first row.
        before_all = list(hours.spans(hour_at(since_ms, self._zone).start_ms, min([*known, begin]), self._zone))
        todo = list(hours.spans(begin, now_ms - GRACE_MS - account.spread_ms, self._zone))
        end = todo[-1].end_ms if todo else begin
        again = [
            row.span for row in known.values() if row.span.end_ms > since_ms and row.span.start_ms >= since_ms - HOUR_MS
        ]
        todo = before_all + [s for s in again if s.end_ms <= begin] + todo
        if everything or since_ms < begin:
            # Rows that end later than we are were made by a clock that was wrong: they are taken back.
            todo += [s for s in again if s.start_ms >= end]
        rows: list[Row] = []
        settled = self._ledger.settled(camera.name, todo[0].start_ms) if todo else {}
        for made in hours.book(todo, self._intervals(camera.name, todo), camera.lines, camera.open, self._zone):
            base = settled.get(made.span.start_ms)
            hour = made if base is None else hours.added(made, *message.decode(base))
            before = known.get(hour.span.start_ms)
            row = self._row(camera.name, hour, 1 if before is None else before.revision + 1, now_ms)
            if before is not None:
                self._ledger.confirm(before, now_ms)
            if before is None or message.differs(before.payload, row.payload, flags=flags):
                self._ledger.add(row)
                rows.append(row)
        if rows:
            first, last = (message.rfc3339(row.span.start_ms, self._zone) for row in (rows[0], rows[-1]))
            highest = max(row.revision for row in rows)
            log.info("%s: %d hours closed, %s to %s, revision %d", camera.name, len(rows), first, last, highest)
        return bool(rows)

    def _intervals(self, camera: str, spans: Sequence[Span]) -> Iterator[Interval]:
        return self._ledger.intervals(camera, spans[0].start_ms, spans[-1].end_ms) if spans else iter(())

    def _changeable(self, camera: str, begin: int, now_ms: int) -> int:
        """Return the start of the first hour that isn't settled, or that readings which are kept are placed into."""
        first, unsettled = self._ledger.first_ms(camera), self._ledger.unsettled_ms(camera)
        earliest = min(begin if at is None else at for at in (first, unsettled))
        return max(hour_at(earliest, self._zone).start_ms, now_ms - KEEP_HOURS_MS)

    def _row(self, camera: str, hour: hours.Hour, revision: int, now_ms: int) -> Row:
        if self._clock.trial:
            hour = replace(hour, flags=hour.flags | {"trial"})
        payload = message.encode(
            hour, site=self._site, camera=camera, zone=self._zone, revision=revision, model=self.model
        )
        return Row(camera, hour.span, revision, payload, now_ms, None)

    def _prune(self, now_boot: int, now_ms: int | None) -> None:
        """Throw away what is settled, now and then, and never by a clock that has just moved."""
        if now_ms is None or now_boot - self._moved_ms < _PRUNE_EVERY_MS:
            return
        if self._pruned_ms is not None and now_boot - self._pruned_ms < _PRUNE_EVERY_MS:
            return
        self._pruned_ms = now_boot
        with self._ledger.transaction(durable=False):
            cut_ms = hour_at(now_ms - KEEP_READINGS_MS, self._zone).start_ms
            self._ledger.prune(now_ms, now_boot, now_ms - cut_ms, KEEP_HOURS_MS)


def _by_key(names: Iterable[str]) -> dict[int, str]:
    return {line_key(name): name for name in names}


def thinned(readings: Iterable[Tally]) -> list[Tally]:
    """Return the newest reading of each line and hour of boot time: odometers make it enough for the sums."""
    kept: dict[tuple[int, int, int], Tally] = {}
    for tally in readings:
        kept[tally.run, tally.line, tally.boot_ms // 3_600_000] = tally
    return list(kept.values())
