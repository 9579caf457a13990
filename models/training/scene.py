"""
Random scenes at a shop's door, the camera over it, and the heads that can be seen in it.

A scene's floor is at y = 0. Doors stand in a wall along x at z = 0: the shop is at z > 0, the street at z < 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from . import shapes
from .asset_readers import Floats, rotation
from .assets import Assets, PersonAsset
from .lens import Lens
from .render import Draw, Light, Pinhole

_SKINS = np.array([[0.83, 0.60, 0.48], [0.70, 0.47, 0.34], [0.52, 0.32, 0.21], [0.33, 0.19, 0.12], [0.17, 0.09, 0.06]])
_HAIRS = np.array(
    [[0.02, 0.018, 0.016], [0.05, 0.032, 0.02], [0.12, 0.07, 0.04], [0.32, 0.2, 0.1], [0.5, 0.38, 0.2],
     [0.5, 0.5, 0.49], [0.3, 0.07, 0.03]]
)  # fmt: skip

_CLOTHS = {"plain": 0.16, "fabric": 0.28, "creased": 0.36, "print": 0.12, "photograph": 0.08}
"""What clothes are made of, and how often each is drawn."""
_WIDE_LOADS = ("umbrella", "pram", "trolley")

Kind = Literal["any", "ordinary", "queue"]
"""
Kinds of scene: any at all; an ordinary shop by day, well lit and nearly free of clutter; a queue in dark coats that
comes up a step, close under a low camera.
"""


@dataclass(frozen=True)
class _Habits:
    """
    What differs from kind to kind of scene.

    Attributes:
        moods: Kinds of light, and how often each is drawn.
        clear: How often nothing stands about.
        rails: How often there are rails besides those that stand about.
        photographed: How often all stands in a photographed place, and not on a floor of ours.
        dark: How often a person's clothes are nearly black.
        crowd: Fewest and most people; None for anything from nobody to a crowd.
        apart: Least and most distance that people keep, metres.
        steps: How high they stand above the shop's floor, metres; each as often.
        wide: Whether people carry umbrellas and push prams, which hide others close under a camera.
    """

    moods: Mapping[str, float]
    clear: float = 0.0
    rails: float = 0.0
    photographed: float = 0.18
    dark: float = 0.0
    crowd: tuple[int, int] | None = None
    apart: tuple[float, float] = (0.3, 0.6)
    steps: tuple[float, ...] = (0.0, 0.0, 0.0, 0.15)
    wide: bool = True


_HABITS: dict[Kind, _Habits] = {
    "any": _Habits({"indoor": 0.46, "day": 0.17, "backlight": 0.16, "night": 0.13, "dim": 0.08}, dark=0.15),
    "ordinary": _Habits({"indoor": 0.5, "day": 0.3, "backlight": 0.2}, clear=0.7, dark=0.35),
    "queue": _Habits(
        {"indoor": 0.3, "day": 0.2, "backlight": 0.5}, clear=0.4, rails=0.5, photographed=0.0, dark=0.6,
        crowd=(2, 12), apart=(0.26, 0.42), steps=(0.0, -0.2, -0.4), wide=False,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class View:
    """
    A camera in a scene: the pinhole that is drawn, and the lens that makes the finished picture of it.

    Attributes:
        tilt: How far it looks away from straight down, degrees.
    """

    pinhole: Pinhole
    lens: Lens
    tilt: float


@dataclass(frozen=True)
class Head:
    """One head in the finished picture: centre and diameter in px, and which share of it is seen, 0 to 1."""

    x: float
    y: float
    diameter: float
    visible: float


@dataclass
class Scene:
    """All that is drawn, the light, and the people in it by their number (1 and up)."""

    draws: list[Draw]
    light: Light
    people: dict[int, tuple[PersonAsset, npt.NDArray[np.float64]]]
    middle: Floats
    mood: str


def random_view(random: np.random.Generator, width: int, height: int, kind: Kind = "any") -> View:
    """
    Draw a camera 2.2 to 4.5 m up: half look straight down, the rest are tilted by up to 65 degrees.

    One in four hangs low, so that heads pass close under it and are large; over a queue, all do.
    """
    if kind == "queue":
        eye = np.array([random.normal(0, 0.3), random.uniform(2.05, 2.5), random.uniform(0.2, 1.2)], np.float32)
        yaw = random.choice([0.0, np.pi]) + random.normal(0, 0.3)
        tilt, bend = random.uniform(0, 50), random.uniform(0, 0.8)
        return look(eye, tilt, yaw, random.normal(0, 0.1), random.uniform(65, 110), bend, width, height)
    tilt = abs(random.normal(0, 9)) if random.random() < 0.5 else random.uniform(10, 65)
    high = random.uniform(2.15, 2.65) if random.random() < 0.25 else random.uniform(2.2, 4.5)
    eye = np.array([random.normal(0, 0.5), high, random.uniform(0.0, 3.0)], np.float32)
    yaw = random.choice([0.0, np.pi, random.uniform(-np.pi, np.pi)], p=[0.35, 0.35, 0.3]) + random.normal(0, 0.15)
    bend = random.choice([0.0, random.uniform(0, 1)])
    return look(eye, tilt, yaw, random.normal(0, 0.05), random.uniform(50, 120), bend, width, height)


def look(  # noqa: PLR0917 - as many as a camera has
    eye: Floats, tilt: float, yaw: float, roll: float, view: float, bend: float, width: int, height: int
) -> View:
    """
    Return a camera at *eye* (metres), turned by *yaw* and *roll* (radians) and tilted from straight down (degrees).

    Its *view* is in degrees across the longer side of the finished picture of *width* times *height* px; for *bend*
    see Lens.
    """
    half = np.radians(view / 2)
    focal = max(width, height) / 2 / float((1 - bend) * np.tan(half) + bend * half)
    lens = Lens(focal, bend, width, height)
    scale = np.hypot(width, height) / 2 / np.tan(min(lens.widest(), 1.31))
    turn = rotation(2, roll) @ rotation(0, np.radians(90 - tilt)) @ rotation(1, yaw)
    return View(Pinhole(eye, turn, 2 * scale, 2 * width, 2 * height), lens, tilt)


def colours(value: npt.ArrayLike = (1.0, 1.0, 1.0), glow: float = 0.0) -> Floats:
    """Return one linear colour for every slot."""
    return np.tile(np.array([*np.broadcast_to(np.asarray(value), 3), glow], np.float32), (shapes.SLOTS, 1))


def textured(layer: int = 0, repeats: float = 1.0) -> Floats:
    """Return one texture for every slot, hardly glossy."""
    return np.tile(np.array([layer, repeats, 0.02, 24.0], np.float32), (shapes.SLOTS, 1))


def _any_colour(random: np.random.Generator, dark: float = 0.35) -> npt.NDArray[np.float64]:
    """Draw a linear colour: often dark or grey, as clothes and goods are."""
    value = random.uniform(0.01, 0.08) if random.random() < dark else random.uniform(0.05, 0.8)
    tint = random.dirichlet([2.0, 2.0, 2.0]) * 3
    grey = random.uniform(0, 1) ** 0.7
    return np.asarray(np.clip(value * (grey + (1 - grey) * tint), 0, 0.95))


def dyed(assets: Assets, someone: PersonAsset) -> tuple[Floats, Floats]:
    """Return a person's colours and textures: the same for the same dye."""
    random = np.random.default_rng(someone.dye)
    paint, cloth = colours(), textured()
    place = random.uniform(0, len(_SKINS) - 1.001)
    low = int(place)
    skin = _SKINS[low] * (1 - place + low) + _SKINS[low + 1] * (place - low)
    hair = _HAIRS[random.choice(len(_HAIRS), p=[0.32, 0.22, 0.16, 0.08, 0.07, 0.1, 0.05])] * random.uniform(0.7, 1.3)
    for slot in (shapes.TOP, shapes.BOTTOM, shapes.HEADWEAR, shapes.OTHER, shapes.MORE, shapes.SHOES):
        paint[slot, :3] = _any_colour(random)
        kind = str(random.choice(list(_CLOTHS), p=list(_CLOTHS.values())))
        if slot != shapes.SHOES and kind != "plain":
            cloth[slot, :2] = random.choice(assets.kinds[kind]), random.uniform(0.7, 4.0 if kind == "fabric" else 2.0)
            paint[slot, :3] = np.clip(paint[slot, :3] * (2.0 if kind == "fabric" else 1.4), 0.02, 1)
        if kind in {"print", "photograph"} and random.random() < 0.6:
            paint[slot, :3] = random.uniform(0.3, 1.0)
    paint[[shapes.SKIN, shapes.FACE], :3] = skin
    paint[[shapes.HAIR, shapes.LONG_HAIR], :3] = hair
    if random.random() < 0.25:
        paint[shapes.LONG_HAIR, :3] = np.clip(hair * random.uniform(1.5, 5.0) * (1.1, 1.0, 0.8), 0, 0.7)
    cloth[[shapes.SKIN, shapes.FACE], 2] = random.uniform(0.01, 0.12)
    cloth[[shapes.HAIR, shapes.LONG_HAIR]] = (
        random.choice(assets.kinds["hair"]), random.uniform(2.0, 7.0), min(random.exponential(0.035), 0.15),
        random.uniform(6, 40),
    )  # fmt: skip
    return paint.astype(np.float32), cloth


