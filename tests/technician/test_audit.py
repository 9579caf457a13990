"""`footfall audit`: taps beside the box's own count, on keys and on the page, and what is kept of them."""

from __future__ import annotations

import json
import os
import pty
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.core.clock import KernelClock
from edge.core.errors import ConfigError
from edge.core.silhouette import Count as Odometer
from edge.core.silhouette import Silhouette
from edge.core.tally import Flag
from edge.technician.audit import certainty
from edge.technician.audit.count import Count, Interval, Result, Uncounted, recover
from edge.technician.audit.process import Session
from edge.technician.audit.report import NOBODY_TAPPED, Report, Signature
from edge.vision.scene import Direction
from edge.web.charts import COLUMNS_PX
from edge.web.server import Server, Site
from tests.technician.chromium import Browser
from tests.technician.visit import footfall, tap_on_phone

pytestmark = pytest.mark.processes

ABOUT = {"site": "sh-023", "camera": "door <1>", "line": "entrance", "opened": "2026-11-24 10:00:00 Asia/Shanghai"}


class Watch(KernelClock):
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.t_ms = 1_000_000

    def boot_ms(self) -> int:
        return self.t_ms


class Door:
    """An audit of one line, whose people and whose box are moved by hand."""

    def __init__(self, folder: Path, minutes: float = 15) -> None:
        self.watch = Watch()
        self.store = folder / "door-x.taps"
        self.count = Count(["entrance", "side"], "entrance", 60 * minutes, self.store, ABOUT, self.watch)
        self.began_ms = self.watch.t_ms
        self.box: dict[str, int] = {"in": 0, "out": 0}
        self.uncounted = (0, 0, 0)
        self.see()
        self.count.start()

    def see(self, flags: Flag = Flag.RESTARTED) -> None:
        counts = [Odometer(self.box["in"], self.box["out"], *self.uncounted), Odometer(77, 77, 77)]
        self.count.see(Silhouette(self.watch.t_ms, 0, 0, 0, 640, 480, b"", counts, (), flags))

    def at(self, second: float, tap: Direction | None = None, box: Direction | None = None) -> None:
        self.watch.t_ms = self.began_ms + round(1000 * second)
        if tap:
            self.count.tap(tap)
        if box:
            self.box[box] += 1
            self.see()

    def result(self, second: float) -> Result:
        self.at(second)
        self.count.finish()
        return self.count.result()


def totals(result: Result) -> tuple[tuple[int, int], tuple[int, int]]:
    return result.totals("in"), result.totals("out")


def test_accuracy_by_direction(tmp_path: Path) -> None:
    """Totals, accuracy and person by person agree with what was tapped and counted, for each way alone."""
    door = Door(tmp_path)
    for second in range(10, 110, 10):
        door.at(second, tap="in")
        door.at(second + 1, box="in" if second != 50 else None)
    door.at(200, tap="out")
    door.at(201, box="out")
    door.at(240, box="out")
    result = door.result(300)

    assert totals(result) == ((10, 9), (1, 2))
    assert (result.accuracy("in"), result.accuracy("out")) == (0.9, 0.0)
    assert result.events is not None
    assert (result.events.right, result.events.count("missed"), result.events.count("false")) == (10, 1, 1)
    assert [interval.alike for interval in result.intervals] == [False, True, True, True, False]


def test_nobody_came(tmp_path: Path) -> None:
    """Where nobody went that way there is no accuracy, rather than a perfect one."""
    result = Door(tmp_path).result(61)

    assert result.accuracy("in") is None
    assert len(result.intervals) == 2


def test_refused_crossings_are_reported(tmp_path: Path) -> None:
    """What the box saw at this line during the audit, and did not count, stands in the report."""
    door = Door(tmp_path)
    door.at(5, tap="in", box="in")
    door.uncounted = (2, 1, 3)
    door.see()
    report = Report(ABOUT, door.result(60), None)

    assert Uncounted(2, 1, 3) == report.result.uncounted
    text = " ".join(report.text().split())
    assert "The box saw 2 crossings that it did not count" in text
    assert "It did not count 1 head over the line" in text
    assert "It saw 3 heads turn back at the line" in text


def test_the_minute_between_tap_and_count(tmp_path: Path) -> None:
    """A tap just before the full minute and its count just after are one person in one minute."""
    door = Door(tmp_path)
    door.at(59.5, tap="in")
    door.at(60.5, box="in")

    assert [(1, 1), (0, 0)] == [(i.person[0], i.box[0]) for i in door.result(120).intervals]


