"""
Making one connection to the broker: its last will, and bounds on what is taken in.

Everything that a broker sends is distrusted. A box subscribes to nothing, so nothing but CONNACK, PUBACK, PINGRESP and
DISCONNECT can be meant for it, all of them small; anything else ends the connection.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MessageType, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.config.credentials import context, read_password
from edge.config.schema import Broker
from edge.core import topics
from edge.core.errors import BrokerUnreachable, PublishError

MOST_IN_FLIGHT = 8
CONNECT_S = 15.0
_LARGEST_PACKET = 65_536
_FOR_US = (MessageType.CONNACK, MessageType.PUBACK, MessageType.PINGRESP, MessageType.DISCONNECT)


class BoundedClient(Client):
    """The library's client, with bounds on what it takes in."""

    hung_up = False
    """Whether the broker has closed the connection, in good order and without a word."""

    def _sock_recv(self, bufsize: int) -> bytes:
        # The library asks for the whole rest of a packet at once, up to 256 MiB.
        if bufsize > _LARGEST_PACKET:
            raise ConnectionAbortedError(f"a packet of {bufsize} bytes")
        received = super()._sock_recv(bufsize)
        self.hung_up = not received
        return received

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        # The library leaves the socket open when the handshake fails.
        assert self._ssl_context is not None  # noqa: S101 - it is only called with one
        sock = self._ssl_context.wrap_socket(tcp_sock, server_hostname=self._host, do_handshake_on_connect=False)
        try:
            sock.settimeout(CONNECT_S)
            sock.do_handshake()
        except BaseException:
            sock.close()
            raise
        return sock

    def _packet_handle(self) -> MQTTErrorCode:
        if self._in_packet["command"] & 0xF0 not in _FOR_US:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        return super()._packet_handle()


class Attempt:
    """A connection being made, in a thread of its own that shares nothing but its result."""

    def __init__(self, broker: Broker, client_id: str, will_topic: str, wake: Callable[[], None]) -> None:
        self.result: BoundedClient | PublishError | None = None
        self._broker = broker
        self._client_id = client_id
        self._will_topic = will_topic
        self._wake = wake
        threading.Thread(target=self._run, name=f"connect {client_id}", daemon=True).start()

    def _run(self) -> None:
        broker = self._broker
        try:
            self.result = connect(broker, self._client_id, self._will_topic)
        except PublishError as exc:
            self.result = exc
        except (OSError, ValueError) as exc:
            cause = f"{exc.filename}: {exc.strerror}" if isinstance(exc, OSError) and exc.filename else str(exc)
            self.result = BrokerUnreachable(broker.host, broker.port, cause)
        self._wake()


def connect(broker: Broker, client_id: str, will_topic: str | None) -> BoundedClient:
    """
    Return a client that has connected and said CONNECT; whether it is welcome is still to come.

    Args:
        broker: Where to, and how.
        client_id: Our name there; whoever held it before loses the connection.
        will_topic: Where the broker says `offline`, retained, when the connection ends without a word; None for a
            guest, who leaves nothing behind.

    Raises:
        PasswordFileError: the password can't be read.
        OSError, ValueError: everything else.
    """
    newest = broker.protocol == "5"
    client = BoundedClient(
        CallbackAPIVersion.VERSION2,
        client_id,
        clean_session=None if newest else True,
        protocol=MQTTProtocolVersion.MQTTv5 if newest else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
    )
    client.suppress_exceptions = False
    client.connect_timeout = CONNECT_S
    client.max_inflight_messages_set(2 * MOST_IN_FLIGHT)
    if broker.username is not None:
        client.username_pw_set(broker.username, read_password(broker))
    if broker.tls is not None:
        client.tls_set_context(context(broker.tls))
    if will_topic is not None:
        client.will_set(will_topic, topics.OFFLINE, qos=1, retain=True)
    if newest:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = _LARGEST_PACKET
        client.connect(broker.host, broker.port, broker.keepalive_s, clean_start=True, properties=properties)
    else:
        # There `clean_session` above says it, and the library refuses to hear it twice.
        client.connect(broker.host, broker.port, broker.keepalive_s)
    return client
