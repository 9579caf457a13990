"""A short clip: the demo clip's first seven seconds, in which one comes in and one goes out."""

from __future__ import annotations

from pathlib import Path

import cv2

from edge.config import schema
from edge.core import head_model
from edge.vision.clip import ClipSource
from edge.vision.clip_counter import count_clip
from edge.vision.scene import Crossing

CLIP = Path(__file__).parent.parent / "models" / "demo" / "door.mp4"
FPS = 15
FRAMES = 105
ENDS, INSIDE = (0.03, 0.52, 0.97, 0.52), (0.5, 0.9)
LINE = {"from": ENDS[:2], "to": ENDS[2:], "inside": INSIDE}


def write(folder: Path) -> Path:
    """Write the piece into *folder* and return its path."""
    path = folder / "piece.mp4"
    source = ClipSource(str(CLIP), fps=FPS)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, source.size)
    for _ in range(FRAMES):
        frame = source.read()
        assert frame is not None
        writer.write(frame.pixels)
    writer.release()
    source.close()
    return path


def crossings(clip: Path, name: str = "line", fps: float = FPS) -> list[list[Crossing]]:
    """Return what each frame of *clip* that is looked at confirms, as this process finds it."""
    line = schema.line(ENDS, INSIDE)
    steps = count_clip(clip, {name: line}, head_model.read(), fps)
    *frames, end = (list(step.crossings) for step in steps)
    assert end == [], "no crossing was in doubt when the clip ended"
    return frames


def counted(steps: list[list[Crossing]]) -> tuple[int, int]:
    """Return how many went in and out in these frames."""
    directions = [crossing.direction for step in steps for crossing in step]
    return directions.count("in"), directions.count("out")
