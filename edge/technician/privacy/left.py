"""Tells what the ledger says has left the box: the publisher's word, which a captured publisher may have made up."""

from __future__ import annotations

from datetime import UTC, datetime

from edge.config.schema import PublisherSettings
from edge.core.errors import LedgerError
from edge.core.topics import hour_topic, status_topic
from edge.publisher.ledger.view import LedgerView
from edge.technician.privacy.finding import Section

_MOST_TOPICS = 64


def tell(settings: PublisherSettings, now_ms: int) -> Section:
    """Return what was acknowledged in the last 24 hours, and what waits."""
    section = Section("what left this box in the last 24 hours, by the publisher's word")
    try:
        with LedgerView.opened(settings.ledger) as ledger:
            rows, waiting = ledger.acknowledged_last_day(now_ms), ledger.backlog()
    except LedgerError as exc:
        section.tell("ledger", f"can't be read: {exc}")
        return section
    topics: dict[str, list[int]] = {}
    for row in rows:
        topics.setdefault(hour_topic(settings.site, row.camera), []).append(len(row.payload))
    for topic, sizes in list(topics.items())[:_MOST_TOPICS]:
        section.tell(topic, f"{len(sizes)} messages, {sum(sizes)} bytes")
    if len(topics) > _MOST_TOPICS:
        section.tell("more topics", len(topics) - _MOST_TOPICS)
    for camera in settings.cameras:
        section.tell(status_topic(settings.site, camera.name), "the words online and offline")
    section.tell("waiting to be sent", f"{waiting} messages")
    if rows and rows[-1].delivered_ms is not None:
        last = rows[-1]
        at = datetime.fromtimestamp(rows[-1].delivered_ms / 1000, UTC)
        section.tell("acknowledged last", f"{at:%Y-%m-%d %H:%M:%S} UTC, {len(last.payload)} bytes, whole:")
        section.tell("", last.payload.decode(errors="replace"))
    return section
