"""What a publisher can still reach once it is in its cell; each test puts a process of its own into one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from edge.sandbox import landlock
from tests.attempt import OUTCOME

pytestmark = pytest.mark.processes

REPOSITORY = Path(__file__).parents[2]

CONFIG = """
site: sh-023
timezone: Asia/Shanghai
cameras:
  door: {{source: /dev/video0, lines: {{entrance: {{from: [0.1, 0.5], to: [0.9, 0.5], inside: [0.5, 0.9]}}}}}}
broker: {{host: 127.0.0.1, tls: false}}
ledger: {folder}/state/ledger.sqlite
"""

PREPARE = """
    import json, os, signal, socket, sqlite3, subprocess, sys
    from pathlib import Path
    from edge import config
    from edge.publisher import cell

    folder = Path(sys.argv[1])
    ledger = sqlite3.connect(folder / "state" / "ledger.sqlite")
    ledger.execute("PRAGMA journal_mode = WAL")
    ledger.execute("CREATE TABLE hours (payload)")
    cell.enter(config.load(folder / "footfall.yaml").publisher())
"""

needs_landlock = pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock")
needs_neighbours = pytest.mark.skipif(landlock.abi() < 6, reason="this kernel's Landlock knows no signals")


def said(body: str, folder: Path) -> Any:
    """Return what *body* printed, as JSON, after a publisher's cell was entered."""
    (folder / "state").mkdir()
    (folder / "footfall.yaml").write_text(CONFIG.format(folder=folder))
    (folder / "another").write_text("somebody else's")
    done = subprocess.run(
        [sys.executable, "-c", "".join(map(textwrap.dedent, (OUTCOME, PREPARE, body))), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_landlock
def test_no_device_and_no_other_process(tmp_path: Path) -> None:
    """Neither a device nor what /proc and /sys tell of others can be opened, by root either."""
    body = """
        paths = ("/dev/full", "/dev/null", "/proc/1/status", "/proc/stat", f"/proc/{os.getppid()}/mem", "/sys")
        print(json.dumps([outcome(lambda: os.open(path, os.O_RDONLY)) for path in paths]))
    """

    assert said(body, tmp_path) == ["EACCES"] * 6


@needs_landlock
def test_no_file_but_the_ledger(tmp_path: Path) -> None:
    """Files are made and changed in the ledger's folder and nowhere else, and no program is started."""
    body = """
        ledger.execute("INSERT INTO hours VALUES ('41')"), ledger.commit()
        print(json.dumps([
            outcome(lambda: (folder / "state" / "ledger.sqlite.new").write_text("hours")),
            outcome(lambda: (folder / "new").write_text("picture")),
            outcome(lambda: (folder / "another").write_text("picture")),
            outcome(lambda: (folder / "another").unlink()),
            outcome(lambda: (folder / "state" / "link").symlink_to("/dev/video0")),
            outcome(lambda: subprocess.run(["/bin/true"])),
        ]))
    """

    assert said(body, tmp_path) == ["done", *["EACCES"] * 5]


@needs_landlock
def test_what_it_needs(tmp_path: Path) -> None:
    """Names, certificates, time zones and the config can still be read, also those that weren't before."""
    body = """
        import ssl, zoneinfo
        ssl.create_default_context()
        print(json.dumps([zoneinfo.ZoneInfo("Asia/Kathmandu").key, socket.getaddrinfo("localhost", 1)[0][1],
                          outcome(lambda: (folder / "footfall.yaml").read_text())]))
    """

    assert said(body, tmp_path) == ["Asia/Kathmandu", 1, "done"]


@needs_neighbours
def test_no_word_to_others(tmp_path: Path) -> None:
    """No process outside the cell can be signalled."""
    body = "print(json.dumps(outcome(lambda: os.kill(os.getppid(), signal.SIGCONT))))"

    assert said(body, tmp_path) == "EPERM"


def test_a_kernel_without_landlock(tmp_path: Path) -> None:
    """Where the kernel has no Landlock the publisher goes on, and says so: its unit holds it."""
    body = """
        import logging
        from edge import landlock
        told = []
        landlock.abi = lambda: 0
        logging.getLogger("edge.publisher.sandbox").addFilter(lambda record: told.append(record.getMessage()))
        logging.getLogger("edge.publisher.sandbox").setLevel(logging.INFO)
        cell.enter(config.load(folder / "footfall.yaml").publisher())
        print(json.dumps(told))
    """

    assert said(body, tmp_path) == ["this kernel has no Landlock: what this process may reach, its unit alone decides"]
