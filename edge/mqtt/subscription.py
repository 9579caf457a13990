"""
A connection that subscribes: for the collector, the live table and the demo.

Nothing is acknowledged to the broker before the caller says so. With a session that is kept, the broker queues what
is published while nobody is connected.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from paho.mqtt.client import MQTTMessage
from paho.mqtt.reasoncodes import ReasonCode

from edge.config.schema import Broker
from edge.core.errors import NameTaken, PasswordFileError, PublishError
from edge.mqtt.client import Session
from edge.mqtt.connection import BrokerConnection
from edge.mqtt.connector import Welcome
from edge.mqtt.limits import LIMITS, Limits
from edge.mqtt.reasons import TAKEN_OVER, is_failure

log = logging.getLogger(__name__)

SUBSCRIBER_LIMITS = replace(LIMITS, answer_s=15.0, longest_wait_s=15.0)
"""Subscribers are few, so they come back sooner than boxes do."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it arrived, and what its acknowledgement needs."""

    topic: str
    payload: bytes
    retained: bool
    mid: int
    qos: int
    connection: int


class Subscription(BrokerConnection):
    """
    The connection, whether it is up or being made again.

    Args:
        broker: Where to.
        session: Who connects, and for how long the broker queues what is published meanwhile.
        topics: What to subscribe to, QoS 1.
        share: Split what arrives with everybody who gives the same name here (MQTT 5), but not *apart*.
        apart: Of these, what everybody receives all the same.
        expects_session: The broker has kept a session for this client before; if it is lost, that is said.
        label: What log lines begin with.
        limits: What the connection may take.

    Attributes:
        ready: Whether the broker has accepted the subscriptions of this connection.
        session_present: Whether the broker had kept the session when this connection was made.
    """

    def __init__(
        self,
        broker: Broker,
        session: Session,
        topics: Sequence[str],
        *,
        share: str | None = None,
        apart: Sequence[str] = (),
        expects_session: bool = False,
        label: str = "",
        limits: Limits = SUBSCRIBER_LIMITS,
    ) -> None:
        super().__init__(broker, replace(session, subscribes=True), label=label, limits=limits)
        self.ready = False
        self.session_present = False
        self._expects_session = expects_session
        self._topics = tuple(topics)
        self._share = share if broker.protocol == "5" else None
        self._apart = tuple(apart)
        self._connection = 0
        self._messages: list[Message] = []

    def receive(self, longest_s: float) -> list[Message]:
        """
        Return what has arrived; wait for it at most *longest_s*.

        Raises:
            NameTaken: another client has connected under our id.
            PasswordFileError: the password can't be read.
        """
        self.wait(longest_s)
        self.turn()
        messages, self._messages = self._messages, []
        return messages

    def acknowledge_all(self, messages: Iterable[Message]) -> None:
        """Tell the broker that these are ours now; those of an earlier connection come again by themselves."""
        for message in messages:
            if message.connection == self._connection:
                self.acknowledge(message.mid, message.qos)

    def stop_subscribing(self) -> None:
        """Ask for nothing more; what the broker has queued already still comes."""
        self.unsubscribe(self._filters())

    @property
    def taken_over(self) -> str:
        """What it means when another client takes this one's session, for whoever runs it."""
        return f"another program connects as {self.session.name}, too"

    def _filters(self) -> list[str]:
        if self._share is None:
            return list(self._topics)
        return [*(f"$share/{self._share}/{topic}" for topic in self._topics), *self._apart]

    # --- what the connection reports ---------------------------------------------------------------------------------

    def on_welcome(self, welcome: Welcome) -> None:
        """Subscribe."""
        self._connection += 1
        self.session_present = welcome.session_present
        if self._expects_session and not welcome.session_present:
            log.error(
                "%s:%d has lost our session: what boxes sent while we were away is gone there. Boxes send again what"
                " they sent in the last 48 hours; what stays missing is said here",
                self.broker.host,
                self.broker.port,
            )
        self._expects_session = self.session.keep_s > 0
        if not welcome.shares:
            self._share = None
        self.subscribe(self._filters())

    def on_subscribed(self, reasons: list[ReasonCode]) -> None:
        """Begin to receive, unless the broker refuses."""
        refused = [reason.getName() for reason in reasons if is_failure(reason.value)]
        if refused:
            self.refuse(f"the subscription ({refused[0].lower()}); may this account read?", permanent=True)
            return
        self.ready = True
        self.log_connected()

    def on_message(self, message: MQTTMessage) -> None:
        """Keep the message until it is fetched."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = repr(message)
        self._messages.append(
            Message(topic, bytes(message.payload), message.retain, message.mid, message.qos, self._connection)
        )

    def on_lost(self, loss: PublishError, code: int | None) -> None:
        """Go on, unless only a person can help."""
        self.ready = False
        if code == TAKEN_OVER:
            raise NameTaken(self.session.name) from loss
        if isinstance(loss, PasswordFileError):
            raise loss
