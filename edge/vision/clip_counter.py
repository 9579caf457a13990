"""The same pipeline over a clip, as fast as it goes: for `footfall count` and `footfall evaluate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.config.schema import Line
from edge.core.head_model import Contract
from edge.vision.camera import ClipSource
from edge.vision.explain import Explanation
from edge.vision.pipeline import Pipeline
from edge.vision.scene import Crossing

DEFAULT_FPS = 15.0
"""Frames a second that are looked at, as a camera on a box would be asked for."""


@dataclass(frozen=True, slots=True)
class Step:
    """
    One frame of a clip, looked at.

    Attributes:
        crossings: What it confirmed.
        explained: Why each way over a line was counted or not.
        looked: Whether a frame was looked at; not in the last step, which stands for the clip's end.
        position: Frames of the clip gone by, skipped ones too.
        of: Frames that the clip says it has.
    """

    crossings: Sequence[Crossing]
    explained: Sequence[Explanation]
    position: int
    of: int
    looked: bool = True


def count_clip(clip: Path, lines: Mapping[str, Line], contract: Contract, fps: float = DEFAULT_FPS) -> Iterator[Step]:
    """
    Yield one Step for each frame looked at, and one for the end; crossing times are ms from the clip's first frame.

    Raises:
        CameraMissing: the clip can't be read.
        DetectorError: the model can't be used.
    """
    source = ClipSource(str(clip), fps=fps)
    try:
        pipeline = Pipeline(contract, lines, fps)
        while (frame := source.read()) is not None:
            yield Step(pipeline.look(frame), pipeline.explained, source.position, source.frames)
        yield Step(pipeline.finish(), pipeline.explained, source.position, source.frames, looked=False)
    finally:
        source.close()
