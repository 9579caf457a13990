"""A whole machine whose disk is full before its publisher starts, with no room set aside: what waits is sent."""

from __future__ import annotations

import json
import shlex
from datetime import datetime
from pathlib import Path

from tests.machine import pictures
from tests.machine.guest import wait_until
from tests.machine.image import GATEWAY
from tests.machine.shop import BY_ID, CONFIG, PUBLISHER, VISION, Shop, installed, needed, shop
from tests.machine.uvc import Camera
from tests.publisher.rig import free_port

pytestmark = needed

START_MS = int(datetime.fromisoformat("2026-03-02T09:00:00+08:00").timestamp() * 1000)
SPEED = 60
"""How fast the box's clock runs: an hour a minute."""
FILL = (
    "for size in 1G 100M 10M 1M 100K 10K 1K; do"
    " while fallocate -o $(stat -c %s /var/tmp/filling) -l $size /var/tmp/filling; do :; done; done"
)
"""Leaves nobody but root any room."""


def fill(made: Shop) -> None:
    """Fill the box's disk, but for what the file system keeps for root."""
    made.box.ssh("rm -f /var/lib/footfall/ledger.sqlite.reserve")
    made.box.ssh(f"runuser -u tech -- bash -c {shlex.quote('touch /var/tmp/filling; ' + FILL)}", check=False)
    assert 0 == int(made.box.ssh("df --output=avail -B1 / | tail -1").stdout)


def test_a_publisher_that_starts_on_a_full_disk(tmp_path: Path) -> None:
    """
    Hours that wait reach headquarters from a full disk, the status names it, `status` and `counts` work, and vision
    goes on in the same process; once there is room, what was sent and counted is in the ledger.
    """
    with shop(tmp_path, installed(tmp_path)) as made:
        made.box.power()
        made.plug(Camera(pictures.walking(), fps=1))
        made.box.wait_for_ssh()
        made.configure(CONFIG.format(source=BY_ID.format("0001"), gateway=GATEWAY, port=free_port()))
        made.box.ssh("systemctl stop footfall.target")
        clock = made.clock(SPEED, START_MS)
        made.start_with(clock, PUBLISHER)
        made.start_with(clock, VISION)
        wait_until(lambda: len(waiting(made)) >= 2, "two hours to wait for a broker that isn't there")
        made.box.ssh(f"systemctl stop {PUBLISHER}")
        hours = waiting(made)
        vision = made.told(VISION, "MainPID")

        fill(made)
        made.box.write("/etc/footfall/footfall.yaml", made.config)
        made.start_with(clock, PUBLISHER)
        wait_until(lambda: set(hours) <= set(made.hq.hours()), "the hours to reach headquarters")
        wait_until(lambda: "DISK FULL" in made.told(PUBLISHER, "StatusText")[0], "the status to name the full disk")
        counts = made.footfall("counts --csv")
        status = made.footfall("status", check=False)
        print(counts.stdout, status.stdout, made.box.ssh(f"journalctl -o cat --no-pager -n 20 -u {PUBLISHER}").stdout)
        assert len(hours) <= len(counts.stdout.splitlines()) - 1
        assert "door" in status.stdout
        assert ["0"] == made.told(PUBLISHER, "NRestarts")

        readings = made.readings()
        made.box.ssh("rm /var/tmp/filling")
        wait_until(lambda: not set(waiting(made)) & set(hours), "the ledger to know what was sent")
        assert made.readings() > readings
        assert vision == made.told(VISION, "MainPID")
        assert "DISK FULL" not in made.told(PUBLISHER, "StatusText")[0]


def waiting(made: Shop) -> list[str]:
    """Return the starts of the hours that no broker has acknowledged, as the ledger on the disk says."""
    rows = made.ledger("SELECT CAST(payload AS TEXT) FROM hours WHERE delivered_ms IS NULL ORDER BY start_ms")
    return [str(json.loads(str(payload))["start"]) for (payload,) in rows]
