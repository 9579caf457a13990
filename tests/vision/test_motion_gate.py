"""The motion gate: which frames the detector is spared, and which never."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge.vision.motion_gate import MotionGate
from edge.vision.thumbnail import sample, shape_for, shrink

SEED = 5
WIDTH, HEIGHT = 320, 240
BEAT_MS = 100.0


def thumbnail_of(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Make a picture small, as the pipeline does."""
    return shrink(sample(pixels), shape_for(WIDTH, HEIGHT))


class Scene:
    """An empty floor with a camera's noise, on which a head can be put, seen ten times a second."""

    def __init__(self, noise: float = 3.0) -> None:
        self._random = np.random.default_rng(SEED)
        self._floor = self._random.uniform(60, 180, (HEIGHT // 8, WIDTH // 8)).repeat(8, 0).repeat(8, 1)
        self._noise = noise
        self._gate = MotionGate()
        self.t_ms = 0.0
        self.light = 0.0

    def picture(self, head: tuple[int, int] | None, size: int) -> npt.NDArray[np.uint8]:
        """Return the floor as it looks now, with a head of *size* px where one is."""
        pixels = self._floor + self.light + self._random.normal(0, self._noise, self._floor.shape)
        if head is not None:
            x, y = head
            pixels[max(0, y - size // 2) : y + size // 2, max(0, x - size // 2) : x + size // 2] = 15
        return np.clip(pixels, 0, 255).astype(np.uint8)

    def passes(self, head: tuple[int, int] | None = None, *, size: int = 40, tracking: bool = False) -> bool:
        """Show the next picture and tell whether it passed."""
        self.t_ms += BEAT_MS
        pixels = self.picture(head, size)[..., None].repeat(3, axis=2)
        return self._gate.passes(thumbnail_of(pixels), self.t_ms, tracking=tracking)

    def passed(self, frames: int, *, tracking: bool = False) -> int:
        """Show so many pictures of the empty floor and return how many passed."""
        return sum(self.passes(tracking=tracking) for _ in range(frames))


def test_the_first_frame_passes() -> None:
    """Before there is a background, everything is looked at."""
    assert Scene().passes()


@pytest.mark.parametrize("noise", [0, 3, 12])
def test_an_empty_floor_is_looked_at_once_a_second(noise: float) -> None:
    """Whatever the camera's noise: one frame a second passes, so that nothing is missed for longer than that."""
    scene = Scene(noise)
    scene.passed(30)

    assert 10 == scene.passed(100)


def test_whatever_is_followed_is_looked_at() -> None:
    """While a head is tracked every frame passes, also if it stands still."""
    scene = Scene()
    scene.passed(30)

    assert 50 == scene.passed(50, tracking=True)


@pytest.mark.parametrize("size", [24, 40, 80])
def test_a_head_that_comes_into_the_picture_passes_at_once(size: int) -> None:
    """The first frame that shows it is looked at, and each in which it walks, at one end of the picture or another."""
    scene = Scene()
    scene.passed(35)
    walk = [scene.passes((20 + 4 * step, 120), size=size) for step in range(40)]

    assert all(walk)


def test_it_is_looked_at_for_a_moment_longer() -> None:
    """A second after the last movement still passes: a head that stops under the line isn't lost at once."""
    scene = Scene()
    scene.passed(35)
    for step in range(5):
        scene.passes((40 + 10 * step, 120))
    after = [scene.passes() for _ in range(10)]

    assert all(after)


def test_light_that_changes_is_no_motion() -> None:
    """An exposure that moves all of the picture alike, slowly or at once, lets only the look of each second pass."""
    scene = Scene()
    scene.passed(30)
    scene.light = 25.0
    sudden = scene.passed(50)
    slow = 0
    for _ in range(100):
        scene.light -= 0.3
        slow += scene.passes()

    assert (5, 10) == (sudden, slow)


def test_what_stays_becomes_background() -> None:
    """A bag that was put down is looked at for a while, and then no longer all the time."""
    scene = Scene()
    scene.passed(30)
    first = sum(scene.passes((160, 120)) for _ in range(20))
    for _ in range(600):
        scene.passes((160, 120))
    later = sum(scene.passes((160, 120)) for _ in range(100))

    assert 20 == first
    assert 10 == later


def test_a_grey_picture_is_compared_like_any_other() -> None:
    """A camera without colour is gated as well."""
    gate, scene = MotionGate(), Scene()
    passed = [gate.passes(thumbnail_of(scene.picture(None, 0)), BEAT_MS * n, tracking=False) for n in range(130)]

    assert 10 == sum(passed[30:])


def test_a_pause_is_no_long_look_back() -> None:
    """After minutes without a frame (a camera that was lost) the background is the new picture, and calm again soon."""
    scene = Scene()
    scene.passed(30)
    scene.t_ms += 300_000
    scene.light = 40.0
    scene.passed(20)

    assert 10 == scene.passed(100)
