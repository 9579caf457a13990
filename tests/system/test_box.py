"""
A box from a fresh Debian to counting, through updates, broken releases and power cuts.

Runs only where it is asked for: FOOTFALL_SYSTEM=1, as root, with debootstrap, systemd-container, strace and
openssh-client. FOOTFALL_SYSTEM_SUITES names Debians (bookworm trixie). The tests of one Debian build on each other.

The clock of the box runs 60 times as fast: an hour a minute. What headquarters has summed is held against what a
witness outside has seen vision write into its diode.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from edge.clock import TrialClock
from tests.system import boxes
from tests.system.boxes import CONFIG, FOLDER, OURS, Box, wait_until
from tests.system.headquarters import Headquarters, Witness, headquarters
from tests.system.versions import Version, give_eyes

NEEDED = ("debootstrap", "systemd-nspawn", "strace", "ssh", "mosquitto_sub")
MISSING = [program for program in NEEDED if shutil.which(program) is None]
pytestmark = [
    pytest.mark.skipif(os.environ.get("FOOTFALL_SYSTEM") != "1", reason="boots a Debian: set FOOTFALL_SYSTEM=1"),
    pytest.mark.skipif(os.geteuid() != 0, reason="boots a Debian: needs root"),
    pytest.mark.skipif(bool(MISSING), reason=f"boots a Debian: apt-get install what gives {', '.join(MISSING)}"),
]
SUITES = os.environ.get("FOOTFALL_SYSTEM_SUITES", "bookworm trixie").split()
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
        self.witness = Witness()
        self.version = Version(scratch / "version")
        self.config = scratch / "footfall.yaml"
        self.config.write_text(CONFIG.format(folder=FOLDER, ours=OURS, port=hq.port))
        give_eyes(box.root / FOLDER.lstrip("/"))
        spec = TrialClock.starting_at(1_790_000_000_000 // 3_600_000 * 3_600_000, SPEED).spec()
        for unit, command in (("footfall-vision@", "vision %i"), ("footfall-publisher", "publisher")):
            box.write(f"/etc/systemd/system/{unit}.service.d/trial.conf", DROP_IN.format(command=command, spec=spec))

    def update(self, code: int = 0) -> str:
        """Update the box to what the version is now; return what deploy.sh said."""
        began = time.monotonic()
        said = self.box.deploy("update", self.box.host, script=self.version.script)
        print(f"update: {time.monotonic() - began:.0f} s\n{said.stderr}")

        assert code == said.returncode, said.stderr
        return said.stderr

    def release(self) -> str:
        """Return the release that the box would run if it booted now."""
        return self.box.ssh("readlink /opt/footfall/current").stdout.strip().rpartition("/")[2]

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


@pytest.fixture(scope="module", params=SUITES)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    scratch = tmp_path_factory.mktemp("shop")
    with boxes.box(request.param) as box, headquarters(scratch) as hq:
        box.boot()
        made = Shop(box, hq, scratch)
        yield made
        made.witness.close()


def test_a_fresh_debian_counts_after_one_command(shop: Shop) -> None:
    """From a plain Debian without internet to sealed and counting, and headquarters hears `online`."""
    began = time.monotonic()
    said = shop.box.deploy("install", shop.box.host, "--config", str(shop.config))
    print(f"install: {time.monotonic() - began:.0f} s\n{said.stderr}")

    assert 0 == said.returncode, said.stderr
    assert said.stderr.splitlines()[-1].endswith("counts door")
    assert "sealed" in shop.box.ssh("systemctl show -P StatusText footfall-vision@door").stdout
    assert shop.box.ssh("ping -c1 -W1 192.0.2.1", check=False).returncode != 0


def test_a_second_run_changes_nothing(shop: Shop) -> None:
    """The same command again leaves every process alone and says so; a dry run finds nothing either."""
    question = "systemctl show -P MainPID 'footfall-*'; ls -lR --full-time /etc/systemd /opt/footfall/*"
    before = shop.box.ssh(question).stdout
    said = shop.box.deploy("install", shop.box.host)
    dry = shop.box.deploy("install", shop.box.host, "--dry-run")

    assert "nothing to change: " in said.stderr.splitlines()[-1], said.stderr
    assert before == shop.box.ssh(question).stdout
    assert "would: " not in dry.stderr.replace("would: send", ""), dry.stderr


def test_status_and_logs_show_the_box(shop: Shop) -> None:
    """Status ends well and names the release; logs show both processes; a unit that is down makes status end badly."""
    status = shop.box.deploy("status", shop.box.host)
    logs = shop.box.deploy("logs", shop.box.host, "--lines", "200")
    shop.box.ssh("systemctl stop footfall-publisher")
    down = shop.box.deploy("status", shop.box.host)
    again = shop.box.deploy("install", shop.box.host)

    assert (0, True) == (status.returncode, shop.release() in status.stdout)
    assert "counts of door go into" in logs.stdout
    assert 6 == down.returncode
    assert (0, True) == (again.returncode, "start what isn't running" in again.stderr)


def test_the_seal_is_shown(shop: Shop) -> None:
    """`footfall privacy` finds nothing amiss in the units, and vision's journal ends with its being sealed."""
    told = shop.box.ssh("/opt/footfall/current/bin/footfall privacy", check=False)
    journal = shop.box.ssh("journalctl -o cat --no-pager -u footfall-vision@door _COMM=footfall").stdout
    bus = shop.box.ssh("nsenter -m -t $(systemctl show -P MainPID footfall-publisher) ls /run/dbus/", check=False)

    print(told.stdout)
    assert 0 == told.returncode, told.stdout + told.stderr
    assert told.stdout.splitlines()[-1].startswith("Pictures can't leave")
    assert "footfall-vision@door.service PrivateNetwork: yes" in told.stdout
    assert "it has no log" in journal.splitlines()[-1]
    assert "" == bus.stdout