def test_the_wrong_way_over_the_minute(tmp_path: Path) -> None:
    """One counted the wrong way is a miss in its tap's minute and one too many in its own; no count is negative."""
    door = Door(tmp_path)
    door.at(59.5, tap="in")
    door.at(60.5, box="out")
    result = door.result(120)

    assert [Interval((1, 0), (0, 0)), Interval((0, 0), (0, 1))] == result.intervals


def test_only_what_comes_after_the_start_counts(tmp_path: Path) -> None:
    """What the box had counted before isn't in it, nor what is tapped before the start; all lines are added."""
    door = Door(tmp_path)
    door.box["in"] = 3
    fresh = Count(["entrance", "side"], None, 900, tmp_path / "y.taps", ABOUT, door.watch)
    fresh.tap("in")
    door.count = fresh
    door.see()
    fresh.start()
    door.at(5, box="in")

    assert fresh.totals() == ({"in": 0, "out": 0}, {"in": 1, "out": 0})


def test_a_tap_is_taken_back(tmp_path: Path) -> None:
    """The newest tap goes, and only that; with none there is nothing to take back."""
    door = Door(tmp_path)
    door.at(1, tap="in")
    door.at(2, tap="out")
    door.count.undo()

    assert door.count.totals()[0] == {"in": 1, "out": 0}
    door.count.undo()
    door.count.undo()
    assert door.count.totals()[0] == {"in": 0, "out": 0}


def test_what_is_stored(tmp_path: Path) -> None:
    """On disk stand the taps' times and the box's totals by minute, and no time at which the box saw anybody."""
    door = Door(tmp_path)
    door.at(10, tap="in")
    door.at(11, box="in")
    door.at(70, tap="out")
    kept = json.loads(door.store.read_text(encoding="utf-8"))

    assert kept == {
        "about": ABOUT,
        "interval_s": 60,
        "seconds": 70.0,
        "taps": [[10.0, "in"], [70.0, "out"]],
        "box": [[1, 0], [0, 0]],
    }
    assert door.store.stat().st_mode & 0o777 == 0o600


def test_an_audit_that_was_broken_off(tmp_path: Path) -> None:
    """After a power cut the totals are there, and the report says that nobody signed."""
    door = Door(tmp_path)
    door.at(10, tap="in", box="in")
    door.at(70, tap="out")
    about, result = recover(door.store)
    report = Report(about, result, None)

    assert totals(result) == ((1, 1), (1, 0))
    assert report.verdict.startswith("Broken off")
    assert "entrance" in report.text()
    assert "Broken off" in report.page()


RESULT = Result(
    121.0, 60, [Interval((3, 1), (3, 1)), Interval((2, 0), (1, 0)), Interval((0, 0), (0, 0))], None, ["dark"], True
)


@pytest.mark.parametrize(
    ("signature", "verdict"),
    [
        (Signature("Li <b>Wei", True), "Accepted by Li <b>Wei"),
        (Signature("Li Wei", False), "NOT accepted by Li Wei"),
        (None, "Not signed off"),
    ],
)
def test_the_report(tmp_path: Path, signature: Signature | None, verdict: str) -> None:
    """Text and page tell totals, accuracy, agreement, who signed, and what was against the box; names are only text."""
    door = Door(tmp_path)
    door.at(5, tap="in", box="in")
    door.see(Flag.DARK)
    door.count.show_box()
    report = Report(ABOUT, door.result(61), signature)
    text, page = report.text(), report.page()

    assert report.verdict.startswith(verdict)
    assert verdict in text
    for told in ("100.0 %", "2 of 2 minutes alike", "in sight while the person tapped", "not see well: dark"):
        assert told in text
        assert told in page
    assert "<b>" not in page
    assert "door &lt;1&gt;" in page
    assert page.count('<svg class="chart') == 2
    assert "://" not in page


def test_nobody_was_tapped(tmp_path: Path) -> None:
    """An audit in which nobody was tapped can't be signed, and no report calls it accepted, whoever signs."""
    door = Door(tmp_path)
    door.at(5, box="in")
    result = door.result(61)
    report = Report(ABOUT, result, Signature("Li Wei", accepted=True))

    assert door.count.phase == "over"
    assert (report.accepted, report.verdict) == (False, NOBODY_TAPPED)
    assert "Li Wei" not in report.text() + report.page()
    with pytest.raises(ValueError, match="nothing to sign"):
        Session("door", door.count).sign({"name": "Li Wei", "accepted": True})


