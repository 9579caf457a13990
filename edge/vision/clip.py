"""A clip that stands for a camera. It is opened, and even its header read, only by whoever may look at pictures."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cv2
import numpy as np

from edge.core.errors import CameraMissing
from edge.vision.clip_times import GIVE_A_CLIP, NOT_A_CLIP, read_times
from edge.vision.scene import Frame


class ClipSource:
    """
    A clip: at its own pace or as fast as it is asked for, once or again and again.

    Its times count from the first frame, in the clip's own seconds, and go on through repeats.

    Args:
        path: A file that OpenCV can decode.
        fps: Frames a second to give at most; those between are skipped, as a live camera would be asked for fewer.
        pace: Whether to give frames no sooner than the clip's own times.
        loop: Whether to begin again at the end.
        fps_of_clip: The clip's own frames a second, where somebody knows better than the clip.

    Attributes:
        times: When its frames were taken.
        size: Width and height, px.
        position: How many of the clip's frames have gone by, skipped ones too.

    Raises:
        CameraMissing: it can't be read.
        ClipUntimed: its times can't be believed, and there is no *fps_of_clip*.
    """

    def __init__(
        self, path: str, *, fps: float, pace: bool = False, loop: bool = False, fps_of_clip: float | None = None
    ) -> None:
        self._path = path
        find_clip(path)
        self.times = read_times(path, fps_of_clip)
        self._clip = self._open()
        self.size = (int(self._clip.get(cv2.CAP_PROP_FRAME_WIDTH)), int(self._clip.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        self.position = 0
        self._wanted_ms = 1000 / fps
        self._pace, self._loop = pace, loop
        self._number = 0
        """Frames of this pass that were given or skipped."""
        self._began_ms = 0.0
        """When this pass began, in the time that goes on through repeats."""
        self._last_ms = -1.0
        self._last_stamp_ms = 0.0
        self._due_ms = 0.0
        self._began_s: float | None = None

    @property
    def frames(self) -> int:
        """How many frames the file holds."""
        return self.times.frames

    @property
    def missing(self) -> int:
        """How many frames that the clip promises are missing at its end; known once it has ended."""
        return self.times.missing(self._number, self._last_stamp_ms)

    def read(self) -> Frame | None:
        """Return the next frame that is due."""
        while True:
            if not self._clip.grab() and not self._begin_again():
                return None
            self._last_stamp_ms = self._clip.get(cv2.CAP_PROP_POS_MSEC)
            here_ms = self.times.at(self._number, self._last_stamp_ms)
            self._number += 1
            self.position += 1
            t_ms = self._began_ms + here_ms
            following_ms = self._began_ms + self.times.after(here_ms)
            if t_ms <= self._last_ms or (t_ms + following_ms) / 2 < self._due_ms:
                continue
            good, pixels = self._clip.retrieve()
            if good and pixels is not None and pixels.size:
                self._last_ms = t_ms
                self._due_ms = max(self._due_ms + self._wanted_ms, t_ms)
                self._wait_until(t_ms)
                return Frame(np.asarray(pixels, np.uint8), t_ms)

    def _open(self) -> cv2.VideoCapture:
        clip = cv2.VideoCapture(self._path, cv2.CAP_FFMPEG)
        if not clip.isOpened():
            raise CameraMissing(self._path, NOT_A_CLIP, GIVE_A_CLIP)
        return clip

    def _begin_again(self) -> bool:
        """Take the first frame of another pass; return False if there is to be none."""
        if not self._loop or not self._number:
            return False
        self._began_ms += self.times.length_ms
        self._number = 0
        if self._clip.set(cv2.CAP_PROP_POS_FRAMES, 0) and self._clip.grab():
            return True
        # Not every clip can be wound back: neither a browser's, with its rate of 1000, nor a bare stream.
        self._clip.release()
        self._clip = self._open()
        return self._clip.grab()

    def _wait_until(self, t_ms: float) -> None:
        if not self._pace:
            return
        now_s = time.monotonic()
        if self._began_s is None:
            self._began_s = now_s - t_ms / 1000
        time.sleep(max(0.0, self._began_s + t_ms / 1000 - now_s))

    def close(self) -> None:
        """Close the file."""
        self._clip.release()


def find_clip(path: str) -> None:
    """Look whether there is a clip that may be read, and read nothing of it; raises CameraMissing."""
    if not Path(path).is_file():
        raise CameraMissing(path, "there is no such clip", "give the path of a clip that is there")
    if not os.access(path, os.R_OK):
        raise CameraMissing(path, "this user may not read it", "let others read the clip, and its folders")
