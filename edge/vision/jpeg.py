"""
Pictures that a camera sends as JPEG: grey and reduced at once, whole when somebody asks for it.

To tell whether anything is new, averages of 2 x 2 to 8 x 8 px are enough. The decoder gives them in a third of the time
that all px take, since it leaves out most of what each block holds.
"""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from edge.vision.scene import PackedFrame, Pixels
from edge.vision.thumbnail import COLUMNS

_LEAST_COLUMNS = COLUMNS
"""A reduced picture has at least so many columns, those of a thumbnail, unless the whole one has fewer."""
_REDUCTIONS = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)
_BEGINNING = b"\xff\xd8"
"""OpenCV would unpack a dozen other formats as well, with decoders that no camera has any use for."""


class JpegReader:
    """Reads the pictures of one camera, which are mostly of one size. State: that size."""

    def __init__(self) -> None:
        self._size = (0, 0)
        self._reduced_shape: tuple[int, ...] = ()
        self._reduction = cv2.IMREAD_GRAYSCALE

    def read(self, packed: Pixels, t_ms: float) -> PackedFrame | None:
        """
        Return the picture that is in *packed*; None if there is none that can be unpacked.

        Args:
            packed: (n,) or (1, n) uint8, a JPEG file; one of a camera's MJPG stream may lack its Huffman tables.
            t_ms: When it was taken.
        """
        reduced = _unpacked(packed, self._reduction)
        if reduced is None or reduced.shape != self._reduced_shape:
            whole = _unpacked(packed, cv2.IMREAD_COLOR)
            if whole is None:
                return None
            height, width = whole.shape[:2]
            self._size = (width, height)
            enough = [flag for factor, flag in _REDUCTIONS if width >= factor * _LEAST_COLUMNS]
            self._reduction = enough[0] if enough else cv2.IMREAD_GRAYSCALE
            reduced = _unpacked(packed, self._reduction)
            if reduced is None:
                return None
            self._reduced_shape = reduced.shape
        return PackedFrame(partial(_whole, packed, self._size, reduced), self._size, reduced, t_ms)


def _whole(packed: Pixels, size: tuple[int, int], reduced: Pixels) -> Pixels:
    """Unpack all of a picture; where that fails, enlarge the reduced one."""
    pixels = _unpacked(packed, cv2.IMREAD_COLOR)
    if pixels is None:
        pixels = np.asarray(cv2.resize(cv2.cvtColor(reduced, cv2.COLOR_GRAY2BGR), size), np.uint8)
    return pixels


def _unpacked(packed: Pixels, how: int) -> Pixels | None:
    """Return the px of a JPEG file; None where OpenCV raises or returns nothing, which depends on the fault."""
    if packed.ravel()[:2].tobytes() != _BEGINNING:
        return None
    try:
        pixels = cv2.imdecode(packed, how)
    except cv2.error:
        return None
    return None if pixels is None or not pixels.size else np.asarray(pixels, np.uint8)
