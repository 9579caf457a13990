"""
Where pictures come from: a V4L2 camera, a Raspberry Pi camera (`edge.vision.csi_camera`), or a clip
(`edge.vision.clip`).

A source gives frames one after another and is honest about ending. `Capture` reads it in a thread of its own and
keeps only the newest frame: a slow detector drops frames, it never works through old ones. Nothing here writes a
picture anywhere.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from edge.config.schema import Camera
from edge.core.clock import Clock
from edge.core.errors import CameraError, CameraLost, CameraMissing
from edge.vision.clip import ClipSource
from edge.vision.csi_camera import CsiSource
from edge.vision.scene import Frame

log = logging.getLogger(__name__)

# What OpenCV warns of when a source can't be opened, CameraMissing says in a sentence.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)

_FIRST_RETRY_S = 1.0
_LONGEST_RETRY_S = 30.0
"""Opening a camera again and again in a tight loop resets the USB bus on some boxes."""


class Source(Protocol):
    """Something that gives frames."""

    def read(self) -> Frame | None:
        """
        Return the next frame; None when a clip is over.

        Raises:
            CameraLost: it stopped giving frames.
        """

    def close(self) -> None:
        """Let go of the device; may be called twice."""


class V4l2Source:
    """
    A camera behind /dev/videoN, asked for MJPG at the wanted size and rate.

    Raises:
        CameraMissing: it can't be opened.
    """

    def __init__(self, settings: Camera, clock: Clock) -> None:
        self._name = settings.source
        self._clock = clock
        self._device = _identity(self._name)
        if self._device is None:
            raise CameraMissing(self._name, "there is no such device", "plug the camera in, or name another `source`")
        self._capture = cv2.VideoCapture(self._name, cv2.CAP_V4L2)
        if not self._capture.isOpened():
            raise CameraMissing(
                self._name, "it can't be opened", "another program may hold it, or this user isn't in the group video"
            )
        width, height = settings.size
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        self._capture.set(cv2.CAP_PROP_FPS, settings.fps)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def read(self) -> Frame | None:
        """Wait for the next picture."""
        good, pixels = self._capture.read()
        if not good or pixels is None or not pixels.size or _identity(self._name) != self._device:
            # OpenCV may go on saying "good" after an unplug; the device's file tells, which is another one when the
            # camera was plugged in again between two pictures.
            raise CameraLost(self._name, "it gives no more pictures", "look at its plug and cable")
        return Frame(_uint8(pixels), self._clock.boot_ms())

    def close(self) -> None:
        """Release the device."""
        self._capture.release()


def _identity(path: str) -> tuple[int, int] | None:
    """Return what tells a device's file from one of the same name that is made later; None if there is none."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    # A node that was put into a root of our own outlives its device, but has no name in /dev any more.
    return (found.st_ino, found.st_rdev) if found.st_nlink else None


def open_source(settings: Camera, clock: Clock) -> Source:
    """Open the source that *settings* name; raises CameraMissing."""
    if settings.helped:
        return CsiSource(settings, clock)
    if settings.live:
        return V4l2Source(settings, clock)
    return ClipSource(settings.source, fps=settings.fps, pace=settings.replay == "pace", loop=settings.loop)


class Capture:
    """
    A thread that keeps the newest frame of a source, and opens the source again when it is lost.

    Args:
        source: An open source, which the thread closes; None to open it with *reopen*.
        reopen: How to open it again; None when that can't be, so that a loss ends the capture.
        every_frame: Wait until each frame is taken, for clips that are replayed as fast as they are looked at.
    """

    def __init__(
        self, source: Source | None, reopen: Callable[[], Source] | None = None, *, every_frame: bool = False
    ) -> None:
        self._source = source
        self._reopen = reopen
        self._every_frame = every_frame
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._stopping = False
        self._over: CameraError | bool | None = False
        """None when a clip has ended; why, when a camera can't come back."""
        self._lost = False
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> None:
        """Begin to read; a second call does nothing."""
        if self._thread.ident is None:
            self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether the camera is gone and being looked for."""
        return self._lost

    @property
    def over(self) -> bool:
        """Whether a clip has ended and its last frame was taken."""
        with self._changed:
            return self._over is None and self._newest is None

    def take(self, timeout_s: float) -> Frame | None:
        """
        Return the newest frame, once; None if none came in *timeout_s* or the clip is over.

        Raises:
            CameraLost: the source is lost and can't be opened again from here.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._over is not False, timeout_s)
            frame, self._newest = self._newest, None
            self._changed.notify_all()
            if frame is None and isinstance(self._over, CameraError):
                raise self._over
            return frame

    def stop(self) -> None:
        """End the thread and close the source; a camera that hangs in a read is left to the process's end."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        retry_s = _FIRST_RETRY_S
        while not self._stopping:
            try:
                if self._source is None:
                    self._source = self._open_again()
                frame = self._source.read()
            except CameraError as exc:
                self._close()
                if self._reopen is None:
                    self._end(exc)
                    return
                if not self._lost:
                    log.warning("%s", exc)
                self._lost = True
                self._pause(retry_s)
                retry_s = min(2 * retry_s, _LONGEST_RETRY_S)
                continue
            if self._lost:
                log.info("the camera is back")
                self._lost = False
            retry_s = _FIRST_RETRY_S
            if frame is None:
                self._end(None)
                break
            self._put(frame)
        self._close()

    def _open_again(self) -> Source:
        if self._reopen is None:
            raise CameraLost("camera", "it is closed", "start the service again")
        return self._reopen()

    def _put(self, frame: Frame) -> None:
        with self._changed:
            if self._every_frame:
                self._changed.wait_for(lambda: self._newest is None or self._stopping)
            self._newest = frame
            self._changed.notify_all()

    def _end(self, cause: CameraError | None) -> None:
        with self._changed:
            self._over = cause
            self._changed.notify_all()

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, seconds)

    def _close(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None


def _uint8(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Say what OpenCV's stubs don't: these are bytes."""
    return np.asarray(pixels, np.uint8)
