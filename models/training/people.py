"""
Make people: a body of any build and age, dressed, with hair or something on the head, in a step of a walk.

Bodies are thinned once, before they are shaped, by merging the vertices of a grid's cell into one of them. A thinned
mesh is a choice of the full mesh's vertices, so it can be shaped, posed and dressed like the full one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .asset_readers import (
    MAKEHUMAN,
    Fitted,
    Floats,
    Ints,
    read_fitted,
    read_obj,
    read_rig,
    read_target,
    read_walk,
    rotation,
)
from .shapes import (
    BOTTOM,
    FACE,
    HAIR,
    HEADWEAR,
    LONG_HAIR,
    MORE,
    SHOES,
    SKIN,
    TOP,
    Mesh,
    ball,
    box,
    brimmed,
    build,
    collar,
    cylinder,
    dome,
    join,
    placed,
    ring,
    transform,
)

_LIMBS = {
    "upperarm01.L": "UpArm_L", "upperarm01.R": "UpArm_R", "lowerarm01.L": "LoArm_L", "lowerarm01.R": "LoArm_R",
    "upperleg01.L": "UpLeg_L", "upperleg01.R": "UpLeg_R", "lowerleg01.L": "LoLeg_L", "lowerleg01.R": "LoLeg_R",
    "foot.L": "Foot_L", "foot.R": "Foot_R",
}  # fmt: skip
"""Our bones that follow the walk, and the walk's names for them."""

_PUT_UP = ("braid01", "ponytail01", "short03")
"""Hair that goes with a bun."""

_ENDS = {
    "upperarm01": "lowerarm01", "lowerarm01": "wrist", "upperleg01": "lowerleg01", "lowerleg01": "foot",
}  # fmt: skip
"""Where a limb that has two bones in our rig ends."""


@dataclass(frozen=True)
class Thinned:
    """A thinned mesh: the *picked* vertices of the full one, and triangles among them."""

    picked: Ints
    triangles: Ints


def thin(vertices: Floats, triangles: Ints, cells: Floats | float) -> Thinned:
    """Merge the vertices of each cell of a grid (*cells*: its side in metres, or one for each vertex)."""
    used = np.unique(triangles)
    sides = np.broadcast_to(np.asarray(cells, np.float32), (len(vertices),))[used]
    keys = np.concatenate((np.floor(vertices[used] / sides[:, None]), np.round(sides[:, None] * 1e4)), axis=1)
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    lookup = np.zeros(len(vertices), np.int32)
    lookup[used] = group.ravel()
    faces = lookup[triangles]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return Thinned(used[first].astype(np.int32), faces[whole])


@dataclass(frozen=True)
class Person:
    """
    One posed, dressed person, standing on the floor at the origin and looking along +z.

    Attributes:
        mesh: What to draw.
        head: (n, 3) points of the skull with its hair or headwear, for the label.
        height: Metres.
    """

    mesh: Mesh
    head: Floats
    height: float


@dataclass(frozen=True, slots=True)
class Look:
    """
    What makes one person: the shaped body, (v, 3), and the pieces they wear.

    Attributes:
        bulk: How far a jacket stands off the body, metres.
        neck: What is round it: nothing, a collar, a hood that hangs down, a scarf.
        bare: From which share of the skull's height on hair has gone; 1 for none.
    """

    body: Floats
    outfit: str
    shoes: str
    hair: str
    cover: str
    face: str
    skirt: bool
    load: str
    height: float
    lean: Floats
    arms: str
    tousled: float
    bun: bool
    bulk: float
    neck: str
    bare: float


