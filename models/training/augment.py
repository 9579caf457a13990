"""Vary pictures while training, and turn labels into the maps that the network should answer with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .dimensions import HEIGHT, PADDING, STRIDE, WIDTH

SEEN = 0.4
"""Heads of which less is visible are neither asked for nor punished."""
HIDDEN = 0.1
"""Heads of which less is visible can't be known: a score there is punished."""
SMALLEST = 5.0
"""Px; likewise for smaller ones."""

_AT_A_HEAD = 0.75
"""Share of the cuts that are chosen for a head in them."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Answer:
    """
    What the network should say of one picture; maps of (rows, columns).

    Attributes:
        score: 1 at a head's cell, falling off around it.
        known: 0 where a score isn't judged, else 1.
        size, offset_x, offset_y: As in `network.Maps`.
        near: How much size and offset count, 0 to 1.
    """

    score: Floats
    known: Floats
    size: Floats
    offset_x: Floats
    offset_y: Floats
    near: Floats

    def stacked(self) -> Floats:
        """Return the six maps, (6, rows, columns)."""
        return np.stack((self.score, self.known, self.size, self.offset_x, self.offset_y, self.near))


def cut(
    picture: npt.NDArray[np.uint8], labels: Floats, width: int, height: int, random: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], Floats]:
    """
    Return a random part of the picture at a random scale, mirrored half of the time, in other light.

    Mostly a part with a head somewhere in it: an empty floor teaches little. The labels are (n, 4): x, y, diameter,
    visible share.
    """
    scale = float(np.exp(random.uniform(np.log(0.5), np.log(1.8))))
    wished = random.uniform(0, (WIDTH, HEIGHT))
    if len(labels) and random.random() < _AT_A_HEAD:
        reach = 0.4 * np.array((width, height)) / scale
        wished = labels[int(random.integers(len(labels))), :2] + random.uniform(-reach, reach)
    centre_x, centre_y = (
        float(np.clip(wish * scale, side / 2, whole * scale - side / 2)) if whole * scale > side else whole * scale / 2
        for wish, side, whole in ((wished[0], width, WIDTH), (wished[1], height, HEIGHT))
    )
    flip_x, flip_y = random.random() < 0.5, random.random() < 0.15
    move = np.array([[scale, 0, width / 2 - centre_x], [0, scale, height / 2 - centre_y]], np.float64)
    if flip_x:
        move[0] = -move[0] + (0, 0, width)
    if flip_y:
        move[1] = -move[1] + (0, 0, height)
    move_px = move.copy()
    move_px[:, 2] += move[:, :2] @ (0.5, 0.5) - 0.5
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    part = cv2.warpAffine(picture, move_px, (width, height), flags=method, borderValue=(PADDING,) * 3)
    moved = labels.copy()
    moved[:, :2] = labels[:, :2] @ move[:, :2].T + move[:, 2]
    moved[:, 2] *= scale
    return _refocused(_in_other_light(_lit_unevenly(np.asarray(part, np.uint8), random), random), random), moved


def _lit_unevenly(part: npt.NDArray[np.uint8], random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Let light fall on some places more than on others, softly, and sometimes with the edge of a shadow."""
    if random.random() >= 0.3:
        return part
    height, width = part.shape[:2]
    coarse = random.standard_normal((int(random.integers(2, 5)), int(random.integers(2, 6)))).astype(np.float32)
    waves = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    light = np.exp(float(random.uniform(0.1, 0.55)) * waves)
    if random.random() < 0.4:
        light[waves > random.normal(0, 0.5)] *= np.float32(random.uniform(1.2, 2.0))
    light *= np.float32(random.uniform(0.8, 1.3) / float(light.mean()))
    return np.asarray(cv2.multiply(part, cv2.merge((light, light, light)), dtype=cv2.CV_8U), np.uint8)


