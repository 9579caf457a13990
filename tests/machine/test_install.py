"""
A whole machine from a plain Debian to sealed and counting: its own kernel, a camera behind uvcvideo, real ssh.

Runs only where it is asked for: FOOTFALL_MACHINE=1, as root. CONTRIBUTING.md says what it takes.
"""

from __future__ import annotations

from tests.machine.shop import Shop, needed

pytestmark = needed


def test_one_command_makes_a_plain_debian_count_sealed(booted: Shop) -> None:
    """`deploy.sh install` over ssh ends with a box that counts through uvcvideo; after a boot it still does, sealed."""
    said = booted.installation
    print(said)
    assert "counts door" in said

    booted.more_readings("after the boot")
    print(booted.box.ssh("uname -r; dmesg | grep -i -e uvc -e 'usb 1-'; ls -l /dev/v4l/by-*").stdout)
    assert booted.plugs["left"].camera.commits >= 1
    assert booted.sealed()


def test_privacy_finds_nothing_amiss_on_a_real_kernel(booted: Shop) -> None:
    """`footfall privacy` is green under the kernel that the box really has."""
    said = booted.footfall("privacy", check=False)
    print(said.stdout)

    assert 0 == said.returncode, said.stdout + said.stderr
