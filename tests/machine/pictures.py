"""What an emulated camera sees: the demo clip's people, and stills with noise of their own, as JPEG."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

CLIP = Path(__file__).parents[2] / "models" / "demo" / "door.mp4"
TRUTH = (8, 5)
"""How many come in and go out in the clip."""
_QUALITY = 95
_NOISE = 2.0
"""Standard deviation of a still's noise, grey levels: no camera gives the same picture twice."""

Pixels = npt.NDArray[np.uint8]


def clip() -> Iterator[Pixels]:
    """Yield the clip's pictures, (480, 640, 3) uint8, BGR."""
    capture = cv2.VideoCapture(str(CLIP))
    while True:
        good, pixels = capture.read()
        if not good:
            capture.release()
            return
        yield np.asarray(pixels, np.uint8)


def jpeg(pixels: Pixels) -> bytes:
    """Return the picture as a camera sends it."""
    good, packed = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert good
    return packed.tobytes()


def still(pixels: Pixels) -> Iterator[bytes]:
    """Yield the same scene for ever, each time with noise of its own; a few pictures, in turn."""
    random = np.random.default_rng(21)
    noisy = [pixels + random.normal(0, _NOISE, pixels.shape) for _ in range(12)]
    return itertools.cycle([jpeg(np.clip(made, 0, 255).astype(np.uint8)) for made in noisy])


def walking() -> Iterator[bytes]:
    """Yield the clip again and again."""
    return itertools.cycle([jpeg(pixels) for pixels in clip()])


class Film:
    """
    The clip, shown once when told to; before it its first picture as a still, after it its last.

    Attributes:
        over: Set when the clip's last picture was given.
    """

    def __init__(self) -> None:
        pictures = list(clip())
        self._before, self._after = still(pictures[0]), still(pictures[-1])
        self._clip = iter([jpeg(pixels) for pixels in pictures])
        self._playing = threading.Event()
        self.over = threading.Event()

    def play(self) -> None:
        """Show the clip."""
        self._playing.set()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self._playing.is_set():
            return next(self._before)
        picture = next(self._clip, None)
        if picture is None:
            self.over.set()
            return next(self._after)
        return picture
