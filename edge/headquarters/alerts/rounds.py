"""
One round of alerts: what is wrong now, and to each channel what has changed since it was last told.

What a channel was told is a table of the store. So a change is told once, not every hour; what can't be told now is
told by a later round, as long as it still holds; and no queue grows while a server is away.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Protocol

from edge.core.clock import Clock
from edge.core.errors import ConfigError, EdgeError
from edge.headquarters.address import open_reader, open_store
from edge.headquarters.alerts.change import Change, changes
from edge.headquarters.alerts.judge import Alert, alerts
from edge.headquarters.alerts.mail import MailChannel
from edge.headquarters.alerts.settings import Settings
from edge.headquarters.alerts.webhook import WebhookChannel
from edge.headquarters.report import sentences
from edge.headquarters.sites import Sites
from edge.headquarters.store.store import Store
from edge.web.language import Language

log = logging.getLogger(__name__)

NOW = "store"
"""The channel under which the store holds what is wrong now, for those who read by SQL."""


class Channel(Protocol):
    """Somebody who is told."""

    @property
    def name(self) -> str:
        """What the store calls it."""

    @property
    def most(self) -> int:
        """One message has no more changes."""

    def tell(self, changes: Sequence[Change], now: datetime) -> None:
        """Tell *changes*; EdgeError if nobody took them."""

    def test(self, now: datetime) -> None:
        """Tell that this is a test; likewise."""


def channels(settings: Settings) -> list[Channel]:
    """Return everybody who is told."""
    words = Language(settings.language)
    found: list[Channel] = []
    if settings.webhook is not None:
        found.append(WebhookChannel(settings.webhook, words))
    if settings.mail is not None and settings.alerts_to is not None:
        found.append(MailChannel(settings.mail, settings.alerts_to, words))
    return found


def run(store_url: str, clock: Clock, settings: Settings, plan: Sites) -> int:
    """
    Tell what has changed; return how many channels could not be told.

    Raises:
        StoreUnusable: the store can't be read or written.
    """
    now = _now(clock)
    store = open_store(store_url)
    try:
        present = list(alerts(store, plan, settings.rules, now))
        _note(store, NOW, list(changes(store.alerts(NOW), present, plan)))
        return sum(not _told(store, channel, present, plan, now) for channel in channels(settings))
    finally:
        store.close()


def _told(store: Store, channel: Channel, present: Sequence[Alert], plan: Sites, now: datetime) -> bool:
    """Tell a channel what it does not know yet; return whether it took everything."""
    news = list(changes(store.alerts(channel.name), present, plan))
    for at in range(0, len(news), channel.most):
        part = news[at : at + channel.most]
        try:
            channel.tell(part, now)
        except EdgeError as exc:
            # The other channels are told all the same.
            log.error("%s; %d changes are told by a later run", exc, len(news) - at)  # noqa: TRY400 - for people
            return False
        _note(store, channel.name, part)
        log.info("%s: %d changes told", channel.name, len(part))
    return True


def _note(store: Store, channel: str, news: Sequence[Change]) -> None:
    if news:
        began = {change.key: change.began for change in news if not change.is_over}
        store.set_alerts(channel, began, [change.key for change in news if change.is_over])


def test(clock: Clock, settings: Settings) -> int:
    """
    Send each channel a test; return how many did not take it.

    Raises:
        ConfigError: nobody would be told.
    """
    failed = 0
    there = channels(settings)
    if not there:
        raise ConfigError("headquarters.yaml", ["nobody is told: add `webhook`, or `mail` and `alerts_to`"])
    for channel in there:
        try:
            channel.test(_now(clock))
        except EdgeError as exc:
            log.error("%s", exc)  # noqa: TRY400 - for people
            failed += 1
        else:
            log.info("%s: it took the test", channel.name)
    return failed


def show(store_url: str, clock: Clock, settings: Settings, plan: Sites) -> Iterator[str]:
    """Yield a line for each alert that there is now, and tell nobody; StoreUnusable if the store can't be read."""
    words = Language(settings.language)
    store = open_reader(store_url)
    try:
        for alert in alerts(store, plan, settings.rules, _now(clock)):
            yield f"{alert.place}: {sentences.cause(alert.problem, words)}: {sentences.advice(alert.problem, words)}"
    finally:
        store.close()


def _now(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock.wall_ms() // 1000, UTC)
