"""The secured broker, made by the command, run by the real mosquitto: what a box may do, and what it can't."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.config import schema
from edge.core.errors import ConfigError
from edge.headquarters import broker, broker_certificates
from edge.mqtt.client_id import client_id
from edge.publisher.hours import Span
from edge.publisher.ledger.view import Row
from edge.publisher.outbox import OutboxConnection
from tests.headquarters.conftest import Spawn, until_said
from tests.headquarters.messages import recent, told
from tests.headquarters.test_collect import kept
from tests.publisher.rig import MOSQUITTO, Listener, free_port, wait_until
from tests.publisher.test_outbox import Rows

pytestmark = pytest.mark.processes

Said = Callable[..., str]
BOXES = ["sh-023/door-a,door-b", "sh-024/door-a", "till-2=sh-023/back"]


class Secured:
    """The broker of a folder that the command made, running."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def make(self, *boxes: str, collectors: tuple[str, ...] = ("hq",), host: str = "localhost", **changes: Any) -> None:
        broker.run(
            self.folder, host, [broker.parse(box) for box in boxes], collectors, port=self.port,
            changes=broker.Changes(**changes),
        )  # fmt: skip

    def start(self) -> None:
        # Started by root, mosquitto takes another user; this folder lies where that one can't go.
        conf = self.folder / "mosquitto.conf"
        conf.write_text(conf.read_text() + "user root\n")
        self.process = subprocess.Popen([MOSQUITTO, "-c", str(conf)], stderr=subprocess.DEVNULL)
        wait_until(lambda: self.client("mosquitto_pub", "hq", "-t", "x", "-n") == 0, "the broker to listen", 60)

    def options(self, user: str) -> list[str]:
        password = (self.folder / "accounts" / user / "mqtt.password").read_text().strip()
        return [
            "-h", "localhost", "-p", str(self.port), "--cafile", str(self.folder / "ca.pem"), "-V", "mqttv5", "-q", "1",
            "-u", user, "-P", password,
        ]  # fmt: skip

    def client(self, program: str, user: str, *arguments: str) -> int:
        """Run a client that isn't ours to its end; return its exit code."""
        return subprocess.run(
            [program, *self.options(user), *arguments], capture_output=True, timeout=300, check=False
        ).returncode

    def listener(self, user: str, topic: str) -> Listener:
        return Listener(self.port, *self.options(user)[2:], "-h", "localhost", topic=topic)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    made = Secured(tmp_path_factory.mktemp("secured"))
    made.make(*BOXES)
    made.start()
    yield made
    made.stop()


def topic(site: str, camera: str, kind: str = "hour") -> str:
    return f"footfall/v1/{site}/{camera}/{kind}"


def arrives(secured: Secured, user: str, name: str) -> bool:
    """Tell whether what *user* publishes on *name* reaches the collector's account."""
    listener = secured.listener("hq", "footfall/#")
    try:
        marker = f"marker-{free_port()}"

        def hears() -> bool:
            secured.client("mosquitto_pub", "sh-024", "-t", topic("sh-024", "door-a"), "-m", marker)
            return marker in listener.payloads(topic("sh-024", "door-a"))

        wait_until(hears, "the listener")
        secured.client("mosquitto_pub", user, "-t", name, "-m", "forged")
        secured.client("mosquitto_pub", "sh-024", "-t", topic("sh-024", "door-a"), "-m", "end")
        wait_until(lambda: "end" in listener.payloads(topic("sh-024", "door-a")), "the end")
        return "forged" in listener.payloads(name)
    finally:
        listener.close()


@pytest.mark.parametrize(
    ("user", "name", "allowed"),
    [
        ("sh-023", topic("sh-023", "door-a"), True),
        ("sh-023", topic("sh-023", "door-b", "status"), True),
        ("till-2", topic("sh-023", "back"), True),
        ("sh-023", topic("sh-024", "door-a"), False),
        ("sh-024", topic("sh-023", "door-a", "status"), False),
        ("till-2", topic("sh-023", "door-a"), False),
        ("sh-023", topic("sh-023", "back"), False),
        ("sh-023", topic("sh-023", "door-c"), False),
        ("sh-023", "footfall/v1/sh-023/door-a/photo", False),
        ("sh-023", "footfall/v2/sh-023/door-a/hour", False),
        ("hq", topic("sh-023", "door-a"), False),
    ],
)
def test_a_box_publishes_as_itself_and_nobody_else(secured: Secured, user: str, name: str, allowed: bool) -> None:
    """Its own two topics of each of its cameras; not of another box of the shop, and the collector nothing."""
    assert allowed == arrives(secured, user, name)


