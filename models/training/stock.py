"""What scenes are furnished from: the texture array, the panoramas, props and a bank of people, all on the device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from . import shapes
from .assets import CC0, Floats, Prop, read_prop
from .people import Look, Person, Wardrobe
from .render import Renderer
from .shapes import SLOTS, Mesh

_SIDE = 128
_MOST_TRIANGLES = 2600
_METRES = ("bm-", "polyhaven-")
"""Props that come in metres; the others are given a size."""


@dataclass(frozen=True)
class StockedProp:
    """A prop on the device: its mesh, size in metres (x, y, z), slot colours if it has its own, texture layer."""

    mesh: int
    size: Floats
    colours: Floats | None
    layer: int


@dataclass(frozen=True)
class StockedPerson:
    """A person on the device: its mesh, the person, the look, and which of the look's colour draws it wears."""

    mesh: int
    person: Person
    look: Look
    dye: int


class Stock:
    """
    Textures, props and people for one process.

    Args:
        width, height: Largest picture to be drawn, px.
    """

    def __init__(self, width: int = 640, height: int = 480, folder: Path = CC0) -> None:
        self.kinds: dict[str, list[int]] = {"plain": [0], "hair": [1]}
        layers = [_plain(), _hair()]
        for kind, place in (("texture", "textures"), ("fabric", "fabrics")):
            for path in sorted((folder / place).rglob("*.jpg")):
                stem = path.stem.split("-")[0]
                if stem in {"chainmail", "door", "roof", "officeceiling", "ceiling"}:
                    continue
                wall = stem in {"wall", "bricks", "plaster", "wallpaper", "woodsiding", "corrugatedsteel", "paper"}
                self.kinds.setdefault("wall" if wall else "floor" if kind == "texture" else kind, []).append(
                    len(layers)
                )
                layers.append(_square(_read(path)))
        props = [read_prop(path) for path in sorted((folder / "props").glob("*.glb"))]
        props = [prop for prop in props if len(prop.triangles) <= _MOST_TRIANGLES]
        placed_layers = []
        for prop in props:
            placed_layers.append(len(layers) if prop.picture is not None else 0)
            if prop.picture is not None:
                layers.append(_square(prop.picture))
        panoramas = [_read(path)[:, :, :3] for path in sorted((folder / "backgrounds").glob("*.jpg"))]
        small = [np.ascontiguousarray(cv2.resize(p, (512, 256))) for p in panoramas]
        self.renderer = Renderer(np.stack(layers), small, width, height)
        self.solids = {
            "ball": self.renderer.upload(shapes.ball()),
            "cylinder": self.renderer.upload(shapes.cylinder()),
            "box": self.renderer.upload(shapes.box()),
            "dome": self.renderer.upload(shapes.dome()),
            "floor": self.renderer.upload(shapes.floor(30, cells=12)),
            "patch": self.renderer.upload(shapes.floor(1)),
        }
        random = np.random.default_rng(1)
        self.blots = [self.renderer.upload(shapes.blot(random)) for _ in range(24)]
        self.props = [self._stocked(prop, layer) for prop, layer in zip(props, placed_layers, strict=True)]
        self.fixed = len(self.props) + len(self.solids) + len(self.blots)
        self.people: list[StockedPerson] = []
        self.wardrobe = Wardrobe()

    def _stocked(self, prop: Prop, layer: int) -> StockedProp:
        """Scale a prop to a life-like size and upload it."""
        positions = prop.positions
        if not prop.name.startswith(_METRES):
            positions = positions * np.float32(0.9 / np.ptp(positions, axis=0).max())
        colours, slots = None, np.zeros(len(positions), np.int32) + shapes.OTHER
        unique, inverse = np.unique(np.round(prop.colours, 2), axis=0, return_inverse=True)
        if len(unique) > 1:
            colours = np.zeros((SLOTS, 4), np.float32)
            colours[: min(SLOTS, len(unique)), :3] = unique[:SLOTS]
            slots = np.minimum(inverse.ravel(), SLOTS - 1).astype(np.int32)
        mesh: Mesh = shapes.build(positions.astype(np.float32), prop.triangles, slots, prop.uv if layer else None)
        return StockedProp(self.renderer.upload(mesh), np.ptp(positions, axis=0), colours, layer)

    def new_people(self, random: np.random.Generator, looks: int, steps: int) -> None:
        """Replace the bank of people: so many looks, each in so many steps of a walk."""
        self.renderer.drop_after(self.fixed)
        self.people = []
        for _ in range(looks):
            look = self.wardrobe.look(random)
            dye = int(random.integers(1 << 30))
            walk = self.wardrobe.stroll if random.random() < 0.15 else self.wardrobe.walk
            for _ in range(steps):
                step = walk[int(random.integers(len(walk)))]
                look_now = _moved(look, random)
                person = self.wardrobe.pose(look_now, step, random)
                self.people.append(StockedPerson(self.renderer.upload(person.mesh), person, look, dye))


def _moved(look: Look, random: np.random.Generator) -> Look:
    """Return the look with the trunk and head held a little differently; one in twelve bends down."""
    lean = look.lean + np.radians(random.normal(0, (3, 2, 8, 15, 3))).astype(np.float32)
    if random.random() < 0.08:
        lean[0] += np.float32(np.radians(random.uniform(20, 60)))
    return Look(**{**{name: getattr(look, name) for name in look.__slots__}, "lean": lean})


def _read(path: Path) -> npt.NDArray[np.uint8]:
    """Return a picture, (h, w, 4) RGBA."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(path)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGBA), np.uint8)


def _square(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _plain() -> npt.NDArray[np.uint8]:
    """Return nearly even white with soft unevenness: skin, plastic, paint."""
    random = np.random.default_rng(2)
    noise = cv2.GaussianBlur(random.standard_normal((_SIDE, _SIDE)), (0, 0), 5)
    grey = np.clip(243 + 60 * noise, 0, 255).astype(np.uint8)
    return np.dstack((grey, grey, grey, np.full_like(grey, 255)))


def _hair() -> npt.NDArray[np.uint8]:
    """Return streaks."""
    random = np.random.default_rng(3)
    noise = cv2.GaussianBlur(random.standard_normal((_SIDE, _SIDE)), (0, 0), sigmaX=1.2, sigmaY=14)
    grey = np.clip(205 + 170 * noise, 60, 255).astype(np.uint8)
    return np.dstack((grey, grey, grey, np.full_like(grey, 255)))
