"""What a measurement says of a camera's rate, by a clock that only the camera's frames move."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from edge.config import schema
from edge.core.clock import ManualClock
from edge.vision import measurement
from edge.vision.scene import Frame
from edge.vision.seal import Seal
from tests.technician.rig import write_config


class Unsealed:
    """Stands for the seal, which a test's own process can't take off again."""

    def close(self, kept: tuple[int, ...]) -> None:
        """Close nothing."""


class Camera:
    """
    Gives noise for ever, one frame every *gap_ms* of the clock, and as fast as it is asked.

    Args:
        clock: Moved by each frame.
        gap_ms: Between two frames.
        pause_ms: More before the thirty-first frame.
    """

    size = (320, 240)

    def __init__(self, clock: ManualClock, gap_ms: int, pause_ms: int = 0) -> None:
        self._clock, self._gap_ms, self._pause_ms = clock, gap_ms, pause_ms
        self._given = 0
        self._random = np.random.default_rng(3)

    def read(self) -> Frame:
        """Return the next frame."""
        self._given += 1
        self._clock.advance(self._gap_ms + (self._pause_ms if self._given == 31 else 0))
        return Frame(self._random.integers(0, 255, (240, 320, 3), np.uint8), float(self._clock.boot))

    def close(self) -> None:
        """Give no more."""


@pytest.mark.parametrize(
    ("gap_ms", "pause_ms", "fps"), [(100, 0, 10.0), (50, 0, 20.0), (40, 0, 25.0), (500, 0, 2.0), (50, 10_000, 6.67)]
)
def test_the_rate_is_that_of_the_frames_after_the_first_second(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    gap_ms: int,
    pause_ms: int,
    fps: float,
) -> None:
    """Within three in a hundred, since the camera may be two frames ahead of who looks; a pause counts as time."""
    settings = schema.load(write_config(tmp_path)).vision("door-a")
    clock = ManualClock()
    monkeypatch.setattr(measurement, "open_source", lambda *_: Camera(clock, gap_ms, pause_ms))

    measurement.look(settings, clock, (120 * gap_ms + pause_ms) / 1000, cast("Seal", Unsealed()))
    told = json.loads(capsys.readouterr().out.splitlines()[-1])

    assert told["fps"] == pytest.approx(fps, rel=0.03)
    assert (told["width"], told["height"]) == (320, 240)
