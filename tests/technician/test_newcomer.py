"""
A newcomer's first day in 25 steps, with the real programs, a real broker and a real Chromium, one after the other.

Each step says what somebody does and what they must see then. With FOOTFALL_PICTURES=FOLDER the pages are kept as
pictures, for whoever wants to look at them; those in docs/images come from here.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from edge.core.head_model import shipped
from edge.headquarters.address import open_store
from tests.publisher.rig import Mosquitto, wait_until
from tests.technician.chromium import Browser, Page
from tests.technician.rig import footfall
from tests.technician.test_setup import HANDLE, lines_of, opened, place, save
from tests.technician.visit import footfall as started
from tests.technician.visit import tap_on_phone

pytestmark = [pytest.mark.processes, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
STEPS = 25
HOUR = timedelta(hours=1)
TRIAL = """\
site: my-shop
timezone: Europe/Berlin
cameras:
  door:
    source: {clip}
    loop: true
    lines:
      entrance: {{from: [0.10, 0.55], to: [0.90, 0.55], inside: [0.5, 0.9]}}
broker: {{host: localhost, port: {port}}}
ledger: ./trial.sqlite
tally_dir: .
"""


class Day:
    """What the newcomer has: a folder, a broker, a browser; and how far they are."""

    def __init__(self, folder: Path, browser: Browser, broker: Mosquitto) -> None:
        self.folder, self.browser, self.broker = folder, browser, broker
        self.config = folder / "trial.yaml"
        self.store = folder / "hours.sqlite"
        self.done: list[str] = []

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Do one step; its number and words are told if it fails."""
        try:
            yield
        except BaseException as exc:
            exc.add_note(f"step {len(self.done) + 1}: {what}")
            raise
        self.done.append(what)
        print(f"{len(self.done)}. {what}", flush=True)

    def types(self, *words: object, code: int | None = 0) -> str:
        """Type a command that ends with *code*, None for any, and return what it says."""
        run = footfall(*words, env={"NO_COLOR": "1", "COLUMNS": "100"})
        assert code in (None, run.returncode), run.stdout + run.stderr
        return run.stdout + run.stderr

    def write(self, old: str = "", new: str = "") -> None:
        """Write the config, with one thing changed."""
        text = TRIAL.format(clip=shipped("demo/door.mp4"), port=self.broker.port)
        assert not old or old in text
        self.config.write_text(text.replace(old, new) if old else text, encoding="utf-8")

    def look(self, page: Page, name: str) -> None:
        """Keep what the page shows as a picture, if somebody wants to look."""
        folder = os.environ.get("FOOTFALL_PICTURES")
        if folder:
            page.picture(Path(folder) / f"{name}.png")


@pytest.fixture(name="day")
def _day(tmp_path: Path, browser: Browser) -> Iterator[Day]:
    (tmp_path / "broker").mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    broker = Mosquitto(tmp_path / "broker", ("allow_anonymous true",))
    broker.start()
    yield Day(tmp_path, browser, broker)
    broker.stop()


def test_a_first_day(day: Day) -> None:
    """All 25 steps, in this order."""
    getting_to_know(day)
    mistakes(day)
    with headquarters(day) as said:
        trial(day, said)
    drawing(day)
    counting_beside(day)
    leaving(day)

    assert STEPS == len(day.done)


def getting_to_know(day: Day) -> None:
    """Help, an example, a clip."""
    with day.step("ask what there is"):
        said = day.types("--help")
        assert all(word in said for word in ("At the door", "send-test", "plan", "support", "footfall help COMMAND"))
    with day.step("mistype a command"):
        assert "did you mean check?" in day.types("chek", code=2)
    with day.step("plan a door"):
        assert "this fits" in day.types("plan", "--height", 3.2, "--width", 2.4)
    with day.step("print an example of a config, which is one"):
        example = yaml.safe_load(day.types("config", "--example"))
        assert {"site", "timezone", "cameras", "broker"} <= set(example)
    with day.step("count a clip at once"):
        line = ("--line", "0.1,0.55,0.9,0.55", "--inside", "0.5,0.9")
        assert re.search(r"\d+ in, \d+ out", day.types("count", shipped("demo/door.mp4"), *line))


def mistakes(day: Day) -> None:
    """Write a config with what people get wrong, and check it before anything runs."""
    with day.step("use a tab"):
        day.write("    loop", "\tloop")
        said = day.types("config", "--cameras", "--config", day.config, code=78)
        assert f"{day.config}:6: this isn't YAML: a tab stands where only spaces may; indent with spaces" in said
    with day.step("write pixels"):
        day.write("[0.10, 0.55]", "[64, 264]")
        assert "divide pixels by the picture's width" in day.types("check", "--config", day.config, code=1)
    with day.step("name a network camera"):
        day.write(f"source: {shipped('demo/door.mp4')}", "source: rtsp://10.0.0.5/stream1")
        said = day.types("run", "--config", day.config, code=78)
        assert "network cameras aren't supported; use a USB or CSI camera" in said
    with day.step("write it right"):
        day.write()
        assert "door\n" == day.types("config", "--cameras", "--config", day.config)
    with day.step("check before anything runs"):
        # Whether the clock is synchronised is this machine's own affair.
        said = day.types("check", "--config", day.config, code=None)
        assert "in the picture, `in` is entrance: downwards" in said
        assert "broker login: accepted without a user name" in said
        assert "not tried: this box's publisher isn't connected" in said


