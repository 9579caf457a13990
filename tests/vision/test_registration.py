"""A structure found again in a picture: as a whole, half of it, and what of it stayed behind."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.vision.registration import UNMOVED, Structure, Transform, found, least_half, left_behind, search
from edge.vision.static_view import StaticView
from edge.vision.thumbnail import Gradient, gradient, steepness

SHAPE = (60, 80)
Box = tuple[int, int, int, int]
FURNITURE: list[Box] = [(8, 8, 14, 10), (50, 12, 12, 18), (20, 36, 20, 12), (60, 40, 9, 9), (36, 10, 7, 14)]
"""x, y, width and height of boxes, cells."""


def edges_of(boxes: list[Box], right: int = 0, down: int = 0) -> Gradient:
    """Return the gradient of a floor with boxes on it, each as dark as it is wide."""
    picture = np.full(SHAPE, 150, np.uint8)
    for x, y, width, height in boxes:
        corner = (x + right, y + down)
        cv2.rectangle(picture, corner, (corner[0] + width, corner[1] + height), 20 + 4 * width, -1)
    return gradient(picture)


def structure_of(boxes: list[Box]) -> Structure:
    edges = edges_of(boxes)
    return Structure.of(edges, steepness(edges) > 6)


@pytest.mark.parametrize(("right", "down"), [(9, 0), (-7, 5), (0, -6), (4, 4)])
def test_all_of_a_moved_view_is_found(right: int, down: int) -> None:
    """A camera that was moved shows all of its view elsewhere, each half, and nothing that stayed."""
    view, picture = structure_of(FURNITURE), edges_of(FURNITURE, right, down)
    there, share = search(view, picture)

    assert (round(there.right), round(there.down)) == (right, down)
    assert share > 0.95
    assert least_half(view, picture, there) > 0.9
    assert left_behind(view, picture, there, UNMOVED) < 0.02


def test_a_door_leaves_the_floor_behind() -> None:
    """A door that slides aside is found elsewhere; what stands beside it is where it was."""
    door: Box = (30, 15, 24, 30)
    rest = [FURNITURE[0], FURNITURE[3]]
    view, slid = structure_of([door, *rest]), Transform(right=-12.0)
    x, y, width, height = door
    picture = edges_of([(x - 12, y, width, height), *rest])

    assert found(view, picture, slid) > 0.5
    assert left_behind(view, picture, slid, UNMOVED) > 0.1


def test_one_side_of_a_shape_is_half_of_it() -> None:
    """A dark square's upper edge looks like a bright one's lower edge; only one half of it is there."""
    view = structure_of([(30, 20, 24, 20)])
    turned_about = -edges_of([(30, 20, 24, 20)])
    up = Transform(down=20.0)

    assert found(view, turned_about, up) > 0.2
    assert least_half(view, turned_about, up) < 0.1


def test_nothing_inside_the_picture() -> None:
    """A structure that would lie outside the picture is not found."""
    view = structure_of(FURNITURE)

    assert least_half(view, edges_of(FURNITURE), Transform(right=500.0)) == 0.0


@pytest.mark.parametrize("hidden_of_ten", [0, 8])
def test_time_in_which_people_hide_an_edge_does_not_count_against_it(hidden_of_ten: int) -> None:
    """An edge that is in place whenever it can be seen counts in full, however seldom that is."""
    view, picture = StaticView(SHAPE), edges_of(FURNITURE)
    for second in range(240):
        hidden = np.full(SHAPE, second % 10 < hidden_of_ten)
        view.learn(picture, hidden, 1.0, UNMOVED, 1.0, renew=True, doubtful=False)

    assert view.structure is not None
    assert float(np.median(view.structure.weight)) > 0.85


def test_nothing_is_learnt_in_doubt() -> None:
    """While the camera may look elsewhere, what it shows becomes no part of its view."""
    view = StaticView(SHAPE)
    nobody = np.zeros(SHAPE, bool)
    for _ in range(60):
        view.learn(edges_of(FURNITURE), nobody, 1.0, UNMOVED, 1.0, renew=True, doubtful=False)
    for _ in range(60):
        view.learn(edges_of(FURNITURE, 15, 5), nobody, 1.0, UNMOVED, 1.0, renew=False, doubtful=True)

    assert view.structure is not None
    assert found(view.structure, edges_of(FURNITURE)) > 0.95
