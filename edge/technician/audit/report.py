"""The report of an audit, as text and as a document: totals by interval, how sure they are, and nobody's time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from edge.technician.audit import certainty
from edge.technician.audit.count import WAYS, WINDOW_S, Result
from edge.technician.check.box import plural
from edge.vision.scene import Direction
from edge.web import charts
from edge.web.charts import Column
from edge.web.render import render

NOBODY_TAPPED = "Nobody was tapped: this audit shows nothing about the box's count, and nobody can accept it."


@dataclass(frozen=True, slots=True)
class Signature:
    """Who counted by hand, and whether they accept the box's count."""

    name: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class Report:
    """
    The result of an audit and how it is told.

    Args:
        about: Heading: site, camera, line, begin, zone, software, model.
        result: What the person and the box counted.
        signature: None if nobody signed.
    """

    about: Mapping[str, str]
    result: Result
    signature: Signature | None

    @property
    def accepted(self) -> bool:
        """Whether the count is accepted: by a person who tapped somebody."""
        return self.signature is not None and self.signature.accepted and self.result.people > 0

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.result.events is None:
            return "Broken off: it was never finished, and nobody signed it."
        if not self.result.people:
            return NOBODY_TAPPED
        if self.signature is None:
            return "Not signed off."
        return f"{'Accepted' if self.accepted else 'NOT accepted'} by {self.signature.name}, who counted by hand."

    @property
    def alike(self) -> str:
        """In how many intervals both counted the same."""
        intervals = self.result.intervals
        unit = "minutes" if self.result.interval_s == 60 else f"intervals of {self.result.interval_s // 60} minutes"  # noqa: PLR2004 - s in a minute
        return f"{sum(i.alike for i in intervals)} of {len(intervals)} {unit} alike, in and out"

    def summary(self) -> dict[str, Any]:
        """Return what the person judges by, as JSON."""
        return {"rows": list(self._rows()), "notes": [f"{self.alike}.", *self._notes()]}

    def text(self) -> str:
        """Return the report as plain text."""
        rows = [("", "person", "box", "accuracy", "95 % certain"), *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        lines = ["AUDIT OF A COUNT", self.verdict, ""]
        lines += [f"{name + ':':10} {value}" for name, value in self._heading()]
        lines += ["", *("   ".join(map(str.rjust, row, widths)) for row in rows)]
        lines += ["", f"{self.alike}.", *self._notes(), ""]
        lines += ["from  in: person  box   out: person  box"]
        for index, interval in enumerate(self.result.intervals):
            (person_in, person_out), (box_in, box_out) = interval.person, interval.box
            mark = "" if interval.alike else "   <"
            start = self._start(index)
            lines.append(f"{start:>5} {person_in:>11} {box_in:>4} {person_out:>13} {box_out:>4}{mark}")
        return "\n".join(lines) + "\n"

    def page(self) -> str:
        """Return the report as an HTML document."""
        return render(
            "audit_report.html",
            camera=self.about.get("camera", "a camera"),
            verdict=self.verdict,
            accepted=self.accepted,
            heading=list(self._heading()),
            rows=list(self._rows()),
            alike=self.alike,
            notes=list(self._notes()),
            charts=[(way, self._chart(way)) for way in WAYS],
        )

    def _heading(self) -> Iterator[tuple[str, str]]:
        yield from self.about.items()
        yield "lasted", f"{self.result.seconds / 60:.1f} minutes"

    def _rows(self) -> Iterator[tuple[str, str, str, str, str]]:
        for way in WAYS:
            person, box = self.result.totals(way)
            accuracy = self.result.accuracy(way)
            if accuracy is None:
                yield way, str(person), str(box), "-", "-"
            else:
                right = max(0, person - abs(box - person))
                yield way, str(person), str(box), f"{100 * accuracy:.1f} %", certainty.in_words(right, person)

    def _notes(self) -> Iterator[str]:
        result = self.result
        if result.events is not None:
            events = result.events
            faults = (("missed", "missed"), ("double", "counted twice"), ("wrong way", "counted the wrong way"))
            told = ", ".join(f"{events.count(fault)} {words}" for fault, words in faults)  # type: ignore[arg-type]
            people = sum(events.true.values())
            sure = f" ({certainty.in_words(events.right, people)}, 95 % certain)" if people else ""
            yield (
                f"Person by person, within {WINDOW_S:g} s: {events.right} of {people} right{sure}, {told}, "
                f"{events.count('false')} counted where nobody was tapped; F1 {events.f1:.3f}."
            )
        for way in WAYS:
            if result.people and not result.totals(way)[0]:
                yield f"Nobody was tapped going {way}: this shows nothing about that direction."
        if not result.people:
            yield NOBODY_TAPPED
        yield f"How many people each way show how much? {certainty.advice()}"
        yield "The box's count was " + ("in sight" if result.box_shown else "hidden") + " while the person tapped."
        if result.uncounted.picture:
            crossings = plural(result.uncounted.picture, "crossing")
            yield f"The box saw {crossings} that it did not count: the camera was shaken, or the picture was bad."
        if result.uncounted.parts:
            heads = plural(result.uncounted.parts, "head")
            yield f"It did not count {heads} over the line: a part of somebody else's head, or not seen often enough."
        if result.uncounted.nearly:
            heads = plural(result.uncounted.nearly, "head")
            yield f"It saw {heads} turn back at the line, pass its end, or vanish there; these are not counted either."
        if result.unwatched:
            yield f"For a part of the time the box could not see well: {', '.join(result.unwatched)}."

    def _start(self, index: int) -> str:
        return f"{index * self.result.interval_s // 60}:00"

    def _chart(self, way: Direction) -> Markup:
        """Return the chart of one direction: two bars for each interval, the person's and the box's."""
        at = WAYS.index(way)
        columns = []
        for index, interval in enumerate(self.result.intervals):
            start, person, box = self._start(index), interval.person[at], interval.box[at]
            bars = (("person", float(person)), ("box", float(box)))
            columns.append(Column(bars, f"{start}: person {person}, box {box}", start))
        return charts.columns(columns, f"{way}, person and box by interval")
