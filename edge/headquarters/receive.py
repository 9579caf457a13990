"""
From a topic and its bytes to an hour that can be stored, or to the reason why not. Pure.

Whatever a box, a stranger or a broken box publishes ends here as an :class:`~edge.core.hour.Hour` or as an
:class:`~edge.headquarters.errors.HourUnfit`, and as nothing else.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from edge.core.hour import SCHEMA, TEST, Hour
from edge.core.hour_edges import QUARTER_MS, hour_at
from edge.core.printable import printable
from edge.core.time_zone import is_time_zone
from edge.core.topics import parse_hour_topic
from edge.headquarters.errors import HourUnfit

LARGEST = 65_536
"""Most bytes of a message; an hour of eight lines has about 700."""
_AHEAD = timedelta(minutes=10)
"""A collector's clock may be this much behind a box's."""
_OLDEST = timedelta(days=500)
"""Hours that began longer ago are refused; a box keeps hours for 400 days."""
_MOST_REVISIONS = 10_000
"""A higher revision is refused. A box corrects an hour at most once an hour, and keeps it for 400 days: 9,600 times."""


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
            `trial`, `future`, `ancient`, `revision`, `offset`, `edges`. The detail is safe to show on a terminal.
    """
    names = parse_hour_topic(topic)
    if names is None:
        raise HourUnfit("topic", f"{printable(topic, 200)} isn't footfall/v1/<site>/<camera>/hour")
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
    _check_edges(hour)
    return hour


def _is_trial(hour: Hour, *, trial: bool) -> bool:
    """Tell whether the hour is of a made-up clock; raises HourUnfit if it is, and *trial* is False, or for a test."""
    if TEST in hour.flags:
        raise HourUnfit(TEST, f"`footfall send-test` sent it at {stamp(hour.start)}; it counts nobody")
    if "trial" in hour.flags and not trial:
        raise HourUnfit("trial", "its clock was made up for a trial; it is no hour that ever was")
    return "trial" in hour.flags


def _check_edges(hour: Hour) -> None:
    """Raise HourUnfit for an hour that no box closes: at odd moments, with a wrong offset, or revised too often."""
    if hour.revision > _MOST_REVISIONS:
        raise HourUnfit(
            "revision",
            f"its revision is {hour.revision}; a box can't have corrected an hour so often: its ledger is wrong",
        )
    zone = ZoneInfo(hour.timezone)
    for name, moment in (("start", hour.start), ("end", hour.end)):
        offset = moment.astimezone(zone).utcoffset()
        if moment.utcoffset() != offset:
            raise HourUnfit(
                "offset",
                f"{name} is {moment.isoformat()}, but {hour.timezone} has another offset then: "
                f"{moment.astimezone(zone).isoformat()}. The time zone data of one side is old, or the box is wrong",
            )
    # The first hour after a change of zone may begin later than clocks show :00, but never off the quarters.
    if hour_at(hour.start_ms, zone).end_ms != hour.end_ms or hour.start_ms % QUARTER_MS:
        raise HourUnfit(
            "edges",
            f"it lasts from {hour.start.isoformat()} to {hour.end.isoformat()}: hours end when clocks there show :00",
        )


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
            "schema",
            f"its schema is {printable(str(version), 40)}; this collector knows {SCHEMA}: is there a newer one?",
        )
    said = "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']) or 'hour'}: {fault['msg']}" for fault in faults[:5]
    )
    return HourUnfit("invalid", printable(said, 1000))


def _version(payload: bytes) -> Any:
    try:
        told = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return told.get("schema") if isinstance(told, dict) else None
