"""What the live table knows of each box, and how it says so."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from edge.core.hour import Hour, Source
from edge.headquarters.address import open_store
from edge.headquarters.collect import judge
from edge.headquarters.watch import Board, Box
from edge.mqtt.subscription import Message
from tests.headquarters.conftest import Spawn, until_said
from tests.headquarters.messages import NOW, TOPIC, publish, recent, told
from tests.publisher.rig import Mosquitto, wait_until

pytestmark = pytest.mark.processes

Said = Callable[..., str]
STATUS = TOPIC.replace("hour", "status")


def message(payload: bytes, topic: str = TOPIC, *, retained: bool = False) -> Message:
    return Message(topic, payload, retained, 1, 1, 1)


def board_of(*payloads: bytes, status: bytes = b"online") -> Board:
    board = Board()
    board.take(message(status, STATUS, retained=True), NOW)
    for payload in payloads:
        board.take(message(payload), NOW)
    return board


def shown(board: Board, rows: int = 20, page: int = 0, width: int = 140) -> str:
    return shown_at(board, NOW, rows, page, width)


def shown_at(board: Board, now: datetime, rows: int = 20, page: int = 0, width: int = 140) -> str:
    console = Console(width=width, file=open(os.devnull, "w"), record=True)  # noqa: PTH123, SIM115 - a sink
    with console.file:
        console.print(board.table(now, rows, "connected", page=page, width=width))
    return console.export_text()


def test_a_row_says_all_of_a_box() -> None:
    """Its name, status, last hour at the shop's own time, counts, watched share and flags."""
    table = shown(board_of(told(NOW - timedelta(hours=1), watched_ms=1_800_000, flags={"dark"})))

    for words in ("sh-023/door-a", "online", "Sat 07 Nov 19:00", "48", "41", "50%", "dark", "1 cameras, 1 online"):
        assert words in table


@pytest.mark.parametrize(
    ("hours_ago", "missing"),
    [([1], 0), ([2], 0), ([3], 1), ([4, 1], 2), ([27, 26, 25, 1], 23), ([], 0)],
)
def test_missing_hours_are_counted(hours_ago: list[int], missing: int) -> None:
    """Gaps between hours, and those that are overdue: an hour and 300 s after the last one's end."""
    board = board_of(*(told(NOW - timedelta(hours=ago)) for ago in hours_ago))

    assert missing == board.box("sh-023", "door-a").missing(NOW)


def test_a_late_hour_fills_its_gap_and_isnt_the_last() -> None:
    """After an outage hours come oldest first, corrections whenever."""
    board = board_of(told(NOW - timedelta(hours=1)), told(NOW - timedelta(hours=3)), told(NOW - timedelta(hours=2)))
    box = board.box("sh-023", "door-a")

    assert 0 == box.missing(NOW)
    assert box.last is not None
    assert NOW - timedelta(hours=1) == box.last.start


def test_who_needs_somebody_stands_first() -> None:
    """Silent and offline, then silent, then offline, then badly watched, then the rest by name."""
    board = Board()
    for camera, hours_ago, status, watched_ms in [
        ("a-fine", 1, b"online", 3_600_000), ("b-dim", 1, b"online", 60_000), ("c-off", 1, b"offline", 3_600_000),
        ("d-late", 9, b"online", 3_600_000), ("e-dead", 9, b"offline", 3_600_000), ("f-fine", 1, b"online", 3_600_000),
    ]:  # fmt: skip
        topic = f"footfall/v1/sh-023/{camera}/"
        board.take(
            message(told(NOW - timedelta(hours=hours_ago), camera=camera, watched_ms=watched_ms), topic + "hour"), NOW
        )
        board.take(message(status, topic + "status"), NOW)
    table = shown(board)
    places = [table.index(name) for name in ("e-dead", "d-late", "c-off", "b-dim", "a-fine", "f-fine")]

    assert sorted(places) == places
    assert "page 1 of 3: n next, p back" in shown(board, rows=2)
    assert "c-off" in shown(board, rows=2, page=1)
    assert "f-fine" in shown(board, rows=2, page=9)


