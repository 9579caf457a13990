"""
A live table of all boxes, from what they publish; plain lines where there is no terminal. It stores nothing.

Hours aren't retained, so it doesn't know those that were sent before it started. With a store beside it, it begins
with the hours that are stored.
"""

from __future__ import annotations

import heapq
import time
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Literal
from zoneinfo import ZoneInfo

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge.config.schema import Broker
from edge.core.clock import Clock
from edge.core.hour import TEST, WELL_WATCHED, Hour
from edge.core.printable import printable
from edge.core.signals import Notice, stop_signals
from edge.core.topics import parse_hour_topic, parse_status_topic
from edge.headquarters.address import open_reader
from edge.headquarters.errors import HourUnfit
from edge.headquarters.gaps import HOUR, KnownHours
from edge.headquarters.keys import pressed_keys
from edge.headquarters.receive import receive
from edge.mqtt.client import Session
from edge.mqtt.subscription import Message, Subscription

OVERDUE = timedelta(seconds=3_900)
"""An hour is overdue this long after the end of the one before: an hour, at most 150 s until it is sent, and room."""
_LOOK_BACK = timedelta(days=7)
_TOPICS = ("footfall/v1/+/+/hour", "footfall/v1/+/+/status")
_TICK_S = 0.5
_TEST_SHOWN = timedelta(hours=1)
"""So long the table shows that a test hour has arrived."""


WIDE = 100
"""A terminal of fewer columns gets shorter times, so that the counts are never cut."""
_HEADINGS = ("camera", "status", "last hour", "in", "out", "watched", "missing", "flags")
_NUMBERS = range(3, 7)
"""The columns that hold numbers, by index."""
_LEAST_NAME = 12
"""Characters of a camera's name that a narrow terminal shows at least."""
_FLAGS_ROOM = 12
"""Characters that flags get before a long name does."""


@dataclass(slots=True, eq=False)
class Box:
    """What is known of one camera and the box it hangs on."""

    site: str
    camera: str
    status: str = "unknown"
    since: datetime | None = None
    last: Hour | None = None
    hours: KnownHours = field(default_factory=KnownHours)
    fault: str = ""
    tested: datetime | None = None

    @property
    def name(self) -> str:
        """Site and camera."""
        return f"{self.site}/{self.camera}"

    def take(self, hour: Hour) -> None:
        """Note an hour; an older one fills a gap, and a correction replaces what it corrects."""
        self.hours.add(hour.start, hour.end)
        if self.last is None or (hour.start, hour.revision) >= (self.last.start, self.last.revision):
            self.last = hour

    def missing(self, now: datetime) -> int:
        """Return how many hours should have come since the first one that is known, and haven't."""
        end = self.hours.end
        if end is None:
            return 0
        return self.hours.missing() + max(0, int((now - end - (OVERDUE - HOUR)) / HOUR))

    def alive(self, now: datetime) -> str:
        """
        Return what is known of the box: `online`, `offline`, `reporting` or `unknown`.

        Not every broker gives a new subscriber what was retained: then hours that arrive in time tell that it lives.
        """
        end = self.hours.end
        known_by_hours = self.status == "unknown" and end is not None and now - end < OVERDUE
        return "reporting" if known_by_hours else self.status

    def trouble(self, now: datetime) -> int:
        """Return how urgently somebody should look here; 0 if nobody need."""
        if self.missing(now) and self.alive(now) not in {"online", "reporting"}:
            return 4
        if self.missing(now):
            return 3
        if self.fault:
            return 3
        if self.status == "offline":
            return 2
        watched = watched_share(self.last)
        return 1 if watched is not None and watched < WELL_WATCHED else 0


def watched_share(hour: Hour | None) -> float | None:
    """Return how much of the hour was watched, 0 to 1; None for a closed hour, and for none at all."""
    if hour is None or "closed" in hour.flags:
        return None
    return hour.watched_s / (hour.end - hour.start).total_seconds()


