"""
Read the CC0 assets that the training pictures are made of: MakeHuman bodies, clothes, walks, textures and props.

Nothing here draws. Lengths are metres and y points up; MakeHuman's own decimetres are turned into metres on reading.
"""

from __future__ import annotations

import json
import os
import struct
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

_REPOSITORY = Path(__file__).resolve().parents[2]
MAKEHUMAN = Path(os.environ.get("FOOTFALL_MAKEHUMAN", _REPOSITORY.parent / "shared" / "makehuman"))
CC0 = Path(os.environ.get("FOOTFALL_CC0", _REPOSITORY.parent / "shared" / "cc0"))
"""Where the assets lie; README.md says how to fetch them."""

_DECIMETRE = 0.1
_GLTF_TYPES = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_GLTF_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@dataclass(frozen=True)
class Obj:
    """
    One Wavefront mesh.

    Attributes:
        vertices: (n, 3) metres.
        triangles: For each group's name, (m, 3) vertex indices.
    """

    vertices: Floats
    triangles: dict[str, Ints]

    @cached_property
    def all_triangles(self) -> Ints:
        """Every group's triangles, (m, 3)."""
        return np.concatenate(list(self.triangles.values()))


def read_obj(path: Path) -> Obj:
    """Read vertices and faces; texture coordinates and normals are skipped, polygons are cut into fans."""
    vertices: list[list[float]] = []
    groups: dict[str, list[tuple[int, int, int]]] = {}
    group = groups.setdefault("", [])
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("v "):
            vertices.append([float(part) for part in line.split()[1:4]])
        elif line.startswith("g "):
            group = groups.setdefault(line[2:].strip(), [])
        elif line.startswith("f "):
            corners = [int(part.split("/")[0]) - 1 for part in line.split()[1:]]
            group.extend((corners[0], corners[i], corners[i + 1]) for i in range(1, len(corners) - 1))
    triangles = {name: np.array(faces, np.int32) for name, faces in groups.items() if faces}
    return Obj(np.array(vertices, np.float32) * np.float32(_DECIMETRE), triangles)


@dataclass(frozen=True)
class Fitted:
    """
    A piece of clothing or hair, and how it hangs on a body.

    Attributes:
        mesh: The piece as made.
        anchors: (n, 3) body vertices that hold each of its vertices.
        weights: (n, 3) share of each.
        offsets: (n, 3) in units of the body's own scale.
        scales: For x, y and z: two body vertices, and their distance (metres) at which the offset is as made.
        hidden: Body vertices under it, which need not be drawn.
    """

    mesh: Obj
    anchors: Ints
    weights: Floats
    offsets: Floats
    scales: tuple[tuple[int, int, float], ...]
    hidden: Ints

    def fit(self, body: Floats, picked: Ints, rotations: npt.NDArray[np.float32]) -> Floats:
        """
        Return where the *picked* vertices lie on *body*, (k, 3) metres.

        Args:
            body: (v, 3) shaped and posed body.
            picked: (k,) indices of this piece's vertices.
            rotations: (v, 3, 3) how the pose has turned each body vertex, so that offsets turn with it.
        """
        base = np.einsum("kj,kjd->kd", self.weights[picked], body[self.anchors[picked]])
        spans = np.array([s for _, _, s in self.scales], np.float32)
        sizes = np.array([np.linalg.norm(body[a] - body[b]) for a, b, _ in self.scales], np.float32)
        offsets = self.offsets[picked] * np.clip(sizes / spans, 0.5, 2.0)
        turned = np.einsum("kij,kj->ki", rotations[self.anchors[picked, 0]], offsets)
        return np.asarray(base + turned, np.float32)


def read_fitted(path: Path) -> Fitted:
    """Read `<name>.mhclo` and the mesh beside it."""
    mesh = read_obj(path.with_suffix(".obj"))
    scales: dict[str, tuple[int, int, float]] = {}
    rows: list[list[float]] = []
    hidden: list[int] = []
    section = ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        if parts[0] in {"x_scale", "y_scale", "z_scale"}:
            scales[parts[0]] = (int(parts[1]), int(parts[2]), float(parts[3]) * _DECIMETRE)
        elif parts[0] in {"verts", "delete_verts"}:
            section = parts[0]
        elif section == "verts" and parts[0].isdigit():
            if len(parts) == 1:
                rows.append([float(parts[0])] * 3 + [1, 0, 0, 0, 0, 0])
            else:
                rows.append([float(part) for part in parts[:9]])
        elif section == "delete_verts" and (parts[0].isdigit()):
            hidden.extend(_ranges(parts))
    table = np.array(rows, np.float32)
    return Fitted(
        mesh,
        table[:, :3].astype(np.int32),
        table[:, 3:6],
        table[:, 6:9] * np.float32(_DECIMETRE),
        (scales["x_scale"], scales["y_scale"], scales["z_scale"]),
        np.array(hidden, np.int32),
    )