def test_an_hour_is_counted(shop: Shop) -> None:
    """Headquarters' sums are what vision said, and a whole hour has people in it."""
    wait_until(lambda: len(shop.hq.hours()) >= 2, "two hours at headquarters", 300)
    shop.settle()

    assert shop.witness.totals() > (0, 0)


def test_an_update_loses_no_count(shop: Shop) -> None:
    """A new version while counting: every hour arrives, and they sum to what all runs of vision said."""
    shop.version.set("0.2.0")
    runs = shop.witness.runs
    shop.update()
    shop.settle()

    assert shop.release().startswith("0.2.0-")
    assert shop.witness.runs > runs
    starts = [datetime.fromisoformat(start) for start in shop.hq.hours()]
    assert [timedelta(hours=1)] * (len(starts) - 1) == [later - start for start, later in pairwise(starts)]


def broken_model(version: Version) -> None:
    (version.folder / "models" / "head.tflite").write_bytes(b"not a model")


def broken_unit(version: Version) -> None:
    version.change("systemd/footfall-vision@.service", "^User=.*", "User=nobody-knows")


def publisher_crashes(version: Version) -> None:
    version.change("edge/publisher/process.py", "^    read_password", '    raise OSError("boom")\n    read_password')


def vision_says_nothing(version: Version) -> None:
    summary = '        """Write one record, whole or not at all."""'
    version.change("edge/vision/odometer.py", f"^{summary}$", f"{summary}\n        return")


