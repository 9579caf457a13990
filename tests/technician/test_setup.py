"""`footfall setup`, the real command with a sealed vision on the demo clip, and the real page in a real Chromium."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from edge.config import schema
from edge.technician import systemd_state
from edge.technician.page_address import show_address
from edge.web.server import Server, Site
from tests.publisher.rig import lives, wait_until
from tests.technician.chromium import Browser, Page
from tests.technician.visit import CONFIG, Command, fake_systemd, footfall

pytestmark = pytest.mark.processes

HANDLE = '.handle[data-line="1"][data-at="{}"]'
PHONES = [(375, 667), (667, 331)]
"""A phone upright and on its side, px."""


def opened(browser: Browser, command: Command) -> Page:
    """Return the page of *command* once it shows the silhouette."""
    page = browser.page()
    page.be_laptop()
    page.open(command.address)
    page.wait("document.querySelector('#stage.seen') && document.querySelectorAll('.card').length")
    return page


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Return where x, y of the picture is in the window, px."""
    left, top, width, height = page.run(
        "(() => { const b = document.querySelector('#stage').getBoundingClientRect();"
        " return [b.left, b.top, b.width, b.height]; })()"
    )
    return left + x * width, top + y * height


def save(page: Page) -> str:
    """Save, and return the difference that was shown before."""
    page.click("#save")
    page.wait("document.querySelector('#review').open")
    shown = page.text("#diff")
    page.click("#write")
    page.wait("!document.querySelector('#review').open && document.querySelector('#said').textContent")
    return shown


def point(page: Page, at: int = 0) -> list[float]:
    """Return where an end of the first line is, as shares of the picture."""
    x, y = page.middle(HANDLE.format(at))
    (left, top), (right, low) = place(page, 0, 0), place(page, 1, 1)
    return [(x - left) / (right - left), (y - top) / (low - top)]


def bar(page: Page) -> tuple[str, str, bool]:
    """Return what the bar says: the state, the words of the button, and whether it can be pressed."""
    return page.text("#state"), page.text("#save"), not page.run("document.querySelector('#save').disabled")


def lines_of(path: Path) -> dict[str, schema.Line]:
    return dict(schema.load(path).cameras["door"].lines)


def test_drag_and_save(browser: Browser, config_file: Path) -> None:
    """A line is dragged, renamed and joined by a second; the file says so, its comments stay, and a copy is kept."""
    before = config_file.read_text(encoding="utf-8")
    with footfall("setup", "door", "--config", str(config_file), "--port", "0") as command:
        page = opened(browser, command)
        address = page.run("location.href")
        page.drag(page.middle(HANDLE.format(0)), place(page, 0.2, 0.7))
        page.key("ArrowUp")
        page.run("document.querySelector('.name').select()")
        page.write("Front Door")
        page.click("#add")
        page.wait("document.querySelectorAll('.card').length === 2")
        page.press(*place(page, 0.5, 0.1))
        shown = save(page)
        said = page.text("#said")
        page.click("#done")
        page.wait("document.querySelector('#over').open")
        code, told = command.end()

    lines = lines_of(config_file)
    after = config_file.read_text(encoding="utf-8")
    (backup,) = config_file.parent.glob("*.bak")
    assert (0, True) == (code, "Saved." in told)
    assert list(lines) == ["front-door", "line-2"]
    assert lines["front-door"].start == pytest.approx((0.2, 0.69), abs=0.005)
    assert lines["front-door"].end == (0.9, 0.55)
    assert lines["line-2"].inside == pytest.approx((0.5, 0.1), abs=0.005)
    assert [row for row in before.splitlines() if "entrance:" not in row] == [
        row for row in after.splitlines() if "front-door:" not in row and "line-2:" not in row
    ]
    assert "# measured twice" in after
    assert before == backup.read_text(encoding="utf-8")
    assert backup.name in said
    assert said.startswith("Saved.")
    assert "+      front-door: {from: [0.2, 0.69" in shown
    assert page.said == []
    assert {request.split("/")[2] for request in page.asked} == {address.split("/")[2]}


