"""
A report as one HTML page: no script, no outside assets, readable on a laptop and on a phone, in the light and the dark.

Hours that nobody watched are hatched, never zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from html import escape

from edge.core.hour import WELL_WATCHED
from edge.headquarters.summary import Cell, HeatMap, Part, Period, State, Sum

MOST_SITES = 60
"""Sites that get pictures of their own; the comparison has all."""
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DARK_CELL = 0.55
_NOTHING = "&ndash;"
_WEEK = 7

STYLE = """
:root { --paper: #f6f5f2; --card: #fff; --ink: #1d232b; --dim: #67707c; --rule: #e3e1db; --bar: 32 96 176;
  --last: #b9bfc8; --hatch: #c9c5bb; --bad: #b3261e; --good: #2c6e49; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --card: #1d2127; --ink: #e8eaed; --dim: #9aa3ae;
  --rule: #30363f; --bar: 104 164 240; --last: #566070; --hatch: #454c57; --bad: #ff8a80; --good: #7fd1a0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.45 system-ui, "Segoe UI", Roboto,
  "Noto Sans", sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 16px 48px; }
header h1 { margin: 0; font-size: 1.6rem; letter-spacing: -.01em; }
p, header p { margin: 4px 0 0; } .dim { color: var(--dim); } .bad { color: var(--bad); font-weight: 600; }
.good { color: var(--good); }
section, .tiles > div { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; }
section { padding: 18px 20px 20px; margin-top: 18px; }
h2 { margin: 0 0 2px; font-size: 1.2rem; } h3 { margin: 22px 0 8px; font-size: .95rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin-top: 18px; }
.tiles > div { padding: 12px 16px; } .tiles b { display: block; font-size: 1.5rem; line-height: 1.2; }
.bars { display: flex; align-items: stretch; gap: 3px; height: 150px; border-bottom: 1px solid var(--rule); }
.bars > div { position: relative; flex: 1 1 0; min-width: 0; }
.bars i { position: absolute; bottom: 0; display: block; border-radius: 2px 2px 0 0; }
.bars .now { left: 0; width: 66%; background: rgb(var(--bar)); }
.bars .then { right: 0; width: 42%; background: var(--last); }
.bars .lost, .hatch { background-image: repeating-linear-gradient(135deg, var(--hatch) 0 2px, transparent 2px 6px); }
.bars .lost { left: 0; width: 66%; border-radius: 2px; }
.bars.weeks { height: 90px; gap: 8px; } .under.weeks { gap: 8px; }
.under { display: flex; gap: 3px; color: var(--dim); font-size: .72rem; }
.under span { flex: 1 1 0; min-width: 0; white-space: nowrap; overflow: visible; }
.heat { display: grid; grid-template-columns: 2.6em repeat(24, 1fr); gap: 2px; font-size: .72rem; }
.heat span { color: var(--dim); line-height: 24px; }
.heat .hour { white-space: nowrap; overflow: visible; width: 0; line-height: 1.4; }
.heat i { display: block; min-height: 24px; border-radius: 3px; font-style: normal; text-align: center;
  line-height: 24px; font-size: .68rem; overflow: hidden; }
