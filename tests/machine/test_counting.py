"""
People who are counted through a real uvcvideo, sealed: what no stand-in for a camera can show.

An emulated processor is too slow for 15 pictures a second. So time is slowed for box and camera alike: the machine's
clock goes by the instructions that it has run, the camera gives a picture whenever that clock has gone on by a second,
and the clock of the trial lets a fifteenth of a second pass meanwhile. How busy the host is changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from tests.machine.guest import wait_until
from tests.machine.pictures import TRUTH, Film
from tests.machine.shop import PUBLISHER, VISION, installed, needed, shop
from tests.machine.uvc import RATE, Camera

pytestmark = needed

FPS = 1
"""Pictures a second of the machine's own clock."""
LONGEST_S = 7_200.0
"""How long the clip may take on a busy host, s."""
START_MS = int(datetime.fromisoformat("2026-03-02T09:30:00+08:00").timestamp() * 1000)
HOUR = "2026-03-02T09:00:00+08:00"
FAST = 10
"""How fast the publisher's clock runs once everybody has passed, so that the hour is over at once."""


def test_real_people_are_counted_through_uvcvideo(tmp_path: Path) -> None:
    """The demo clip's 8 in and 5 out come out of a camera behind uvcvideo exactly, sealed, and reach headquarters."""
    with shop(tmp_path, installed(tmp_path)) as made:
        film = Film()
        made.box.power(counted=True, masked="footfall.target")
        made.plug(camera := Camera(film, FPS, made.box.seconds))
        made.box.wait_for_ssh()
        # The camera goes by the machine's battery-backed clock: nobody on this host may set it.
        made.box.ssh("systemctl stop systemd-timesyncd")
        made.box.write("/etc/footfall/footfall.yaml", made.config)
        clock = made.clock(FPS / RATE, START_MS)
        made.start_with(clock, PUBLISHER)
        made.start_with(clock, VISION)
        wait_until(made.sealed, "vision to be sealed")
        camera.give(10)
        began = camera.given
        film.play()
        wait_until(film.over.is_set, "the clip to be over", LONGEST_S)
        camera.give(45)
        shown = camera.given - began
        assert made.sealed()
        made.box.ssh(f"systemctl stop {VISION}; systemctl stop {PUBLISHER}")
        made.start_with(clock.at(FAST), PUBLISHER)
        wait_until(lambda: HOUR in made.hq.hours(), "the hour to reach headquarters")
        hour = made.hq.hours()[HOUR]
        newest = "SELECT max(frames) FROM readings WHERE stream = (SELECT max(id) FROM streams)"
        looked = int(str(made.ledger(newest)[0][0]))
        print(f"{shown} pictures since the film began, {began} before it; {looked} looked at in all; {hour}")

        assert shown <= looked, "the box was too slow to look at every picture"
        assert (*TRUTH,) == (hour["in"], hour["out"])
