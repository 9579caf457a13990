"""
What the trial's headquarters hears: a plain subscriber that knows nothing of the box, and what makes an hour good.

What it can't learn from the broker, headquarters couldn't either.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from edge.config.schema import Broker
from edge.core.errors import BrokerUnreachable, PublishError
from edge.mqtt.client import Session
from edge.mqtt.subscription import Message, Subscription

SITE, CAMERA, LINE = "demo", "door", "entrance"
ZONE = "Asia/Shanghai"
HOUR_TOPIC = f"footfall/v1/{SITE}/{CAMERA}/hour"
STATUS_TOPIC = f"footfall/v1/{SITE}/{CAMERA}/status"
_ANSWER_S = 10.0
"""A broker that hasn't accepted the subscription by then is no broker, s."""
_TURN_S = 0.2


class _Listener(Subscription):
    """A subscription to everything."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker, Session(""), ["#"])
        self.ended: PublishError | None = None

    def begin(self) -> None:
        """Return when the broker has accepted the subscription, or when it is known that it won't."""
        until_s = self.now_s() + _ANSWER_S
        while not self.ready and self.ended is None and self.now_s() < until_s:
            self.wait(_TURN_S)
            self.turn()

    def on_lost(self, loss: PublishError, _code: int | None) -> None:
        """Note why; the next turns connect again."""
        self.ready = False
        self.ended = loss

    def log_connected(self) -> None:
        """Log nothing: that the demo goes on says it."""

    def log_once(self, level: int, sentence: str, what: str | None = None) -> None:
        """Log nothing: the demo says what went wrong."""


class Headquarters:
    """
    A plain subscriber to every topic of a broker, MQTT 5 or, where the broker can't, 3.1.1.

    Attributes:
        protocol: The version that the broker speaks, as the config writes it.

    Raises:
        BrokerUnreachable, BrokerRefused: there is nothing to listen to.
    """

    def __init__(self, host: str, port: int) -> None:
        for self.protocol in ("5", "3.1.1"):
            settings = {"host": host, "port": port, "tls": False, "protocol": self.protocol}
            self._listener = _Listener(Broker.model_validate(settings))
            self._listener.begin()
            if self._listener.ready:
                return
            self.close()
            if not self._listener.reached:
                break
        raise self._listener.ended or BrokerUnreachable(host, port, f"no answer to MQTT within {_ANSWER_S:g} s")

    def receive(self, longest_s: float) -> list[Message]:
        """Return what has arrived; wait for it at most *longest_s*."""
        messages = self._listener.receive(longest_s)
        self._listener.acknowledge_all(messages)
        return messages

    def close(self) -> None:
        """Leave the broker."""
        self._listener.close()


def find_fault(payload: bytes) -> str | None:
    """Return what keeps *payload* from being an hour that headquarters could book, or None."""
    try:
        hour = json.loads(payload)
    except ValueError as exc:
        return f"it isn't JSON: {exc}"
    if not isinstance(hour, dict):
        return "it isn't a JSON object"
    for name in ("in", "out", "revision"):
        value = hour.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            return f'"{name}" should be a whole number, but is {value!r}'
    for name, expected in (("site", SITE), ("camera", CAMERA), ("timezone", ZONE)):
        if hour.get(name) != expected:
            return f'"{name}" should be {expected}, but is {hour.get(name)!r}'
    if "trial" not in hour.get("flags", []):
        return "it was counted on a trial's clock, but doesn't carry the flag \"trial\""
    return None


@dataclass(slots=True)
class Received:
    """What has arrived so far."""

    hour: Message | None = None
    others: list[Message] = field(default_factory=list)
    offline: bool = False

    def add(self, message: Message) -> None:
        """Note a message; the first hour is the trial's."""
        if message.topic == HOUR_TOPIC and self.hour is None:
            self.hour = message
            return
        self.others.append(message)
        if message.topic == STATUS_TOPIC:
            self.offline = message.payload == b"offline"
