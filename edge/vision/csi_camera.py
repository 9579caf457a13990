"""A Raspberry Pi camera: raw frames from the program `rpicam-vid`, which dies with the process that started it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import cv2
import numpy as np

from edge.config.schema import Camera
from edge.core.clock import Clock
from edge.core.errors import CameraLost, CameraMissing
from edge.vision.scene import Frame


class CsiSource:
    """
    Raw YUV 4:2:0 frames from `rpicam-vid` through a pipe.

    The helper is started once, before the process is sealed. It can't be started again afterwards, so its end is the
    end of this process, and whoever started that one starts both anew. A helper that only falls silent ends nothing:
    the watchdog of systemd, or of `footfall run`, notices that no picture is looked at. However this process ends, the
    kernel ends the helper with it, which else would go on holding the camera.

    Raises:
        CameraMissing: the size can't be had, or `rpicam-vid` isn't installed.
    """

    def __init__(self, settings: Camera, clock: Clock) -> None:
        self._name = settings.source
        self._clock = clock
        self._width, self._height = settings.size
        if self._width % 64 or self._height % 2:
            raise CameraMissing(
                self._name,
                f"its raw frames can't be {self._width} px wide",
                "use a width that divides by 64 and an even height",
            )
        program = shutil.which("rpicam-vid") or shutil.which("libcamera-vid")
        if program is None:
            raise CameraMissing(self._name, "rpicam-vid isn't installed", "run: sudo apt install rpicam-apps")
        self._helper = subprocess.Popen(
            [
                *(sys.executable, "-m", "edge.sandbox.die_with_parent", str(os.getpid())),
                *(program, "--camera", self._name.removeprefix("csi:"), "--codec", "yuv420", "--output", "-"),
                *("--width", str(self._width), "--height", str(self._height), "--framerate", f"{settings.fps:g}"),
                *("--timeout", "0", "--nopreview", "--flush"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def read(self) -> Frame | None:
        """Wait for the next picture, for ever if none comes; raises CameraLost when the helper has ended."""
        size = self._width * self._height * 3 // 2
        assert self._helper.stdout is not None  # noqa: S101 - asked for above
        raw = self._helper.stdout.read(size)
        if len(raw) < size:
            raise CameraLost(self._name, "rpicam-vid ended", "run `rpicam-hello --list-cameras` and look at the ribbon")
        planes = np.frombuffer(raw, np.uint8).reshape(self._height * 3 // 2, self._width)
        return Frame(np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420), np.uint8), self._clock.boot_ms())

    def close(self) -> None:
        """End the helper."""
        self._helper.kill()
        self._helper.wait()
        if self._helper.stdout is not None:
            self._helper.stdout.close()
