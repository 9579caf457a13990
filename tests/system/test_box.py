"""
A box from a fresh Debian to counting, and to another version and back.

Runs only where it is asked for: FOOTFALL_SYSTEM=1, as root, with debootstrap, systemd-container, strace and
openssh-client. FOOTFALL_SYSTEM_SUITES names Debians (bookworm trixie). All tests of one Debian share a box, and these
come first: test_faults.py and test_leaving.py go on with it.

The clock of the box runs 60 times as fast: an hour a minute. What headquarters has summed is held against what a
witness outside has seen vision write into its diode.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from itertools import pairwise

from edge.publisher.ledger.file import MIGRATIONS
from tests.system.boxes import wait_until
from tests.system.shop import Shop, needed

pytestmark = needed
UNITS = (
    "footfall.target footfall.slice footfall-recover-update.service footfall-publisher.service"
    " footfall-vision@door.service footfall-diode@door.socket footfall-diode@door.service"
)
FILES = "find /etc /opt /usr/local /var/lib -not -path '*/systemd/timesync*' | sort; getent passwd"


def test_a_dry_run_does_nothing(shop: Shop) -> None:
    """On a fresh Debian it says what an installation would do, and leaves no file and no user behind."""
    before = shop.box.ssh(FILES).stdout
    said = shop.box.deploy("install", shop.box.host, "--config", str(shop.config), "--dry-run")
    print(said.stderr)

    assert 0 == said.returncode, said.stderr
    for words in ("send ", "unpack release ", "make the user footfall-vision", "write /etc/footfall/footfall.yaml"):
        assert f"would: {words}" in said.stderr
    assert before == shop.box.ssh(FILES).stdout
    assert not shop.box.ssh("ls -d /run/footfall*", check=False).stdout


def test_a_fresh_debian_counts_after_one_command(shop: Shop) -> None:
    """From a plain Debian without internet to sealed and counting."""
    began = time.monotonic()
    said = shop.box.deploy("install", shop.box.host, "--config", str(shop.config))
    print(f"install: {time.monotonic() - began:.0f} s\n{said.stderr}")
    print(shop.box.ssh("du -sm /opt/footfall/releases/* /opt/footfall/wheels").stdout)

    assert 0 == said.returncode, said.stderr
    assert said.stderr.splitlines()[-1].endswith("counts door")
    assert ["sealed"] == shop.told("footfall-vision@door", "StatusText")
    assert shop.box.ssh("ping -c1 -W1 192.0.2.1", check=False).returncode != 0


def test_a_second_run_changes_nothing(counting: Shop) -> None:
    """The same command again leaves every process alone and says so; a dry run finds nothing either."""
    question = "systemctl show -P MainPID 'footfall-*'; ls -lR --full-time /etc/systemd /opt/footfall/*"
    before = counting.box.ssh(question).stdout
    began = time.monotonic()
    said = counting.box.deploy("install", counting.box.host)
    print(f"second run: {time.monotonic() - began:.0f} s")
    dry = counting.box.deploy("install", counting.box.host, "--dry-run")

    assert "nothing to change: " in said.stderr.splitlines()[-1], said.stderr
    assert before == counting.box.ssh(question).stdout
    assert "would: " not in dry.stderr.replace("would: send", ""), dry.stderr


def test_status_and_logs_show_the_box(counting: Shop) -> None:
    """Status ends well and names the release; logs show both processes; a unit that is down makes status end badly."""
    status = counting.box.deploy("status", counting.box.host)
    logs = counting.box.deploy("logs", counting.box.host, "--lines", "200")
    counting.box.ssh("systemctl stop footfall-publisher")
    down = counting.box.deploy("status", counting.box.host)
    again = counting.box.deploy("install", counting.box.host)

    assert (0, True) == (status.returncode, counting.release() in status.stdout)
    assert "counts of door go into" in logs.stdout
    assert 6 == down.returncode
    assert (0, True) == (again.returncode, "start what isn't running" in again.stderr)


def test_a_fleet_with_a_host_that_is_away(counting: Shop) -> None:
    """Two hosts over real ssh, one of them not there: a table with both, and exit code 5."""
    said = counting.box.deploy("status", counting.box.host, "tech@10.213.7.9")
    print(said.stdout)

    assert 5 == said.returncode, said.stderr
    assert ["host", counting.box.host, "tech@10.213.7.9"] == [line.split()[0] for line in said.stdout.splitlines()]
    assert [" ok ", " unreachable "] == [
        word for word in (" ok ", " unreachable ") for line in said.stdout.splitlines() if word in line
    ]


def test_the_seal_is_shown(counting: Shop) -> None:
    """
    `footfall privacy` finds nothing amiss but the drop-ins with which these tests start the programs, and vision's
    journal ends with its being sealed. test_leaving.py has a box without such drop-ins.
    """
    with counting.witness.away():
        told = counting.box.ssh("/opt/footfall/current/bin/footfall privacy", check=False)
    journal = counting.box.ssh("journalctl -o cat --no-pager -u footfall-vision@door _COMM=footfall").stdout
    bus = counting.box.ssh("nsenter -m -t $(systemctl show -P MainPID footfall-publisher) ls /run/dbus/", check=False)

    wrong = [line for line in told.stdout.splitlines() if line.startswith("  NO ")]
    print(told.stdout)
    assert (1, 2) == (told.returncode, len(wrong)), told.stdout + told.stderr
    assert [line for line in wrong if "drop-ins that aren't harmless: ExecStart in" not in line] == []
    assert "footfall-vision@door.service PrivateNetwork: yes" in told.stdout
    assert "it has no log" in journal.splitlines()[-1]
    assert "" == bus.stdout


def test_this_debians_systemd_understands_each_line(counting: Shop) -> None:
    """`systemd-analyze verify` has nothing to say of the units as they are installed, and exposure is low."""
    verified = counting.box.ssh(f"systemd-analyze verify {UNITS} 2>&1", check=False)
    exposures = counting.box.ssh("systemd-analyze security --no-pager | grep footfall").stdout
    print(exposures)
    found = dict(re.findall(r"(footfall-(?:vision|publisher)\S*)\s+([0-9.]+)", exposures))

    assert (0, []) == (verified.returncode, [line for line in verified.stdout.splitlines() if "footfall" in line])
    assert float(found["footfall-vision@door.service"]) <= 1.0
    assert float(found["footfall-publisher.service"]) <= 1.4


def test_a_flood_of_words_stays_in_memory_and_small(counting: Shop) -> None:
    """A service that says 200,000 lines can't fill the journal, nor the card: rate, size and place are bounded."""
    used = "du -sk /var/log | cut -f1"
    before = int(counting.box.ssh(used).stdout)
    counting.box.ssh("systemd-run --quiet --wait --unit=flood seq 200000")
    counting.box.ssh("journalctl --sync")
    lines = counting.box.ssh("journalctl -o cat --no-pager -u flood").stdout.splitlines()
    volatile_kb = int(counting.box.ssh("du -sk /run/log/journal | cut -f1").stdout)
    print(f"{len(lines)} lines kept, {volatile_kb} kB in /run/log/journal")

    assert 500 < len(lines) < 10_000  # the rate grows with the room that the journal has: 1000 lines, six times at most
    assert volatile_kb <= 24 * 1024
    assert int(counting.box.ssh(used).stdout) - before < 100


