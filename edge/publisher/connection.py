"""
Making one connection to the broker: credentials, TLS, last will, and bounds on what is taken in.

Everything that a broker sends is distrusted. A box subscribes to nothing, so nothing but CONNACK, PUBACK, PINGRESP and
DISCONNECT can be meant for it, all of them small; anything else ends the connection.
"""

from __future__ import annotations

import os
import ssl
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MessageType, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.config import Broker, Tls
from edge.errors import BrokerUnreachable, PasswordFileError, PublishError
from edge.publisher import message

MOST_IN_FLIGHT = 8
CONNECT_S = 15.0
_LARGEST_PACKET = 65_536
_FOR_US = (MessageType.CONNACK, MessageType.PUBACK, MessageType.PINGRESP, MessageType.DISCONNECT)


def read_password(broker: Broker) -> str | None:
    """
    Return the broker's password; None if it needs none. Systemd's credential `mqtt.password` goes before the file.

    Raises:
        PasswordFileError: the file can't be read, is empty, or can be read by everybody.
    """
    if broker.password_file is None:
        return None
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"), "mqtt.password")
    path = credential if credential.exists() else broker.password_file
    try:
        with path.open(encoding="utf-8", newline="") as file:
            mode = os.fstat(file.fileno()).st_mode
            password = file.read(65_536).removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as exc:
        raise PasswordFileError(path, "it isn't UTF-8 text") from exc
    except OSError as exc:
        raise PasswordFileError(path, exc.strerror or str(exc)) from exc
    if path != credential and mode & stat.S_IRWXO:
        raise PasswordFileError(path, f"others may read it; type: chmod o= {path}")
    if not password:
        raise PasswordFileError(path, "it is empty")
    return password


class BoundedClient(Client):
    """The library's client, with bounds on what it takes in."""

    def _sock_recv(self, bufsize: int) -> bytes:
        # The library asks for the whole rest of a packet at once, up to 256 MiB.
        if bufsize > _LARGEST_PACKET:
            raise ConnectionAbortedError(f"a packet of {bufsize} bytes")
        return super()._sock_recv(bufsize)

    def _packet_handle(self) -> MQTTErrorCode:
        if self._in_packet["command"] & 0xF0 not in _FOR_US:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        return super()._packet_handle()


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context


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
            self.result = self._connected()
        except PublishError as exc:
            self.result = exc
        except FileNotFoundError as exc:
            self.result = BrokerUnreachable(broker.host, broker.port, f"{exc.strerror} ({exc.filename})")
        except (OSError, ValueError) as exc:
            self.result = BrokerUnreachable(broker.host, broker.port, str(exc))
        self._wake()

    def _connected(self) -> BoundedClient:
        broker = self._broker
        newest = broker.protocol == "5"
        client = BoundedClient(
            CallbackAPIVersion.VERSION2,
            self._client_id,
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
            client.tls_set_context(_context(broker.tls))
        client.will_set(self._will_topic, message.OFFLINE, qos=1, retain=True)
        properties = None
        if newest:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = _LARGEST_PACKET
        client.connect(broker.host, broker.port, broker.keepalive_s, clean_start=True, properties=properties)
        return client