.heat .closed { background: var(--rule); opacity: .55; }
.heat .on { color: #fff; } @media (prefers-color-scheme: dark) { .heat .on { color: #0b0e12; } }
.key { display: flex; flex-wrap: wrap; gap: 6px 16px; margin-top: 10px; color: var(--dim); font-size: .78rem; }
.key i { display: inline-block; width: 14px; height: 12px; border-radius: 3px; margin-right: 6px;
  vertical-align: -1px; }
.scale { display: flex; justify-content: space-between; color: var(--dim); font-size: .72rem;
  border-bottom: 1px dashed var(--rule); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .86rem; }
th, td { padding: 6px 10px; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { color: var(--dim); font-weight: 500; } th:first-child, td:first-child { text-align: left; padding-left: 0; }
td.wide { width: 40%; min-width: 110px; } td.wide i { display: block; height: 12px; border-radius: 3px;
  background: rgb(var(--bar)); min-width: 1px; } td.wide u { display: block; height: 4px; margin-top: 2px;
  border-radius: 2px; background: var(--last); text-decoration: none; min-width: 1px; }
details { margin-top: 14px; } summary { cursor: pointer; color: var(--dim); }
footer { margin-top: 24px; color: var(--dim); font-size: .82rem; }
@media (max-width: 640px) { main { padding: 16px 10px 32px; } section { padding: 14px 12px 16px; }
  .bars, .under { gap: 1px; } .bars { height: 120px; } .heat { grid-template-columns: 2.2em repeat(24, 1fr); gap: 1px; }
  .bars.weeks, .under.weeks { gap: 3px; } .heat span { line-height: 20px; }
  .heat i { font-size: 0; min-height: 20px; border-radius: 2px; } table { font-size: .8rem; }
  th, td { padding: 6px 5px; }
  .tiles { grid-template-columns: 1fr 1fr; } .tiles b { font-size: 1.25rem; } td.wide { min-width: 40px; width: 22%; } }
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""


def render(parts: Sequence[Part], period: Period, made: datetime, *, trials: int = 0) -> str:
    """
    Return the page.

    Args:
        parts: The sites.
        period: Which days they are about.
        made: Now.
        trials: How many hours of trials were left aside.
    """
    title = f"People in, {_day(period.first)} to {_day(period.last)} {period.last.year}"
    body = [
        f'<header><h1>{title}</h1><p class="dim">{_extent(parts)}; local time of each site</p></header>',
        *_tiles(parts),
        *(_comparison(parts) if len(parts) > 1 else []),
    ]
    shown = sorted(parts, key=lambda part: part.name)[:MOST_SITES]
    for part in shown:
        body += _site(part, period)
    if len(parts) > len(shown):
        body.append(
            f'<p class="dim">{len(parts) - len(shown):,} more sites have no pictures here; pick some with --site.</p>'
        )
    left = f" {trials:,} hours of trials are left aside." if trials else ""
    body.append(
        f"<footer>Made {made:%Y-%m-%d %H:%M} UTC by footfall report. Counts are never scaled: what nobody watched is "
        f"hatched, and sums don't hold it. Last year is the same weekday 364 days earlier.{left}</footer>"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


def _extent(parts: Sequence[Part]) -> str:
    cameras = sum(len(part.cameras) for part in parts)
    return f"{len(parts):,} {_plural(len(parts), 'site')}, {cameras:,} {_plural(cameras, 'camera')}"


def _tiles(parts: Sequence[Part]) -> Iterator[str]:
    total = Sum()
    for part in parts:
        for name in ("in_", "out", "hours", "believed", "counted", "closed"):
            setattr(total, name, getattr(total, name) + getattr(part.total, name))
    unsound = sum(part.total.unbalanced for site in parts for part in site.cameras)
    yield '<div class="tiles">'
    yield f"<div><b>{total.in_:,}</b>people in</div>"
    yield f"<div><b>{total.out:,}</b>people out</div>"
    yield f"<div><b>{_percent(total.known)}</b>of the hours well watched</div>"
    style = ' class="bad"' if unsound else ""
    yield f"<div><b{style}>{unsound}</b>{_plural(unsound, 'camera')} out of balance</div>"
    yield "</div>"


def _comparison(parts: Sequence[Part]) -> Iterator[str]:
    ordered = sorted(parts, key=lambda part: (-part.total.in_, part.name))
    most = max(1, *(max(part.total.in_, part.before.in_) for part in parts))
    yield "<section><h2>Sites beside each other</h2>"
    yield '<div class="scroll"><table><tr><th>site<th>in<th><th>last year<th>known<th>in &minus; out</tr>'
    for part in ordered:
        change = "" if part.change is None else f"{part.change:+.0%}"
        before = f'<u style="width:{100 * part.before.in_ / most:.1f}%"></u>' if not part.before.empty else ""
        counted = _NOTHING if part.total.empty else f"{part.total.in_:,}"
        yield (
            f"<tr><td>{escape(part.name)}<td>{counted}"
            f'<td class="wide"><i style="width:{100 * part.total.in_ / most:.1f}%"></i>{before}'
            f"<td>{change}<td{_mark(part.total.known < WELL_WATCHED)}>{_percent(part.total.known)}"
            f"<td{_mark(part.total.unbalanced)}>{_balance(part.total)}</tr>"
        )
    yield "</table></div></section>"


def _site(part: Part, period: Period) -> Iterator[str]:
    yield f'<section id="{escape(part.name)}"><h2>{escape(part.name)}</h2>'
    change = "" if part.change is None else f"; {part.change:+.0%} against last year"
    yield (
        f'<p class="dim">{part.total.in_:,} in, {part.total.out:,} out; '
        f"{_percent(part.total.known)} of the hours well watched{change}</p>"
    )
    yield "<h3>Days</h3>"
    yield from _bars([(day, part.days.get(day), part.days_before.get(day)) for day in period.dates], weekly=False)
    yield "<h3>Weeks</h3>"
    yield from _bars([(day, part.weeks.get(day), part.weeks_before.get(day)) for day in period.mondays], weekly=True)
    yield _KEY
    yield "<h3>People in, by weekday and hour</h3>"
    yield from _heat(part.heat)
    yield _HEAT_KEY
    yield "<h3>Cameras</h3>"
    yield from _cameras(part.cameras)
    if len(part.cameras) > 1:
        for camera in part.cameras:
            yield f"<details><summary>{escape(camera.name)}: days, weekdays and hours</summary>"
            yield from _bars(
                [(day, camera.days.get(day), camera.days_before.get(day)) for day in period.dates], weekly=False
            )
            yield "<h3></h3>"
            yield from _heat(camera.heat)
            yield "</details>"
    yield from _days_table(part, period)
    yield "</section>"


_KEY = (
    '<div class="key"><span><i style="background:rgb(var(--bar))"></i>this year</span>'
    '<span><i style="background:var(--last)"></i>last year</span>'
    '<span><i class="hatch"></i>missing or badly watched: not counted, not zero</span></div>'
)

_HEAT_KEY = (
    '<div class="key"><span><i style="background:rgb(var(--bar)/.25)"></i>few</span>'
    '<span><i style="background:rgb(var(--bar))"></i>many</span>'
    '<span><i style="background:var(--rule);opacity:.55"></i>closed</span>'
    '<span><i class="hatch"></i>nobody watched, or badly</span></div>'
)


def _bars(rows: Sequence[tuple[date, Sum | None, Sum | None]], *, weekly: bool) -> Iterator[str]:
    most = max([1, *(some.in_ for _, *sums in rows for some in sums if some is not None)]) * 1.05
    kind = " weeks" if weekly else ""
    yield f'<div class="scale"><span>{most / 1.05:,.0f}</span></div><div class="bars{kind}">'
    for day, now, then in rows:
        before = "" if then is None or then.empty else _bar("then", 100 * then.in_ / most)
        yield f'<div title="{_title(day, now, then, weekly=weekly)}">{before}{_column(now, most)}</div>'
    yield f'</div><div class="under{kind}">'
    for day, *_ in rows:
        marked = day.day <= _WEEK if weekly else day.weekday() == 0
        yield f"<span>{_day(day) if marked else ''}</span>"
    yield "</div>"


def _column(now: Sum | None, most: float) -> str:
    if now is None or now.empty:
        return '<i class="lost" style="height:100%"></i>'
    height = 100 * now.in_ / most
    bar = _bar("now", height)
    lost = 1 - now.known
    if lost <= 0:
        return bar
    # What isn't known stands above what is, as high as the lost share of what there may have been, at least visibly.
    above = max(8.0, min(100 - height, (100 - height) * lost))
    return f'{bar}<i class="lost" style="bottom:{min(height, 92):.1f}%;height:{above:.1f}%"></i>'


def _bar(kind: str, height: float) -> str:
    return f'<i class="{kind}" style="height:{height:.1f}%"></i>'


def _title(day: date, now: Sum | None, then: Sum | None, *, weekly: bool) -> str:
    name = f"week of {_day(day)}" if weekly else f"{_WEEKDAYS[day.weekday()]} {_day(day)}"
    if now is None or now.empty:
        words = "nobody watched"
    else:
        words = f"{now.in_:,} in, {now.out:,} out"
        if now.known < 1:
            words += f", {_percent(now.known)} of the hours known"
    before = "" if then is None or then.empty else f"; last year {then.in_:,} in"
    return escape(f"{name}: {words}{before}")


def _heat(heat: HeatMap) -> Iterator[str]:
    most = max([1.0, *(cell.mean for cell in heat.values() if cell.mean is not None)])
    yield '<div class="heat"><span></span>'
    for hour in range(24):
        yield f'<span class="hour">{hour if hour % 3 == 0 else ""}</span>'
    for weekday, name in enumerate(_WEEKDAYS):
        yield f"<span>{name}</span>"
        for hour in range(24):
            yield _cell(heat.get((weekday, hour), Cell()), f"{name} {hour}:00", most)
    yield "</div>"


def _cell(cell: Cell, name: str, most: float) -> str:
    mean, state = cell.mean, cell.state
    if mean is None:
        words = {State.CLOSED: "closed", State.UNWATCHED: "nobody watched"}.get(state, "no hour was due")
        style = {State.CLOSED: "closed", State.UNWATCHED: "hatch"}.get(state, "")
        return f'<i class="{style}" title="{name}: {words}"></i>'
    share = mean / most
    hatched = state is State.POOR
    words = f"{mean:.1f} in, mean of {len(cell.good or cell.poor)} {'badly watched ' if hatched else ''}hours"
    if cell.lost:
        words += f"; {cell.lost} more nobody watched"
    style = ("hatch " if hatched else "") + ("on" if share > _DARK_CELL else "")
    shade = f"background-color:rgb(var(--bar)/{0.04 + 0.96 * share:.2f})"
    return f'<i class="{style}" style="{shade}" title="{name}: {words}">{mean:.0f}</i>'


def _cameras(cameras: Iterable[Part]) -> Iterator[str]:
    headings = "<th>camera<th>in<th>out<th>in &minus; out<th>watched<th>badly<th>missing"
    yield f'<div class="scroll"><table><tr>{headings}</tr>'
    for camera in cameras:
        poor = camera.states.get(State.POOR, 0) + camera.states.get(State.UNWATCHED, 0)
        missing = camera.states.get(State.MISSING, 0)
        total = camera.total
        advice = ' title="in and out differ by more than a tenth: look at the line and the camera"'
        yield (
            f"<tr><td>{escape(camera.name)}<td>{_people(total, total.in_)}<td>{_people(total, total.out)}"
            f"<td{_mark(total.unbalanced)}{advice if total.unbalanced else ''}>{_balance(total)}"
            f"<td>{_percent(total.known)}<td{_mark(poor > 0)}>{_hours(poor)}"
            f"<td{_mark(missing > 0)}>{_hours(missing)}</tr>"
        )
    yield "</table></div>"


def _days_table(part: Part, period: Period) -> Iterator[str]:
    yield "<details><summary>Days as a table</summary>"
    yield '<div class="scroll"><table><tr><th>day<th>in<th>out<th>known<th>last year, in</tr>'
    for day in reversed(period.dates):
        now, then = part.days.get(day, Sum()), part.days_before.get(day, Sum())
        yield (
            f"<tr><td>{_WEEKDAYS[day.weekday()]} {_day(day)}<td>{_people(now, now.in_)}<td>{_people(now, now.out)}"
            f"<td{_mark(now.known < 1)}>{_percent(now.known)}<td>{_people(then, then.in_)}</tr>"
        )
    yield "</table></div></details>"


def _mark(bad: bool) -> str:  # noqa: FBT001 - a mark is there or not
    return ' class="bad"' if bad else ""


def _people(total: Sum, count: int) -> str:
    return _NOTHING if total.empty else f"{count:,}"


def _hours(count: int) -> str:
    return f"{count:,} h" if count else "0"


def _balance(total: Sum) -> str:
    return _NOTHING if total.balance is None else f"{total.balance:+.1%}"


def _percent(share: float) -> str:
    # 99.96 % isn't all of it.
    return f"{int(share * 1000) / 10:g} %"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"


def last_day(newest: datetime) -> date:
    """Return the last day that can be whole when the newest hour starts at *newest*."""
    return (newest + timedelta(hours=1)).date() - timedelta(days=1)
