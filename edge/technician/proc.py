"""
What the kernel says about a running process: /proc, and systemd's word where there is one. Reads only.

Nothing here asks the process itself: whoever has captured it would answer.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.core.printable import printable
from edge.sandbox.mounts import Mount, mounted, visible

PROC = Path("/proc")

_NETWORK_TABLES = {
    "tcp": 9, "tcp6": 9, "udp": 9, "udp6": 9, "udplite": 9, "udplite6": 9, "raw": 9, "raw6": 9, "icmp": 9, "icmp6": 9,
    "packet": 8, "netlink": 9, "unix": 6,
}  # fmt: skip
"""Files of /proc/PID/net, and the column that holds a socket's inode."""


_ANSWER_S = 20.0
"""Seconds that systemd has for an answer."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """
    One descriptor of a process.

    Attributes:
        kind: file, folder, disk, device, pipe, socket or other.
        name: Path, or what the kernel calls it; of a socket its family (unix, tcp, udp6, ...), or "unknown".
    """

    number: int
    kind: str
    name: str
    writable: bool


@dataclass(frozen=True, slots=True)
class Process:
    """A running process of ours. Each property reads the kernel anew."""

    pid: int
    arguments: Sequence[str]

    @property
    def folder(self) -> Path:
        """Its folder under /proc."""
        return PROC / str(self.pid)

    @property
    def threads(self) -> list[Mapping[str, str]]:
        """The status of each of its threads."""
        return [_status(task / "status") for task in (self.folder / "task").iterdir()]

    @property
    def status(self) -> Mapping[str, str]:
        """Its status: user, memory, swap."""
        return _status(self.folder / "status")

    @property
    def user(self) -> str:
        """The name of the user that it runs as."""
        number = int(self.status["Uid"].split()[1])
        try:
            return pwd.getpwuid(number).pw_name
        except KeyError:
            return str(number)

    @property
    def dumpable(self) -> bool | None:
        """Whether others of its user may look into it. None if root owns it anyway, so that the kernel doesn't tell."""
        if self.status["Uid"].split()[1] == "0":
            return None
        return (self.folder / "status").stat().st_uid != 0

    def limit(self, name: str) -> str:
        """Return its hard limit called *name*, as /proc/PID/limits writes it."""
        for line in (self.folder / "limits").read_text(encoding="ascii").splitlines():
            if line.startswith(name):
                return line[len(name) :].split()[1]
        return "unknown"

    @property
    def namespaces(self) -> dict[str, bool]:
        """Each kind of namespace, and whether it is init's, or this program's where init's can't be read."""
        kinds = ("net", "mnt", "user", "ipc", "pid")
        try:
            usual = {kind: (PROC / "1" / "ns" / kind).readlink() for kind in kinds}
        except PermissionError:
            usual = {kind: (PROC / "self" / "ns" / kind).readlink() for kind in kinds}
        return {kind: (self.folder / "ns" / kind).readlink() == usual[kind] for kind in kinds}

    @property
    def files(self) -> list[OpenFile]:
        """Everything that it has open; raises PermissionError if this user may not know."""
        families = _families(self.folder / "net") | _families(PROC / "self" / "net")
        return list(_open_files(self.folder, families))

    @property
    def mounts(self) -> list[Mount]:
        """What is mounted for it and can be reached."""
        return visible(mounted(self.folder / "mountinfo"))

    @property
    def writable_mounts(self) -> list[str]:
        """
        Where a file system that keeps files is mounted for it so that it can be written to, rights permitting.

        Not /dev itself, in which only root can make anything.
        """
        found = [mount for mount in self.mounts if mount.writable and mount.keeps_files]
        return [str(mount.point) for mount in found if mount.point != Path("/dev")]

    @property
    def executable_files(self) -> list[str]:
        """The files that are mapped into it to be run."""
        lines = (self.folder / "maps").read_text(encoding="utf-8", errors="replace").splitlines()
        fields = [line.split(maxsplit=5) for line in lines]
        return [words[5] for words in fields if len(words) == 6 and "x" in words[1] and words[5].startswith("/")]  # noqa: PLR2004 - the table's columns

    @property
    def environment(self) -> list[str]:
        """The names in its environment, as it has them now."""
        pairs = (self.folder / "environ").read_bytes().decode(errors="replace").split("\0")
        return [pair.partition("=")[0] for pair in pairs if pair]

    @property
    def children(self) -> list[Process]:
        """The processes that it has started and that run."""
        return [process for process in _all() if process.parent == self.pid]

    @property
    def parent(self) -> int | None:
        """The number of the process that has started it; None if it has ended."""
        try:
            return int(self.status["PPid"])
        except (OSError, KeyError):
            return None

    @property
    def helper(self) -> Process | None:
        """The helper that tells systemd of it: its parent, if that has the same arguments."""
        with contextlib.suppress(OSError):
            if (parent := self.parent) and _arguments(PROC / str(parent)) == self.arguments:
                return Process(parent, self.arguments)
        return None

    @property
    def unit(self) -> str | None:
        """The systemd unit that it runs in, if that is one of ours."""
        for line in (self.folder / "cgroup").read_text(encoding="utf-8").splitlines():
            name = line.rpartition("/")[2]
            if name.startswith("footfall-") and name.endswith(".service"):
                return name
        return None