def test_memory_is_below_its_limits(counting: Shop) -> None:
    """
    At their peak the processes of each service, the helper beside vision too, stay under its MemoryMax with a third to
    spare, and all together fit a Pi 3.
    """
    peaks = {}
    for unit, processes in (("footfall-vision@door", 2), ("footfall-publisher", 1)):
        limit, group = counting.told(unit, "MemoryMax", "ControlGroup")
        said = counting.box.ssh(
            f"for p in $(cat /sys/fs/cgroup{group}/cgroup.procs); do grep VmHWM /proc/$p/status; done"
        )
        found = [int(line.split()[1]) for line in said.stdout.splitlines()]
        peaks[unit] = sum(found) * 1024
        print(f"{unit}: {peaks[unit] / 2**20:.0f} of {int(limit) / 2**20:.0f} MB")

        assert processes == len(found)
        assert peaks[unit] < int(limit) * 2 / 3
    assert sum(peaks.values()) < 400 * 2**20


def test_an_hour_is_counted(counting: Shop) -> None:
    """Headquarters' sums are what vision said, and a whole hour has people in it."""
    wait_until(lambda: len(counting.hq.hours()) >= 2, "two hours at headquarters", 300)
    counting.settle()

    assert counting.witness.totals() > (0, 0)


def test_an_update_loses_no_count(counting: Shop) -> None:
    """
    A new version, with a newer ledger, while counting: every hour arrives, and they sum to what all runs of vision
    said. The ledger as it was lies beside it.
    """
    counting.version.set("0.2.0")
    counting.version.change(
        "edge/publisher/ledger/file.py",
        r'^\)\n"""\nEach runs',
        '    "ALTER TABLE hours ADD COLUMN novelty INTEGER NOT NULL DEFAULT 7",\n)\n"""\nEach runs',
    )
    runs = counting.witness.runs
    counting.update()
    print(f"unwatched for {counting.unwatched_s:.1f} s")
    counting.settle()

    assert counting.release().startswith("0.2.0-")
    assert counting.witness.runs > runs
    starts = [datetime.fromisoformat(start) for start in counting.hq.hours()]
    assert [timedelta(hours=1)] * (len(starts) - 1) == [later - start for start, later in pairwise(starts)]
    assert len(MIGRATIONS) + 1 == int(counting.ledger("PRAGMA user_version"))
    assert len(MIGRATIONS) == int(counting.ledger("PRAGMA user_version", beside=".before-update"))


def test_rollback_reads_the_ledger(counting: Shop) -> None:
    """Back by hand to the release before: it goes on with the newer one's ledger, and no count is lost."""
    began = time.monotonic()
    said = counting.box.deploy("rollback", counting.box.host)
    print(f"rollback: {time.monotonic() - began:.0f} s, unwatched for {counting.unwatched_s:.1f} s\n{said.stderr}")

    assert 0 == said.returncode, said.stderr
    assert counting.release().startswith("0.1.0-")
    counting.settle()
    assert len(MIGRATIONS) + 1 == int(counting.ledger("PRAGMA user_version"))
    assert "aside" not in counting.box.ssh("ls /var/lib/footfall").stdout


def test_all_of_this_fits_a_small_raspberry_pi(counting: Shop) -> None:
    """With 900 MB of memory in the whole box and no swap, nothing had to be ended to install, update and count."""
    assert 0 == counting.box.killed_for_memory
