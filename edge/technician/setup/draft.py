"""
The lines as they stand on the page now, and what crosses them.

The page sends its lines whenever one is dragged. The paths come from the sealed vision's window and are counted here
by the very code that vision itself counts with, so that a line can be tried while it is drawn.
"""

from __future__ import annotations

import base64
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge.config import schema
from edge.config.schema import Line
from edge.core.config_message import join
from edge.core.errors import ConfigError
from edge.core.silhouette import FULL, Point, Silhouette
from edge.technician.setup.advice import Habits, advise
from edge.technician.setup.rewrite import Wanted
from edge.vision.scene import Direction, Sighting
from edge.vision.tracking.line import Counter

_MOST_LINES = 8
_KEPT = 40
"""Frames whose heads wait for a page that is slow."""


@dataclass(slots=True)
class Drawn:
    """
    One line on the page.

    Attributes:
        number: The page's own number for it, which stays when it is renamed.
        raw: Its section as the file would hold it.
        was: Its name in the file.
        line: None while it can't be one.
        faults: Why it can't.
        counts: People since it was drawn as it is now.
    """

    number: int
    name: str
    raw: Mapping[str, Any]
    was: str | None
    line: Line | None = None
    faults: tuple[str, ...] = ()
    counts: dict[Direction, int] = field(default_factory=lambda: {"in": 0, "out": 0})
    counter: Counter | None = None


class Draft:
    """
    All lines on the page, for the threads of the page and of the window.

    Args:
        lines: Those of the file.
    """

    def __init__(self, lines: Mapping[str, Line]) -> None:
        self._changed = threading.Condition()
        self._lines: list[Drawn] = []
        self._newest: Silhouette | None = None
        self._cells: Silhouette | None = None
        self._fresh: deque[tuple[int, list[list[float]]]] = deque(maxlen=_KEPT)
        self._size = (0, 0)
        self._habits: Habits | None = None
        self._version = 0
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

    def change(self, drawn: Sequence[Mapping[str, Any]]) -> None:
        """Take the lines as the page has them; ValueError, KeyError or TypeError if it can't have sent that."""
        if not 1 <= len(drawn) <= _MOST_LINES:
            raise ValueError("no line, or too many")
        lines = [_read(raw) for raw in drawn]
        with self._changed:
            before = {line.number: line for line in self._lines}
            for line in lines:
                old = before.get(line.number)
                if old is not None and old.raw == line.raw:
                    line.counts, line.counter = old.counts, old.counter
            self._lines = lines
            self._tell()

    def see(self, silhouette: Silhouette) -> None:
        """Take what the window showed."""
        with self._changed:
            self._newest = silhouette
            if silhouette.columns:
                self._cells = silhouette
            if silhouette.width > 1:
                self._follow(silhouette)
            self._tell()
            shown = [
                [p.track, *(round(n / FULL, 4) for n in (p.x, p.y, p.diameter)), silhouette.t_ms - p.age_ms]
                for p in silhouette.points
            ]
            self._fresh.append((self._version, shown))

    def wait(self, version: int, timeout_s: float) -> int:
        """Wait until there is something newer than *version*, and return what is there then."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != version, timeout_s)
            return self._version

    def shown(self, since: int) -> dict[str, Any]:
        """Return what the page shows, as JSON; heads only those that came after version *since*."""
        with self._changed:
            newest, cells = self._newest, self._cells
            habits = self._habits
            return {
                "lines": [self._line_shown(line) for line in self._lines],
                "head": round(habits.head / self._size[0], 4) if habits and habits.head else None,
                "flags": [] if newest is None else [flag.name for flag in newest.flags],
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
            ConfigError: one of them, or a name, can't be.
        """
        with self._changed:
            names = [line.name for line in self._lines]
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ConfigError("lines", [f"{name}: two lines have this name" for name in sorted(twice)])
            lines = schema.lines({line.name: line.raw for line in self._lines})
            return [Wanted(line.name, lines[line.name], line.was) for line in self._lines]

    def written(self) -> None:
        """Remember that the lines stand in the file under their names now."""
        with self._changed:
            for line in self._lines:
                line.was = line.name

    def _follow(self, silhouette: Silhouette) -> None:
        """Let the heads of one frame go over the lines."""
        size = (silhouette.width, silhouette.height)
        if self._habits is None or size != self._size:
            self._size, self._habits = size, Habits(size[0])
            for line in self._lines:
                line.counter = None
        sightings = [_sighting(silhouette, point) for point in silhouette.points if point.track]
        for sighting in sightings:
            self._habits.see(sighting)
        gone = self._habits.forget(silhouette.t_ms)
        for line in self._lines:
            self._count(line, sightings, gone)

    def _count(self, line: Drawn, sightings: Sequence[Sighting], gone: Sequence[int]) -> None:
        if line.line is None:
            return
        if line.counter is None:
            line.counter = Counter({line.name: line.line}, *self._size)
        for crossing in line.counter.update(sightings, gone):
            line.counts[crossing.direction] += 1

    def _line_shown(self, line: Drawn) -> dict[str, Any]:
        advice: list[str] = []
        if line.line is not None and self._habits is not None:
            advice = advise(line.line, self._habits, *self._size)
        return {
            "number": line.number,
            "name": line.name,
            "was": line.was,
            "points": [line.raw["from"], *line.raw["via"], line.raw["to"]],
            "inside": line.raw["inside"],
            "counts": line.counts,
            "advice": advice,
            "faults": line.faults,
        }

    def _tell(self) -> None:
        self._version += 1
        self._changed.notify_all()


def _read(sent: Mapping[str, Any]) -> Drawn:
    """Return one line as the page sent it."""
    points = [_point(point) for point in sent["points"]]
    raw = {"from": points[0], "to": points[-1], "via": points[1:-1], "inside": _point(sent["inside"])}
    was = sent["was"]
    if not isinstance(was, str | None):
        raise TypeError("was")
    drawn = Drawn(int(sent["number"]), str(sent["name"]).strip()[:40], raw, was)
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
