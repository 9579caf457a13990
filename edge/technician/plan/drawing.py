"""
Draws a planned door from the side and from above, to scale, as one SVG file that needs nothing else.

Everything that it says goes through an XML writer, which escapes it. It is narrow, so that it can be read on a phone,
and has a white ground, so that it looks the same in the dark and on paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from edge.technician.plan.geometry import BESIDE_M, CHILD_M, HEAD_M, TALL_M, USUAL_M, Door

_WIDTH_PX, _MARGIN_PX = 460.0, 46.0
_INK, _SOFT, _SEEN, _LINE, _WALL = "#1d2429", "#5c6870", "#0b7285", "#d98200", "#8d99a1"
_FONT = "system-ui, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
_PEOPLE = ((-0.45, CHILD_M), (0.0, TALL_M), (0.5, USUAL_M))
"""Where people stand in the side view, m from the line along the walk, and how high the middle of their head is."""
_SHOULDERS_M = 0.46
_WALL_M = 0.25
"""Thickness of the wall that the door is in, m."""

Place = tuple[float, float]


class _View:
    """One part of the drawing: from m on its own axes to px of the file; y is down in both."""

    def __init__(self, left_m: float, right_m: float, top_m: float, bottom_m: float, top_px: float) -> None:
        self.scale = (_WIDTH_PX - 2 * _MARGIN_PX) / (right_m - left_m)
        self._left_m, self._top_m, self._top_px = left_m, top_m, top_px
        self.height_px = self.scale * (bottom_m - top_m)
        self.bottom_px = top_px + self.height_px

    def at(self, x_m: float, y_m: float) -> Place:
        """Return where a place is in the file, px."""
        return (
            round(_MARGIN_PX + self.scale * (x_m - self._left_m), 1),
            round(self._top_px + self.scale * (y_m - self._top_m), 1),
        )


def draw(door: Door) -> str:
    """Return the drawing of *door* as an SVG file's text."""
    svg = Element(
        "svg",
        {"xmlns": "http://www.w3.org/2000/svg", "font-family": _FONT, "font-size": "13", "role": "img"},
    )
    title = (
        f"A lens of {door.lens:g} degrees, {door.height_m:g} m above the floor, {door.lean}, over a door of"
        f" {door.width_m:g} m"
    )
    SubElement(svg, "title").text = title
    SubElement(svg, "rect", {"width": "100%", "height": "100%", "fill": "#fff"})
    bottom = _draw_side(svg, door, 52.0)
    bottom = _draw_above(svg, door, bottom + 74.0)
    svg.set("viewBox", f"0 0 {_WIDTH_PX:g} {bottom + 34:g}")
    svg.set("width", f"{_WIDTH_PX:g}")
    return tostring(svg, encoding="unicode") + "\n"


def _draw_side(svg: Element, door: Door, top_px: float) -> float:
    """Draw the door from the side: the street on the left, the shop and the camera on the right; return the bottom."""
    back_m = door.above(TALL_M) * math.tan(math.radians(door.tilt))
    far, near = door.along_m(0.0)
    reach_m = min(4.5, max(1.2, far, near, back_m + 0.4)) + 0.2
    view = _View(-reach_m, reach_m, -door.height_m - 0.15, 0.0, top_px)
    _say(svg, (_MARGIN_PX, top_px - 26), "From the side", weight="600")
    lens = view.at(back_m, -door.height_m)
    edges = [
        view.at(min(reach_m, max(-reach_m, back_m - door.height_m * math.tan(min(angle, 1.4)))), 0.0)
        for angle in (door.angle(0.0), door.angle(1.0))
    ]
    _shape(svg, [lens, *edges], fill=_SEEN, opacity=0.12)
    for edge in edges:
        _line(svg, lens, edge, _SEEN, 1, dashes="4 3")
    left, right = view.at(-reach_m, 0.0), view.at(reach_m, 0.0)
    _line(svg, left, right, _INK, 2)
    for x_m, head_m in _PEOPLE:
        _person(svg, view, x_m, head_m)
    _line(svg, view.at(0.0, -0.02), view.at(0.0, -TALL_M - 0.22), _LINE, 2.5)
    _camera(svg, lens, door.tilt)
    _measure(svg, (right[0] - 8, lens[1]), (right[0] - 8, right[1]), f"{door.height_m:g} m", side=True)
    _say(svg, (left[0], left[1] + 18), "street", color=_SOFT)
    _say(svg, (right[0], right[1] + 18), "shop", color=_SOFT, anchor="end")
    x, y = view.at(0.0, 0.0)
    _say(svg, (x, y + 18), "line", color=_LINE, anchor="middle")
    return view.bottom_px


