"""The assets of the scenes: the texture array, the panoramas, props and a bank of people, all on the device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from . import shapes
from .asset_readers import CC0, Floats, Prop, read_prop
from .people import Look, Person, Wardrobe
from .render import Renderer
from .shapes import SLOTS, Mesh

Layer = npt.NDArray[np.uint8]
"""(128, 128, 4) RGBA."""

_SIDE = 128
_MOST_TRIANGLES = 2600
_METRES = ("bm-", "polyhaven-")
"""Props that come in metres; the others are given a size."""


@dataclass(frozen=True)
class PropAsset:
    """A prop on the device: its mesh, size in metres (x, y, z), slot colours if it has its own, texture layer."""

    mesh: int
    size: Floats
    colours: Floats | None
    layer: int


@dataclass(frozen=True)
class PersonAsset:
    """A person on the device: its mesh, the person, the look, and which of the look's colour draws it wears."""

    mesh: int
    person: Person
    look: Look
    dye: int


class Assets:
    """
    Textures, props and people for one process.

    Args:
        width, height: Largest picture to be drawn, px.
    """

    def __init__(self, width: int = 640, height: int = 480, folder: Path = CC0) -> None:
        self.kinds: dict[str, list[int]] = {"plain": [0]}
        layers = [_plain()]
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
        panoramas = [
            np.ascontiguousarray(_read(path)[:, :, :3]) for path in sorted((folder / "backgrounds").glob("*.jpg"))
        ]
        for kind, made in _made(layers, self.kinds["floor"], panoramas).items():
            self.kinds.setdefault(kind, []).extend(range(len(layers), len(layers) + len(made)))
            layers += made
        self.renderer = Renderer(np.stack(layers), panoramas, width, height)
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
        self.props = [self._upload(prop, layer) for prop, layer in zip(props, placed_layers, strict=True)]
        self.fixed = len(self.props) + len(self.solids) + len(self.blots)
        self.people: list[PersonAsset] = []
        self.wardrobe = Wardrobe()

    def _upload(self, prop: Prop, layer: int) -> PropAsset:
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
        return PropAsset(self.renderer.upload(mesh), np.ptp(positions, axis=0), colours, layer)

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
                self.people.append(PersonAsset(self.renderer.upload(person.mesh), person, look, dye))


def _moved(look: Look, random: np.random.Generator) -> Look:
    """Return the look with the trunk and head held a little differently; one in twelve bends down."""
    lean = look.lean + np.radians(random.normal(0, (3, 2, 8, 15, 3))).astype(np.float32)
    if random.random() < 0.08:
        lean[0] += np.float32(np.radians(random.uniform(20, 60)))
    return replace(look, lean=lean)


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
    return _grey(243 + 60 * noise)


def _made(layers: list[Layer], floors: list[int], panoramas: list[npt.NDArray[np.uint8]]) -> dict[str, list[Layer]]:
    """Return textures that no file holds, by kind: hair, creased and printed cloth, photographs, quieter floors."""
    random = np.random.default_rng(4)
    return {
        "hair": [_hair(seed) for seed in range(12)],
        "creased": [_creased(random) for _ in range(20)],
        "print": [_printed(random) for _ in range(24)],
        "photograph": [_photograph(panoramas[n % len(panoramas)], random) for n in range(24)],
        "floor": [_quiet(layers[floor], float(random.uniform(0.1, 0.5))) for floor in floors],
    }


def _grey(values: npt.NDArray[np.float64]) -> Layer:
    """Return an opaque grey layer for (h, w) values, 255 for white."""
    grey = np.clip(values, 0, 255).astype(np.uint8)
    return np.dstack((grey, grey, grey, np.full_like(grey, 255)))


def _noise(random: np.random.Generator, wide: float, tall: float) -> npt.NDArray[np.float64]:
    """Return noise of spread 1 that tiles, smooth over so many px across and down."""
    border = 64
    noise = np.pad(random.standard_normal((_SIDE, _SIDE)), border, mode="wrap")
    noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=wide, sigmaY=tall)[border:-border, border:-border]
    return np.asarray(noise / noise.std(), np.float64)


