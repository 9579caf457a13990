"""
Charts as SVG for HTML documents. They use no script, and they look the same on screen, on paper and in the dark.

Positions along the x axis are per cent and heights are px, so a chart is as wide as its place and its words never
shrink. Colours come from `style.css` by class; `in`, `out`, `person`, `box`, `now` and `before` have one there.
Everything that a chart says goes through an XML writer, which escapes it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

COLUMNS_PX = 140
"""The height of a full bar of `columns`."""
_TOP_PX, _LABELS_PX = 6, 20
_BARS_SHARE = 0.8
"""The bars of a column take this share of its width; the rest is the gap to the next column."""
_FEWEST_COLUMNS = 8
"""A chart of fewer columns is as wide as one of so many, so that a bar never becomes a block."""
_LEAST_BAR_PX = 1.0
"""A count that is not zero is at least so high."""
_LEAST_UNKNOWN = 0.08
"""The hatched part of a column is at least this share of the chart's height, so that nobody overlooks it."""
_MOST_LABELS, _MOST_LABELS_PHONE = 12, 5
"""So many labels stand below a chart on a laptop and on a phone without touching each other."""
_TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
"""A time line has a tick each so many seconds: the first of these that gives no more than `_MOST_LABELS` ticks."""
_ROW_PX, _FIRST_ROW_PX = 40, 26
_STRIP_PX = 22
"""The height of a full bar of `strip`."""


@dataclass(frozen=True, slots=True)
class Column:
    """
    One place on the x axis of `columns`.

    Attributes:
        bars: (class, value) of each bar, from left to right; None leaves its place empty.
        title: What the column says when it is pointed at.
        label: Stands below it; "" for none.
        unknown: Share of the first bar that is not known, 0 to 1. It is hatched above that bar, behind the others;
            1 hatches the whole height.
        marked: Whether a mark stands below it: the day is a holiday, or somebody has noted something.
    """

    bars: Sequence[tuple[str, float | None]]
    title: str
    label: str = ""
    unknown: float = 0.0
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """
    One event on a time line.

    Attributes:
        t_s: Seconds from the beginning.
        row: Index of the row it stands on.
        direction: "in" points down, "out" points up.
        title: What it says when it is pointed at.
    """

    t_s: float
    row: int
    direction: str
    title: str


@dataclass(frozen=True, slots=True)
class Ring:
    """A ring round an event that is wrong, and a word above it."""

    t_s: float
    row: int
    word: str


def columns(data: Sequence[Column], label: str, *, height_px: int = COLUMNS_PX) -> Markup:
    """
    Return a chart of upright bars with one scale, from 0 to the largest value.

    Args:
        data: From left to right; may be empty.
        label: What the chart is, for who can't see it.
        height_px: The height of the largest bar.
    """
    most = max((value for column in data for _, value in column.bars if value), default=0)
    svg = _chart("columns", label, _TOP_PX + height_px + _LABELS_PX)
    for value in sorted({0, most}):
        y = _TOP_PX + height_px * (1 - value / most if most else 1)
        _add(svg, "line", class_="rule", x1=0, x2="100%", y1=y, y2=y)
        _add(svg, "text", x=-6, y=y + 4, text_anchor="end").text = f"{value:,.0f}"
    step = 100 / max(len(data), _FEWEST_COLUMNS)
    for index, column in enumerate(data):
        _draw_column(svg, column, (step * index, step), height_px, height_px / most if most else 0.0)
    named = [index for index, column in enumerate(data) if column.label]
    for index, is_minor in _thinned(named):
        # A label at the right end would be cut off: it ends where its column does.
        last = step * index > 88  # noqa: PLR2004 - per cent
        place = {"x": f"{step * (index + last):.2f}%", "text_anchor": "end" if last else "start"}
        text = _add(svg, "text", class_="minor" if is_minor else "", y=_TOP_PX + height_px + 15, **place)
        text.text = data[index].label
    return _markup(svg)


def timeline(rows: Sequence[str], seconds: float, marks: Sequence[Mark], rings: Sequence[Ring], label: str) -> Markup:
    """
    Return rows of events over one axis of time.

    Args:
        rows: Their names, from the top.
        seconds: The length of the axis.
        marks: The events on the rows; one that is later than *seconds* is drawn at the end.
        rings: What is wrong with them.
        label: What the chart is, for who can't see it.
    """
    seconds = max(seconds, 1.0)
    axis_px = _FIRST_ROW_PX + _ROW_PX * (len(rows) - 1) + 26
    svg = _chart("timeline", label, axis_px + 20)

    def x(t_s: float) -> str:
        return f"{100 * min(1.0, t_s / seconds):.2f}%"

    for row, name in enumerate(rows):
        y = _FIRST_ROW_PX + _ROW_PX * row
        _add(svg, "line", class_="rule", x1=0, x2="100%", y1=y, y2=y)
        _add(svg, "text", x=-10, y=y + 4, text_anchor="end").text = name
    step = next((s for s in _TICKS_S if seconds / s <= _MOST_LABELS), _TICKS_S[-1])
    ticks = range(0, int(seconds) + 1, step)
    for index, is_minor in _thinned(range(len(ticks))):
        t_s = ticks[index]
        text = _add(
            svg, "text", class_="minor" if is_minor else "", x=x(t_s), y=axis_px + 14, text_anchor="middle"
        )  # fmt: skip
        text.text = f"{t_s // 60}:{t_s % 60:02d}"
    for mark in marks:
        tip = 7 if mark.direction == "in" else -7
        place = _add(svg, "svg", x=x(mark.t_s), y=_FIRST_ROW_PX + _ROW_PX * mark.row, overflow="visible")
        arrow = _add(place, "path", class_=f"mark {mark.direction}", d=f"M-5 {-tip * 0.6:g}h10l-5 {tip * 1.5:g}z")
        _add(arrow, "title").text = mark.title
    for ring in rings:
        y = _FIRST_ROW_PX + _ROW_PX * ring.row
        _add(svg, "circle", class_="wrong", cx=x(ring.t_s), cy=y, r=11)
        _add(svg, "text", class_="fault", x=x(ring.t_s), y=y - 15, text_anchor="middle").text = ring.word
    return _markup(svg)


