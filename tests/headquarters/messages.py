"""Messages as boxes make them: the product's own encoder, on hours made up here."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from edge.core.hour import HOUR_MS, Hour, Source

NOW = datetime(2026, 11, 7, 12, 0, tzinfo=UTC)
SITE, CAMERA = "sh-023", "door-a"
TOPIC = f"footfall/v1/{SITE}/{CAMERA}/hour"


def told(
    start: datetime = NOW - timedelta(hours=2),
    *,
    site: str = SITE,
    camera: str = CAMERA,
    in_: int = 48,
    out: int = 41,
    watched_ms: int = HOUR_MS,
    revision: int = 1,
    flags: Iterable[str] = (),
    zone: str = "Asia/Shanghai",
    **more: Any,
) -> bytes:
    """Return the bytes that a box sends of one hour."""
    start_ms = round(start.timestamp() * 1000)
    source = Source(site, camera, ZoneInfo(zone), "head-test 1")
    end_ms = start_ms + more.get("length_ms", HOUR_MS)
    return Hour.counted(
        source, start_ms, end_ms, {"entrance": (in_, out)}, watched_ms=watched_ms, flags=flags, revision=revision
    ).encode()


def recent(hours: int) -> list[datetime]:
    """Return the starts of the last *hours* full hours that have ended, by this machine's clock."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)  # noqa: TID251 - the collector asks the real clock
    return [now - timedelta(hours=hours - number) for number in range(hours)]


def publish(port: int, topic: str, *payloads: bytes, retain: bool = False) -> None:
    """Publish with a program that isn't ours; each must be one line, but a single one may be anything."""
    common = ["mosquitto_pub", "-p", str(port), "-V", "mqttv5", "-q", "1", "-t", topic, *(["-r"] if retain else [])]
    how = ["-s"] if len(payloads) == 1 else ["-l"]
    subprocess.run([*common, *how], input=b"\n".join(payloads), check=True, timeout=300)