class SceneMaker:
    """Draws random scenes from the assets."""

    def __init__(self, assets: Assets, random: np.random.Generator) -> None:
        self._assets, self._random = assets, random

    def make(self, view: View, kind: Kind = "any") -> Scene:
        """Return a furnished and peopled scene of a *kind* for *view*."""
        random, habits = self._random, _HABITS[kind]
        scene = self.furnished(view, kind)
        draws, mood, spots = scene.draws, scene.mood, self._spots(view, 60)
        people = self._people(view, spots, habits)
        for number, (someone, matrix) in people.items():
            paint, cloth = dyed(self._assets, someone)
            if habits.dark and random.random() < habits.dark:
                paint[[shapes.TOP, shapes.OTHER, shapes.MORE], :3] *= random.uniform(0.05, 0.4)
            if mood == "night" and random.random() < 0.5:
                paint[:, :3] = 0.3 * paint[:, :3] + 0.7 * paint[:, :3].mean(axis=1, keepdims=True) + 0.06
            draws.append(Draw(someone.mesh, matrix, paint, cloth, number))
        return Scene(draws, scene.light, people, scene.middle, mood)

    def furnished(self, view: View, kind: Kind = "any") -> Scene:
        """Return a scene of a *kind* for *view* without anybody in it."""
        random, habits = self._random, _HABITS[kind]
        mood = str(random.choice(list(habits.moods), p=list(habits.moods.values())))
        spots = self._spots(view, 60)
        clear = habits.clear and random.random() < habits.clear
        photographed = habits.photographed and random.random() < habits.photographed
        draws = [] if photographed else self._ground(mood) + self._walls(mood)
        draws += [] if clear else self._clutter(spots)
        draws += self._rails(spots) if habits.rails and len(spots) and random.random() < habits.rails else []
        middle = np.array([*spots.mean(axis=0)], np.float32) if len(spots) else np.zeros(3, np.float32)
        return Scene(draws, self._light(mood, view), {}, middle, mood)

    def _spots(self, view: View, count: int) -> npt.NDArray[np.float64]:
        """Return places on the floor whose heads' height is in (or just beside) the picture, (n, 3)."""
        random, camera = self._random, view.pinhole
        px = random.uniform(-0.6, 0.6, (count * 3, 2)) * (camera.width, camera.height)
        rays = np.column_stack((px[:, 0], -px[:, 1], np.full(len(px), -camera.focal))) @ camera.turn
        level = random.uniform(1.1, 1.75, len(px))
        down = rays[:, 1] < -1e-3
        reach = (level - camera.eye[1]) / np.where(down, rays[:, 1], -1)
        places = camera.eye + rays * reach[:, None]
        far = np.hypot(places[:, 0] - camera.eye[0], places[:, 2] - camera.eye[2])
        places[:, 1] = 0
        return np.asarray(places[down & (far < 9)][:count])

    def _people(
        self, view: View, spots: npt.NDArray[np.float64], habits: _Habits
    ) -> dict[int, tuple[PersonAsset, npt.NDArray[np.float64]]]:
        """Stand people on some spots; groups walk the same way."""
        random, assets = self._random, self._assets
        crowd = random.random()
        wanted = 0 if crowd < 0.07 else int(random.integers(1, 4)) if crowd < 0.5 else int(random.integers(3, 10))
        wanted = int(random.integers(10, 24)) if crowd > 0.9 else wanted
        if habits.crowd:
            wanted = int(random.integers(*habits.crowd, endpoint=True))
        apart = random.uniform(*habits.apart)
        way = random.choice([0.0, np.pi, random.uniform(0, 6.28)])
        people: dict[int, tuple[PersonAsset, npt.NDArray[np.float64]]] = {}
        taken: list[npt.NDArray[np.float64]] = []
        for spot in spots:
            if len(people) >= wanted:
                break
            near = spot if not taken or random.random() < 0.5 else taken[-1] + random.normal(0, 0.5, 3) * (1, 0, 1)
            if any(np.hypot(*(near - other)[[0, 2]]) < apart for other in taken):
                continue
            someone = assets.people[int(random.integers(len(assets.people)))]
            if not habits.wide and someone.look.load in _WIDE_LOADS:
                continue
            away = np.linalg.norm(np.array([near[0], someone.person.height - 0.1, near[2]]) - view.pinhole.eye)
            if away < 0.38:
                continue
            yaw = way + (np.pi if random.random() < 0.3 else 0) + random.normal(0, 0.4)
            taken.append(near)
            step = shapes.transform((near[0], random.choice(habits.steps), near[2]), yaw)
            people[len(people) + 1] = someone, step
        return people

    def _ground(self, mood: str) -> list[Draw]:
        """Return floor inside, pavement outside, mats, stains and pools of light."""
        random, assets = self._random, self._assets
        inside, outside = random.choice(assets.kinds["floor"], 2)
        tint = np.clip(random.uniform(0.15, 1.0) * (1 + random.normal(0, 0.06, 3)), 0.05, 1.2)
        place = shapes.transform((0, 0, 15), random.choice([0, np.pi / 2]))
        draws = [
            Draw(assets.solids["floor"], place, colours(tint), textured(inside, random.uniform(0.35, 1.5)), 0, False)
        ]
        glow = {"backlight": random.uniform(1.5, 6), "day": 0.6}.get(mood, 0.0)
        paint = colours(random.uniform(0.3, 1.0, 3) ** 0.3, glow)
        place = shapes.transform((0, -0.02, -15))
        draws.append(Draw(assets.solids["floor"], place, paint, textured(outside, random.uniform(0.35, 1.2)), 0, False))
        if random.random() < 0.5:
            size = random.uniform(0.8, 2.4), 1, random.uniform(0.5, 1.6)
            spot = random.normal(0, 0.4), 0.006, random.uniform(0.3, 1.6)
            layer = int(random.choice(assets.kinds["floor"] + assets.kinds["fabric"]))
            mat = colours(_any_colour(random))
            draws.append(
                Draw(assets.solids["patch"], shapes.transform(spot, 0, size), mat, textured(layer, 2.0), 0, False)
            )
        for _ in range(int(random.choice([0, 0, 0, 1, 2, 4, 6]))):
            size = random.uniform(0.05, 0.35)
            spot = random.uniform(-3, 3), 0.008, random.uniform(-1, 5)
            bright = random.random() < 0.25
            paint = (
                colours(random.uniform(0.5, 1, 3), random.uniform(0.5, 2))
                if bright
                else colours(_any_colour(random, 0.9))
            )
            matrix = shapes.transform(spot, random.uniform(0, 6), (size, 1, size * random.uniform(0.6, 1.4)))
            draws.append(Draw(int(random.choice(assets.blots)), matrix, paint, textured(), 0, False))
        return draws

    def _walls(self, mood: str) -> list[Draw]:
        """Return the door's wall with its frame and leaves, and sometimes a side wall."""
        random, assets = self._random, self._assets
        if random.random() < 0.4:
            return []
        layer = textured(int(random.choice(assets.kinds["wall"])), random.uniform(0.3, 1.0))
        paint = colours(np.clip(random.uniform(0.2, 1.0) * (1 + random.normal(0, 0.08, 3)), 0, 1))
        frame = colours(_any_colour(random))
        wide, tall, solid = random.uniform(0.9, 2.6), random.uniform(2.0, 2.4), assets.solids["box"]
        draws = []
        for side in (-1, 1):
            matrix = shapes.transform((side * (wide / 2 + 3), 0, -0.1), 0, (6, 3.2, 0.2))
            draws.append(Draw(solid, matrix, paint, layer))
            matrix = shapes.transform((side * wide / 2, 0, -0.1), 0, (0.08, tall, 0.26))
            draws.append(Draw(solid, matrix, frame, textured()))
            if random.random() < 0.4:
                swing = random.uniform(0.2, 1.5) * side
                matrix = shapes.transform((side * wide / 2, 0.02, 0.05), swing) @ shapes.transform(
                    (-side * wide / 4, 0, 0), 0, (wide / 2, tall, 0.05)
                )
                draws.append(Draw(solid, matrix, frame, textured()))
        draws.append(Draw(solid, shapes.transform((0, tall, -0.1), 0, (wide + 0.2, 1.2, 0.2)), paint, layer, 0, False))
        draws.append(
            Draw(
                assets.solids["patch"],
                shapes.transform((0, 0.004, -0.1), 0, (wide, 1, 0.24)),
                frame,
                textured(),
                0,
                False,
            )
        )
        if random.random() < 0.5:
            side = random.choice([-1, 1])
            matrix = shapes.transform((side * random.uniform(1.6, 4), 0, 4), 0, (0.2, 3.2, 8))
            draws.append(Draw(solid, matrix, paint, layer, 0, mood == "day"))
        return draws

    def _clutter(self, spots: npt.NDArray[np.float64]) -> list[Draw]:
        """Return furniture and goods, and round things of a head's size at all heights: none of them is a head."""
        random, assets = self._random, self._assets
        draws: list[Draw] = []
        if not len(spots):
            return draws
        for _ in range(int(random.choice([0, 1, 2, 3, 5, 8]))):
            spot = spots[random.integers(len(spots))]
            prop = assets.props[random.integers(len(assets.props))]
            paint = np.array(prop.colours) if prop.colours is not None else colours(_any_colour(random))
            cloth = textured(prop.layer, 1.0)
            if prop.layer:
                paint = colours(random.uniform(0.6, 1.0, 3))
            elif random.random() < 0.3:
                cloth = textured(int(random.choice(assets.kinds["fabric"])), 2.0)
            up = random.choice([0.0, 0.0, 0.0, random.uniform(0.4, 1.3)])
            grown = random.uniform(0.75, 1.25)
            draws.append(
                Draw(prop.mesh, shapes.transform((spot[0], up, spot[2]), random.uniform(0, 6.3), grown), paint, cloth)
            )
        if random.random() < 0.25:
            draws += self._rails(spots)
        for _ in range(int(random.choice([0, 0, 1, 2, 4, 6]))):
            spot = spots[random.integers(len(spots))]
            solid = str(random.choice(["ball", "ball", "cylinder", "box", "dome"]))
            size = random.uniform(0.05, 0.22)
            flat = random.uniform(0.4, 1.3)
            lamp = random.random() < 0.22
            up = random.uniform(1.9, 2.6) if lamp else random.choice([0.1, random.uniform(0.1, 1.0)], p=[0.75, 0.25])
            glow = random.uniform(2, 12) if lamp else 0.0
            paint = colours(random.uniform(0.7, 1, 3) if lamp else _any_colour(random, 0.5), glow)
            cloth = textured(int(random.choice(assets.kinds["fabric"])), 2) if random.random() < 0.4 else textured()
            matrix = shapes.transform((spot[0], up, spot[2]), random.uniform(0, 6.3), (size, size * flat, size))
            draws.append(Draw(assets.solids[solid], matrix, paint, cloth, 0, not lamp))
        return draws

    def _rails(self, spots: npt.NDArray[np.float64]) -> list[Draw]:
        """Return posts and handrails: thin bars, upright, level or aslant, some near the camera."""
        random = self._random
        paint = colours(_any_colour(random, 0.3))
        draws = []
        for _ in range(int(random.integers(1, 5))):
            spot = spots[random.integers(len(spots))]
            thick, long = random.uniform(0.012, 0.04), random.uniform(0.7, 2.4)
            turn = np.eye(4)
            turn[:3, :3] = rotation(0, random.choice([0.0, np.pi / 2, random.uniform(0, 1.5)]))
            up = 0.0 if turn[1, 1] > 0.99 else random.uniform(0.6, 1.9)
            matrix = shapes.transform((spot[0], up, spot[2]), random.uniform(0, 6.3)) @ turn
            matrix = matrix @ shapes.transform((0, 0, 0), 0, (thick, long, thick))
            draws.append(Draw(self._assets.solids["cylinder"], matrix, paint, textured()))
        return draws

    def _light(self, mood: str, view: View) -> Light:
        """Draw the light of a mood."""
        random = self._random
        sky, sun, lamp, gain = {
            "indoor": (random.uniform(0.4, 0.9), random.uniform(0.1, 0.7), random.uniform(0, 1.5), 0.5),
            "day": (random.uniform(0.3, 0.6), random.uniform(0.8, 2.0), 0.0, 1.0),
            "backlight": (random.uniform(0.06, 0.25), random.uniform(0.0, 0.2), random.uniform(0, 0.2), 2.0),
            "night": (random.uniform(0.01, 0.06), random.uniform(0.0, 0.05), random.uniform(0.1, 0.8), 0.05),
            "dim": (random.uniform(0.08, 0.2), random.uniform(0.0, 0.3), random.uniform(0, 0.8), 0.2),
        }[mood]
        way = random.normal((0, 1, 0), 0.35 if random.random() < 0.7 else 0.8)
        way[1] = abs(way[1]) + 0.2
        warm = np.clip(1 + random.normal(0, 0.1) * np.array([1, 0, -1]), 0.6, 1.4)
        place = view.pinhole.eye + random.normal(0, (1.5, 0.2, 1.5))
        if mood == "night" and random.random() < 0.4:
            place = view.pinhole.eye + random.normal(0, 0.05, 3)
        strength = sky + 0.6 * sun + 0.25 * lamp + 1e-3
        return Light(
            (way / np.linalg.norm(way)).astype(np.float32), (sun * warm).astype(np.float32),
            (sky * warm[::-1]).astype(np.float32), (sky * random.uniform(0.25, 0.6) * warm).astype(np.float32),
            place.astype(np.float32), (3.0 * lamp * warm).astype(np.float32),
            float(random.uniform(1.0, 2.6) / strength), int(random.integers(1000)), float(random.random()), gain,
            float(random.uniform(0.3, 1.6)),
        )  # fmt: skip


