"""What the publisher's tests are made of: a real broker, a listener that isn't ours, records, a box on a bench."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from edge.config.schema import PublisherSettings
from edge.core.clock import ManualClock
from edge.core.tally import BEAT_MS, Flag, Tally, line_key
from edge.publisher.hour_builder import HourBuilder
from edge.publisher.ledger.ledger import Ledger

MOSQUITTO = "/usr/sbin/mosquitto"
DEADLINE_S = 300.0
"""How long a test waits for what must come, in seconds. It only decides how soon a broken program is told of: a busy
machine may take minutes for what an idle one does at once, and no test may fail for that."""

_PORTS = range(15_000, 32_000)
"""Ports that the kernel gives to nobody who asks for just any port, so that only a test takes one."""


def wait_until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Return as soon as *condition* holds; fail the test after *deadline_s*, which is never less than DEADLINE_S."""
    patience_s = max(deadline_s, DEADLINE_S)
    until = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > until:
            pytest.fail(f"waited {patience_s} s in vain for: {what}")
        time.sleep(0.01)


def lives(process: int) -> bool:
    """Tell whether a process runs; one that only waits to be asked for its exit code doesn't."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def free_port() -> int:
    """Return a port of loopback that nobody listens on, and that tests beside this one hardly choose as well."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass
class Mosquitto:
    """A real broker on loopback that can be stopped and started again on the same port."""

    folder: Path
    options: Sequence[str] = ("allow_anonymous true",)
    port: int = field(default_factory=free_port)
    keeps: bool = False
    """Whether it keeps sessions and messages on disk, as a broker of headquarters should."""
    autosave: Sequence[str] = ("autosave_on_changes true", "autosave_interval 1")
    """When it writes them there: after each change, unless a test says otherwise."""
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it listens."""
        conf = self.folder / f"mosquitto-{self.port}.conf"
        keep = ["persistence false"]
        if self.keeps:
            keep = ["persistence true", f"persistence_location {self.folder}/", *self.autosave]
            keep += ["max_queued_messages 0"]
        lines = [f"listener {self.port} 127.0.0.1", "user root", *keep, *self.options]
        conf.write_text("\n".join(lines) + "\n")
        log = self.folder / f"mosquitto-{self.port}.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen([MOSQUITTO, "-v", "-c", str(conf)], stdout=out, stderr=out)

        def listens() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, log.read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
            return False

        wait_until(listens, "mosquitto to listen")

    def stop(self) -> None:
        """End it as SIGKILL does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


_AUTHORITY = """\
[ca]
default_ca = ours
[ours]
certificate = ca.pem
private_key = ca.key
database = issued
new_certs_dir = .
default_md = sha256
policy = any
rand_serial = yes
unique_subject = no
[any]
commonName = supplied
"""


def make_certificates(folder: Path) -> Path:
    """
    Make certificates in *folder* and return it.

    Two authorities, `ca` and `other-ca`; signed by the first, `broker` for 127.0.0.1, `stranger` for another name,
    `stale` and `soon` for 127.0.0.1, one expired and one for ten days more, and `box` for a box.
    """

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for authority in ("ca", "other-ca"):
        openssl(
            *("req", "-x509", *key, "-keyout", f"{authority}.key", "-out", f"{authority}.pem"),
            *("-days", "90", "-subj", f"/CN={authority}"),
        )
    (folder / "ca.conf").write_text(_AUTHORITY)
    (folder / "issued").touch()
    for name, alt, days in (
        ("broker", "IP:127.0.0.1", 90),
        ("stranger", "DNS:elsewhere.example", 90),
        ("stale", "IP:127.0.0.1", 0),
        ("soon", "IP:127.0.0.1", 10),
        ("box", "DNS:box", 90),
    ):
        (folder / "ext").write_text(f"subjectAltName={alt}\n")
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        # `openssl ca` makes a certificate that is over; `openssl x509` doesn't any more.
        valid = ("-days", str(days)) if days else ("-startdate", "20240101000000Z", "-enddate", "20250101000000Z")
        openssl(
            *("ca", "-batch", "-config", "ca.conf", "-notext", "-extfile", "ext", *valid),
            *("-in", f"{name}.csr", "-out", f"{name}.pem"),
        )
    return folder


def tls_options(folder: Path, name: str = "broker") -> list[str]:
    """Return mosquitto's settings for TLS with the certificate *name* of `make_certificates`."""
    return [
        "allow_anonymous true",
        f"certfile {folder}/{name}.pem",
        f"keyfile {folder}/{name}.key",
        f"cafile {folder}/ca.pem",
    ]


