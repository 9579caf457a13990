"""
When each frame of a clip was taken: by the clip's own time stamps, and not by the rate in its header.

Phones and screen recorders write clips whose rate changes, browsers write a rate of 1000, bare streams hold neither
rate nor time. So all of a clip's stamps are read first, without decoding a picture, and then it is decided what its
times are. A clip whose times can't be believed is refused: `--fps-of-clip` says what it doesn't. The service does this,
as everything with a clip, only once it is sealed.
"""

from __future__ import annotations

import enum
import math
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.core.errors import CameraMissing, ClipUntimed

# What FFmpeg says about a damaged clip, this program says in a sentence. OpenCV reads it when it opens the first clip.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

NOT_A_CLIP, GIVE_A_CLIP = "it isn't a clip that can be decoded", "give a clip such as .mp4 with H.264"

_FASTEST_FPS = 250.0
"""Rates up to this many frames a second are believed: phones film slow motion at 240."""
_STAMPED_SHARE = 0.98
"""Stamps are believed if at least this share of a clip's frames has one of its own."""
_ROUNDING_MS = 2.0
"""A stamp this near to a whole number of frames, in ms, means that number: many containers round to whole ms."""
_DISAGREEMENT = 0.1
"""A difference between the header's rate and the stamps' is told if it is more than this share."""
_LAST_FRAMES = 2.5
"""A clip is whole if it ends within this many frames of its promise: decoders leave out empty and incomplete ones."""
_LAST_MS = 1000.0
"""A clip that promises a length but no number of frames is whole within this, in ms: its sound may be the longer."""


class Container(enum.Enum):
    """The kinds of files, by what they tell about time."""

    BARE = enum.auto()
    """A stream without a container: neither rate nor time. FFmpeg makes up 25 frames a second."""
    AVI = enum.auto()
    """One rate for all; frames are numbered."""
    MP4 = enum.auto()
    """A list of all frames and how long each lasts."""
    OTHER = enum.auto()
    """A time with each frame, and perhaps a length of the whole."""


@dataclass(frozen=True, slots=True)
class _Header:
    """What the clip says of itself: frames a second, number of frames; 0 where it says nothing that can be read."""

    fps: float
    frames: int

    @property
    def believable(self) -> bool:
        return 0 < self.fps <= _FASTEST_FPS

    @property
    def length_ms(self) -> float:
        return 1000 * self.frames / self.fps if self.fps else 0.0


@dataclass(frozen=True, slots=True)
class ClipTimes:
    """
    The times of one clip, in ms from its first frame.

    Attributes:
        container: What kind of file it is.
        fps: Frames a second, typically: by the middle one of the steps from frame to frame.
        frames: How many frames the file holds.
        length_ms: From the first frame to the end of the last.
        note: What a person should know about these times; empty if there is nothing.
    """

    container: Container
    fps: float
    frames: int
    length_ms: float
    note: str
    _header: _Header
    _first_ms: float
    _stamps_ms: npt.NDArray[np.float64] | None
    """Each frame's time, rising; None where frames are numbered, and each lasts 1000 / `fps`."""
    _grid_fps: float
    """The rate whose frames the stamps are but for rounding; 0 if there is none."""
    _end_ms: float
    """Where the stamps end, in their own time."""
    _step_ms: float
    """A frame's typical length in the stamps' own time."""

    def at(self, number: int, stamp_ms: float) -> float:
        """Return the time of a decoded frame: the one with this *number*, counted from 0, and this stamp."""
        if self._stamps_ms is None:
            return number * (1000 / self.fps)
        return float(_snapped(np.array([stamp_ms - self._first_ms]), self._grid_fps)[0])

    def after(self, t_ms: float) -> float:
        """Return the time of the frame that follows the one at *t_ms*."""
        if self._stamps_ms is not None:
            following = int(np.searchsorted(self._stamps_ms, t_ms, side="right"))
            if following < len(self._stamps_ms):
                return float(self._stamps_ms[following])
        return t_ms + 1000 / self.fps

    def missing(self, given: int, last_stamp_ms: float) -> int:
        """
        Return how many of the promised frames didn't come, at the end of the clip.

        Args:
            given: How many came.
            last_stamp_ms: The stamp of the last of them.
        """
        promised_ms = max(self._end_ms, self._header.length_ms)
        exact = self.container in (Container.AVI, Container.MP4) or promised_ms == self._end_ms
        slack_ms = max(_LAST_FRAMES * self._step_ms, 0.0 if exact else _LAST_MS)
        short_ms = promised_ms - (last_stamp_ms - self._first_ms + self._step_ms)
        if not given or short_ms <= slack_ms:
            return 0
        if self.container is Container.MP4 or self._grid_fps:
            return max(1, max(self._header.frames, self.frames) - given)
        return round(short_ms / self._step_ms)


