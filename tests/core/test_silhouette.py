"""The record that crosses from vision to the technician's page: what it can hold, and what its reader refuses."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core import silhouette
from edge.core.errors import WireError, WireOutOfRange, WireTooFast, WireTruncated, WireUnexpected
from edge.core.silhouette import (
    MOST_COLUMNS,
    MOST_LINES,
    MOST_POINTS,
    MOST_ROWS,
    SIZE,
    Count,
    Point,
    Silhouette,
    SilhouetteValidator,
)
from edge.core.tally import Flag

TALLY = (Path(__file__).parents[2] / "docs" / "tally.md").read_text(encoding="utf-8")
PIPE_BUF = 4096

FULL = Silhouette(
    sequence=7,
    t_ms=1_000,
    columns=MOST_COLUMNS,
    rows=MOST_ROWS,
    width=640,
    height=480,
    cells=bytes(index % 16 for index in range(MOST_COLUMNS * MOST_ROWS)),
    counts=[Count(index, index + 1, index + 2) for index in range(MOST_LINES)],
    points=[Point(index, 65_535, index, 1 + index, 3) for index in range(MOST_POINTS)],
    flags=Flag.DARK | Flag.SLOW,
)
SMALL = Silhouette(0, 0, 0, 0, 1, 1, b"", [Count(0, 0)])


def same(one: Silhouette, other: Silhouette) -> bool:
    return replace(one, counts=tuple(one.counts), points=tuple(one.points)) == replace(
        other, counts=tuple(other.counts), points=tuple(other.points)
    )


@pytest.mark.parametrize("whole", [FULL, SMALL], ids=["full", "small"])
def test_there_and_back(whole: Silhouette) -> None:
    """What is written is read again, the largest record and the smallest."""
    assert same(whole, silhouette.decode(silhouette.encode(whole)))


def test_a_write_is_whole_or_not_at_all() -> None:
    """A record is as large as a pipe takes at once, and no larger, whatever it holds."""
    assert {len(silhouette.encode(whole)) for whole in (FULL, SMALL)} == {SIZE} == {PIPE_BUF}


@settings(deadline=None)  # a busy machine is no fault of the record's
@given(st.binary(max_size=200), st.sampled_from([b"", silhouette.encode(SMALL)[:16], silhouette.encode(FULL)[:20]]))
def test_any_bytes(some: bytes, before: bytes) -> None:
    """Any bytes, after a true beginning or none, are a silhouette or a WireError, nothing else."""
    try:
        silhouette.decode((before + some).ljust(SIZE, b"\0"))
    except WireError:
        return


def test_nothing_hides_in_a_record() -> None:
    """Each byte of a small record that is changed is refused or changes what is read: there is no room beside it."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    honest = silhouette.encode(SMALL)
    for at in range(SIZE):
        changed = bytearray(honest)
        changed[at] ^= 1 << chance.randrange(8)
        try:
            found = silhouette.decode(bytes(changed))
        except WireError:
            continue
        assert not same(found, SMALL), at


@pytest.mark.parametrize(
    ("change", "fault", "complaint"),
    [
        (lambda r: r[:-1], WireTruncated, "4096 bytes, got 4095"),
        (lambda r: b"\xff\xd8\xff\xe0" + r[4:], WireUnexpected, "magic"),
        (lambda r: r[:4] + b"\1\0" + r[6:], WireUnexpected, "version"),
        (lambda r: r[:6] + b"\0\1" + r[8:], WireOutOfRange, "flags"),
        (lambda r: r[:16] + bytes([MOST_COLUMNS + 1]) + r[17:], WireOutOfRange, "columns"),
        (lambda r: r[:17] + bytes([MOST_ROWS + 1]) + r[18:], WireOutOfRange, "rows"),
        (lambda r: r[:18] + bytes([MOST_POINTS + 1]) + r[19:], WireOutOfRange, "points"),
        (lambda r: r[:19] + bytes([0]) + r[20:], WireOutOfRange, "lines"),
        (lambda r: r[:20] + b"\0\0" + r[22:], WireOutOfRange, "width"),
        (lambda r: r[:120] + b"\1" + r[121:], WireUnexpected, "isn't used"),
        (lambda r: r[:-1] + b"\1", WireUnexpected, "isn't used"),
    ],
)
def test_what_is_refused(change: Callable[[bytes], bytes], fault: type[WireError], complaint: str) -> None:
    """A record that isn't one is refused by name."""
    with pytest.raises(fault, match=complaint):
        silhouette.decode(change(silhouette.encode(SMALL)))


def test_a_larger_picture_can_not_be_made() -> None:
    """More cells than 96 x 72, or more than sixteen greys, can't even be held."""
    with pytest.raises(WireOutOfRange, match="columns"):
        replace(FULL, columns=128, rows=54, cells=bytes(128 * 54))
    with pytest.raises(WireOutOfRange, match="cell"):
        replace(FULL, cells=bytes([16]) * len(FULL.cells))
    with pytest.raises(WireOutOfRange, match="number of cells"):
        replace(FULL, cells=bytes(2 * len(FULL.cells)))


@pytest.mark.parametrize(
    ("second", "fault", "complaint"),
    [
        ({"sequence": 7}, WireUnexpected, "sequence should be more than 7"),
        ({"sequence": 8, "t_ms": 999}, WireUnexpected, "t_ms should be 1000 or later"),
        ({"sequence": 8, "counts": [Count(0, 0)] * MOST_LINES}, WireUnexpected, "out should be 1 or more"),
        ({"sequence": 8, "counts": [Count(99, 99)] * MOST_LINES}, WireTooFast, "in since the last one"),
        ({"sequence": 8, "counts": [Count(0, 1)]}, WireUnexpected, "number of lines"),
    ],
)
def test_a_second_record_that_can_not_follow(second: dict[str, object], fault: type[WireError], complaint: str) -> None:
    """Repeats, steps back in time, odometers that run backwards or too fast and other lines end it."""
    validator = SilhouetteValidator(MOST_LINES)
    validator.accept(silhouette.encode(FULL), 0)
    with pytest.raises(fault, match=complaint):
        validator.accept(silhouette.encode(replace(FULL, **second)), 100)  # type: ignore[arg-type]


def test_more_records_than_a_camera_gives() -> None:
    """Sixty pictures a second pass for as long as they like; a flood is refused."""
    validator = SilhouetteValidator(1)
    for index in range(600):
        validator.accept(silhouette.encode(replace(SMALL, sequence=index)), round(index * 1000 / 60))
    flood = (validator.accept(silhouette.encode(replace(SMALL, sequence=index)), 10_000) for index in range(600, 800))
    with pytest.raises(WireTooFast, match="silhouettes at once"):
        list(flood)


def test_the_capacity_is_added_up_rightly() -> None:
    """tally.md's sum of bits for one silhouette follows from the bounds in the code."""
    cells = MOST_COLUMNS * MOST_ROWS * math.log2(16)
    point = 32 + 4 * 16

    assert f"{MOST_COLUMNS * MOST_ROWS * 4:,} bits of cells" in TALLY
    assert re.search(rf"{MOST_POINTS * point:,} bits of points", TALLY)
    assert f"One silhouette is {SIZE} bytes" in TALLY
    assert cells == MOST_COLUMNS * MOST_ROWS * 4