@pytest.mark.parametrize(
    ("damage", "code", "reason"),
    [
        (broken_model, 1, "can't count on this machine"),
        (broken_unit, 3, "footfall-vision@door.service does not start"),
        (publisher_crashes, 3, "footfall-publisher.service does not start"),
        (vision_says_nothing, 3, "no reading of camera door"),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)  # fmt: skip
def test_a_broken_release_goes_back(shop: Shop, damage: object, code: int, reason: str) -> None:
    """What doesn't count here isn't kept: the release before counts again, the reason is said, and no count is lost."""
    before = shop.release()
    shop.version.set("0.3.0")
    damage(shop.version)  # type: ignore[operator]
    said = shop.update(code)

    assert reason in said
    assert before == shop.release()
    assert 0 == shop.box.deploy("status", shop.box.host).returncode
    shop.settle()


def test_rollback_reads_the_ledger(shop: Shop) -> None:
    """Back by hand to the release before, and the hours go on."""
    said = shop.box.deploy("rollback", shop.box.host)
    print(said.stderr)

    assert 0 == said.returncode, said.stderr
    assert shop.release().startswith("0.1.0-")
    shop.settle()


def test_a_power_cut_inside_an_update(shop: Shop) -> None:
    """Power fails while a broken release is on trial: after the boot, the one before counts."""
    before = shop.release()
    shop.version.set("0.4.0")
    vision_says_nothing(shop.version)
    update = threading.Thread(target=lambda: shop.box.deploy("update", shop.box.host, script=shop.version.script))
    update.start()
    wait_until((shop.box.root / "opt/footfall/trial").exists, "the trial to begin", 600)
    wait_until(lambda: shop.release() != before, "the switch", 60)
    shop.box.kill()
    update.join()
    shop.box.boot()
    wait_until(lambda: shop.box.deploy("status", shop.box.host).returncode == 0, "the box to count", 240)

    assert before == shop.release()
    assert not (shop.box.root / "opt/footfall/trial").exists()
    assert "went back from 0.4.0" in shop.box.ssh("cat /opt/footfall/history").stdout


def test_a_killed_update_goes_back_at_once(shop: Shop) -> None:
    """SIGKILL for the script on the box while a release is on trial: systemd goes back, without a boot."""
    before = shop.release()
    shop.version.set("0.5.0")
    vision_says_nothing(shop.version)
    update = threading.Thread(target=lambda: shop.box.deploy("update", shop.box.host, script=shop.version.script))
    update.start()
    wait_until((shop.box.root / "opt/footfall/trial").exists, "the trial to begin", 600)
    wait_until(lambda: shop.release() != before, "the switch", 60)
    shop.box.ssh("systemctl kill --signal=KILL --kill-whom=main footfall-deploy")
    update.join()
    wait_until(lambda: shop.box.deploy("status", shop.box.host).returncode == 0, "the box to count", 240)

    assert before == shop.release()


def test_pulling_the_plug_loses_nothing_that_was_written(shop: Shop) -> None:
    """Power fails while counting: after the boot hours go on, and only what came after the last reading is missing."""
    wait_until(lambda: len(shop.hq.hours()) >= 3, "hours", 300)
    before = shop.hq.hours()
    shop.box.kill()
    shop.box.boot()
    wait_until(lambda: len(shop.hq.hours()) > len(before) + 1, "hours after the boot", 300)
    after = shop.hq.hours()

    for start, hour in list(before.items())[:-1]:
        assert json.dumps(hour) == json.dumps(after[start]), start


def test_a_read_only_root(shop: Shop) -> None:
    """With nothing writable but the ledger's folder the box counts, and headquarters hears of it."""
    shop.box.kill()
    state = shop.box.scratch / "state"
    shutil.copytree(shop.box.root / "var/lib/footfall", state)
    owner = (shop.box.root / "var/lib/footfall").stat()
    for path in (state, *state.iterdir()):
        os.chown(path, owner.st_uid, owner.st_gid)
    heard = len(shop.hq.hours())
    shop.box.boot("--read-only", f"--bind={state}:/var/lib/footfall", "--tmpfs=/tmp")
    wait_until(lambda: len(shop.hq.hours()) > heard + 1, "hours from a read-only box", 300)

    assert shop.box.ssh("touch /etc/x", check=False).returncode != 0
    assert "sealed" in shop.box.ssh("systemctl show -P StatusText footfall-vision@door").stdout
    shop.box.kill()
    shop.box.boot()


def test_uninstall_keeps_the_ledger(shop: Shop) -> None:
    """Everything is gone but ledger and config; with --purge these too."""
    first = shop.box.deploy("uninstall", shop.box.host)
    kept = shop.box.ssh("ls /var/lib/footfall /etc/footfall").stdout
    second = shop.box.deploy("uninstall", shop.box.host, "--purge")

    assert (0, 0) == (first.returncode, second.returncode), first.stderr + second.stderr
    assert "ledger.sqlite" in kept
    assert "footfall.yaml" in kept
    assert (
        ""
        == shop.box.ssh(
            "ls -d /opt/footfall /etc/footfall /var/lib/footfall 2>/dev/null; getent passwd footfall-vision",
            check=False,
        ).stdout
    )


def test_a_bundle_on_a_stick(shop: Shop, tmp_path: Path) -> None:
    """One file, unpacked on a box that nobody reaches, installs with --local."""
    target = shop.box.ssh("python3 -c 'import sys; print(\"x86_64-cp3%d\" % sys.version_info[1])'").stdout.strip()
    made = shop.box.deploy("bundle", "--for", target, "--out", str(tmp_path / "stick.tar"))
    assert 0 == made.returncode, made.stderr
    shutil.copy(tmp_path / "stick.tar", shop.box.root / "home/tech/stick.tar")
    shutil.copy(shop.config, shop.box.root / "home/tech/footfall.yaml")
    said = shop.box.ssh(
        "cd /home/tech && tar xf stick.tar && footfall-*/deploy.sh install --local --config footfall.yaml",
        check=False,
        timeout_s=900,
    )
    print(said.stderr)

    assert 0 == said.returncode, said.stderr
    assert 0 == shop.box.deploy("status", shop.box.host).returncode
