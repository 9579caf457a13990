"""A whole machine whose disk is full before its publisher starts, with no room set aside: what waits is sent."""

from __future__ import annotations

import json
import shlex
from datetime import datetime

from tests.machine.guest import wait_until
from tests.machine.image import GATEWAY
from tests.machine.shop import BY_ID, CONFIG, PUBLISHER, VISION, Shop, needed
from tests.publisher.rig import free_port

pytestmark = needed

DAY = "2026-04-07"
START_MS = int(datetime.fromisoformat(f"{DAY}T09:00:00+08:00").timestamp() * 1000)
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


def test_a_publisher_that_starts_on_a_full_disk(booted: Shop) -> None:
    """
    Hours that wait reach headquarters from a full disk, the status names it, `status` and `counts` work, and vision
    goes on in the same process; once there is room, what was sent and counted is in the ledger.
    """
    nobody = CONFIG.format(source=BY_ID.format("0001"), gateway=GATEWAY, port=free_port())
    booted.box.ssh("systemctl stop footfall.target")
    booted.box.write("/etc/footfall/footfall.yaml", nobody)
    clock = booted.clock(SPEED, START_MS)
    booted.start_with(clock, PUBLISHER)
    booted.start_with(clock, VISION)
    wait_until(lambda: len(waiting(booted)) >= 2, "two hours to wait for a broker that isn't there")
    booted.box.ssh(f"systemctl stop {PUBLISHER}")
    hours = waiting(booted)
    vision = booted.told(VISION, "MainPID")

    fill(booted)
    booted.box.write("/etc/footfall/footfall.yaml", booted.config)
    booted.start_with(clock, PUBLISHER)
    wait_until(lambda: set(hours) <= set(booted.hq.hours()), "the hours to reach headquarters")
    wait_until(lambda: "DISK FULL" in booted.told(PUBLISHER, "StatusText")[0], "the status to name the full disk")
    counts = booted.footfall(f"counts --csv --from {DAY} --to {DAY}")
    status = booted.footfall("status", check=False)
    log = booted.box.ssh(f"journalctl -o cat --no-pager -n 20 -u {PUBLISHER}").stdout
    print(counts.stdout, status.stdout, log)
    assert len(hours) <= len(counts.stdout.splitlines()) - 1
    assert "door" in status.stdout
    assert "hours are sent from a copy in memory" in log
    assert ["0"] == booted.told(PUBLISHER, "NRestarts")

    readings = booted.readings()
    booted.box.ssh("rm /var/tmp/filling")
    wait_until(lambda: not set(waiting(booted)) & set(hours), "the ledger to know what was sent")
    assert booted.readings() > readings
    assert vision == booted.told(VISION, "MainPID")
    wait_until(lambda: "DISK FULL" not in booted.told(PUBLISHER, "StatusText")[0], "the status to be as before")
    booted.as_installed()


def waiting(made: Shop) -> list[str]:
    """Return the starts of the hours that no broker has acknowledged, as the ledger on the disk says."""
    rows = made.ledger("SELECT CAST(payload AS TEXT) FROM hours WHERE delivered_ms IS NULL ORDER BY start_ms")
    return [str(json.loads(str(payload))["start"]) for (payload,) in rows]
