"""
Machines of their own: a whole PC or ARM board with Debian's kernel, emulated by qemu, reached over real ssh.

Each boots from an overlay on an image that nobody writes to. It has two USB sockets for cameras, a network cable to
the host's loopback and nothing behind it, and a clock that may say anything when it is switched on. Its power can be
cut: qemu is killed, and what the guest hadn't written is gone.
"""

from __future__ import annotations

import calendar
import contextlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.machine.image import CACHE, KEY, Image
from tests.publisher.rig import free_port

ROOT = Path(__file__).parents[2]
ACCELERATOR = os.environ.get("FOOTFALL_MACHINE_ACCEL", "tcg")
"""How qemu runs a guest's instructions: `kvm` where the host has it is many times as fast."""
PROCESSORS = 2 if ACCELERATOR == "kvm" else 1
"""With two emulated ones the kernel sometimes runs into its own half-made patches of itself, and panics."""
SOCKETS = ("left", "right")
"""The machine's two USB sockets."""
PATIENCE_S = 1_500.0
"""How long a test waits for what must come, s. It only decides how soon a broken program is told of."""
PROOF_S = "900"
_COUNTED = ("-accel", "tcg", "-smp", "1", "-icount", "shift=1,sleep=on")
"""Five hundred million instructions take the machine a second, however long they take the host."""
_MEMORY_MB = 900
"""What Linux has of the 1 GB of a small board."""
_SSH_OPTIONS = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"


