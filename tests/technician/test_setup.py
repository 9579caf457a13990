"""`footfall setup`, the real command with a sealed vision on the demo clip, and the real page in a real Chromium."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge.config import schema
from edge.technician import systemd_state
from tests.publisher.rig import wait_until
from tests.technician.chromium import Browser, Page
from tests.technician.visit import CONFIG, Command, fake_systemd, footfall

pytestmark = pytest.mark.processes

HANDLE = '.handle[data-line="1"][data-at="{}"]'


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
    assert "+      front-door: {from: [0.2, 0.69" in shown
    assert page.said == []
    assert {request.split("/")[2] for request in page.asked} == {address.split("/")[2]}


def test_phone(browser: Browser, config_file: Path) -> None:
    """On a phone of 375 px nothing is wider than the screen, an end follows a finger, a tap turns the shop's side."""
    with footfall("setup", "door", "--config", str(config_file), "--port", "0") as command:
        page = opened(browser, command)
        page.be_phone(375, 667)
        page.wait("document.querySelector('#stage').getBoundingClientRect().width < 375")
        wide = page.run("document.documentElement.scrollWidth")
        small = page.run(
            "[...document.querySelectorAll('button')].filter((b) => b.offsetParent && b.offsetHeight < 40).length"
        )
        page.swipe(page.middle(HANDLE.format(1)), place(page, 0.7, 0.3))
        tap = place(page, 0.5, 0.08)
        page.swipe(tap, tap)
        save(page)

    line = lines_of(config_file)["entrance"]
    assert (375, 0) == (wide, small)
    assert line.end == pytest.approx((0.7, 0.3), abs=0.01)
    assert line.inside == pytest.approx((0.5, 0.08), abs=0.01)
    assert page.said == []


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
        first.wait("document.querySelector('#left').textContent.startsWith('ends by itself in')")

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
    ask = f"{sys.executable} -c 'from edge.technician.setup.process import ssh_session; print(ssh_session())'"
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
    assert "the vision of door ended (exit code 74)" in told
    assert notes.read_text(encoding="utf-8").splitlines()[-1] == f"systemctl start {UNIT}"


def lives(process: int) -> bool:
    """Tell whether a process runs; one that only waits to be asked for its exit code doesn't."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_killed_vision_ends_with_it(config_file: Path) -> None:
    """A setup that is killed leaves no vision behind: with nobody at its window it ends by itself."""
    with footfall("setup", "door", "--config", str(config_file), "--port", "0") as command:
        command.hear("sealed: ")
        children = Path(f"/proc/{command.process.pid}/task/{command.process.pid}/children")
        (vision,) = children.read_text(encoding="ascii").split()
        command.process.kill()
        command.end()

    wait_until(lambda: not lives(int(vision)), "vision to be gone")
