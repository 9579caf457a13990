"""
A disk whose every write is recorded, and the disks that a power cut may leave: rebuilt from the record.

qemu writes the record (blklogwrites, the format of Linux's dm-log-writes). A disk may keep what it was given in a
volatile memory until it is told to flush. So what was written before the last flush is on a rebuilt disk, and of what
came after it each write is there or not, as chance has it.
"""

from __future__ import annotations

import random
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MAGIC = 0x6A736677736872
_HEAD, _ENTRY = struct.Struct("<QQQI"), struct.Struct("<QQQQ")
_FLUSH, _THROUGH, _DISCARD = 1, 2, 4
_LARGEST_ZEROED = 1 << 26
"""Larger stretches that are given up, bytes, are left as they are: nobody may rely on what is in them."""


@dataclass(frozen=True, slots=True)
class Write:
    """One entry of the record: where it goes, how long it is, what kind, and where its bytes are in the record."""

    offset: int
    length: int
    flags: int
    data: int


class RecordedDisk:
    """
    A disk that begins as what *below* holds, and is recorded from then on.

    Args:
        folder: For the disk as it began, and the record.
        below: A qcow2 file.
    """

    def __init__(self, folder: Path, below: Path) -> None:
        self.began, self._now, self.record = folder / "began.raw", folder / "now.qcow2", folder / "record"
        subprocess.run(["qemu-img", "convert", "-O", "raw", below, self.began], check=True)
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-b", self.began, "-F", "raw", self._now], check=True
        )
        self.record.touch()

    @property
    def description(self) -> str:
        """How qemu's tools for disks are told of it."""
        return (
            f"driver=blklogwrites,log-sector-size=512,log.driver=file,log.filename={self.record},"
            f"file.driver=qcow2,file.file.driver=file,file.file.filename={self._now}"
        )

    @property
    def options(self) -> tuple[str, ...]:
        """How qemu is told of it."""
        return (
            *("-blockdev", f"driver=file,filename={self.record},node-name=record"),
            *("-blockdev", f"driver=qcow2,node-name=now,file.driver=file,file.filename={self._now}"),
            *("-blockdev", "driver=blklogwrites,node-name=recorded,file=now,log=record,log-sector-size=512"),
            *("-device", "virtio-blk-pci,drive=recorded"),
        )

    def writes(self) -> list[Write]:
        """Return what was recorded so far, in order."""
        return list(self._writes())

    def _writes(self) -> Iterator[Write]:
        size = self.record.stat().st_size
        with self.record.open("rb") as record:
            head = record.read(_HEAD.size)
            if len(head) < _HEAD.size:
                return
            magic, _, _, sector = _HEAD.unpack(head)
            assert magic == _MAGIC, hex(magic)
            position = sector
            while position + _ENTRY.size <= size:
                record.seek(position)
                where, count, flags, _ = _ENTRY.unpack(record.read(_ENTRY.size))
                data = position + sector
                position = data + (0 if flags & _DISCARD else count * sector)
                if position > size or not (count or flags):
                    return
                yield Write(where * sector, count * sector, flags, data)

    def cut(self, disk: Path, writes: list[Write], dice: random.Random) -> int:
        """
        Make *disk*, raw, what a power cut right after the last of *writes* may leave.

        Returns:
            How many of the writes are lost on it.
        """
        flushed = max((number for number, write in enumerate(writes, 1) if write.flags & _FLUSH), default=0)
        lost = 0
        subprocess.run(["cp", "--sparse=always", self.began, disk], check=True)
        with self.record.open("rb") as record, disk.open("r+b") as made:
            for number, write in enumerate(writes, 1):
                if number > flushed and not write.flags & _THROUGH and dice.random() < 0.5:
                    lost += bool(write.length)
                    continue
                made.seek(write.offset)
                if write.flags & _DISCARD:
                    made.write(bytes(write.length if write.length < _LARGEST_ZEROED else 0))
                elif write.length:
                    record.seek(write.data)
                    made.write(record.read(write.length))
        return lost


def checked(disk: Path) -> None:
    """Let the file system's own check put *disk* right, as a box does when it boots; AssertionError if it can't."""
    said = subprocess.run(["e2fsck", "-fy", disk], check=False, capture_output=True, text=True)
    assert said.returncode in (0, 1), said.stdout + said.stderr


def copied_out(disk: Path, names: list[str], folder: Path) -> None:
    """Copy files of the disk's file system into *folder*; what isn't there is left out."""
    for name in names:
        target = folder / Path(name).name
        subprocess.run(["debugfs", "-R", f"dump {name} {target}", disk], check=True, capture_output=True)
        if target.exists() and not target.stat().st_size:
            target.unlink()
