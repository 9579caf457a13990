"""The limits of every MQTT connection of this program, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """
    How long a connection waits, and how much it takes from a broker and sends to it.

    Attributes:
        connect_s: TCP, TLS and the sending of CONNECT each take at most this long, s.
        answer_s: A connection on which CONNACK, PUBACK or SUBACK takes longer is dead, s.
        stable_s: A connection that lasted this long, s, starts the back-off anew when it breaks.
        shortest_wait_s: No reconnection begins earlier than this after a failure, s.
        longest_wait_s: No reconnection begins later than this after a failure, s. Ten thousand boxes that come back
            spread over it are 33 TLS handshakes a second.
        log_again_s: A failure that stays the same is logged again after this, s.
        control_bytes: A packet that isn't a PUBLISH has at most so many bytes.
        publish_bytes: A PUBLISH has at most so many bytes; an hour has less than 2 KiB.
        in_flight: So many PUBLISH of ours may be unacknowledged at once.
        unacknowledged: So many PUBLISH of the broker's may be unacknowledged at once; the broker keeps the rest.
    """

    connect_s: float = 15.0
    answer_s: float = 30.0
    stable_s: float = 60.0
    shortest_wait_s: float = 1.0
    longest_wait_s: float = 300.0
    log_again_s: float = 1_800.0
    control_bytes: int = 65_536
    publish_bytes: int = 1_048_576
    in_flight: int = 8
    unacknowledged: int = 2_000


LIMITS = Limits()
"""What holds unless a user of a connection has reason to wait for less long."""
