"""
A ledger that release 865bbaf has written, in the middle of its work, goes on under this program.

ledger_865bbaf/ledger.sqlite.gz was made by that release's own code: two cameras through the night in which clocks were
set back, hours that were sent and hours that wait, readings thrown away after 48 hours, a clock that turned out an hour
slow (revisions), a boot that never knew the time, and one that runs. story.json.gz has the rows of it, and the rows
that release 865bbaf made of it when it went on as `go_on` does.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.config.schema import PublisherSettings
from edge.core.hour import HOUR_MS, SOFTWARE, Hour
from edge.core.tally import Tally
from edge.publisher.ledger.view import LedgerView
from tests.publisher.rig import Box, Walkers

FOLDER = Path(__file__).with_name("ledger_865bbaf")
STORY: dict[str, Any] = json.loads(gzip.decompress((FOLDER / "story.json.gz").read_bytes()))
SECOND = "door-b: {source: /dev/video1, lines: {exit: {from: [0.1, 0.5], to: [0.9, 0.5], inside: [0.5, 0.9]}}}"
OPEN = 'open: {fri: "09:00-20:00", sat: "09:00-20:00", sun: "12:00-18:00", mon: "09:00-20:00"}'
LINES = {"door-a": "entrance", "door-b": "exit"}
SENT_BY = "footfall-edge 0.1.0"
"""The name of the program that made the rows."""


@pytest.fixture(name="bench")
def _bench(tmp_path: Path, settings: Callable[..., PublisherSettings]) -> Box:
    """Return a box with that ledger, in the boot in which 865bbaf left it."""
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(gzip.decompress((FOLDER / "ledger.sqlite.gz").read_bytes()))
    at = STORY["at"]
    made = settings(timezone="Europe/Berlin", second=SECOND, open=OPEN, folder=tmp_path)
    bench = Box(made, "2026-10-26T00:00:00+00:00", boot_id=at["boot_id"], opened=False)
    bench.clock.boot, bench.clock.wall = at["boot"], at["wall"]
    return bench


def walkers() -> dict[str, Walkers]:
    """Return the odometers where they stood."""
    made = {}
    for camera, was in STORY["at"]["walkers"].items():
        walker = Walkers(run=was["run"], boot_ms=was["began_ms"], line=LINES[camera])
        walker.sequence, walker.in_, walker.out, walker.watched_ms = (
            was[key] for key in ("sequence", "in", "out", "watched_ms")
        )
        made[camera] = walker
    return made


def let(bench: Box, who: dict[str, Walkers], hours: float, in_: int, step_s: int) -> None:
    """Let *hours* pass, *in_* people in and one out with each reading."""
    for _ in range(round(hours * 3600 / step_s)):
        bench.clock.advance(step_s * 1000)
        for camera, walker in who.items():
            reading: Tally = walker.reading(bench.clock.boot, in_=in_, out=1)
            bench.builder.take(camera, [reading])
        bench.builder.turn()


def go_on(bench: Box) -> None:
    """Let three hours pass, two by a clock that says fifty hours less, and two days in which readings are pruned."""
    who = walkers()
    let(bench, who, 3, 2, 300)
    bench.clock.wall -= 50 * HOUR_MS
    let(bench, who, 2, 1, 300)
    bench.clock.wall += 50 * HOUR_MS
    let(bench, who, 52, 1, 600)


def rows(path: Path) -> list[dict[str, Any]]:
    """Return all rows of hours, as any program would read them."""
    keys = ("camera", "start_ms", "end_ms", "revision", "payload", "closed_ms", "delivered_ms", "settled")
    connection = sqlite3.connect(path)
    found = connection.execute(
        "SELECT camera, start_ms, end_ms, revision, payload, closed_ms, delivered_ms, settled FROM hours"
        " ORDER BY camera, start_ms, revision"
    ).fetchall()
    connection.close()
    return [dict(zip(keys, row, strict=True)) for row in found]


def as_told(story: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of the story with their payload as bytes."""
    return [{**row, "payload": row["payload"].encode()} for row in story]


def test_the_fixture_holds_what_it_says() -> None:
    """Hours sent and waiting, more than one revision, final hours, and readings that are not."""
    before = STORY["before"]

    assert {True, False} == {row["delivered_ms"] is None for row in before}
    assert {1, 2} == {row["revision"] for row in before}
    assert {0, 1} == {row["settled"] for row in before}
    assert 2 < max(row["revision"] for row in STORY["after"])


def test_it_keeps_its_hours(bench: Box) -> None:
    """Opened and closed, every row is as it was, byte for byte; nothing was set aside; each payload is an hour."""
    bench.open()
    latest = {camera: bench.ledger.latest(camera, 0) for camera in LINES}
    waiting = {row.key for camera in LINES for row in bench.builder.outbox(camera, 1000)}
    bench.kill()
    path = bench.settings.ledger

    assert as_told(STORY["before"]) == rows(path)
    assert [] == list(path.parent.glob("*aside*"))
    assert all(row.hour is not None and row.hour.encode() == row.payload for many in latest.values() for row in many)
    assert waiting == {
        (row["camera"], row["start_ms"], row["revision"]) for row in STORY["before"] if row["delivered_ms"] is None
    }


def test_it_goes_on_as_its_own_release_did(bench: Box) -> None:
    """Readings go on; hours are closed, taken back, corrected and made final as 865bbaf did, to the byte."""
    bench.open()
    go_on(bench)
    without_wall_time = bench.ledger.without_wall_time()
    bench.kill()
    expected = as_told(STORY["after"])
    new = {(row["camera"], row["start_ms"], row["revision"]) for row in STORY["before"]}
    for row in expected:
        if (row["camera"], row["start_ms"], row["revision"]) not in new:
            row["payload"] = row["payload"].replace(SENT_BY.encode(), SOFTWARE.encode())

    assert expected == rows(bench.settings.ledger)
    assert STORY["without_wall_time"] == [list(row) for row in without_wall_time]


def test_the_bytes_on_the_wire_are_the_same() -> None:
    """Each message of 865bbaf is an hour that encodes to the very same bytes."""
    told = [row["payload"].encode() for row in STORY["before"] + STORY["after"]]

    assert 400 < len(told)
    assert told == [Hour.decode(payload).encode() for payload in told]


def test_it_can_be_read_beside_the_release_that_writes_it(bench: Box) -> None:
    """`status` and `counts` of this program read a ledger that 865bbaf has written."""
    with LedgerView.opened(bench.settings.ledger) as view:
        pace = view.pace("door-a")
        shown = view.latest("door-b", 0)

    assert pace is not None
    assert STORY["at"]["boot_id"] == pace.boot_id
    assert len({row["start_ms"] for row in STORY["before"] if row["camera"] == "door-b"}) == len(shown)