def wait_until(condition: Callable[[], object], what: str, within_s: float = PATIENCE_S) -> None:
    """Poll *condition* until it holds; AssertionError with *what* if it doesn't in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(0.5)


@dataclass
class Machine:
    """
    One machine, and the emulator that runs it while it has power.

    Args:
        image: What it is booted from.
        folder: For its disk, console and sockets; short, as the name of a socket must be.
        disk: Its disk, a qcow2 file.
    """

    image: Image
    folder: Path
    disk: Path
    ssh_port: int = field(default_factory=free_port)
    _qemu: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _monitor: socket.socket | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def camera_socket(self, name: str) -> Path:
        """Return where a camera is plugged into the USB socket *name*."""
        return self.folder / f"{name}.usb"

    @property
    def console(self) -> str:
        """What it has said on its serial line."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "console").read_text(encoding="utf-8", errors="replace")
        return ""

    # --- power -------------------------------------------------------------------------------------------------------

    def power(
        self,
        *,
        clock: str | None = None,
        cable: bool = True,
        disk: Sequence[str] | None = None,
        counted: bool = False,
        masked: str = "",
    ) -> None:
        """
        Give it power; return when the emulator runs, and the machine has begun to boot.

        Args:
            masked: A unit of systemd that isn't started.
            counted: Whether its clock goes by the instructions that it has run: then it can't notice how busy the host
                is. Emulated only.
            clock: What its battery-backed clock says, as 1970-01-01T00:00:10; None for the right time.
            cable: Whether its network cable is plugged in.
            disk: How qemu is told of its disk, where not as usual.
        """
        kind = self.image.architecture
        mask = f" systemd.mask={masked}" if masked else ""
        for old in self.folder.glob("*.usb"):
            old.unlink()
        command = [
            *(kind.qemu, *kind.options, "-m", str(_MEMORY_MB)),
            *(_COUNTED if counted else ("-accel", ACCELERATOR, "-smp", str(PROCESSORS))),
            *("-display", "none", "-no-reboot", "-nodefaults"),
            *("-kernel", str(self.image.kernel), "-initrd", str(self.image.initrd)),
            *("-append", f"root=/dev/vda rw console={kind.console} panic=-1 quiet{mask}"),
            *(disk or ("-drive", f"file={self.disk},format=qcow2,if=virtio,cache=writeback")),
            *("-netdev", f"user,id=cable,hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22"),
            *("-device", "virtio-net-pci,netdev=cable,romfile="),
            *("-device", "qemu-xhci,id=usb", "-rtc", f"base={clock or 'utc'},clock={'vm' if counted else 'host'}"),
            *("-serial", f"file:{self.folder}/console", "-qmp", f"unix:{self.folder}/monitor,server=on,wait=off"),
            *("-S", "-device", "virtio-rng-pci"),
        ]
        for name in SOCKETS:
            command += ["-chardev", f"socket,id={name},path={self.camera_socket(name)},server=on,wait=off"]
            command += ["-device", f"usb-redir,chardev={name},id=camera-{name},bus=usb.0"]
        with (self.folder / "qemu").open("ab") as log:
            self._qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._answers, f"qemu to start: {self.folder}/qemu", 60)
        self.cable(plugged=cable)
        self.tell("cont")

    def boot(self, *, clock: str | None = None, disk: Sequence[str] | None = None) -> None:
        """Give it power, and wait until ssh answers and systemd has started everything."""
        began = time.monotonic()
        self.power(clock=clock, disk=disk)
        self.wait_for_ssh()
        print(f"booted in {time.monotonic() - began:.0f} s")

    def wait_for_ssh(self) -> None:
        """Wait until ssh answers and systemd has started everything."""

        def started() -> bool:
            if not self.has_power:
                raise AssertionError(f"the machine has gone off:\n{self.console[-4000:]}")
            said = self.ssh("systemctl is-system-running", check=False)
            return said.stdout.strip() in ("running", "degraded")

        wait_until(started, "the machine to boot")

    @property
    def has_power(self) -> bool:
        """Whether it runs."""
        return self._qemu is not None and self._qemu.poll() is None

    def switch_off(self) -> None:
        """Let it shut down as it should, and wait until it has."""
        self.ssh("systemctl poweroff", check=False)
        assert self._qemu is not None
        self._qemu.wait(PATIENCE_S)
        self.cut()

    def cut(self) -> None:
        """Cut its power: the emulator ends at once."""
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.wait()
            self._qemu = None

    # --- the emulator's monitor --------------------------------------------------------------------------------------

    def cable(self, *, plugged: bool) -> None:
        """Plug the network cable in or pull it."""
        self.tell("set_link", name="cable", up=plugged)

    def tell(self, command: str, **arguments: object) -> Any:
        """Tell the emulator something; return its answer. AssertionError if it refuses."""
        request = {"execute": command, "arguments": arguments}
        with self._lock:
            if self._monitor is None:
                raise AssertionError("the machine has no power")
            self._monitor.sendall(json.dumps(request).encode() + b"\n")
            while True:
                answer = self._next()
                if "error" in answer:
                    raise AssertionError(f"{command}: {answer['error']}")
                if "return" in answer:
                    return answer["return"]

    def seconds(self) -> float:
        """Return what the machine's own battery-backed clock says, whole seconds since 1970."""
        now = self.tell("qom-get", path="/machine", property="rtc-time")
        date = (now["tm_year"] + 1900, now["tm_mon"] + 1, now["tm_mday"], now["tm_hour"], now["tm_min"], now["tm_sec"])
        return float(calendar.timegm(date))

    def _answers(self) -> bool:
        assert self._qemu is not None
        if self._qemu.poll() is not None:
            raise AssertionError(f"qemu ended: {(self.folder / 'qemu').read_text()[-2000:]}")
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(self.folder / "monitor"))
        except OSError:
            connection.close()
            return False
        self._monitor = connection
        self._next()
        self.tell("qmp_capabilities")
        return True

    def _next(self) -> dict[str, Any]:
        """Return the monitor's next line."""
        assert self._monitor is not None
        line = b""
        while not line.endswith(b"\n"):
            line += (byte := self._monitor.recv(1))
            if not byte:
                raise AssertionError("the emulator has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    # --- ssh ---------------------------------------------------------------------------------------------------------

    @property
    def host(self) -> str:
        """What to call it for deploy.sh."""
        return "tech@127.0.0.1"

    @property
    def ssh_program(self) -> str:
        """What deploy.sh should use as ssh."""
        return f"ssh -p {self.ssh_port} -i {KEY} {_SSH_OPTIONS}"

    def ssh(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command on the machine as root."""
        remote = f"sudo bash -c {shlex.quote(command)}"
        # One connection for all: a handshake takes an emulated processor five seconds.
        shared = ("-oControlMaster=auto", f"-oControlPath={self.folder}/ssh", "-oControlPersist=60")
        patience = ("-oConnectTimeout=20", "-oServerAliveInterval=30")
        said = subprocess.run(
            [*shlex.split(self.ssh_program), *shared, *patience, self.host, remote],
            check=False, capture_output=True, text=True, timeout=PATIENCE_S,
        )  # fmt: skip
        if check and said.returncode != 0:
            raise AssertionError(f"{command}: {said.returncode}\n{said.stdout}{said.stderr}")
        return said

    def write(self, path: str, text: str) -> None:
        """Write a file of the machine, as root."""
        self.ssh(f"mkdir -p {shlex.quote(str(Path(path).parent))}; printf %s {shlex.quote(text)} >{shlex.quote(path)}")

    def deploy(self, *arguments: str, script: Path = ROOT / "deploy.sh") -> subprocess.CompletedProcess[str]:
        """Run deploy.sh on this machine, towards the other."""
        return subprocess.run(
            [script, *arguments], check=False, capture_output=True, text=True, timeout=3 * PATIENCE_S,
            env=self.deploy_environment, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    @property
    def deploy_environment(self) -> dict[str, str]:
        """The environment of deploy.sh."""
        ours = {"FOOTFALL_SSH": self.ssh_program, "FOOTFALL_PROOF_S": PROOF_S}
        return {**os.environ, **ours, "FOOTFALL_RELEASE_KEY": str(CACHE / "release-key")}


@contextlib.contextmanager
def machine(image: Image, below: Path | None = None) -> Iterator[Machine]:
    """
    Give a machine without power.

    Args:
        image: What it is booted from.
        below: A disk that it goes on from, instead of the image's.
    """
    folder = CACHE / f"m{os.getpid()}-{free_port()}"
    folder.mkdir()
    made = Machine(image, folder, folder / "disk.qcow2")
    try:
        source = (below, "qcow2") if below else (image.disk, "raw")
        overlay(made.disk, *source)
        yield made
    finally:
        made.cut()
        shutil.rmtree(folder, ignore_errors=True)


def overlay(disk: Path, below: Path, format_: str) -> None:
    """Make *disk*, which begins as what *below* holds."""
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", below, "-F", format_, disk], check=True, timeout=60
    )