def heads(scene: Scene, view: View, identity: npt.NDArray[np.uint8]) -> list[Head]:
    """
    Return every head whose centre is in the picture, hidden ones included.

    The *identity* is (h, w, 2) uint8, of the pinhole picture, as `Renderer.draw` gives it.
    """
    camera, lens = view.pinhole, view.lens
    seen = np.bincount(identity[:, :, 1].ravel(), minlength=256)
    found = []
    for number, (someone, matrix) in scene.people.items():
        world = someone.person.head @ matrix[:3, :3].T + matrix[:3, 3]
        points = camera.project(world)
        if points[:, 2].min() < 0.12:
            continue
        bent = lens.bent(points[:, :2], camera.focal)
        low, high = bent.min(axis=0), bent.max(axis=0)
        x, y = (low + high) / 2
        if not (0 <= x < lens.width and 0 <= y < lens.height):
            continue
        hull = cv2.contourArea(cv2.convexHull(points[:, :2].astype(np.float32)))
        inside = np.prod(np.minimum(high, (lens.width, lens.height)) - np.maximum(low, 0)) / np.prod(high - low)
        share = min(1.0, float(seen[number]) / max(hull, 1.0)) * min(1.0, float(inside) + 0.1)
        found.append(Head(float(x), float(y), float(np.sqrt(np.prod(high - low))), share))
    return found