class Wardrobe:
    """All bodies, clothes, hair and walks, read once."""

    def __init__(self, folder: Path = MAKEHUMAN) -> None:
        self._folder = folder
        self._base = read_obj(folder / "base.obj")
        count = len(self._base.vertices)
        self._rig = read_rig(folder / "rig", count)
        self._targets: dict[str, Floats] = {}
        self._pieces: dict[str, tuple[Fitted, Thinned]] = {}
        self.walk = read_walk(folder / "motion" / "walk1.bvh")
        self.stroll = read_walk(folder / "motion" / "zombieWalk1.bvh")
        strongest = self._rig.bones[:, 0]
        self._on_head = np.isin(strongest, list(self._rig.family("head")))
        legs = self._rig.family("upperleg01.L") | self._rig.family("upperleg01.R")
        hips = {self._rig.names.index(n) for n in ("root", "pelvis.L", "pelvis.R")}
        self._on_legs = np.isin(strongest, list(legs | hips))
        cells = np.where(self._on_head, 0.018, 0.045).astype(np.float32)
        cells[np.isin(strongest, list(self._rig.family("wrist.L") | self._rig.family("wrist.R")))] = 0.03
        self._cells = cells
        self._skin = thin(self._base.vertices, self._base.triangles["body"], cells)
        self._skirt = thin(self._base.vertices, self._base.triangles["helper-skirt"], 0.06)
        self._tights = thin(self._base.vertices, self._base.triangles["helper-tights"], cells)
        self._regions()
        self.hairs = sorted(path.stem for path in (folder / "hair").glob("*.mhclo"))
        self._outfits = sorted(path.stem for path in (folder / "clothes").glob("*ale_*.mhclo"))
        self._shoes = sorted(path.stem for path in (folder / "clothes").glob("shoes*.mhclo"))

    def _regions(self) -> None:
        """Mark what a cap, a hood, hair, a beard, a mask and glasses cover, on the unshaped body."""
        vertices = self._base.vertices
        skin = np.zeros(len(vertices), bool)
        skin[np.unique(self._base.triangles["body"])] = True
        head = skin & self._on_head
        low, high = vertices[head].min(axis=0), vertices[head].max(axis=0)
        up = (vertices[:, 1] - low[1]) / (high[1] - low[1])
        front = (vertices[:, 2] - low[2]) / (high[2] - low[2])
        self._skull = head
        self._chin = float(low[1] + 0.1 * (high[1] - low[1]))
        self._cap = head & ((up > 0.72) | ((front < 0.45) & (up > 0.3)))
        self._neck = skin & np.isin(self._rig.bones[:, 0], [self._rig.names.index(f"neck0{n}") for n in (1, 2, 3)])
        self._up = up
        hands = self._rig.family("wrist.L") | self._rig.family("wrist.R")
        self._clothed = ~(self._on_head | self._neck | np.isin(self._rig.bones[:, 0], list(hands)))
        self._hood = (head & ~((front > 0.55) & (up < 0.74))) | self._neck
        aside = np.abs((vertices[:, 0] - low[0]) / (high[0] - low[0]) - 0.5)
        self._eyes = head & (front > 0.62) & (up > 0.42) & (up < 0.63) & (aside > 0.07) & (aside < 0.3)
        self._glasses = head & (front > 0.55) & (up > 0.42) & (up < 0.57) & (aside < 0.36)
        self._beard = head & (front > 0.4) & (up < 0.31)
        self._mask = head & (front > 0.42) & (up < 0.42)

    def _target(self, name: str) -> Floats:
        if name not in self._targets:
            self._targets[name] = read_target(self._folder / "targets" / f"{name}.target", len(self._base.vertices))
        return self._targets[name]

    def _piece(self, kind: str, name: str) -> tuple[Fitted, Thinned]:
        if name not in self._pieces:
            piece = read_fitted(self._folder / kind / f"{name}.mhclo")
            cell = {"hair": 0.02, "clothes": 0.045}[kind] * (0.5 if "fedora" in name else 1)
            self._pieces[name] = piece, thin(piece.mesh.vertices, piece.mesh.all_triangles, cell)
        return self._pieces[name]

    def look(self, random: np.random.Generator) -> Look:
        """Draw a person: origin, sex, age, build, clothes and what is on the head."""
        sex = str(random.choice(["male", "female"]))
        child = random.random() < 0.14
        body = self._base.vertices.copy()
        origins = random.dirichlet([0.4, 0.4, 0.4])
        old = random.uniform(0, 1) ** 2
        ages = {"child": random.uniform(0.5, 1.0) if child else 0.0}
        ages["old"] = (1 - ages["child"]) * old
        ages["young"] = 1 - ages["child"] - ages["old"]
        for origin, share in zip(("african", "asian", "caucasian"), origins, strict=True):
            for age, part in ages.items():
                if share * part > 0.02:
                    body += np.float32(share * part) * self._target(f"{origin}-{sex}-{age}")
        age = max(ages, key=lambda key: ages[key])
        muscle, weight = random.normal(0, 0.5), random.normal(0.1, 0.6)
        for value, low, high in (
            (muscle, "minmuscle-averageweight", "maxmuscle-averageweight"),
            (weight, "averagemuscle-minweight", "averagemuscle-maxweight"),
        ):
            body += np.float32(min(abs(value), 1.2)) * self._target(
                f"universal-{sex}-{age}-{high if value > 0 else low}"
            )
        tall = float(np.ptp(body[self._base.triangles["body"], 1]))
        wanted = random.uniform(0.95, 1.45) if child else random.normal(1.75 if sex == "male" else 1.63, 0.07)
        body *= np.float32(np.clip(wanted / tall, 0.7, 1.25))
        long_hair = ["bob01", "bob02", "braid01", "long01", "ponytail01", "afro01", "short03", "short04"]
        short_hair = ["short01", "short02", "short03", "short04", "afro01", "shaved", "shaved", "bald"]
        shares = [0.15, 0.15, 0.1, 0.3, 0.12, 0.06, 0.06, 0.06]
        hair = str(random.choice(long_hair, p=shares) if sex == "female" else random.choice(short_hair))
        covers = ["none", "beanie", "hood", "scarf", "fedora", "fedora_cocked", "cap", "brimmed"]
        cover = str(random.choice(covers, p=[0.6, 0.08, 0.06, 0.07, 0.03, 0.02, 0.08, 0.06]))
        faces = ["plain", "glasses", "mask", "beard"]
        bearded = 0.3 if sex == "male" and not child else 0.0
        face = str(random.choice(faces, p=[0.72 - bearded, 0.16, 0.12, bearded]))
        loads = ["none", "shoulder", "backpack", "hand", "umbrella", "pram", "trolley"]
        load = str(random.choice(loads, p=[0.42, 0.16, 0.14, 0.14, 0.05, 0.05, 0.04]))
        arms = str(random.choice(["swing", "phone", "up", "pockets"], p=[0.68, 0.15, 0.05, 0.12]))
        pool = [name for name in self._outfits if name.startswith(sex)]
        outfit = "tights" if random.random() < 0.2 else str(random.choice(pool))
        hair = "thinned" if sex == "male" and not child and random.random() < 0.08 + 0.2 * old else hair
        bulk = float(random.uniform(0.005, 0.05)) if random.random() < 0.5 else 0.0
        neck = str(random.choice(["none", "collar", "hood", "scarf"], p=[0.46, 0.22, 0.2, 0.12]))
        lean = np.radians(
            [random.normal(6, 7), random.normal(0, 4), random.normal(10, 14), random.normal(0, 20), random.normal(0, 6)]
        ).astype(np.float32)
        return Look(
            body, outfit, str(random.choice(self._shoes)), hair, cover, face,
            bool(sex == "female" and random.random() < 0.35), load, float(wanted), lean, arms,
            float(random.uniform(0, 0.016)), bool(hair in _PUT_UP and random.random() < 0.4),
            bulk, neck, float(random.uniform(0.8, 0.96)) if hair == "thinned" else 1.0,
        )  # fmt: skip

    def pose(self, look: Look, step: dict[str, Floats], random: np.random.Generator) -> Person:
        """
        Return the person of *look* in one *step* of a walk.

        What is drawn from *random* wobbles from step to step; give a fresh generator of one seed to keep it still.
        """
        turns, moves = self._bones(look, step)
        body, rotations = self._skinned(look.body, turns, moves)
        shapes = self._dressed(look, body, rotations, random)
        skull = body[self._skull]
        hair = [m.vertices[np.isin(m.vertices[:, 8], (HAIR, HEADWEAR)), :3] for m in shapes]
        low = float(min(mesh.vertices[:, 1].min() for mesh in shapes))
        shapes += _loads(look, body, skull, random)
        mesh = join(shapes)
        lift = np.array([0, -low, 0], np.float32)
        mesh.vertices[:, :3] += lift
        near = [points for points in hair if len(points)]
        centre = (skull.min(axis=0) + skull.max(axis=0)) / 2
        extra = np.concatenate(near) if near else skull[:1]
        reach = 0.72 * float(np.ptp(skull[:, 1]))
        extra = extra[np.linalg.norm(extra - centre, axis=1) < reach]
        points = np.concatenate((skull[::3], extra)) + lift
        return Person(mesh, points.astype(np.float32), look.height)

    def _bones(self, look: Look, step: dict[str, Floats]) -> tuple[list[npt.NDArray[np.float64]], list[Floats]]:
        """Return each bone's turn, and where it moves its joint: x -> turn (x - head) + moved head."""
        rig, body = self._rig, look.body
        heads = [body[joint].mean(axis=0) for joint in rig.heads]
        turns: list[npt.NDArray[np.float64]] = []
        moved: list[Floats] = []
        own = {
            "spine05": rotation(0, look.lean[0] * 0.5) @ rotation(2, look.lean[1]),
            "spine02": rotation(0, look.lean[0] * 0.5),
            "neck01": rotation(0, look.lean[2] * 0.5) @ rotation(1, look.lean[3] * 0.5),
            "head": rotation(0, look.lean[2] * 0.5) @ rotation(1, look.lean[3] * 0.5) @ rotation(2, look.lean[4]),
        }
        for index, name in enumerate(rig.names):
            parent = rig.parents[index]
            above = turns[parent] if parent >= 0 else np.eye(3)
            place = heads[index] if parent < 0 else above @ (heads[index] - heads[parent]) + moved[parent]
            moved.append(np.asarray(place, np.float32))
            wanted = self._limb(name, look, step)
            if wanted is not None:
                stem, _, side = name.partition(".")
                end = f"{_ENDS[stem]}.{side}" if stem in _ENDS else ""
                tail = heads[rig.names.index(end)] if end else body[rig.tails[index]].mean(axis=0)
                turns.append(_swing(tail - heads[index], wanted))
            else:
                turns.append(above @ own[name] if name in own else above)
        return turns, [move - turn @ head for move, turn, head in zip(moved, turns, heads, strict=True)]

    @staticmethod
    def _limb(name: str, look: Look, step: dict[str, Floats]) -> Floats | None:
        """Return which way a limb points, or None if it follows its parent."""
        if name not in _LIMBS:
            return None
        side = 1.0 if name.endswith("L") else -1.0
        busy = look.load in {"umbrella", "trolley", "pram"} and (side < 0 or look.load != "umbrella")
        posed = busy or look.arms != "swing"
        if name.startswith("upperarm") and posed:
            ways = {"phone": (0.25, -1, 0.35), "up": (0.5, 0.9, 0.5), "pockets": (0.35, -1, -0.15)}
            return _unit((0.15, -1, 0.5) if busy else ways[look.arms], side)
        if name.startswith("lowerarm") and posed:
            ways = {"phone": (-0.5, 0.55, 1), "up": (-0.2, 1, 0.3), "pockets": (-0.1, -1, 0.5)}
            up = 0.9 if look.load == "umbrella" else -0.1
            return _unit((0.0, up, 0.9) if busy else ways[look.arms], side)
        return step[_LIMBS[name]]

    def _skinned(
        self, body: Floats, turns: list[npt.NDArray[np.float64]], moves: list[Floats]
    ) -> tuple[Floats, Floats]:
        """Return the posed body, (v, 3), and how each vertex was turned, (v, 3, 3)."""
        matrices = np.asarray(turns, np.float32)
        shifts = np.asarray(moves, np.float32)
        weights, bones = self._rig.weights, self._rig.bones
        blended = np.einsum("vk,vkij->vij", weights, matrices[bones])
        posed = np.einsum("vij,vj->vi", blended, body) + np.einsum("vk,vki->vi", weights, shifts[bones])
        return posed.astype(np.float32), blended.astype(np.float32)

    def _outfit(self, look: Look, body: Floats, rotations: Floats) -> tuple[list[Mesh], npt.NDArray[np.bool_]]:
        """Return outfit and shoes as meshes, and which of the body's vertices they hide."""
        hidden = np.zeros(len(body), bool)
        shapes: list[Mesh] = []
        for kind, name in (("outfit", look.outfit), ("shoes", look.shoes)):
            if name == "tights":
                legs = self._on_legs[self._tights.picked]
                points = self._bulky(look, body[self._tights.picked], self._tights.triangles, ~legs)
                shapes.append(build(points, self._tights.triangles, np.where(legs, BOTTOM, TOP)))
                continue
            piece, thinned = self._piece("clothes", name)
            points = piece.fit(body, thinned.picked, rotations)
            legs = self._on_legs[piece.anchors[thinned.picked, 0]]
            if kind == "outfit":
                points = self._bulky(look, points, thinned.triangles, ~legs)
            shapes.append(build(points, thinned.triangles, SHOES if kind == "shoes" else np.where(legs, BOTTOM, TOP)))
            hidden[piece.hidden] = True
        return shapes, hidden

    def _dressed(self, look: Look, body: Floats, rotations: Floats, random: np.random.Generator) -> list[Mesh]:
        """Return skin, clothes, hair and headwear as meshes."""
        shapes, hidden = self._outfit(look, body, rotations)
        if look.skirt:
            shapes.append(build(body[self._skirt.picked], self._skirt.triangles, BOTTOM))
        outward = _outward(body, self._base.triangles["body"])
        slots = np.where(self._on_head, FACE, SKIN)
        slots[self._eyes | (self._glasses if look.face == "glasses" else False)] = HAIR
        if look.face in {"mask", "beard"}:
            region, slot = (self._mask, HEADWEAR) if look.face == "mask" else (self._beard, HAIR)
            slots[region] = slot
        lifted = body - np.float32(0.012) * outward * self._clothed[:, None]
        self._cover(look, slots, lifted, outward, random)
        picked = self._skin.picked
        shown = ~(hidden[picked][self._skin.triangles].all(axis=1))
        shapes.append(build(lifted[picked], self._skin.triangles[shown], slots[picked]))
        wearable = look.hair if look.cover in {"none", "fedora", "fedora_cocked", "cap", "brimmed"} else ""
        names = [("hair", wearable)] if wearable in self.hairs else []
        names += [("clothes", look.cover)] if look.cover.startswith("fedora") else []
        for folder, name in names:
            piece, thinned = self._piece(folder, name)
            points = piece.fit(body, thinned.picked, rotations)
            if folder == "hair":
                points = self._tousled(points, body, look.tousled, random)
            rest = piece.mesh.vertices[thinned.picked, 1]
            slot = np.where(rest > self._chin, HAIR, LONG_HAIR) if folder == "hair" else HEADWEAR
            shapes.append(build(points, thinned.triangles, slot))
        if look.cover == "cap":
            shapes.append(
                placed(ball(HEADWEAR, 10), self._on_skull(body, rotations, (0.0, 0.78, 0.88), (0.075, 0.008, 0.085)))
            )
        if look.cover == "brimmed":
            size = float(random.uniform(0.092, 0.105))
            shapes.append(
                placed(brimmed(), self._on_skull(body, rotations, (0.0, 0.66, 0.48), (size, 0.12, 1.12 * size)))
            )
        shapes += self._round_neck(look, body, rotations)
        if look.bun and wearable:
            size = float(random.uniform(0.03, 0.055))
            place = (0.0, float(random.uniform(0.55, 0.98)), float(random.uniform(-0.1, 0.3)))
            shapes.append(placed(ball(HAIR), self._on_skull(body, rotations, place, (size, 0.9 * size, size))))
        return shapes

    @staticmethod
    def _bulky(look: Look, points: Floats, triangles: Ints, jacket: npt.NDArray[np.bool_]) -> Floats:
        """Puff up the part of an outfit that is a *jacket*, unevenly, as cloth hangs."""
        if not look.bulk:
            return points
        waves = _waves(points, (12, 20, 30), _steady(look.bulk))
        puff = look.bulk * np.clip(0.8 + 0.25 * waves, 0.1, 1.6) * jacket
        return np.asarray(points + puff[:, None] * _outward(points, triangles), np.float32)

    def _round_neck(self, look: Look, body: Floats, rotations: Floats) -> list[Mesh]:
        """Return the collar, the hood that hangs down or the scarf that lies round the neck."""
        if look.neck == "none" or look.cover in {"hood", "scarf"}:
            return []
        random, neck = _steady(look.height), body[self._neck]
        turn = rotations[self._neck].mean(axis=0).astype(np.float64)
        wide = 0.5 * float(np.ptp(neck[:, 0])) * random.uniform(1.05, 1.35)
        middle = (neck.min(axis=0) + neck.max(axis=0)) / 2
        if look.neck == "collar":
            solid, size, place = collar(TOP), (wide, random.uniform(0.05, 0.1), 1.1 * wide), (0.0, -0.035, 0.0)
        elif look.neck == "scarf":
            solid, size, place = ring(MORE), (wide, random.uniform(0.05, 0.09), 1.1 * wide), (0.0, -0.01, 0.01)
        else:
            solid = ball(TOP)
            size = (random.uniform(0.11, 0.16), random.uniform(0.04, 0.08), random.uniform(0.06, 0.1))
            place = (0.0, random.uniform(-0.04, 0.02), -wide - random.uniform(0.02, 0.06))
        return [placed(solid, _turned(turn, size, middle + turn @ np.array(place)))]

    def _tousled(self, points: Floats, body: Floats, most: float, random: np.random.Generator) -> Floats:
        """Push hair in and out by waves of at most some *most* metres, so that no outline is smooth."""
        skull = body[self._skull]
        away = points - (skull.min(axis=0) + skull.max(axis=0)) / 2
        waves = _waves(points, (40, 70, 110, 150), random)
        reach = np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
        return np.asarray(points + (0.4 + 0.5 * waves[:, None]) * most * away / reach, np.float32)

    def _cover(
        self, look: Look, slots: npt.NDArray[np.int64], lifted: Floats, outward: Floats, random: np.random.Generator
    ) -> None:
        """Colour and lift the skin under hair, a cap, a beanie, a hood or a scarf."""
        thickness = {"beanie": 0.018, "hood": 0.035, "scarf": 0.014, "cap": 0.012}.get(look.cover, 0.0)
        region, slot = self._cap, HAIR
        if look.cover in {"beanie", "cap"}:
            slot = HEADWEAR
        elif look.cover in {"hood", "scarf"}:
            region, slot = self._hood, HEADWEAR
        elif look.hair == "bald":
            return
        elif look.hair == "thinned":
            region = region & (self._up < look.bare)
        elif look.hair != "shaved":
            thickness = 0.008
        bumps = 1 + 0.15 * random.standard_normal(int(region.sum()))
        slots[region] = slot
        lifted[region] += (outward[region] * thickness * bumps[:, None]).astype(np.float32)

    def _on_skull(
        self, body: Floats, rotations: Floats, share: tuple[float, float, float], size: tuple[float, float, float]
    ) -> npt.NDArray[np.float64]:
        """
        Return the (4, 4) transform that puts a solid on the skull, turned with it.

        Its place is *share* of the skull's own box: from the middle to the right, from chin to crown, from back to
        brow.
        """
        skull = body[self._skull]
        turn = rotations[self._skull][0].astype(np.float64)
        local = skull @ turn
        low, high = local.min(axis=0), local.max(axis=0)
        corner = np.array([(low[0] + high[0]) / 2, low[1], low[2]])
        return _turned(turn, size, turn @ (corner + np.array(share) * (high - low)))


