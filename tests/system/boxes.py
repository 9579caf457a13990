"""
Boxes to install on: a Debian in a folder, booted by its own systemd in a container, reached over real ssh.

Needs root, debootstrap and systemd-nspawn. A Debian is fetched once and kept; each box is a fresh overlay on it. The
box's only network is a cable to this machine: it has no internet. It has the memory of a small Raspberry Pi. cgroups
are those of this machine's unified tree, in a mount namespace of our own; where the account of memory is kept by the
older tree, the box as a whole is bounded, but no unit in it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

CACHE = Path(os.environ.get("FOOTFALL_SYSTEM_CACHE", "/var/tmp/footfall-system"))  # noqa: S108 - kept on purpose
SUITES = os.environ.get("FOOTFALL_SYSTEM_SUITES", "bookworm trixie").split()
"""The Debians that are tried."""
ROOT = Path(__file__).parents[2]
PACKAGES = "systemd,systemd-sysv,dbus,openssh-server,sudo,python3,iproute2,procps,systemd-timesyncd,libseccomp2"
SIGNING = {"FOOTFALL_RELEASE_KEY": str(CACHE / "release-key")}
"""A key of the tests' own, made when it is first needed."""
ADDRESS, OURS = "10.213.7.2", "10.213.7.1"
FOLDER = "/usr/share/footfall-trial"
CONFIG = """
site: sh-023
timezone: Asia/Shanghai
cameras:
  door:
    source: {folder}/door.mp4
    loop: true
    lines:
      entrance: {{from: [0.03, 0.52], to: [0.97, 0.52], inside: [0.5, 0.9]}}
broker: {{host: {ours}, port: {port}, tls: false}}
model: {folder}/head.json
"""
PROOF_S = "150"
_BOOT_S = 300
_SSH_OPTIONS = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"

MEMORY_MB = 900
"""What Linux has of the 1 GB of a Raspberry Pi 3."""

_START = f"""
older=/sys/fs/cgroup/memory/footfall-system
if [ -e /sys/fs/cgroup/memory/memory.limit_in_bytes ]; then
    mkdir -p $older
    echo {MEMORY_MB}M > $older/memory.limit_in_bytes
    echo $$ > $older/cgroup.procs
fi
mount --make-rprivate /
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /sys/fs/cgroup/footfall-system
if [ -e /sys/fs/cgroup/footfall-system/memory.max ]; then
    echo {MEMORY_MB}M > /sys/fs/cgroup/footfall-system/memory.max
fi
echo $$ > /sys/fs/cgroup/footfall-system/cgroup.procs
# No filter of the container's own: beside it nobody, root either, may read those that are loaded.
SYSTEMD_SECCOMP=0 exec systemd-nspawn --quiet --boot --register=no --keep-unit --console=read-only --network-veth \\
    --machine=footfall-box "$@"
"""
_NETWORK = f"""
[Match]
Name=host0
[Network]
Address={ADDRESS}/30
LinkLocalAddressing=no
"""


