"""The report of an audit, as text and as a page that needs nothing else: totals by interval, and nobody's time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from edge.technician.audit.count import WAYS, WINDOW_S, Result


@dataclass(frozen=True, slots=True)
class Signature:
    """Who stands for the person's side of it, and whether they take the count."""

    name: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class Report:
    """
    Everything that is told.

    Args:
        about: Heading: site, camera, line, begin, zone, software, model.
        signature: None if nobody signed.
    """

    about: Mapping[str, str]
    result: Result
    signature: Signature | None

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.result.events is None:
            return "Broken off: it was never finished, and nobody signed it."
        if self.signature is None:
            return "Not signed off."
        taken = "Accepted" if self.signature.accepted else "NOT accepted"
        return f"{taken} by {self.signature.name}, who counted by hand."

    @property
    def alike(self) -> str:
        """How often both counted the same, interval by interval."""
        intervals = self.result.intervals
        unit = "minutes" if self.result.interval_s == 60 else f"intervals of {self.result.interval_s // 60} minutes"  # noqa: PLR2004 - s in a minute
        return f"{sum(i.alike for i in intervals)} of {len(intervals)} {unit} alike, in and out"

    def summary(self) -> dict[str, Any]:
        """Return what the person has to judge by, as JSON."""
        return {"rows": list(self._rows()), "notes": [f"{self.alike}.", *self._notes()]}

    def text(self) -> str:
        """Return it as plain text."""
        rows = [("", "person", "box", "accuracy"), *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = ["AUDIT OF A COUNT", self.verdict, ""]
        lines += [f"{name + ':':10} {value}" for name, value in self._heading()]
        lines += ["", *("   ".join(_pad(cell, width) for cell, width in zip(row, widths, strict=True)) for row in rows)]
        lines += ["", f"{self.alike}.", *self._notes(), ""]
        lines += ["from  in: person  box   out: person  box"]
        for index, interval in enumerate(self.result.intervals):
            (person_in, person_out), (box_in, box_out) = interval.person, interval.box
            mark = "" if interval.alike else "   <"
            start = self._start(index)
            lines.append(f"{start:>5} {person_in:>11} {box_in:>4} {person_out:>13} {box_out:>4}{mark}")
        return "\n".join(lines) + "\n"

    def page(self) -> str:
        """Return it as HTML."""
        heading = "".join(f"<tr><th>{escape(name)}<td>{escape(value)}" for name, value in self._heading())
        rows = "".join(f"<tr><th>{row[0]}" + "".join(f"<td>{cell}" for cell in row[1:]) for row in self._rows())
        notes = "".join(f"<p>{escape(note)}</p>" for note in self._notes())
        kind = "ok" if self.signature is not None and self.signature.accepted else "no"
        return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Audit of {escape(self.about.get("camera", "a camera"))}</title>
<style>{_STYLE}</style>
<h1>Audit of a count</h1>
<p class="verdict {kind}">{escape(self.verdict)}</p>
<table>{heading}</table>
<table class="totals"><tr><th><th>person<th>box<th>accuracy{rows}</table>
<p>{escape(self.alike)}.</p>
{notes}
{"".join(self._chart())}
</html>
"""

    def _heading(self) -> Iterator[tuple[str, str]]:
        yield from self.about.items()
        yield "lasted", f"{self.result.seconds / 60:.1f} minutes"

    def _rows(self) -> Iterator[tuple[str, str, str, str]]:
        for way in WAYS:
            person, box = self.result.totals(way)
            accuracy = self.result.accuracy(way)
            yield way, str(person), str(box), "-" if accuracy is None else f"{100 * accuracy:.1f} %"

    def _notes(self) -> Iterator[str]:
        result = self.result
        if result.events is not None:
            events = result.events
            faults = (("missed", "missed"), ("double", "counted twice"), ("wrong way", "counted the wrong way"))
            said = [f"{events.count(fault)} {word}" for fault, word in faults]  # type: ignore[arg-type]
            yield (
                f"Person by person, within {WINDOW_S:g} s: {events.right} right, {', '.join(said)}, "
                f"{events.count('false')} counted where nobody was tapped; F1 {events.f1:.3f}."
            )
        yield "The box's count was " + ("in sight" if result.box_shown else "hidden") + " while the person tapped."
        if not any(result.totals(way)[0] for way in WAYS):
            yield "The person tapped nobody: if anybody went through, this shows nothing about the box's count."
        if result.unwatched:
            yield f"For a part of the time the box could not see well: {', '.join(result.unwatched)}."

    def _start(self, index: int) -> str:
        return f"{index * self.result.interval_s // 60}:00"

    def _chart(self) -> Iterator[str]:
        """Yield a chart for each direction: two bars an interval, the person's and the box's."""
        intervals = self.result.intervals
        most = max((max(*i.person, *i.box) for i in intervals), default=0) or 1
        step = (_WIDTH - _LEFT) / max(1, len(intervals))
        bar = min(18.0, step * 0.36)
        for at, way in enumerate(WAYS):
            yield f'<h2>{way}</h2><p class="key"><span class="person">&#9632; person</span> '
            yield '<span class="box">&#9632; box</span></p>'
            yield f'<svg viewBox="0 0 {_WIDTH} {_HIGH + 24}" role="img" aria-label="{way}, person and box by interval">'
            for value in sorted({0, most}):
                y = _HIGH - (_HIGH - 12) * value / most
                yield f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
                yield f'<text x="0" y="{y + 4:.1f}">{value}</text>'
            for index, interval in enumerate(intervals):
                x = _LEFT + step * (index + 0.5)
                for kind, count, left in (
                    ("person", interval.person[at], x - bar - 1),
                    ("box", interval.box[at], x + 1),
                ):
                    high = (_HIGH - 12) * count / most
                    yield (
                        f'<rect class="{kind}" x="{left:.1f}" y="{_HIGH - high:.1f}" width="{bar:.1f}" '
                        f'height="{high:.1f}"><title>{self._start(index)}: {kind} {count}</title></rect>'
                    )
                if index % max(1, len(intervals) // 15) == 0:
                    yield f'<text x="{x:.1f}" y="{_HIGH + 18}" text-anchor="middle">{self._start(index)}</text>'
            yield "</svg>"


def _pad(cell: str, width: int) -> str:
    return cell.rjust(width)


_WIDTH, _LEFT, _HIGH = 900, 30, 150

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2429; --soft: #5c6870; --rule: #d8dee3; --paper: #fff;
        --person: #0b7285; --box: #d98200; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7ebee; --soft: #9aa6ae; --rule: #39434a; --paper: #14191c;
        --person: #4fc3d9; --box: #f0a94a; } }
@media print { :root { color-scheme: light; } }
body { margin: 2.5rem auto; max-width: 56rem; padding: 0 1.25rem; background: var(--paper); color: var(--ink);
       font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.05rem; margin: 1.6rem 0 0; } p { margin: .35rem 0; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem 1.4rem .25rem 0; border-bottom: 1px solid var(--rule); font-weight: 400; }
th { color: var(--soft); } .totals td, .totals th + th { text-align: right; } .totals td { font-size: 1.15rem; }
.verdict { padding: .8rem 1rem; border-radius: .5rem; font-weight: 600; color: #fff; background: #6b7780; }
.verdict.ok { background: #137333; }
.key { color: var(--soft); } span.person { color: var(--person); } span.box { color: var(--box); }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 12px; }
svg line { stroke: var(--rule); } rect.person { fill: var(--person); } rect.box { fill: var(--box); }
"""
