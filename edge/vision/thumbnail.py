"""
A frame made small: the grey picture of about 80 x 60 cells that the picture check looks at.

Cells are square, so that a turn of the camera is a turn of the thumbnail: 80 columns, and as many rows as the aspect
asks for.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]
"""(rows, columns) uint8, grey levels."""
Gradient = npt.NDArray[np.float32]
"""(2, rows, columns) float32: steps of grey over two cells, across and down, grey levels; 0 along the border."""

COLUMNS = 80
_FEWEST_ROWS, _MOST_ROWS = 24, 96


def sample(pixels: npt.NDArray[np.uint8]) -> Grey:
    """
    Return a copy of single points of a picture, about 160 across: no averages, so that the sensor's noise stays in.

    Args:
        pixels: (height, width, 3) uint8 BGR, of which green is taken, or (height, width) uint8 grey.
    """
    width = pixels.shape[1]
    grey = pixels if pixels.ndim == 2 else pixels[:, :, 1]  # noqa: PLR2004 - no colour axis
    step = max(1, width // (2 * COLUMNS))
    return np.ascontiguousarray(grey[::step, ::step])


def shape_for(width: int, height: int) -> tuple[int, int]:
    """Return the rows and columns of the thumbnail of a picture of *width* by *height* px."""
    return min(_MOST_ROWS, max(_FEWEST_ROWS, round(COLUMNS * height / width))), COLUMNS


def shrink(sampled: Grey, shape: tuple[int, int]) -> Grey:
    """Return a sample as a thumbnail of *shape*, (rows, columns)."""
    rows, columns = shape
    return np.asarray(cv2.resize(sampled, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def gradient(thumbnail: Grey) -> Gradient:
    """Return the steps of grey of a thumbnail, a little blurred."""
    smooth = cv2.GaussianBlur(thumbnail.astype(np.float32), (3, 3), 0)
    steps = np.zeros((2, *thumbnail.shape), np.float32)
    steps[0, :, 1:-1] = smooth[:, 2:] - smooth[:, :-2]
    steps[1, 1:-1] = smooth[2:] - smooth[:-2]
    return steps


def steepness(steps: Gradient) -> npt.NDArray[np.float32]:
    """Return the size of each step: (rows, columns) or (n,) float32, grey levels. Much faster than numpy's hypot."""
    across, down = steps
    size: npt.NDArray[np.float32] = np.sqrt(across * across + down * down)
    return size


def sharpness(thumbnail: Grey) -> float:
    """
    Return how sharp a thumbnail is: the mean bend of grey between cells beyond three times the median, grey levels.

    What is near the lens is out of focus: its steps may be as large as the scenery's, but they bend slowly. The median
    is that of plain cells, so it is the noise's.
    """
    bend = np.abs(cv2.Laplacian(thumbnail, cv2.CV_32F))[1:-1, 1:-1]
    return float(np.maximum(bend - (2.0 + 3.0 * float(np.median(bend))), 0.0).mean())
