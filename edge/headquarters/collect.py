"""
The collector: hears every hour, stores it, and only then tells the broker that it has it.

What can't be booked goes into quarantine with the reason, never away, and never ends the collector. It may be killed
anywhere: what it hadn't stored wasn't acknowledged, and comes again.
"""

from __future__ import annotations

import logging
import random
import time
from datetime import UTC, datetime

from edge.config.schema import Broker
from edge.core.clock import Clock
from edge.core.errors import ConfigError, HourUnfit, StoreUnusable
from edge.core.signals import Notice, stop_signals
from edge.core.systemd import Notifier
from edge.core.topics import OFFLINE, ONLINE, parse_status_topic
from edge.headquarters.address import open_store
from edge.headquarters.receive import receive
from edge.headquarters.store.batch import Arrival, Batch, Outcome, Unfit, rejudged
from edge.headquarters.store.store import Store
from edge.headquarters.subscription import MOST_UNACKNOWLEDGED, Heard, Subscription

log = logging.getLogger(__name__)

SHARE = "footfall"
TOPICS = ("footfall/#",)
STATUSES = ("footfall/v1/+/+/status",)
_BREATH_S = 0.5
_SUM_UP_S = 60.0
_PRUNE_S = 600.0
_LONGEST_REST_S = 30.0
_DRAINED_S = 3.0
_MOST_NAMED = 20
"""Quarantined messages that get a line of their own, of those between two sums."""


def run(
    broker: Broker,
    name: str,
    store_url: str,
    clock: Clock,
    *,
    share: bool = False,
    trial: bool = False,
    leave: bool = False,
) -> None:
    """
    Collect until SIGTERM or SIGINT.

    Args:
        broker: Where boxes publish.
        name: Ours; the broker keeps for it what comes while we are away.
        store_url: Where hours go, as :func:`~edge.headquarters.address.open_store` takes it.
        clock: Headquarters' own.
        share: Split what comes with all who share; else each collector hears everything. Not the default, because
            mosquitto 2.0 keeps plain subscriptions over its own restart, and forgets shared ones.
        trial: Book the hours of trials, too.
        leave: Ask for nothing new, store what the broker still holds for *name*, and let it forget *name*.

    Raises:
        StoreError: the store can't be opened. Once it has been, what can't be stored waits at the broker.
        NameTaken: another collector goes by *name*.
        PasswordFileError: the password can't be read.
        ConfigError: leaving needs MQTT 5.
    """
    if leave and broker.protocol != "5":
        raise ConfigError("--leave", ["--leave needs MQTT 5; under 3.1.1 delete the session at the broker"])
    store = open_store(store_url)
    subscription = Subscription(
        broker, f"footfall-collect-{name}", TOPICS, share=SHARE if share else None, apart=STATUSES, lasting=True
    )
    notifier = Notifier()
    try:
        with stop_signals() as stopping:
            notifier.ready(f"hours go into {store.name}")
            log.info("hours go into %s", store.name)
            _Collector(store, subscription, clock, notifier, trial=trial).run(stopping, leave=leave)
            notifier.stopping()
    finally:
        subscription.close(forget=leave)
        store.close()


def rejudge(store_url: str, clock: Clock, *, trial: bool = False) -> Outcome:
    """Judge again what is in quarantine; book what passes now, and return what came of it. StoreError if it can't."""
    store = open_store(store_url)
    try:
        total = Outcome()
        for unfit in list(rejudged(store.quarantine())):
            batch = judge([(unfit.topic, unfit.payload)], _now(clock), trial=trial)
            if batch.hours:
                outcome = store.add(batch, _now(clock))
                total.add(outcome)
                if not outcome.quarantined:
                    store.release(unfit)
        return total
    finally:
        store.close()


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
    """What a turn of the loop goes round."""

    def __init__(
        self, store: Store, subscription: Subscription, clock: Clock, notifier: Notifier, *, trial: bool
    ) -> None:
        self._store = store
        self._subscription = subscription
        self._clock = clock
        self._notifier = notifier
        self._trial = trial
        self._waiting: list[Heard] = []
        self._sum = Outcome()
        self._named = 0
        self._failures = 0
        self._rest_until_s = 0.0
        self._sum_up_s = time.monotonic() + _SUM_UP_S
        self._prune_s = time.monotonic()
        self._quiet_since_s = time.monotonic()

    def run(self, stopping: Notice, *, leave: bool) -> None:
        """Go round until told to stop, or, if *leave*, until nothing more comes."""
        unsubscribed = False
        while not stopping.is_set():
            self._turn()
            if leave and not unsubscribed and self._subscription.connected:
                self._subscription.unsubscribe()
                unsubscribed = True
                self._quiet_since_s = time.monotonic()
            if unsubscribed and not self._waiting and time.monotonic() - self._quiet_since_s > _DRAINED_S:
                break
        self._say_sum()

    def _turn(self) -> None:
        if len(self._waiting) < MOST_UNACKNOWLEDGED:
            heard = self._subscription.pump(_BREATH_S)
            if heard:
                self._quiet_since_s = time.monotonic()
                self._waiting += heard
        else:
            time.sleep(_BREATH_S)
        now_s = time.monotonic()
        if self._waiting and now_s >= self._rest_until_s:
            self._store_waiting(now_s)
        if now_s >= self._prune_s:
            self._prune(now_s)
        if now_s >= self._sum_up_s:
            self._sum_up_s = now_s + _SUM_UP_S
            self._say_sum()
        self._notifier.alive()

    def _store_waiting(self, now_s: float) -> None:
        now = _now(self._clock)
        batch = judge([(heard.topic, heard.payload) for heard in self._waiting], now, trial=self._trial)
        try:
            outcome = self._store.add(batch, now)
        except StoreUnusable as exc:
            self._failures += 1
            rest_s = random.uniform(0.2, min(_LONGEST_REST_S, 2.0 ** min(self._failures, 8)))  # noqa: S311 - jitter
            self._rest_until_s = now_s + rest_s
            log.warning("%s; %d messages wait, at the broker too; next try in %.0f s", exc, len(self._waiting), rest_s)
            return
        self._failures = 0
        self._subscription.acknowledge(self._waiting)
        self._waiting.clear()
        self._sum.add(outcome)
        for unfit in batch.unfit:
            self._named += 1
            if self._named <= _MOST_NAMED:
                log.warning("quarantine: %s: %s", unfit.topic, unfit.fault)
        if outcome.quarantined.get("conflict"):
            log.warning("quarantine: two boxes may go by one name; look at reason `conflict` in table `quarantine`")

    def _prune(self, now_s: float) -> None:
        self._prune_s = now_s + _PRUNE_S
        try:
            dropped = self._store.prune()
        except StoreUnusable as exc:
            log.warning("%s", exc)
            return
        if dropped:
            log.error("the quarantine was full: the %d messages seen longest ago are gone", dropped)

    def _say_sum(self) -> None:
        total, self._sum, self._named = self._sum, Outcome(), 0
        words = [f"{total.stored} hours stored", f"{total.repeated} known already"]
        words += [f"{times} in quarantine ({reason})" for reason, times in sorted(total.quarantined.items())]
        if total.stored or total.repeated or total.quarantined:
            log.info("%s", ", ".join(words))
        self._notifier.status(f"{self._subscription.state}; {', '.join(words)} in the last minute")


def _now(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock.wall_ms() / 1000, UTC)
