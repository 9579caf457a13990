"""What a technician may see: the scenery, and of people only that somebody is there."""

from __future__ import annotations

import fcntl
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.core import silhouette
from edge.core.clock import ManualClock
from edge.core.silhouette import FULL, MOST_COLUMNS, MOST_POINTS, MOST_ROWS, SOMEBODY, Point, Silhouette
from edge.core.tally import Flag
from edge.vision.odometer import Odometers
from edge.vision.preview import BLOCK, Preview, Scenery, size_for
from edge.vision.scene import NO_HEADS, Frame, Heads, Sighting

WIDTH, HEIGHT = 640, 480
FRAME_MS = 1000 / 15
Pixels = npt.NDArray[np.uint8]
Cells = npt.NDArray[np.uint8]


def shop(level: int = 90, seed: int = 4) -> Pixels:
    """Return a doorway: a floor with texture, a mat, two posts."""
    noise = np.random.default_rng(seed).integers(-6, 7, (HEIGHT, WIDTH, 1))
    floor = np.clip(level + noise, 0, 255).astype(np.uint8).repeat(3, axis=2)
    cv2.rectangle(floor, (220, 200), (420, 300), (level - 50,) * 3, -1)
    cv2.line(floor, (90, 0), (160, 150), (220, 220, 220), 12)
    cv2.line(floor, (550, 0), (480, 150), (220, 220, 220), 12)
    return floor


@dataclass(frozen=True)
class Face:
    """A face-like pattern: always the same outline, with features of its own."""

    seed: int

    def put(self, ground: Pixels, x: float, y: float, height: float) -> None:
        """Draw it on *ground* with its middle at x, y."""
        chance = random.Random(self.seed)
        centre, half = (round(x), round(y)), height / 2
        cv2.ellipse(ground, centre, (round(0.75 * half), round(half)), 0, 0, 360, (190, 190, 190), -1)

        def feature(dx: float, dy: float, across: float, down: float, grey: int) -> None:
            place = (round(x + dx * half), round(y + dy * half))
            size = (max(1, round(across * half)), max(1, round(down * half)))
            cv2.ellipse(ground, place, size, 0, 0, 360, (grey,) * 3, -1)

        apart, up = chance.uniform(0.22, 0.36), chance.uniform(-0.3, -0.1)
        for side in (-1, 1):
            feature(side * apart, up, chance.uniform(0.08, 0.16), chance.uniform(0.04, 0.08), 240)
            feature(side * apart, up, 0.05, 0.05, chance.randrange(150, 250))
            feature(side * apart, up - 0.16, 0.16, chance.uniform(0.02, 0.06), chance.randrange(150, 250))
        feature(0, 0.12, chance.uniform(0.05, 0.12), chance.uniform(0.1, 0.2), chance.randrange(150, 250))
        feature(0, 0.5, chance.uniform(0.15, 0.32), chance.uniform(0.03, 0.1), chance.randrange(150, 250))


def film(seconds: float, draw: Callable[[Pixels, float], None], ground: Pixels | None = None) -> Iterator[Frame]:
    """Yield frames of the shop in which *draw* puts what is there at each second."""
    ground = shop() if ground is None else ground
    for index in range(round(seconds * 15)):
        pixels = ground.copy()
        draw(pixels, index / 15)
        yield Frame(pixels, index * FRAME_MS)


def cells_of(frames: Iterator[Frame], heads: Heads = NO_HEADS) -> list[Cells]:
    scenery = Scenery()
    return [scenery.draw(frame, heads) for frame in frames]


def nobody(_pixels: Pixels, _second: float) -> None:
    return


def walks(face: Face, height: float) -> Callable[[Pixels, float], None]:
    """Return somebody who comes after 4 s, walks across for 2, stands still for 2, and is gone after 8."""

    def draw(pixels: Pixels, second: float) -> None:
        if 4 <= second < 8:
            face.put(pixels, 100 + 440 * min(1.0, (second - 4) / 2), 240, height)

    return draw


