"""
Drawn views of shop floors, with traffic and changing light, for measuring the picture check: grey pictures and truth.

A view is drawn once on a canvas larger than the picture, so that the camera can be turned, shifted and zoomed over it.
Each picture then gets its light (a cloud, lamps that go on and off, sun spots that wander), what moves in the scenery
(a door that opens, a trolley that is parked), its people with their shadows, and the sensor's noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt

from edge.vision.scene import Heads, Sighting

WIDTH, HEIGHT = 320, 240
CANVAS_WIDTH, CANVAS_HEIGHT = 2 * WIDTH, 2 * HEIGHT
FPS = 10.0

Grey = npt.NDArray[np.float32]
"""(rows, columns) float32, grey levels."""
Picture = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]
"""(3, 3) float64: from the canvas to the picture, px."""

STILL: Matrix = np.array([[1.0, 0, -WIDTH / 2], [0, 1.0, -HEIGHT / 2], [0, 0, 1.0]])
"""The camera as it was mounted: the middle of the canvas."""


def shifted(right: float, down: float) -> Matrix:
    """Return a camera that was shifted by these shares of the picture's width and height."""
    return np.array([[1.0, 0, -right * WIDTH], [0, 1.0, -down * HEIGHT], [0, 0, 1.0]]) @ STILL


def rolled(degrees: float) -> Matrix:
    """Return a camera that was turned round its own axis."""
    return np.vstack((cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), degrees, 1.0), [0, 0, 1])) @ STILL


def panned(degrees: float, tilt: float, wide: float) -> Matrix:
    """Return a camera of *wide* degrees across that was turned sideways and down."""
    focal = WIDTH / 2 / math.tan(math.radians(wide) / 2)
    inner = np.array([[focal, 0, WIDTH / 2], [0, focal, HEIGHT / 2], [0, 0, 1.0]])
    yaw, pitch = math.radians(degrees), math.radians(tilt)
    about_y = np.array([[math.cos(yaw), 0, -math.sin(yaw)], [0, 1, 0], [math.sin(yaw), 0, math.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(pitch), math.sin(pitch)], [0, -math.sin(pitch), math.cos(pitch)]])
    turned: Matrix = inner @ about_x @ about_y @ np.linalg.inv(inner) @ STILL
    return turned


def zoomed(factor: float) -> Matrix:
    """Return a camera whose lens was turned: things are *factor* times as large."""
    x, y = WIDTH / 2 * (1 - factor), HEIGHT / 2 * (1 - factor)
    return np.array([[factor, 0, x], [0, factor, y], [0, 0, 1.0]]) @ STILL


@dataclass
class Person:
    """Somebody who walks from one place to another on the canvas; places in px, times in seconds."""

    number: int
    start: tuple[float, float]
    end: tuple[float, float]
    start_s: float
    end_s: float
    diameter: float
    clothes: float
    hair: float
    pauses_s: float = 0.0

    def place(self, t_s: float) -> tuple[float, float] | None:
        """Return where the head is, or None before and after; half way the person may pause."""
        walk_s = self.end_s - self.start_s - self.pauses_s
        gone_s = t_s - self.start_s
        if not 0 <= gone_s <= self.end_s - self.start_s:
            return None
        share = min(gone_s, walk_s / 2) + max(0.0, gone_s - walk_s / 2 - self.pauses_s)
        share /= walk_s
        sway = 0.15 * self.diameter * math.sin(6 * t_s + self.number)
        return (
            self.start[0] + share * (self.end[0] - self.start[0]) + sway,
            self.start[1] + share * (self.end[1] - self.start[1]),
        )


