"""A few rounds of the fault harness, and a short stretch of a day; by hand there are hundreds, and a whole one."""

from __future__ import annotations

import random
import secrets
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import day, fuzz, schedule
from tests.faults.world import World, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.host]

ROUNDS = 25


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    seed = secrets.randbelow(2**31)
    print(f"seed {seed}")
    try:
        made = World(tmp_path, random.Random(seed), "Asia/Kathmandu")
    except PermissionError as exc:
        pytest.skip(str(exc))
    yield made
    made.close()


def test_nothing_is_lost_doubled_or_invented(world: World) -> None:
    """After each round of faults headquarters' sums are what has crossed, but for what a killed vision hadn't told."""
    for _ in range(ROUNDS):
        schedule.play(world)
        world.settle()
    sums = world.finish()

    assert sums.counted > 0
    assert sums.hours >= ROUNDS


def test_the_harness_finds_a_loss(world: World) -> None:
    """A record that is lost between the two processes with its run is noticed: the account can fail."""
    world.settle()
    world.publisher.end(signal.SIGKILL)
    board = world.runs[-1].board
    written = sum(map(sum, world.written(world.clock.boot_id).values()))
    wait_until(lambda: world.counted_told(board) > written, lambda: "a crossing that nobody has written")
    world.end_vision(signal.SIGKILL)
    world.relay.lose()
    world.mend()

    with pytest.raises(AssertionError):
        world.settle(deadline_s=5)


def test_an_hour_of_a_day(tmp_path: Path) -> None:
    """Real vision and a real publisher at 120 times their speed: the hour arrives, once, and memory stands still."""
    lived = day.live(tmp_path, 1, 120)

    assert [1] == list(lived.hours.values())
    assert lived.commits_a_beat <= 1.05
    for process in ("vision", "publisher"):
        first, last = lived.growth(process)
        assert last < first * 1.1


@pytest.mark.parametrize(("target", "meetings"), [("broker", 200), ("diode", 200)])
def test_hostile_bytes_end_a_connection_or_a_pipe_and_no_process(target: str, meetings: int) -> None:
    """A short stretch of what the fuzzer does for minutes by hand."""
    first = secrets.randbelow(2**31)
    print(f"seed {first}")
    ends = Counter(fuzz.TARGETS[target](random.Random(first + number)) for number in range(meetings))

    assert len(ends) > 1
