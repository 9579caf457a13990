"""
Power cuts of a whole machine: while it counts, inside an update, inside the way back; and on disks that lose writes.

qemu is killed: what the guest's kernel hadn't written is gone. For disks that keep what they were given in a volatile
memory, every write is recorded, and disks are rebuilt that have lost some of what wasn't flushed.
"""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
from pathlib import Path

from tests.machine import pictures
from tests.machine.guest import Machine, overlay, wait_until
from tests.machine.recorded_disk import RecordedDisk, Write, checked, copied_out
from tests.machine.shop import IDLE_FPS, VISION, Shop, installed, needed, shop
from tests.machine.uvc import Camera
from tests.system.versions import Version

pytestmark = needed

CUTS = int(os.environ.get("FOOTFALL_MACHINE_CUTS", "25"))
"""How many disks are rebuilt."""
LEDGER = "/var/lib/footfall/ledger.sqlite"
NEWEST = (
    "SELECT max(boot_ms) FROM readings r JOIN streams s ON s.id = r.stream"
    " WHERE s.boot = (SELECT max(boot) FROM streams)"
)
"""Asks for the newest reading of the last boot that has any."""


def newest(made: Shop) -> int:
    """Return the boot time of this boot's newest reading in the ledger, ms."""
    return int(str(made.ledger(NEWEST)[0][0]))


def boots(made: Shop) -> dict[str, int]:
    """Return the boot time of the newest reading of each boot, ms."""
    rows = made.ledger(
        "SELECT b.boot_id, max(r.boot_ms) FROM readings r JOIN streams s ON s.id = r.stream"
        " JOIN boots b ON b.id = s.boot GROUP BY b.id"
    )
    return {str(boot): int(str(boot_ms)) for boot, boot_ms in rows}


def boot_again(made: Shop, camera: Camera, disk: tuple[str, ...] | None = None) -> None:
    """Give the box its power back, with its camera still plugged in."""
    for where in list(made.plugs):
        made.pull(where)
    made.box.power(disk=disk)
    made.plug(camera)
    made.box.wait_for_ssh()
    made.find_headquarters()


def release(box: Machine) -> str:
    """Return the release that the box would run if it booted now."""
    return box.ssh("readlink /opt/footfall/current").stdout.strip().rpartition("/")[2]


def begin(made: Shop, version: Version, *arguments: str) -> subprocess.Popen[bytes]:
    """Begin deploy.sh of another version towards the box."""
    with (made.scratch / "deploy.log").open("ab") as log:
        return subprocess.Popen(
            [version.script, *arguments, made.box.host], env=made.box.deploy_environment, stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def end(deploying: subprocess.Popen[bytes]) -> None:
    """Wait until deploy.sh has noticed that its box is gone."""
    deploying.wait(600)


def test_power_cuts_while_counting_and_inside_updates(tmp_path: Path) -> None:
    """
    What was in the ledger is in it after each cut. A cut inside an update leaves the old release or the new one, which
    counts; the same command then ends the update. Likewise a cut inside the way back.
    """
    version = Version(tmp_path / "version")
    version.set("0.1.99")
    with shop(tmp_path, installed(tmp_path)) as made:
        camera = Camera(pictures.walking(), IDLE_FPS)
        boot_again(made, camera)
        made.more_readings("after the first boot")
        before = boots(made)
        made.box.cut()
        boot_again(made, camera)
        made.more_readings("after a power cut while counting")
        assert all(boots(made)[boot] >= boot_ms for boot, boot_ms in before.items())
        assert not made.box.ssh("ls /var/lib/footfall/*aside*", check=False).stdout

        old = release(made.box)
        deploying = begin(made, version, "update")
        wait_until(lambda: not made.box.ssh("test -e /opt/footfall/trial", check=False).returncode, "the trial", 3000)
        made.box.cut()
        end(deploying)
        boot_again(made, camera)
        made.more_readings("after a power cut inside an update")
        assert made.sealed()
        print(f"after the cut inside the update: {release(made.box)}, before it {old}")

        said = made.box.deploy("update", made.box.host, script=version.script)
        assert 0 == said.returncode, said.stderr
        new = release(made.box)
        assert new.startswith("0.1.99-")

        deploying = begin(made, version, "rollback")
        wait_until(lambda: release(made.box) != new, "the way back to switch")
        made.box.cut()
        end(deploying)
        boot_again(made, camera)
        made.more_readings("after a power cut inside a roll-back")
        assert release(made.box) in (old, new)
        assert made.told(VISION, "StatusText") == ["sealed"]
        assert all(boots(made)[boot] >= boot_ms for boot, boot_ms in before.items())


def test_disks_that_lose_what_was_not_flushed(tmp_path: Path) -> None:
    """
    However the disk loses what it wasn't told to keep: its file system can be mended, the ledger is sound, and no
    reading is gone that was in it at the last look before the cut; a box boots from such a disk and counts.
    """
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    looks: list[tuple[int, int]] = []
    with shop(tmp_path, installed(tmp_path)) as made:
        recorded = RecordedDisk(made.box.folder, made.box.disk)
        camera = Camera(pictures.walking(), IDLE_FPS)
        boot_again(made, camera, recorded.options)
        while len(looks) < 8:
            made.more_readings("while the disk is recorded")
            found = newest(made)
            # What was seen was written before.
            looks.append((len(recorded.writes()), found))
        made.box.cut()
        writes = recorded.writes()
        for _ in range(CUTS):
            upto = dice.randrange(looks[0][0], len(writes) + 1)
            known = max(found for many, found in looks if many <= upto)
            disk = made.box.folder / "cut.raw"
            lost = recorded.cut(disk, writes[:upto], dice)
            checked(disk)
            kept = newest_on(disk, tmp_path)
            print(f"cut after {upto} of {len(writes)} writes, {lost} lost: newest reading {kept}, known {known}")
            assert kept >= known
        boot_from(made, camera, recorded, writes, dice)


def boot_from(made: Shop, camera: Camera, recorded: RecordedDisk, writes: list[Write], dice: random.Random) -> None:
    """Boot the box from one of the disks, as the cut left it: it mends itself and counts."""
    disk = made.box.folder / "cut.raw"
    recorded.cut(disk, writes, dice)
    made.box.disk.unlink()
    overlay(made.box.disk, disk, "raw")
    boot_again(made, camera)
    made.more_readings("on a disk that has lost writes")
    assert made.sealed()


def newest_on(disk: Path, folder: Path) -> int:
    """Return the boot time of the newest reading on *disk*, ms; AssertionError if its ledger isn't sound."""
    for name in ("ledger.sqlite", "ledger.sqlite-wal"):
        (folder / name).unlink(missing_ok=True)
    copied_out(disk, [LEDGER, f"{LEDGER}-wal"], folder)
    ledger = sqlite3.connect(folder / "ledger.sqlite")
    try:
        assert [("ok",)] == ledger.execute("PRAGMA integrity_check").fetchall()
        assert (0,) == ledger.execute(
            "SELECT count(*) - count(DISTINCT stream || '/' || sequence) FROM readings"
        ).fetchone()
        rows = ledger.execute(NEWEST)
        found: int = rows.fetchone()[0]
    finally:
        ledger.close()
    return found
