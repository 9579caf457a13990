"""The page of `footfall evaluate --html`: one time line a clip. It stands alone: nothing in it is fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from edge.evaluation.score import Error, Event, Score

if TYPE_CHECKING:
    from edge.evaluation.evaluate import Evaluation

_WIDTH, _LEFT, _RIGHT = 1000, 70, 20
_TRUE_Y, _COUNTED_Y, _AXIS_Y, _HEIGHT = 26, 66, 92, 112
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_MOST_TICKS = 14

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2429; --soft: #66727b; --line: #d5dbe0; --paper: #fbfcfc;
        --in: #0b7285; --out: #a65e00; --bad: #c92a2a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7ebee; --soft: #9aa6ae; --line: #39434a; --paper: #14191c;
        --in: #4fc3d9; --out: #f0a94a; --bad: #ff7b7b; } }
body { margin: 2.5rem auto; max-width: 66rem; padding: 0 1.25rem; background: var(--paper); color: var(--ink);
       font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.05rem; margin: 2.25rem 0 .25rem; }
p { margin: .25rem 0; color: var(--soft); } strong { color: var(--ink); }
table { border-collapse: collapse; margin: 1.25rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; color: var(--soft); }
tr:last-child td { font-weight: 600; }
.wide { overflow-x: auto; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 12px; }
svg .rail { stroke: var(--line); } svg .in { fill: var(--in); } svg .out { fill: var(--out); }
svg .wrong { fill: none; stroke: var(--bad); stroke-width: 1.5; } svg .fault { fill: var(--bad); font-size: 11px; }
.key span { margin-right: 1.5rem; white-space: nowrap; }
.in-key { color: var(--in); } .out-key { color: var(--out); } .bad-key { color: var(--bad); }
"""


def page(evaluations: Sequence[Evaluation], total: Score, model: str) -> str:
    """Return the page as HTML."""
    rows = [(evaluation.clip, evaluation.score) for evaluation in evaluations]
    table = "".join(_row(name, result) for name, result in [*rows, ("all", total)])
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Footfall: counted and true</title>
<style>{_STYLE}</style>
<h1>Counted and true</h1>
<p>Head model {escape(model)}. A counted crossing is right if a true one goes the same way within one second.</p>
<p class="key"><span class="in-key">&#9660; in</span><span class="out-key">&#9650; out</span>
<span class="bad-key">&#9675; an error: missed, double, wrong way, false</span></p>
<div class="wide"><table>
<tr><th>clip<th>in<th>true<th>out<th>true<th>right<th>precision<th>recall<th>F1</tr>
{table}</table></div>
{"".join(_section(evaluation) for evaluation in evaluations)}
</html>
"""


def _row(name: str, result: Score) -> str:
    cells = [
        *(str(number) for way in ("in", "out") for number in (result.counted[way], result.true[way])),
        str(result.right),
        *(f"{share:.3f}" for share in (result.precision, result.recall, result.f1)),
    ]
    return f"<tr><td>{escape(name)}" + "".join(f"<td>{cell}" for cell in cells) + "</tr>\n"


def _section(evaluation: Evaluation) -> str:
    result = evaluation.score
    said = f"{result.right} of {sum(result.true.values())} right"
    if result.errors:
        said += "; " + ", ".join(f"{error.fault} at {error.t_s:.1f} s" for error in result.errors)
    return (
        f"<h2>{escape(evaluation.clip)}</h2>\n<p>{escape(said)}</p>\n"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(said, quote=True)}">\n'
        f"{''.join(_drawing(evaluation))}</svg>\n"
    )


def _drawing(evaluation: Evaluation) -> Iterator[str]:
    """Yield the time line: the true crossings above, the counted ones below, rings round what is wrong."""
    seconds = max(evaluation.seconds, 1.0)

    def x(t_s: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(1.0, t_s / seconds)

    for name, y in (("true", _TRUE_Y), ("counted", _COUNTED_Y)):
        yield f'<text x="0" y="{y + 4}">{name}</text>'
        yield f'<line class="rail" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>\n'
    step = next((s for s in _STEPS_S if seconds / s <= _MOST_TICKS), _STEPS_S[-1])
    for tick in range(0, int(seconds) + 1, step):
        yield f'<text x="{x(tick):.1f}" y="{_AXIS_Y + 14}" text-anchor="middle">{_clock(tick)}</text>\n'
    for event, note in zip(evaluation.true, evaluation.notes, strict=True):
        yield _mark(event, x(event.t_s), _TRUE_Y, note)
    for event in evaluation.counted:
        yield _mark(event, x(event.t_s), _COUNTED_Y, "")
    for error in evaluation.score.errors:
        yield _ring(error, x(error.t_s))


def _mark(event: Event, x: float, y: float, note: str) -> str:
    """Return an arrow head: down is in, up is out; its title tells the rest."""
    tip = 7 if event.direction == "in" else -7
    said = escape(f"{event.t_s:.2f} s, {event.direction}" + (f": {note}" if note else ""))
    return (
        f'<path class="{event.direction}" d="M{x - 5:.1f} {y - tip * 0.6:.1f} h10 l-5 {tip * 1.5:.1f} z">'
        f"<title>{said}</title></path>\n"
    )


def _ring(error: Error, x: float) -> str:
    y = _TRUE_Y if error.fault == "missed" else _COUNTED_Y
    return (
        f'<circle class="wrong" cx="{x:.1f}" cy="{y}" r="11"/>'
        f'<text class="fault" x="{x:.1f}" y="{y - 15}" text-anchor="middle">{error.fault}</text>\n'
    )


def _clock(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02d}"
