"""
Images for whole machines: a plain Debian with its own kernel, baked once and kept.

Needs root and mmdebstrap. What is kept is in `CACHE`: the Debian as an archive, and beside it a disk, a kernel and an
initial RAM disk made from it. The disk holds what whoever prepares a box's card puts in: a user with a key, the
network's address and the name of a time server. Nothing of Footfall is in it.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

CACHE = Path(os.environ.get("FOOTFALL_MACHINE_CACHE", "/var/tmp/footfall-machine"))  # noqa: S108 - kept on purpose
KEY = CACHE / "key"
"""Opens the machines' ssh; of these tests alone."""
GATEWAY = "10.0.2.2"
"""What a guest calls the host's loopback."""
_PACKAGES = (
    "systemd,systemd-sysv,udev,dbus,openssh-server,sudo,python3,iproute2,procps,systemd-timesyncd,libseccomp2,kmod,"
    "initramfs-tools,zstd,e2fsprogs,util-linux,v4l-utils"
)
_NOT_NEEDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
_DISK = "4G"
"""Room for Debian and two releases with their wheels."""

_FILES = {
    "etc/sudoers.d/tech": (0o440, "tech ALL=(ALL) NOPASSWD: ALL\n"),
    "etc/systemd/network/10-box.network": (
        0o644,
        "[Match]\nName=e*\n[Network]\nAddress=10.0.2.15/24\nLinkLocalAddressing=no\n",
    ),
    "etc/systemd/timesyncd.conf.d/box.conf": (
        0o644,
        f"[Time]\nNTP={GATEWAY}\nFallbackNTP=\nPollIntervalMinSec=16\nPollIntervalMaxSec=32\n",
    ),
    "etc/hostname": (0o644, "box\n"),
    "etc/hosts": (0o644, "127.0.0.1 localhost box\n"),
    "etc/fstab": (0o644, "/dev/vda / ext4 errors=remount-ro 0 1\n"),
    "etc/ssh/sshd_config.d/test.conf": (0o644, "UseDNS no\n"),
}
"""The files of a prepared card, with their modes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Architecture:
    """
    A kind of machine.

    Attributes:
        name: As Debian calls it.
        kernel: Debian's package of it.
        qemu: The program that emulates it.
        options: What the program needs to know of it.
        console: The kernel's name of the first serial line.
    """

    name: str
    kernel: str
    qemu: str
    options: tuple[str, ...]
    console: str


AMD64 = Architecture("amd64", "linux-image-amd64", "qemu-system-x86_64", ("-cpu", "max,-avx2"), "ttyS0")
"""
Without AVX2, which qemu 7.2 emulates wrongly: there numpy's maximum of every n-th number is wrong, or reads where
nothing is, so that vision died of SIGSEGV with most of its pictures. On a real processor the same numpy is right.
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """What a machine is booted from: none of these files is ever written to."""

    architecture: Architecture
    disk: Path
    kernel: Path
    initrd: Path


def image(architecture: Architecture, suite: str = "trixie") -> Image:
    """Return the image of a plain Debian, baked if it isn't there yet: about an hour the first time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    name = f"{suite}-{architecture.name}"
    made = Image(architecture, CACHE / f"{name}.raw", CACHE / f"{name}.vmlinuz", CACHE / f"{name}.initrd")
    if not KEY.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KEY], check=True)
    archive = CACHE / f"{name}.tar"
    if not archive.exists():
        _fetch(archive, architecture, suite)
    if not made.disk.exists():
        _make_disk(archive, made)
    return made


def _fetch(archive: Path, architecture: Architecture, suite: str) -> None:
    """Have mmdebstrap fetch a Debian into *archive*."""
    part = archive.with_name(f"part-{archive.name}")
    subprocess.run(
        [
            *("mmdebstrap", "--variant=minbase", "--mode=root", f"--architectures={architecture.name}"),
            *(f"--include={_PACKAGES},{architecture.kernel}", '--aptopt=APT::Install-Recommends "false"'),
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _NOT_NEEDED),
            *(suite, part),
        ],
        check=True,
    )
    part.rename(archive)


def _make_disk(archive: Path, made: Image) -> None:
    """Unpack the Debian, put in what a prepared card has, and make a disk of it; kernel and RAM disk beside it."""
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="root-") as folder:
        root = Path(folder)
        subprocess.run(["tar", "-C", root, "-xf", archive], check=True)
        _prepare(root)
        for source, target in (("vmlinuz", made.kernel), ("initrd.img", made.initrd)):
            shutil.copyfile(next((root / "boot").glob(f"{source}-*")), target)
        part = made.disk.with_name(f"part-{made.disk.name}")
        part.unlink(missing_ok=True)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", root, part, _DISK], check=True)
        part.rename(made.disk)


def _prepare(root: Path) -> None:
    """Put in a user with a key, the network's address, a time server and a file system to check and mount."""
    commands = "useradd --create-home --shell /bin/bash tech; systemctl enable systemd-networkd ssh systemd-timesyncd"
    subprocess.run(["chroot", root, "bash", "-ec", commands], check=True, capture_output=True)
    for name, (mode, text) in _FILES.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").touch()
    home = root / "home/tech/.ssh"
    home.mkdir(mode=0o700)
    shutil.copyfile(KEY.with_suffix(".pub"), home / "authorized_keys")
    subprocess.run(["chroot", root, "chown", "-R", "tech:tech", "/home/tech"], check=True)