def read_times(path: str, fps_of_clip: float | None = None) -> ClipTimes:
    """
    Read every time stamp of the clip at *path*, and decide what its times are.

    Args:
        path: A file that is there.
        fps_of_clip: Frames a second, from somebody who knows; then neither stamps nor header count.

    Raises:
        CameraMissing: it isn't a clip that can be decoded.
        ClipUntimed: neither its stamps nor its header can be believed, and there is no *fps_of_clip*.
    """
    container = _container(path)
    # Packets as they are stored. Nothing is decoded, so that a minute of a clip takes milliseconds.
    clip = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    try:
        header = _header(clip.get(cv2.CAP_PROP_FPS), clip.get(cv2.CAP_PROP_FRAME_COUNT))
        found = []
        while clip.isOpened() and clip.grab():
            found.append(clip.get(cv2.CAP_PROP_POS_MSEC))
    finally:
        clip.release()
    if not found:
        if container is Container.MP4:
            raise CameraMissing(
                path,
                f"{NOT_A_CLIP}: its list of frames is missing or damaged",
                "the recording was cut short, or never finished; record it again, or copy it again",
            )
        raise CameraMissing(path, NOT_A_CLIP, GIVE_A_CLIP)
    return _judge(path, container, header, np.array(found, np.float64), fps_of_clip)


def _judge(
    path: str,
    container: Container,
    header: _Header,
    found_ms: npt.NDArray[np.float64],
    fps_of_clip: float | None,
) -> ClipTimes:
    frames = len(found_ms)
    stamps_ms = np.unique(found_ms)
    first_ms = float(stamps_ms[0])
    stamps_ms = stamps_ms - first_ms
    span_ms = float(stamps_ms[-1])
    typical_fps = 1000 / float(np.median(np.diff(stamps_ms))) if span_ms else 0.0
    mean_fps = 1000 * (len(stamps_ms) - 1) / span_ms if span_ms else 0.0
    own_stamps = len(stamps_ms) >= _STAMPED_SHARE * frames - 1
    stamped = container is not Container.BARE and own_stamps and 0 < mean_fps <= _FASTEST_FPS
    step_ms = 1000 / (typical_fps or header.fps or fps_of_clip or 1.0)
    numbered_fps, grid_fps, note = 0.0, 0.0, ""
    if fps_of_clip is not None:
        numbered_fps = fps_of_clip
    elif container is not Container.BARE and header.believable and (container is Container.AVI or not stamped):
        # The stamps of an AVI are made up by FFmpeg from the number of each frame and the rate.
        numbered_fps = header.fps
        empty = round(span_ms / 1000 * header.fps) + 1 - frames
        if not stamped and frames > 1:
            note = f"its time stamps can't be true; the rate of its header is used, {header.fps:g} frames a second"
        elif empty > 0:
            note = f"{empty} of its {frames + empty} frames are empty and take no time here: what comes later is early"
    elif not stamped:
        raise ClipUntimed(path, _doubt(container, header))
    else:
        if all(abs(fps / header.fps - 1) > _DISAGREEMENT if header.fps else True for fps in (mean_fps, typical_fps)):
            said = f"{header.fps:g}" if header.fps else "no"
            note = f"its header says {said} frames a second, its time stamps say {mean_fps:.3g}; the stamps are used"
        if header.believable and float(np.abs(stamps_ms - _snapped(stamps_ms, header.fps)).max()) <= _ROUNDING_MS:
            grid_fps = header.fps
    fps = numbered_fps or grid_fps or typical_fps
    times_ms = None if numbered_fps else _snapped(stamps_ms, grid_fps)
    return ClipTimes(
        container=container,
        fps=fps,
        frames=frames,
        length_ms=frames * 1000 / fps if times_ms is None else float(times_ms[-1]) + 1000 / fps,
        note=note,
        _header=header,
        _first_ms=first_ms,
        _stamps_ms=times_ms,
        _grid_fps=grid_fps,
        _end_ms=span_ms + step_ms,
        _step_ms=step_ms,
    )


def _doubt(container: Container, header: _Header) -> str:
    if container is Container.BARE:
        return "it is a bare stream, which holds neither a rate nor times"
    said = f"{header.fps:g}" if header.fps else "no"
    return f"its times can't be true: its header says {said} frames a second, and its time stamps are no better"


def _header(fps: float, frames: float) -> _Header:
    """Return what OpenCV says of a clip; where there is nothing to say, OpenCV gives huge negative numbers."""
    fps = fps if math.isfinite(fps) and fps > 0 else 0.0
    return _Header(fps, round(frames) if math.isfinite(frames) and frames > 0 else 0)


def _snapped(stamps_ms: npt.NDArray[np.float64], fps: float) -> npt.NDArray[np.float64]:
    """Return the stamps, each as the nearest whole number of frames of *fps*; unchanged where that is 0."""
    if not fps:
        return stamps_ms
    rounded: npt.NDArray[np.float64] = np.rint(stamps_ms * fps / 1000) * (1000 / fps)
    return rounded


def _container(path: str) -> Container:
    """Tell the kind of file by its first bytes."""
    with Path(path).open("rb") as file:
        head = file.read(12)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"moof"):
        return Container.MP4
    if head[:4] == b"RIFF":
        return Container.AVI
    start_code = head[:4] == b"\0\0\0\1" or (head[:3] == b"\0\0\1" and head[3:4] != b"\xba")
    return Container.BARE if start_code or head[:2] == b"\xff\xd8" else Container.OTHER