def test_the_scenery_is_seen() -> None:
    """The mat and the door's posts are edges where they are, and the floor's texture is none."""
    cells = cells_of(film(4, nobody))[-1]

    assert (MOST_ROWS, MOST_COLUMNS) == cells.shape
    assert min(cells[30:45, 33].min(), cells[30, 34:62].min()) >= 8
    assert cells[60:70, 10:86].max() == 0


@pytest.mark.parametrize("share", [0.06, 0.15, 0.4, 0.9])
def test_no_face_survives(share: float) -> None:
    """Faces of one outline, each with features of its own, give the same silhouettes at every size."""
    first, *others = (cells_of(film(9, walks(Face(seed), share * HEIGHT))) for seed in range(3))
    for other in others:
        for one, two in zip(first, other, strict=True):
            assert ((one == SOMEBODY) == (two == SOMEBODY)).all()
            assert np.abs(one.astype(int) - two).max() <= 1


@pytest.mark.parametrize("share", [0.1, 0.6])
def test_beside_somebody_all_is_as_if_nobody_were_there(share: float) -> None:
    """Cells that aren't hidden show the scenery as it is without that person, to one grey of fifteen."""
    empty = cells_of(film(9, nobody))
    for with_one, without in zip(cells_of(film(9, walks(Face(1), share * HEIGHT))), empty, strict=True):
        open_cells = with_one != SOMEBODY

        assert np.abs(with_one.astype(int) - without)[open_cells].max(initial=0) <= 1


def test_somebody_is_seen_as_blocks() -> None:
    """While a person walks and stands, cells are hidden where they are; once they are gone, none is."""
    cells = cells_of(film(9, walks(Face(1), 150)))

    assert cells[15 * 5][36, 30:66].max() == SOMEBODY
    assert cells[15 * 7][36, 81] == SOMEBODY
    assert (cells[-1] == SOMEBODY).sum() == 0


def test_of_people_only_blocks_are_told() -> None:
    """Whatever moves, noise included, hidden cells always fill whole blocks of 4 x 4: 24 x 18 of yes and no."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = np.random.default_rng(seed)
    scenery = Scenery()
    for index in range(90):
        pixels = shop()
        if index > 45:
            at = chance.integers(0, 300, 2)
            size = int(chance.integers(8, 200))
            patch = pixels[at[0] : at[0] + size, at[1] : at[1] + size]
            patch[:] = chance.integers(0, 256, patch.shape, np.uint8)
        cells = scenery.draw(Frame(pixels, index * FRAME_MS), NO_HEADS)
        hidden = (cells == SOMEBODY).reshape(MOST_ROWS // BLOCK, BLOCK, MOST_COLUMNS // BLOCK, BLOCK)

        assert (hidden.all(axis=(1, 3)) == hidden.any(axis=(1, 3))).all()


def test_whoever_is_found_is_never_scenery() -> None:
    """A head that the detector finds hides what is round it, though it stood there from the start and never moved."""
    face = Face(2)
    head = Heads(np.array([[320, 240]], np.float32), np.array([150], np.float32), np.ones(1, np.float32))
    cells = cells_of(film(36, lambda pixels, _: face.put(pixels, 320, 240, 150)), head)[-1]

    assert (cells[30:42, 42:54] == SOMEBODY).all()


def test_who_stands_still_is_not_scenery_for_half_a_minute() -> None:
    """Somebody whom the detector doesn't find, and who never stirs, stays hidden for half a minute."""
    face = Face(2)

    def draw(pixels: Pixels, second: float) -> None:
        if second >= 4:
            face.put(pixels, 320, 240, 150)

    cells = cells_of(film(33, draw))

    assert (cells[-1][32:40, 44:52] == SOMEBODY).all()


def test_a_moved_camera_is_learnt_anew() -> None:
    """After the camera was turned nothing of the old view stays, and the new one is there within seconds."""
    chance = np.random.default_rng(3)
    tiles = chance.integers(40, 220, (2, 12, 16), np.uint8)
    views = [cv2.resize(t, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)[..., None].repeat(3, 2) for t in tiles]
    scenery = Scenery()
    for frame in film(4, nobody, views[0]):
        scenery.draw(frame, NO_HEADS)
    turned = [scenery.draw(Frame(f.pixels, 4000 + f.t_ms), NO_HEADS) for f in film(5, nobody, views[1])]

    assert np.abs(turned[-1].astype(int) - cells_of(film(5, nobody, views[1]))[-1]).max() <= 2


