"""Counted crossings against true ones: which are right, and what each error is called."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.evaluation.score import WINDOW_S, Error, Event, score, together
from edge.vision.scene import Direction

IN: Direction = "in"
OUT: Direction = "out"


def events(*said: tuple[float, Direction]) -> list[Event]:
    return [Event(*event) for event in said]


CASES: dict[str, tuple[list[Event], list[Event], int, list[Error]]] = {
    "nothing to count": ([], [], 0, []),
    "all right": (events((1.2, IN), (5.0, OUT)), events((1.0, IN), (5.3, OUT)), 2, []),
    "exactly a second off": (events((2.0, IN)), events((1.0, IN)), 1, []),
    "more than a second off": (
        events((2.1, IN)),
        events((1.0, IN)),
        0,
        [Error(1.0, "in", "missed"), Error(2.1, "in", "false")],
    ),
    "missed": ([], events((4.0, OUT)), 0, [Error(4.0, "out", "missed")]),
    "false": (events((4.0, OUT)), [], 0, [Error(4.0, "out", "false")]),
    "double": (events((4.0, IN), (4.4, IN)), events((4.1, IN)), 1, [Error(4.4, "in", "double")]),
    "a double may come three seconds after": (
        events((4.0, IN), (7.0, IN)),
        events((4.0, IN)),
        1,
        [Error(7.0, "in", "double")],
    ),
    "later it is a false one": (events((4.0, IN), (7.5, IN)), events((4.0, IN)), 1, [Error(7.5, "in", "false")]),
    "the wrong way is one error, not two": (events((4.0, IN)), events((4.1, OUT)), 0, [Error(4.0, "in", "wrong way")]),
    "two at once need two": (events((4.0, IN)), events((4.0, IN), (4.0, IN)), 1, [Error(4.0, "in", "missed")]),
    "the first isn't wasted on the second": (events((1.0, IN), (2.0, IN)), events((0.1, IN), (1.5, IN)), 2, []),
    "in any order": (events((5.0, OUT), (1.0, IN)), events((5.0, OUT), (1.0, IN)), 2, []),
}


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    """Each row's counted and true crossings make the right ones and the errors that it says."""
    counted, true, right, errors = CASES[name]
    result = score(counted, true)

    assert right == result.right
    assert tuple(errors) == result.errors


def test_shares() -> None:
    """Precision is of what was counted, recall of what is true, F1 between them; totals are netted by direction."""
    result = score(events((1, IN), (5, IN), (9, IN), (20, OUT)), events((1, IN), (5, IN), (30, OUT), (40, OUT)))

    assert (0.5, 0.5, 0.5) == (result.precision, result.recall, result.f1)
    assert (0.5, 0.5) == (result.total_error("in"), result.total_error("out"))
    assert (2, 2) == (result.count("missed"), result.count("false"))


def test_nothing_is_perfect() -> None:
    """Where nothing was to be counted and nothing was, every share is 1."""
    result = score([], [])

    assert (1, 1, 1, 0) == (result.precision, result.recall, result.f1, result.total_error("in"))


def test_a_doubtful_crossing_counts_neither_way() -> None:
    """Whether a crossing that the annotator was unsure of is counted changes nothing; a false one beside it stays."""
    true, doubtful = [Event(10.0, "in"), Event(20.0, "out")], [Event(10.5, "in"), Event(30.0, "out")]
    counted = [Event(10.0, "in"), Event(20.0, "out")]

    assert score(counted, true) == score(counted, true, doubtful=doubtful)
    assert score(counted, true) == score([*counted, Event(10.4, "in"), Event(30.2, "out")], true, doubtful=doubtful)
    assert score([*counted, Event(30.2, "in")], true) == score([*counted, Event(30.2, "in")], true, doubtful=doubtful)


def test_together() -> None:
    """Several clips score as their events do, not as the mean of their scores."""
    one, other = score(events((1, IN)), events((1, IN), (5, IN), (9, IN))), score(events((1, OUT)), [])
    both = together([one, other])

    assert ({"in": 3, "out": 0}, {"in": 1, "out": 1}, 1) == (both.true, both.counted, both.right)
    assert 2 * 1 / 5 == both.f1
    assert [*one.errors, *other.errors] == list(both.errors)


TIMES = st.lists(st.tuples(st.integers(0, 40).map(lambda t: t / 4), st.sampled_from([IN, OUT])), max_size=5)


def most_pairs(counted: list[Event], true: list[Event]) -> int:
    """Return how many pairs can be made at the most, by trying every way."""
    short, long = sorted((counted, true), key=len)
    return max(
        sum(a.direction == b.direction and abs(a.t_s - b.t_s) <= WINDOW_S for a, b in zip(short, order, strict=False))
        for order in permutations(long)
    )


@given(TIMES, TIMES)
def test_no_match_is_better(counted: list[tuple[float, Direction]], true: list[tuple[float, Direction]]) -> None:
    """As many pairs are made as can be made, and every event is right or in exactly one error."""
    said, truth = events(*counted), events(*true)
    result = score(said, truth)
    turned = result.count("wrong way")

    assert most_pairs(said, truth) == result.right
    assert len(truth) == result.right + result.count("missed") + turned
    assert len(said) == result.right + result.count("double") + result.count("false") + turned
