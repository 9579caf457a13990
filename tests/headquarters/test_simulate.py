"""The rehearsal: real connections, the product's own link, a broker that goes away, and every hour stored once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.core.errors import ConfigError
from edge.headquarters import boxes
from edge.headquarters.rehearsal import MOST_BOXES, Wish
from edge.publisher.hours import MOST_SPREAD_MS
from tests.headquarters.conftest import Spawn

pytestmark = pytest.mark.processes


def test_an_outage_loses_nothing_and_doubles_nothing(spawn: Spawn, said: Callable[..., str], tmp_path: Path) -> None:
    """Forty boxes tell three hours, one of them without a broker; the command itself holds the store to it."""
    figures = tmp_path / "figures.json"
    child = spawn(
        "simulate", "--boxes", 40, "--hours", 3, "--outage", 1, "--no-spread", "--hour-s", 8, "--json", figures
    )

    assert 0 == child.wait(300), said()
    told = json.loads(figures.read_text())
    assert (120, 0, 0) == (told["stored"], told["wrong"], told["quarantined"])
    assert 40 == max(sample["up"] for sample in told["samples"])
    assert 0 == min(sample["up"] for sample in told["samples"] if sample["at_s"] > 8)
    assert told["drain_s"] is not None
    assert "120 of 120" in said()


def test_a_broker_killed_after_its_acknowledgements_costs_no_hour(
    spawn: Spawn, said: Callable[..., str], tmp_path: Path
) -> None:
    """With TLS and accounts, the collector away, SIGKILL when all is acknowledged and next to nothing saved."""
    figures = tmp_path / "figures.json"
    child = spawn(
        "simulate", "--boxes", 30, "--hours", 3, "--crash", "--secured", "--no-spread", "--hour-s", 8, "--json", figures
    )

    assert 0 == child.wait(300), said()
    found = json.loads(figures.read_text())
    assert (90, 90, 0, 0) == (
        found["acknowledged_before_crash"], found["stored"], found["wrong"], found["quarantined"],
    )  # fmt: skip
    assert found["drain_s"] is not None


@pytest.mark.parametrize(
    "wish",
    [
        Wish(0, 1), Wish(MOST_BOXES + 1, 1), Wish(1, 0), Wish(1, 49), Wish(1, 2, outage=1), Wish(1, 1, hour_s=100),
        Wish(1, 1, spread=False, hour_s=0.1), Wish(1, 3, outage=-1),
        Wish(1, 1, crash=True), Wish(1, 4, outage=1, crash=True),
    ],
    ids=str,
)  # fmt: skip
def test_a_rehearsal_is_bounded(wish: Wish) -> None:
    """Too many boxes, too many hours, an outage without an end, a spread that doesn't fit: refused."""
    with pytest.raises(ConfigError):
        wish.check()


def test_the_shortest_hour_holds_the_whole_spread() -> None:
    """Two minutes of spread are real ones."""
    Wish(1, 1, hour_s=MOST_SPREAD_MS / 1000).check()


def test_boxes_are_told_apart() -> None:
    """By name and by what they count, so that a swap would be seen."""
    assert 10_000 == len({boxes.site(number) for number in range(10_000)})
    assert len({tuple(boxes.counts(number, hour) for hour in range(3)) for number in range(5_000)}) == 5_000
