"""From the pinhole picture that is drawn to the picture that a wide lens makes, and the same for points."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Lens:
    """
    A lens between the pinhole (`bend` 0) and the equidistant fisheye (`bend` 1).

    A ray at angle a from the axis lands at focal * ((1 - bend) tan a + bend a) px from the middle.

    Attributes:
        focal: Px of the finished picture.
        width, height: Px of the finished picture.
    """

    focal: float
    bend: float
    width: int
    height: int

    def radius(self, angle: npt.NDArray[np.float64] | float) -> npt.NDArray[np.float64]:
        """Return where rays at *angle* (radians) land, px from the middle."""
        return np.asarray(self.focal * ((1 - self.bend) * np.tan(angle) + self.bend * np.asarray(angle)))

    def widest(self) -> float:
        """Return the angle of the ray that lands in the corner, radians."""
        angles = np.linspace(0, 1.35, 500)
        return float(np.interp(np.hypot(self.width, self.height) / 2, self.radius(angles), angles))

    def bent(self, points: npt.NDArray[np.float64], pinhole_focal: float) -> npt.NDArray[np.float64]:
        """Return px of the finished picture, (n, 2), for px from the pinhole picture's middle."""
        radius = np.hypot(points[:, 0], points[:, 1])
        scale = self.radius(np.arctan(radius / pinhole_focal)) / np.maximum(radius, 1e-9)
        return np.asarray(points[:, :2] * scale[:, None] + (self.width / 2, self.height / 2))

    def apply(self, picture: npt.NDArray[np.uint8], pinhole_focal: float, *, smooth: bool) -> npt.NDArray[np.uint8]:
        """Return the finished picture; *smooth* averages twice as many samples a side, else the nearest is taken."""
        times = 2 if smooth else 1
        x = (np.arange(self.width * times) + 0.5) / times - self.width / 2
        y = (np.arange(self.height * times) + 0.5) / times - self.height / 2
        radius = np.hypot(x[None, :], y[:, None])
        angles = np.linspace(0, 1.35, 500)
        table = np.linspace(0, float(radius.max()) + 1, 400)
        ratio = pinhole_focal * np.tan(np.interp(table, self.radius(angles), angles)) / np.maximum(table, 1e-9)
        ratio[0] = ratio[1]
        scale = np.interp(radius, table, ratio)
        height, width = picture.shape[:2]
        across = (x[None, :] * scale + width / 2 - 0.5).astype(np.float32)
        down = (y[:, None] * scale + height / 2 - 0.5).astype(np.float32)
        mode = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
        bent = cv2.remap(np.ascontiguousarray(picture), across, down, mode, borderMode=cv2.BORDER_REPLICATE)
        if smooth:
            bent = cv2.resize(bent, (self.width, self.height), interpolation=cv2.INTER_AREA)
        return np.asarray(bent, np.uint8)
