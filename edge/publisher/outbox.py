"""
One camera's connection to the broker. Hands over the outbox, oldest first; a row is done at the broker's PUBACK.

Only the connecting waits, and it does so in a thread of its own, which then hands the connected client over. All else
happens in the caller's thread, in :meth:`Link.turn`, which never waits: so there are no locks, and no answer can come
between a row that is sent and the note that it was. The library's own queue and its reconnecting are never used: each
connection is a fresh client.
"""

from __future__ import annotations

import logging
import random
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.config.schema import Broker
from edge.core import topics
from edge.core.errors import BrokerRefused, BrokerUnreachable, PasswordFileError, PublishError
from edge.mqtt.connection import MOST_IN_FLIGHT, Attempt, BoundedClient
from edge.publisher.ledger.ledger import Row

log = logging.getLogger(__name__)

ANSWER_S = 30.0
"""A CONNACK or PUBACK that takes longer means that the link is dead."""
LONGEST_REST_S = 300.0
_STOOD_S = 60.0
"""A link that held this long starts again with the shortest rest."""
_SAY_AGAIN_S = 1_800.0
GARBLED = (ValueError, LookupError, TypeError, AttributeError, AssertionError, struct.error)
"""What the library raises when a packet can't be read."""

_HANG_UPS = 3
_HANG_UPS_S = 1_800.0
"""A broker that welcomes a box and hangs up on it, so often within this time and with no other failure between."""
_TAKEN_OVER = "another box has connected under the same site and camera; give one of them another name"

HOPELESS = {
    0x84: "it doesn't speak this version of MQTT; set `protocol` in `broker`",
    0x85: "it doesn't accept this client's name",
    0x86: "user name or password is wrong",
    0x87: "this user may not do that",
    0x8A: "this box is banned",
    0x8C: "it wants another way to log in",
    0x8E: _TAKEN_OVER,
    0x9A: "it doesn't keep retained messages",
    0x9B: "it doesn't offer QoS 1",
}
"""Reason codes that a quick retry can't mend."""
NOBODY_LISTENS = 0x10


class Outbox(Protocol):
    """Where the rows come from, and where their end is noted."""

    def outbox(self, camera: str, limit: int) -> list[Row]:
        """Return the camera's oldest rows that aren't acknowledged, at most *limit*."""

    def acknowledge(self, row: Row) -> None:
        """Note that the broker has taken *row*."""


