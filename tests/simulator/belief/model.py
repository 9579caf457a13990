"""The belief model under two faces: over the lines of any camera, and beside the rivals at the simulated door."""

from __future__ import annotations

from collections.abc import Mapping

from edge.config.schema import Line
from edge.evaluation.score import Event
from edge.vision.scene import Crossing, Heads
from tests.simulator.belief.counter import BeliefCounter
from tests.simulator.belief.settings import BELIEFS, BeliefSettings
from tests.simulator.belief.tracker import BeliefTracker
from tests.simulator.eye import STRONG, WEAK
from tests.simulator.rivals import line_at
from tests.simulator.walkers import HEIGHT, WIDTH


class BeliefModel:
    """
    Tracker and counter of the beliefs, as one.

    Args:
        lines: name: line, in shares of the picture.
        width, height: The picture, px.
        strong, weak: Scores from which a head may begin a track, and may continue one.
    """

    def __init__(
        self,
        lines: Mapping[str, Line],
        width: int,
        height: int,
        strong: float,
        weak: float,
        beliefs: BeliefSettings = BELIEFS,
    ) -> None:
        self.tracker = BeliefTracker(width, height, strong, weak, beliefs)
        self.counter = BeliefCounter(lines, width, height, self.tracker, beliefs)

    def look(self, heads: Heads, t_ms: float) -> list[Crossing]:
        """Return the crossings that are known to count with the frame of *t_ms*, perhaps of up to some seconds ago."""
        return self.counter.decide(self.tracker.update(heads, t_ms), t_ms)

    def finish(self) -> list[Crossing]:
        """Return the crossings that were undecided at the end of the pictures, and count."""
        return self.counter.finish()


class Beliefs:
    """
    The belief model over the simulated line; arguments as of `tests.simulator.rivals.Ours`.

    Attributes:
        model: As above.
    """

    name = "Beliefs"

    def __init__(self, fps: float, height: int = HEIGHT, strong: float = STRONG) -> None:
        del fps
        self.model = BeliefModel({"door": line_at(height)}, WIDTH, height, strong, WEAK)

    def look(self, heads: Heads, t_s: float) -> list[Event]:
        """Count."""
        return [Event(crossing.t_ms / 1000, crossing.direction) for crossing in self.model.look(heads, 1000 * t_s)]