def test_one_direction_was_not_tapped(tmp_path: Path) -> None:
    """The report says that it shows nothing about the direction in which nobody was tapped."""
    door = Door(tmp_path)
    door.at(5, tap="in", box="in")
    text = Report(ABOUT, door.result(61), None).text()

    assert "Nobody was tapped going out" in text
    assert "Nobody was tapped going in" not in text
    assert NOBODY_TAPPED not in text


def test_how_sure_a_report_is(tmp_path: Path) -> None:
    """Beside each percentage stands its interval; it narrows with the people, and the report says how many it takes."""
    door = Door(tmp_path)
    for second in range(10, 110, 10):
        door.at(second, tap="in")
        door.at(second + 1, box="in" if second != 50 else None)
    report = Report(ABOUT, door.result(121), None)

    assert ("in", "10", "9", "90.0 %", "59.5 to 98.3 %") == report.summary()["rows"][0]
    assert ("out", "0", "0", "-", "-") == report.summary()["rows"][1]
    for told in ("59.5 to 98.3 %", "9 of 10 right (59.5 to 98.3 %, 95 % certain)", "35 show at least 90 %"):
        assert told in report.text()
        assert told in report.page()


@pytest.mark.parametrize(
    ("right", "people", "low", "high"),
    [
        # Brown, Cai and DasGupta 2001 give the formula; these values are R's binom::binom.wilson.
        (0, 10, 0.0, 0.2775328),
        (1, 10, 0.01787621, 0.4041500),
        (5, 10, 0.2365931, 0.7634069),
        (9, 10, 0.5958500, 0.9821238),
        (10, 10, 0.7224672, 1.0),
        (95, 100, 0.8882495, 0.9784564),
    ],
)
def test_wilsons_interval(right: int, people: int, low: float, high: float) -> None:
    """The interval is Wilson's, from 0 to 1."""
    assert (low, high) == pytest.approx(certainty.interval(right, people), abs=2e-6)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.9, 0.95, 0.99, 0.999])
def test_how_many_people_are_needed(share: float) -> None:
    """So many, all counted right, show that share; one fewer doesn't."""
    people = certainty.needed(share)

    assert certainty.interval(people, people)[0] >= share > certainty.interval(people - 1, people - 1)[0]


def test_the_chart_is_to_scale() -> None:
    """A bar is as high as its count: three is full, one a third."""
    page = Report(ABOUT, RESULT, None).page()
    heights = [float(high) for high in re.findall(r'<rect class="(?:person|box)"[^>]* height="([\d.]+)"', page)]

    assert heights == pytest.approx(
        [COLUMNS_PX * share for share in (1, 1, 2 / 3, 1 / 3, 0, 0, 1, 1, 0, 0, 0, 0)], abs=0.1
    )


# --- the command -----------------------------------------------------------------------------------------------------


def reports(folder: Path) -> dict[str, str]:
    return {path.suffix: path.read_text(encoding="utf-8") for path in (folder / "audits").iterdir()}


def test_keys_in_the_terminal(config_file: Path) -> None:
    """Space, i, o, u and q count and end; a name and y sign; the report is on the box and the taps are gone."""
    ours, theirs = pty.openpty()
    arguments = ("audit", "door", "--config", str(config_file), "--port", "0")
    with footfall(*arguments, stdin=theirs) as command:
        command.hear("Here: space starts")
        command.hear("sealed: ")
        stored = config_file.parent / "audits"
        until = time.monotonic() + 60
        while not list(stored.glob("*.taps")) and time.monotonic() < until:
            os.write(ours, b" ")
            time.sleep(0.1)
        os.write(ours, b"iioiuq")
        command.hear("Your name")
        os.write(ours, b"Li Wei\n")
        command.hear("accepted")
        os.write(ours, b"y\n")
        code, told = command.end()
    os.close(ours)
    os.close(theirs)

    kept = reports(config_file.parent)
    assert code == 0, told
    assert set(kept) == {".txt", ".html"}
    assert "Accepted by Li Wei, who counted by hand." in kept[".txt"]
    assert " in        2" in kept[".txt"]
    assert "out        1" in kept[".txt"]


