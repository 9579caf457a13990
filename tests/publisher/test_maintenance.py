"""What the update script asks of the ledger, as it asks it: its own Python, run on a real ledger."""

from __future__ import annotations

import gzip
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.core.errors import LedgerUnusable
from edge.core.tally import BEAT_MS
from edge.publisher.ledger import maintenance
from tests.publisher.rig import Box, Walkers

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
NINE = "2026-03-02T09:00:00+08:00"
OLD_LEDGER = Path(__file__).with_name("ledger_865bbaf") / "ledger.sqlite.gz"
MakeBox = Callable[..., Box]


def asks(function: str, *arguments: Path) -> str:
    """Run the Python that *function* of deploy/box hands to a release; return what it prints."""
    scripts = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "deploy/box").glob("*.sh")))
    found = re.search(rf"^{function}\(\) {{\n.*?<<'PY'[^\n]*\n(.*?)^PY$", scripts, re.MULTILINE | re.DOTALL)
    assert found is not None
    return subprocess.run(
        [sys.executable, "-c", found[1], *map(str, arguments)],
        check=True, capture_output=True, text=True, cwd=ROOT, timeout=60,
    ).stdout  # fmt: skip


def test_newest_readings(box: MakeBox, config_text: Callable[..., str], tmp_path: Path) -> None:
    """A reading is known by its number, and a new run of vision by its stream; asked beside the running publisher."""
    config = tmp_path / "footfall.yaml"
    config.write_text(config_text())
    bench = box(NINE)
    walkers = Walkers(boot_ms=bench.clock.boot)
    bench.let(walkers, minutes=1)
    first = asks("newest_readings", config)
    bench.let(walkers, minutes=1)
    later = asks("newest_readings", config)
    bench.let(Walkers(run=2, boot_ms=bench.clock.boot), minutes=1)

    assert ["door-a 1 5\n", "door-a 1 11\n", "door-a 2 5\n"] == [first, later, asks("newest_readings", config)]


def test_a_copy_is_whole(box: MakeBox) -> None:
    """The copy that an update leaves is a ledger of its own with everything in it, also while the publisher writes."""
    bench = box(NINE)
    bench.let(Walkers(boot_ms=bench.clock.boot), minutes=63, in_=1)
    asks("back_up_ledger", bench.settings.ledger)
    copy = Path(f"{bench.settings.ledger}.before-update")
    connection = sqlite3.connect(copy)
    found = connection.execute("SELECT (SELECT count(*) FROM readings), (SELECT count(*) FROM hours)").fetchone()
    connection.close()

    assert (63 * 60_000 // BEAT_MS, 1) == found
    assert not Path(f"{copy}.new").exists()


def test_a_ledger_of_another_version_is_asked_too(tmp_path: Path) -> None:
    """The release that asks may be newer or older than the one that writes."""
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(gzip.decompress(OLD_LEDGER.read_bytes()))
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    maintenance.copy(path, tmp_path / "copy")

    assert maintenance.newest_readings(path) == maintenance.newest_readings(tmp_path / "copy")
    assert {"door-a", "door-b"} == {camera for camera, _, _ in maintenance.newest_readings(path)}


def test_what_is_no_ledger_is_told_in_a_sentence(tmp_path: Path) -> None:
    """Noise, or nothing at all, gives LedgerUnusable, and no copy."""
    (tmp_path / "noise").write_bytes(b"noise" * 1000)
    for name in ("noise", "nothing"):
        with pytest.raises(LedgerUnusable):
            maintenance.newest_readings(tmp_path / name)
        with pytest.raises(LedgerUnusable):
            maintenance.copy(tmp_path / name, tmp_path / "copy")

    assert not (tmp_path / "copy").exists()
