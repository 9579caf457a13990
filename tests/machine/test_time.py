"""A boot without a network and in 1970, and a time server that lies: what was seen stays in its hour."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.machine import pictures
from tests.machine.guest import wait_until
from tests.machine.shop import PUBLISHER, Shop, installed, needed, shop
from tests.machine.time_server import TimeServer, port_is_taken
from tests.machine.uvc import Camera

pytestmark = [
    *needed,
    pytest.mark.skipif(port_is_taken(), reason="another program serves the time on this host: port 123 is taken"),
]
BEGINS, HOUR = "2031-05-06T10:55:00+08:00", "2031-05-06T10:00:00+08:00"
A_DAY_AND_MORE_S = 26 * 3600
SEEN = "SELECT max(watched_ms) FROM readings WHERE stream = (SELECT max(id) FROM streams)"
"""Asks how long the newest run of vision has watched, ms."""
BELIEVED = "has lasted for two minutes; the hours of this boot are rebuilt"


def watched(made: Shop) -> dict[str, tuple[int, int, int]]:
    """Return headquarters' hours in which the door was watched: in, out, seconds."""
    hours = made.hq.hours().items()
    numbers = {start: tuple(int(str(hour[key])) for key in ("in", "out", "watched_s")) for start, hour in hours}
    return {start: (in_, out, seconds) for start, (in_, out, seconds) in numbers.items() if seconds}


def times_believed(made: Shop) -> int:
    """Return how often the publisher took a jump of the clock for true."""
    return made.box.ssh(f"journalctl -o cat --no-pager -u {PUBLISHER}").stdout.count(BELIEVED)


def test_a_boot_in_1970_without_a_network_and_a_time_server_that_lies(tmp_path: Path) -> None:
    """
    The box counts before it has a network and knows the time, and what it counted is placed later. A time server that
    is wrong by a day moves it for as long as it lies; once it tells the truth, everything is in the right hour, once.
    """
    with shop(tmp_path, installed(tmp_path)) as made:
        camera = Camera(pictures.walking(), fps=0.5)
        made.box.power(clock="1970-01-01T00:00:10", cable=False)
        made.plug(camera)
        wait_until(lambda: camera.commits, "the camera to be opened on a box without network and time")
        camera.give(30)

        made.box.cable(plugged=True)
        made.box.wait_for_ssh()
        print(made.box.ssh("date; dmesg | grep -i 'system clock'; timedatectl").stdout)
        made.find_headquarters()
        made.more_readings("without a clock")
        assert "1970-01-01" in made.box.ssh("dmesg | grep -i 'system clock'").stdout
        assert "no" == made.box.ssh("timedatectl show --property=NTPSynchronized --value").stdout.strip()
        assert [] == made.ledger("SELECT * FROM hours")
        assert "not synchronised" in made.footfall("status", check=False).stdout
        made.pull()
        made.more_readings("after the camera was pulled")
        seen_ms = int(str(made.ledger(SEEN)[0][0]))

        with TimeServer(BEGINS) as server:
            wait_until(lambda: watched(made), "the hour to arrive")
            print(made.hq.hours())
            truth = watched(made)
            assert [HOUR] == list(truth)
            assert abs(truth[HOUR][2] - seen_ms / 1000) <= 1

            server.lie_s = A_DAY_AND_MORE_S
            wait_until(lambda: times_believed(made) == 1, "the lie to be believed")
            wait_until(lambda: list(watched(made)) not in ([], [HOUR]), "the lie to reach headquarters")
            server.lie_s = 0
            wait_until(lambda: times_believed(made) == 2, "the truth to be believed")
            wait_until(lambda: watched(made) == truth, "everything to be in the right hour again")
            print(made.hq.hours())
