"""
The lines as they are drawn on the page now, and what crosses them.

The page sends its lines whenever one is changed. The tracks come from the preview of the sealed vision process and are
counted here by vision's own code, so that a line can be tried while it is drawn.
"""

from __future__ import annotations

import base64
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge.config import schema
from edge.config.schema import Line
from edge.core.config_message import join
from edge.core.errors import ConfigError
from edge.core.silhouette import FULL, Point, Silhouette
from edge.technician.setup.advice import SceneStatistics, advise
from edge.technician.setup.rewrite import Wanted
from edge.technician.setup.shared_tracks import SharedTracks
from edge.vision.scene import Direction, Sighting
from edge.vision.tracking.line import CrossingCounter

_MOST_LINES = 8
"""A page holds no more lines than this."""
_FRAMES_KEPT = 40
"""The heads of so many frames wait for a slow page."""
_MOST_NAME = 40
"""A line's name is cut to so many characters; the config allows fewer, so that a long one is refused there."""


@dataclass(slots=True)
class Drawn:
    """
    One line on the page.

    Attributes:
        number: The page's own number of the line, which stays when the line is renamed.
        raw: The line's section as the config would hold it.
        was: Its name in the file; None for a new line.
        line: None while the section is not valid.
        faults: Why it is not valid.
        counts: People since the line was last changed.
        uncounted: Ways over it that were not counted since then, by the reason.
    """

    number: int
    name: str
    raw: Mapping[str, Any]
    was: str | None
    line: Line | None = None
    faults: tuple[str, ...] = ()
    counts: dict[Direction, int] = field(default_factory=lambda: {"in": 0, "out": 0})
    uncounted: Counter[str] = field(default_factory=Counter)
    counter: CrossingCounter | None = None


