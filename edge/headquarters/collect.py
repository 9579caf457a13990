"""
The collector: receives every hour, stores it, and only then acknowledges it to the broker.

A message that can't be stored as an hour goes into quarantine with the reason; nothing is thrown away, and no message
ends the collector. It may be killed anywhere: what it hadn't stored wasn't acknowledged, and comes again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from edge.config.schema import Broker
from edge.core.clock import Clock
from edge.core.errors import ConfigError
from edge.core.hour import TEST, Hour
from edge.core.printable import printable
from edge.core.signals import Notice, stop_signals
from edge.core.systemd import Notifier
from edge.core.topics import OFFLINE, ONLINE, parse_status_topic
from edge.headquarters.address import open_store
from edge.headquarters.errors import HourUnfit, StoreUnusable
from edge.headquarters.gaps import GapWatch, describe
from edge.headquarters.receive import receive
from edge.headquarters.sites import Sites, as_table
from edge.headquarters.store.batch import Arrival, Batch, Outcome, Unfit
from edge.headquarters.store.store import Store
from edge.mqtt.back_off import BackOff
from edge.mqtt.client import FOR_EVER_S, Session
from edge.mqtt.client_id import client_id, secret_of
from edge.mqtt.limits import LIMITS
from edge.mqtt.subscription import Message, Subscription

if TYPE_CHECKING:
    from edge.headquarters.metrics import Metrics

log = logging.getLogger(__name__)

SHARE = "footfall"
TOPICS = ("footfall/#",)
STATUSES = ("footfall/v1/+/+/status",)
_TURN_S = 0.5
"""The loop goes round at least this often, s."""
_SUM_EVERY_S = 60.0
"""What was stored is summed up in one log line this often, s."""
_GAPS_EVERY_S = 10.0
"""Gaps that have opened or closed are logged this often, s; until then an hour may still come out of order."""
_LOOK_BACK = timedelta(hours=72)
"""When it starts, the collector looks at the hours of so long; boxes repeat what they sent in the last 48 hours."""
_PRUNE_EVERY_S = 600.0
"""The quarantine is cut to its largest size this often, s."""
_LONGEST_WAIT_S = 30.0
"""A store that can't be used is tried again at least this often, s."""
_DRAINED_S = 3.0
"""A session of which nothing has come for this long is empty, s."""
_MOST_NAMED = 20
"""So many quarantined messages, and so many gaps, get a log line of their own at once."""


def run(
    broker: Broker,
    name: str,
    store_url: str,
    clock: Clock,
    *,
    share: bool = False,
    trial: bool = False,
    leave: bool = False,
    metrics: int | None = None,
    plan: Sites | None = None,
) -> None:
    """
    Collect until SIGTERM or SIGINT.

    Args:
        broker: Where boxes publish.
        name: Ours; the broker keeps for it what comes while we are away.
        store_url: Where hours go, as :func:`~edge.headquarters.store.open_store` takes it.
        clock: Headquarters' own.
        share: Split what comes with all who share; else each collector receives everything. Not the default, because
            mosquitto 2.0 keeps plain subscriptions over its own restart, and forgets shared ones.
        trial: Store the hours of trials, too.
        metrics: Port on loopback on which Prometheus finds figures; None for none.
        plan: What sites.yaml says, for those who read the store by SQL.
        leave: Ask for nothing new, store what the broker still holds for *name*, and let it forget *name*.

    Raises:
        StoreError: the store can't be opened. Once it has been, what can't be stored waits at the broker.
        NameTaken: another collector goes by *name*.
        PasswordFileError, OSError: the password, or the key of our certificate, can't be read.
        ConfigError: leaving needs MQTT 5.
    """
    if leave and broker.protocol != "5":
        raise ConfigError("--leave", ["--leave needs MQTT 5; under 3.1.1 delete the session at the broker"])
    figures = None if metrics is None else _serve_metrics(metrics)
    store = open_store(store_url)
    notifier = Notifier()
    address = f"{broker.host}:{broker.port}"
    plain = f"footfall-collect-{name}"
    try:
        if plan is not None:
            store.replace_sites(as_table(plan))
        known = store.session(address, name)
        ours = known or client_id(plain, secret_of(broker))
        with stop_signals() as stopping:
            notifier.ready(f"hours go into {store.name}")
            log.info("hours go into %s", store.name)
            collector = _Collector(store, clock, notifier, stopping, trial=trial, metrics=figures)
            subscription = _subscribe(broker, ours, share=share, expected=known is not None)
            try:
                if leave:
                    collector.drain(subscription)
                    store.forget_session(address, name)
                else:
                    collector.load_hours()
                    collector.collect(subscription, until=lambda: subscription.ready)
                    if known is None and subscription.ready:
                        if ours != plain:
                            former = _subscribe(broker, plain, share=share, label="looking for a former session")
                            _empty_former(collector, former)
                        collector.remember_session(address, name, ours)
                    collector.collect(subscription)
            finally:
                subscription.close(forget=leave)
            notifier.stopping()
    finally:
        store.close()


