"""A boot without a network and in 1970, and a time server that lies: people stay in the hour they came in."""

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
BELIEVED = "has lasted for two minutes; the hours of this boot are rebuilt"


def counted(made: Shop) -> tuple[int, int]:
    """Return what the odometers of all runs say: in, out."""
    rows = made.ledger("SELECT max(in_), max(out) FROM readings GROUP BY stream")
    return sum(int(str(in_)) for in_, _ in rows), sum(int(str(out)) for _, out in rows)


def people(made: Shop) -> dict[str, tuple[int, int]]:
    """Return headquarters' hours that have people: in, out."""
    hours = {start: (int(str(hour["in"])), int(str(hour["out"]))) for start, hour in made.hq.hours().items()}
    return {start: both for start, both in hours.items() if any(both)}


def times_believed(made: Shop) -> int:
    """Return how often the publisher took a jump of the clock for true."""
    return made.box.ssh(f"journalctl -o cat --no-pager -u {PUBLISHER}").stdout.count(BELIEVED)


def test_a_boot_in_1970_without_a_network_and_a_time_server_that_lies(tmp_path: Path) -> None:
    """
    The box counts before it has a network and knows the time, and what it counted is placed later. A time server that
    is wrong by a day moves it for as long as it lies; once it tells the truth, everybody is in the right hour, once.
    """
    with shop(tmp_path, installed(tmp_path)) as made:
        camera = Camera(pictures.walking(3), fps=1)
        made.box.power(clock="1970-01-01T00:00:10", cable=False)
        made.plug(camera)
        wait_until(lambda: camera.commits, "the camera to be opened on a box without network and time")
        camera.give(90)

        made.box.cable(plugged=True)
        made.box.wait_for_ssh()
        print(made.box.ssh("date; dmesg | grep -i 'system clock'; timedatectl").stdout)
        made.box.ssh(f"sed -i 's/port: [0-9]*/port: {made.hq.port}/' /etc/footfall/footfall.yaml")
        made.box.ssh(f"systemctl restart {PUBLISHER}")
        made.more_readings("without a clock")
        assert "1970-01-01" in made.box.ssh("dmesg | grep -i 'system clock'").stdout
        assert "no" == made.box.ssh("timedatectl show --property=NTPSynchronized --value").stdout.strip()
        assert [] == made.ledger("SELECT * FROM hours")
        assert "not synchronised" in made.footfall("status", check=False).stdout
        wait_until(lambda: sum(counted(made)) > 0, "somebody to be counted")
        made.pull()
        made.more_readings("after the camera was pulled")
        truth = counted(made)

        with TimeServer(BEGINS) as server:
            wait_until(lambda: people(made) == {HOUR: truth}, "the hour to arrive")
            print(made.hq.hours())

            server.lie_s = A_DAY_AND_MORE_S
            wait_until(lambda: times_believed(made) == 1, "the lie to be believed")
            server.lie_s = 0
            wait_until(lambda: times_believed(made) == 2, "the truth to be believed")
            wait_until(lambda: people(made) == {HOUR: truth}, "everybody to be in the right hour again")
            print(made.hq.hours())