def test_hours_in_time_tell_that_a_box_lives() -> None:
    """Where no retained status is given to a new subscriber; but not once they are overdue, nor against a status."""
    board = Board()
    board.take(message(told(NOW - timedelta(hours=1))), NOW)
    box = board.box("sh-023", "door-a")
    table = shown(board)
    later = box.alive(NOW + timedelta(hours=2))
    board.take(message(b"offline", STATUS), NOW)

    assert "reporting" in table
    assert "1 online" in table
    assert 0 == Board().box("a", "b").trouble(NOW)
    assert ("unknown", "offline") == (later, box.alive(NOW))


def test_a_small_terminal_shows_the_counts() -> None:
    """80 columns: name, status, hour, counts, watched share, missing hours and flags; nothing of the counts is cut."""
    board = board_of(
        told(NOW - timedelta(hours=4)),
        told(NOW - timedelta(hours=1), in_=12_345, out=11_111, watched_ms=1_800_000, flags={"dark"}),
    )
    lines = shown(board, width=80).splitlines()

    for words in ("sh-023/door-a", "online", "07 Nov 19:00", "12345", "11111", "50%", "2", "dark"):
        assert any(words in line for line in lines), words
    assert max(map(len, lines)) <= 80


def test_only_the_sites_that_were_asked_for_are_shown() -> None:
    """With --site, others are neither shown nor counted."""
    board = Board(["sh-023"])
    for site in ("sh-023", "sh-024"):
        board.take(message(told(NOW - timedelta(hours=1), site=site), f"footfall/v1/{site}/door-a/hour"), NOW)
        board.take(message(b"online", f"footfall/v1/{site}/door-a/status"), NOW)
    board.take(message(b"junk", "footfall/v1/sh-024/door-a/hour"), NOW)

    assert ["sh-023"] == [site for site, _ in board.boxes]
    assert 0 == board.unfit


def test_a_drawing_costs_what_stands_on_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two thousand boxes, only those are judged again of which something has come, or whose hour is overdue now."""
    board = Board()
    for number in range(2000):
        board.box(f"s-{number}", "door").take(Hour.decode(told(NOW - timedelta(hours=1))))
    board.table(NOW, 20, "connected")
    judged: list[str] = []
    real = Box.trouble

    def trouble(box: Box, now: datetime) -> int:
        judged.append(box.name)
        return real(box, now)

    monkeypatch.setattr(Box, "trouble", trouble)
    board.table(NOW, 20, "connected")
    quiet = len(judged)
    board.box("s-7", "door").status = "offline"
    board.table(NOW, 20, "connected")
    one = len(judged)
    table = board.table(NOW + timedelta(hours=2), 20, "connected")

    # A row on the screen asks once more, for its own look.
    assert (20, 41) == (quiet, one)
    assert 2000 <= len(judged) - one <= 2000 + 20
    assert "2,000 with hours missing" in str(table.title)


def test_a_closed_hour_is_no_trouble() -> None:
    """A closed shop isn't badly watched."""
    board = board_of(told(NOW - timedelta(hours=1), in_=0, out=0, watched_ms=0, flags={"closed"}))

    assert 0 == board.box("sh-023", "door-a").trouble(NOW)
    assert "closed" in shown(board)


def test_what_cant_be_booked_is_counted_and_shown_at_its_box() -> None:
    """A future-dated hour makes its box stand out."""
    board = board_of(told(NOW - timedelta(hours=1)))
    line = board.take(message(told(NOW + timedelta(days=1))), NOW)

    assert line is not None
    assert "future" in line
    assert "future" in shown(board)
    assert 3 == board.box("sh-023", "door-a").trouble(NOW)
    assert board.take(message(b"\xff", "footfall/v1/x"), NOW)
    assert 2 == board.unfit


