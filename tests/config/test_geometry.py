"""The geometry of a line, straight or bent: sides, distances, meetings."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge.config.geometry import Point, Polyline

STRAIGHT = Polyline([(10, 50), (90, 50)])
BENT = Polyline([(10, 50), (50, 50), (50, 90)])


@pytest.mark.parametrize(
    ("line", "point", "distance"),
    [
        (STRAIGHT, (50, 60), 10),
        (STRAIGHT, (50, 40), -10),
        (STRAIGHT, (50, 50), 0),
        (STRAIGHT, (0, 60), 10),
        (STRAIGHT, (500, 40), -10),
        (Polyline([(90, 50), (10, 50)]), (50, 60), -10),
        (BENT, (30, 60), 10),
        (BENT, (40, 80), 10),
        (BENT, (30, 40), -10),
        (BENT, (60, 70), -10),
        (BENT, (53, 46), -5),
        (BENT, (45, 55), 5),
        (BENT, (45, 500), 5),
    ],
)
def test_how_far_a_point_is(line: Polyline, point: Point, distance: float) -> None:
    """More than 0 on the right hand of one who walks along it (y is down), also past its ends and at its corners."""
    assert line.distance(*point) == pytest.approx(distance)


coordinate = st.floats(-100, 100).map(lambda value: round(value, 3))
point = st.tuples(coordinate, coordinate)


@given(point, point, point)
def test_a_line_walked_backwards_swaps_its_sides(start: Point, end: Point, where: Point) -> None:
    """The distance is the same and its sign the other."""
    assume(math.dist(start, end) > 1)
    there, back = Polyline([start, end]).distance(*where), Polyline([end, start]).distance(*where)

    assert there == pytest.approx(-back, abs=1e-6)


@given(point, point, point, st.floats(0.1, 10), point)
def test_a_moved_and_larger_picture_changes_nothing(
    start: Point, end: Point, where: Point, scale: float, step: Point
) -> None:
    """Distances grow with the picture, sides stay."""
    assume(math.dist(start, end) > 1)

    def moved(at: Point) -> Point:
        return (scale * at[0] + step[0], scale * at[1] + step[1])

    before = Polyline([start, end]).distance(*where)
    after = Polyline([moved(start), moved(end)]).distance(*moved(where))

    assert after == pytest.approx(scale * before, abs=1e-4)


@pytest.mark.parametrize(
    ("line", "start", "end", "met"),
    [
        (STRAIGHT, (50, 40), (50, 60), True),
        (STRAIGHT, (50, 60), (50, 40), True),
        (STRAIGHT, (5, 40), (5, 60), False),
        (STRAIGHT, (95, 40), (95, 60), False),
        (STRAIGHT, (10, 40), (10, 60), True),
        (STRAIGHT, (50, 40), (50, 49), False),
        (STRAIGHT, (50, 40), (50, 50), True),
        (STRAIGHT, (20, 50), (30, 50), False),
        (BENT, (40, 80), (60, 80), True),
        (BENT, (40, 95), (60, 95), False),
        (BENT, (60, 40), (40, 60), True),
    ],
)
def test_which_steps_meet_it(line: Polyline, start: Point, end: Point, met: bool) -> None:
    """Those through the line itself, its ends included; not those round its ends, nor along it."""
    assert met == line.is_met(start, end)


def test_an_end_that_is_drawn_on() -> None:
    """Nothing goes round an end that stands at the picture's edge, and the other end stays where it is."""
    line = STRAIGHT.drawn_on(first=True, last=False)

    assert line.is_met((-1000, 40), (-1000, 60))
    assert not line.is_met((95, 40), (95, 60))
    assert STRAIGHT.distance(50, 60) == pytest.approx(line.distance(50, 60))


@pytest.mark.parametrize(
    ("points", "crosses"),
    [
        ([(0, 0), (10, 10)], False),
        ([(0, 0), (10, 0), (10, 10)], False),
        ([(0, 0), (10, 0), (10, 10), (5, -5)], True),
        ([(0, 0), (10, 0), (10, 10), (5, 0)], True),
        ([(0, 0), (10, 0), (10, 10), (0, 10)], False),
    ],
)
def test_a_line_that_crosses_itself(points: list[Point], crosses: bool) -> None:
    """Two pieces that meet elsewhere than at their common corner."""
    assert crosses == Polyline(points).crosses_itself()