@pytest.mark.parametrize("size", PHONES)
def test_phone(browser: Browser, config_file: Path, size: tuple[int, int]) -> None:
    """Upright and on its side: nothing is wider or higher than the screen, an end follows a finger, a tap says "in"."""
    with footfall("setup", "door", "--config", str(config_file), "--port", "0") as command:
        page = opened(browser, command)
        page.be_phone(*size)
        page.wait(f"document.querySelector('.bar').getBoundingClientRect().width === {size[0]}")
        page.wait("document.querySelector('#stage').getBoundingClientRect().width < 375")
        wide, high = page.run("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        small = page.run(
            "[...document.querySelectorAll('button')].filter((b) => b.offsetParent && b.offsetHeight < 44).length"
        )
        reachable = page.run(
            "['#save', '#undo', '#done', '#state', '#which', '[data-nudge]', '#stage'].filter((s) => {"
            " const b = document.querySelector(s).getBoundingClientRect();"
            " return b.width && b.top >= 0 && b.left >= 0 && b.bottom <= innerHeight && b.right <= innerWidth;"
            " }).length"
        )
        page.swipe(page.middle(HANDLE.format(1)), place(page, 0.7, 0.3))
        tap = place(page, 0.5, 0.08)
        page.swipe(tap, tap)
        save(page)

    line = lines_of(config_file)["entrance"]
    assert (*size, 0, 7) == (wide, high, small, reachable)
    assert line.end == pytest.approx((0.7, 0.3), abs=0.01)
    assert line.inside == pytest.approx((0.5, 0.08), abs=0.01)
    assert page.said == []


@pytest.mark.parametrize("size", PHONES)
def test_an_end_does_not_jump_to_the_finger_and_can_be_seen(
    browser: Browser, config_file: Path, size: tuple[int, int]
) -> None:
    """An end held at its rim moves by as much as the finger does; a magnifier shows it, away from the finger."""
    with footfall("setup", "door", "--config", str(config_file), "--port", "0") as command:
        page = opened(browser, command)
        page.be_phone(*size)
        page.wait("document.querySelector('#stage').getBoundingClientRect().width < 375")
        (left, top), (right, low) = place(page, 0, 0), place(page, 1, 1)
        x, y = page.middle(HANDLE.format(0))
        finger = (x + 15, y - 12)
        before = point(page)
        page._touch("touchStart", finger)
        page._touch("touchMove", (finger[0] + 1, finger[1]))
        touched = point(page)
        page._touch("touchMove", (finger[0] + 40, finger[1] + 20))
        page.wait("!document.querySelector('#magnifier').hidden")
        shown = page.run(
            "(() => { const b = document.querySelector('#magnifier').getBoundingClientRect();"
            " return [b.left, b.top, b.right, b.bottom]; })()"
        )
        # What stands in its middle is the end's ring and line, so not the ground of the picture.
        ring = page.run(
            "(() => { const c = document.querySelector('#magnifier');"
            " const d = c.getContext('2d').getImageData(c.width / 2 + 24, c.height / 2, 1, 1).data;"
            " return [...d].slice(0, 3); })()"
        )
        moved = point(page)
        page._touch("touchEnd")
        page.wait("document.querySelector('#magnifier').hidden")

    finger = (finger[0] + 40, finger[1] + 20)
    assert touched == before
    assert moved == pytest.approx([before[0] + 40 / (right - left), before[1] + 20 / (low - top)], abs=0.003)
    assert not (shown[0] - 20 < finger[0] < shown[2] + 20 and shown[1] - 20 < finger[1] < shown[3] + 20)
    assert ring == pytest.approx([0x2E, 0xC4, 0xB6], abs=40)
    assert page.said == []


