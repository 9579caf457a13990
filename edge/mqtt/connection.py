"""
A connection to the broker that comes back by itself: the one that all users of MQTT here build on.

Only connecting blocks, and it does so in a thread of its own, which then hands the connected client over. All else
happens in the caller's thread, in :meth:`BrokerConnection.turn`, which never waits: so there are no locks, and no
answer can come between a message that is published and the note that it was. paho's own queue and its reconnecting
are never used: each connection is a fresh client.
"""

from __future__ import annotations

import contextlib
import logging
import random
import select
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.config.schema import Broker
from edge.core.errors import BrokerRefused, BrokerUnreachable, PasswordFileError, PublishError
from edge.mqtt.back_off import BackOff
from edge.mqtt.client import BoundedClient, Session
from edge.mqtt.connector import Connector, Welcome
from edge.mqtt.limits import LIMITS, Limits
from edge.mqtt.reasons import PERMANENT, TAKEN_OVER, words

log = logging.getLogger(__name__)

_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, AssertionError, struct.error)
"""What paho raises when it can't decode a packet."""
_TAKEOVERS = 3
_TAKEOVERS_WITHIN_S = 1_800.0
"""A broker that accepts a client and hangs up, so often within this time and without another failure between, s."""
_FLUSH_S = 3.0
"""Unless the caller says otherwise, what is still to be written when a connection is closed has this long, s."""


