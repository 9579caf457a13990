"""Making one connection without holding up the caller, and what the broker says to it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from paho.mqtt.client import ConnectFlags
from paho.mqtt.properties import Properties

from edge.config.schema import Broker
from edge.core.errors import BrokerUnreachable, PublishError
from edge.mqtt.client import BoundedClient, Session, open_client
from edge.mqtt.limits import Limits


@dataclass(frozen=True, slots=True)
class Welcome:
    """
    What the broker said when it accepted the connection.

    Attributes:
        session_present: It still has the session of an earlier connection.
        receive_maximum: So many PUBLISH may be unacknowledged at once.
        largest_packet: It takes packets of at most so many bytes; None: it doesn't say.
        keeps_retained, offers_qos_1, shares: What it can do; MQTT 3.1.1 doesn't say, and then it is taken for granted.
    """

    session_present: bool
    receive_maximum: int
    largest_packet: int | None
    keeps_retained: bool
    offers_qos_1: bool
    shares: bool

    @classmethod
    def of(cls, flags: ConnectFlags, properties: Properties | None) -> Welcome:
        """Return what a CONNACK says."""
        return cls(
            session_present=flags.session_present,
            receive_maximum=getattr(properties, "ReceiveMaximum", 0xFFFF),
            largest_packet=getattr(properties, "MaximumPacketSize", None),
            keeps_retained=getattr(properties, "RetainAvailable", 1) != 0,
            offers_qos_1=getattr(properties, "MaximumQoS", 1) != 0,
            shares=getattr(properties, "SharedSubscriptionAvailable", 1) != 0,
        )


class Connector:
    """Makes one connection, in a thread of its own that shares nothing but its result."""

    def __init__(self, broker: Broker, session: Session, limits: Limits, wake: Callable[[], None]) -> None:
        self.result: BoundedClient | PublishError | None = None
        self._broker = broker
        self._session = session
        self._limits = limits
        self._wake = wake
        threading.Thread(target=self._run, name=f"connect {session.name}", daemon=True).start()

    def _run(self) -> None:
        broker = self._broker
        try:
            self.result = open_client(broker, self._session, self._limits)
        except PublishError as exc:
            self.result = exc
        except (OSError, ValueError) as exc:
            self.result = BrokerUnreachable(broker.host, broker.port, _cause(exc))
        self._wake()


def _cause(error: Exception) -> str:
    words = getattr(error, "strerror", None) or str(error)
    file = getattr(error, "filename", None)
    return f"{file}: {words}" if file else words