def test_taps_on_a_phone(browser: Browser, config_file: Path) -> None:
    """Thumbs tap, the box's count stays hidden until it is asked for, and the page signs; unaccepted is exit code 1."""
    with footfall("audit", "door", "--config", str(config_file), "--port", "0") as command:
        page = browser.page()
        tap_on_phone(page, command.address, ("in", "out", "in"))
        page.key("i")
        page.wait("document.querySelector('#in').textContent === '3'")
        hidden = page.text("#box-in")
        page.click("#box")
        page.wait("document.querySelector('#box-in').textContent.startsWith('box: ')")
        wide = page.run("document.documentElement.scrollWidth")
        page.click("#finish")
        page.click("#finish")
        page.wait("!document.querySelector('#signing-part').hidden")
        page.click("#name")
        page.write("Li Wei")
        page.click("[data-sign='']")
        page.wait("!document.querySelector('#over-part').hidden")
        said = page.text("#verdict")
        code, _ = command.end()

    kept = reports(config_file.parent)
    assert (1, 375, "") == (code, wide, hidden)
    assert said == "NOT accepted by Li Wei, who counted by hand."
    assert " in        3" in kept[".txt"]
    assert "in sight while the person tapped" in kept[".html"]
    assert page.said == []


def test_nobody_tapped_can_not_sign(browser: Browser, config_file: Path) -> None:
    """An audit that is finished without a tap ends unsigned, and page, report and exit code say so."""
    with footfall("audit", "door", "--config", str(config_file), "--port", "0") as command:
        page = browser.page()
        page.be_phone(375, 667)
        page.open(command.address)
        page.wait("!document.querySelector('#ready-part').hidden")
        needed = page.text("#needed")
        page.click("#start")
        page.wait("!document.querySelector('#counting-part').hidden")
        page.click(".tap.in")
        page.click("[data-do=undo]")
        page.wait("document.querySelector('#in').textContent === '0'")
        page.click("#finish")
        page.click("#finish")
        page.wait("document.querySelector('#verdict').textContent.startsWith('Nobody was tapped')")
        shown = page.run("['#signing-part', '#over-part'].map((part) => document.querySelector(part).hidden)")
        code, _ = command.end()

    kept = reports(config_file.parent)
    assert (1, [True, False]) == (code, shown)
    assert "35 show at least 90 %" in needed
    assert NOBODY_TAPPED in kept[".txt"]
    assert "ccepted by" not in kept[".txt"] + kept[".html"]
    assert page.said == []


def test_an_old_state_is_not_shown(browser: Browser, tmp_path: Path) -> None:
    """The answer to a tap and the stream of events overtake each other; the page never goes back to an older state."""
    watched = threading.Event()
    session = Session("door", Door(tmp_path).count)
    states = [session.shown() for _ in range(3)]
    for people, state in enumerate(states):
        state["person"] = {"in": people, "out": 0}

    def events() -> Iterator[dict[str, object]]:
        yield states[1]
        assert watched.wait(300)
        yield from (states[0], states[2])

    server = Server(Site("audit.html", ("style.css", "audit.js", "picture.js"), events, {}, {"advice": ""}), 0)
    try:
        page = browser.page()
        page.open(server.address)
        page.wait("document.querySelector('#in').textContent === '1'")
        page.run(
            "(() => { globalThis.seen = []; const e = document.querySelector('#in');"
            " new MutationObserver(() => seen.push(e.textContent)).observe(e, { childList: true }); })()"
        )
        watched.set()
        page.wait("document.querySelector('#in').textContent === '2'")
        assert ["2"] == page.run("seen")
    finally:
        server.close()


def test_the_box_went_away(browser: Browser, config_file: Path) -> None:
    """A page whose box lost its power says so, instead of waiting for it without a word."""
    with footfall("audit", "door", "--config", str(config_file), "--port", "0") as command:
        page = browser.page()
        page.open(command.address)
        page.wait("!document.querySelector('#ready-part').hidden")
        command.process.kill()
        page.wait("document.querySelector('#verdict').textContent.startsWith('The box no longer answers')")


def test_what_was_broken_off_is_written_first(config_file: Path) -> None:
    """The taps of an audit that was killed become a report when the next one begins, and are deleted."""
    folder = config_file.parent / "audits"
    folder.mkdir()
    door = Door(folder)
    door.at(10, tap="in")
    (folder / "door-bad.taps").write_text("{", encoding="utf-8")
    with footfall("audit", "door", "--config", str(config_file), "--port", "0") as command:
        command.hear("An audit was broken off; what was counted is in .*door-x.txt")
        command.hear("works for one browser")
        command.process.terminate()
        code, told = command.end()

    assert (1, True) == (code, "ended before it began" in told)
    assert set(reports(config_file.parent)) == {".txt", ".html"}


def test_a_line_that_is_not_there(config_file: Path) -> None:
    """An unknown line is told with those that there are."""
    with footfall("audit", "door", "--config", str(config_file), "--line", "yard") as command:
        code, told = command.end()

    assert (ConfigError.exit_code, True) == (code, 'no line of door is called "yard"; it has: entrance' in told)
