"""
People who are counted through a real uvcvideo, sealed: what no stand-in for a camera can show.

An emulated processor is too slow for 15 pictures a second. So time is slowed for box and camera alike: the camera gives
a picture every other second, and the clock of the trial lets a fifteenth of a second pass meanwhile.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from tests.machine.guest import wait_until
from tests.machine.pictures import TRUTH, Film
from tests.machine.shop import PUBLISHER, VISION, installed, needed, shop
from tests.machine.uvc import RATE, Camera

pytestmark = needed

FPS = float(os.environ.get("FOOTFALL_MACHINE_FPS", "0.5"))
"""Pictures a second of real time; a machine that is too slow for it is told of, and the number may be lowered."""
START_MS = int(datetime.fromisoformat("2026-03-02T09:30:00+08:00").timestamp() * 1000)
HOUR = "2026-03-02T09:00:00+08:00"
FAST = 10
"""How fast the publisher's clock runs once everybody has passed, so that the hour is over at once."""


def test_real_people_are_counted_through_uvcvideo(tmp_path: Path) -> None:
    """The demo clip's 8 in and 5 out come out of a camera behind uvcvideo exactly, sealed, and reach headquarters."""
    with shop(tmp_path, installed(tmp_path)) as made:
        film = Film()
        made.box.power()
        made.plug(camera := Camera(film, FPS))
        made.box.wait_for_ssh()
        made.configure(made.config)
        made.box.ssh("systemctl stop footfall.target")
        clock = made.clock(FPS / RATE, START_MS)
        made.start_with(clock, PUBLISHER)
        made.start_with(clock, VISION)
        wait_until(made.sealed, "vision to be sealed")
        camera.give(10)
        began = camera.given
        film.play()
        wait_until(film.over.is_set, "the clip to be over", 600 / FPS * 2)
        camera.give(60)
        shown = camera.given - began
        assert made.sealed()
        made.box.ssh("systemctl stop footfall-vision@door")
        made.box.ssh(f"systemctl stop {PUBLISHER}")
        made.start_with(clock.at(FAST), PUBLISHER)
        wait_until(lambda: HOUR in made.hq.hours(), "the hour to reach headquarters")
        hour = made.hq.hours()[HOUR]
        newest = "SELECT max(frames) FROM readings WHERE stream = (SELECT max(id) FROM streams)"
        looked = int(str(made.ledger(newest)[0][0]))
        print(f"{shown} pictures shown since the film began, {looked} looked at; {hour}")

        assert shown <= looked, "this machine is too slow: lower FOOTFALL_MACHINE_FPS"
        assert (*TRUTH,) == (hour["in"], hour["out"])