def test_the_bar_says_what_is_saved(browser: Browser, config_file: Path) -> None:
    """Its words follow each change, undo and saving; what is undone to what the file holds is saved."""
    with footfall("setup", "door", "--config", str(config_file), "--port", "0") as command:
        page = opened(browser, command)
        told = [bar(page)]
        page.click("[data-nudge='1,0']")
        told.append(bar(page))
        page.click("#undo")
        told.append(bar(page))
        page.click(".flip")
        told.append(bar(page))
        save(page)
        told.append(bar(page))

    saved, unsaved = ("Saved", "Saved", False), ("Not saved", "Save…", True)
    assert told == [saved, unsaved, saved, unsaved, saved]
    assert lines_of(config_file)["entrance"].inside == pytest.approx((0.5, 0.2), abs=0.01)


def test_an_older_state_never_overtakes_a_newer_one(browser: Browser, config_file: Path) -> None:
    """While one state is on its way to the box, the next one waits: what is saved is what the page shows."""
    with footfall("setup", "door", "--config", str(config_file), "--port", "0") as command:
        page = opened(browser, command)
        page.run(
            "(() => { const send = fetch; window.arrived = []; window.fetch = async (path, request) => {"
            " if (path === '/lines' && !window.release) await new Promise((done) => { window.release = done; });"
            " if (path === '/lines') arrived.push(request.body);"
            " return send(path, request); }; })()"
        )
        page.click("[data-nudge='1,0']")
        page.wait("window.release")
        page.click(".flip")
        page.click("#save")
        page.run("release()")
        page.wait("document.querySelector('#review').open")
        newest = page.run("JSON.parse(arrived.at(-1)).lines[0]")
        page.click("#write")
        page.wait("!document.querySelector('#review').open && document.querySelector('#said').textContent")

    line = lines_of(config_file)["entrance"]
    assert line.start == pytest.approx((0.105, 0.55), abs=1e-3)
    assert line.inside == pytest.approx((0.5, 0.2), abs=0.01)
    assert newest["inside"] == pytest.approx(line.inside)


def test_what_was_changed_after_saving_is_told_as_lost(browser: Browser, config_file: Path) -> None:
    """Who leaves without saving is asked first; page and terminal then tell what was saved and what was not."""
    with footfall("setup", "door", "--config", str(config_file), "--port", "0") as command:
        page = opened(browser, command)
        page.click("[data-nudge='0,1']")
        save(page)
        kept = config_file.read_text(encoding="utf-8")
        page.click("[data-nudge='0,1']")
        page.click("#done")
        page.wait("document.querySelector('#leave').open")
        page.click("#stay")
        page.wait("!document.querySelector('#leave').open")
        page.click("#done")
        page.click("#leave-unsaved")
        page.wait("document.querySelector('#over').open")
        said = page.text("#over-said")
        code, told = command.end()

    assert said.startswith("The lines were saved, but your changes after that were not.")
    assert (0, True) == (code, "Saved; what was changed after that was not." in told)
    assert kept == config_file.read_text(encoding="utf-8")


def test_never_saved(browser: Browser, config_file: Path) -> None:
    """Who changes something and leaves is told that it was not saved."""
    before = config_file.read_text(encoding="utf-8")
    with footfall("setup", "door", "--config", str(config_file), "--port", "0") as command:
        page = opened(browser, command)
        page.click(".flip")
        page.click("#done")
        page.click("#leave-unsaved")
        page.wait("document.querySelector('#over').open")
        said = page.text("#over-said")
        _, told = command.end()

    assert said.startswith("Your changes were not saved.")
    assert "Ended; nothing was saved." in told
    assert before == config_file.read_text(encoding="utf-8")


