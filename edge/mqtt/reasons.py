"""What a broker's reason codes mean to a technician."""

from __future__ import annotations

NO_SUBSCRIBER = 0x10
"""Success, but nobody subscribes to the topic."""
TAKEN_OVER = 0x8E
"""Another client has connected under the same client id."""
_FAILURE = 0x80

PERMANENT = {
    0x84: "it doesn't speak this version of MQTT; set `protocol` in `broker`",
    0x85: "it doesn't accept this client's name",
    0x86: "user name or password is wrong",
    0x87: "this user may not do that",
    0x8A: "this client is banned",
    0x8C: "it wants another way to log in",
    0x8E: "another client has connected under the same name",
    0x95: "a message is larger than it accepts; raise its maximum packet size",
    0x9A: "it doesn't keep retained messages",
    0x9B: "it doesn't offer QoS 1",
}
"""Reason codes that a quick retry can't mend, and what to do."""


def is_failure(code: int) -> bool:
    """Tell whether a reason code says no."""
    return code >= _FAILURE


def words(code: int, name: str) -> str:
    """Return what *code* means, in the words above or else as its *name* in the standard."""
    return PERMANENT.get(code, name.lower())
