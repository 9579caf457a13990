"""
What is mounted for a process, and which of it somebody else answers for.

Looking up a name on such a file system is sending it: a file server, or the process behind a FUSE mount, hears each
name that is asked for, whether it is there or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TABLE = Path("/proc/self/mountinfo")

_LOCAL = frozenset({
    "adfs", "apfs", "bcachefs", "btrfs", "cramfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "hfs", "hfsplus",
    "iso9660", "jffs2", "jfs", "minix", "msdos", "nilfs2", "ntfs", "ntfs3", "reiserfs", "romfs", "squashfs", "ubifs",
    "udf", "ufs", "vfat", "xfs", "zfs", "overlay", "tmpfs", "ramfs", "rootfs",
})  # fmt: skip
"""File systems whose names are on this machine's own disks or in its memory."""
_KERNEL = frozenset({
    "proc", "sysfs", "cgroup", "cgroup2", "devpts", "devtmpfs", "mqueue", "securityfs", "debugfs", "tracefs",
    "configfs", "fusectl", "bpf", "pstore", "binfmt_misc", "hugetlbfs", "nsfs", "efivarfs", "rpc_pipefs", "selinuxfs",
    "smackfs", "resctrl", "nfsd",
})  # fmt: skip
"""File systems that the kernel itself answers for, and in which nobody can leave a file."""
_KERNELS_AUTOMOUNT = "/proc/sys/fs/binfmt_misc"
"""systemd mounts it when it is first looked at; what appears there is the kernel's."""


@dataclass(frozen=True, slots=True)
class Mount:
    """
    One line of a mount table.

    Attributes:
        point: Where it is mounted, as its process sees it.
        kind: The type of file system.
        source: What is mounted: a device, a server's name, a word.
        writable: Whether it can be written to, rights permitting.
    """

    point: Path
    kind: str
    source: str
    writable: bool

    @property
    def remote(self) -> bool:
        """Whether somebody else hears which names are looked up there; true of types that aren't known."""
        return self.kind not in _LOCAL | _KERNEL and not (
            self.kind == "autofs" and self.point == Path(_KERNELS_AUTOMOUNT)
        )

    @property
    def keeps_files(self) -> bool:
        """Whether somebody could leave a file there."""
        return self.kind not in _KERNEL | {"autofs"}


def mounted(table: Path = TABLE) -> list[Mount]:
    """Return what is mounted for the process whose mount *table* this is, in the order of mounting."""
    return list(_read(table))


def _read(table: Path) -> Iterator[Mount]:
    for line in table.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        place, _, system = line.partition(" - ")
        point, options = place.split(" ")[4:6]
        kind, source, whole = system.split(" ")[:3]
        writable = "rw" in options.split(",") and "rw" in whole.split(",")
        yield Mount(Path(_plain(point)), kind, _plain(source), writable)


def _plain(field: str) -> str:
    r"""Return a field as it was before the kernel wrote its blanks as \040."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def visible(mounts: list[Mount]) -> list[Mount]:
    """Return those of *mounts* that can be reached: of several at or above one place, the last hides the others."""
    shown: list[Mount] = []
    later: set[Path] = set()
    for mount in reversed(mounts):
        if later.isdisjoint((mount.point, *mount.point.parents)):
            shown.append(mount)
        later.add(mount.point)
    return shown[::-1]
