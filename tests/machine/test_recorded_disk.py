"""The disks that a power cut may leave, rebuilt from a record that qemu has made."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.machine.recorded_disk import RecordedDisk

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(shutil.which("qemu-io") is None, reason="records a disk: apt-get install qemu-utils"),
]
BLOCK = 4096


def test_what_was_flushed_stays_and_the_rest_may_be_lost(tmp_path: Path) -> None:
    """Of four blocks two were written before a flush: these are on every disk, and each of the others on some."""
    below = tmp_path / "below.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", below, "1M"], check=True)
    disk = RecordedDisk(tmp_path, below)
    subprocess.run(
        [
            *("qemu-io", "--image-opts", disk.description),
            *("-c", "write -P 1 0 4k", "-c", "write -P 2 4k 4k", "-c", "flush"),
            *("-c", "write -P 3 8k 4k", "-c", "write -P 4 12k 4k"),
        ],
        check=True,
        capture_output=True,
    )
    unflushed = [write for write in disk.writes() if write.length][-2:]
    writes = disk.writes()[: disk.writes().index(unflushed[-1]) + 1]
    seen, seed = set(), random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for _ in range(100):
        lost = disk.cut(tmp_path / "cut.raw", writes, dice)
        content = (tmp_path / "cut.raw").read_bytes()
        found = tuple(content[number * BLOCK] for number in range(4))
        seen.add(found)

        assert (1, 2) == found[:2]
        assert lost == found[2:].count(0)
    assert {(1, 2, 3, 4), (1, 2, 0, 4), (1, 2, 3, 0), (1, 2, 0, 0)} == seen