def wait_until(condition: Callable[[], object], what: str, within_s: float = 120.0) -> None:
    """Poll *condition* until it holds; AssertionError with *what* if it doesn't in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(0.5)


def debian(suite: str, architecture: str = "amd64", packages: str = PACKAGES, kind: str = "") -> Path:
    """Return the folder of a Debian with *packages*, fetched if it isn't there yet; other packages, another *kind*."""
    folder = CACHE / f"{suite}-{architecture}{kind}"
    if not (CACHE / f"{folder.name}.ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [
                "debootstrap",
                f"--arch={architecture}",
                "--variant=minbase",
                f"--include={packages}",
                suite,
                folder,
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (CACHE / f"{folder.name}.ready").touch()
    return folder


@dataclass
class Box:
    """One box: an overlay on a Debian, and the container that runs on it."""

    debian: Path
    scratch: Path
    _container: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def root(self) -> Path:
        """Its file system, as this machine sees it."""
        return self.scratch / "root"

    @property
    def key(self) -> Path:
        """The key that opens its ssh."""
        return self.scratch / "key"

    @property
    def host(self) -> str:
        """What to call it for deploy.sh."""
        return f"tech@{ADDRESS}"

    def make(self) -> None:
        """Mount a fresh overlay, and put in what whoever prepares a box's card puts in: a user with a key."""
        for name in ("upper", "work", "root"):
            (self.scratch / name).mkdir(parents=True)
        options = f"lowerdir={self.debian},upperdir={self.scratch}/upper,workdir={self.scratch}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, self.root], check=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        if not (self.root / "usr/sbin/sshd").exists():
            return
        self.chroot("useradd --create-home --shell /bin/bash tech; systemctl enable systemd-networkd ssh")
        self.write("/etc/sudoers.d/tech", "tech ALL=(ALL) NOPASSWD: ALL\n", 0o440)
        self.write("/etc/systemd/network/10-box.network", _NETWORK)
        self.write("/etc/hostname", "box\n")
        self.write("/etc/hosts", "127.0.0.1 localhost box\n")
        self.write("/home/tech/.ssh/authorized_keys", self.key.with_suffix(".pub").read_text())
        self.write("/etc/ssh/sshd_config.d/test.conf", "StrictModes no\nUseDNS no\n")

    def unmake(self) -> None:
        """Take the overlay away."""
        self.kill()
        subprocess.run(["umount", "-l", self.root], check=False)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the box from outside."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)

    def chroot(self, command: str) -> str:
        """Run a command in the box's file system while it isn't booted."""
        return subprocess.run(
            ["chroot", self.root, "bash", "-ec", command], check=True, capture_output=True, text=True
        ).stdout

    def boot(self, *options: str) -> None:
        """Give it power, and wait until ssh answers and systemd has started everything."""
        with (self.scratch / "console").open("ab") as console:
            self._container = subprocess.Popen(
                ["unshare", "-m", "bash", "-ec", _START, "bash", "-D", self.root, *options],
                stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        wait_until(lambda: Path("/sys/class/net/ve-footfall-box").exists(), "the cable is there", _BOOT_S)
        subprocess.run(["ip", "address", "replace", f"{OURS}/30", "dev", "ve-footfall-box"], check=True)
        subprocess.run(["ip", "link", "set", "ve-footfall-box", "up"], check=True)
        wait_until(lambda: self.ssh("true", check=False).returncode == 0, "ssh answers", _BOOT_S)
        wait_until(
            lambda: self.ssh("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded"),
            "it has started", _BOOT_S,
        )  # fmt: skip

    def kill(self) -> None:
        """Cut its power: SIGKILL for its first process, with which the kernel ends all others at once."""
        if self._container is None:
            return
        for process in (*self._inits(), self._container.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._container.wait()
        self._container = None
        wait_until(lambda: not Path("/sys/class/net/ve-footfall-box").exists(), "the cable is gone")

    def _inits(self) -> list[int]:
        """Return its first process, as this machine numbers it."""
        container = self._container
        if container is None:
            return []
        children = Path(f"/proc/{container.pid}/task/{container.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def holds(self, process: int) -> bool:
        """Tell whether a process of this machine runs in this box, and not in another or in none."""
        with contextlib.suppress(OSError):
            its = Path(f"/proc/{process}/ns/pid").readlink()
            return any(its == Path(f"/proc/{init}/ns/pid").readlink() for init in self._inits())
        return False

    def ssh(self, command: str, *, check: bool = True, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command on the box as root."""
        return subprocess.run(
            [*shlex.split(self.ssh_program), "-oConnectTimeout=5", self.host, f"sudo bash -c {shlex.quote(command)}"],
            check=check, capture_output=True, text=True, timeout=timeout_s,
        )  # fmt: skip

    @property
    def killed_for_memory(self) -> int:
        """How many of its processes the kernel has ended because the box had no memory left."""
        for file in ("memory/footfall-system/memory.oom_control", "footfall-system/memory.events"):
            path = Path("/sys/fs/cgroup", file)
            if path.exists():
                return int(dict(line.split() for line in path.read_text().splitlines())["oom_kill"])
        raise AssertionError("this machine keeps no account of memory")

    @property
    def ssh_program(self) -> str:
        """What deploy.sh should use as ssh."""
        return f"ssh -i {self.key} {_SSH_OPTIONS}"

    def deploy(self, *arguments: str, script: Path = ROOT / "deploy.sh") -> subprocess.CompletedProcess[str]:
        """Run deploy.sh on this machine, towards the box."""
        return subprocess.run(
            [script, *arguments], check=False, capture_output=True, text=True, timeout=1800,
            env={**os.environ, **SIGNING, "FOOTFALL_SSH": self.ssh_program, "FOOTFALL_PROOF_S": PROOF_S},
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def start_deploy(self, *arguments: str, script: Path = ROOT / "deploy.sh") -> subprocess.Popen[str]:
        """Start deploy.sh on this machine, towards the box; it and every ssh of it are one process group."""
        ssh = f"{self.ssh_program} -o ControlMaster=no -o ControlPath=none"
        return subprocess.Popen(
            [script, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, **SIGNING, "FOOTFALL_SSH": ssh, "FOOTFALL_PROOF_S": PROOF_S}, stdin=subprocess.DEVNULL,
        )  # fmt: skip


@contextlib.contextmanager
def box(suite: str, architecture: str = "amd64", packages: str = PACKAGES, kind: str = "") -> Iterator[Box]:
    """Give a fresh box with this Debian, not booted yet."""
    made = Box(debian(suite, architecture, packages, kind), CACHE / f"box-{os.getpid()}-{suite}-{architecture}{kind}")
    try:
        made.make()
        yield made
    finally:
        made.unmake()