def _serve_metrics(port: int) -> Metrics:
    from edge.headquarters.metrics import Metrics  # noqa: PLC0415 - its library is in the extra only

    figures = Metrics()
    log.info("figures for Prometheus are at http://127.0.0.1:%d/metrics", figures.serve(port))
    return figures


def _subscribe(broker: Broker, ours: str, *, share: bool, expected: bool = False, label: str = "") -> Subscription:
    session = Session(ours, exact=True, keep_s=FOR_EVER_S)
    return Subscription(
        broker,
        session,
        TOPICS,
        share=SHARE if share else None,
        apart=STATUSES,
        expects_session=expected,
        label=label,
    )


def _empty_former(collector: _Collector, former: Subscription) -> None:
    """Store what the broker still holds under the client id that releases before this one had, and let it forget it."""
    try:
        if collector.drain(former):
            log.info("the session %s of a former release is empty now, and ended", former.session.name)
    finally:
        former.close(forget=True)


def judge(messages: list[tuple[str, bytes]], now: datetime, *, trial: bool = False) -> Batch:
    """Sort *messages*, each topic and payload, into hours, statuses and what is unfit to be either."""
    batch = Batch()
    for topic, payload in messages:
        names = parse_status_topic(topic)
        try:
            if names is None:
                batch.hours.append(Arrival(topic, payload, receive(topic, payload, now, trial=trial)))
            elif payload in {ONLINE, OFFLINE}:
                batch.statuses[names] = payload.decode()
            elif payload:
                raise HourUnfit("invalid", "a status is `online` or `offline`")  # noqa: TRY301 - as receive() does
        except HourUnfit as exc:
            batch.unfit.append(Unfit(topic, payload, exc))
    return batch


