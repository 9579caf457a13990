"""A shop: one whole machine with an emulated camera in its left USB socket, and headquarters on the host."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.machine import pictures
from tests.machine.guest import ROOT, Machine, machine, wait_until
from tests.machine.image import AMD64, CACHE, GATEWAY, image
from tests.machine.usb_redirection import Plug
from tests.machine.uvc import Camera
from tests.system.headquarters import Headquarters, headquarters

NEEDED = (AMD64.qemu, "qemu-img", "mmdebstrap", "mke2fs", "ssh", "mosquitto_sub")
MISSING = [program for program in NEEDED if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None]
needed = [
    pytest.mark.processes,
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(os.environ.get("FOOTFALL_MACHINE") != "1", reason="emulates a machine: set FOOTFALL_MACHINE=1"),
    pytest.mark.skipif(os.geteuid() != 0, reason="emulates a machine: needs root"),
    pytest.mark.skipif(bool(MISSING), reason=f"emulates a machine: apt-get install what gives {', '.join(MISSING)}"),
]
BY_ID = "/dev/v4l/by-id/usb-Footfall_tests_UVC_camera_{}-video-index0"
"""The name that udev gives to a camera with this serial number."""
PROGRAM = "/opt/footfall/current/bin/footfall"
VISION, PUBLISHER = "footfall-vision@door", "footfall-publisher"
CONFIG = """
site: sh-023
timezone: Asia/Shanghai
cameras:
  door:
    source: {source}
    size: [640, 480]
    fps: 15
    lines:
      entrance: {{from: [0.03, 0.52], to: [0.97, 0.52], inside: [0.5, 0.9]}}
broker: {{host: {gateway}, port: {port}, tls: false}}
"""
SLOW = "[Service]\nTimeoutStartSec=1200\nWatchdogSec={watchdog_s}\n"
"""An emulated processor is twenty times as slow as a real one: a start takes minutes, and so may a picture."""
PATIENT_S = 900
"""How long systemd's watchdog waits for an emulated machine, s."""
IDLE_FPS = 0.15
"""
How many pictures a second a camera gives while nobody has to be counted: looking at more would leave no time, and with
one in ten seconds OpenCV takes the camera for lost.
"""
_DROP_IN = """
[Service]
TimeoutStartSec=1200
WatchdogSec=900
ExecStart=
ExecStart={program} {command} --config /etc/footfall/footfall.yaml --trial-clock {spec}
"""
_PRODUCT = ("edge", "models", "systemd", "deploy", "deploy.sh", "pyproject.toml", "README.md", "constraints.lock")
"""What an installed disk is made of: with any of it changed, it is made anew."""


@dataclass(frozen=True, slots=True)
class BoxClock:
    """A trial's clock of a box: how fast, and from which of the box's boot times and which wall time on, ms."""

    speed: float
    boot_ms: int
    wall_ms: int

    def at(self, speed: float) -> BoxClock:
        """Return a clock that has begun at the same moment and runs at another speed."""
        return dataclasses.replace(self, speed=speed)


