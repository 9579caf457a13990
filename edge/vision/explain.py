"""Why a way over a line was counted or not: what was known when it was decided, in integers, and a reason in words."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from edge.vision.scene import Direction, Sighting

OVER: Final = "one head over the line"

Verdict = Literal["counted", "refused", "nearly"]
Reason = Literal[
    "one head over the line",
    "part of a head that was counted",
    "part of a more confident head",
    "not detected often enough",
    "turned back",
    "passed the line's end",
    "lost at the line",
]


class Explanation(NamedTuple):
    """
    One decision about a way over a line. It never leaves the vision process but as a count of its reason.

    Attributes:
        t_ms, line, direction: When the head was on the line, ms of the source's time; as of the crossing it would be.
        verdict: "refused": it went over and does not count by itself; "nearly": it is not known to have gone over.
        x, y: Where it was on the line, px of the frame.
        confidence: Belief in the track when it was last seen, tenths.
        score: The detector's mean score for it, percent.
        unseen: How long it was unseen while it went over the line, ms.
        depth: How far beyond the line it was seen, tenths of its diameter.
        apart: How far it stayed from the counted head whose part it is, tenths of a diameter; 0 if there is none.
    """

    t_ms: int
    line: str
    direction: Direction
    verdict: Verdict
    reason: Reason
    x: int
    y: int
    confidence: int
    score: int
    unseen: int
    depth: int
    apart: int

    @property
    def beliefs(self) -> dict[str, int]:
        """What was believed and measured, by name."""
        return {name: getattr(self, name) for name in ("confidence", "score", "unseen", "depth", "apart")}


class Rejected(NamedTuple):
    """A track that ended and was never taken for a person: why, and its newest points, oldest first."""

    reason: Reason
    points: tuple[Sighting, ...]