def _refocused(part: npt.NDArray[np.uint8], random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Soften or sharpen detail, and sometimes add grain: no two lenses and encoders leave the same."""
    if random.random() < 0.15:
        soft = cv2.GaussianBlur(part, (0, 0), float(random.uniform(0.8, 2.0)))
        amount = float(random.uniform(0.5, 2.0))
        part = np.asarray(cv2.addWeighted(part, 1 + amount, soft, -amount, 0), np.uint8)
    if random.random() < 0.5:
        edge = float(random.uniform(-0.08, 0.2))
        kernel = np.full((3, 3), -edge / 2, np.float32)
        kernel[1, 1] = 1 + 4 * edge
        part = np.asarray(cv2.filter2D(part, -1, kernel), np.uint8)
    if random.random() < 0.25:
        grain = np.empty(part.shape, np.int16)
        randn: Any = cv2.randn  # its types allow arrays only, the function numbers too
        randn(grain, 0, float(random.uniform(1, 9)))
        part = np.asarray(cv2.add(part, grain, dtype=cv2.CV_8U), np.uint8)
    return part


def _in_other_light(part: npt.NDArray[np.uint8], random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Vary saturation, hue, contrast, balance, brightness and the curve from dark to light."""
    colour = 0.0 if random.random() < 0.1 else random.uniform(0.4, 1.2)
    grey = cv2.cvtColor(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    part = np.asarray(cv2.addWeighted(part, colour, grey, 1 - colour, 0), np.uint8)
    if random.random() < 0.25:
        mix = np.eye(3) + random.normal(0, 0.12, (3, 3))
        part = np.asarray(cv2.transform(part, mix / mix.sum(axis=1, keepdims=True)), np.uint8)
    light = random.normal(1, 0.15) * (1 + random.normal(0, 0.05, 3))
    middle = 114.0
    if random.random() < 0.3:
        # Cheap cameras, and glaring light, leave little between black and white.
        light, middle = light * np.exp(random.uniform(0, 0.65)), float(random.uniform(60, 190))
    level = np.arange(256, dtype=np.float32)[:, None] * light[None] + middle * (1 - light[None]) + random.normal(0, 14)
    curve = float(np.exp(random.normal(0, 0.2)))
    table = (255 * (np.clip(level, 0, 255) / 255) ** curve).astype(np.uint8)
    return np.asarray(cv2.LUT(part, table[None]), np.uint8)


def answer(labels: Floats, rows: int, columns: int) -> Answer:
    """Return the maps for heads (n, 4): x, y, diameter in px, visible share."""
    score, known = np.zeros((rows, columns), np.float32), np.ones((rows, columns), np.float32)
    near = np.zeros((rows, columns), np.float32)
    size, offset_x, offset_y = (np.zeros((rows, columns), np.float32) for _ in range(3))
    y, x = np.mgrid[:rows, :columns].astype(np.float32) + 0.5
    for centre_x, centre_y, diameter, visible in labels[np.argsort(-labels[:, 2])]:
        across, down = centre_x / STRIDE - x, centre_y / STRIDE - y
        squared = across**2 + down**2
        cells = diameter / STRIDE
        if visible < HIDDEN:
            continue
        if visible < SEEN or diameter < SMALLEST:
            known[squared < (0.5 * cells + 0.7) ** 2] = 0
            continue
        spread = float(np.clip(0.14 * cells, 0.6, 3.5))
        column, row = int(centre_x // STRIDE), int(centre_y // STRIDE)
        if not (0 <= row < rows and 0 <= column < columns):
            continue
        peak = np.exp(-squared / (2 * spread**2))
        peak[row, column] = 1.0
        score = np.maximum(score, peak)
        ours = (peak > 0.45) & (peak >= near)
        near[ours] = peak[ours]
        size[ours] = np.log(diameter / STRIDE)
        offset_x[ours], offset_y[ours] = across[ours], down[ours]
    known[score > 0.6] = 1
    return Answer(score.astype(np.float32), known, size, offset_x, offset_y, near)
