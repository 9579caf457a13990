"""
People who are counted through a real uvcvideo, sealed: what no stand-in for a camera can show.

An emulated processor is too slow for 15 pictures a second. So time is slowed for box and camera alike: the camera gives
a picture every other second, and the clock of the trial lets a fifteenth of a second pass meanwhile.
"""

from __future__ import annotations

import os
from datetime import datetime

from tests.machine.guest import wait_until
from tests.machine.pictures import TRUTH, Film
from tests.machine.shop import PUBLISHER, VISION, Shop, needed
from tests.machine.uvc import RATE, Camera

pytestmark = needed

FPS = float(os.environ.get("FOOTFALL_MACHINE_FPS", "0.5"))
"""Pictures a second of real time; a machine that is too slow for it is told of, and the number may be lowered."""
START_MS = int(datetime.fromisoformat("2026-03-02T09:30:00+08:00").timestamp() * 1000)
HOUR = "2026-03-02T09:00:00+08:00"
FAST = 10
"""How fast the publisher's clock runs once everybody has passed, so that the hour is over at once."""


def test_real_people_are_counted_through_uvcvideo(booted: Shop) -> None:
    """The demo clip's 8 in and 5 out come out of a camera behind uvcvideo exactly, sealed, and reach headquarters."""
    booted.box.ssh("systemctl stop footfall.target")
    film = Film()
    booted.pull()
    booted.plug(camera := Camera(film, FPS))
    clock = booted.clock(FPS / RATE, START_MS)
    booted.start_with(clock, PUBLISHER)
    booted.start_with(clock, VISION)
    wait_until(booted.sealed, "vision to be sealed")
    camera.give(10)
    began = camera.given
    film.play()
    wait_until(film.over.is_set, "the clip to be over", 600 / FPS * 2)
    camera.give(45)
    shown = camera.given - began
    assert booted.sealed()
    booted.box.ssh(f"systemctl stop {VISION}; systemctl stop {PUBLISHER}")
    booted.start_with(clock.at(FAST), PUBLISHER)
    wait_until(lambda: HOUR in booted.hq.hours(), "the hour to reach headquarters")
    hour = booted.hq.hours()[HOUR]
    newest = "SELECT max(frames) FROM readings WHERE stream = (SELECT max(id) FROM streams)"
    looked = int(str(booted.ledger(newest)[0][0]))
    print(f"{shown} pictures since the film began, {looked} looked at; {hour}")
    booted.as_installed()

    slow = f"{looked} of {shown} pictures were looked at; if that is few, lower FOOTFALL_MACHINE_FPS"
    assert (*TRUTH,) == (hour["in"], hour["out"]), slow
