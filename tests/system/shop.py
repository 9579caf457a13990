"""A shop: one box, headquarters outside it, a witness, and other versions of Footfall to bring to the box."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from edge.core.clock import TrialClock
from tests.system.boxes import CONFIG, FOLDER, OURS, Box, wait_until
from tests.system.headquarters import Headquarters, Witness
from tests.system.versions import Version, give_eyes

NEEDED = ("debootstrap", "systemd-nspawn", "strace", "ssh", "mosquitto_sub")
MISSING = [program for program in NEEDED if shutil.which(program) is None]
needed = [
    pytest.mark.processes,
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(os.environ.get("FOOTFALL_SYSTEM") != "1", reason="boots a Debian: set FOOTFALL_SYSTEM=1"),
    pytest.mark.skipif(os.geteuid() != 0, reason="boots a Debian: needs root"),
    pytest.mark.skipif(bool(MISSING), reason=f"boots a Debian: apt-get install what gives {', '.join(MISSING)}"),
]
SPEED = 60
DROP_IN = """
[Service]
TimeoutStartSec=600
ExecStart=
ExecStart=/opt/footfall/current/bin/footfall {command} --config /etc/footfall/footfall.yaml --trial-clock {spec}
"""


class Shop:
    """One box, headquarters, a witness, and other versions to update to."""

    def __init__(self, box: Box, hq: Headquarters, scratch: Path) -> None:
        self.box = box
        self.hq = hq
        self.witness = Witness(box)
        self.version = Version(scratch / "version")
        self.config = scratch / "footfall.yaml"
        self.config.write_text(CONFIG.format(folder=FOLDER, ours=OURS, port=hq.port))
        give_eyes(box.root / FOLDER.lstrip("/"))
        spec = TrialClock.starting_at(1_790_000_000_000 // 3_600_000 * 3_600_000, SPEED).spec()
        for unit, command in (("footfall-vision@", "vision %i"), ("footfall-publisher", "publisher")):
            box.write(f"/etc/systemd/system/{unit}.service.d/trial.conf", DROP_IN.format(command=command, spec=spec))

    def install(self) -> None:
        """Install this checkout, if nothing is installed."""
        if not self.release():
            said = self.box.deploy("install", self.box.host, "--config", str(self.config))
            assert 0 == said.returncode, said.stderr

    def update(self, code: int = 0) -> str:
        """Update the box to what the version is now; return what deploy.sh said."""
        began = time.monotonic()
        said = self.box.deploy("update", self.box.host, script=self.version.script)
        print(f"update: {time.monotonic() - began:.0f} s\n{said.stderr}")

        assert code == said.returncode, said.stderr
        return said.stderr

    def begin_update(self) -> subprocess.Popen[str]:
        """Begin to update the box to what the version is now."""
        return self.box.start_deploy("update", self.box.host, script=self.version.script)

    def under_trial(self, before: str) -> None:
        """Wait until an update has switched to another release than *before*, which isn't proven yet."""
        wait_until((self.box.root / "opt/footfall/trial").exists, "the trial to begin", 600)
        wait_until(lambda: self.release() != before, "the switch", 60)

    def release(self) -> str:
        """Return the release that the box would run if it booted now; nothing if there is none."""
        return self.box.ssh("readlink /opt/footfall/current", check=False).stdout.strip().rpartition("/")[2]

    def counting(self) -> None:
        """Wait until the box says that it counts."""
        wait_until(lambda: self.box.deploy("status", self.box.host).returncode == 0, "the box to count", 240)

    def told(self, unit: str, *properties: str) -> list[str]:
        """Return what systemd says of a unit."""
        asked = " ".join(f"-p {name}" for name in properties)
        lines = self.box.ssh(f"systemctl show {asked} {unit}").stdout.splitlines()
        values = dict(line.split("=", 1) for line in lines)
        return [values[name] for name in properties]

    @property
    def unwatched_s(self) -> float:
        """How long nobody saw the door when vision was last restarted: from one's end to the next one's seal."""
        ended, sealed = self.told(
            "footfall-vision@door", "ActiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic"
        )
        return (int(sealed) - int(ended)) / 1e6

    def ledger(self, question: str, beside: str = "") -> str:
        """Ask the box's ledger, or a copy beside it."""
        path = f"/var/lib/footfall/ledger.sqlite{beside}"
        script = f"import sqlite3; print(sqlite3.connect('{path}').execute('{question}').fetchone()[0])"
        return self.box.ssh(f'runuser -u footfall-publisher -- python3 -c "{script}"').stdout.strip()

    def settle(self) -> None:
        """
        Stop vision, and wait until headquarters has every hour up to the one in which it stopped; hold its sums against
        the witness's, and start vision again.
        """
        self.box.ssh("systemctl stop footfall-vision@door")
        try:
            wait_until(
                lambda: self.witness.totals() == self.hq.totals(),
                f"headquarters to have {self.witness.totals()}",
                240,
            )
        except AssertionError:
            print(self.box.ssh("journalctl -o cat --no-pager -n 100 -u 'footfall-*'").stdout)
            raise AssertionError(
                f"vision said {self.witness.totals()}, headquarters has {self.hq.totals()} of {self.hq.hours()}"
            ) from None
        finally:
            self.box.ssh("systemctl start footfall-vision@door")