def strip(values: Sequence[tuple[str, float, str]], label: str) -> Markup:
    """
    Return a row of small upright bars: what was believed when one event was decided.

    Args:
        values: (name, share of its full height from 0 to 1, what it says when it is pointed at) of each bar.
        label: What the strip is, for who can't see it.
    """
    svg = _chart("strip", label, _STRIP_PX)
    for index, (name, share, title) in enumerate(values):
        group = _add(svg, "g", class_="column")
        _add(group, "title").text = f"{name}: {title}"
        x, width = f"{100 * index / len(values):.2f}%", f"{75 / len(values):.2f}%"
        high = max(_LEAST_BAR_PX, _STRIP_PX * min(1.0, max(0.0, share)))
        _add(group, "rect", class_="ground", x=x, y=0, width=width, height=_STRIP_PX)
        _add(group, "rect", class_="now", x=x, y=_STRIP_PX - high, width=width, height=high)
    return _markup(svg)


def _draw_column(svg: Element, column: Column, place: tuple[float, float], height_px: int, scale: float) -> None:
    """Draw one column; *place* is its left side and its width, per cent of the chart's; *scale* is px per unit."""
    left, step = place
    group = _add(svg, "g", class_="column")
    _add(group, "title").text = column.title
    # Pointing above a low bar means it, too.
    _add(group, "rect", class_="ground", x=f"{left:.3f}%", y=0, width=f"{step:.3f}%", height=_TOP_PX + height_px)
    heights = [
        None if value is None else max(_LEAST_BAR_PX if value else 0.0, scale * value) for _, value in column.bars
    ]
    if column.unknown > 0:
        known_px = heights[0] or 0.0
        high = max(_LEAST_UNKNOWN * height_px, column.unknown * (height_px - known_px))
        y = max(0.0, height_px - known_px - high) + _TOP_PX
        width = f"{step * _BARS_SHARE:.3f}%"
        # Lines that are clipped, not a pattern: Chromium prints a pattern as a picture, and a year of four sites took
        # 12.8 MB as a PDF instead of 3.9.
        hatched = _add(group, "svg", class_="unknown", x=f"{left:.3f}%", y=y, width=width, height=high)
        _add(hatched, "use", href="#hatch")
    if column.marked:
        y = _TOP_PX + height_px + 1
        _add(group, "rect", class_="event", x=f"{left:.3f}%", y=y, width=f"{step * _BARS_SHARE:.3f}%", height=3)
    step *= _BARS_SHARE / max(1, len(column.bars))
    for index, ((kind, _), high_px) in enumerate(zip(column.bars, heights, strict=True)):
        if high_px is not None:
            x, y = f"{left + index * step:.3f}%", _TOP_PX + height_px - high_px
            _add(group, "rect", class_=kind, x=x, y=y, width=f"{step:.3f}%", height=high_px)


def _thinned(indices: Sequence[int]) -> list[tuple[int, bool]]:
    """Return (index, whether a phone leaves it out) of those that have room on a laptop, evenly spaced."""
    kept = indices[:: max(1, math.ceil(len(indices) / _MOST_LABELS))]
    every = max(1, math.ceil(len(kept) / _MOST_LABELS_PHONE))
    return [(index, bool(place % every)) for place, index in enumerate(kept)]


def _chart(kind: str, label: str, height_px: int) -> Element:
    return Element("svg", {"class": f"chart {kind}", "height": str(height_px), "role": "img", "aria-label": label})


def _add(parent: Element, name: str, **attributes: object) -> Element:
    """Add an element; `class_` and `text_anchor` stand for the names that Python can't write."""
    written = {
        key.rstrip("_").replace("_", "-"): f"{value:.1f}" if isinstance(value, float) else str(value)
        for key, value in attributes.items()
        if value != ""
    }
    return SubElement(parent, name, written)


def _markup(svg: Element) -> Markup:
    # The writer has escaped every text and attribute.
    return Markup(tostring(svg, encoding="unicode"))  # noqa: S704