def test_nudges(browser: Browser, config_file: Path) -> None:
    """An arrow moves the chosen end by half a hundredth, goes on while it is held, and moves a whole line, too."""
    with footfall("setup", "door", "--config", str(config_file), "--port", "0") as command:
        page = opened(browser, command)
        page.be_phone(375, 667)
        begun = [page.text("#which"), point(page, 0), point(page, 1)]
        arrow = page.middle("[data-nudge='1,0']")
        page.swipe(arrow, arrow)
        once = point(page, 0)
        page._touch("touchStart", arrow)
        page.wait("Number.parseFloat(document.querySelector('.handle').style.left) >= 13")
        page._touch("touchEnd")
        page.click("#undo")
        undone = point(page, 0)
        for _ in range(2):
            page.click("#which")
        whole = page.text("#which")
        page.click("[data-nudge='0,-1']")
        ends = [point(page, 0), point(page, 1)]

    assert begun == ["Left end", pytest.approx([0.1, 0.55], abs=1e-3), pytest.approx([0.9, 0.55], abs=1e-3)]
    assert once == undone == pytest.approx([0.105, 0.55], abs=1e-3)
    assert whole == "Whole line"
    assert ends == [pytest.approx([0.105, 0.545], abs=1e-3), pytest.approx([0.9, 0.545], abs=1e-3)]
    assert page.said == []


def test_delete_is_undone(browser: Browser, config_file: Path) -> None:
    """A deleted line comes back with its name and its place, also after the file was saved without it."""
    with footfall("setup", "door", "--config", str(config_file), "--port", "0") as command:
        page = opened(browser, command)
        page.click("#add")
        page.wait("document.querySelectorAll('.card').length === 2")
        page.click(".card .delete")
        said = page.text("#said")
        save(page)
        without = list(lines_of(config_file))
        page.click("#undo")
        page.wait("document.querySelectorAll('.card').length === 2")
        save(page)
        page.click("#undo")
        page.wait("document.querySelectorAll('.card').length === 1")
        state = bar(page)

    assert said == "entrance is deleted. Undo brings it back."
    assert without == ["line-2"]
    assert sorted(lines_of(config_file)) == ["entrance", "line-2"]
    assert lines_of(config_file)["entrance"].start == (0.1, 0.55)
    assert state[0] == "Not saved"
    assert page.said == []


def test_people_who_count_twice_are_told(browser: Browser, config_file: Path) -> None:
    """Once somebody has walked over both lines, each line's card says so and names the other."""
    with footfall("setup", "door", "--config", str(config_file), "--port", "0") as command:
        page = opened(browser, command)
        page.click("#add")
        page.wait(
            "document.querySelectorAll('.card').length === 2 && [...document.querySelectorAll('.card')].every((c) =>"
            " [...c.querySelectorAll('.advice li')].some((li) => li.textContent.startsWith('Counted twice')))"
        )
        told = page.run("[...document.querySelectorAll('.advice li')].map((li) => li.textContent)")

    assert any("crossed this line and line-2" in sentence for sentence in told)
    assert any("crossed this line and entrance" in sentence for sentence in told)


@pytest.mark.parametrize("name", ["<img-src=x-onerror=alert(1)>", "</script><script>alert(1)</script>", "javascript:x"])
def test_a_hostile_name_is_only_text(browser: Browser, config_file: Path, name: str) -> None:
    """Whatever is typed as a line's name stays text on the page and in what comes back, and is refused in the file."""
    before = config_file.read_text(encoding="utf-8")
    with footfall("setup", "door", "--config", str(config_file), "--port", "0") as command:
        page = opened(browser, command)
        elements = page.run("document.querySelectorAll('*').length")
        page.click("#add")
        page.wait("document.querySelectorAll('.card').length === 2")
        more = page.run("document.querySelectorAll('*').length")
        page.run("document.querySelector('.name').select()")
        page.write(name)
        page.click("#save")
        page.wait("document.querySelector('#said.bad').textContent")
        after = page.run("document.querySelectorAll('*').length - document.querySelectorAll('.advice li').length")
        page.click(".delete")
        said = page.text("#said")

    assert elements < more == after
    assert said.startswith(name[:32])
    assert before == config_file.read_text(encoding="utf-8")
    assert page.said == []


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_address_as_a_qr_code(is_terminal: bool) -> None:
    """A phone's camera reads the address from the terminal; in a file or a pipe there is no code."""
    server = Server(Site("setup.html", (), lambda: iter(()), {}), 0)
    printed = io.StringIO()
    try:
        show_address(Console(file=printed, force_terminal=is_terminal, color_system=None, width=200), server, "")
    finally:
        server.close()
    code = [row for row in printed.getvalue().splitlines() if set(row) & set("▀▄█") and len(row) > 20]
    halves = {" ": (0, 0), "▀": (255, 0), "▄": (0, 255), "█": (255, 255)}
    pixels = np.array([[halves[sign] for sign in row] for row in code], np.uint8)

    assert server.address in printed.getvalue()
    assert is_terminal == bool(code)
    if is_terminal:
        picture = pixels.transpose(0, 2, 1).reshape(2 * len(code), -1).repeat(8, axis=0).repeat(8, axis=1)
        assert server.address == cv2.QRCodeDetector().detectAndDecode(picture)[0]


