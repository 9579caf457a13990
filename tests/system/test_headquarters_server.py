"""
Headquarters on a booted Debian: one command, over ssh, without a network but the cable to this machine.

Runs only where it is asked for, as test_box.py: FOOTFALL_SYSTEM=1.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.headquarters import servers
from tests.headquarters.messages import recent, told
from tests.system import boxes
from tests.system.boxes import ADDRESS, OURS, Box
from tests.system.shop import needed

pytestmark = needed
PACKAGES = f"{boxes.PACKAGES},python3-venv,mosquitto,openssl,postgresql"
NAME = "mqtt.example.com"
SITES = "sites: {sh-023: {name: Berlin Mitte}}\n"
CONFIG = """
webhook: {{url: 'http://{ours}:{hook}/alerts'}}
mail: {{host: {ours}, port: {mail}, security: none, sender: footfall@example.com}}
weekly: {{to: [anna@example.com]}}
rules: {{unusual_factor: 3}}
"""
PREPARE = """
# A plain Debian has them stopped; the images of this test have them from the beginning.
systemctl disable --now mosquitto postgresql 2>/dev/null || true
"""


@pytest.fixture(params=boxes.SUITES)
def server(request: pytest.FixtureRequest) -> Iterator[Box]:
    """Give a booted Debian with Debian's own packages and nothing of ours."""
    with boxes.box(request.param, packages=PACKAGES, kind="-headquarters") as box:
        box.boot()
        box.ssh(PREPARE)
        yield box


class Headquarters:
    """What a person has who sets headquarters up: files, and a box's account."""

    def __init__(self, box: Box, folder: Path) -> None:
        self.box = box
        self.folder = folder
        (folder / "boxes.txt").write_text("sh-023/door-a,door-b sh-024/door-a\n")
        (folder / "sites.yaml").write_text(SITES)

    def deploy(self, *options: object, code: int = 0) -> str:
        """Run deploy.sh headquarters; return what it said."""
        said = self.box.deploy("headquarters", self.box.host, *map(str, options))
        print(said.stderr)
        assert code == said.returncode, said.stderr
        return said.stderr

    def fetch_account(self) -> None:
        """Take the files of a box's account from the server, as a person does."""
        for name in ("mqtt.password", "ca.pem"):
            (self.folder / name).write_text(self.box.ssh(f"cat /etc/mosquitto/footfall/accounts/sh-023/{name}").stdout)

    def publish(self, *payloads: bytes) -> None:
        """Publish as the box sh-023 does, with its account and TLS."""
        # The name of the broker is not in this machine's DNS; everything else of the certificate is checked.
        command = [
            "mosquitto_pub", "-h", ADDRESS, "-p", "8883", "--cafile", str(self.folder / "ca.pem"), "--insecure",
            "-u", "sh-023", "-P", (self.folder / "mqtt.password").read_text().strip(), "-V", "mqttv5", "-q", "1",
            "-t", "footfall/v1/sh-023/door-a/hour", "-l",
        ]  # fmt: skip
        subprocess.run(command, input=b"\n".join(payloads), check=True, timeout=300)

    def hours(self) -> int:
        """Return how many hours the store has."""
        text = self.ask(
            "import sys; from edge.headquarters.address import open_reader; print(open_reader(sys.argv[1]).count())"
        )
        return int(text)

    def ask(self, code: str) -> str:
        """Run Python in the release that runs, as the owner of the hours; its argument is the store."""
        store = "$(sed -n s/^STORE=//p /etc/footfall/headquarters.env)"
        program = "runuser -u footfall_hq -- /opt/footfall-hq/current/bin/python"
        return self.box.ssh(f'cd /; {program} -c {json.dumps(code)} "{store}"').stdout.strip()

    def until_hours(self, count: int) -> None:
        """Wait until the store has so many hours."""
        boxes.wait_until(lambda: self.hours() == count, f"{count} hours")

    def process(self) -> str:
        """Return the collector's process, as the server numbers it."""
        return self.box.ssh("systemctl show --value -p MainPID footfall-collect").stdout.strip()