@dataclass
class Shop:
    """
    One box, its cameras and headquarters.

    Args:
        box: The machine.
        hq: A broker and a subscriber on the host.
        scratch: For files of the test's own.
        installation: What `deploy.sh install` said when the box was installed.
    """

    box: Machine
    hq: Headquarters
    scratch: Path
    installation: str = ""
    plugs: dict[str, Plug] = field(default_factory=dict)

    # --- cameras -----------------------------------------------------------------------------------------------------

    def plug(self, camera: Camera, where: str = "left") -> None:
        """Plug *camera* into a USB socket."""
        if camera.send is None:
            camera.start()
        self.plugs[where] = Plug(camera, self.box.camera_socket(where))

    def pull(self, where: str = "left") -> None:
        """Pull what is in a USB socket."""
        self.plugs.pop(where).pull()

    # --- the box -----------------------------------------------------------------------------------------------------

    @property
    def config(self) -> str:
        """The config of a box with one camera."""
        return CONFIG.format(source=BY_ID.format("0001"), gateway=GATEWAY, port=self.hq.port)

    def install(self) -> subprocess.CompletedProcess[str]:
        """Bring this checkout to the box, over ssh."""
        self.drop_in(VISION, SLOW.format(watchdog_s=PATIENT_S))
        self.drop_in(PUBLISHER, SLOW.format(watchdog_s=PATIENT_S))
        file = self.scratch / "footfall.yaml"
        file.write_text(self.config, encoding="utf-8")
        return self.box.deploy("install", self.box.host, "--config", str(file))

    def configure(self, text: str) -> None:
        """Give the box another config, and start everything with it."""
        self.box.ssh("systemctl stop footfall.target")
        self.box.write("/etc/footfall/footfall.yaml", text)
        self.box.ssh("systemctl start footfall.target")

    def drop_in(self, unit: str, text: str) -> None:
        """Give a service a drop-in, in place of the one that these tests have given it before."""
        name = f"{unit.partition('@')[0]}{'@' * ('@' in unit)}"
        self.box.write(f"/etc/systemd/system/{name}.service.d/slow.conf", text)
        self.box.ssh("systemctl daemon-reload")

    def as_installed(self) -> None:
        """Let everything run as it was installed, with its own clock and a camera that gives few pictures."""
        for where in list(self.plugs):
            self.pull(where)
        self.plug(Camera(pictures.walking(), IDLE_FPS))
        self.drop_in(VISION, SLOW.format(watchdog_s=PATIENT_S))
        self.drop_in(PUBLISHER, SLOW.format(watchdog_s=PATIENT_S))
        self.configure(self.config)
        wait_until(self.sealed, "vision to be sealed")

    def clock(self, speed: float, wall_ms: int) -> BoxClock:
        """Return a clock that says *wall_ms* now."""
        up_s = float(self.box.ssh("cat /proc/uptime").stdout.split()[0])
        return BoxClock(speed, int(up_s * 1000), wall_ms)

    def start_with(self, clock: BoxClock, unit: str) -> None:
        """Start a service, which doesn't run, on this clock."""
        command = "publisher" if unit == PUBLISHER else "vision door"
        spec = f"{clock.speed}:{clock.boot_ms}:{clock.wall_ms}"
        self.drop_in(unit, _DROP_IN.format(program=PROGRAM, command=command, spec=spec))
        self.box.ssh(f"systemctl start --no-block {unit}")

    def find_headquarters(self) -> None:
        """Give the box's publisher headquarters' port, if its config names another."""
        if f"port: {self.hq.port}," not in self.box.ssh("cat /etc/footfall/footfall.yaml").stdout:
            self.box.ssh(f"sed -i 's/port: [0-9]*/port: {self.hq.port}/' /etc/footfall/footfall.yaml")
            self.box.ssh(f"systemctl restart {PUBLISHER}")

    def told(self, unit: str, *properties: str) -> list[str]:
        """Return what systemd says of a unit."""
        asked = " ".join(f"-p {name}" for name in properties)
        lines = self.box.ssh(f"systemctl show {asked} {unit}").stdout.splitlines()
        values = dict(line.split("=", 1) for line in lines)
        return [values[name] for name in properties]

    def footfall(self, arguments: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of Footfall's on the box."""
        return self.box.ssh(f"{PROGRAM} {arguments}", check=check)

    def ledger(self, question: str) -> list[list[object]]:
        """Ask the box's ledger by SQL; return the rows."""
        script = (
            "import json, sqlite3;"
            "ledger = sqlite3.connect('file:/var/lib/footfall/ledger.sqlite?mode=ro', uri=True);"
            f"print(json.dumps(ledger.execute({question!r}).fetchall()))"
        )
        rows: list[list[object]] = json.loads(self.box.ssh(f"python3 -c {shlex.quote(script)}").stdout)
        return rows

    def readings(self) -> int:
        """Return how many readings the ledger holds."""
        return int(str(self.ledger("SELECT count(*) FROM readings")[0][0]))

    def more_readings(self, what: str, unit: str = VISION) -> None:
        """Wait until the ledger holds more readings than now."""
        before = self.readings()
        try:
            wait_until(lambda: self.readings() > before, f"a reading {what}")
        except AssertionError:
            print(self.box.ssh(f"systemctl status {unit} {PUBLISHER}; dmesg | tail -30", check=False).stdout)
            raise

    def sealed(self) -> bool:
        """Tell whether vision has confined itself and counts."""
        return self.told(VISION, "StatusText") == ["sealed"]


@contextlib.contextmanager
def shop(scratch: Path, below: Path | None = None) -> Iterator[Shop]:
    """
    Give a shop whose box has no power yet.

    Args:
        scratch: For files of the test's own.
        below: The disk that the box goes on from; its config names a port of headquarters, which is used if it is free.
    """
    named = int(below.with_suffix(".port").read_text()) if below else None
    port = named if named and is_free(named) else None
    with machine(image(AMD64), below) as box, headquarters(scratch, port) as hq:
        made = Shop(box, hq, scratch, below.with_suffix(".log").read_text(encoding="utf-8") if below else "")
        try:
            yield made
        finally:
            for plug in made.plugs.values():
                plug.pull()


def installed(scratch: Path) -> Path:
    """
    Return a disk with this checkout installed, for the camera 0001; made if there is none of it yet.

    It begins as a plain Debian, to which `deploy.sh install` comes over ssh. What that said stands beside the disk.
    """
    disk = _installed_disk()
    if not disk.exists():
        with shop(scratch) as made:
            made.box.power()
            made.plug(Camera(pictures.walking(), IDLE_FPS))
            made.box.wait_for_ssh()
            began = time.monotonic()
            said = made.install()
            log = f"{said.stderr}in {time.monotonic() - began:.0f} s\n"
            assert 0 == said.returncode, log + made.box.ssh("journalctl -o cat --no-pager -n 50").stdout
            made.box.switch_off()
            for old in CACHE.glob(f"installed-{AMD64.name}-*"):
                old.unlink()
            part = disk.with_name(f"part-{disk.name}")
            shutil.copy(made.box.disk, part)
            disk.with_suffix(".log").write_text(log, encoding="utf-8")
            disk.with_suffix(".port").write_text(str(made.hq.port))
            part.rename(disk)
    return disk


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a port of this host."""
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("0.0.0.0", port))  # noqa: S104 - only tried
        return True
    return False


def _installed_disk() -> Path:
    """Return the name of the disk with this checkout, as it is now, installed."""
    listing: list[str | Path] = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run([*listing, "--", *_PRODUCT], check=True, capture_output=True).stdout.split(b"\0")
    digest = hashlib.sha256()
    for name in sorted(filter(None, names)):
        digest.update(name + b"\0" + (ROOT / os.fsdecode(name)).read_bytes())
    return CACHE / f"installed-{AMD64.name}-{digest.hexdigest()[:16]}.qcow2"
