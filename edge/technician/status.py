"""
`footfall status`: what this box is doing now, and today's hours, with a bar for each.

Everything comes from the ledger, which is read beside the running publisher, from systemd and from the kernel. Nothing
is asked of the process that sees: it has no way to answer.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge.config.schema import CameraAccount, Config
from edge.core.clock import Clock, KernelClock, TrialClock
from edge.core.hour import Hour, Source
from edge.core.tally import Flag
from edge.publisher.ledger.view import LedgerView, Pace, SinceStart
from edge.technician import proc, temperature
from edge.technician.check.box import SYSTEMD, age, plural
from edge.technician.check.camera import PICTURE, SILENT_MS
from edge.technician.today import ShownHour, day_hours, day_of

_EVERY_S = 5.0
"""Seconds from one view of `status --watch` to the next."""
_LAG_MS = 30_000
"""A trial's reading may take so much real time, ms, to come into the ledger."""
_BAR = 24
"""Width of the longest bar, characters."""


def run(settings: Config, *, watch: bool) -> None:
    """
    Print what the box does now; with *watch*, again every five seconds until Ctrl-C.

    Raises:
        LedgerError: the ledger can't be read.
    """
    console = Console(highlight=False, soft_wrap=True)
    if not watch:
        console.print(show(settings, _bars(console)))
    elif console.is_terminal:
        with Live(show(settings, _bars(console)), console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(_EVERY_S)
                live.update(show(settings, _bars(console)), refresh=True)
    else:
        while True:
            console.print(show(settings, _bars(console)))
            time.sleep(_EVERY_S)


def _bars(console: Console) -> str:
    """Return what bars of in and out are drawn with."""
    return "█▒" if console.encoding.lower().startswith("utf") else "#-"


def show(settings: Config, bars: str = "█▒") -> RenderableType:
    """Return everything as it is now."""
    with LedgerView.opened(settings.ledger) as ledger:
        zone = ZoneInfo(settings.timezone)
        publisher = settings.publisher()
        clock = _clock(settings)
        parts: list[RenderableType] = [_headline(settings, clock, zone), _delivery(ledger, publisher.cameras)]
        for camera in publisher.cameras:
            pace = ledger.pace(camera.name)
            # The clock of a trial that is over stood ahead of the box's, and its hours with it.
            now_ms = max(clock.wall_ms(), pace.wall_ms or 0) if pace and _is_trial(pace) else clock.wall_ms()
            source = Source(settings.site, camera.name, zone, "not closed")
            found = day_hours(ledger, camera, day_of(now_ms, zone), now_ms, source)
            parts += [Text(), _state(camera.name, pace, clock), _table(found, zone, bars)]
            counted = _since_start(ledger.since_start(camera.name), pace, clock, zone)
            if counted is not None:
                parts.append(counted)
    return Group(*parts)


def _clock(settings: Config) -> Clock:
    """Return the clock that the publisher on this ledger goes by: the box's own, or a running trial's."""
    for process in proc.running("publisher"):
        spec = dict(zip(process.arguments, process.arguments[1:], strict=False)).get("--trial-clock")
        with contextlib.suppress(OSError, ValueError):
            if spec is not None and any(file.name == str(settings.ledger.resolve()) for file in process.files):
                return TrialClock.from_spec(spec)
    return KernelClock()


def _headline(settings: Config, clock: Clock, zone: ZoneInfo) -> Text:
    """Return one line on the box: its name, the time, whether that can be trusted, how warm it is."""
    now = datetime.fromtimestamp(clock.wall_ms() / 1000, zone)
    known = (
        (f"made-up clock of a trial, {clock.speed:g} times as fast", "yellow")
        if clock.trial
        else (
            ("clock synchronised", "") if clock.trusted() else ("CLOCK NOT SYNCHRONISED: no hour is sent", "bold red")
        )
    )
    return Text.assemble(
        (f"site {settings.site}", "bold"),
        f" on {socket.gethostname()}, {now:%Y-%m-%d %H:%M %Z}, ",
        known,
        f", {temperature.read()}",
    )


def _since_start(counted: SinceStart | None, pace: Pace | None, clock: Clock, zone: ZoneInfo) -> Text | None:
    """Return what was counted since vision started, which shows from the first crossing on; None if nothing was."""
    if counted is None or pace is None or pace.boot_id != clock.boot_id:
        return None
    in_, out = (sum(numbers) for numbers in zip(*counted.lines.values(), strict=True))
    passed_ms = clock.boot_ms() - counted.first_boot_ms
    since = datetime.fromtimestamp((clock.wall_ms() - passed_ms) / 1000, zone)
    when = f"{since:%H:%M}" if clock.trusted() else f"{passed_ms // 60_000} min ago"
    place = "" if clock.trusted() else "; in no hour yet, as the clock isn't synchronised"
    return Text(f"  counted since {when}: {in_} in, {out} out{place}", style="" if clock.trusted() else "yellow")


def _delivery(ledger: LedgerView, cameras: Sequence[CameraAccount]) -> Text:
    """Return what waits for the broker, and what systemd knows of the publisher."""
    waiting, since_ms = ledger.backlog(), ledger.waiting_since_ms()
    last = [stamp for camera in cameras if (stamp := ledger.acknowledged_ms(camera.name)) is not None]
    words = (
        "outbox: no hour is waiting"
        if since_ms is None
        else f"outbox: {plural(waiting, 'hour')} waiting, the oldest for {age(since_ms)}"
    )
    words += f"; last acknowledged {age(max(last))} ago" if last else "; no hour was acknowledged yet"
    return Text(f"{_publisher()}\n{words}")


def _publisher() -> str:
    if SYSTEMD.exists():
        said = proc.unit_properties("footfall-publisher.service", ["ActiveState", "StatusText"])
        text = said.get("StatusText")
        return f"publisher: {said.get('ActiveState', 'unknown')}" + (f": {text}" if text else "")
    return "publisher: running, in a trial" if proc.running("publisher") else "publisher: NOT running"


def _is_trial(pace: Pace) -> bool:
    return pace.boot_id.startswith("trial-")


def _state(camera: str, pace: Pace | None, clock: Clock) -> Text:
    """Return one line on what a camera does now."""
    words, style = _words(camera, pace, clock)
    rate = ""
    if pace is not None and pace.fps is not None and style == "green":
        rate = (
            f", {pace.fps * clock.speed:.1f} pictures a second,"
            f" {100 * min(1.0, pace.watched):.0f} % of the last minute watched"
        )
    return Text.assemble((f"{camera}: ", "bold"), (words, style), rate)


def _words(camera: str, pace: Pace | None, clock: Clock) -> tuple[str, str]:
    """Return what the camera's readings say, and its style."""
    if pace is None:
        return "nothing was counted yet", "yellow"
    silence = _silence(camera, pace, clock)
    if silence is not None:
        return silence
    if Flag.CLOSED in pace.flags:
        return "closed, by its opening hours", ""
    bad = [PICTURE[name] for flag in pace.flags if (name := (flag.name or "").lower()) in PICTURE]
    if bad:
        return "; ".join(f"{what.upper()}: {advice}" for what, advice in bad), "bold red"
    return "counting", "green"


def _silence(camera: str, pace: Pace, clock: Clock) -> tuple[str, str] | None:
    """Return why the newest reading says nothing of now, and a style; None if it does."""
    if _is_trial(pace) and not clock.trial:
        return "counted by a trial that is over", "yellow"
    look = "look at the trial's terminal" if clock.trial else f"look at `systemctl status footfall-vision@{camera}`"
    if pace.boot_id != clock.boot_id:
        return f"NO READING since this box started; {look}", "bold red"
    silent_ms = clock.boot_ms() - pace.boot_ms
    # A trial's processes take as long to write as others, which is more of its own clock's time.
    if silent_ms > SILENT_MS + _LAG_MS * (clock.speed if clock.trial else 0):
        return f"SILENT for {silent_ms // 1000} s; {look}", "bold red"
    return None


def _table(found: Sequence[ShownHour], zone: ZoneInfo, bars: str) -> RenderableType:
    """Return today's hours, one a row, and their sum."""
    if not found:
        return Text("  no hour of today yet")
    table = Table("", "in", "out", "watched s", "", "", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in table.columns[1:4]:
        column.justify = "right"
    for column in table.columns[:5]:
        column.no_wrap, column.overflow = True, "crop"
    table.columns[4].min_width = _BAR + 1
    most = max(1, *(shown.hour.in_ + shown.hour.out for shown in found))
    for shown in found:
        hour = shown.hour
        ends = "not over yet" if shown.open else "sent" if shown.acknowledged else "waiting"
        # Of an hour that isn't over nobody knows yet that nothing is seen of its rest.
        flags = [flag for flag in hour.flags if not (shown.open and flag == "off")]
        table.add_row(
            f"  {hour.start.astimezone(zone):%H:%M}",
            str(hour.in_),
            str(hour.out),
            f"{hour.watched_s:,}",
            _bar(hour, most, bars),
            ", ".join((ends, *flags)),
        )
    lines: dict[str, list[int]] = {}
    for shown in found:
        for name, count in shown.hour.lines.items():
            total = lines.setdefault(name, [0, 0])
            total[0] += count.in_
            total[1] += count.out
    sums = ", ".join(f"{name} {in_} in {out} out" for name, (in_, out) in lines.items()) if len(lines) > 1 else ""
    total_in, total_out = sum(shown.hour.in_ for shown in found), sum(shown.hour.out for shown in found)
    watched_s = sum(shown.hour.watched_s for shown in found)
    table.add_row("  today", str(total_in), str(total_out), f"{watched_s:,}", "", sums, style="bold")
    return table


def _bar(hour: Hour, most: int, bars: str) -> Text:
    """Return a bar for those who came in and, behind it, one for those who went out."""
    into, out = (round(_BAR * number / most) for number in (hour.in_, hour.out))
    return Text.assemble((bars[0] * into, "green"), (bars[1] * out, "blue"))