class Listener:
    """mosquitto_sub on `#`: a subscriber that shares no code with ours."""

    def __init__(self, port: int, *options: str, topic: str = "#") -> None:
        self.received: list[tuple[str, bool, str]] = []
        self.process = subprocess.Popen(
            ["mosquitto_sub", "-p", str(port), "-V", "mqttv5", "-q", "1", "-t", topic, "-F", "%t %r %p", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            topic, retained, payload = line.decode().rstrip("\n").split(" ", 2)
            self.received.append((topic, retained == "1", payload))

    def payloads(self, topic: str) -> list[str]:
        """Return what came on *topic*, in order."""
        return [payload for heard, _, payload in self.received if heard == topic]

    def close(self) -> None:
        """Stop listening."""
        self.process.kill()
        self.process.wait()
        self._thread.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()


CONFIG = """
site: {site}
timezone: {timezone}
cameras:
  door-a: &door
    source: /dev/video0
    lines: {{entrance: {{from: [0.1, 0.5], to: [0.9, 0.5], inside: [0.5, 0.9]}}}}
    {open}
  {second}
broker: {{host: 127.0.0.1, port: {port}, tls: false{broker}}}
ledger: {folder}/ledger.sqlite
tally_dir: {folder}
model: {model}
"""


class Walkers:
    """
    The writing side: one run's odometers on one line, moved by hand.

    Args:
        run: The run's number.
        boot_ms: Boot time at which it begins.
    """

    def __init__(self, run: int = 1, boot_ms: int = 0, line: str = "entrance") -> None:
        self.run = run
        self.line = line_key(line)
        self.sequence = 0
        self.began_ms = boot_ms
        self.in_ = self.out = self.watched_ms = 0

    def reading(
        self, boot_ms: int, *, in_: int = 0, out: int = 0, watched_ms: int | None = None, flags: int = 0
    ) -> Tally:
        """Return the next reading, after so many more went in and out; watched all the time unless it says less."""
        self.in_ += in_
        self.out += out
        self.watched_ms = boot_ms - self.began_ms if watched_ms is None else self.watched_ms + watched_ms
        tally = Tally(
            self.run, self.sequence, self.line, self.in_, self.out, self.sequence, boot_ms, self.watched_ms, Flag(flags)
        )
        self.sequence += 1
        return tally


def utc_ms(text: str) -> int:
    """Return the ms since 1970 of an ISO time with an offset."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


class Box:
    """
    A publisher's hour builder on a real ledger under a clock moved by hand, with no broker.

    Args:
        settings: What it may know.
        wall: Where the clock stands at boot, ISO.
        synchronised: Whether the clock can be trusted from the start.
        boot_id: Which boot this is.
        opened: Whether the ledger is opened at once.
    """

    def __init__(
        self,
        settings: PublisherSettings,
        wall: str,
        *,
        synchronised: bool = True,
        boot_id: str = "b1",
        opened: bool = True,
    ) -> None:
        self.settings = settings
        self.clock = ManualClock(boot=60_000, wall=utc_ms(wall), synchronised=synchronised, boot_id=boot_id)
        if opened:
            self.open()

    def open(self) -> None:
        """Open the ledger, as a publisher does that starts."""
        self.ledger = Ledger(self.settings.ledger, self.clock.boot_id, self.clock.boot)
        self.builder = HourBuilder(self.ledger, self.settings, self.clock, "head-test 1")

    def kill(self) -> None:
        """End without a word: what isn't committed is gone."""
        self.ledger.close()

    def reboot(self, boot_id: str, off_ms: int, *, synchronised: bool = True) -> None:
        """Cut the power for *off_ms* and start again."""
        self.kill()
        self.clock.advance(off_ms)
        self.clock.boot = 20_000
        self.clock.boot_id = boot_id
        self.clock.synchronised = synchronised
        self.open()

    def take(self, *readings: Tally, camera: str = "door-a") -> None:
        """Hand over what a gate let through."""
        self.builder.take(camera, readings)
        self.builder.turn()

    def let(
        self, *walkers: Walkers, minutes: float, in_: int = 0, out: int = 0, flags: int = 0, camera: str = "door-a"
    ) -> None:
        """Let *minutes* pass in beats of 10 s, a reading of each walker's line a beat; *in_* and *out* a beat."""
        for _ in range(round(minutes * 6)):
            self.clock.advance(BEAT_MS)
            self.take(*(w.reading(self.clock.boot, in_=in_, out=out, flags=flags) for w in walkers), camera=camera)

    def idle(self, minutes: float) -> None:
        """Let time pass without readings."""
        self.let(minutes=minutes)

    def hours(self, camera: str = "door-a") -> list[dict[str, Any]]:
        """Return the newest revision of each hour, as sent."""
        return [json.loads(row.payload) for row in self.ledger.latest(camera, 0)]

    def told(self, *keys: str, camera: str = "door-a") -> list[tuple[Any, ...]]:
        """Return some fields of each hour's newest revision."""
        return [tuple(hour[key] for key in keys) for hour in self.hours(camera)]


@contextlib.contextmanager
def brokers(folder: Path, *usual: str) -> Iterator[Callable[..., Mosquitto]]:
    """Yield what makes brokers in *folder*, with the *usual* options if it is given none; stop them all at the end."""
    made: list[Mosquitto] = []

    def make(*options: str, start: bool = True) -> Mosquitto:
        broker = Mosquitto(folder, options or usual)
        made.append(broker)
        if start:
            broker.start()
        return broker

    yield make
    for broker in made:
        broker.stop()
