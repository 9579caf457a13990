"""The stages together: how often the detector is asked, and who is counted though it wasn't."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from edge.config.schema import Line
from edge.core import head_model
from edge.vision.pipeline import Pipeline
from edge.vision.scene import NO_HEADS, Crossing, Frame, Heads

SEED = 11
WIDTH, HEIGHT = 320, 240
FPS = 10
HEAD = 24
ACROSS = Line.model_validate({"from": (0.05, 0.5), "to": (0.95, 0.5), "inside": (0.5, 0.9)})

Pixels = npt.NDArray[np.uint8]
Place = tuple[float, float]


class Shop:
    """A floor with goods on it, seen by a camera with noise; heads are bright discs, and nothing else is as bright."""

    def __init__(self) -> None:
        random = np.random.default_rng(SEED)
        goods = random.uniform(40, 190, (HEIGHT // 12, WIDTH // 12)).astype(np.float32)
        self._floor = cv2.resize(goods, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
        self._noises = random.normal(0, 2, (7, HEIGHT, WIDTH)).astype(np.float32)
        self._frames = 0

    def frame(self, *heads: Place) -> Frame:
        """Return the next picture, with heads at these places."""
        picture = self._floor.copy()
        for x, y in heads:
            cv2.circle(picture, (round(x), round(y)), HEAD // 2, 250.0, -1)
        grey = np.clip(picture + self._noises[self._frames % 7], 0, 255).astype(np.uint8)
        self._frames += 1
        return Frame(grey[..., None].repeat(3, axis=2), 1000 * self._frames / FPS)


class Discs:
    """Stands where the head model stands, and notes how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def detect(self, pixels: Pixels) -> Heads:
        self.asked += 1
        bright = (pixels[:, :, 1] > 225).astype(np.uint8)
        count, _, statistics, centres = cv2.connectedComponentsWithStats(bright)
        good = [index for index in range(1, count) if statistics[index, cv2.CC_STAT_AREA] > 150]
        size = len(good)
        if not size:
            return NO_HEADS
        return Heads(centres[good].astype(np.float32), np.full(size, HEAD, np.float32), np.full(size, 0.9, np.float32))


class Box:
    """A pipeline with that detector, what it has counted, and how often it looked at the last part of the film."""

    def __init__(self) -> None:
        self.pipeline = Pipeline(head_model.read(), {"door": ACROSS}, FPS)
        self.detector = Discs()
        self.pipeline._detector = self.detector  # type: ignore[assignment]
        self.crossings: list[Crossing] = []

    def show(self, frames: Iterator[Frame]) -> list[bool]:
        """Look at *frames*; return for each whether the detector was asked."""
        looked = []
        for frame in frames:
            before = self.detector.asked
            self.crossings += self.pipeline.look(frame)
            looked.append(self.detector.asked > before)
        return looked


MANNEQUIN = (250.0, 60.0)


def still(shop: Shop, seconds: float, *heads: Place) -> Iterator[Frame]:
    """Yield pictures in which nobody moves."""
    return (shop.frame(*heads) for _ in range(round(seconds * FPS)))


def walk(shop: Shop, start: Place, end: Place, speed: float, *others: Place) -> Iterator[Frame]:
    """Yield somebody's way from *start* to *end* at so many px a second, beside *others* who stand."""
    (x, y), (to_x, to_y) = start, end
    steps = round(np.hypot(to_x - x, to_y - y) / speed * FPS)
    return (
        shop.frame((x + (to_x - x) * step / steps, y + (to_y - y) * step / steps), *others) for step in range(1, steps)
    )


def test_a_mannequin_is_looked_at_now_and_then() -> None:
    """It is followed at every frame for the first 15 s, then once a second; `heads` has it in each all the same."""
    box, shop = Box(), Shop()
    first = box.show(still(shop, 10, MANNEQUIN))
    box.show(still(shop, 10, MANNEQUIN))
    looked, seen = [], []
    for frame in still(shop, 20, MANNEQUIN):
        looked += box.show(iter([frame]))
        seen.append(len(box.pipeline.heads.scores))

    assert all(first)
    assert 20 == sum(looked)
    assert [1] * 200 == seen
    assert box.crossings == []


def test_whoever_stood_for_long_is_counted_when_they_go() -> None:
    """At any usual speed, over the line from where they stood, once."""
    for speed in (30, 60, 120, 180):
        box, shop = Box(), Shop()
        box.show(walk(shop, (160, 0), (160, 90), 60))
        paused = box.show(still(shop, 20, (160, 90)))
        box.show(walk(shop, (160, 90), (150, 239), speed))
        box.show(still(shop, 3))

        assert not all(paused)
        assert ["in"] == [crossing.direction for crossing in box.crossings], speed


def test_whoever_passes_a_mannequin_is_followed_in_each_frame() -> None:
    """What stands in view costs nobody else a frame."""
    box, shop = Box(), Shop()
    box.show(still(shop, 20, MANNEQUIN))
    looked = box.show(walk(shop, (100, 239), (110, 0), 60, MANNEQUIN))

    assert all(looked)
    assert ["out"] == [crossing.direction for crossing in box.crossings]


def test_a_mannequin_that_is_carried_away_is_nobody_soon() -> None:
    """Its head is no longer told of, and the empty floor is looked at every three seconds."""
    box, shop = Box(), Shop()
    box.show(still(shop, 20, MANNEQUIN))
    box.show(still(shop, 5))
    looked = box.show(still(shop, 12))

    assert 4 == sum(looked)
    assert 0 == len(box.pipeline.heads.scores)
