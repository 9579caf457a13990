"""
From a topic and its bytes to an hour that can be stored, or to the reason why not. Pure.

Whatever a box, a stranger or a broken box publishes ends here as an :class:`~edge.core.hour.Hour` or as an
:class:`~edge.core.errors.HourUnfit`, and as nothing else.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from edge.core.errors import HourUnfit
from edge.core.hour import SCHEMA, TEST, Hour
from edge.core.time_zone import is_time_zone
from edge.core.topics import parse_hour_topic

LARGEST = 65_536
"""Most bytes of a message; an hour of eight lines has about 700."""
_AHEAD = timedelta(minutes=10)
"""A collector's clock may be this much behind a box's."""
_OLDEST = timedelta(days=500)
"""Hours that began longer ago are refused; a box keeps hours for 400 days."""


def receive(topic: str, payload: bytes, now: datetime, *, trial: bool = False) -> Hour:
    """
    Return the hour that *payload* holds.

    Args:
        topic: Where it was published.
        payload: Any bytes.
        now: Headquarters' own time.
        trial: Take hours of a trial's made-up clock, too, at whatever time they say they were.

    Raises:
        HourUnfit: with one of the reasons `topic`, `oversized`, `garbage`, `schema`, `invalid`, `names`, `test`,
            `trial`, `future`, `ancient`.
    """
    names = parse_hour_topic(topic)
    if names is None:
        raise HourUnfit("topic", f"{topic[:200]} isn't footfall/v1/<site>/<camera>/hour")
    if len(payload) > LARGEST:
        raise HourUnfit("oversized", f"{len(payload)} bytes; an hour has at most {LARGEST}")
    try:
        hour = Hour.decode(payload)
    except ValidationError as exc:
        raise _unfit(payload, exc) from exc
    if not is_time_zone(hour.timezone):
        raise HourUnfit("invalid", "timezone: is no time zone that is known here")
    if (hour.site, hour.camera) != names:
        raise HourUnfit("names", f"it says {hour.site}/{hour.camera}, but came as {'/'.join(names)}")
    if _is_trial(hour, trial=trial):
        return hour
    if hour.end > now + _AHEAD:
        raise HourUnfit(
            "future", f"it ends at {stamp(hour.end)}, but it is {stamp(now)}: a clock is wrong, there or here"
        )
    if hour.start < now - _OLDEST:
        raise HourUnfit(
            "ancient", f"it starts at {stamp(hour.start)}, before a box could have kept it: its clock is wrong"
        )
    return hour


def _is_trial(hour: Hour, *, trial: bool) -> bool:
    """Tell whether the hour is of a made-up clock; raises HourUnfit if it is, and *trial* is False, or for a test."""
    if TEST in hour.flags:
        raise HourUnfit(TEST, f"`footfall send-test` sent it at {stamp(hour.start)}; it counts nobody")
    if "trial" in hour.flags and not trial:
        raise HourUnfit("trial", "its clock was made up for a trial; it is no hour that ever was")
    return "trial" in hour.flags


def stamp(moment: datetime) -> str:
    """Return *moment* as UTC text that sorts as time does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _unfit(payload: bytes, error: ValidationError) -> HourUnfit:
    faults = error.errors(include_url=False, include_input=False)
    if faults[0]["type"] == "json_invalid":
        return HourUnfit("garbage", "it isn't JSON")
    version = _version(payload)
    if version is not None and version != SCHEMA:
        return HourUnfit(
            "schema", f"its schema is {str(version)[:40]}; this collector knows {SCHEMA}: is there a newer one?"
        )
    said = "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']) or 'hour'}: {fault['msg']}" for fault in faults[:5]
    )
    return HourUnfit("invalid", said[:1000])


def _version(payload: bytes) -> Any:
    try:
        told = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return told.get("schema") if isinstance(told, dict) else None