@pytest.mark.parametrize(
    ("size", "cells"),
    [((640, 480), (96, 72)), ((1280, 720), (96, 56)), ((240, 240), (72, 72)), ((480, 1920), (16, 72))],
)
def test_no_picture_is_larger(size: tuple[int, int], cells: tuple[int, int]) -> None:
    """Pictures of every form fit, in whole blocks, and keep their form."""
    assert cells == size_for(*size)


# --- the window ------------------------------------------------------------------------------------------------------


class Seen:
    """Stands for the pipeline: what was seen in the newest frame."""

    def __init__(self) -> None:
        self.heads = NO_HEADS
        self.sightings: list[Sighting] = []
        self.flags = Flag(0)


@pytest.fixture(name="pipe")
def _pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def read(descriptor: int) -> Silhouette:
    return silhouette.decode(os.read(descriptor, silhouette.SIZE))


def test_what_is_written(pipe: tuple[int, int]) -> None:
    """Heads, tracks with their times, odometers and flags cross as they are."""
    odometers = Odometers(["door", "side"], ManualClock())
    odometers.cross("side", "in")
    odometers.explain("door", "picture")
    odometers.explain("door", "picture")
    odometers.explain("side", "part")
    odometers.explain("door", "nearly")
    seen = Seen()
    seen.heads = Heads(np.array([[320, 120]], np.float32), np.array([64], np.float32), np.ones(1, np.float32))
    seen.sightings = [Sighting(5, 640, 480, 64, 900.0), Sighting(5, 700, -3, 64, 1_000.0)]
    seen.flags = Flag.SLOW
    preview = Preview(pipe[1], ["door", "side"], picture=False)
    preview.show(Frame(shop(), 800.0), Seen(), odometers)  # type: ignore[arg-type]
    preview.show(Frame(shop(), 1_000.0), seen, odometers)  # type: ignore[arg-type]
    read(pipe[0])
    told = read(pipe[0])

    assert [(0, 0, 2, 0, 1), (1, 0, 0, 1, 0)] == [tuple(count) for count in told.counts]
    assert told.points == (
        Point(5, FULL, FULL, 6554, 100),
        Point(5, FULL, 0, 6554, 0),
        Point(0, round(FULL / 2), round(FULL / 4), 6554, 0),
    )
    assert (told.t_ms, told.flags, told.columns, told.cells) == (200, Flag.SLOW, 0, b"")


def test_a_reader_that_is_slow(pipe: tuple[int, int]) -> None:
    """A full pipe never holds vision up, and no sighting is lost by it."""
    fcntl.fcntl(pipe[0], fcntl.F_SETPIPE_SZ, 2 * silhouette.SIZE)
    odometers = Odometers(["door"], ManualClock())
    preview = Preview(pipe[1], ["door"], picture=False)
    seen, picture = Seen(), shop()
    for number in range(1, 101):
        seen.sightings = [Sighting(number, 10, 10, 20, number * 10.0)]
        preview.show(Frame(picture, number * 10.0), seen, odometers)  # type: ignore[arg-type]
    seen.sightings = []
    told: list[int] = []
    for number in range(101, 106):
        told += [point.track for point in read(pipe[0]).points if point.track]
        preview.show(Frame(picture, number * 10.0), seen, odometers)  # type: ignore[arg-type]
    told += [point.track for _ in range(2) for point in read(pipe[0]).points]

    assert list(range(1, 101)) == told
    assert MOST_POINTS < 100


def test_nobody_looks_any_more(pipe: tuple[int, int]) -> None:
    """Once the other end is closed the window is shut, which ends this vision."""
    preview = Preview(pipe[1], ["door"], picture=True)
    os.close(pipe[0])
    preview.say(Flag.CAMERA_LOST, Odometers(["door"], ManualClock()))

    assert preview.shut
