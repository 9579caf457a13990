"""
Give up everything but seeing and counting, for every thread and for good, and then try to get it back.

In two steps. `Seal` is made while the process is young and has one thread, before numpy, OpenCV and the interpreter are
loaded, because these start threads of their own, which would be left out::

    namespaces, where they may be    a network without a wire, a read-only file system (`edge.sandbox.namespaces`)
    no_new_privs, no capabilities    nothing to gain, not even for root
    Landlock                         read anything, make nothing, write to camera and diode (`edge.sandbox.landlock`)

`Seal.close` comes after the model is loaded and the diode, the readiness socket and the camera are open, and before
the first picture is looked at::

    rlimits, not dumpable            no byte written to any file, no core; memory kept out of swap where that may be
    seccomp                          no socket, no program, no process, ... (`edge.sandbox.seccomp`)
    no log                           standard input, output and error lead to /dev/null

Before the last, each forbidden thing is really tried (`edge.sandbox.self_test`), and `SealError` names what succeeded.
There is no optional step: where a kernel has no Landlock, a process that could still change a file is told so and ends.

A sealed process has no log because a captured one would write pictures to it, and the journal is a file on the disk.
What there is to say goes through the diode as flags, to systemd as a status, and out in the exit code.

There is no RLIMIT_NPROC: the kernel counts threads as processes, and the capture thread must still start.
"""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import resource
import socket
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.core.errors import SealError
from edge.sandbox import landlock, namespaces, prctl, seccomp
from edge.sandbox.self_test import Proof

log = logging.getLogger(__name__)

_CAPABILITY_VERSION = 0x20080522
_LOCK_NOW_AND_LATER_WHEN_TOUCHED = 1 | 2 | 4

_STANDARD = (0, 1, _ERROR := 2)
_KERNEL_HANDLES = ("io_uring", "bpf", "userfaultfd", "pidfd", "perf_event", "fanotify", "seccomp")

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Report:
    """
    What holds from here on.

    Attributes:
        landlock: Which Landlock binds this process; 0 where the kernel has none.
        reopens: Whether a camera that was unplugged can be opened again. Its device is then a new file, which only a
            rule on all of /dev covers; that rule is given where nothing else in /dev may be written to.
        memory_locked: Whether pictures are kept out of swap by this process itself.
        read_only: Whether this process has made its file system read-only and its network wireless. On a box its unit
            has done so before.
        refused: What was tried, and refused.
    """

    landlock: int
    reopens: bool
    memory_locked: bool
    read_only: bool
    refused: tuple[str, ...]

    def __str__(self) -> str:
        layers = ["seccomp"]
        layers += [f"Landlock {self.landlock}"] if self.landlock else []
        layers += ["namespaces"] if self.read_only else []
        return f"{len(self.refused)} ways out tried, each refused (by {', '.join(layers)})"


class Seal:
    """
    The seal of this process: made first, closed before the first picture.

    Args:
        cameras: Devices that must stay openable, /dev/videoN; none for a clip and for csi: sources.
        diode: The FIFO, if it has yet to be opened.
        helper: Whether another program is started before the seal is closed, which then inherits what holds by then.

    Raises:
        SealError: something could not be given up, or other threads run already and can't be bound.
    """

    def __init__(self, cameras: Sequence[Path], *, diode: Path | None = None, helper: bool = False) -> None:
        seccomp.load_library()
        self._cameras = cameras = [camera.resolve() for camera in cameras]
        _refuse_company()
        self._proof = Proof()
        # Opened now: later nothing may be opened for writing.
        self._nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._landlock = landlock.abi()
        left = namespaces.leave()
        self._proof.leave_files()
        self._read_only = left and namespaces.make_read_only()
        self._reopens = not self._landlock or not cameras or not _writable_beside(cameras)
        try:
            prctl.gain_nothing()
            if self._landlock:
                landlock.restrict(self._reachable(diode, helper=helper))
        except OSError as exc:
            raise SealError(f"seal: Landlock refuses its rules: {exc.strerror}") from exc
        if _has_capabilities():
            _drop_capabilities()

    def close(self, held: Collection[int] = ()) -> Report:
        """
        Close the seal, and prove it.

        Args:
            held: Descriptors that are needed: the diode and systemd's readiness socket. No other can be written to.

        Raises:
            SealError: something could not be given up, or came back when it was tried.
        """
        _look_through_luggage({*held, *self._proof.files}, self._cameras)
        helpers = _children()
        locked = _lock_memory()
        prctl.hide_memory()
        for limit in (resource.RLIMIT_CORE, resource.RLIMIT_MSGQUEUE, resource.RLIMIT_FSIZE):
            resource.setrlimit(limit, (0, 0))
        seccomp.close(helpers, read_write=bool(self._cameras))
        refused, possible = self._proof.run(read_write=bool(self._cameras))
        if possible:
            raise SealError(
                f"seal: still possible after sealing: {'; '.join(possible)}; run it as its systemd unit does, on a "
                "kernel with seccomp and Landlock"
            )
        report = Report(self._landlock, self._reopens, locked, self._read_only, tuple(refused))
        if not self._reopens:
            log.warning("if the camera is unplugged, this process must be started again: other devices beside it")
        log.info("sealed: %s; from here on %s", report, "it gives figures" if _ERROR in held else "it has no log")
        for descriptor in set(_STANDARD) - set(held):
            os.dup2(self._nowhere, descriptor)
        os.close(self._nowhere)
        return report

    def _reachable(self, diode: Path | None, *, helper: bool) -> dict[Path, int]:
        """Return what Landlock leaves: reading everything, writing to cameras and the diode."""
        reading = landlock.READ | (landlock.EXECUTE if helper else 0)
        writable = {device.parent for device in self._cameras} if self._reopens else set(self._cameras)
        if helper:
            writable.add(Path("/dev"))
        if diode is not None:
            writable.add(diode)
        return {
            Path("/"): reading,
            **{path: landlock.READ | landlock.WRITE_DEVICE for path in writable if path.exists()},
        }