def _ranges(parts: list[str]) -> list[int]:
    """Return the numbers in `3 5 - 8`: 3, 5, 6, 7, 8."""
    numbers: list[int] = []
    open_range = False
    for part in parts:
        if part == "-":
            open_range = True
        elif open_range:
            numbers.extend(range(numbers[-1] + 1, int(part) + 1))
            open_range = False
        else:
            numbers.append(int(part))
    return numbers


def read_target(path: Path, count: int) -> Floats:
    """Return what a morph adds to each of the body's *count* vertices, (count, 3) metres."""
    table = np.loadtxt(path, comments="#", dtype=np.float32, ndmin=2)
    deltas = np.zeros((count, 3), np.float32)
    deltas[table[:, 0].astype(np.int32)] = table[:, 1:4] * np.float32(_DECIMETRE)
    return deltas


@dataclass(frozen=True)
class Rig:
    """
    The skeleton, parents first.

    Attributes:
        names: Bones.
        parents: Index of each bone's parent, -1 for the root.
        heads, tails: For each bone, the body vertices whose mean is its joint.
        weights: (v, 4) share of a body vertex's four strongest bones, summing to 1.
        bones: (v, 4) those bones.
    """

    names: list[str]
    parents: list[int]
    heads: list[Ints]
    tails: list[Ints]
    weights: Floats
    bones: Ints

    def family(self, name: str) -> set[int]:
        """Return a bone and all that hang on it."""
        found = {self.names.index(name)}
        for index, parent in enumerate(self.parents):
            if parent in found:
                found.add(index)
        return found


def read_rig(folder: Path, count: int) -> Rig:
    """Read the default skeleton and its weights for a body of *count* vertices."""
    skeleton = json.loads((folder / "default.mhskel").read_text(encoding="utf-8"))
    bones: dict[str, Any] = skeleton["bones"]
    names: list[str] = []
    while len(names) < len(bones):
        names.extend(n for n, b in bones.items() if n not in names and (not b["parent"] or b["parent"] in names))
    dense = np.zeros((count, len(names)), np.float32)
    table = json.loads((folder / "default_weights.mhw").read_text(encoding="utf-8"))["weights"]
    for index, name in enumerate(names):
        pairs = np.array(table.get(name, []), np.float64).reshape(-1, 2)
        dense[pairs[:, 0].astype(np.int32), index] = pairs[:, 1]
    dense[dense.sum(axis=1) == 0, 0] = 1.0
    strongest = np.argsort(-dense, axis=1)[:, :4]
    weights = np.take_along_axis(dense, strongest, axis=1)
    joints = {name: np.array(v, np.int32) for name, v in skeleton["joints"].items()}
    return Rig(
        names,
        [names.index(bones[name]["parent"]) if bones[name]["parent"] else -1 for name in names],
        [joints[bones[name]["head"]] for name in names],
        [joints[bones[name]["tail"]] for name in names],
        weights / weights.sum(axis=1, keepdims=True),
        strongest.astype(np.int32),
    )


def read_walk(path: Path) -> list[dict[str, Floats]]:
    """
    Return, for each frame of a BVH file, the way each joint's bone points: unit vectors, (3,).

    Bones without a child are left out. Only directions are kept: they fit any skeleton, whatever its rest pose.
    The files have z up and walk towards -y; here y is up and they walk towards +z.
    """
    names: list[str] = []
    parents: list[int] = []
    offsets: list[Floats] = []
    channels: list[list[str]] = []
    stack: list[int] = []
    head, _, motion = path.read_text(encoding="utf-8").partition("MOTION")
    for line in head.splitlines():
        parts = line.split()
        if not parts:
            continue
        if parts[0] in {"ROOT", "JOINT", "End"}:
            names.append(parts[1])
            parents.append(stack[-1] if stack else -1)
            channels.append([])
            stack.append(len(names) - 1)
        elif parts[0] == "OFFSET":
            offsets.append(np.array(parts[1:4], np.float32))
        elif parts[0] == "CHANNELS":
            channels[-1] = parts[2:]
        elif parts[0] == "}":
            stack.pop()
    rows = [[float(value) for value in line.split()] for line in motion.splitlines()[3:] if line.strip()]
    return [_directions(names, parents, offsets, channels, row) for row in rows]


def _directions(
    names: list[str], parents: list[int], offsets: list[Floats], channels: list[list[str]], values: list[float]
) -> dict[str, Floats]:
    """Return the way each joint's first child lies in one frame."""
    turns: list[npt.NDArray[np.float64]] = []
    used = 0
    for index, own in enumerate(channels):
        turn = np.eye(3) if parents[index] < 0 else turns[parents[index]]
        for channel in own:
            if channel.endswith("rotation"):
                turn = turn @ rotation("XYZ".index(channel[0]), np.radians(values[used]))
            used += 1
        turns.append(turn)
    found: dict[str, Floats] = {}
    for index, parent in enumerate(parents):
        length = float(np.linalg.norm(offsets[index]))
        if parent >= 0 and names[parent] not in found and length > 1e-6:
            x, y, z = turns[parent] @ (offsets[index] / length)
            found[names[parent]] = np.array((x, z, -y), np.float32)
    return found