class Board:
    """
    All boxes.

    The order in which they stand is kept from one drawing to the next: a box is looked at again when something of it
    has come, or when an hour of it becomes overdue. So drawing costs what the rows on the screen cost.
    """

    def __init__(self, sites: Sequence[str] = ()) -> None:
        self.boxes: dict[tuple[str, str], Box] = {}
        self.unfit = 0
        self._sites = frozenset(sites)
        self._touched: set[Box] = set()
        self._rank: dict[Box, tuple[int, str]] = {}
        self._order: list[tuple[tuple[int, str], Box]] = []
        self._missing: set[Box] = set()
        self._online: set[Box] = set()
        self._due: list[tuple[datetime, str, Box]] = []

    def box(self, site: str, camera: str) -> Box:
        """Return the box that goes by these names; it will be looked at again."""
        box = self.boxes.setdefault((site, camera), Box(site, camera))
        self._touched.add(box)
        return box

    def take(self, message: Message, now: datetime) -> str | None:
        """Note one message; return a line about it, None if it says nothing new."""
        names = parse_status_topic(message.topic)
        try:
            if names is None:
                hour = receive(message.topic, message.payload, now, trial=True)
                if not self._shows(hour.site):
                    return None
                box = self.box(hour.site, hour.camera)
                box.fault = ""
                box.take(hour)
                return _hour_line(box, hour)
        except HourUnfit as exc:
            return self._note_test(message.topic, now) if exc.reason == TEST else self._note_unfit(message, exc)
        if not self._shows(names[0]):
            return None
        box = self.box(*names)
        status = message.payload.decode(errors="replace")[:16]
        if status not in {"online", "offline"} or status == box.status:
            return None
        box.status, box.since = status, None if message.retained else now
        return f"{box.name} is {status}"

    def _note_test(self, topic: str, now: datetime) -> str | None:
        """Note that a test hour has arrived, so that whoever stands at the door can be told so."""
        site, camera = parse_hour_topic(topic) or ("", "")
        if not self._shows(site):
            return None
        box = self.box(site, camera)
        box.tested = now
        return f"{box.name}: a test hour has arrived; it counts nobody"

    def _note_unfit(self, message: Message, fault: HourUnfit) -> str | None:
        parts = message.topic.split("/")
        names = (parts[2], parts[3]) if len(parts) > 3 else ("", "")  # noqa: PLR2004 - levels of a topic
        if not self._shows(names[0]):
            return None
        self.unfit += 1
        if names in self.boxes:
            self.box(*names).fault = fault.reason
        return f"{printable(message.topic, 200)} can't be stored: {fault}"

    def _shows(self, site: str) -> bool:
        return not self._sites or site in self._sites

    def begin(self, hours: Iterable[Hour], statuses: dict[tuple[str, str], tuple[str, datetime]]) -> None:
        """Note what a store knows."""
        for hour in hours:
            if self._shows(hour.site):
                self.box(hour.site, hour.camera).take(hour)
        for (site, camera), (status, since) in statuses.items():
            if self._shows(site):
                box = self.box(site, camera)
                box.status, box.since = status, since

    def overdue(self, now: datetime) -> set[str]:
        """Return the names of the cameras whose hours are missing."""
        self._look(now)
        return {box.name for box in self._missing}

    def _look(self, now: datetime) -> None:
        """Rank the boxes of which something has come, and those of which an hour has become overdue."""
        while self._due and self._due[0][0] <= now:
            self._touched.add(heapq.heappop(self._due)[2])
        many = len(self._touched) > len(self._order) // 8
        for box in self._touched:
            rank = (-box.trouble(now), box.name)
            known = self._rank.get(box)
            if known != rank and not many:
                if known is not None:
                    del self._order[bisect_left(self._order, known, key=itemgetter(0))]
                insort(self._order, (rank, box), key=itemgetter(0))
            self._rank[box] = rank
            (self._missing.add if box.missing(now) else self._missing.discard)(box)
            (self._online.add if box.alive(now) in {"online", "reporting"} else self._online.discard)(box)
            end = box.hours.end
            if end is not None:
                late = max(0, (now - end - OVERDUE) // HOUR + 1)
                heapq.heappush(self._due, (end + OVERDUE + late * HOUR, box.name, box))
        if many:
            self._order = sorted(((rank, box) for box, rank in self._rank.items()), key=itemgetter(0))
        self._touched.clear()

    def table(self, now: datetime, rows: int, state: str, *, page: int = 0, width: int = WIDE) -> Table:
        """
        Return the table: who needs somebody first, then by name.

        Args:
            now: Headquarters' own time.
            rows: Rows that a page has.
            state: What the connection does.
            page: Which page; beyond the last one, the last.
            width: Columns of the terminal; a narrow one gets shorter times.
        """
        self._look(now)
        pages = max(1, -(-len(self._order) // rows))
        page = min(page, pages - 1)
        words = [
            f"{len(self._order):,} cameras, {len(self._online):,} online, {len(self._missing):,} with hours missing"
        ]
        words.append(state)
        if self.unfit:
            words.append(f"{self.unfit:,} messages can't be stored")
        if pages > 1:
            words.append(f"page {page + 1} of {pages}: n next, p back, q end")
        cells = [_cells(box, now, narrow=width < WIDE) for _, box in self._order[page * rows : (page + 1) * rows]]
        # Counts, status and hour are what the table is for: names and flags share what room is left.
        widths = [
            max([cell_len(heading), *(row[at].cell_len for row in cells)]) for at, heading in enumerate(_HEADINGS)
        ]
        room = width - sum(widths[1:-1]) - 2 * len(_HEADINGS)
        widths[0] = max(_LEAST_NAME, min(widths[0], room - min(widths[-1], _FLAGS_ROOM)))
        widths[-1] = max(0, room - widths[0])
        table = Table(title="; ".join(words), title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for at, heading in enumerate(_HEADINGS):
            justify: Literal["left", "right"] = "right" if at in _NUMBERS else "left"
            table.add_column(heading, justify=justify, no_wrap=True, overflow="ellipsis", width=widths[at])
        for row in cells:
            row[0].plain = _end_of(row[0].plain, widths[0])
            table.add_row(*row)
        return table


def _end_of(name: str, width: int) -> str:
    """Return *name* in *width* characters: its end, since what tells cameras apart stands there."""
    return name if len(name) <= width else f"…{name[len(name) - width + 1 :]}"


def run(broker: Broker, clock: Clock, store_url: str | None = None, sites: Sequence[str] = ()) -> None:
    """
    Show what boxes publish, of *sites* or of all, until SIGTERM, SIGINT or the key q.

    Raises:
        PasswordFileError: the password can't be read.
        StoreError: the store can't be read.
    """
    console = Console(highlight=False)
    board = Board(sites)
    if store_url is not None:
        store = open_reader(store_url)
        now = _now(clock)
        board.begin(store.hours(now - _LOOK_BACK, now), store.statuses())
        store.close()
    subscription = Subscription(broker, Session(""), _TOPICS)
    try:
        with stop_signals() as stopping:
            if console.is_terminal:
                _show(console, board, subscription, clock, stopping)
            else:
                _print(console, board, subscription, clock, stopping)
    finally:
        subscription.close()


def _show(console: Console, board: Board, subscription: Subscription, clock: Clock, stopping: Notice) -> None:
    drawn_s, page = 0.0, 0
    with Live(console=console, auto_refresh=False, screen=True) as live, pressed_keys() as keys:
        while not stopping.is_set():
            for message in _receive(subscription):
                board.take(message, _now(clock))
            pressed = keys()
            if "q" in pressed:
                return
            page = max(0, page + pressed.count("n") - pressed.count("p"))
            if pressed or time.monotonic() - drawn_s >= _TICK_S:
                drawn_s = time.monotonic()
                rows = max(1, console.height - 6)
                page = min(page, max(0, -(-len(board.boxes) // rows) - 1))
                table = board.table(_now(clock), rows, subscription.state, page=page, width=console.width)
                live.update(table, refresh=True)


def _print(console: Console, board: Board, subscription: Subscription, clock: Clock, stopping: Notice) -> None:
    state, overdue, looked_s = "", board.overdue(_now(clock)), 0.0

    def say(line: str) -> None:
        console.print(f"{_now(clock):%Y-%m-%dT%H:%M:%SZ} {line}", markup=False, soft_wrap=True)

    for name in sorted(overdue):
        say(f"{name} has hours missing")
    while not stopping.is_set():
        messages = _receive(subscription)
        if subscription.state != state:
            state = subscription.state
            say(state)
        for message in messages:
            line = board.take(message, _now(clock))
            if line is not None:
                say(line)
        if time.monotonic() - looked_s < _TICK_S:
            continue
        looked_s = time.monotonic()
        now_overdue = board.overdue(_now(clock))
        for name in sorted(now_overdue - overdue):
            say(f"{name} is overdue")
        for name in sorted(overdue - now_overdue):
            say(f"{name} has no hour missing any more")
        overdue = now_overdue


def _receive(subscription: Subscription) -> list[Message]:
    messages = subscription.receive(_TICK_S)
    subscription.acknowledge_all(messages)
    return messages


def _hour_line(box: Box, hour: Hour) -> str:
    watched = watched_share(hour)
    share = "closed" if watched is None else f"watched {watched:.0%}"
    flags = " ".join(hour.flags)
    revision = f" revision {hour.revision}" if hour.revision > 1 else ""
    return f"{box.name} {_local(hour)} in {hour.in_} out {hour.out} {share} {flags}".rstrip() + revision


def _cells(box: Box, now: datetime, *, narrow: bool) -> list[Text]:
    watched = watched_share(box.last)
    missing = box.missing(now)
    alive = box.alive(now)
    status_style = {"online": "green", "reporting": "green", "offline": "red"}.get(alive, "dim")
    since = f" {_ago(now - box.since)}" if box.since and not narrow else ""
    cells = [Text(box.name, style="bold" if box.trouble(now) else ""), Text(f"{alive}{since}", style=status_style)]
    if box.last is None:
        cells += [Text("none yet", style="dim"), Text(), Text(), Text()]
    else:
        share = "closed" if watched is None else f"{watched:.0%}"
        low = watched is not None and watched < WELL_WATCHED
        cells += [
            Text(_local(box.last, narrow=narrow)),
            Text(str(box.last.in_)),
            Text(str(box.last.out)),
            Text(share, style="yellow" if low else "dim" if watched is None else ""),
        ]
    cells.append(Text(str(missing) if missing else "", style="red"))
    tested = [f"test {box.tested:%H:%M}Z"] if box.tested is not None and now - box.tested < _TEST_SHOWN else []
    cells.append(Text(" ".join([*tested, *([box.fault] if box.fault else []), *(box.last.flags if box.last else ())])))
    return cells


def _local(hour: Hour, *, narrow: bool = False) -> str:
    return hour.start.astimezone(ZoneInfo(hour.timezone)).strftime("%d %b %H:%M" if narrow else "%a %d %b %H:%M")


def _ago(passed: timedelta) -> str:
    minutes = int(passed.total_seconds() // 60)
    if minutes < 1:
        return "now"
    if minutes < 120:  # noqa: PLR2004 - two hours
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} d"  # noqa: PLR2004 - two days


def _now(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock.wall_ms() / 1000, UTC)
