"""
Hearing the boxes: one subscribing connection that comes back by itself.

All happens in the caller's thread, in :meth:`Subscription.pump`: it returns what has arrived, and nothing is
acknowledged to the broker before the caller says so. With a lasting session the broker keeps what comes while nobody
is here.
"""

from __future__ import annotations

import contextlib
import logging
import random
import select
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.config.credentials import context, read_password
from edge.config.schema import Broker
from edge.core.errors import BrokerRefused, BrokerUnreachable, NameTaken

log = logging.getLogger(__name__)

MOST_UNACKNOWLEDGED = 2_000
"""Messages in hand at once; the broker keeps the rest."""
_LARGEST_PACKET = 1_048_576
_ANSWER_S = 15.0
_LONGEST_REST_S = 15.0
_STOOD_S = 60.0
"""A connection that held this long starts again with the shortest rest."""
_BREAKS = 3
"""Connections in a row that broke soon after they stood: then somebody else may have our id."""
_FOR_EVER = 0xFFFFFFFF
_TAKEN_OVER = 0x8E
_REFUSED = 0x80


@dataclass(frozen=True, slots=True)
class Heard:
    """One message as it came, and what its acknowledgement needs."""

    topic: str
    payload: bytes
    retained: bool
    mid: int
    qos: int
    connection: int