def rotation(axis: int, angle: float) -> npt.NDArray[np.float64]:
    """Return the (3, 3) matrix that turns by *angle* (radians) about x, y or z."""
    matrix = np.eye(3)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[second, first] = np.sin(angle)
    matrix[first, second] = -np.sin(angle)
    return matrix


@dataclass
class Prop:
    """
    One glb prop, standing on the floor, centred: positions (n, 3) in its own unit, normals, uv, triangles.

    Attributes:
        picture: Its base colour texture, RGBA, or None.
        colours: (n, 3) colour factors, 0 to 1.
    """

    name: str
    positions: Floats
    normals: Floats
    uv: Floats
    triangles: Ints
    picture: npt.NDArray[np.uint8] | None
    colours: Floats = field(default_factory=lambda: np.zeros((0, 3), np.float32))


def read_prop(path: Path) -> Prop:
    """Read a self-contained glb: all its meshes in one, with the first texture found."""
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    tree = json.loads(data[20 : 20 + length])
    blob = data[28 + length :]
    parts: list[tuple[Floats, Floats, Floats, Ints, Floats]] = []
    for root in tree["scenes"][tree.get("scene", 0)]["nodes"]:
        _collect(tree, blob, root, np.eye(4), parts)
    starts = np.cumsum([0] + [len(part[0]) for part in parts])
    positions = np.concatenate([part[0] for part in parts])
    low, high = positions.min(axis=0), positions.max(axis=0)
    positions = positions - np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2], np.float32)
    return Prop(
        path.stem,
        positions,
        np.concatenate([part[1] for part in parts]),
        np.concatenate([part[2] for part in parts]),
        np.concatenate([part[3] + start for part, start in zip(parts, starts, strict=False)]),
        _picture(tree, blob),
        np.concatenate([part[4] for part in parts]),
    )


def _collect(tree: dict[str, Any], blob: bytes, index: int, above: npt.NDArray[Any], parts: list[Any]) -> None:
    """Add a node's meshes, and its children's, in the scene's axes."""
    node = tree["nodes"][index]
    matrix = above @ _node_matrix(node)
    for primitive in tree["meshes"][node["mesh"]]["primitives"] if "mesh" in node else []:
        attributes = primitive["attributes"]
        positions = _accessor(tree, blob, attributes["POSITION"])
        count = len(positions)
        turned = positions @ matrix[:3, :3].T + matrix[:3, 3]
        normals = _accessor(tree, blob, attributes["NORMAL"]) if "NORMAL" in attributes else np.zeros((count, 3))
        uv = _accessor(tree, blob, attributes["TEXCOORD_0"]) if "TEXCOORD_0" in attributes else np.zeros((count, 2))
        faces = _accessor(tree, blob, primitive["indices"]) if "indices" in primitive else np.arange(count)
        material = tree["materials"][primitive["material"]] if "material" in primitive else {}
        factor = material.get("pbrMetallicRoughness", {}).get("baseColorFactor", [1, 1, 1, 1])
        parts.append(
            (
                turned.astype(np.float32),
                (normals @ np.linalg.inv(matrix[:3, :3])).astype(np.float32),
                uv.astype(np.float32),
                faces.reshape(-1, 3).astype(np.int32),
                np.tile(np.array(factor[:3], np.float32), (count, 1)),
            )
        )
    for child in node.get("children", []):
        _collect(tree, blob, child, matrix, parts)


def _node_matrix(node: dict[str, Any]) -> npt.NDArray[np.float64]:
    """Return a node's own (4, 4) transform."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = node.get("rotation", [0, 0, 0, 1])
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn * np.array(node.get("scale", [1, 1, 1]))
    matrix[:3, 3] = node.get("translation", [0, 0, 0])
    return matrix


def _accessor(tree: dict[str, Any], blob: bytes, index: int) -> npt.NDArray[Any]:
    """Return one accessor's numbers, (n, width)."""
    accessor = tree["accessors"][index]
    view = tree["bufferViews"][accessor["bufferView"]]
    kind, width = np.dtype(_GLTF_TYPES[accessor["componentType"]]), _GLTF_WIDTHS[accessor["type"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    step = view.get("byteStride", kind.itemsize * width)
    rows = np.ndarray((accessor["count"], width), kind, blob, start, (step, kind.itemsize))
    if accessor.get("normalized"):
        return np.asarray(rows, np.float32) / np.float32(np.iinfo(kind).max)
    return np.array(rows)


def _picture(tree: dict[str, Any], blob: bytes) -> npt.NDArray[np.uint8] | None:
    """Return the first embedded picture, (h, w, 4) RGBA, if there is one."""
    for image in tree.get("images", []):
        view = tree["bufferViews"][image["bufferView"]]
        start = view.get("byteOffset", 0)
        raw = np.frombuffer(blob[start : start + view["byteLength"]], np.uint8)
        picture = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED)
        if picture is not None and picture.ndim == 3:
            code = cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGBA
            return np.asarray(cv2.cvtColor(picture, code), np.uint8)
    return None