class BrokerConnection:
    """
    The connection, whether it is up or being made again; its users override the methods that begin with `on_`.

    Args:
        broker: Where to.
        session: Who connects, and what the broker keeps.
        label: What log lines begin with, for whoever has several connections.
        wake: Called from another thread when there is something to do; else :meth:`wait` notices it.
        limits: What a connection may take.
        now_s: Monotonic real time, s.
        jitter: Returns a random number between two.

    Attributes:
        state: In words.
        up: Whether the broker has accepted this connection.
        reached: Whether the last try got as far as sending CONNECT.
        cause: Why the last connection, or the last try, ended; empty if none has.
    """

    def __init__(
        self,
        broker: Broker,
        session: Session,
        *,
        label: str = "",
        wake: Callable[[], None] | None = None,
        limits: Limits = LIMITS,
        now_s: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.state = "not connected yet"
        self.up = False
        self.reached = False
        self.cause = ""
        self.broker = broker
        self.session = session
        self.limits = limits
        self.now_s = now_s
        self._label = f"{label}: " if label else ""
        self._woken = threading.Event()
        self._wake = self._woken.set if wake is None else wake
        self._jitter = jitter
        self._back_off = BackOff(limits.shortest_wait_s, limits.longest_wait_s, jitter)
        self._connector: Connector | None = None
        self._client: BoundedClient | None = None
        self._changed_s = 0.0
        self._wait_until_s = 0.0
        self._permanent = False
        self._code: int | None = None
        self._hang_ups: list[float] = []
        self._logged = ("", -limits.log_again_s)
        self._unanswered: dict[int, tuple[Any, float]] = {}
        self._loss: PublishError | None = None
        self._busy = False

    @property
    def taken_over(self) -> str:
        """What it means when another client takes this one's session, for a technician."""
        return PERMANENT[TAKEN_OVER]

    # --- what a user overrides ---------------------------------------------------------------------------------------

    def on_welcome(self, welcome: Welcome) -> None:
        """Do what is to be done first on a new connection."""

    def on_idle(self, now_s: float) -> None:
        """Publish what waits; called in each turn while the connection is up."""

    def on_acknowledged(self, tag: Any, reason: ReasonCode) -> None:
        """Note that the broker has answered what was published with *tag*."""

    def on_message(self, message: MQTTMessage) -> None:
        """Take a message."""

    def on_subscribed(self, reasons: list[ReasonCode]) -> None:
        """Note what the broker said to each topic filter."""

    def on_lost(self, loss: PublishError, code: int | None) -> None:
        """Note that the connection, or a try, has ended; *code* is the broker's reason code if it gave one."""

    # --- the caller's loop -------------------------------------------------------------------------------------------

    def sockets(self) -> tuple[Any, bool] | None:
        """Return the socket to wait for, and whether also for writing; None if there is none."""
        sock = self._client.socket() if self._client is not None else None
        return None if self._client is None or sock is None else (sock, self._client.want_write())

    def wait(self, longest_s: float) -> None:
        """Wait until there is something to do, at most *longest_s*; for a caller that waits for nothing else."""
        found = self.sockets()
        if self._busy:
            return
        if found is None:
            pause_s = max(0.0, self._wait_until_s - self.now_s())
            self._woken.wait(min(longest_s, pause_s) if self._connector is None else longest_s)
            self._woken.clear()
            return
        sock, writes = found
        poll = select.poll()
        poll.register(sock, select.POLLIN | (select.POLLOUT if writes else 0))
        poll.poll(longest_s * 1_000)

    def turn(self) -> None:
        """Do what can be done now without waiting: connect, read, write, publish, notice a dead connection."""
        now_s = self.now_s()
        if self._client is None:
            self._connect(now_s)
        if self._client is not None:
            self._exchange(self._client)
            if self._loss is None and self.up:
                self.on_idle(now_s)
            if self._loss is None and self._client is not None:
                self._check_answers(now_s)
        if self._loss is not None:
            self._drop(self._loss, now_s)

    def publish(self, topic: str, payload: bytes, tag: Any = None, *, retain: bool = False) -> None:
        """Publish with QoS 1; the answer comes to :meth:`on_acknowledged` with *tag*."""
        assert self._client is not None  # noqa: S101 - only while it is up
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self.lose("the connection broke")
        self._unanswered[info.mid] = (tag, self.now_s())

    def subscribe(self, filters: list[str]) -> None:
        """Subscribe with QoS 1; the answer comes to :meth:`on_subscribed`."""
        assert self._client is not None  # noqa: S101 - only while it is up
        code, mid = self._client.subscribe([(name, 1) for name in filters])
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            self.lose("the connection broke")
        else:
            self._unanswered[mid] = (None, self.now_s())

    def unsubscribe(self, filters: list[str]) -> None:
        """Ask for nothing more; what the broker has queued already still comes."""
        if self._client is not None:
            self._client.unsubscribe(filters)

    def acknowledge(self, mid: int, qos: int) -> None:
        """Acknowledge a message of this connection."""
        if self._client is not None and qos:
            with contextlib.suppress(OSError):
                self._client.ack(mid, qos)

    def unanswered(self) -> list[Any]:
        """Return the tags of what is published and not acknowledged."""
        return [tag for tag, _ in self._unanswered.values()]

    @property
    def healthy(self) -> bool:
        """Whether the connection goes on after this turn, as far as is known."""
        return self._loss is None

    @property
    def receives_unwanted(self) -> bool:
        """Whether the broker has published to this client, which hasn't subscribed to anything."""
        return self._client is not None and self._client.unwanted

    def lose(self, cause: str) -> None:
        """End this connection with the next turn: the broker can't be reached."""
        if self._loss is None:
            self.cause = cause
            self._loss = BrokerUnreachable(self.broker.host, self.broker.port, cause)

    def refuse(self, reason: str, *, permanent: bool, code: int | None = None) -> None:
        """End this connection with the next turn: the broker says no; *permanent*: until a person does something."""
        self.cause = reason
        self._loss = BrokerRefused(self.broker.host, self.broker.port, reason)
        self._permanent = permanent
        self._code = code

    def close(self, *, forget: bool = False, flush_s: float = _FLUSH_S) -> None:
        """
        Disconnect in good order: the broker doesn't publish the last will.

        Args:
            forget: The broker is to drop the session, too. MQTT 5 only.
            flush_s: What is still to be written has this long, s.
        """
        client = self._client
        if client is not None and self.up:
            client.on_disconnect = client.on_message = None
            properties = None
            if forget and self.broker.protocol == "5":
                properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
                properties.SessionExpiryInterval = 0
            with contextlib.suppress(*_UNREADABLE, OSError):
                client.flush(flush_s)
                client.disconnect(properties=properties)
                client.flush(flush_s)
        self._abandon()
        self.state = "closed"

    def reconnect(self, wait_s: float) -> None:
        """Disconnect in good order, and connect again after *wait_s*; nobody else notices, and `state` stays."""
        state = self.state
        self.close(flush_s=0.0)
        self.state = state
        self._wait_until_s = self.now_s() + wait_s

    # --- connecting --------------------------------------------------------------------------------------------------

    def _connect(self, now_s: float) -> None:
        if self._connector is None:
            if now_s >= self._wait_until_s:
                self._connector = Connector(self.broker, self.session, self.limits, self._wake)
            return
        result = self._connector.result
        if result is None:
            return
        self._connector = None
        self.reached = isinstance(result, BoundedClient)
        if isinstance(result, PublishError):
            self._loss = result
            self.cause = str(result).removeprefix(f"broker {self.broker.host}:{self.broker.port} can't be reached: ")
            return
        self._client = result
        self._changed_s = now_s
        result.on_connect = self._on_connect
        result.on_disconnect = self._on_disconnect
        result.on_publish = self._on_publish
        result.on_subscribe = self._on_subscribe
        result.on_message = self._on_message

    def _drop(self, loss: PublishError, now_s: float) -> None:
        """Let go of the connection without a word, so that the broker publishes the last will, and wait."""
        if self.up and now_s - self._changed_s >= self.limits.stable_s:
            self._back_off.succeeded()
        if not self.up:
            self._hang_ups.clear()
        self._abandon()
        permanent, self._permanent = self._permanent or isinstance(loss, PasswordFileError), False
        code, self._code = self._code, None
        wait_s = self._back_off.failed_for_long() if permanent else self._back_off.failed()
        self._wait_until_s = now_s + wait_s
        self.state = str(loss)
        self.log_once(logging.ERROR if permanent else logging.WARNING, f"{loss}; next try in {wait_s:.0f} s", str(loss))
        self.on_lost(loss, code)

    def log_connected(self) -> None:
        """Log that all is well, and that whatever comes next is news."""
        self._logged = ("", -self.limits.log_again_s)
        log.info("%sconnected to %s:%d", self._label, self.broker.host, self.broker.port)

    def log_once(self, level: int, sentence: str, what: str | None = None) -> None:
        """Log *sentence* unless *what* it says was the last thing that was logged here, not long ago."""
        what = sentence if what is None else what
        logged, logged_s = self._logged
        if what != logged or self.now_s() - logged_s >= self.limits.log_again_s:
            self._logged = (what, self.now_s())
            log.log(level, "%s%s", self._label, sentence)

    def _abandon(self) -> None:
        client, self._client = self._client, None
        self.up = self._busy = False
        self._loss = None
        self._unanswered.clear()
        if client is not None:
            client.on_connect = client.on_disconnect = client.on_publish = None
            client.on_subscribe = client.on_message = None
            sock = client.socket()
            if sock is not None:
                sock.close()

    # --- on the connection -------------------------------------------------------------------------------------------

    def _exchange(self, client: BoundedClient) -> None:
        """Take in what has arrived, put out what waits, and let paho keep the connection alive."""
        result = MQTTErrorCode.MQTT_ERR_SUCCESS
        try:
            for _ in range(self.limits.unacknowledged):
                handled = client.handled
                result = client.loop_read()
                # A TLS socket may hold bytes that poll() no longer sees: read until nothing comes.
                self._busy = client.handled != handled
                if result != MQTTErrorCode.MQTT_ERR_SUCCESS or not self._busy:
                    break
            if result == MQTTErrorCode.MQTT_ERR_SUCCESS and client.want_write():
                result = client.loop_write()
            if result == MQTTErrorCode.MQTT_ERR_SUCCESS:
                result = client.loop_misc()
        except (*_UNREADABLE, OSError) as exc:
            self.lose(f"it sent what can't be read ({type(exc).__name__})")
            return
        if client.foreign:
            self.lose("it sent what isn't meant for this client")
        elif result == MQTTErrorCode.MQTT_ERR_PROTOCOL:
            self.lose("it sent what can't be read")
        elif result != MQTTErrorCode.MQTT_ERR_SUCCESS or client.socket() is None:
            self.lose("the connection broke")

    def _check_answers(self, now_s: float) -> None:
        if not self.up and now_s - self._changed_s > self.limits.answer_s:
            self.lose("it doesn't answer CONNECT")
        elif any(now_s - sent_s > self.limits.answer_s for _, sent_s in self._unanswered.values()):
            self.lose("it acknowledges nothing; the connection is dead")

    def _refuse(self, reason: ReasonCode) -> None:
        code: int = reason.value
        said = self.taken_over if code == TAKEN_OVER else words(code, reason.getName())
        self.refuse(said, permanent=code in PERMANENT, code=code)

    def _closed_again(self) -> None:
        """Find a session that another client takes over: MQTT 3.1.1 has no word for it, and mosquitto 2.0 says none."""
        now_s = self.now_s()
        self._hang_ups = [then_s for then_s in self._hang_ups if now_s - then_s < _TAKEOVERS_WITHIN_S] + [now_s]
        if len(self._hang_ups) >= _TAKEOVERS:
            self.refuse(
                f"it accepts this client and hangs up, again and again; perhaps {self.taken_over}", permanent=True
            )

    # --- paho's callbacks, in this thread, inside loop_read() --------------------------------------------------------

    def _on_connect(
        self, _client: Client, _data: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._refuse(reason)
            return
        self.up = True
        self._changed_s = self.now_s()
        self.state = "connected"
        self.on_welcome(Welcome.of(flags, properties))

    def _on_disconnect(
        self, _client: Client, _data: Any, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        client = self._client
        if flags.is_disconnect_packet_from_server:
            self._refuse(reason)
        elif client is not None and client.closed_by_broker and not self.up:
            self.lose("it closed the connection before it had answered")
        elif client is not None and client.closed_by_broker:
            self.lose("it closed the connection")
            self._closed_again()

    def _on_publish(
        self, _client: Client, _data: Any, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if mid in self._unanswered:
            self.on_acknowledged(self._unanswered.pop(mid)[0], reason)

    def _on_subscribe(
        self, _client: Client, _data: Any, mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        self._unanswered.pop(mid, None)
        self.on_subscribed(reasons)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self.on_message(message)
