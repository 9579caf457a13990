"""The same pipeline over a clip, as fast as it goes: for `footfall count` and `footfall evaluate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.config.camera import SLOWEST_FPS
from edge.config.schema import Line
from edge.core.head_model import Contract
from edge.vision.clip import ClipSource
from edge.vision.pipeline import Pipeline
from edge.vision.scene import Crossing, Refused

DEFAULT_FPS = 15.0
"""Frames a second that are looked at, as a camera on a box would be asked for."""


@dataclass(frozen=True, slots=True)
class Step:
    """
    One frame of a clip, looked at.

    Attributes:
        crossings: What it confirmed.
        refused: What it confirmed and didn't count.
        looked: Whether a frame was looked at; not in the last step, which stands for the clip's end.
        missing: Frames that the clip promises and doesn't have; known in the last step.
        note: What a person should know about the clip's times; the same in each step.
        position: Frames of the clip gone by, skipped ones too.
        of: Frames that the file holds.
    """

    crossings: Sequence[Crossing]
    refused: Sequence[Refused]
    position: int
    of: int
    looked: bool = True
    missing: int = 0
    note: str = ""


def count_clip(
    clip: Path,
    lines: Mapping[str, Line],
    contract: Contract,
    fps: float = DEFAULT_FPS,
    *,
    fps_of_clip: float | None = None,
) -> Iterator[Step]:
    """
    Yield one Step for each frame looked at, and one for the end; crossing times are ms from the clip's first frame.

    Args:
        clip: The recording.
        lines: name: line.
        contract: The head model's.
        fps: Frames a second to look at, at most.
        fps_of_clip: The clip's own frames a second, where somebody knows better than the clip.

    Raises:
        CameraMissing: the clip can't be read.
        ClipUntimed: its times can't be believed, and there is no *fps_of_clip*.
        DetectorError: the model can't be used.
    """
    source = ClipSource(str(clip), fps=fps, fps_of_clip=fps_of_clip)
    note = "; ".join(filter(None, (source.times.note, _too_slow(min(fps, source.times.fps)))))
    try:
        pipeline = Pipeline(contract, lines, fps)
        while (frame := source.read()) is not None:
            yield Step(pipeline.look(frame), pipeline.refused, source.position, source.frames, note=note)
        yield Step(
            pipeline.finish(),
            pipeline.refused,
            source.position,
            source.frames,
            looked=False,
            missing=source.missing,
            note=note,
        )
    finally:
        source.close()


def _too_slow(fps: float) -> str:
    """Return what to say of a rate at which people can't be followed; nothing of others."""
    return (
        "" if fps >= SLOWEST_FPS else f"{fps:.3g} frames a second: too few to follow anybody, so nobody is counted well"
    )