def test_a_line_that_can_not_be_is_not_written(browser: Browser, config_file: Path) -> None:
    """While it is dragged to the picture's edge the page says what is wrong; saving says so too and writes nothing."""
    before = config_file.read_text(encoding="utf-8")
    with footfall("setup", "door", "--config", str(config_file), "--port", "0") as command:
        page = opened(browser, command)
        page.drag(place(page, 0.3, 0.55), place(page, 0.3, 0.05))
        page.wait("document.querySelector('.advice li:not(.fault)')?.textContent.startsWith('Too near')")
        page.drag(place(page, 0.3, 0.05), place(page, 0.3, 0.01))
        page.wait("document.querySelector('.advice .fault')")
        page.click("#save")
        page.wait("document.querySelector('#said.bad').textContent")
        said = page.text("#said")

    assert "entrance: the line leaves only" in said
    assert before == config_file.read_text(encoding="utf-8")
    assert [config_file] == list(config_file.parent.glob("*.yaml*"))


def test_a_second_user(browser: Browser, config_file: Path) -> None:
    """Another browser with the same address is refused, the terminal says so, and the first one goes on."""
    with footfall("setup", "door", "--config", str(config_file), "--port", "0") as command:
        first = opened(browser, command)
        second = browser.page()
        second.open(command.address)
        told = second.text("body")
        command.hear("another browser; refused")
        second.open(first.run("location.href"))
        again = second.text("body")
        first.run("document.querySelector('#left').textContent = ''")
        first.wait("document.querySelector('#left').textContent.startsWith('ends in')")

    assert "opened in another browser already" in told
    assert "belongs to one browser" in again


def test_it_ends_by_itself(browser: Browser, config_file: Path) -> None:
    """When its time is over the page says so, and the command ends well, with nothing saved."""
    with footfall("setup", "door", "--config", str(config_file), "--port", "0", "--minutes", "0.2") as command:
        page = browser.page()
        page.open(command.address)
        page.wait("document.querySelector('#over').open")
        said = page.text("#over-said")
        code, told = command.end()

    assert said.startswith("Nothing was saved. The camera counts again")
    assert code == 0
    assert "Ended; nothing was saved." in told


def test_what_the_page_is_told(browser: Browser, config_file: Path) -> None:
    """All that reaches the browser of a picture is cells of 96 x 72, and the page says so."""
    with footfall("setup", "door", "--config", str(config_file), "--port", "0") as command:
        page = opened(browser, command)
        event = json.loads(
            page.run(
                "new Promise((done) => { const s = new EventSource('/events');"
                " s.onmessage = (m) => { s.close(); done(m.data); }; })"
            )
        )
        cells = page.run(f"atob('{event['cells']}').length")
        largest = page.run(f"Math.max(...[...atob('{event['cells']}')].map((c) => c.charCodeAt(0)))")
        said = page.text("#privacy")

    assert (96, 72, 96 * 72) == (event["columns"], event["rows"], cells)
    assert largest <= 15
    assert "at most 96 \N{MULTIPLICATION SIGN} 72" in said


