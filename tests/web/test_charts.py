"""Charts: to scale, readable at any width, and escaped."""

from __future__ import annotations

from xml.etree.ElementTree import Element, fromstring

import pytest

from edge.web.charts import Column, Mark, Ring, columns, strip, timeline


def parsed(chart: str) -> Element:
    """Return a chart as elements; a chart that isn't well-formed is an error."""
    return fromstring(chart)  # noqa: S314 - it comes from our own writer


def bars(svg: Element, kind: str) -> list[float]:
    """Return the heights of the bars of one class, px."""
    return [float(rect.attrib["height"]) for rect in svg.iter("rect") if rect.attrib["class"] == kind]


def test_bars_are_to_scale() -> None:
    """The largest is as high as the chart, each other in proportion, and a count that isn't zero can be seen."""
    data = [Column([("now", value), ("before", value and value / 2)], "t") for value in (1000, 500, 1, 0, None)]
    svg = parsed(columns(data, "c", height_px=100))

    assert bars(svg, "now") == [100, 50, 1, 0]
    assert bars(svg, "before") == [50, 25, 1, 0]


def test_nothing_to_show() -> None:
    """A chart without columns, or of zeros, is a chart and no error."""
    assert bars(parsed(columns([], "c")), "now") == []
    assert bars(parsed(columns([Column([("now", 0)], "t")], "c")), "now") == [0]


@pytest.mark.parametrize(("unknown", "high"), [(0.0, None), (1.0, 100.0), (0.5, 25.0), (0.01, 8.0)])
def test_what_is_not_known_is_hatched(unknown: float, high: float | None) -> None:
    """It stands above what is known: as much of the free room as isn't known, and never too little to see."""
    known = None if unknown == 1 else 50
    svg = parsed(columns([Column([("now", 100)], "t"), Column([("now", known)], "t", "", unknown)], "c", height_px=100))
    hatched = [float(part.attrib["height"]) for part in svg.iter("svg") if part.find("use[@href='#hatch']") is not None]

    assert hatched == ([] if high is None else [high])


@pytest.mark.parametrize("count", [1, 5, 12, 13, 62, 200])
def test_labels_have_room(count: int) -> None:
    """No more labels than have room on a laptop and on a phone, the first one among them."""
    svg = parsed(columns([Column([("now", 1)], "t", f"day {n}") for n in range(count)], "c"))
    labels = [(text.text, "minor" in text.get("class", "")) for text in svg.iter("text") if "day" in (text.text or "")]

    assert labels[0] == ("day 0", False)
    assert min(count, 6) <= len(labels) <= 12
    assert sum(not minor for _, minor in labels) <= 5


def test_events_stand_where_their_second_is() -> None:
    """Marks and rings by their seconds; what comes after the end stands at the end."""
    marks = [Mark(15, 0, "in", "a"), Mark(70, 1, "out", "b")]
    svg = parsed(timeline(("true", "counted"), 60, marks, [Ring(15, 0, "missed")], "c"))

    assert [(place.attrib["x"], place.attrib["y"]) for place in svg.iter("svg") if place is not svg] == [
        ("25.00%", "26"), ("100.00%", "66"),
    ]  # fmt: skip
    assert [ring.attrib["cx"] for ring in svg.iter("circle")] == ["25.00%"]
    assert [path.attrib["class"] for path in svg.iter("path")] == ["mark in", "mark out"]


def test_words_are_only_text() -> None:
    """Titles, labels and names are escaped, in text and in attributes."""
    hostile = "</title></svg><script>\"'&"
    drawn = [
        columns([Column([("now", 1)], hostile, hostile)], hostile),
        timeline((hostile,), 60, [Mark(1, 0, "in", hostile)], [Ring(1, 0, hostile)], hostile),
    ]

    for chart in drawn:
        assert "<script" not in chart
        assert parsed(chart).attrib["aria-label"] == hostile
        assert hostile in {element.text for element in parsed(chart).iter()}


def test_a_strip_of_beliefs() -> None:
    """A strip has one bar for each value, none higher than the strip, and says each value when it is pointed at."""
    svg = parsed(strip([("score", 0.5, "50"), ("unseen", 7.0, "<7000>"), ("depth", 0.0, "0")], "beliefs"))

    assert [group[0].text for group in svg] == ["score: 50", "unseen: <7000>", "depth: 0"]
    assert bars(svg, "now") == [11, 22, 1]
