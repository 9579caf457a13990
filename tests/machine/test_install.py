"""
A whole machine from a plain Debian to sealed and counting: its own kernel, a camera behind uvcvideo, real ssh.

Runs only where it is asked for: FOOTFALL_MACHINE=1, as root. CONTRIBUTING.md says what it takes.
"""

from __future__ import annotations

from pathlib import Path

from tests.machine import pictures
from tests.machine.guest import wait_until
from tests.machine.shop import VISION, installed, needed, shop
from tests.machine.uvc import Camera

pytestmark = needed


def test_one_command_makes_a_plain_debian_count_sealed(tmp_path: Path) -> None:
    """
    `deploy.sh install` over ssh ends with a box that counts through uvcvideo. Booted again it counts by itself: vision
    is sealed, `privacy` finds nothing amiss under the kernel that the box really has, and the same command again
    changes nothing.
    """
    disk = installed(tmp_path)
    said = disk.with_suffix(".log").read_text(encoding="utf-8")
    print(said)
    assert "counts door" in said

    with shop(tmp_path, disk) as made:
        made.box.power()
        made.plug(camera := Camera(pictures.walking(), fps=1))
        made.box.wait_for_ssh()
        wait_until(made.sealed, "vision to be sealed")
        made.more_readings("after the boot")
        print(made.box.ssh("uname -r; dmesg | grep -i -e uvc -e 'usb 1-'; ls -l /dev/v4l/by-*").stdout)
        assert camera.commits >= 1

        privacy = made.footfall("privacy", check=False)
        print(privacy.stdout)
        assert 0 == privacy.returncode, privacy.stdout + privacy.stderr
        print(made.footfall("check", check=False).stdout, made.footfall("status", check=False).stdout)

        before = made.told(VISION, "MainPID", "NRestarts")
        again = made.box.deploy("install", made.box.host)
        assert "nothing to change: " in again.stderr.splitlines()[-1], again.stderr
        assert before == made.told(VISION, "MainPID", "NRestarts")
