"""The quick start, typed as it stands in a copy of what a clone holds, ends with people in an hour at headquarters."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge.headquarters.address import open_store
from tests.docs.test_commands import ROOT, blocks_of
from tests.publisher.rig import free_port

pytestmark = [pytest.mark.processes, pytest.mark.slow]

PAGE = ROOT / "docs" / "quick-start.md"
INSTALLING = re.compile(r"^(\./deploy\.sh program|export PATH=.*|command -v mosquitto.*)\n", re.MULTILINE)
"""What only a fresh machine needs; tests/test_deploy.py and tests/bare_root.sh try it."""


@pytest.fixture(name="clone")
def _clone(tmp_path: Path) -> Path:
    """Copy what git knows, as it is now, into a folder."""
    if not (ROOT / ".git").exists():
        pytest.skip("NO GIT: the quick start is NOT tried")
    clone = tmp_path / "footfall"
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    for name in (Path(os.fsdecode(name)) for name in names if name):
        if (ROOT / name).is_file() and name.parts[0] in ("models", "docs", "deploy.sh"):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    return clone


def test_from_a_clone_to_a_number_at_headquarters(clone: Path, tmp_path: Path) -> None:
    """Every block of "At your desk" runs without an error; headquarters' store holds the hour, with people in it."""
    desk = PAGE.read_text(encoding="utf-8").partition("\n## At the door\n")[0]
    page = tmp_path / "desk.md"
    page.write_text(desk, encoding="utf-8")
    *steps, end = blocks_of(page)
    assert "kill %1" in end
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "footfall").write_text(f'#!/bin/sh\nexec {sys.executable} -m edge "$@"\n')
    (programs / "footfall").chmod(0o755)
    script = "set -e\n" + INSTALLING.sub("", "".join(steps)) + "footfall counts --config trial.yaml --csv >counts.csv\n"
    script = script.replace("18830", str(free_port()))
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}:/usr/sbin", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        ["bash", "-c", script], cwd=clone, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as typed:  # fmt: skip
        try:
            # What is left in the background keeps the outputs open: they are read once it is told to end.
            code = typed.wait(600)
        finally:
            os.killpg(typed.pid, signal.SIGTERM)
            for pid in _brokers(clone):
                os.kill(pid, signal.SIGTERM)
            said, complained = typed.communicate(timeout=60)
    store = open_store(str(clone / "trial-hours.sqlite"))
    extent = store.extent()
    assert extent is not None, complained
    hours = list(store.hours(extent[0], extent[1].replace(year=extent[1].year + 1)))
    store.close()

    assert 0 == code, complained
    assert "footfall-edge " in said
    assert "ok    test hour door: footfall/v1/my-shop/door/hour has taken it" in said
    assert sum(hour.in_ + hour.out for hour in hours) > 0
    assert all(hour.flags and "trial" in hour.flags for hour in hours)
    assert len((clone / "counts.csv").read_text(encoding="utf-8").splitlines()) > 1


def _brokers(folder: Path) -> list[int]:
    """Return the numbers of the mosquittos that were started in *folder*."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if entry.joinpath("comm").read_text().strip() == "mosquitto" and entry.joinpath("cwd").readlink() == folder:
                found.append(int(entry.name))
        except OSError:
            continue
    return found
