"""The MQTT topics that a box publishes to, and the two words of its status; docs/asyncapi.yaml is the contract."""

from __future__ import annotations

import re

NAME_PATTERN = r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?"
"""A site's, camera's or line's name, without anchors: 1 to 32 lower-case letters, digits and inner dashes."""

ONLINE = b"online"
"""Payload of the status topic while a camera's box is connected."""
OFFLINE = b"offline"
"""Payload of the status topic after a camera's box has left; also its last will."""

_HOUR = re.compile(rf"footfall/v1/({NAME_PATTERN})/({NAME_PATTERN})/hour")
_STATUS = re.compile(rf"footfall/v1/({NAME_PATTERN})/({NAME_PATTERN})/status")


def hour_topic(site: str, camera: str) -> str:
    """Return the topic of a camera's hours."""
    return f"footfall/v1/{site}/{camera}/hour"


def status_topic(site: str, camera: str) -> str:
    """Return the topic that says whether a camera's box is connected."""
    return f"footfall/v1/{site}/{camera}/status"


def parse_hour_topic(topic: str) -> tuple[str, str] | None:
    """Return site and camera of a topic of hours; None for any other topic."""
    return _names(_HOUR.fullmatch(topic))


def parse_status_topic(topic: str) -> tuple[str, str] | None:
    """Return site and camera of a status topic; None for any other topic."""
    return _names(_STATUS.fullmatch(topic))


def _names(found: re.Match[str] | None) -> tuple[str, str] | None:
    return None if found is None else (found[1], found[2])
