"""
Sending one camera's outbox, oldest first; a row is done at the broker's PUBACK.

A broker may lose what it has acknowledged: mosquitto saves from time to time, and is killed in between. So what was
acknowledged lately is published once more on each new connection; the contract makes repeats harmless. A broker that
still has this camera's session also has what it had saved, and only what it acknowledged in the last hour is in
doubt. One that has lost the session may have lost everything: then it gets the last 48 hours.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Any, Protocol

from paho.mqtt.reasoncodes import ReasonCode

from edge.config.schema import Broker
from edge.core import topics
from edge.mqtt.back_off import BackOff
from edge.mqtt.client import Session
from edge.mqtt.connection import BrokerConnection
from edge.mqtt.connector import Welcome
from edge.mqtt.limits import LIMITS, Limits
from edge.mqtt.reasons import NO_SUBSCRIBER
from edge.publisher.ledger.view import Row

log = logging.getLogger(__name__)

REPEAT_ALL_MS = 48 * 3_600_000
"""To a broker that may have lost everything, rows that were acknowledged within this time are published again, ms."""
REPEAT_NEWEST_MS = 3_600_000
"""A broker that has kept the session has saved what it acknowledged longer ago than this, ms; mosquitto's longest
interval between two saves is half of it unless set otherwise."""
_SESSION_S = 7 * 86_400
"""So long after its connection has ended the broker keeps a camera's session, s. It only tells whether it has one."""
_PAGE = 64
"""Rows to be repeated that are read from the ledger at once."""


class Outbox(Protocol):
    """Where the rows come from, and where their end is noted."""

    def outbox(self, camera: str, limit: int) -> list[Row]:
        """Return the camera's oldest rows that aren't acknowledged, at most *limit*."""

    def acknowledge(self, row: Row) -> None:
        """Note that the broker has acknowledged *row*."""

    def acknowledged_ms(self, camera: str) -> int | None:
        """Return when a row of the camera was last acknowledged, wall time; None if none ever was."""

    def acknowledged(self, camera: str, since_ms: int, after_ms: int, limit: int) -> list[Row]:
        """Return the oldest rows acknowledged at *since_ms* or later whose hour starts after *after_ms*."""