def _steady(number: float) -> np.random.Generator:
    """Return random numbers that are the same in each step of one person, whose *number*, from 0 on, is their own."""
    return np.random.default_rng(int(number * 1e9))


def _waves(points: Floats, lengths: tuple[int, ...], random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return the sum of waves across space at *points*, (n,), one for each of *lengths*, which are radians a metre."""
    return np.asarray(sum(np.sin(points @ random.normal(0, length, 3) + random.uniform(0, 6.3)) for length in lengths))


def _turned(
    turn: npt.NDArray[np.float64], size: tuple[float, float, float], place: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the (4, 4) transform that scales by *size*, turns by *turn*, (3, 3), then moves to *place*."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn @ np.diag(size), place
    return matrix


def _outward(vertices: Floats, triangles: Ints) -> Floats:
    """Return each vertex's normal, (v, 3)."""
    corners = vertices[triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], faces)
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12), np.float32)


def _unit(way: tuple[float, float, float], side: float) -> Floats:
    """Return a direction of length 1, mirrored for the right side (*side* -1)."""
    vector = np.array([way[0] * side, way[1], way[2]], np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def _swing(rest: Floats, wanted: Floats) -> npt.NDArray[np.float64]:
    """Return the shortest turn from the direction *rest* to *wanted*."""
    start = rest / np.linalg.norm(rest)
    cross, cos = np.cross(start, wanted).astype(np.float64), float(start @ wanted)
    skew = np.array([[0, -cross[2], cross[1]], [cross[2], 0, -cross[0]], [-cross[1], cross[0], 0]])
    return np.asarray(np.eye(3) + skew + skew @ skew / max(1 + cos, 1e-3), np.float64)


def _loads(  # noqa: PLR0911 - one for each load
    look: Look, body: Floats, skull: Floats, random: np.random.Generator
) -> list[Mesh]:
    """Return the bags, umbrella, pram or trolley that a person carries or pushes."""
    side = 1.0 if look.body[0, 0] > 0 else -1.0
    tall = float(np.ptp(body[:, 1]))
    ground = float(body[:, 1].min())
    shoulder = float(skull[:, 1].min()) - 0.12
    size = random.uniform(0.75, 1.3)
    x, z = 0.25 * side * tall / 1.7, 0.0
    if look.load == "shoulder":
        return [placed(ball(), transform((x, shoulder - 0.45, z), 0.0, (0.07 * size, 0.16 * size, 0.18 * size)))]
    if look.load == "backpack":
        return [placed(ball(), transform((0.0, shoulder - 0.18, -0.2), 0.0, (0.16 * size, 0.24 * size, 0.12 * size)))]
    if look.load == "hand":
        return [placed(box(), transform((x * 1.3, ground + 0.25, z), 0.0, (0.12 * size, 0.38 * size, 0.34 * size)))]
    if look.load == "umbrella":
        top = float(skull[:, 1].max()) + random.uniform(0.02, 0.2)
        shift = random.uniform(-0.15, 0.15), top, random.uniform(-0.1, 0.35)
        return [placed(dome(), transform(shift, random.uniform(0, 1), random.uniform(0.42, 0.6)))]
    if look.load == "pram":
        parts = [placed(box(), transform((0, ground + 0.45, 0.85), 0, (0.38, 0.25, 0.75)))]
        parts.append(placed(ball(MORE), transform((0, ground + 0.7, 0.98), 0, (0.22, 0.26, 0.28))))
        parts += [
            placed(cylinder(SHOES), transform((dx, ground, 0.85 + dz), 0, (0.03, 0.22, 0.11)))
            for dx in (-0.22, 0.22)
            for dz in (-0.3, 0.3)
        ]
        return parts
    if look.load == "trolley":
        return [placed(box(), transform((0, ground + 0.35, 0.9), 0, (0.5, 0.5, 0.8)))]
    return []
