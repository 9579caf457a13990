"""A chain of four shops over more than a year, with what goes wrong in shops, for reports. Seeded."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from edge.headquarters.collect import judge
from edge.headquarters.store.store import Store
from tests.headquarters.messages import told

LAST = datetime(2026, 11, 8, tzinfo=UTC)
"""The first moment after the newest hour."""
SHOPS = {
    "berlin-mitte": ("Europe/Berlin", {"door-a": 1.0, "door-b": 0.45}),
    "shanghai-023": ("Asia/Shanghai", {"door-a": 1.6}),
    "kathmandu": ("Asia/Kathmandu", {"main": 0.7}),
    "porto": ("Europe/Lisbon", {"street": 0.55, "arcade": 0.3}),
}
_DAYS = 95


def _busy(local: datetime) -> float:
    """Return how full a shop is at that hour, 0 to 1; Saturdays are best, Sundays closed."""
    if local.weekday() == 6 or not 9 <= local.hour < 20:
        return 0.0
    peak = math.exp(-(((local.hour - 17) / 3.2) ** 2)) + 0.55 * math.exp(-(((local.hour - 12) / 1.8) ** 2))
    return peak * (0.62, 0.58, 0.64, 0.7, 0.85, 1.0)[local.weekday()]


def messages(sites: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield topic and payload of every hour that was told, this year's and last year's."""
    for site in sites:
        dice = random.Random(site)
        zone_name, cameras = SHOPS[site]
        zone = ZoneInfo(zone_name)
        for camera, size in cameras.items():
            for back in (364, 0):
                start = LAST - timedelta(days=_DAYS + back)
                if zone_name.endswith("Kathmandu"):
                    start += timedelta(minutes=15)
                while start + timedelta(hours=1) <= LAST - timedelta(days=back):
                    payload = _hour(dice, site, camera, size * (0.93 if back else 1), start, zone, this_year=not back)
                    if payload is not None:
                        yield f"footfall/v1/{site}/{camera}/hour", payload
                    start += timedelta(hours=1)


def _hour(
    dice: random.Random, site: str, camera: str, size: float, start: datetime, zone: ZoneInfo, *, this_year: bool
) -> bytes | None:
    local = start.astimezone(zone)
    full = _busy(local)
    age = (LAST - start).days
    people = dice.gauss(130 * size * full, 9 * math.sqrt(size * full) + 0.01) if full else 0.0
    in_ = max(0, round(people))
    out = max(0, round(in_ * dice.uniform(0.93, 1.03)))
    watched_ms, flags = 3_600_000, set[str]()
    if not full:
        in_ = out = watched_ms = 0
        flags = {"closed"}
    if this_year and site == "porto" and camera == "street" and 9 <= age <= 12:
        return None  # the box was unplugged for four days
    if this_year and site == "berlin-mitte" and camera == "door-b" and 3 <= age <= 4 and full:
        in_, out, watched_ms, flags = in_ // 4, out // 4, 700_000, {"covered"}
    if this_year and site == "kathmandu" and full:
        out = round(out * 0.62)  # the line lies badly
    if this_year and site == "shanghai-023" and local.hour == 19 and full and local.weekday() < 3:
        in_, out, watched_ms, flags = in_ // 3, out // 3, 1_200_000, {"dark"}
    return told(start, site=site, camera=camera, in_=in_, out=out, watched_ms=watched_ms, flags=flags, zone=str(zone))


def fill(store: Store, sites: Sequence[str] = tuple(SHOPS)) -> None:
    """Book all of it."""
    everything = list(messages(sites))
    for part in (everything[at : at + 5_000] for at in range(0, len(everything), 5_000)):
        now = LAST + timedelta(hours=1)
        outcome = store.add(judge(part, now), now)
        assert len(part) == outcome.stored, outcome
