"""What is wrong with a camera's pictures: each fault found and gone in the time it says, none found in sound ones."""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.config import schema
from edge.config.schema import Line
from edge.core import head_model
from edge.core.clock import KernelClock
from edge.core.tally import Flag
from edge.sandbox.readiness import Readiness
from edge.vision import process
from edge.vision.clip import ClipSource
from edge.vision.explain import Explanation
from edge.vision.odometer import Odometers
from edge.vision.picture_check import PictureCheck
from edge.vision.pipeline import Pipeline
from edge.vision.scene import NO_HEADS, Crossing, Frame, Heads, Sighting
from tests import clips
from tests.picture_check.measure import seen_through_paint

SEED = 9
WIDTH, HEIGHT = 320, 240
FPS = 5.0
HEAD = 24
MARGIN = 120

Picture = npt.NDArray[np.uint8]


class Camera:
    """Looks down on a floor with furniture and a doormat, with a sensor's noise."""

    def __init__(self, light: float = 1.0, noise: float = 2.0, seed: int = SEED) -> None:
        rng = np.random.default_rng(seed)
        high, wide = HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN
        self._floor = cv2.resize(rng.uniform(90, 110, (high // 8, wide // 8)).astype(np.float32), (wide, high))
        for _ in range(60):
            x, y = rng.integers(0, wide), rng.integers(0, high)
            w, h = rng.integers(15, 90, 2)
            self._floor[y : y + h, x : x + w] = rng.uniform(40, 200)
        self._noise = [rng.normal(0, noise, (HEIGHT, WIDTH)).astype(np.float32) for _ in range(7)]
        self._next = itertools.cycle(self._noise)
        self.light = light

    def clear(self) -> None:
        """Take the furniture away: a plain floor is left."""
        self._floor[:] = 110.0

    def picture(self, heads: Sequence[tuple[float, float]] = (), right: int = 0, down: int = 0) -> Picture:
        """Return a picture with bright discs for *heads*, of a camera that was turned by so many px."""
        top, left = MARGIN + down, MARGIN + right
        seen = self._floor[top : top + HEIGHT, left : left + WIDTH].copy()
        for x, y in heads:
            cv2.circle(seen, (round(x), round(y)), HEAD // 2, 250.0, -1)
        seen = seen * self.light + next(self._next)
        grey: Picture = np.clip(seen, 0, 255).astype(np.uint8)
        return grey[..., None].repeat(3, axis=2)


class Watch:
    """Shows pictures to a PictureCheck, one second after another and remembers when each flag came and went."""

    def __init__(self, fps: float = FPS) -> None:
        self.check = PictureCheck(fps)
        self.t_ms = 0.0
        self.flags = Flag(0)
        self.came: dict[Flag, float] = {}
        self.went: dict[Flag, float] = {}

    def show(self, seconds: float, picture: Callable[[], Picture], *, fps: float = FPS) -> Watch:
        for _ in range(round(seconds * fps)):
            self.t_ms += 1000 / fps
            flags = self.check.look(Frame(picture(), self.t_ms))
            for flag in Flag:
                if flag in flags and flag not in self.flags:
                    self.came[flag] = self.t_ms
                if flag in self.flags and flag not in flags:
                    self.went[flag] = self.t_ms
            self.flags = flags
        return self


def darkened(camera: Camera) -> Callable[[], Picture]:
    return lambda: (camera.picture() * 0.06).astype(np.uint8)


def covered(_: Camera) -> Callable[[], Picture]:
    """Return what a camera sees that has a sticker on it: no edge, but the sensor's noise and a little light."""
    rng = np.random.default_rng(SEED)
    return lambda: np.clip(rng.normal(70, 3, (HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8)


def frozen(camera: Camera) -> Callable[[], Picture]:
    still = camera.picture()
    return lambda: still


def turned(camera: Camera) -> Callable[[], Picture]:
    return lambda: camera.picture(right=60, down=25)


FAULTS: dict[Flag, tuple[Callable[[Camera], Callable[[], Picture]], float, float]] = {
    Flag.DARK: (darkened, 6, 3),
    Flag.COVERED: (covered, 6, 3),
    Flag.FROZEN: (frozen, 10.2, 0.2),
    Flag.MOVED: (turned, 16, 6),
}
"""What it looks like, and the times in s within which it is found and gone."""


@pytest.mark.parametrize("flag", FAULTS, ids=lambda flag: flag.name)
def test_found_and_gone(flag: Flag) -> None:
    """Each fault is found within its time, alone, and gone within its time when the picture is right again."""
    check_found_and_gone(flag, *FAULTS[flag])


def check_found_and_gone(
    flag: Flag, fault: Callable[[Camera], Callable[[], Picture]], found_s: float, gone_s: float, *, sound_s: float = 20
) -> None:
    """Show sound pictures, *fault* for 30 s and sound ones again: *flag* comes and goes in time, alone."""
    camera = Camera()
    watch = Watch().show(sound_s, camera.picture)
    began_ms = watch.t_ms
    watch.show(30, fault(camera))
    ended_ms = watch.t_ms
    watch.show(20, camera.picture)

    assert watch.came[flag] - began_ms <= found_s * 1000
    assert watch.went[flag] - ended_ms <= gone_s * 1000
    assert watch.flags == Flag(0)
    assert list(watch.came) == [flag]


def patterned(_: Camera) -> Callable[[], Picture]:
    """Return what a camera sees behind a cloth with stripes, out of focus: edges of its own, which stay."""
    stripes = np.full((HEIGHT, WIDTH), 70.0, np.float32)
    for x in range(0, WIDTH, 120):
        cv2.line(stripes, (x, 0), (x + 60, HEIGHT), 84.0, 12)
    stripes = np.asarray(cv2.GaussianBlur(stripes, (0, 0), 5), np.float32)
    rng = np.random.default_rng(SEED)
    noisy = (stripes[..., None] + rng.normal(0, 2, (HEIGHT, WIDTH, 3)) for _ in range(7))
    pictures = itertools.cycle([np.clip(picture, 0, 255).astype(np.uint8) for picture in noisy])
    return lambda: next(pictures)


def test_a_cover_with_edges_of_its_own_stays_one() -> None:
    """What covers the lens for minutes does not become a part of the view, whatever it looks like."""
    camera = Camera()
    watch = Watch().show(60, camera.picture)
    known = watch.check._view.structure
    began_ms = watch.t_ms
    watch.show(200, patterned(camera))
    learnt = watch.check._view.structure

    assert watch.came[Flag.COVERED] - began_ms <= 6_000
    assert Flag.COVERED not in watch.went
    assert known is not None
    assert learnt is not None
    assert set(learnt.cell.tolist()) == set(known.cell.tolist())


def painted(camera: Camera) -> Callable[[], Picture]:
    """Return what a camera sees through paint that was sprayed on its lens: a little, in some places more."""
    through = seen_through_paint(SEED)[..., None]
    return lambda: (40 + through * camera.picture()).astype(np.uint8)


def test_paint_that_lets_some_of_the_picture_through_is_a_cover() -> None:
    """It has steps of its own, and a part of the old ones; what it has lost is the sharpness."""
    check_found_and_gone(Flag.COVERED, painted, 6, 3, sound_s=60)


@pytest.mark.parametrize(("asked", "real", "slow"), [(15, 3, True), (15, 4.5, False), (5, 1.2, True), (5, 2, False)])
def test_slow(asked: float, real: float, slow: bool) -> None:
    """Under 4 frames a second, or a third of what was asked for, is slow within 10 s and no longer 10 s after."""
    camera = Camera()
    watch = Watch(asked).show(20, camera.picture, fps=asked)
    began_ms = watch.t_ms
    watch.show(15, camera.picture, fps=real)
    ended_ms = watch.t_ms
    watch.show(11, camera.picture, fps=asked)

    assert slow == (Flag.SLOW in watch.came)
    assert watch.came.get(Flag.SLOW, began_ms) - began_ms <= 11_000
    assert watch.went.get(Flag.SLOW, ended_ms) - ended_ms <= 10_100


def test_slow_from_the_first() -> None:
    """A camera that never was fast enough is found slow, too."""
    assert Flag.SLOW in Watch(15).show(12, Camera().picture, fps=2).came


def test_away_is_not_slow() -> None:
    """A camera that was closed over night isn't slow in the morning."""
    camera = Camera()
    watch = Watch().show(15, camera.picture)
    watch.t_ms += 9 * 3_600_000

    assert not watch.show(15, camera.picture).came


@pytest.mark.parametrize("flag", [Flag.DARK, Flag.COVERED, Flag.FROZEN, Flag.MOVED], ids=lambda flag: flag.name)
def test_passing_faults_are_none(flag: Flag) -> None:
    """A hand over the lens, a flicker, a stutter, a knock: what is over after four seconds raises nothing."""
    camera = Camera()
    watch = Watch().show(15, camera.picture).show(4, FAULTS[flag][0](camera)).show(15, camera.picture)

    assert not watch.came


@pytest.mark.parametrize("light", [0.35, 1.8])
def test_light(light: float) -> None:
    """Lamps that go on or off change the light and are no fault."""
    camera = Camera()
    watch = Watch().show(20, camera.picture)
    camera.light = light

    assert not watch.show(30, camera.picture).came


def test_night() -> None:
    """A dim, grainy picture in which a bright spot or a lit floor can be made out is neither dark nor covered."""
    assert not Watch().show(40, Camera(light=0.3, noise=12.0).picture).came


def test_crowd() -> None:
    """Thirty people who fill the picture for a minute are no fault."""
    camera, rng = Camera(), np.random.default_rng(SEED)
    places = rng.uniform((0, 0), (WIDTH, HEIGHT), (30, 2))

    def crowd() -> Picture:
        places[:] = np.clip(places + rng.normal(0, 4, places.shape), 0, (WIDTH, HEIGHT))
        return camera.picture([(x, y) for x, y in places])

    assert not Watch().show(15, camera.picture).show(60, crowd).came


def test_trembling_mount() -> None:
    """A mount that shakes by a few pixels of a large picture hasn't moved."""
    camera, rng = Camera(), np.random.default_rng(SEED)

    def shaken() -> Picture:
        right, down = rng.integers(-4, 5, 2)
        return camera.picture(right=int(right), down=int(down))

    assert not Watch().show(60, shaken).came


def test_sagging_mount() -> None:
    """Many small shifts in the same direction add up to a move."""
    camera = Camera()
    watch = Watch().show(15, camera.picture)
    for step in range(1, 31):
        watch.show(3, lambda step=step: camera.picture(down=2 * step))  # type: ignore[misc]

    assert Flag.MOVED in watch.flags


def test_moved_stays_moved() -> None:
    """A camera that was turned away stays flagged, however long the new view is there."""
    camera = Camera()
    watch = Watch().show(20, camera.picture).show(100, lambda: camera.picture(right=70))

    assert watch.flags == Flag.MOVED
    assert not watch.went


def white_discs(picture: Picture) -> Heads:
    """Find the heads of this file's scenes: what a head model does, for discs."""
    bright = (picture[:, :, 1] > 225).astype(np.uint8)
    count, _, stats, centres = cv2.connectedComponentsWithStats(bright)
    good = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] > 150]
    if not good:
        return NO_HEADS
    size = len(good)
    return Heads(centres[good].astype(np.float32), np.full(size, HEAD, np.float32), np.full(size, 0.9, np.float32))


class Discs:
    """Stands where the head model stands."""

    def detect(self, picture: Picture) -> Heads:
        return white_discs(picture)


ACROSS = Line.model_validate({"from": (0.05, 0.5), "to": (0.95, 0.5), "inside": (0.5, 0.9)})


@dataclass
class Counted:
    """What the product's pipeline made of some pictures: its crossings, what it refused, every flag it raised."""

    crossings: list[Crossing]
    refused: list[Explanation]
    flags: Flag


def count(*parts: Iterable[Picture]) -> Counted:
    """Show *parts*, one after another, to the product's pipeline."""
    pipeline = Pipeline(head_model.read(), {"door": ACROSS}, FPS)
    pipeline._detector = Discs()  # type: ignore[assignment]
    counted = Counted([], [], Flag(0))
    for index, picture in enumerate(itertools.chain.from_iterable(parts)):
        counted.crossings += pipeline.look(Frame(picture, index * 1000 / FPS))
        counted.refused += pipeline.refused
        counted.flags |= pipeline.flags
    counted.crossings += pipeline.finish()
    counted.refused += pipeline.refused
    return counted


def quiet(camera: Camera, seconds: float, right: int = 0, down: int = 0) -> Iterator[Picture]:
    """Yield an empty floor."""
    for _ in range(round(seconds * FPS)):
        yield camera.picture(right=right, down=down)


def walkers(camera: Camera, people: int, right: int = 0, down: int = 0) -> Iterator[Picture]:
    """Yield people who walk in, one after another, seen by a camera that was *turned*."""
    for _ in range(people):
        for y in range(10, HEIGHT - 10, 12):
            yield camera.picture([(160, y)], right=right, down=down)


def test_sound_pictures_count() -> None:
    """The scene in which crossings are refused below counts as it should when nothing is wrong."""
    camera = Camera()
    counted = count(quiet(camera, 12), walkers(camera, 5))

    assert [crossing.direction for crossing in counted.crossings] == ["in"] * 5
    assert counted.refused == []
    assert counted.flags == Flag(0)


def test_a_moved_camera_counts_on() -> None:
    """A camera that was turned is flagged, and everybody who comes by once it rests is counted."""
    camera = Camera()
    counted = count(quiet(camera, 20), quiet(camera, 20, right=60, down=30), walkers(camera, 8, right=60, down=30))

    assert [crossing.direction for crossing in counted.crossings] == ["in"] * 8
    assert counted.refused == []
    assert counted.flags == Flag.MOVED


def test_who_walks_before_a_knocked_camera_rests_is_refused() -> None:
    """Until a camera that was knocked aside is back, or has rested for ten seconds, crossings are refused."""
    camera = Camera()
    counted = count(quiet(camera, 20), walkers(camera, 2, right=60, down=30), quiet(camera, 10), walkers(camera, 3))

    assert len(counted.crossings) == 3
    assert {refused.reason for refused in counted.refused} == {"shaken"}
    assert len(counted.refused) == 2
    assert counted.flags == Flag(0)


def test_a_shaken_camera_counts_nothing() -> None:
    """People who stand still while the camera is turned to and fro aren't swept over the line."""
    camera = Camera()

    def shaken() -> Iterator[Picture]:
        for swing in range(12):
            for step in range(10):
                down = round(60 * np.sin(np.pi * step / 10) ** 2) * (1 if swing % 2 else -1)
                yield camera.picture([(100, 140 - down), (220, 100 - down)], down=down)

    counted = count(quiet(camera, 12), shaken())

    assert counted.crossings == []


@pytest.mark.parametrize("takes_s", [0.5, 1.0, 2.0])
def test_a_camera_that_is_turned_smoothly_carries_nobody_over_the_line(takes_s: float) -> None:
    """
    Who stands by the line then hasn't crossed it.

    Over a floor with faint edges nothing in the picture changes much within a moment.
    """
    camera = Camera(noise=4.0)
    camera._floor[:] = 110 + 0.2 * (camera._floor - 110)

    def going() -> Iterator[Picture]:
        steps = round(takes_s * FPS)
        for step in (*range(steps + 1), *(steps for _ in range(20)), *range(steps, -1, -1)):
            down = round(60 * np.sin(np.pi / 2 * step / steps) ** 2)
            yield camera.picture([(100, 150 - down), (220, 150 - down)], down=down)

    standing = (camera.picture([(100, 150), (220, 150)]) for _ in range(round(5 * FPS)))
    counted = count(quiet(camera, 20), standing, going())

    assert counted.crossings == []
    assert counted.flags == Flag(0)


@pytest.mark.parametrize("known_s", [0, 1, 3, 6])
def test_a_knock_before_a_view_is_known_carries_nobody_over_the_line(known_s: int) -> None:
    """A camera that was started a moment ago is knocked and put back: its own two newest frames say so."""
    camera = Camera()

    def turned() -> Iterator[Picture]:
        for down in (0, 18, 42, 60, *[60] * 15, 42, 18, 0, *[0] * 20):
            yield camera.picture([(100, 150 - down), (220, 150 - down)], down=down)

    standing = (camera.picture([(100, 150), (220, 150)]) for _ in range(round((2 + known_s) * FPS)))
    counted = count(standing, turned())

    assert counted.crossings == []
    assert {refused.reason for refused in counted.refused} == {"shaken"}


def test_a_frozen_picture_counts_nothing() -> None:
    """A head in a picture that stands still goes nowhere; when the picture runs on, nothing is made up for it."""
    camera = Camera()

    def stuck() -> Iterator[Picture]:
        still = camera.picture([(160, 100)])
        for _ in range(round(15 * FPS)):
            yield still
        for y in range(140, HEIGHT - 10, 12):
            yield camera.picture([(160, y)])

    counted = count(quiet(camera, 12), stuck())

    assert counted.crossings == []
    assert Flag.FROZEN in counted.flags


def test_the_first_pictures_are_full_of_people() -> None:
    """A camera that starts over a plain floor with a crowd counts who comes later, and raises nothing."""
    camera, rng = Camera(noise=2.0), np.random.default_rng(SEED)
    camera.clear()
    places = rng.uniform((0, 0), (WIDTH, HEIGHT), (20, 2))

    def crowd() -> Iterator[Picture]:
        for _ in range(round(30 * FPS)):
            places[:] = np.mod(places + rng.normal((0, 9), 2, places.shape), (WIDTH, HEIGHT))
            yield camera.picture([(x, y) for x, y in places])

    counted = count(crowd(), quiet(camera, 60), walkers(camera, 6))

    assert counted.flags == Flag(0)
    assert counted.refused == []
    assert [crossing.direction for crossing in counted.crossings[-6:]] == ["in"] * 6


def test_who_is_followed_can_be_seen() -> None:
    """A picture that lost nearly all its light or contrast isn't dark or covered while heads are followed in it."""
    camera = Camera()

    def dim() -> Iterator[Picture]:
        for _ in range(8):
            for y in range(10, HEIGHT - 10, 12):
                picture = (camera.picture() * 0.05).astype(np.uint8)
                cv2.circle(picture, (160, y), HEAD // 2, (250, 250, 250), -1)
                yield picture

    counted = count(quiet(camera, 30), dim())

    assert [crossing.direction for crossing in counted.crossings] == ["in"] * 8


def test_an_empty_plain_hall_is_not_covered() -> None:
    """A plain floor that was full of people for a minute and is empty for a minute raises nothing."""
    camera, rng = Camera(), np.random.default_rng(SEED)
    camera.clear()
    places = rng.uniform((0, 0), (WIDTH, HEIGHT), (30, 2))

    def crowd() -> Picture:
        places[:] = np.mod(places + rng.normal((0, 9), 2, places.shape), (WIDTH, HEIGHT))
        return camera.picture([(x, y) for x, y in places])

    assert not Watch().show(60, crowd).show(60, camera.picture).came


def test_moved_ends_when_the_config_is_loaded_again() -> None:
    """Loading the config takes the view of now for the right one: the flag ends, and a move back is a move again."""
    camera = Camera()
    watch = Watch().show(20, camera.picture).show(30, turned(camera))
    assert watch.flags == Flag.MOVED
    watch.check.begin_view()
    watch.show(20, turned(camera))
    assert watch.flags == Flag(0)

    assert watch.show(20, camera.picture).flags == Flag.MOVED


def test_another_scene_stands() -> None:
    """A camera that looks at something else altogether is flagged within 60 s."""
    camera, other = Camera(), Camera(seed=SEED + 1)
    watch = Watch().show(60, camera.picture)
    began_ms = watch.t_ms
    watch.show(60, other.picture)

    assert watch.flags == Flag.MOVED
    assert watch.came[Flag.MOVED] - began_ms <= 60_000


def test_cuts_between_shots() -> None:
    """A clip with cuts every eight seconds: nobody is carried over a cut, and counting goes on within seconds."""
    cameras = [Camera(seed=SEED + number) for number in range(4)]

    def shots() -> Iterator[Picture]:
        for number in range(12):
            camera = cameras[number % 4]
            # Somebody stands above the line in one shot, and somebody else below it in the next.
            for _ in range(20):
                yield camera.picture([(160, 90 if number % 2 else 150)])
            yield from walkers(camera, 1)

    counted = count(shots())

    assert [crossing.direction for crossing in counted.crossings] == ["in"] * 12
    assert counted.refused == []
    assert counted.flags in {Flag(0), Flag.MOVED}


def test_pictures_that_change_their_size() -> None:
    """A source that changes its size in mid-stream raises nothing, and counting goes on."""
    camera = Camera()

    def larger() -> Iterator[Picture]:
        for picture in itertools.chain(quiet(camera, 10), walkers(camera, 3)):
            yield np.asarray(cv2.resize(picture, (640, 360)), np.uint8)

    counted = count(quiet(camera, 20), walkers(camera, 2), larger())

    assert len(counted.crossings) == 5
    assert counted.flags == Flag(0)


def test_grey_pictures() -> None:
    """A source that gives one value a point is judged as one that gives three."""
    camera = Camera()
    watch = Watch().show(20, lambda: np.ascontiguousarray(camera.picture()[:, :, 0]))
    watch.show(30, lambda: np.ascontiguousarray(turned(camera)()[:, :, 0]))

    assert watch.flags == Flag.MOVED
    assert list(watch.came) == [Flag.MOVED]


def test_a_camera_whose_exposure_hunts() -> None:
    """Light that swings by half every three seconds is no fault, and a move in it is still found."""
    camera = Camera()

    def hunting(right: int = 0) -> Callable[[], Picture]:
        def picture() -> Picture:
            camera.light = 0.75 + 0.25 * math.sin(next(phase))
            return camera.picture(right=right)

        phase = itertools.count(0.0, 2 * math.pi / (3 * FPS))
        return picture

    watch = Watch().show(60, hunting())
    assert not watch.came

    assert watch.show(40, hunting(right=60)).flags == Flag.MOVED


def test_a_camera_that_sends_every_picture_twice() -> None:
    """Each picture twice is no frozen camera's; one that then stands still is found within its time."""
    camera = Camera()

    def doubled() -> Iterator[Picture]:
        while True:
            picture = camera.picture()
            yield picture
            yield picture

    pictures = doubled()
    watch = Watch().show(40, lambda: next(pictures))
    assert not watch.came
    began_ms = watch.t_ms

    assert watch.show(12, frozen(camera)).came[Flag.FROZEN] - began_ms <= 10_400


def test_a_source_that_repeats_pictures_for_seconds() -> None:
    """An encoder that skips a still picture for six seconds at a time isn't frozen when it does so for twelve."""
    camera = Camera()
    watch = Watch()
    for _ in range(6):
        watch.show(6, frozen(camera))

    assert not watch.show(12, frozen(camera)).came
    assert watch.show(32, frozen(camera)).came.keys() == {Flag.FROZEN}


def test_state_is_bounded() -> None:
    """What the check keeps doesn't grow with the people who pass, nor with the time."""
    check = PictureCheck(FPS)
    camera = Camera()
    for number in range(2_000):
        check.look(Frame(camera.picture(), number * 200.0))
        centre = np.array([[float(number % WIDTH), 100.0]], np.float32)
        heads = Heads(centre, np.array([HEAD], np.float32), np.array([0.9], np.float32))
        check.note(heads, [Sighting(number, float(number % WIDTH), 100.0, HEAD, number * 200.0)])

    assert len(check._first_seen) <= 200
    assert len(check._recent) <= 10
    assert len(check._motion._shaken) <= 32


REAL_FAULTS: dict[Flag, Callable[[Picture], Picture]] = {
    Flag.DARK: lambda picture: (picture * 0.05).astype(np.uint8),
    Flag.COVERED: lambda picture: np.full_like(picture, 80),
    Flag.MOVED: lambda picture: np.roll(picture, (picture.shape[0] // 5, picture.shape[1] // 4), (0, 1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("clip", clips.everywhere())
def test_faults_of_real_pictures(clip: Path) -> None:
    """
    A real door that is darkened, covered or turned near the end of its clip is found in its time, and nothing else.

    Where too little static structure was seen by then, to know too little is no verdict.
    """
    source = ClipSource(str(clip), fps=FPS)
    pictures = []
    while (frame := source.read()) is not None:
        pictures.append(frame.pixels.copy())
    source.close()
    check = PictureCheck(FPS)
    sound = max(round(20 * FPS), len(pictures))
    for index in range(sound):
        assert check.look(Frame(pictures[index % len(pictures)], index * 1000 / FPS)) == Flag(0)
    enough = check._view.structure is not None

    for flag, fault in REAL_FAULTS.items():
        watched, raised = copy.deepcopy(check), Flag(0)
        for index in range(round(FPS * (FAULTS[flag][1] + 1))):
            raised |= watched.look(Frame(fault(pictures[index % len(pictures)]), (sound + index) * 1000 / FPS))

        assert raised in {flag, Flag(0)}, flag.name
        assert raised == flag or not enough or flag is Flag.MOVED, flag.name


def test_a_reload_ends_moved(tmp_path: Path) -> None:
    """SIGHUP, which loads the config again, takes the view of now for the right one."""
    clip = tmp_path / "door.mp4"
    clip.touch()
    line = {"from": [0.05, 0.5], "to": [0.95, 0.5], "inside": [0.5, 0.9]}
    config = {
        "site": "s",
        "timezone": "UTC",
        "broker": {"host": "localhost"},
        "cameras": {"door": {"source": str(clip), "lines": {"line": line}}},
    }
    settings = schema.parse(json.dumps(config), tmp_path / "footfall.yaml").vision("door")
    camera = Camera()
    pipeline = Pipeline(head_model.read(), settings.camera.lines, FPS)
    pipeline._detector = Discs()  # type: ignore[assignment]
    watch = process._Loop(
        settings, KernelClock(), pipeline, Odometers(settings.camera.lines, KernelClock()),
        None, None, None, Readiness(), None,  # type: ignore[arg-type]
    )  # fmt: skip
    pictures = itertools.chain(quiet(camera, 20), quiet(camera, 20, right=60))
    for index, picture in enumerate(pictures):
        pipeline.look(Frame(picture, index * 200.0))
    assert pipeline.flags == Flag.MOVED

    watch.reload(lambda: settings)
    for index, picture in enumerate(quiet(camera, 20, right=60), 200):
        pipeline.look(Frame(picture, index * 200.0))

    assert pipeline.flags == Flag(0)