@pytest.mark.parametrize("pattern", ["#", "footfall/#", "footfall/v1/sh-023/+/hour", "$SYS/#", "+/+/+/+/+"])
def test_a_box_reads_nothing(secured: Secured, pattern: str) -> None:
    """Not others, not the broker's own figures, not even itself."""
    box, collector = secured.listener("sh-023", pattern), secured.listener("hq", "footfall/#")
    name = topic("sh-023", "door-a")

    def published() -> bool:
        secured.client("mosquitto_pub", "sh-023", "-t", name, "-m", "mine")
        return bool(collector.payloads(name))

    wait_until(published, "the collector to hear")
    heard = list(box.received)
    for listener in (box, collector):
        listener.close()

    assert [] == heard


def test_nobody_comes_in_without_a_password_or_without_tls(secured: Secured) -> None:
    """No name, a wrong password, another box's password, plain text: each is refused."""
    mine = secured.options("sh-023")
    other = secured.options("sh-024")
    send = ["-t", topic("sh-023", "door-a"), "-m", "x"]
    for options in (mine[:-4], [*mine[:-1], "wrong"], [*mine[:-1], other[-1]], [*mine[:4], *mine[6:]]):
        done = subprocess.run(["mosquitto_pub", *options, *send], capture_output=True, timeout=300, check=False)

        assert done.returncode


def test_the_whole_path_is_secured(secured: Secured, spawn: Spawn, said: Said, tmp_path: Path) -> None:
    """What the command hands over is all that a box and a collector need: an hour goes from one to the other."""
    account = secured.folder / "accounts" / "sh-023"
    section = (account / "broker.yaml").read_text().replace("/etc/footfall", str(account))
    settings = schema.parse(
        "site: sh-023\ntimezone: Asia/Shanghai\ncameras:\n  door-a:\n    source: /dev/video0\n"
        "    lines: {entrance: {from: [0.1, 0.5], to: [0.9, 0.5], inside: [0.5, 0.9]}}\n" + section
    ).publisher()
    words = (secured.folder / "accounts" / "hq" / "collect.txt").read_text().split()[1:]
    here = {"mqtt.password", "ca.pem"}
    arguments = [str(secured.folder / "accounts" / "hq" / word) if word in here else word for word in words]
    url = str(tmp_path / "hours.sqlite")
    spawn(*arguments[:-1], url)
    until_said(said, "connected to localhost")
    start = recent(2)[0]
    start_ms = round(start.timestamp() * 1000)
    outbox = Rows()
    outbox.rows = [Row("door-a", Span(start_ms, start_ms + 3_600_000), 1, told(start), 0, None)]
    connection = OutboxConnection("sh-023", "door-a", settings.broker, outbox, lambda: None)

    def delivered() -> bool:
        connection.turn()
        return bool(kept(url))

    wait_until(delivered, "the hour", 30)
    connection.end(1)

    assert [48] == [hour.in_ for hour in kept(url)]


def test_more_boxes_change_nothing_that_is_there(tmp_path: Path) -> None:
    """Keys, certificates and passwords stay; the box that is new gets its own."""
    made = Secured(tmp_path / "broker")
    made.make(*BOXES)
    before = {
        path: path.read_bytes() for path in made.folder.rglob("*") if path.suffix in {".pem", ".key", ".password"}
    }
    passwords = (made.folder / "passwords").read_text().splitlines()
    made.make("sh-025/door-a", "sh-024/door-b", collectors=("hq", "hq-2"))
    acl = (made.folder / "acl").read_text()

    assert before == {path: path.read_bytes() for path in before}
    assert set(passwords) < set((made.folder / "passwords").read_text().splitlines())
    assert "user sh-024\ntopic write footfall/v1/sh-024/door-a/hour\n" in acl
    assert "topic write footfall/v1/sh-024/door-b/status\n" in acl
    assert "user hq-2\ntopic read footfall/#\n" in acl
    assert (made.folder / "accounts" / "sh-025" / "mqtt.password").exists()