@contextlib.contextmanager
def headquarters(day: Day) -> Iterator[Path]:
    """Run a collector, and yield the file with what it says."""
    log = day.folder / "collect.log"
    words = ["collect", "--broker", f"mqtt://localhost:{day.broker.port}", "--store", str(day.store), "--trial"]
    with log.open("wb") as out, subprocess.Popen(
        [sys.executable, "-m", "edge", *words], cwd=ROOT, stdout=out, stderr=out
    ) as collector:  # fmt: skip
        try:
            with day.step("start a collector"):
                wait_until(lambda: "connected to" in log.read_text(), "the collector", 120)
            yield log
        finally:
            collector.send_signal(signal.SIGTERM)
            collector.wait(120)


def trial(day: Day, log: Path) -> None:
    """Send a test hour and count an hour of a trial; look at both ends."""
    with day.step("ask for a report before anything came"):
        empty = ("report", "--store", day.store, "--html", day.folder / "r.html")
        assert "there are no hours in it yet; a box sends an hour when it is over" in day.types(*empty, code=78)
    with day.step("send a test hour"):
        assert "ok    test hour door" in day.types("send-test", "--config", day.config)
        wait_until(lambda: "a test hour has arrived" in log.read_text(), "the test hour")
    with started("run", "--config", str(day.config), "--trial-speed", "120") as run:
        with day.step("start a trial, which says when its hour will be over"):
            run.hear("the first hour is over in 30 s")
        with day.step("watch it count"):
            wait_until(lambda: re.search(r"counted since \d\d:\d\d: [1-9]", status(day)), "people", 240)
            assert "made-up clock of a trial, 120 times as fast" in status(day)
        with day.step("see the hour arrive at headquarters"):
            wait_until(lambda: people(day.store) > 0, "the hour", 240)
            assert "trial" in day.types("counts", "--config", day.config)
        run.process.send_signal(signal.SIGINT)
        run.end()
    with day.step("ask for a report of the first day, which has only hours of a trial"):
        said = day.types("report", "--store", day.store, "--html", day.folder / "report.html", code=78)
        assert "hours of a trial never count" in said


def status(day: Day) -> str:
    """Return what `footfall status` shows; in the first seconds there is no ledger yet, and it says so."""
    return day.types("status", "--config", day.config, code=None)


def people(store_path: Path) -> int:
    """Return how many people headquarters has stored."""
    store = open_store(str(store_path))
    try:
        extent = store.extent()
        return sum(hour.in_ + hour.out for hour in store.hours(extent[0], extent[1] + HOUR)) if extent else 0
    finally:
        store.close()


def drawing(day: Day) -> None:
    """Draw the line by mouse and by finger, upright and on its side."""
    with day.step("draw the line with a mouse"), setup(day) as page:
        page.wait("document.querySelector('#heads').textContent.startsWith('Heads here are')")
        page.drag(page.middle(HANDLE.format(0)), place(page, 0.15, 0.6))
        save(page)
        day.look(page, "newcomer-setup")
    assert lines_of(day.config)["entrance"].start == pytest.approx((0.15, 0.6), abs=0.01)
    for (width, height), y in (((375, 667), 0.5), ((667, 331), 0.6)):
        with day.step(f"move an end with a finger on a phone of {width} x {height}"), setup(day) as page:
            page.be_phone(width, height)
            page.wait(f"document.querySelector('.bar').getBoundingClientRect().width === {width}")
            page.wait("document.querySelector('#stage').getBoundingClientRect().width < 375")
            page.swipe(page.middle(HANDLE.format(1)), place(page, 0.8, y))
            page.wait("!document.querySelector('#save').disabled")
            save(page)
            day.look(page, f"newcomer-setup-{width}x{height}")
        assert lines_of(day.config)["entrance"].end == pytest.approx((0.8, y), abs=0.01)


@contextlib.contextmanager
def setup(day: Day) -> Iterator[Page]:
    """Run `footfall setup`, yield its page, and press Done at the end."""
    with started("setup", "door", "--config", str(day.config), "--port", "0") as command:
        page = opened(day.browser, command)
        yield page
        page.click("#done")
        page.wait("document.querySelector('#over').open")
        command.end()


def counting_beside(day: Day) -> None:
    """Audit on a phone, and sign."""
    with started("audit", "door", "--config", str(day.config), "--port", "0") as command:
        page = day.browser.page()
        with day.step("count with two thumbs"):
            tap_on_phone(page, command.address, ("in", "out", "in"))
            page.wait("document.querySelector('#in').textContent === '2'")
            day.look(page, "newcomer-audit")
        with day.step("sign"):
            page.click("#finish")
            page.click("#finish")
            page.wait("!document.querySelector('#signing-part').hidden")
            page.click("#name")
            page.write("Li Wei")
            page.click("[data-sign=yes]")
            page.wait("!document.querySelector('#over-part').hidden")
            assert "ccepted by Li Wei" in page.text("#verdict")
            day.look(page, "newcomer-audit-signed")
            command.end()
    assert list((day.folder / "audits").glob("*.html"))


def leaving(day: Day) -> None:
    """Print the sign, ask for help, and see how to get rid of it."""
    with day.step("print the sign"):
        who = ("--controller", "Shop Ltd, 1 High Street, Townsville", "--contact", "privacy@example.com")
        day.types("sign", day.folder / "sign.html", *who, "--language", "en")
        page = day.browser.page()
        page.be_laptop(840, 1180)
        page.open((day.folder / "sign.html").as_uri())
        assert "We count visitors" in page.text("h1")
        day.look(page, "newcomer-sign")
    with day.step("make a bundle for whoever helps"):
        assert "no picture" in day.types("support", day.folder / "support.tar.gz", "--config", day.config)
    with day.step("see what uninstalling would remove"):
        said = subprocess.run(
            [ROOT / "deploy.sh", "uninstall", "--local", "--dry-run"], capture_output=True, text=True, check=False
        )
        assert said.returncode in (0, 1), said.stderr
        assert "Traceback" not in said.stdout + said.stderr