def running(command: str) -> list[Process]:
    """
    Return the processes that run `footfall COMMAND`, however Python was started for it.

    The helper that tells systemd of one of them is left out: it is that one's parent, and has the same arguments.
    """
    found = {process.pid: process for process in _all() if _runs(process.arguments, command)}
    helpers = {helper.pid for process in found.values() if (helper := process.helper) is not None}
    return [process for process in found.values() if process.pid not in helpers]


def is_busy() -> bool:
    """Tell whether more processes have wanted to run in the last minute than there are processors."""
    return os.getloadavg()[0] > (os.cpu_count() or 1)


def unit_properties(unit: str, names: Iterable[str]) -> dict[str, str]:
    """Return what systemd says of *unit*; nothing where there is no systemd."""
    if shutil.which("systemctl") is None:
        return {}
    command = ["systemctl", "show", unit, f"--property={','.join(names)}"]
    try:
        output = subprocess.run(command, capture_output=True, check=False, timeout=_ANSWER_S).stdout
    except subprocess.TimeoutExpired:
        return {}
    lines = output.decode(errors="replace").split("\n")
    # A service's status is its own words.
    return {key: printable(value) for key, equals, value in (line.partition("=") for line in lines) if equals}


def _runs(arguments: Sequence[str], command: str) -> bool:
    if not arguments or not Path(arguments[0]).name.startswith(("python", "footfall")):
        return False
    for before, word, after in zip(arguments, arguments[1:], arguments[2:], strict=False):
        if after == command and ((before, word) == ("-m", "edge") or Path(word).name == "footfall"):
            return True
    return Path(arguments[0]).name == "footfall" and arguments[1:2] == [command]


def _all() -> Iterator[Process]:
    for folder in PROC.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            arguments = _arguments(folder)
            if _status(folder / "status").get("State", "Z").startswith("Z"):
                continue
        except OSError:
            continue  # it has ended meanwhile
        yield Process(int(folder.name), arguments)


def _arguments(folder: Path) -> list[str]:
    return (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]


def _status(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _open_files(folder: Path, families: Mapping[str, str]) -> Iterator[OpenFile]:
    for entry in sorted((folder / "fd").iterdir(), key=lambda entry: int(entry.name)):
        try:
            name, mode = str(entry.readlink()), entry.stat().st_mode
            flags = int(_status(folder / "fdinfo" / entry.name)["flags"], 8)
        except FileNotFoundError:
            continue
        kind = _kind(mode, name)
        if kind == "socket":
            name = families.get(name.removeprefix("socket:[").removesuffix("]"), "unknown")
        yield OpenFile(int(entry.name), kind, name, flags & os.O_ACCMODE != os.O_RDONLY)


def _kind(mode: int, name: str) -> str:
    if name.startswith("anon_inode:"):
        return "other"
    kinds = {
        stat.S_IFREG: "file",
        stat.S_IFDIR: "folder",
        stat.S_IFBLK: "disk",
        stat.S_IFCHR: "device",
        stat.S_IFIFO: "pipe",
        stat.S_IFSOCK: "socket",
    }
    return kinds.get(stat.S_IFMT(mode), "other")


def _families(net: Path) -> dict[str, str]:
    """Return the sockets of a network namespace: inode -> family, or for TCP family, state and peer."""
    found = {}
    for family, column in _NETWORK_TABLES.items():
        try:
            lines = (net / family).read_text(encoding="utf-8", errors="replace").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if len(fields) > column:
                found[fields[column]] = f"{family} {_peer(fields)}" if family.startswith("tcp") else family
    return found


def _peer(fields: Sequence[str]) -> str:
    """Return the state and peer of a line of /proc/net/tcp or tcp6, in words."""
    if fields[3] == "0A":
        return "listening"
    address, _, port = fields[2].partition(":")
    words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)]
    raw = b"".join(words)
    host = ".".join(map(str, raw)) if len(raw) == 4 else raw.hex(":", 2)  # noqa: PLR2004 - IPv4's bytes
    return f"to {host} port {int(port, 16)}"