def test_sudo_does_not_hide_how_the_box_was_reached() -> None:
    """The ssh session is found in the shell above a sudo that took its variable away; without one there is none."""
    session = "192.0.2.9 50000 192.0.2.2 2222"
    ask = f"{sys.executable} -c 'from edge.technician.page_address import ssh_session; print(ssh_session())'"
    variables = {name: value for name, value in os.environ.items() if name != "SSH_CONNECTION"}
    said = [
        subprocess.run(
            # With something to do afterwards, no shell lets what it starts take its place.
            ["sh", "-c", f"env -u SSH_CONNECTION sh -c {shlex.quote(ask + '; :')}; :"],
            check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2], env=environment,
        ).stdout
        for environment in ({**variables, "SSH_CONNECTION": session}, variables)
    ]  # fmt: skip

    assert [f"{session.split()}\n", "None\n"] == said


# --- the service -----------------------------------------------------------------------------------------------------

UNIT = "footfall-vision@door.service"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_service_goes_on_whatever_ends_it(config_file: Path, tmp_path: Path, number: int) -> None:
    """Ctrl-C, a stop and a closed terminal all start the service's vision again, and take the timer back."""
    programs, notes = fake_systemd(tmp_path, active=True)
    with footfall("setup", "door", "--config", str(config_file), "--port", "0", path=[programs]) as command:
        command.hear("it goes on when this ends")
        command.process.send_signal(number)
        code, _ = command.end()

    assert code == 0
    assert notes.read_text(encoding="utf-8").splitlines() == [
        f"systemctl --quiet is-active {UNIT}",
        f"systemd-run --quiet --unit=footfall-resume-door --on-active=1020s --collect systemctl start {UNIT}",
        f"systemctl stop {UNIT}",
        "systemctl stop footfall-resume-door.timer",
        f"systemctl start {UNIT}",
    ]


@pytest.mark.parametrize(
    "during", ["*is-active*", "systemd-run*", f"*stop?{UNIT}", "*stop?footfall-resume*", f"*start?{UNIT}"]
)
def test_a_signal_while_systemd_is_asked(config_file: Path, tmp_path: Path, during: str) -> None:
    """Whatever systemd is being asked when the signal comes, the service runs again and nothing is left behind."""
    programs, notes = fake_systemd(tmp_path, active=True, during=during)
    with footfall(
        "setup", "door", "--config", str(config_file), "--port", "0", "--minutes", "0.05", path=[programs]
    ) as command:
        code, said = command.end()

    asked = notes.read_text(encoding="utf-8").splitlines()
    assert (0, True) == (code, "Ended; nothing was saved." in said)
    assert asked[-2:] == ["systemctl stop footfall-resume-door.timer", f"systemctl start {UNIT}"]


def test_a_service_that_does_not_run_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where systemd doesn't run this camera, nothing is stopped or started."""
    programs, notes = fake_systemd(tmp_path, active=False)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with systemd_state.paused("door", 60) as was_running:
        assert not was_running

    assert [f"systemctl --quiet is-active {UNIT}"] == notes.read_text(encoding="utf-8").splitlines()


def test_an_error_starts_it_again_too(tmp_path: Path) -> None:
    """A camera that isn't there ends setup with vision's own words and code, and the service is started again."""
    programs, notes = fake_systemd(tmp_path, active=True)
    path = tmp_path / "footfall.yaml"
    path.write_text(CONFIG.format(clip="/dev/video77", folder=tmp_path), encoding="utf-8")
    with footfall("setup", "door", "--config", str(path), "--port", "0", path=[programs]) as command:
        code, told = command.end()

    assert code == 74
    assert "camera /dev/video77: there is no such device; plug the camera in" in told
    assert "the vision process of door ended (exit code 74)" in told
    assert notes.read_text(encoding="utf-8").splitlines()[-1] == f"systemctl start {UNIT}"


def test_killed_vision_ends_with_it(config_file: Path) -> None:
    """A setup that is killed leaves no vision behind: with nobody at its window it ends by itself."""
    with footfall("setup", "door", "--config", str(config_file), "--port", "0") as command:
        command.hear("sealed: ")
        children = Path(f"/proc/{command.process.pid}/task/{command.process.pid}/children")
        (vision,) = children.read_text(encoding="ascii").split()
        command.process.kill()
        command.end()

    wait_until(lambda: not lives(int(vision)), "vision to be gone")
