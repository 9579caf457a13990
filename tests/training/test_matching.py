"""Detections against labelled heads: what is found, what is false, and the figures made of it."""

from __future__ import annotations

import numpy as np
import pytest

from edge.vision.scene import Heads
from models.training.matching import Pair, Truth, by_size, by_tilt, matched, summed

NO_SPARE = np.zeros((0, 3), np.float32)


def heads(*rows: tuple[float, float, float, float]) -> Heads:
    """Return detections of (x, y, diameter, score)."""
    table = np.array(rows, np.float32).reshape(-1, 4)
    return Heads(table[:, :2], table[:, 2], table[:, 3])


def truth(*rows: tuple[float, ...], spare: tuple[tuple[float, ...], ...] = (), tilt: float = 0.0) -> Truth:
    """Return a picture's heads."""
    width = len(rows[0]) if rows else len(spare[0]) if spare else 3
    return Truth(
        np.array(rows, np.float32).reshape(-1, width), np.array(spare, np.float32).reshape(-1, width), tilt=tilt
    )


def test_a_head_is_found_once() -> None:
    """Of two detections on one head the stronger finds it, and the other is false."""
    found, judged = matched(heads((50, 50, 20, 0.5), (52, 50, 20, 0.9)), truth((51, 50, 20)), "circles")

    assert found.tolist() == [-1, 0]
    assert judged.tolist() == [True, True]


def test_spare_heads_count_neither_way() -> None:
    """A detection on a head that is hardly seen isn't a find and isn't false."""
    found, judged = matched(heads((50, 50, 20, 0.9)), truth(spare=((50, 50, 20),)), "circles")

    assert found.tolist() == [-1]
    assert judged.tolist() == [False]


@pytest.mark.parametrize(("away", "hit"), [(9.0, True), (11.0, False)])
def test_circles_reach_half_a_diameter(away: float, hit: bool) -> None:
    """A middle within half of the head's diameter is on it."""
    assert summed([(heads((50 + away, 50, 20, 0.9)), truth((50, 50, 20)))], "circles").hits.tolist() == [hit]


@pytest.mark.parametrize(("diameter", "hit"), [(20.0, True), (29.0, False), (13.0, False)])
def test_boxes_overlap_by_half(diameter: float, hit: bool) -> None:
    """A square over the box's middle finds it if they share half of what they cover together."""
    pair = heads((50, 50, diameter, 0.9)), truth((50, 50, 20, 20, 20))

    assert summed([pair], "boxes").hits.tolist() == [hit]


def test_average_precision_by_hand() -> None:
    """Right, false, right of two heads: half at precision 1, half at two thirds."""
    pair = heads((10, 10, 8, 0.9), (60, 60, 8, 0.8), (30, 30, 8, 0.7)), truth((10, 10, 8), (30, 30, 8))
    total = summed([pair], "circles")

    assert total.average_precision() == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert total.at(0.75) == {"score": 0.75, "precision": 0.5, "recall": 0.5, "false_a_picture": 1.0}


def test_nothing_detected_is_nothing_found() -> None:
    """No detection at all gives 0 and no error."""
    total = summed([(heads(), truth((10, 10, 8)))], "circles")

    assert (total.average_precision(), total.recall_at(1.0)) == (0.0, 0.0)


def test_recall_at_one_false_head_a_picture() -> None:
    """Scores are lowered until there are as many false heads as pictures."""
    first: Pair = heads((10, 10, 8, 0.9), (60, 60, 8, 0.8), (80, 80, 8, 0.7)), truth((10, 10, 8))
    second: Pair = heads((10, 10, 8, 0.6), (70, 10, 8, 0.5), (30, 30, 8, 0.4)), truth((10, 10, 8), (30, 30, 8))

    assert summed([first, second], "circles").recall_at(1.0) == pytest.approx(2 / 3)


def test_sizes_are_judged_apart() -> None:
    """Heads of other sizes are spare, and a false head counts where its own size belongs."""
    pair = (
        heads((10, 10, 8, 0.9), (50, 50, 30, 0.8), (200, 200, 9, 0.95)),
        truth((10, 10, 8), (50, 50, 30), (90, 90, 30)),
    )
    table = by_size([pair], "circles", (0.0, 16.0, 64.0), 0.5)

    assert table["0-16"] == {"heads": 1, "average_precision": 0.5, "recall": 1.0}
    assert table["16-64"] == {"heads": 2, "average_precision": 0.5, "recall": 0.5}


def test_tilts_are_judged_apart() -> None:
    """Each picture counts for how its camera looks."""
    pairs: list[Pair] = [
        (heads((10, 10, 8, 0.9)), truth((10, 10, 8), tilt=3.0)),
        (heads(), truth((10, 10, 8), tilt=50.0)),
    ]
    table = by_tilt(pairs, "circles", (0.0, 25.0, 90.0), 0.5)

    assert {name: part["recall"] for name, part in table.items()} == {"0-25": 1.0, "25-90": 0.0}
