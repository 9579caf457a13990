"""
paho's client with bounds on what it takes in, and the making of one connection.

Everything that a broker sends is distrusted: a packet has a largest size, known before memory is taken for it, and of
who doesn't subscribe only CONNACK, PUBACK, PINGRESP and DISCONNECT can be meant. The names of paho's that begin with an
underscore are used in this module only; tests/mqtt/test_paho.py watches each.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from dataclasses import dataclass

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MessageType, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.config.credentials import context, read_password
from edge.config.schema import Broker
from edge.mqtt.client_id import client_id, secret_of
from edge.mqtt.limits import Limits

FOR_EVER_S = 0xFFFFFFFF
"""MQTT's word for a session that never expires, as a number of seconds."""
_FOR_ALL = frozenset({MessageType.CONNACK, MessageType.PUBACK, MessageType.PINGRESP, MessageType.DISCONNECT})
_FOR_SUBSCRIBERS = _FOR_ALL | {MessageType.PUBLISH, MessageType.SUBACK, MessageType.UNSUBACK}
_KIND = 0xF0
"""The bits of a packet's first byte that say what it is."""


@dataclass(frozen=True, slots=True)
class Session:
    """
    Who connects, and what the broker keeps for it.

    Attributes:
        name: The beginning of the client id; what is derived from the account's secret follows it.
        exact: *name* is the whole client id.
        keep_s: How long the broker keeps the session after the connection has ended, s; 0: not at all.
        will: Topic and payload that the broker publishes, retained, when the connection ends without a word.
        subscribes: Whether messages can be meant for this client.
    """

    name: str
    exact: bool = False
    keep_s: int = 0
    will: tuple[str, bytes] | None = None
    subscribes: bool = False

    def client_id(self, broker: Broker) -> str:
        """Return the client id at *broker*; PasswordFileError or OSError if the account's secret can't be read."""
        return self.name if self.exact or not self.name else client_id(self.name, secret_of(broker))


class BoundedClient(Client):
    """
    paho's client, with bounds on what it takes in.

    Attributes:
        handled: How many packets have been taken in.
        closed_by_broker: Whether the broker has closed the connection, in good order and without a word.
        foreign: Whether the broker has sent a packet of a kind that can't be meant for this client.
        unwanted: Whether the broker has published to this client, which hasn't subscribed to anything.
    """

    handled = 0
    foreign = False
    closed_by_broker = False
    unwanted = False

    def bound(self, limits: Limits, tls: ssl.SSLContext | None, *, subscribes: bool) -> None:
        """Say what this client takes in, before it connects."""
        self._limits = limits
        self._tls = tls
        self._kinds = _FOR_SUBSCRIBERS if subscribes else _FOR_ALL
        if tls is not None:
            self.tls_set_context(tls)

    def flush(self, longest_s: float) -> None:
        """Write what waits, as far as the socket takes it within *longest_s*."""
        until_s = time.monotonic() + longest_s
        while self.want_write() and (sock := self.socket()) is not None:
            poll = select.poll()
            poll.register(sock, select.POLLOUT)
            if not poll.poll(max(0.0, until_s - time.monotonic()) * 1_000):
                return
            if self.loop_write() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return

    def _sock_recv(self, bufsize: int) -> bytes:
        # paho asks for the whole rest of a packet at once, up to 256 MiB.
        published = self._in_packet["command"] & _KIND == MessageType.PUBLISH and MessageType.PUBLISH in self._kinds
        if bufsize > (self._limits.publish_bytes if published else self._limits.control_bytes):
            raise ConnectionAbortedError(f"a packet of {bufsize} bytes")
        received = super()._sock_recv(bufsize)
        self.closed_by_broker = not received
        return received

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        # paho leaves the socket open when the handshake fails.
        assert self._tls is not None  # noqa: S101 - it is only called with one
        sock = self._tls.wrap_socket(tcp_sock, server_hostname=self.host, do_handshake_on_connect=False)
        try:
            sock.settimeout(self._limits.connect_s)
            sock.do_handshake()
        except BaseException:
            sock.close()
            raise
        return sock

    def _packet_handle(self) -> MQTTErrorCode:
        self.handled += 1
        kind = self._in_packet["command"] & _KIND
        if kind in self._kinds:
            return super()._packet_handle()
        if kind != MessageType.PUBLISH:
            self.foreign = True
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        # Thrown away unread. What the broker acknowledges meanwhile counts, so the connection ends a little later.
        self.unwanted = True
        return MQTTErrorCode.MQTT_ERR_SUCCESS


def open_client(broker: Broker, session: Session, limits: Limits) -> BoundedClient:
    """
    Return a client that has connected and sent CONNECT; the broker's answer is still to come. Blocks.

    Args:
        broker: Where to, and how.
        session: Who connects; whoever held the same client id loses the connection.
        limits: What the connection may take.

    Raises:
        PasswordFileError: the password can't be read.
        OSError, ValueError: everything else.
    """
    newest = broker.protocol == "5"
    fresh = session.keep_s == 0
    client = BoundedClient(
        CallbackAPIVersion.VERSION2,
        session.client_id(broker),
        clean_session=None if newest else fresh,
        protocol=MQTTProtocolVersion.MQTTv5 if newest else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.bound(limits, None if broker.tls is None else context(broker.tls), subscribes=session.subscribes)
    client.suppress_exceptions = False
    client.connect_timeout = limits.connect_s
    client.max_inflight_messages_set(2 * limits.in_flight)
    if broker.username is not None:
        client.username_pw_set(broker.username, read_password(broker))
    if session.will is not None:
        topic, payload = session.will
        client.will_set(topic, payload, qos=1, retain=True)
    if newest:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = session.keep_s
        properties.MaximumPacketSize = limits.publish_bytes if session.subscribes else limits.control_bytes
        if session.subscribes:
            properties.ReceiveMaximum = limits.unacknowledged
        client.connect(broker.host, broker.port, broker.keepalive_s, clean_start=fresh, properties=properties)
    else:
        # `clean_session` above says it; paho refuses to hear it twice.
        client.connect(broker.host, broker.port, broker.keepalive_s)
    return client
