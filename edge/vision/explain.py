"""Why a way over a line was counted or not: what was known when it was decided, in integers, and a reason in words."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

from edge.vision.scene import Direction, Sighting

OVER: Final = "one head over the line"

Kind = Literal["picture", "part", "nearly"]
KINDS: Final[tuple[Kind, ...]] = ("picture", "part", "nearly")
"""
Why a way over a line was not counted: the picture was bad; the head was a part of another one, or not sure to be one;
nobody is known to have gone over.
"""
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
        reason: Why; one of `Reason`, or what the picture check says against the picture.
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
    reason: str
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


def kind_of(explanation: Explanation) -> Kind:
    """Return why it was not counted, in a word."""
    if explanation.verdict == "nearly":
        return "nearly"
    return "part" if explanation.reason in get_args(Reason) else "picture"


def in_words(explanation: Explanation) -> str:
    """Return one decision as a line of text: time, line, direction, verdict and reason, place, beliefs."""
    e = explanation
    decided = e.verdict if e.verdict == "counted" else f"not counted: {e.reason}"
    beliefs = (
        f"confidence {e.confidence / 10:.1f}, score {e.score} %, unseen {e.unseen} ms, {e.depth / 10:.1f} d beyond"
    )
    apart = f", {e.apart / 10:.1f} d from the counted one" if e.apart else ""
    return f"{e.t_ms / 1000:8.2f} s  {e.line}  {e.direction:3}  {decided}  (at {e.x}, {e.y} px: {beliefs}{apart})"
