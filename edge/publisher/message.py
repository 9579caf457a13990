"""An hour -> the bytes that headquarters receives, and their topics. Pure; docs/hour.schema.json is the contract."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import edge
from edge.publisher.hours import Hour

SCHEMA = 1
SOFTWARE = f"footfall-edge {edge.__version__}"
ONLINE = b"online"
OFFLINE = b"offline"


def hour_topic(site: str, camera: str) -> str:
    """Return the topic of a camera's hours."""
    return f"footfall/v1/{site}/{camera}/hour"


def status_topic(site: str, camera: str) -> str:
    """Return the topic that says whether a camera's box is there."""
    return f"footfall/v1/{site}/{camera}/status"


def rfc3339(moment_ms: int, zone: ZoneInfo) -> str:
    """Return the moment with the offset that holds in *zone* at it."""
    return datetime.fromtimestamp(moment_ms // 1000, zone).isoformat(timespec="seconds")


def encode(hour: Hour, *, site: str, camera: str, zone: ZoneInfo, revision: int, model: str) -> bytes:
    """Return the message: one compact JSON object, UTF-8, keys in the contract's order."""
    return json.dumps(
        {
            "schema": SCHEMA,
            "site": site,
            "camera": camera,
            "start": rfc3339(hour.span.start_ms, zone),
            "end": rfc3339(hour.span.end_ms, zone),
            "timezone": zone.key,
            "revision": revision,
            "lines": {name: {"in": in_, "out": out} for name, (in_, out) in hour.lines.items()},
            "in": sum(in_ for in_, _ in hour.lines.values()),
            "out": sum(out for _, out in hour.lines.values()),
            "watched_s": round(hour.watched_ms / 1000),
            "flags": sorted(hour.flags),
            "software": SOFTWARE,
            "model": model,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def differs(older: bytes, newer: bytes, *, flags: bool = True) -> bool:
    """Tell whether two messages of one hour count or watch something else or, if *flags*, give other reasons."""
    return _substance(older, flags=flags) != _substance(newer, flags=flags)


def decode(payload: bytes) -> tuple[dict[str, tuple[int, int]], int, frozenset[str]]:
    """Return what an hour's message says: each line's in and out, ms watched, flags."""
    message: dict[str, Any] = json.loads(payload)
    lines = {name: (count["in"], count["out"]) for name, count in message["lines"].items()}
    return lines, message["watched_s"] * 1000, frozenset(message["flags"])


def _substance(payload: bytes, *, flags: bool) -> tuple[object, ...]:
    lines, watched_ms, reasons = decode(payload)
    return {name: count for name, count in lines.items() if any(count)}, watched_ms, reasons if flags else None
