"""The section of one line: its points, and which lines can't be."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, model_validator

from edge.config.geometry import Polyline, smaller_side
from edge.config.section import SHARES, Name, Point, Section, refusal
from edge.core.tally import line_key

SMALLEST_SIDE = 0.04
"""A line must leave this share of the picture on each side: a head nearer to the edge is never seen whole."""
SHORTEST_LINE = 0.02
"""Two neighbouring points of a line are at least so far apart, as a share of the picture's sides."""
MOST_CORNERS = 8
"""A line has at most so many points between its ends."""
_CLEAR_OF_LINE = 0.01
"""The point `inside` is at least so far from the line, as a share of the picture's sides."""


class Line(Section):
    """
    A threshold across the picture.

    A head that comes from the other side to the side of *inside* counts as in.
    """

    start: Point = Field(
        alias="from",
        description="one end of the line; x to the right, y down",
        examples=[[0.10, 0.55]],
        json_schema_extra=SHARES,
    )
    end: Point = Field(alias="to", description="the other end", examples=[[0.90, 0.55]], json_schema_extra=SHARES)
    via: tuple[Point, ...] = Field(
        default=(),
        description="points between the ends, in order, where the threshold is curved",
        examples=[[[0.50, 0.60]]],
        json_schema_extra={**SHARES, "absent": "straight"},
    )
    inside: Point = Field(
        description="any point of the picture on the shop's side of the line",
        examples=[[0.50, 0.90]],
        json_schema_extra=SHARES,
    )

    @property
    def points(self) -> tuple[tuple[float, float], ...]:
        """The line's points from one end to the other."""
        return (self.start, *self.via, self.end)

    @property
    def inwards(self) -> tuple[float, float]:
        """The direction of "in" where the line is nearest to `inside`: x to the right, y down, length 1."""
        line = Polyline(self.points)
        x, y = self.inside
        step = 1e-6
        distance = line.distance(x, y)
        across = line.distance(x + step, y) - distance, line.distance(x, y + step) - distance
        length = math.copysign(math.hypot(*across), distance)
        return across[0] / length, across[1] / length

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if any(math.dist(one, other) < SHORTEST_LINE for one, other in pairwise(self.points)):
            if self.via:
                raise refusal("two neighbours among `from`, `via` and `to` are the same place", "leave one of them out")
            raise refusal("the line has no length: `from` and `to` are the same place", "draw it across the door")
        line = Polyline(self.points)
        if len(self.via) > MOST_CORNERS or line.crosses_itself():
            raise refusal(
                f"the line crosses itself or has more than {MOST_CORNERS} points in `via`",
                "follow the threshold from one end to the other with few points",
            )
        if abs(line.distance(*self.inside)) < _CLEAR_OF_LINE:
            raise refusal("`inside` lies on the line", "give any point that is clearly on the shop's side of it")
        share = smaller_side(line)
        if share < SMALLEST_SIDE:
            raise refusal(
                f"the line leaves only {100 * share:.1f} % of the picture on one side, where no head is ever seen "
                "whole",
                f"move it inwards until each side has at least {100 * SMALLEST_SIDE:.0f} %, or turn the camera",
            )
        return self


def _told_apart(lines: dict[str, Line]) -> dict[str, Line]:
    if len({line_key(name) for name in lines}) < len(lines):
        raise refusal("two lines' names stand for the same number", "rename one of them")
    return lines


Lines = Annotated[dict[Name, Line], Field(min_length=1, max_length=8), AfterValidator(_told_apart)]
"""The lines of a camera, by name."""
LINES: TypeAdapter[dict[str, Line]] = TypeAdapter(Lines, config=ConfigDict(defer_build=True))
"""Reads lines that don't stand in a file."""