def _hair(seed: int) -> Layer:
    """Return streaks; from some seeds curls."""
    random = np.random.default_rng(3 + seed)
    fine, long = random.uniform(0.7, 2.0), random.choice([14.0, random.uniform(6, 20), random.uniform(1.5, 4)])
    streaks = _noise(random, fine, max(fine, long)) + 0.6 * _noise(random, 3 * fine, 2 * long)
    return _grey(195 + random.uniform(8, 30) * streaks)


def _creased(random: np.random.Generator) -> Layer:
    """Return cloth in folds: ridges where smooth noise is near nought, soft shade between them."""
    folds = np.zeros((_SIDE, _SIDE))
    for wide in (random.uniform(10, 18), random.uniform(5, 9)):
        slant = wide * random.uniform(1.0, 2.2)
        sizes = (wide, slant) if random.random() < 0.5 else (slant, wide)
        folds += np.exp(-np.abs(_noise(random, *sizes)) / random.uniform(0.15, 0.5)) * wide / 18
    shade = _noise(random, 12, 12)
    weave = _noise(random, 0.6, 0.6)
    return _grey(225 - random.uniform(40, 130) * folds - 22 * shade - random.uniform(0, 14) * weave)


def _printed(random: np.random.Generator) -> Layer:
    """Return cloth with letters, stripes or spots on it, creased as well."""
    cloth = np.full((_SIDE, _SIDE, 3), random.uniform(30, 255, 3) if random.random() < 0.5 else 235.0).astype(np.uint8)
    ink = random.uniform(0, 255, 3).tolist()
    kind = str(random.choice(["letters", "stripes", "checks", "spots"]))
    pitch = int(random.choice([8, 16, 32]))
    if kind == "letters":
        for _ in range(int(random.integers(1, 4))):
            text = "".join(random.choice(list("ABCDEHKMNORSTUX0123456789"), int(random.integers(2, 7))))
            place = int(random.integers(-10, 60)), int(random.integers(20, _SIDE))
            cv2.putText(cloth, text, place, cv2.FONT_HERSHEY_DUPLEX, float(random.uniform(0.6, 1.8)), ink, 2)
    elif kind == "spots":
        for x, y in random.integers(0, _SIDE, (int(random.integers(8, 60)), 2)).tolist():
            cv2.circle(cloth, (x, y), int(random.integers(2, 11)), random.uniform(0, 255, 3).tolist(), -1)
    for start in range(0, _SIDE, pitch) if kind in {"stripes", "checks"} else ():
        cloth[start : start + pitch // 2] = ink
        if kind == "checks":
            cloth[:, start : start + pitch // 2] = ink
    creases = _creased(random)[:, :, :3] / 255
    return np.dstack((np.clip(cloth * creases, 0, 255), np.full((_SIDE, _SIDE), 255))).astype(np.uint8)


def _photograph(panorama: npt.NDArray[np.uint8], random: np.random.Generator) -> Layer:
    """Return a piece of a photographed place, as printed cloth and patterned hats look like from afar."""
    side = int(random.integers(60, 240))
    top, left = (int(random.integers(0, whole - side)) for whole in panorama.shape[:2])
    piece = _square(panorama[top : top + side, left : left + side])
    piece = cv2.normalize(piece, np.empty_like(piece), 10, 250, cv2.NORM_MINMAX)
    return np.dstack((piece, np.full((_SIDE, _SIDE), 255, np.uint8)))


def _quiet(layer: Layer, contrast: float) -> Layer:
    """Return a texture with less contrast, as most floors have."""
    mean = layer[:, :, :3].mean(axis=(0, 1))
    return np.dstack(((mean + contrast * (layer[:, :, :3] - mean)).astype(np.uint8), layer[:, :, 3]))