@pytest.mark.parametrize("width", [80, 100])
def test_a_narrow_terminal_shows_the_counts(width: int) -> None:
    """In, out, watched and missing are what the table is for: names and flags give way to them."""
    long = "shop-with-a-very-long-name-0001"
    board = Board()
    board.take(message(b"online", f"footfall/v1/{long}/door-a/status"), NOW)
    payload = told(NOW - timedelta(hours=9), site=long, in_=4_812, out=4_793, flags={"dark", "moved", "slow"})
    board.take(message(payload, f"footfall/v1/{long}/door-a/hour"), NOW)
    table = shown(board, width=width)

    for words in (" in ", " out ", "watched", "missing", "4812", "4793", "100%", " 7 ", "online", "0001/door-a"):
        assert words in table
    assert width >= max(map(len, table.splitlines()))


def test_a_test_hour_is_shown_and_changes_nothing() -> None:
    """Whoever stands at the door can be told that it arrived; counts, gaps and troubles are as before."""
    board = board_of(told(NOW - timedelta(hours=1)))
    source = Source("sh-023", "door-a", ZoneInfo("Asia/Shanghai"), "head-test 1")
    sent = Hour.of_test(source, round(NOW.timestamp() * 1000), ["entrance"])
    line = board.take(message(sent.encode()), NOW)
    box = board.box("sh-023", "door-a")

    assert "sh-023/door-a: a test hour has arrived; it counts nobody" == line
    assert "test 12:00Z" in shown(board)
    assert "test 12:00Z" not in shown_at(board, NOW + timedelta(hours=2))
    assert (0, 0, 0, "") == (board.unfit, box.missing(NOW), box.trouble(NOW), box.fault)
    assert box.last is not None
    assert 48 == box.last.in_


def test_a_store_beside_it_tells_what_was_before(tmp_path: Path) -> None:
    """Hours aren't retained; the board begins with those that are stored."""
    store = open_store(str(tmp_path / "hours.sqlite"))
    store.add(judge([(TOPIC, told(NOW - timedelta(hours=ago))) for ago in (1, 2, 5)] + [(STATUS, b"online")], NOW), NOW)
    board = Board()
    board.begin(store.hours(NOW - timedelta(days=7), NOW), store.statuses())
    store.close()

    assert 2 == board.box("sh-023", "door-a").missing(NOW)
    assert "online" == board.box("sh-023", "door-a").status


def test_without_a_terminal_it_prints_lines(own_mosquitto: Callable[..., Mosquitto], spawn: Spawn, said: Said) -> None:
    """One line a message, plain; Ctrl-C ends it with 0."""
    broker = own_mosquitto()
    child = spawn("watch", "--broker", f"mqtt://127.0.0.1:{broker.port}")
    until_said(said, "Z connected")
    publish(broker.port, STATUS, b"online")
    publish(broker.port, TOPIC, told(recent(3)[0], flags={"dark"}, watched_ms=1_800_000, revision=2))
    publish(broker.port, TOPIC, b"junk")
    until_said(said, "can't be stored")
    until_said(said, "is overdue")
    child.send_signal(signal.SIGINT)

    assert 0 == child.wait(300)
    assert "sh-023/door-a is online" in said()
    assert "in 48 out 41 watched 50% dark revision 2" in said()
    assert "\x1b" not in said()


def test_on_a_terminal_it_draws_a_table(own_mosquitto: Callable[..., Mosquitto]) -> None:
    """Real pseudo-terminal, real broker; the alternate screen is left at the end."""
    broker = own_mosquitto()
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "edge", "watch", "--broker", f"mqtt://127.0.0.1:{broker.port}"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30"}
    drawn = b""
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as child:
        os.close(theirs)
        os.set_blocking(ours, False)

        def draws(words: bytes) -> bool:
            nonlocal drawn
            try:
                drawn += os.read(ours, 1_000_000)
            except BlockingIOError:
                pass
            except OSError:
                return True
            return words in drawn

        wait_until(lambda: draws(b"connected"), "the table", 30)
        publish(broker.port, TOPIC, told(recent(1)[0]))
        wait_until(lambda: draws(b"sh-023/door-a"), "the box's row")
        child.send_signal(signal.SIGTERM)
        wait_until(lambda: draws(b"\x1b[?1049l"), "the screen to be left")

        assert 0 == child.wait(300)
    os.close(ours)