def test_accounts_change_while_the_broker_runs(tmp_path: Path) -> None:
    """Added, given a new password, renamed, ended: each with one command, and the broker needs no restart."""
    made = Secured(tmp_path / "broker")
    made.make("sh-1/door", "sh-2/door", "sh-3/door")
    made.start()
    try:
        old = made.options("sh-1")
        assert made.process is not None
        running = made.process.pid

        def is_heard(options: list[str], site: str) -> bool:
            send = ["mosquitto_pub", *options, "-t", topic(site, "door"), "-m", "x"]
            return 0 == subprocess.run(send, capture_output=True, timeout=300, check=False).returncode

        made.make("sh-4/door", rekey=["sh-1"], revoke=["sh-2"], rename={"sh-3": "till-3"})
        # mosquitto reads what is new when it next goes round.
        wait_until(lambda: is_heard(made.options("sh-4"), "sh-4"), "the new box")

        assert is_heard(made.options("sh-1"), "sh-1")
        assert not is_heard(old, "sh-1")
        assert is_heard(made.options("till-3"), "sh-3")
        assert not (made.folder / "accounts" / "sh-2").exists()
        assert "username: till-3" in (made.folder / "accounts" / "till-3" / "broker.yaml").read_text()
        assert "sh-2" not in (made.folder / "acl").read_text() + (made.folder / "passwords").read_text()
        assert (None, running) == (made.process.poll(), made.process.pid)
    finally:
        made.stop()


def test_strict_clients_trust_the_certificate(tmp_path: Path) -> None:
    """It has what Python 3.13 asks for by itself, whatever version of openssl made it."""
    folder = tmp_path / "broker"
    folder.mkdir(mode=0o700)
    broker_certificates.make(folder, "broker.example.com")
    verify = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.pem", "broker.pem"]
    done = subprocess.run(verify, cwd=folder, capture_output=True, text=True, check=False)

    assert (0, "broker.pem: OK\n") == (done.returncode, done.stdout), done.stderr