class _Collector:
    """What receives, stores, acknowledges and reports, whatever the subscription."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        notifier: Notifier,
        stopping: Notice,
        *,
        trial: bool,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics
        self._store = store
        self._clock = clock
        self._notifier = notifier
        self._stopping = stopping
        self._trial = trial
        self._unstored: list[Message] = []
        self._sum = Outcome()
        self._named = 0
        self._gaps = GapWatch()
        self._back_off = BackOff(LIMITS.shortest_wait_s, _LONGEST_WAIT_S)
        now_s = time.monotonic()
        self._store_again_s = self._prune_s = self._quiet_since_s = now_s
        self._sum_s = now_s + _SUM_EVERY_S
        self._gaps_s = now_s + _GAPS_EVERY_S

    def load_hours(self) -> None:
        """Find what was missing before this collector began, and each newest hour; StoreError if it can't be read."""
        now = _now(self._clock)
        newest: dict[tuple[str, str], Hour] = {}
        for hour in self._store.hours(now - _LOOK_BACK, now):
            self._gaps.add(hour.site, hour.camera, hour.start, hour.end)
            newest[hour.site, hour.camera] = hour
        if self._metrics is not None:
            for hour in newest.values():
                self._metrics.note_hour(hour)

    def remember_session(self, address: str, name: str, ours: str) -> None:
        """Note that the broker keeps a session for us, so that a lost one is noticed."""
        try:
            self._store.remember_session(address, name, ours, _now(self._clock))
        except StoreUnusable as exc:
            log.warning("%s; a session that the broker loses is only noticed while this collector runs", exc)

    def collect(self, subscription: Subscription, until: Callable[[], bool] = lambda: False) -> None:
        """Go round until told to stop, or until *until* holds and all that has come is stored."""
        while not self._stopping.is_set() and not (until() and not self._unstored):
            self._turn(subscription)
        self._say_sum(subscription)

    def drain(self, subscription: Subscription) -> bool:
        """Ask for nothing new and go round until nothing more comes; return whether the broker had the session."""
        self.collect(subscription, until=lambda: subscription.ready)
        subscription.stop_subscribing()
        self._quiet_since_s = time.monotonic()
        self.collect(subscription, until=lambda: time.monotonic() - self._quiet_since_s > _DRAINED_S)
        return subscription.session_present

    def _turn(self, subscription: Subscription) -> None:
        if len(self._unstored) < LIMITS.unacknowledged:
            messages = subscription.receive(_TURN_S)
            if messages:
                self._quiet_since_s = time.monotonic()
                self._unstored += messages
        else:
            time.sleep(_TURN_S)
        now_s = time.monotonic()
        if self._unstored and now_s >= self._store_again_s:
            self._store_messages(subscription, now_s)
        if now_s >= self._gaps_s:
            self._gaps_s = now_s + _GAPS_EVERY_S
            self._say_gaps()
        if now_s >= self._prune_s:
            self._prune_s = now_s + _PRUNE_EVERY_S
            self._prune()
        if now_s >= self._sum_s:
            self._sum_s = now_s + _SUM_EVERY_S
            self._say_sum(subscription)
        self._notifier.alive()

    def _store_messages(self, subscription: Subscription, now_s: float) -> None:
        now = _now(self._clock)
        batch = judge([(message.topic, message.payload) for message in self._unstored], now, trial=self._trial)
        try:
            stored = self._store.add(batch, now)
        except StoreUnusable as exc:
            wait_s = self._back_off.failed()
            self._store_again_s = now_s + wait_s
            log.warning("%s; %d messages wait, at the broker too; next try in %.0f s", exc, len(self._unstored), wait_s)
            return
        self._back_off.succeeded()
        subscription.acknowledge_all(self._unstored)
        self._unstored.clear()
        self._sum.add(stored)
        for arrival in batch.hours:
            self._gaps.add(arrival.hour.site, arrival.hour.camera, arrival.hour.start, arrival.hour.end)
        if self._metrics is not None:
            self._metrics.note_outcome(stored)
            self._metrics.note_statuses(batch.statuses)
            for arrival in batch.hours:
                self._metrics.note_hour(arrival.hour)
        for unfit in batch.unfit:
            self._named += 1
            if self._named <= _MOST_NAMED and unfit.fault.reason == TEST:
                log.info("%s: a test hour has arrived: %s", printable(unfit.topic, 200), unfit.fault.detail)
            elif self._named <= _MOST_NAMED:
                log.warning("quarantine: %s: %s", printable(unfit.topic, 200), unfit.fault)
        if stored.quarantined.get("conflict"):
            log.warning("quarantine: two boxes may go by one name; look at reason `conflict` in table `quarantine`")

    def _prune(self) -> None:
        try:
            dropped = self._store.prune()
        except StoreUnusable as exc:
            log.warning("%s", exc)
            return
        if dropped:
            log.error("the quarantine was full: the %d messages seen longest ago are gone", dropped)

    def _say_gaps(self) -> None:
        opened, closed = self._gaps.changes()
        if self._metrics is not None:
            self._metrics.note_gaps(*self._gaps.missing())
        for sentence in describe(opened[:_MOST_NAMED]):
            log.warning("%s", sentence)
        if len(opened) > _MOST_NAMED:
            log.warning("%d more cameras or times have hours missing", len(opened) - _MOST_NAMED)
        for site, camera in closed[:_MOST_NAMED]:
            log.info("%s/%s: no hour is missing any more", site, camera)
        if len(closed) > _MOST_NAMED:
            log.info("%d more cameras have no hour missing any more", len(closed) - _MOST_NAMED)

    def _say_sum(self, subscription: Subscription) -> None:
        total, self._sum, self._named = self._sum, Outcome(), 0
        words = [f"{total.stored} hours stored", f"{total.repeated} known already"]
        words += [f"{times} in quarantine ({reason})" for reason, times in sorted(total.quarantined.items())]
        if total.stored or total.repeated or total.quarantined:
            log.info("%s", ", ".join(words))
        hours, cameras = self._gaps.missing()
        gaps = f"; {hours} hours are missing at {cameras} cameras" if hours else ""
        self._notifier.status(f"{subscription.state}; {', '.join(words)} in the last minute{gaps}")


def _now(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock.wall_ms() / 1000, UTC)