class Subscription:
    """
    The connection, whether it stands or is being made again.

    Args:
        broker: Where to.
        client_id: Ours; one connection at a time under it.
        topics: What to subscribe to, QoS 1.
        share: Split what comes with everybody who gives the same name here (MQTT 5), but not *apart*.
        apart: Of these, what everybody hears all the same.
        lasting: Ask the broker to keep what comes while we are away.

    Attributes:
        state: In words.
        ready: Whether the broker has taken the subscriptions of this connection.
        forgotten: How often the broker had lost our session when we came back.
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        topics: Sequence[str],
        *,
        share: str | None = None,
        apart: Sequence[str] = (),
        lasting: bool,
    ) -> None:
        self.state = "not connected yet"
        self.ready = False
        self.forgotten = 0
        self._broker = broker
        self._id = client_id
        self._topics = tuple(topics)
        self._share = share if broker.protocol == "5" else None
        self._apart = tuple(apart)
        self._lasting = lasting
        self._client: Client | None = None
        self._connection = 0
        self._welcomes = 0
        self._since_s = 0.0
        self._broken = 0
        self._rest_until_s = 0.0
        self._failures = 0
        self._heard: list[Heard] = []
        self._loss: BrokerUnreachable | BrokerRefused | NameTaken | None = None
        self._said = ""

    # --- the caller's loop -------------------------------------------------------------------------------------------

    def pump(self, longest_s: float) -> list[Heard]:
        """
        Return what has arrived; wait for it at most *longest_s*.

        Raises:
            NameTaken: another client has connected under our id.
            PasswordFileError: the password can't be read.
        """
        if self._client is None and not self._connect(longest_s):
            return []
        client = self._client
        if client is not None:
            self._exchange(client, longest_s)
        if self._loss is not None:
            self._drop(self._loss)
        heard, self._heard = self._heard, []
        return heard

    def acknowledge(self, heard: Iterable[Heard]) -> None:
        """Tell the broker that these are ours now; those of an earlier connection come again by themselves."""
        for message in heard:
            if message.connection == self._connection and self._client is not None and message.qos:
                self._client.ack(message.mid, message.qos)
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._write(self._client)

    @property
    def connected(self) -> bool:
        """Whether there is a connection at all."""
        return self._client is not None and self.ready

    def unsubscribe(self) -> None:
        """Ask for nothing more; what the broker holds for us already still comes."""
        if self._client is not None:
            self._client.unsubscribe(self._filters())

    def close(self, *, forget: bool = False) -> None:
        """Leave in good order; with *forget* the broker drops our session."""
        client, self._client = self._client, None
        if client is None:
            return
        client.on_disconnect = client.on_message = None
        properties = None
        if forget and self._broker.protocol == "5":
            properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0
        with contextlib.suppress(OSError):
            self._write(client)
            client.disconnect(properties=properties)
            self._write(client)
        _close_socket(client)

    # --- connecting --------------------------------------------------------------------------------------------------

    def _connect(self, longest_s: float) -> bool:
        rest_s = self._rest_until_s - time.monotonic()
        if rest_s > 0:
            time.sleep(min(rest_s, longest_s))
            return False
        broker = self._broker
        newest = broker.protocol == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            self._id,
            clean_session=None if newest else not self._lasting,
            protocol=MQTTProtocolVersion.MQTTv5 if newest else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = _ANSWER_S
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        password = read_password(broker)
        if broker.username is not None:
            client.username_pw_set(broker.username, password)
        self._connection += 1
        self._since_s = time.monotonic()
        try:
            if broker.tls is not None:
                client.tls_set_context(context(broker.tls))
            if newest:
                properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
                properties.SessionExpiryInterval = _FOR_EVER if self._lasting else 0
                properties.ReceiveMaximum = MOST_UNACKNOWLEDGED
                properties.MaximumPacketSize = _LARGEST_PACKET
                client.connect(
                    broker.host, broker.port, broker.keepalive_s, clean_start=not self._lasting, properties=properties
                )
            else:
                client.connect(broker.host, broker.port, broker.keepalive_s)
        except (OSError, ValueError) as exc:
            _close_socket(client)
            self._drop(BrokerUnreachable(broker.host, broker.port, getattr(exc, "strerror", None) or str(exc)))
            return False
        self._client = client
        return True

    def _drop(self, loss: BrokerUnreachable | BrokerRefused | NameTaken) -> None:
        client, self._client = self._client, None
        self._loss = None
        stood_s = time.monotonic() - self._since_s
        if self.ready and stood_s >= _STOOD_S:
            self._failures = self._broken = 0
        elif self.ready:
            self._broken += 1
        self.ready = False
        if client is not None:
            client.on_disconnect = None
            _close_socket(client)
        if isinstance(loss, NameTaken):
            raise loss
        self._failures += 1
        rest_s = random.uniform(0.2, min(_LONGEST_REST_S, 2.0 ** min(self._failures, 8)))  # noqa: S311 - jitter
        self._rest_until_s = time.monotonic() + rest_s
        self.state = str(loss)
        if self.state != self._said:
            self._said = self.state
            log.warning("%s; trying again until it can", loss)
        if self._broken == _BREAKS:
            log.error("the connection breaks as soon as it stands: does another program connect as %s, too?", self._id)

    def _lose(self, cause: str) -> None:
        if self._loss is None:
            self._loss = BrokerUnreachable(self._broker.host, self._broker.port, cause)

    # --- on the connection -------------------------------------------------------------------------------------------

    def _exchange(self, client: Client, longest_s: float) -> None:
        """Wait for bytes, then take in all that are there, as far as the caller can hold them."""
        deadline_s = longest_s
        try:
            for _ in range(MOST_UNACKNOWLEDGED):
                sock = client.socket()
                if sock is None or self._loss is not None:
                    break
                pending = getattr(sock, "pending", None)
                if not (pending and pending()):
                    readable, writable, _ = select.select([sock], [sock] if client.want_write() else [], [], deadline_s)
                    if writable:
                        client.loop_write()
                    if not readable:
                        break
                deadline_s = 0.0
                if client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    break
            client.loop_misc()
        except (OSError, ValueError) as exc:
            self._lose(f"the connection broke ({exc})")
            return
        if client.socket() is None:
            self._lose("the connection broke")
        elif not self.ready and time.monotonic() - self._since_s > _ANSWER_S:
            self._lose("it doesn't answer")

    @staticmethod
    def _write(client: Client) -> None:
        """Put out what waits, as far as the socket takes it."""
        while client.want_write() and (sock := client.socket()) is not None:
            if not select.select([], [sock], [], _ANSWER_S)[1]:
                return
            if client.loop_write() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return

    def _filters(self) -> list[str]:
        if self._share is None:
            return list(self._topics)
        return [*(f"$share/{self._share}/{topic}" for topic in self._topics), *self._apart]

    # --- the library's callbacks, in this thread, inside loop_read() -------------------------------------------------

    def _on_connect(
        self, client: Client, _data: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._loss = BrokerRefused(self._broker.host, self._broker.port, reason.getName().lower())
            return
        if getattr(properties, "SharedSubscriptionAvailable", 1) == 0:
            self._share = None
        self._welcomes += 1
        if self._lasting and self._welcomes > 1 and not flags.session_present:
            self.forgotten += 1
            log.error(
                "%s:%d had forgotten our session: what boxes told it while we were away is gone; "
                "look for missing hours with `footfall report`, and give the broker a disk (persistence)",
                self._broker.host,
                self._broker.port,
            )
        client.subscribe([(topic, 1) for topic in self._filters()])

    def _on_subscribe(
        self, _client: Client, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        refused = [reason.getName() for reason in reasons if reason.value >= _REFUSED]
        if refused:
            self._loss = BrokerRefused(
                self._broker.host, self._broker.port, f"the subscription ({refused[0].lower()}); may this account read?"
            )
            return
        self.ready = True
        self._since_s = time.monotonic()
        self._said = ""
        self.state = "connected"
        log.info("connected to %s:%d as %s", self._broker.host, self._broker.port, self._id)

    def _on_disconnect(
        self, _client: Client, _data: Any, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if flags.is_disconnect_packet_from_server and reason.value == _TAKEN_OVER:
            self._loss = NameTaken(self._id)
        elif flags.is_disconnect_packet_from_server:
            self._loss = BrokerRefused(self._broker.host, self._broker.port, reason.getName().lower())
        else:
            self._lose(f"the connection broke ({reason.getName().lower()})")

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = repr(message)
        self._heard.append(
            Heard(topic, bytes(message.payload), message.retain, message.mid, message.qos, self._connection)
        )


def _close_socket(client: Client) -> None:
    sock = client.socket()
    if sock is not None:
        sock.close()
