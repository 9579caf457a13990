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

    def picture(self, head: tuple[int, int] | None, size: int, contrast: float | None = None) -> npt.NDArray[np.uint8]:
        """Return the floor as it looks now, with a head of *size* px, black or brighter by *contrast*, where one is."""
        pixels = self._floor + self.light + self._random.normal(0, self._noise, self._floor.shape)
        if head is not None:
            x, y = head
            there = pixels[max(0, y - size // 2) : y + size // 2, max(0, x - size // 2) : x + size // 2]
            there[:] = 15 if contrast is None else there + contrast
        return np.clip(pixels, 0, 255).astype(np.uint8)

    def passes(
        self,
        head: tuple[int, int] | None = None,
        *,
        size: int = 40,
        contrast: float | None = None,
        followed: bool = False,
        standing: bool = True,
    ) -> bool:
        """Show the next picture and tell whether it passed."""
        self.t_ms += BEAT_MS
        pixels = self.picture(head, size, contrast)[..., None].repeat(3, axis=2)
        return self._gate.passes(thumbnail_of(pixels), self.t_ms, followed=followed, standing=standing)

    def passed(
        self, frames: int, head: tuple[int, int] | None = None, *, followed: bool = False, standing: bool = True
    ) -> int:
        """Show so many pictures of the floor and return how many passed."""
        return sum(self.passes(head, followed=followed, standing=standing) for _ in range(frames))


def test_the_first_frame_passes() -> None:
    """Before there is a background, everything is looked at."""
    assert Scene().passes()


@pytest.mark.parametrize("noise", [0, 3, 12])
def test_an_empty_floor_is_looked_at_every_three_seconds(noise: float) -> None:
    """Whatever the camera's noise: nothing is missed for longer than that."""
    scene = Scene(noise)
    scene.passed(60)

    assert 4 == scene.passed(120)


@pytest.mark.parametrize(("followed", "looks"), [(False, 6), (True, 15)])
def test_what_hardly_differs_is_looked_at_more_often(followed: bool, looks: int) -> None:
    """A head of eight grey levels more than the floor, which may be noise: once a second, every 0.4 s among others."""
    scene = Scene(noise=1)
    scene.passed(60)

    assert looks == sum(
        scene.passes((20 + 4 * step, 120), size=40, contrast=8, followed=followed) for step in range(60)
    )


def test_whoever_may_move_is_looked_at() -> None:
    """While a head is followed that doesn't stand every frame passes, also if nothing differs."""
    scene = Scene()
    scene.passed(30)

    assert 50 == scene.passed(50, followed=True, standing=False)


@pytest.mark.parametrize("noise", [0, 3, 12])
def test_who_stands_is_looked_at_now_and_then(noise: float) -> None:
    """While all who are followed stand, and nothing moves, a frame passes once a second."""
    scene = Scene(noise)
    scene.passed(60, (160, 120))

    assert 10 == scene.passed(100, (160, 120), followed=True)


@pytest.mark.parametrize("size", [24, 40, 80])
@pytest.mark.parametrize("speed", [0.25, 1.0, 4.0, 16.0])
def test_who_stood_is_looked_at_again_before_they_have_gone_far(size: int, speed: float) -> None:
    """
    Whoever sets out, at 0.06 to 4 diameters of a middle head a second, is never left out of sight.

    A frame passes whenever they have gone 4 px, a cell of the thumbnail; each does, in which they went as far.
    """
    scene = Scene()
    scene.passed(60, (100, 120), followed=True)
    looked_x = farthest = 0.0
    for step in range(1, 41):
        x = min(200.0, speed * step)
        farthest = max(farthest, x - looked_x)
        if scene.passes((100 + round(x), 120), size=size, followed=True):
            looked_x = x

    assert farthest <= max(4.0, speed) + 1


def test_a_slow_walker_is_looked_at() -> None:
    """Whoever moves an eighth of their head from one frame to the next is looked at in each, though little differs."""
    scene = Scene()
    scene.passed(35)
    walk = [scene.passes((40 + step, 120), size=8) for step in range(100)]

    assert all(walk[10:])


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
    """An exposure that moves all of the picture alike, slowly or at once, lets only the look of three seconds pass."""
    scene = Scene()
    scene.passed(60)
    scene.light = 25.0
    sudden = scene.passed(60)
    slow = 0
    for _ in range(120):
        scene.light -= 0.3
        slow += scene.passes()

    assert (2, 4) == (sudden, slow)


def test_what_stays_is_nothing_new() -> None:
    """A bag that was put down is looked at for a moment, and then no longer all the time."""
    scene = Scene()
    scene.passed(30)
    first = scene.passed(10, (160, 120))
    scene.passed(60, (160, 120))
    later = scene.passed(120, (160, 120))

    assert 10 == first
    assert 4 == later


def test_a_grey_picture_is_compared_like_any_other() -> None:
    """A camera without colour is gated as well."""
    gate, scene = MotionGate(), Scene()
    passed = [
        gate.passes(thumbnail_of(scene.picture(None, 0)), BEAT_MS * n, followed=False, standing=True)
        for n in range(180)
    ]

    assert 4 == sum(passed[60:])


def test_a_pause_is_no_long_look_back() -> None:
    """After minutes without a frame (a camera that was lost) the picture is another one, and calm again soon."""
    scene = Scene()
    scene.passed(30)
    scene.t_ms += 300_000
    scene.light = 40.0
    scene.passed(20)

    assert 4 == scene.passed(120)