class Draft:
    """
    All lines on the page, shared by the threads of the page and of the preview.

    Args:
        lines: The lines in the file.
    """

    def __init__(self, lines: Mapping[str, Line]) -> None:
        self._changed = threading.Condition()
        self._lines: list[Drawn] = []
        self._newest: Silhouette | None = None
        self._cells: Silhouette | None = None
        self._fresh: deque[tuple[int, list[list[float]]]] = deque(maxlen=_FRAMES_KEPT)
        self._size = (0, 0)
        self._statistics: SceneStatistics | None = None
        self._shared = SharedTracks()
        self._version = 0
        self._in_file: list[tuple[str, Mapping[str, Any]]] = []
        self.change(
            [
                {
                    "number": number,
                    "name": name,
                    "was": name,
                    "points": [list(point) for point in line.points],
                    "inside": list(line.inside),
                }
                for number, (name, line) in enumerate(lines.items(), 1)
            ]
        )
        self._in_file = self._drawn()

    def change(self, drawn: Sequence[Mapping[str, Any]]) -> None:
        """Take the lines from the page. Raises ValueError, KeyError or TypeError if the page can't have sent them."""
        if not 1 <= len(drawn) <= _MOST_LINES:
            raise ValueError("no line, or too many")
        lines = [_read(raw) for raw in drawn]
        with self._changed:
            before = {line.number: line for line in self._lines}
            for line in lines:
                old = before.get(line.number)
                if old is not None and old.raw == line.raw:
                    line.counts, line.uncounted, line.counter = old.counts, old.uncounted, old.counter
                    del before[line.number]
            self._shared.forget(before)
            self._lines = lines
            self._notify()

    def observe(self, silhouette: Silhouette) -> None:
        """Take one record of the preview."""
        with self._changed:
            self._newest = silhouette
            if silhouette.columns:
                self._cells = silhouette
            if silhouette.width > 1:
                self._follow(silhouette)
            self._notify()
            shown = [
                [p.track, *(round(n / FULL, 4) for n in (p.x, p.y, p.diameter)), silhouette.t_ms - p.age_ms]
                for p in silhouette.points
            ]
            self._fresh.append((self._version, shown))

    def wait(self, version: int, timeout_s: float) -> int:
        """Wait until there is a newer version than *version*, or *timeout_s* is over; return the current version."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != version, timeout_s)
            return self._version

    def shown(self, since: int) -> dict[str, Any]:
        """Return what the page shows, as JSON; of the heads only those that came after version *since*."""
        with self._changed:
            newest, cells = self._newest, self._cells
            twice = self._counted_twice()
            return {
                "lines": [self._line_shown(line, twice.get(line.number, [])) for line in self._lines],
                "unsaved": self._drawn() != self._in_file,
                "flags": [] if newest is None else [flag.name for flag in newest.flags],
                "refused": 0 if newest is None else sum(count.refused for count in newest.counts),
                "seen": newest is not None,
                "size": list(self._size),
                "t": 0 if newest is None else newest.t_ms,
                "columns": 0 if cells is None else cells.columns,
                "rows": 0 if cells is None else cells.rows,
                "cells": "" if cells is None else base64.b64encode(cells.cells).decode(),
                "points": [point for version, points in self._fresh if version > since for point in points],
            }

    def wanted(self) -> list[Wanted]:
        """
        Return the lines to write.

        Raises:
            ConfigError: a line or a name is not valid, or two lines have one name.
        """
        with self._changed:
            names = [line.name for line in self._lines]
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ConfigError("lines", [f"{name}: two lines have this name" for name in sorted(twice)])
            lines = schema.lines({line.name: line.raw for line in self._lines})
            return [Wanted(line.name, lines[line.name], line.was) for line in self._lines]

    def mark_saved(self) -> None:
        """Remember that the file holds the lines as they are drawn now."""
        with self._changed:
            for line in self._lines:
                line.was = line.name
            self._in_file = self._drawn()
            self._notify()

    @property
    def unsaved(self) -> bool:
        """Whether the file holds other lines than the page."""
        with self._changed:
            return self._drawn() != self._in_file

    def _drawn(self) -> list[tuple[str, Mapping[str, Any]]]:
        return [(line.name, line.raw) for line in self._lines]

    def _follow(self, silhouette: Silhouette) -> None:
        """Count the heads of one frame at the lines."""
        size = (silhouette.width, silhouette.height)
        if self._statistics is None or size != self._size:
            self._size, self._statistics, self._shared = size, SceneStatistics(size[0]), SharedTracks()
            for line in self._lines:
                line.counter = None
        sightings = [_sighting(silhouette, point) for point in silhouette.points if point.track]
        pixels = {
            line.number: [(x * size[0], y * size[1]) for x, y in line.line.points]
            for line in self._lines
            if line.line is not None
        }
        for sighting in sightings:
            self._statistics.add(sighting)
            self._shared.update(sighting, pixels)
        ended = self._statistics.end_tracks(silhouette.t_ms)
        self._shared.end(ended)
        for line in self._lines:
            self._count(line, sightings, ended)

    def _count(self, line: Drawn, sightings: Sequence[Sighting], ended: Sequence[int]) -> None:
        if line.line is None:
            return
        if line.counter is None:
            line.counter = CrossingCounter({line.name: line.line}, *self._size)
        for crossing in line.counter.update(sightings, ended):
            line.counts[crossing.direction] += 1
        for explanation in line.counter.explained:
            if explanation.verdict != "counted":
                line.uncounted[explanation.reason] += 1

    def _counted_twice(self) -> dict[int, list[str]]:
        """Return line number: a sentence for each other line that the same people crossed."""
        names = {line.number: line.name for line in self._lines}
        told: dict[int, list[str]] = {}
        for pair, count in sorted(self._shared.pairs().items()):
            people = "1 person" if count == 1 else f"{count} people"
            for number, other in (pair, pair[::-1]):
                told.setdefault(number, []).append(
                    f"Counted twice: {people} crossed this line and {names[other]}, and the camera's total adds its "
                    "lines. Keep one of the two, or move them so that nobody crosses both."
                )
        return told

    def _line_shown(self, line: Drawn, twice: Sequence[str]) -> dict[str, Any]:
        advice: list[str] = []
        if line.line is not None and self._statistics is not None:
            advice = [*twice, *advise(line.line, self._statistics, *self._size)]
        return {
            "number": line.number,
            "name": line.name,
            "was": line.was,
            "points": [line.raw["from"], *line.raw["via"], line.raw["to"]],
            "inside": line.raw["inside"],
            "counts": line.counts,
            "uncounted": dict(line.uncounted),
            "advice": advice,
            "faults": line.faults,
        }

    def _notify(self) -> None:
        self._version += 1
        self._changed.notify_all()


def _read(sent: Mapping[str, Any]) -> Drawn:
    """Return one line that the page sent."""
    points = [_point(point) for point in sent["points"]]
    raw = {"from": points[0], "to": points[-1], "via": points[1:-1], "inside": _point(sent["inside"])}
    was = sent["was"]
    if not isinstance(was, str | None):
        raise TypeError("was")
    drawn = Drawn(int(sent["number"]), str(sent["name"]).strip()[:_MOST_NAME], raw, was)
    try:
        drawn.line = schema.lines({"line": raw})["line"]
    except ConfigError as exc:
        drawn.faults = tuple(join("", message.cause, message.advice) for message in exc.messages)
    return drawn


def _point(sent: Sequence[float]) -> list[float]:
    x, y = sent
    return [min(1.0, max(0.0, float(value))) for value in (x, y)]


def _sighting(silhouette: Silhouette, point: Point) -> Sighting:
    width, height = silhouette.width, silhouette.height
    return Sighting(
        point.track,
        point.x / FULL * width,
        point.y / FULL * height,
        point.diameter / FULL * width,
        silhouette.t_ms - point.age_ms,
    )