def test_another_host_gets_another_certificate_of_the_same_authority(tmp_path: Path) -> None:
    """Boxes that know the authority believe it at once; under the same host nothing changes."""
    made = Secured(tmp_path / "broker")
    made.make("sh-1/door")
    authority, first = (made.folder / "ca.pem").read_bytes(), (made.folder / "broker.pem").read_bytes()
    made.make(host="mqtt.example.com")
    second = (made.folder / "broker.pem").read_bytes()
    made.make(host="mqtt.example.com")
    verify = ["openssl", "verify", "-CAfile", str(made.folder / "ca.pem"), "-verify_hostname", "mqtt.example.com",
              str(made.folder / "broker.pem")]  # fmt: skip

    assert authority == (made.folder / "ca.pem").read_bytes()
    assert first != second == (made.folder / "broker.pem").read_bytes()
    assert 0 == subprocess.run(verify, capture_output=True, check=False).returncode


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"revoke": ["nobody"]}, "there is no account nobody"),
        ({"rekey": ["nobody"]}, "there is no account nobody"),
        ({"rename": {"sh-1": "hq"}}, "hq is an account already"),
        ({"rename": {"sh-1": "SH 1"}}, "is no name"),
        ({"rename": {"sh-1": ""}}, "is no name"),
    ],
)
def test_changes_that_cant_be_made_change_nothing(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    """With a sentence each."""
    made = Secured(tmp_path / "broker")
    made.make("sh-1/door")
    before = (made.folder / "acl").read_bytes() + (made.folder / "passwords").read_bytes()
    with pytest.raises(ConfigError, match=words):
        made.make(**changes)

    assert before == (made.folder / "acl").read_bytes() + (made.folder / "passwords").read_bytes()


def test_secrets_are_their_owners(tmp_path: Path) -> None:
    """Nobody else can read a key or a password; none stands in a file that may be passed on."""
    made = Secured(tmp_path / "broker")
    made.make(*BOXES)
    secret = (made.folder / "accounts" / "sh-023" / "mqtt.password").read_text().strip()

    authority = broker_certificates.authority_of(made.folder)
    for path in [made.folder / name for name in ("passwords", "broker.key", "acl")]:
        assert 0 == path.stat().st_mode & 0o037, path
    for path in (authority, authority / "ca.key", made.folder / "accounts", made.folder / "state"):
        assert 0 == path.stat().st_mode & 0o077, path
    assert 0 == made.folder.stat().st_mode & 0o027
    assert not (made.folder / "ca.key").exists()
    assert len(secret) >= 32
    assert not [path for path in made.folder.rglob("*") if path.is_file() and path.suffix != ".password"
                and secret in path.read_text()]  # fmt: skip


def test_the_authoritys_key_leaves_a_folder_of_an_earlier_release(tmp_path: Path) -> None:
    """Run again, the command takes it out, and signs with it as before."""
    made = Secured(tmp_path / "broker")
    made.make(*BOXES)
    authority = broker_certificates.authority_of(made.folder)
    key = (authority / "ca.key").read_bytes()
    for name in ("ca.key", "serial"):
        (authority / name).rename(made.folder / name)
    (made.folder / "broker.pem").unlink()
    made.make(*BOXES)
    verify = ["openssl", "verify", "-CAfile", str(made.folder / "ca.pem"), str(made.folder / "broker.pem")]

    assert key == (authority / "ca.key").read_bytes()
    assert not (made.folder / "ca.key").exists()
    assert 0 == subprocess.run(verify, capture_output=True, check=False).returncode


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: mosquitto can't become a user of its own")


@pytest.fixture
def installed() -> Iterator[Secured]:
    """Give a broker in a folder that mosquitto's own user can reach, as it is installed on a server."""
    parent = Path(tempfile.mkdtemp(prefix="footfall-broker-"))
    parent.chmod(0o755)
    made = Secured(parent / "footfall")
    made.make("sh-1/door", "sh-2/door")
    yield made
    made.stop()
    shutil.rmtree(parent)


def succeeds(attack: Callable[[], object]) -> bool:
    try:
        attack()
    except PermissionError:
        return False
    return True


def attacks_that_succeed(folder: Path, authority: Path) -> list[str]:
    attacks: dict[str, Callable[[], object]] = {
        "rewrite the configuration": lambda: (folder / "mosquitto.conf").write_text("user root"),
        "replace the configuration": lambda: (folder / "mosquitto.conf").rename(folder / "old"),
        "give itself an account": lambda: (folder / "passwords").open("a").close(),
        "widen the rules": lambda: (folder / "acl").open("a").close(),
        "put a file beside it": lambda: (folder / "new").write_text(""),
        "move the certificate": lambda: (folder / "ca.pem").rename(folder / "ca.bak"),
        "read a box's password": (folder / "accounts" / "sh-1" / "mqtt.password").read_text,
        "read the authority's key": (authority / "ca.key").read_text,
        "list the authority": lambda: list(authority.iterdir()),
        "change the service": lambda: (folder / "mosquitto.service.d" / "footfall.conf").open("a").close(),
        "save its state": lambda: (folder / "state" / "mosquitto.db.new").write_text(""),
    }
    return [name for name, attack in attacks.items() if succeeds(attack)]


def as_mosquitto(action: Callable[[], object]) -> str:
    """Return what *action* returns, as text, when mosquitto's user does it."""
    user = pwd.getpwnam("mosquitto")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            os.write(writer, repr(action()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said


@as_root
def test_a_captured_broker_can_only_save_its_state(installed: Secured) -> None:
    """Mosquitto's user can't rewrite what root reads, nor take a key that isn't its own."""
    authority = broker_certificates.authority_of(installed.folder)

    assert "['save its state']" == as_mosquitto(lambda: attacks_that_succeed(installed.folder, authority))


@as_root
def test_debians_service_takes_the_drop_in(installed: Secured, tmp_path: Path) -> None:
    """Systemd accepts it, and its command line starts as the unit expects, under the right user, and saves."""
    unit = Path("/lib/systemd/system/mosquitto.service")
    if not unit.exists():
        pytest.skip("NO MOSQUITTO SERVICE ON THIS MACHINE: apt-get install mosquitto")
    drop_in = installed.folder / "mosquitto.service.d"
    units = tmp_path / "units"
    shutil.copytree(drop_in, units / drop_in.name)
    shutil.copy(unit, units)
    if shutil.which("systemd-analyze"):
        environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"}
        verify = ["systemd-analyze", "verify", "--man=no", "mosquitto.service"]
        found = subprocess.run(verify, env=environment, capture_output=True, text=True, check=False)
        assert 0 == found.returncode, found.stderr
    starts = [
        line.removeprefix("ExecStart=")
        for line in (drop_in / "footfall.conf").read_text().splitlines()
        if line.startswith("ExecStart=")
    ]
    # As the unit has it: started by root, without a setting of ours, ready when it says so. An abstract socket, for
    # mosquitto's own user can't go where this test's files are.
    address = f"footfall-notify-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(f"\0{address}")
        told.settimeout(60)
        installed.process = subprocess.Popen(starts[1].split(), env={"NOTIFY_SOCKET": f"@{address}"})
        ready = told.recv(4096)
    owner = Path(f"/proc/{installed.process.pid}").stat().st_uid
    heard = installed.client("mosquitto_pub", "sh-1", "-t", topic("sh-1", "door"), "-m", "x")
    installed.process.terminate()
    installed.process.wait(30)

    assert ["", f"/usr/sbin/mosquitto -c {installed.folder}/mosquitto.conf"] == starts
    assert "Type=notify" in unit.read_text()
    assert b"READY=1" in ready
    assert pwd.getpwnam("mosquitto").pw_uid == owner
    assert 0 == heard
    assert (installed.folder / "state" / "mosquitto.db").exists()


def test_beside_debians_configuration_it_would_be_refused(installed: Secured, tmp_path: Path) -> None:
    """That is why the drop-in replaces Debian's configuration: mosquitto takes no setting twice."""
    both = tmp_path / "mosquitto.conf"
    both.write_text("persistence true\npersistence_location /var/lib/mosquitto/\n")
    both.write_text(both.read_text() + (installed.folder / "mosquitto.conf").read_text())
    found = subprocess.run([MOSQUITTO, "-c", str(both)], capture_output=True, text=True, timeout=30, check=False)

    assert 0 != found.returncode
    assert "persistence_location" in found.stderr
    assert "Don't put it into /etc/mosquitto/conf.d" in (installed.folder / "mosquitto.conf").read_text()


def test_a_boxs_account_cant_take_the_collectors_session(
    installed: Secured, spawn: Spawn, said: Said, tmp_path: Path
) -> None:
    """It knows every name, and no secret: what the broker keeps for the collector stays there and is stored."""
    installed.start()
    url = str(tmp_path / "hours.sqlite")
    account = installed.folder / "accounts" / "hq"
    collect = ["collect", "--broker", f"mqtts://localhost:{installed.port}", "--username", "hq", "--password-file",
               account / "mqtt.password", "--ca-file", account / "ca.pem", "--store", url]  # fmt: skip
    child = spawn(*collect)
    until_said(said, "connected to localhost")
    # It notes the session when it has looked for one of a former release.
    wait_until(lambda: bool(client_ids(url)), "the session to be noted", 30)
    child.terminate()
    child.wait(15)
    for start in recent(5):
        sent = installed.client(
            "mosquitto_pub", "sh-1", "-t", topic("sh-1", "door"),
            "-m", told(start, site="sh-1", camera="door").decode(),
        )  # fmt: skip
        assert 0 == sent
    for guess in ("footfall-collect-1", "footfall-collect", "hq", "footfall-collect-1-" + 24 * "0"):
        assert 0 == installed.client("mosquitto_pub", "sh-2", "-i", guess, "-t", topic("sh-2", "door"), "-n")
    spawn(*collect)
    wait_until(lambda: len(kept(url)) == 5, "the five hours", 30)

    (ours,) = client_ids(url)
    password = (account / "mqtt.password").read_text().strip()
    assert client_id("footfall-collect-1", password.encode()) == ours
    assert "lost our session" not in said()


def client_ids(url: str) -> list[str]:
    with contextlib.closing(sqlite3.connect(url)) as connection:
        return [name for (name,) in connection.execute("SELECT client_id FROM sessions")]


@pytest.mark.parametrize(
    ("boxes", "collectors", "words"),
    [
        (["a/door", "b=a/door"], [], "a camera has one box"),
        (["hq/door"], ["hq"], "is a collector already"),
        (["a/door", "a=b/door"], [], "is a box of a already"),
        ([], ["Up"], "is no name for a collector"),
    ],
)
def test_what_contradicts_itself_is_refused(
    tmp_path: Path, boxes: list[str], collectors: list[str], words: str
) -> None:
    """And nothing is written."""
    with pytest.raises(ConfigError, match=words):
        broker.run(tmp_path / "broker", "localhost", [broker.parse(box) for box in boxes], collectors)

    assert not (tmp_path / "broker" / "acl").exists()


@pytest.mark.parametrize(
    "text", ["", "a", "a/", "A/door", "a/door,", "x y=a/door", "a/door/b", "a/+", "a/door\nuser b"]
)
def test_names_that_could_write_rules_of_their_own_are_refused(text: str) -> None:
    """Nothing but names gets into the ACL."""
    with pytest.raises(ValueError, match="is no box"):
        broker.parse(text)
