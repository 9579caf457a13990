"""Whether the whole picture moved between two frames, or only something in it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.vision.knock import KnockDetector, KnockSettings, whole_motion
from edge.vision.scene import Sighting
from edge.vision.thumbnail import Grey

ROWS, COLUMNS = 60, 80
NOBODY = np.zeros((ROWS, COLUMNS), bool)


def floor(seed: int, edges: int = 25) -> npt.NDArray[np.uint8]:
    """Return a floor with *edges* plates of grey, twice as large as what the camera shows of it."""
    random = np.random.default_rng(seed)
    grey = np.full((2 * ROWS, 2 * COLUMNS), 120, np.uint8)
    for _ in range(edges):
        x, y = int(random.integers(2 * COLUMNS)), int(random.integers(2 * ROWS))
        size = (int(random.integers(6, 24)), int(random.integers(6, 24)))
        grey[y : y + size[1], x : x + size[0]] = random.integers(60, 200)
    return grey


def seen(grey: npt.NDArray[np.uint8], right: float = 0.0, down: float = 0.0, turn: float = 0.0, noise: int = 0) -> Grey:
    """Return what the camera shows of the floor's middle, moved by so many cells and turned, degrees."""
    matrix = cv2.getRotationMatrix2D((float(COLUMNS), float(ROWS)), turn, 1.0)
    matrix[:, 2] += np.array([right - COLUMNS / 2, down - ROWS / 2])
    shown = cv2.warpAffine(grey, matrix, (COLUMNS, ROWS)).astype(np.float64)
    return np.clip(shown + np.random.default_rng(noise).normal(0, 1.5, shown.shape), 0, 255).astype(np.uint8)


def told(before: Grey, now: Grey, hidden: npt.NDArray[np.bool_] = NOBODY) -> bool:
    return whole_motion(before, now, hidden, KnockSettings()) is not None


@pytest.mark.parametrize(
    ("right", "down", "turn"), [(6, 0, 0), (-6, 2, 0), (0, -8, 0), (12, 3, 0), (0, 0, 15), (0, 0, -20), (5, -4, 8)]
)
def test_the_camera_moved(right: int, down: int, turn: int) -> None:
    """A shift or a turn of the whole picture is told, over nearly every floor."""
    floors = [floor(seed) for seed in range(20)]

    assert sum(told(seen(grey), seen(grey, right, down, turn, noise=1)) for grey in floors) >= 17


def test_nothing_moved() -> None:
    """The picture's noise, and a lamp that is switched on, are no motion."""
    for seed in range(40):
        grey = floor(seed)
        assert not told(seen(grey), seen(grey, noise=1))
        assert not told(seen(grey), np.asarray(np.clip(1.3 * seen(grey, noise=1) + 10.0, 0, 255), np.uint8))


@pytest.mark.parametrize("people", [1, 2, 3, 5, 8])
def test_people_walk(people: int) -> None:
    """However many walk the same way, over a floor with edges or with none: near heads nothing is looked at."""
    for seed in range(40):
        for edges in (0, 3, 25):
            random = np.random.default_rng(1000 + seed)
            grey = floor(seed, edges)
            before, now = seen(grey), seen(grey, noise=1)
            hidden = NOBODY.copy()
            for _ in range(people):
                x, y = int(random.integers(8, COLUMNS - 14)), int(random.integers(8, ROWS - 8))
                for picture, right in ((before, 0), (now, 6)):
                    cv2.circle(picture, (x + right, y), 4, int(random.integers(20, 90)), -1)
                found = np.hypot(*(np.indices((ROWS, COLUMNS)) - np.array([y, x])[:, None, None])) < 12
                hidden |= found
            assert not told(before, now, hidden), (seed, edges)


def test_a_plain_floor() -> None:
    """Where there are hardly any edges away from people, nothing can be told, and nothing is."""
    grey = floor(3, edges=1)

    assert not told(seen(grey), seen(grey, right=10, noise=1))


def knocked(seed: int, head: tuple[int, int], picture: tuple[int, int], *, stood_s: float = 2.0) -> bool:
    """Tell what is found when a *head* and the whole *picture* move by so many cells within 0.3 s."""
    grey, detector = floor(seed), KnockDetector()
    x, y, scale = 30.0, 30.0, 0.25
    for step in range(round(10 * stood_s) + 1):
        detector.note([Sighting(1, x / scale, y / scale, 16.0, 100.0 * step)], 100.0 * step)
    before, before_ms = seen(grey), 100.0 * step
    now_ms = before_ms + 300
    detector.note([Sighting(1, (x + head[0]) / scale, (y + head[1]) / scale, 16.0, now_ms)], now_ms)
    return detector.is_knocked(before, before_ms, seen(grey, *picture, noise=1), scale)


SEEDS = range(20)


def test_who_stood_still_is_carried() -> None:
    """A head that moved with the picture was carried."""
    assert sum(knocked(seed, (6, -2), (6, -2)) for seed in SEEDS) >= 17


@pytest.mark.parametrize(
    ("head", "picture", "stood_s"),
    [((6, -2), (0, 0), 2.0), ((-6, 2), (6, -2), 2.0), ((0, 0), (6, -2), 2.0), ((6, -2), (6, -2), 0.5)],
    ids=["who sets out", "who goes another way", "who stands on", "who had not stood still"],
)
def test_who_was_not_carried(head: tuple[int, int], picture: tuple[int, int], stood_s: float) -> None:
    """A head that moved alone, elsewhere, not at all, or before tells nothing of the camera."""
    assert not any(knocked(seed, head, picture, stood_s=stood_s) for seed in SEEDS)
