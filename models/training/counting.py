"""Count heads that were found before, by the box's own tracker and line: with as many thresholds as wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edge.config.schema import Line
from edge.core.head_model import Contract
from edge.evaluation.score import Event
from edge.vision.scene import Heads
from edge.vision.tracking.line import CrossingCounter
from edge.vision.tracking.tracker import Tracker


def counted(
    seen: Iterable[tuple[float, Heads]], line: Line, size: tuple[int, int], contract: Contract
) -> Iterator[Event]:
    """
    Yield what is counted over *line*.

    Args:
        seen: The time of each frame, ms, and the heads in it.
        line: In shares of the picture.
        size: Width and height of the picture, px.
        contract: Has the thresholds.
    """
    tracker = Tracker(*size, strong=contract.strong, weak=contract.weak)
    counter = CrossingCounter({"door": line}, *size)
    for t_ms, heads in seen:
        for crossing in counter.update(tracker.update(heads, t_ms), tracker.ended):
            yield Event(crossing.t_ms / 1000, crossing.direction)