class Link:
    """
    One camera's connection, with its last will, and what is under way on it.

    Args:
        site, camera: Name it and its topics.
        broker: Where to.
        outbox: What to hand over.
        wake: Called from another thread when there is something to do.
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
        now_s: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.camera = camera
        self.state = "not connected yet"
        self._hour_topic = topics.hour_topic(site, camera)
        self._status_topic = topics.status_topic(site, camera)
        self._client_id = f"footfall-{site}-{camera}"
        self._broker = broker
        self._outbox = outbox
        self._wake = wake
        self._now_s = now_s
        self._jitter = jitter
        self._attempt: Attempt | None = None
        self._client: BoundedClient | None = None
        self._up = False
        self._changed_s = 0.0
        self._rest_until_s = 0.0
        self._failures = 0
        self._hopeless = False
        self._refusals = 0
        self._hang_ups: list[float] = []
        self._said = ("", -_SAY_AGAIN_S)
        self._pause_until_s = 0.0
        self._most_in_flight = MOST_IN_FLIGHT
        self._flight: dict[int, tuple[Row | None, float]] = {}
        self._loss: PublishError | None = None

    # --- the caller's loop -------------------------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        """Whether the broker has welcomed this connection."""
        return self._up

    def sockets(self) -> tuple[Any, bool] | None:
        """Return the socket to wait for, and whether also for writing; None if there is none."""
        sock = self._client.socket() if self._client is not None else None
        return None if self._client is None or sock is None else (sock, self._client.want_write())

    def turn(self) -> None:
        """Do what can be done now without waiting: connect, read, write, send, notice that the link is dead."""
        now_s = self._now_s()
        if self._client is None:
            self._connect(now_s)
        if self._client is not None:
            self._exchange(self._client)
            if self._loss is None and self._up:
                self._send(self._client, now_s)
            if self._loss is None:
                self._check_answers(now_s)
        if self._loss is not None:
            self._drop(self._loss, now_s)

    def close(self, timeout_s: float) -> None:
        """Say `offline` and disconnect; wait for the broker's word on it at most *timeout_s*."""
        if self._client is not None and self._up:
            until_s = time.monotonic() + timeout_s
            self._publish(self._client, self._status_topic, topics.OFFLINE, None, retain=True)
            while self._flight and self._loss is None and time.monotonic() < until_s:
                self._exchange(self._client)
                time.sleep(0.01)
            if self._loss is None:
                self._client.disconnect()
        self._abandon()
        self.state = "closed"

    # --- connecting --------------------------------------------------------------------------------------------------

    def _connect(self, now_s: float) -> None:
        if self._attempt is None:
            if now_s >= self._rest_until_s:
                self._attempt = Attempt(self._broker, self._client_id, self._status_topic, self._wake)
            return
        result = self._attempt.result
        if result is None:
            return
        self._attempt = None
        if isinstance(result, PublishError):
            self._loss = result
            return
        self._client = result
        self._changed_s = now_s
        result.on_connect = self._on_connect
        result.on_disconnect = self._on_disconnect
        result.on_publish = self._on_publish

    def _drop(self, loss: PublishError, now_s: float) -> None:
        """Let go of the connection without a word, so that the broker speaks the last will, and rest."""
        if self._up and now_s - self._changed_s >= _STOOD_S:
            self._failures = 0
        if not self._up:
            self._hang_ups.clear()
        self._abandon()
        self._failures += 1
        hopeless, self._hopeless = self._hopeless or isinstance(loss, PasswordFileError), False
        rest_s = self._jitter(LONGEST_REST_S / 2, LONGEST_REST_S) if hopeless else self._rest_s(self._failures)
        self._rest_until_s = now_s + rest_s
        self.state = str(loss)
        said, said_s = self._said
        if str(loss) != said or now_s - said_s >= _SAY_AGAIN_S:
            self._said = (str(loss), now_s)
            log.log(
                logging.ERROR if hopeless else logging.WARNING, "%s: %s; next try in %.0f s", self.camera, loss, rest_s
            )

    def _rest_s(self, failures: int) -> float:
        """Return how long to rest after so many failures in a row: anything from 1 s up to twice as long each time."""
        return max(1.0, self._jitter(0.0, min(LONGEST_REST_S, 2.0 ** min(failures, 16))))

    def _abandon(self) -> None:
        client, self._client = self._client, None
        self._up = False
        self._loss = None
        self._flight.clear()
        if client is not None:
            client.on_connect = client.on_disconnect = client.on_publish = None
            sock = client.socket()
            if sock is not None:
                sock.close()

    # --- on the connection -------------------------------------------------------------------------------------------

    def _exchange(self, client: BoundedClient) -> None:
        """Take in what has arrived, put out what waits, and let the library keep the link alive."""
        try:
            while True:
                before = client.socket()
                result = client.loop_read()
                pending = getattr(before, "pending", None)
                # A TLS socket may hold bytes that select() no longer sees.
                if result != MQTTErrorCode.MQTT_ERR_SUCCESS or pending is None or not pending():
                    break
            if result == MQTTErrorCode.MQTT_ERR_SUCCESS and client.want_write():
                result = client.loop_write()
            if result == MQTTErrorCode.MQTT_ERR_SUCCESS:
                result = client.loop_misc()
        except GARBLED as exc:
            self._lose(f"it sent what can't be read ({type(exc).__name__})")
            return
        if result == MQTTErrorCode.MQTT_ERR_PROTOCOL:
            self._lose("it sent what isn't meant for a box")
        elif result != MQTTErrorCode.MQTT_ERR_SUCCESS or client.socket() is None:
            self._lose("the connection broke")

    def _send(self, client: BoundedClient, now_s: float) -> None:
        room = self._most_in_flight - len(self._flight)
        if room <= 0 or now_s < self._pause_until_s:
            return
        flying = {row.key for row, _ in self._flight.values() if row is not None}
        rows: Sequence[Row] = self._outbox.outbox(self.camera, room + len(flying))
        for row in [row for row in rows if row.key not in flying][:room]:
            self._publish(client, self._hour_topic, row.payload, row, retain=False)
            if self._loss is not None:
                return

    def _publish(self, client: Client, topic: str, payload: bytes, row: Row | None, *, retain: bool) -> None:
        info = client.publish(topic, payload, qos=1, retain=retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._lose("the connection broke")
        self._flight[info.mid] = (row, self._now_s())

    def _check_answers(self, now_s: float) -> None:
        if not self._up and now_s - self._changed_s > ANSWER_S:
            self._lose("it doesn't answer CONNECT")
        elif any(now_s - sent_s > ANSWER_S for _, sent_s in self._flight.values()):
            self._lose("it acknowledges nothing; the link is dead")

    def _lose(self, cause: str) -> None:
        if self._loss is None:
            self._loss = BrokerUnreachable(self._broker.host, self._broker.port, cause)

    def _refuse(self, code: int, name: str) -> None:
        self._loss = BrokerRefused(self._broker.host, self._broker.port, HOPELESS.get(code, name.lower()))
        self._hopeless = code in HOPELESS

    def _hung_up(self) -> None:
        """Find a session that another box takes over: MQTT 3.1.1 has no word for it, and mosquitto 2.0.11 says none."""
        now_s = self._now_s()
        self._hang_ups = [then_s for then_s in self._hang_ups if now_s - then_s < _HANG_UPS_S] + [now_s]
        if len(self._hang_ups) >= _HANG_UPS:
            reason = f"it welcomes this box and hangs up, again and again; perhaps {_TAKEN_OVER}"
            self._loss = BrokerRefused(self._broker.host, self._broker.port, reason)
            self._hopeless = True

    # --- the library's callbacks, in this thread, inside loop_read() -------------------------------------------------

    def _on_connect(
        self, client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._refuse(reason.value, reason.getName())
            return
        self._up = True
        self._changed_s = self._now_s()
        self._pause_until_s = 0.0
        self._most_in_flight = min(MOST_IN_FLIGHT, getattr(properties, "ReceiveMaximum", MOST_IN_FLIGHT))
        self.state = "connected"
        log.info("%s: connected to %s:%d", self.camera, self._broker.host, self._broker.port)
        self._said = ("", -_SAY_AGAIN_S)
        self._publish(client, self._status_topic, topics.ONLINE, None, retain=True)

    def _on_disconnect(
        self, _client: Client, _data: Any, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._refuse(reason.value, reason.getName())
        elif self._up:
            self._lose(f"the connection broke ({reason.getName().lower()})")
            if self._client is not None and self._client.hung_up:
                self._hung_up()
        else:
            self._lose("it closed the connection before it had answered")

    def _on_publish(
        self, _client: Client, _data: Any, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        row, _ = self._flight.pop(mid, (None, 0.0))
        if reason.is_failure:
            self._refusals += 1
            self._pause_until_s = self._now_s() + self._rest_s(self._refusals)
            self.state = f"connected, but the broker refuses: {reason.getName().lower()}"
            log.error("%s: the broker refuses what is published: %s; it stays here", self.camera, reason.getName())
        elif row is not None:
            self._refusals = 0
            if reason.value == NOBODY_LISTENS:
                self._say_nobody_listens()
            else:
                self.state = "connected"
            self._outbox.acknowledge(row)

    def _say_nobody_listens(self) -> None:
        if self.state != "connected, but nobody listens":
            log.warning("%s: the broker took an hour that nobody subscribes to", self.camera)
        self.state = "connected, but nobody listens"
