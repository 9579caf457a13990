"""A line of the config in px of the camera's picture."""

from __future__ import annotations

from typing import NamedTuple

from edge.config.geometry import Polyline
from edge.config.schema import Line

_AT_BORDER = 0.02
"""An end as near to the picture's border as this share of it can't be walked round."""


class PixelLine(NamedTuple):
    """A line in px, and which of its sides, 1 or -1, is inside."""

    name: str
    line: Polyline
    inside: int


def in_px(name: str, line: Line, width: int, height: int) -> PixelLine:
    """Return *line* in px, its ends at the picture's border drawn on."""
    first, last = (min(x, y, 1 - x, 1 - y) <= _AT_BORDER for x, y in (line.points[0], line.points[-1]))
    polyline = Polyline([(x * width, y * height) for x, y in line.points]).drawn_on(first=first, last=last)
    inside = polyline.distance(line.inside[0] * width, line.inside[1] * height)
    return PixelLine(name, polyline, 1 if inside > 0 else -1)
