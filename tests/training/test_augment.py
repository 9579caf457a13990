"""What the network is shown while training, and what it is asked for: however a cut is made, labels stay on heads."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from models.training.augment import SEEN, answer, cut
from models.training.dimensions import HEIGHT, STRIDE, WIDTH

Floats = npt.NDArray[np.float32]


def head(x: float, y: float, diameter: float, visible: float = 1.0) -> Floats:
    return np.array([[x, y, diameter, visible]], np.float32)


@pytest.mark.parametrize("seed", range(40))
def test_a_label_stays_on_its_head(seed: int) -> None:
    """Scaled, moved, mirrored and in other light, a bright disc is still where its label says, and as large."""
    random = np.random.default_rng(seed)
    labels = head(random.uniform(40, WIDTH - 40), random.uniform(40, HEIGHT - 40), 30)
    picture = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    middle = tuple(round(16 * (place - 0.5)) for place in labels[0, :2])
    cv2.circle(picture, middle, 16 * 15, (220, 220, 220), -1, shift=4)

    x = y = diameter = 0.0
    while not (diameter < x < 224 - diameter and diameter < y < 160 - diameter):
        part, moved = cut(picture, labels, 224, 160, random)
        x, y, diameter, visible = moved[0].tolist()
    box = part[int(y - diameter) : int(y + diameter) + 1, int(x - diameter) : int(x + diameter) + 1].mean(axis=2)
    bright = box > (float(np.min(box)) + float(np.max(box))) / 2
    rows, columns = np.nonzero(bright)

    assert columns.mean() + 0.5 + int(x - diameter) == pytest.approx(x, abs=1.5)
    assert rows.mean() + 0.5 + int(y - diameter) == pytest.approx(y, abs=1.5)
    assert 2 * np.sqrt(bright.sum() / np.pi) == pytest.approx(diameter, rel=0.15)
    assert visible == 1


@pytest.mark.parametrize(("x", "y", "diameter"), [(80.0, 60.0, 12.0), (83.3, 41.9, 30.0), (7.0, 117.0, 90.0)])
def test_the_answer_leads_back_to_the_head(x: float, y: float, diameter: float) -> None:
    """Where the score is highest, offset and size give the head's middle and diameter again."""
    wanted = answer(head(x, y, diameter), 30, 40)
    row, column = np.unravel_index(int(wanted.score.argmax()), wanted.score.shape)

    assert wanted.score[row, column] == 1
    assert (column + 0.5 + wanted.offset_x[row, column]) * STRIDE == pytest.approx(x, abs=1e-3)
    assert (row + 0.5 + wanted.offset_y[row, column]) * STRIDE == pytest.approx(y, abs=1e-3)
    assert STRIDE * np.exp(wanted.size[row, column]) == pytest.approx(diameter, rel=1e-5)
    assert wanted.known.all()


@pytest.mark.parametrize(("diameter", "visible"), [(20.0, SEEN - 0.05), (4.0, 1.0)])
def test_what_can_hardly_be_seen_is_not_judged(diameter: float, visible: float) -> None:
    """A head mostly hidden, or tiny, is neither asked for nor punished; the rest of the picture is judged."""
    wanted = answer(head(80, 60, diameter, visible), 30, 40)

    assert wanted.score.max() < 1
    assert wanted.known[15, 20] == 0
    assert wanted.known[2, 2] == 1


def test_what_is_hidden_is_judged() -> None:
    """Nobody can see a head behind another one: to see it there is a fault."""
    assert answer(head(80, 60, 20, 0.05), 30, 40).known.all()


def test_of_two_heads_each_has_its_own_middle() -> None:
    """Two that touch are two, and near each middle size and offset are those of the nearer one."""
    wanted = answer(np.concatenate((head(60, 60, 24), head(82, 60, 16))), 30, 40)

    assert wanted.score[15, 15] == wanted.score[15, 20] == 1
    assert STRIDE * np.exp(wanted.size[15, [15, 20]]) == pytest.approx([24, 16], rel=1e-5)