def _look_through_luggage(held: Collection[int], cameras: Sequence[Path]) -> None:
    """Refuse to go on with something open that a picture could leave through; standard ones are replaced anyway."""
    known = {os.devnull, *map(str, cameras)}
    for entry in list(Path("/proc/self/fd").iterdir()):
        descriptor = int(entry.name)
        try:
            mode = os.fstat(descriptor).st_mode
            writable = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
            target = str(entry.readlink())
        except OSError:
            continue  # the listing's own descriptor is gone by now
        if descriptor in _STANDARD:
            if descriptor == _ERROR and stat.S_ISREG(mode) and writable:
                # The limit on files will silence it, so this is the last that it hears.
                log.warning("%s is a file: a sealed process writes to none, so its log ends here", target)
            continue
        if stat.S_ISSOCK(mode):
            _look_at_socket(descriptor, held=descriptor in held)
        elif any(handle in target for handle in _KERNEL_HANDLES if target.startswith("anon_inode:")):
            raise SealError(f"seal: {target} is open as descriptor {descriptor}; start without it")
        elif writable and not target.startswith("anon_inode:") and target not in known and descriptor not in held:
            raise SealError(f"seal: {target} is open for writing as descriptor {descriptor}; start without it")


def _look_at_socket(descriptor: int, *, held: bool) -> None:
    """Let only one with a peer on this machine stay, and only if it is needed: systemd's readiness socket."""
    end = socket.socket(fileno=descriptor)
    try:
        if end.family != socket.AF_UNIX:
            raise SealError(f"seal: descriptor {descriptor} is a network socket; start without it")
        if not held:
            raise SealError(f"seal: descriptor {descriptor} is a socket that isn't needed; start without it")
        end.getpeername()
    except OSError as exc:
        if isinstance(exc, SealError):
            raise
        raise SealError(f"seal: descriptor {descriptor} is a socket without a peer; start without it") from exc
    finally:
        end.detach()


def _refuse_company() -> None:
    """Refuse to begin beside other threads: namespaces, Landlock and capset(2) reach only the calling one."""
    others = [
        (task / "comm").read_text(encoding="utf-8").strip()
        for task in Path("/proc/self/task").iterdir()
        if int(task.name) != os.getpid()
    ]
    if others:
        raise SealError(
            f"seal: {len(others)} other threads run already ({', '.join(others)}); make the seal before anything else "
            "is loaded"
        )


def _children() -> tuple[int, ...]:
    """Return the helpers that run already."""
    return tuple(
        int(child)
        for task in Path("/proc/self/task").iterdir()
        for child in (task / "children").read_text(encoding="ascii").split()
    )


def _lock_memory() -> bool:
    """Keep memory out of swap if this process may; where it may not, the unit's MemorySwapMax=0 does."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, unlimited)
    except (OSError, ValueError):
        # Locking what is to come under a small limit would make later allocations fail.
        return False
    return int(_libc.mlockall(_LOCK_NOW_AND_LATER_WHEN_TOUCHED)) == 0


def _has_capabilities() -> bool:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return any(int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("CapPrm:", "CapEff:")))


def _drop_capabilities() -> None:
    """Make root a user like any other."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if _libc.syscall(ctypes.c_long(seccomp.number("capset")), header, nothing):
        raise SealError(f"seal: capabilities: {os.strerror(ctypes.get_errno())}")


def _writable_beside(devices: Sequence[Path]) -> bool:
    """Tell whether a disk, or a folder such as /dev/shm, beside *devices* may be written to."""
    for top in {device.parent for device in devices}:
        for folder, _, names in os.walk(top):
            if os.access(folder, os.W_OK) and (folder != "/dev" or os.geteuid() != 0):
                return True
            for name in names:
                path = os.path.join(folder, name)  # noqa: PTH118 - many, and only looked at
                try:
                    if stat.S_ISBLK(os.lstat(path).st_mode) and os.access(path, os.W_OK):
                        return True
                except OSError:
                    continue
    return False
