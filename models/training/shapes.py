"""
Meshes in the one form that the renderer draws, and the simple solids that assets don't offer: balls, bags, umbrellas.

A slot says what a vertex is made of; a scene gives each slot its colour and texture when it draws the mesh.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .asset_readers import Floats, Ints

SKIN, FACE, HAIR, HEADWEAR, TOP, BOTTOM, SHOES, LONG_HAIR, OTHER, MORE = range(10)
SLOTS = 10
HEAD_SLOTS = (FACE, HAIR, HEADWEAR)
"""What counts as the head: skull and face, hair above the chin, and what covers them."""


@dataclass(frozen=True)
class Mesh:
    """
    Triangles to draw.

    Attributes:
        vertices: (n, 9) float32: position (metres), normal, texture coordinates, slot.
        triangles: (m, 3) int32.
    """

    vertices: Floats
    triangles: Ints


def build(positions: Floats, triangles: Ints, slots: npt.NDArray[np.int32] | int, uv: Floats | None = None) -> Mesh:
    """Return a mesh with smooth normals; without *uv* the texture is laid on from the front and from above."""
    corners = positions[triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(positions)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], faces)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    if uv is None:
        uv = np.stack(
            (positions[:, 0] + 0.7 * positions[:, 2], positions[:, 1] + 0.5 * positions[:, 2]), axis=1
        ).astype(np.float32)
    column = np.broadcast_to(np.asarray(slots, np.float32), (len(positions),))[:, None]
    return Mesh(np.concatenate((positions, normals, uv, column), axis=1).astype(np.float32), triangles)


def join(meshes: list[Mesh]) -> Mesh:
    """Return several meshes as one."""
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.triangles + np.int32(start) for mesh, start in zip(meshes, starts, strict=False)]),
    )


def placed(mesh: Mesh, matrix: npt.NDArray[np.float64]) -> Mesh:
    """Return *mesh* moved by a (4, 4) transform."""
    vertices = mesh.vertices.copy()
    vertices[:, :3] = vertices[:, :3] @ matrix[:3, :3].T + matrix[:3, 3]
    normals = vertices[:, 3:6] @ np.linalg.inv(matrix[:3, :3])
    vertices[:, 3:6] = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return Mesh(vertices.astype(np.float32), mesh.triangles)


def transform(
    position: tuple[float, float, float], yaw: float = 0.0, scale: float | tuple[float, float, float] = 1.0
) -> npt.NDArray[np.float64]:
    """Return the (4, 4) matrix that scales, turns by *yaw* radians about the upright, then moves."""
    matrix = np.eye(4)
    cos, sin = np.cos(yaw), np.sin(yaw)
    matrix[:3, :3] = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]) @ np.diag(np.broadcast_to(scale, 3))
    matrix[:3, 3] = position
    return matrix


def _swept(profile: list[tuple[float, float]], sides: int, slot: int) -> Mesh:
    """Return the body that a profile of (radius, height) sweeps about the upright."""
    angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = np.stack((np.cos(angles), np.sin(angles)), axis=1)
    positions = np.concatenate([np.insert(ring * radius, 1, height, axis=1) for radius, height in profile]).astype(
        np.float32
    )
    faces = []
    for level in range(len(profile) - 1):
        for side in range(sides):
            a, b = level * sides + side, level * sides + (side + 1) % sides
            faces += [(a, a + sides, b), (b, a + sides, b + sides)]
    return build(positions, np.array(faces, np.int32), slot)


def ball(slot: int = OTHER, sides: int = 14) -> Mesh:
    """Return a ball of radius 1 about the origin."""
    turns = np.linspace(-np.pi / 2, np.pi / 2, 9)
    return _swept([(max(float(np.cos(t)), 1e-3), float(np.sin(t))) for t in turns], sides, slot)


def cylinder(slot: int = OTHER, sides: int = 16) -> Mesh:
    """Return a closed cylinder of radius 1 from y = 0 to y = 1."""
    return _swept([(1e-3, 0), (1, 0), (1, 1e-3), (1, 0.999), (1, 1), (1e-3, 1)], sides, slot)


def dome(slot: int = OTHER, sides: int = 8) -> Mesh:
    """Return an umbrella's cloth: a cap of radius 1 whose rim is at y = 0, top at y = 0.35."""
    return _swept([(1e-3, 0.35), (0.35, 0.31), (0.7, 0.2), (1, 0), (0.7, 0.19), (1e-3, 0.33)], sides, slot)


def brimmed(slot: int = HEADWEAR, sides: int = 18) -> Mesh:
    """Return a soft hat whose crown has radius 1 about the upright at y = 0; its brim hangs below that."""
    return _swept(
        [(1.0, -0.1), (1.45, -0.34), (1.6, -0.42), (1.45, -0.32), (1.02, 0.0), (0.95, 0.62), (0.7, 0.82), (1e-3, 0.86)],
        sides,
        slot,
    )


def collar(slot: int = OTHER, sides: int = 14) -> Mesh:
    """Return an upright collar about the origin: open, of radius 1 at y = 0, wider at y = 1, with an inside."""
    return _swept([(1.25, -0.6), (1.0, 0.0), (1.12, 1.0), (1.0, 0.98), (0.9, 0.0)], sides, slot)


def ring(slot: int = OTHER, sides: int = 14) -> Mesh:
    """Return a thick ring about the upright, of radius 1, from y = -1 to y = 1: a scarf."""
    turns = np.linspace(0, 2 * np.pi, 9)
    return _swept([(1.1 + 0.35 * float(np.cos(t)), float(np.sin(t))) for t in turns], sides, slot)


def box(slot: int = OTHER) -> Mesh:
    """Return a box of side 1 standing on y = 0, centred in x and z."""
    meshes = []
    for axis in range(3):
        for sign in (-0.5, 0.5):
            plane = np.zeros((4, 3), np.float32)
            plane[:, axis] = sign
            others = [(axis + 1) % 3, (axis + 2) % 3]
            corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]], np.float32)
            plane[:, others] = corners if sign > 0 else corners[::-1]
            plane[:, 1] += 0.5
            meshes.append(build(plane, np.array([[0, 1, 2], [0, 2, 3]], np.int32), slot, corners + 0.5))
    return join(meshes)


def floor(size: float, slot: int = OTHER, cells: int = 1) -> Mesh:
    """Return a level square of *size* metres about the origin, its texture in metres."""
    steps = np.linspace(-size / 2, size / 2, cells + 1, dtype=np.float32)
    x, z = np.meshgrid(steps, steps)
    positions = np.stack((x.ravel(), np.zeros(x.size, np.float32), z.ravel()), axis=1)
    faces = []
    for row in range(cells):
        for column in range(cells):
            a = row * (cells + 1) + column
            faces += [(a, a + cells + 1, a + 1), (a + 1, a + cells + 1, a + cells + 2)]
    return build(positions, np.array(faces, np.int32), slot, positions[:, [0, 2]])


def blot(random: np.random.Generator, slot: int = OTHER) -> Mesh:
    """Return a flat, uneven round patch of radius about 1: a stain, a shadow, a drain cover."""
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    wobble = sum(random.uniform(0, 0.3 / n) * np.cos(n * angles + random.uniform(0, 6.3)) for n in range(1, 6))
    radii = 1 + np.asarray(wobble) * random.uniform(0, 1)
    positions = np.zeros((21, 3), np.float32)
    positions[:20, 0], positions[:20, 2] = np.cos(angles) * radii, np.sin(angles) * radii
    faces = [(i, 20, (i + 1) % 20) for i in range(20)]
    return build(positions, np.array(faces, np.int32), slot)