class OutboxConnection(BrokerConnection):
    """
    One camera's connection, with its last will, its status and its hours.

    Args:
        site, camera: Name it and its topics.
        broker: Where to.
        outbox: What to send.
        wake: Called from another thread when there is something to do.
        limits: What the connection may take.
        now_s: Monotonic real time, s.
        jitter: Returns a random number between two.
    """

    def __init__(
        self,
        site: str,
        camera: str,
        broker: Broker,
        outbox: Outbox,
        wake: Callable[[], None],
        *,
        limits: Limits = LIMITS,
        now_s: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.camera = camera
        self._hour_topic = topics.hour_topic(site, camera)
        self._status_topic = topics.status_topic(site, camera)
        session = Session(f"footfall-{site}-{camera}", keep_s=_SESSION_S, will=(self._status_topic, topics.OFFLINE))
        super().__init__(broker, session, label=camera, wake=wake, limits=limits, now_s=now_s, jitter=jitter)
        self._outbox = outbox
        self._refusals = BackOff(limits.shortest_wait_s, limits.longest_wait_s, jitter)
        self._slow_retries = BackOff(limits.shortest_wait_s, limits.longest_wait_s, jitter)
        self._pause_until_s = 0.0
        self._in_flight = limits.in_flight
        self._largest_packet: int | None = None
        self._too_large = False
        self._retry_s: float | None = None
        self._online_again_s: float | None = None
        self._new = True
        self._unheard = False
        self._repeating = False
        self._repeat_since_ms, self._repeat_after_ms = 0, -1
        self._page: list[Row] = []
        self._ending = False

    def end(self, timeout_s: float) -> None:
        """Publish `offline` and disconnect; wait for the broker's answer at most *timeout_s*."""
        self._ending = True
        if self.up:
            until_s = time.monotonic() + timeout_s
            self.publish(self._status_topic, topics.OFFLINE, retain=True)
            while self.up and self.unanswered() and time.monotonic() < until_s:
                self.turn()
                self.wait(0.05)
        self.close()

    @property
    def taken_over(self) -> str:
        """What it means when another client takes this one's session, for a technician."""
        return "another box has connected under the same site and camera; give one of them another name"

    # --- what the connection reports ---------------------------------------------------------------------------------

    def on_welcome(self, welcome: Welcome) -> None:
        """Publish `online`, and find what this broker may have lost."""
        self._pause_until_s = 0.0
        self._in_flight = min(self.limits.in_flight, welcome.receive_maximum)
        self._largest_packet = welcome.largest_packet
        self._retry_s = None
        if not self._too_large:
            self.log_connected()
        kept = welcome.session_present and not self._new and not self._unheard
        self._repeat(REPEAT_NEWEST_MS if kept else REPEAT_ALL_MS)
        self._new = False
        # The last will of a connection under another client id, as a former release had it, may still be to come.
        self._online_again_s = None if welcome.session_present else self.now_s() + 2 * self.broker.keepalive_s
        self._publish_online()

    def on_idle(self, now_s: float) -> None:
        """Publish the oldest rows that aren't under way."""
        if self._retry_s is not None and now_s >= self._retry_s:
            self.reconnect(0.0)
        if self._ending or self._retry_s is not None or now_s < self._pause_until_s:
            return
        if self._online_again_s is not None and now_s >= self._online_again_s:
            self._online_again_s = None
            self._publish_online()
        self._publish_rows(now_s)
        if self.receives_unwanted and not any(self.unanswered()):
            self.state = (
                "connected, but the broker publishes to this box, which subscribes to nothing; turn that off there"
            )
            self.log_once(logging.ERROR, self.state)
            self.reconnect(self._slow_retries.failed_for_long())

    def on_acknowledged(self, tag: Any, reason: ReasonCode) -> None:
        """Note that a row, or the status (None), has been answered."""
        row: Row | None = tag
        if reason.is_failure:
            self._pause_until_s = self.now_s() + self._refusals.failed()
            self.state = f"connected, but the broker refuses: {reason.getName().lower()}"
            log.error("%s: the broker refuses what is published: %s; it stays here", self.camera, reason.getName())
            if row is not None and row.delivered_ms is not None:
                self._repeat_after_ms = min(self._repeat_after_ms, row.span.start_ms - 1)
                self._repeating = True
                self._page.clear()
        elif row is not None:
            self._refusals.succeeded()
            self._note_subscribers(heard=reason.value != NO_SUBSCRIBER)
            self._outbox.acknowledge(row)

    # --- what is published -------------------------------------------------------------------------------------------

    def _publish_rows(self, now_s: float) -> None:
        under_way = {row.key for row in self.unanswered() if row is not None}
        room = self._in_flight - len(self.unanswered())
        for row in self._rows(room, under_way) if room > 0 else ():
            size = _size(self._hour_topic, row.payload)
            if self._largest_packet is not None and size > self._largest_packet:
                self._wait_for_larger_packets(size, now_s)
                return
            if row.delivered_ms is not None:
                self._repeat_after_ms = row.span.start_ms
                self._page.remove(row)
            if self._too_large:
                self._too_large = False
                self.log_connected()
            self.publish(self._hour_topic, row.payload, row)
            if not self.healthy:
                return

    def _rows(self, limit: int, under_way: set[tuple[str, int, int]]) -> list[Row]:
        """Return what is to be published next: first what the broker never had, then what it may have lost."""
        rows = self._outbox.outbox(self.camera, limit + len(under_way))
        rows = [row for row in rows if row.key not in under_way][:limit]
        if rows or not self._repeating:
            return rows
        if not self._page:
            self._page = self._outbox.acknowledged(self.camera, self._repeat_since_ms, self._repeat_after_ms, _PAGE)
            self._repeating = bool(self._page)
        return self._page[:limit]

    def _repeat(self, window_ms: int) -> None:
        """Publish again what was acknowledged at most so long before the newest acknowledgement, ms."""
        self._page.clear()
        newest_ms = self._outbox.acknowledged_ms(self.camera)
        self._repeating = newest_ms is not None
        self._repeat_since_ms = 0 if newest_ms is None else newest_ms - window_ms
        self._repeat_after_ms = -1

    def _publish_online(self) -> None:
        if self._largest_packet is None or _size(self._status_topic, topics.ONLINE) <= self._largest_packet:
            self.publish(self._status_topic, topics.ONLINE, retain=True)

    def _wait_for_larger_packets(self, size: int, now_s: float) -> None:
        """Keep the connection, publish no hour, and see in some minutes whether the broker's limit was raised."""
        self._too_large = True
        self._retry_s = now_s + self._slow_retries.failed_for_long()
        self.state = (
            f"connected, but the broker takes packets of at most {self._largest_packet} bytes, and an hour has {size};"
            " raise its maximum packet size"
        )
        self.log_once(logging.ERROR, self.state)

    def _note_subscribers(self, *, heard: bool) -> None:
        """Once somebody subscribes, publish again what nobody received."""
        if heard:
            self.state = "connected"
            if self._unheard:
                self._repeat(REPEAT_ALL_MS)
        elif not self._unheard:
            log.warning("%s: the broker took an hour that nobody subscribes to", self.camera)
        self._unheard = not heard
        if self._unheard:
            self.state = "connected, but nobody subscribes"


def _size(topic: str, payload: bytes) -> int:
    """Return how many bytes a PUBLISH with QoS 1 and no properties has."""
    rest = 2 + len(topic.encode()) + 2 + 1 + len(payload)
    return 1 + (1 if rest < 128 else 2 if rest < 16_384 else 3) + rest  # noqa: PLR2004 - MQTT's own steps