def _draw_above(svg: Element, door: Door, top_px: float) -> float:
    """Draw the door from above, at the height of tall people's heads; return the bottom."""
    before, behind = door.along_m(TALL_M)
    before, behind = min(before, 4.0), min(behind, 4.0)
    halves = [door.distance(TALL_M, at) / door.focal / 2 for at in (0.0, 0.5, 1.0)]
    halves[0] = min(halves[0], 6.0)
    side_m = max([door.width_m / 2 + 0.6, *halves]) + 0.1
    view = _View(-side_m, side_m, -max(before, 0.7) - 0.1, max(behind, 0.7) + 0.1, top_px)
    _say(svg, (_MARGIN_PX, top_px - 26), "From above, at the height of tall people's heads", weight="600")
    _shape(
        svg,
        [
            view.at(-halves[0], -before),
            view.at(halves[0], -before),
            view.at(halves[2], behind),
            view.at(-halves[2], behind),
        ],
        fill=_SEEN,
        opacity=0.12,
        edge=_SEEN,
    )
    half_m = door.width_m / 2
    for inner, outer in ((-half_m, -side_m), (half_m, side_m)):
        one, other = view.at(min(inner, outer), -_WALL_M - 0.12), view.at(max(inner, outer), -0.12)
        _shape(svg, [one, (other[0], one[1]), other, (one[0], other[1])], fill=_WALL)
    for x_m, y_m in _walkers(door):
        _from_above(svg, view, x_m, y_m)
    reach_m = min(half_m + BESIDE_M, halves[1])
    _line(svg, view.at(-reach_m, 0.0), view.at(reach_m, 0.0), _LINE, 2.5)
    x, y = view.at(0.0, 0.0)
    _arrow(svg, (x, y + 3), (x, y + 0.4 * view.scale))
    covered = door.covered_m(TALL_M)
    bottom = view.bottom_px
    _measure(svg, view.at(-halves[1], 0.0), view.at(halves[1], 0.0), f"{covered:.1f} m seen", below_px=bottom + 6)
    return bottom


def _walkers(door: Door) -> Iterator[Place]:
    """Yield where people are in the view from above, m: beside the arrow, and in the doorway."""
    aside_m = max(0.25 * door.width_m, 0.36)
    yield -aside_m, -0.35
    yield aside_m, 0.38


def _person(svg: Element, view: _View, x_m: float, head_m: float) -> None:
    radius_m = HEAD_M / 2 + 0.02
    x, y = view.at(x_m, -head_m)
    SubElement(svg, "circle", _numbers(cx=x, cy=y, r=radius_m * view.scale) | {"fill": _SOFT})
    top, floor = view.at(x_m, -head_m + 0.16)[1], view.at(x_m, 0.0)[1]
    half = 0.13 * view.scale * head_m / USUAL_M
    SubElement(
        svg,
        "rect",
        _numbers(x=x - half, y=top, width=2 * half, height=floor - top, rx=half * 0.7)
        | {"fill": _SOFT, "fill-opacity": "0.55"},
    )


def _from_above(svg: Element, view: _View, x_m: float, y_m: float) -> None:
    x, y = view.at(x_m, y_m)
    SubElement(
        svg,
        "ellipse",
        _numbers(cx=x, cy=y, rx=_SHOULDERS_M / 2 * view.scale, ry=0.13 * view.scale)
        | {"fill": _SOFT, "fill-opacity": "0.45"},
    )
    SubElement(svg, "circle", _numbers(cx=x, cy=y, r=HEAD_M / 2 * view.scale) | {"fill": _INK})


def _camera(svg: Element, at: Place, tilt: float) -> None:
    turned = f"rotate({tilt:g} {at[0]:g} {at[1]:g})"
    SubElement(
        svg,
        "rect",
        _numbers(x=at[0] - 9, y=at[1] - 16, width=18, height=12, rx=3) | {"fill": _INK, "transform": turned},
    )
    SubElement(svg, "circle", _numbers(cx=at[0], cy=at[1] - 2, r=4) | {"fill": _SEEN, "transform": turned})


def _arrow(svg: Element, start: Place, end: Place) -> None:
    _line(svg, start, end, _LINE, 2)
    for way in (-1, 1):
        _line(svg, end, (end[0] + 5 * way, end[1] - 6), _LINE, 2)
    _say(svg, (end[0] + 10, end[1]), "in", color=_LINE)


def _measure(
    svg: Element, start: Place, end: Place, words: str, *, side: bool = False, below_px: float | None = None
) -> None:
    """Draw a length with its figure: beside it, or below the view."""
    if side:
        _line(svg, start, end, _SOFT, 1)
        for x, y in (start, end):
            _line(svg, (x - 4, y), (x + 4, y), _SOFT, 1)
        _say(svg, (start[0] + 8, (start[1] + end[1]) / 2), words, color=_SOFT)
        return
    assert below_px is not None  # noqa: S101 - by the callers
    _line(svg, (start[0], below_px), (end[0], below_px), _SOFT, 1)
    for x in (start[0], end[0]):
        _line(svg, (x, below_px - 4), (x, below_px + 4), _SOFT, 1)
    _say(svg, ((start[0] + end[0]) / 2, below_px + 18), words, color=_SOFT, anchor="middle")


def _shape(svg: Element, places: Sequence[Place], *, fill: str, opacity: float = 1.0, edge: str = "none") -> None:
    points = " ".join(f"{x:g},{y:g}" for x, y in places)
    SubElement(svg, "polygon", {"points": points, "fill": fill, "fill-opacity": f"{opacity:g}", "stroke": edge})


def _line(svg: Element, start: Place, end: Place, color: str, width: float, *, dashes: str = "") -> None:
    line = SubElement(
        svg,
        "line",
        _numbers(x1=start[0], y1=start[1], x2=end[0], y2=end[1])
        | {"stroke": color, "stroke-width": f"{width:g}", "stroke-linecap": "round"},
    )
    if dashes:
        line.set("stroke-dasharray", dashes)


def _say(svg: Element, at: Place, words: str, *, color: str = _INK, anchor: str = "start", weight: str = "400") -> None:
    SubElement(
        svg, "text", _numbers(x=at[0], y=at[1]) | {"fill": color, "text-anchor": anchor, "font-weight": weight}
    ).text = words


def _numbers(**values: float) -> dict[str, str]:
    return {name: f"{value:.1f}" for name, value in values.items()}