@dataclass
class Scene:
    """
    One view and all that happens in it.

    Attributes:
        floor: (480, 640) float32, the canvas in even light.
        plain: Whether it is a plain floor, with next to no structure.
        light: Returns for a time, in seconds, by what each point of the canvas is to be multiplied.
        changes: Each draws something into a copy of the canvas at a time: a door, a trolley.
        people: Who walks through.
        noise: The sensor's, grey levels.
    """

    floor: Grey
    plain: bool
    light: Callable[[float], Grey]
    changes: Sequence[Callable[[Grey, float], None]]
    people: Sequence[Person]
    noise: float
    random: np.random.Generator
    _lit: tuple[float, Grey] = field(default_factory=lambda: (-math.inf, np.ones((1, 1), np.float32)))

    def picture(self, t_s: float, camera: Matrix = STILL) -> Picture:
        """Return what *camera* sees at *t_s*: (240, 320) uint8, grey."""
        if t_s - self._lit[0] >= 0.5 or t_s < self._lit[0]:
            lit = self.floor.copy()
            for change in self.changes:
                change(lit, t_s)
            self._lit = (t_s, lit * self.light(t_s))
        seen = np.asarray(
            cv2.warpPerspective(self._lit[1], camera, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101), np.float32
        )
        for person in self.people:
            place = person.place(t_s)
            if place is not None:
                self._draw(seen, person, through(camera, place), scale_of(camera))
        seen += (
            self.random.standard_normal((HEIGHT // 2, WIDTH // 2), np.float32).repeat(2, 0).repeat(2, 1) * self.noise
        )
        picture: Picture = np.clip(seen, 0, 255).astype(np.uint8)
        return picture

    def heads(self, t_s: float, camera: Matrix = STILL, recall: float = 0.9) -> tuple[Heads, list[Sighting]]:
        """Return the heads as a detector finds them, and as a tracker follows them."""
        found = []
        for person in self.people:
            place = person.place(t_s)
            if place is None or self.random.random() > recall:
                continue
            x, y = through(camera, place)
            if 0 <= x < WIDTH and 0 <= y < HEIGHT:
                found.append(Sighting(person.number, x, y, person.diameter * scale_of(camera), t_s * 1000))
        centres = np.array([(s.x, s.y) for s in found], np.float32).reshape(-1, 2)
        sizes = np.array([s.diameter for s in found], np.float32)
        return Heads(centres, sizes, np.full(len(found), 0.8, np.float32)), found

    def _draw(self, seen: Grey, person: Person, head: tuple[float, float], scale: float) -> None:
        """Draw one person, seen from obliquely above: shadow, legs, shoulders, head."""
        size = person.diameter * scale
        x, y = round(head[0]), round(head[1])
        body = (round(head[0]), round(head[1] + 1.1 * size))
        cv2.ellipse(seen, (x + round(size), y + round(2.2 * size)), (round(1.3 * size), round(0.5 * size)), 20, 0, 360,
                    float(seen[min(HEIGHT - 1, max(0, y)), min(WIDTH - 1, max(0, x))]) * 0.6, -1)  # fmt: skip
        cv2.ellipse(seen, (x, y + round(2 * size)), (round(0.5 * size), round(0.9 * size)), 0, 0, 360,
                    person.clothes * 0.7, -1)  # fmt: skip
        cv2.ellipse(seen, body, (round(size), round(0.7 * size)), 0, 0, 360, person.clothes, -1)
        cv2.circle(seen, (x, y), max(1, round(size / 2)), person.hair, -1)


def through(camera: Matrix, place: tuple[float, float]) -> tuple[float, float]:
    """Return where *camera* sees a place of the canvas, px."""
    x, y, z = camera @ (*place, 1.0)
    return float(x / z), float(y / z)


def scale_of(camera: Matrix) -> float:
    """Return how much *camera* enlarges."""
    return math.sqrt(abs(float(np.linalg.det(camera[:2, :2]))))


def draw_scene(seed: int, seconds: float, *, plain: bool, empty_s: float = 0.0) -> Scene:
    """
    Draw a view and choose what happens in it.

    Args:
        seed: Of all that is random.
        seconds: How long people come by.
        plain: A plain floor that fills the picture.
        empty_s: How long nobody comes by at first.
    """
    random = np.random.default_rng(seed)
    floor = _floor(random, plain=plain)
    people = _people(random, seconds, empty_s)
    changes = [] if plain else [_door(random), _trolley(random, seconds)]
    return Scene(floor, plain, _light(random, seconds), changes, people, float(random.uniform(1.0, 4.0)), random)


def _floor(random: np.random.Generator, *, plain: bool) -> Grey:
    """Draw the canvas: a floor, and unless it is *plain* tiles, walls, furniture."""
    grain = random.normal(0, 1, (CANVAS_HEIGHT // 8, CANVAS_WIDTH // 8)).astype(np.float32)
    floor: Grey = cv2.resize(grain, (CANVAS_WIDTH, CANVAS_HEIGHT), interpolation=cv2.INTER_CUBIC) * 1.5
    down, right = np.mgrid[0:CANVAS_HEIGHT, 0:CANVAS_WIDTH].astype(np.float32)
    floor += random.uniform(90, 190) + random.uniform(-30, 30) * right / CANVAS_WIDTH
    floor += random.uniform(-30, 30) * down / CANVAS_HEIGHT
    if plain:
        return floor
    if random.random() < 0.5:
        tile, slant = random.uniform(30, 90), random.uniform(-0.3, 0.3)
        seam = (np.mod(right + slant * down, tile) < 2) | (np.mod(down - slant * right, tile) < 2)
        floor[seam] -= random.uniform(10, 40)
    for _ in range(int(random.integers(6, 22))):
        x, y = random.uniform(0, CANVAS_WIDTH), random.uniform(0, CANVAS_HEIGHT)
        size = (random.uniform(15, 140), random.uniform(15, 110))
        box = cv2.boxPoints(((x, y), size, random.uniform(-40, 40))).astype(np.int32)
        cv2.fillPoly(floor, [box], float(random.uniform(25, 235)))
        if random.random() < 0.4:
            cv2.polylines(floor, [box], True, float(random.uniform(0, 255)), int(random.integers(1, 4)))
    return floor


def _people(random: np.random.Generator, seconds: float, empty_s: float) -> list[Person]:
    diameter = random.uniform(14, 30)
    upwards = random.random() < 0.5
    people: list[Person] = []
    t_s, every_s = empty_s, random.uniform(0.8, 12.0)
    while t_s < seconds:
        a, b = random.uniform(WIDTH / 2, 3 * WIDTH / 2, 2)
        ends = (float(a), HEIGHT / 2 - 40.0), (float(b), 3 * HEIGHT / 2 + 40.0)
        start, end = ends if (random.random() < 0.7) == upwards else ends[::-1]
        takes_s = random.uniform(3, 7)
        pause_s = random.uniform(5, 60) if random.random() < 0.05 else 0.0
        people.append(
            Person(
                len(people), start, end, t_s, t_s + takes_s + pause_s, diameter * random.uniform(0.85, 1.15),
                random.uniform(20, 220), random.uniform(20, 160), pause_s,
            )
        )  # fmt: skip
        t_s += random.exponential(every_s)
    return people


def _light(random: np.random.Generator, seconds: float) -> Callable[[float], Grey]:
    """Choose a cloud, lamps that go on and off, and a sun spot that wanders."""
    down, right = np.mgrid[0:CANVAS_HEIGHT, 0:CANVAS_WIDTH].astype(np.float32)
    lamps = []
    for _ in range(int(random.integers(0, 4))):
        x, y = random.uniform(0, CANVAS_WIDTH), random.uniform(0, CANVAS_HEIGHT)
        reach = random.uniform(80, 260)
        pool = np.exp(-((right - x) ** 2 + (down - y) ** 2) / (2 * reach**2)).astype(np.float32)
        lamps.append((pool * random.uniform(0.2, 0.6), random.uniform(40, 200), random.uniform(0, 400)))
    cloud_s, cloud = random.uniform(60, 240), random.uniform(0, 0.35)
    spot = np.array([random.uniform(0.3, 0.7) * CANVAS_WIDTH, random.uniform(0.3, 0.7) * CANVAS_HEIGHT])
    drift = random.uniform(-0.25, 0.25, 2)
    spot_size, spot_light = random.uniform(25, 90, 2), random.uniform(0.2, 0.7) * (random.random() < 0.6)

    def light(t_s: float) -> Grey:
        dimmed = 1 - cloud * math.sin(2 * math.pi * t_s / cloud_s) ** 2
        gain: Grey = np.full((CANVAS_HEIGHT, CANVAS_WIDTH), dimmed, np.float32)
        for pool, period_s, phase_s in lamps:
            if (t_s + phase_s) // period_s % 2:
                gain += pool
        if spot_light:
            x, y = spot + drift * min(t_s, seconds)
            wide, high = spot_size
            corners = np.array(
                [(x - wide, y - high), (x + wide, y - high * 0.7), (x + wide * 0.8, y + high), (x - wide, y + high)]
            )
            cv2.fillPoly(gain, [corners.astype(np.int32)], float(1 + spot_light))
        return gain * 0.9

    return light


def _door(random: np.random.Generator) -> Callable[[Grey, float], None]:
    """Choose a door that opens and closes: a leaf that slides over up to a third of the picture's width."""
    x, y = random.uniform(0.5, 1.2) * WIDTH, random.uniform(0.5, 0.9) * HEIGHT
    wide, high = random.uniform(40, 110), random.uniform(60, 160)
    grey, every_s = float(random.uniform(40, 210)), random.uniform(6, 30)

    def door(lit: Grey, t_s: float) -> None:
        opened = min(1.0, max(0.0, 2 * math.sin(2 * math.pi * t_s / every_s) + 0.5))
        left = round(x + opened * wide)
        cv2.rectangle(lit, (left, round(y)), (round(left + wide), round(y + high)), grey, -1)
        cv2.rectangle(lit, (left, round(y)), (round(left + wide), round(y + high)), grey * 0.5, 2)

    return door


def _trolley(random: np.random.Generator, seconds: float) -> Callable[[Grey, float], None]:
    """Choose a trolley that stands in the picture for five minutes."""
    x, y = random.uniform(0.6, 1.3) * WIDTH, random.uniform(0.6, 1.2) * HEIGHT
    start_s = random.uniform(0.1, 0.4) * seconds
    grey = float(random.uniform(60, 200))

    def trolley(lit: Grey, t_s: float) -> None:
        if start_s <= t_s <= start_s + 300:
            corner = (round(x), round(y))
            cv2.rectangle(lit, corner, (corner[0] + 60, corner[1] + 45), grey, -1)
            for bar in range(0, 60, 8):
                cv2.line(lit, (corner[0] + bar, corner[1]), (corner[0] + bar, corner[1] + 45), grey * 0.4, 1)

    return trolley


def without_light_changes(scene: Scene) -> Scene:
    """Return *scene* in even light, for faults that are themselves a change of light."""
    even = np.full((CANVAS_HEIGHT, CANVAS_WIDTH), 0.9, np.float32)
    return replace(scene, light=lambda _: even)
