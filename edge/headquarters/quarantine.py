"""What could not be stored as an hour: shown to people, and judged again when a rule or a clock has changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from edge.core.clock import Clock
from edge.core.printable import printable
from edge.headquarters.address import open_reader, open_store
from edge.headquarters.collect import judge
from edge.headquarters.store.batch import Outcome, rejudged


def show(store_url: str, reason: str | None, limit: int) -> Iterator[str]:
    """
    Yield how many messages there are by reason, and a line for each of the newest *limit*.

    Raises:
        StoreUnusable: the store can't be read.
    """
    store = open_reader(store_url)
    try:
        counts = store.quarantined()
        yield ", ".join(f"{count} {why}" for why, count in counts.items()) or "nothing is in quarantine"
        for seen, topic, why, detail, times in store.quarantine_list(reason, limit):
            repeated = f" ({times} times)" if times > 1 else ""
            yield f"{seen:%Y-%m-%dT%H:%MZ} {why}: {printable(topic, 200)}: {printable(detail, 400)}{repeated}"
    finally:
        store.close()


def rejudge(store_url: str, clock: Clock, *, trial: bool = False, reason: str | None = None) -> Outcome:
    """
    Judge again what is in quarantine, or what has *reason* of it; store what passes now, and return what came of it.

    Raises:
        StoreUnusable: the store can't be read or written.
    """
    store = open_store(store_url)
    now = datetime.fromtimestamp(clock.wall_ms() / 1000, UTC)
    try:
        total = Outcome()
        for unfit in list(rejudged(store.quarantine())):
            if reason is not None and unfit.fault.reason != reason:
                continue
            batch = judge([(unfit.topic, unfit.payload)], now, trial=trial)
            if batch.hours:
                stored = store.add(batch, now)
                total.add(stored)
                if not stored.quarantined:
                    store.release(unfit)
        return total
    finally:
        store.close()
