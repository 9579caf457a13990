"""
A whole machine from a plain Debian to sealed and counting: its own kernel, a camera behind uvcvideo, real ssh.

Runs only where it is asked for: FOOTFALL_MACHINE=1, as root. CONTRIBUTING.md says what it takes.
"""

from __future__ import annotations

import time
from pathlib import Path

from tests.machine import pictures
from tests.machine.shop import VISION, installed_disk, keep, needed, shop
from tests.machine.uvc import Camera

pytestmark = needed


def test_one_command_makes_a_plain_debian_count_sealed(tmp_path: Path) -> None:
    """
    `deploy.sh install` over ssh ends with a box that counts through uvcvideo; vision is sealed, `privacy` finds nothing
    amiss under the kernel that the box really has, `check` has nothing to say against seal and camera, and the same
    command again changes nothing.
    """
    disk = installed_disk()
    with shop(tmp_path) as made:
        made.box.power()
        made.plug(camera := Camera(pictures.walking(), fps=2))
        made.box.wait_for_ssh()
        began = time.monotonic()
        said = made.install()
        print(f"install: {time.monotonic() - began:.0f} s\n{said.stderr}")

        assert 0 == said.returncode, said.stderr
        assert said.stderr.splitlines()[-1].endswith("counts door")
        assert made.sealed()
        assert camera.commits >= 1
        print(
            made.box.ssh("uname -r; dmesg | grep -i -e uvc -e 'usb 1-'; ls -l /dev/v4l/by-id /dev/v4l/by-path").stdout
        )

        made.more_readings("after the installation")
        privacy = made.footfall("privacy", check=False)
        print(privacy.stdout)
        assert 0 == privacy.returncode, privacy.stdout + privacy.stderr
        print(made.footfall("check", check=False).stdout)
        print(made.footfall("status", check=False).stdout)

        before = made.told(VISION, "MainPID", "NRestarts")
        again = made.box.deploy("install", made.box.host)
        assert "nothing to change: " in again.stderr.splitlines()[-1], again.stderr
        assert before == made.told(VISION, "MainPID", "NRestarts")
        keep(made, disk)