def test_from_a_plain_debian_to_a_restored_server(server: Box, tmp_path: Path) -> None:
    """Broker, accounts, collector, report, alerts, weekly mail; a second run; a reboot; a backup on another server."""
    hq, mailbox = Headquarters(server, tmp_path), servers.Mailbox()
    with servers.hook(host="0.0.0.0") as hook, servers.mail_server(mailbox, host="0.0.0.0") as port:  # noqa: S104
        (tmp_path / "hq.yaml").write_text(CONFIG.format(ours=OURS, hook=hook.port, mail=port))
        files = (
            "--sites",
            tmp_path / "sites.yaml",
            "--config",
            tmp_path / "hq.yaml",
            "--boxes",
            tmp_path / "boxes.txt",
        )
        hq.deploy("--name", NAME, "--years", 3, *files)
        before = hq.process()
        again = hq.deploy(*files)
        bare = hq.deploy()
        hq.fetch_account()
        hq.publish(*(told(start) for start in recent(30)[:20]))
        hq.until_hours(20)
        for unit in ("report", "alert", "alert", "weekly", "retain"):
            server.ssh(f"systemctl start footfall-{unit}.service")

    assert "nothing to change" in again
    assert "nothing to change" in bare
    assert before == hq.process()
    assert "Berlin Mitte" in server.ssh("cat /var/lib/footfall-report/index.html").stdout
    assert [("silent", "open")] == [change for change in hook.changes if change[0] == "silent"]
    assert ["anna@example.com"] == mailbox.mails[0][0]
    timers = server.ssh("systemctl list-timers --all --no-legend --plain").stdout
    assert {"alert", "report", "weekly", "retain"} == set(re.findall(r"footfall-(\w+)\.timer", timers))
    assert "" == server.ssh("systemctl list-units --failed --no-legend --plain 'footfall*' mosquitto.service").stdout
    assert "640 root:footfall_hq" not in server.ssh("ls -l /etc/footfall").stdout
    listening = server.ssh("ss -Hltn").stdout
    assert ":8883" in listening
    assert ":1883" not in listening

    server.kill()
    server.boot()
    boxes.wait_until(lambda: hq.process() not in ("", "0"), "the collector is back")
    hq.publish(told(recent(30)[20]))
    hq.until_hours(21)
    hq.deploy("--backup", tmp_path / "hq.tar")
    assert 0o600 == (tmp_path / "hq.tar").stat().st_mode & 0o777
    server.unmake()

    server.make()
    server.boot()
    server.ssh(PREPARE)
    hq.deploy("--restore", tmp_path / "hq.tar")
    assert 21 == hq.hours()
    # Boxes need nothing new: the same accounts, the same authority, the same name.
    hq.publish(told(recent(30)[21]))
    hq.until_hours(22)
    assert "nothing to change" in hq.deploy()


def test_with_postgresql_the_collector_can_delete_nothing(server: Box, tmp_path: Path) -> None:
    """Debian's PostgreSQL by peer; a report from it; a broken file changes nothing; a backup restored in place."""
    hq = Headquarters(server, tmp_path)
    (tmp_path / "bad.yaml").write_text("sites: {sh-023: {nmae: x}}\n")
    refused = hq.deploy("--name", NAME, "--sites", tmp_path / "bad.yaml", code=1)
    hq.deploy("--name", NAME, "--postgresql", "--boxes", tmp_path / "boxes.txt", "--sites", tmp_path / "sites.yaml")
    hq.fetch_account()
    hq.publish(*(told(start) for start in recent(30)[:20]))
    hq.until_hours(20)
    server.ssh("systemctl start footfall-report.service footfall-alert.service")
    delete = "cd /; runuser -u footfall_collect -- psql -X -h /var/run/postgresql footfall -c 'DELETE FROM hours'"
    denied = server.ssh(delete, check=False)
    hq.deploy("--backup", tmp_path / "hq.tar")
    hq.publish(told(recent(30)[20]))
    hq.until_hours(21)
    hq.deploy("--restore", tmp_path / "hq.tar")
    restored = hq.hours()
    hq.publish(told(recent(30)[20]), told(recent(30)[21]))
    hq.until_hours(22)

    assert 'sites.yaml:1: sites.sh-023.nmae: "nmae" is not a setting' in refused
    assert "permission denied for table hours" in denied.stderr
    assert "Berlin Mitte" in server.ssh("cat /var/lib/footfall-report/index.html").stdout
    assert 20 == restored
    owner = "SELECT rolcreaterole FROM pg_roles WHERE rolname = 'footfall_hq'"
    assert "f" == server.ssh(f'cd /; runuser -u postgres -- psql -X -A -t -c "{owner}"').stdout.strip()
    assert "nothing to change" in hq.deploy()
