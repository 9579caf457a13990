"""
Give up everything but seeing and counting, for every thread and for good, and then try to get it back.

`seal` is called once, after the model is loaded and the diode, the readiness socket and the camera are open, and
before the first picture is looked at. Four locks, each of the kernel's and none of ours to open again:

    no_new_privs, no capabilities    nothing to gain, not even for root
    rlimits, not dumpable            no byte written to any file, no core; memory kept out of swap where that may be
    Landlock                         read anything, make nothing, write to the camera (`edge.vision.landlock`)
    seccomp                          no socket, no program, no process, ... (`edge.vision.syscalls`)

Then each forbidden thing is really tried (`edge.vision.proof`), and `SealError` names what succeeded. There is no
optional step: where a kernel has no Landlock, a process that could still change a file is told so and ends.

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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.errors import SealError
from edge.vision import landlock, syscalls
from edge.vision.proof import Proof

log = logging.getLogger(__name__)

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_CAPABILITY_VERSION = 0x20080522
_LOCK_NOW_AND_LATER_WHEN_TOUCHED = 1 | 2 | 4

_LOG = (1, 2)
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
        refused: What was tried, and refused.
    """

    landlock: int
    reopens: bool
    memory_locked: bool
    refused: tuple[str, ...]

    def __str__(self) -> str:
        layers = f"seccomp and Landlock {self.landlock}" if self.landlock else "seccomp; this kernel has no Landlock"
        return f"{len(self.refused)} ways out tried, each refused ({layers})"


def seal(camera_devices: Sequence[Path]) -> Report:
    """
    Seal this process, and prove it.

    Args:
        camera_devices: Devices that must stay openable, /dev/videoN; none for a clip and for csi: sources, whose
            helper runs already.

    Raises:
        SealError: something could not be given up, or came back when it was tried.
    """
    syscalls.load_library()
    _look_through_luggage()
    proof = Proof()
    helpers = _children()
    locked = _lock_memory()
    _prctl("no_new_privs", _PR_SET_NO_NEW_PRIVS, 1)
    version = landlock.abi()
    reopens = True
    had_rights = _has_capabilities()
    if (version or had_rights) and not landlock.binds_all_threads():
        _refuse_company()
    if version:
        reopens = not camera_devices or not _writable_beside(camera_devices)
        folders = {device.parent for device in camera_devices} if reopens else camera_devices
        landlock.restrict([path for path in folders if path.exists()])
    if had_rights:
        _drop_capabilities()
    _prctl("not dumpable", _PR_SET_DUMPABLE, 0)
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_MSGQUEUE, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (0, 0))
    syscalls.close(helpers, read_write=bool(camera_devices))
    refused, possible = proof.run(read_write=bool(camera_devices))
    if possible:
        raise SealError(
            f"seal: still possible after sealing: {'; '.join(possible)}; run it as its systemd unit does, on a kernel "
            "with seccomp and Landlock"
        )
    return Report(version, reopens, locked, tuple(refused))


def _look_through_luggage() -> None:
    """Refuse to begin with something open that a picture could leave through."""
    for entry in list(Path("/proc/self/fd").iterdir()):
        descriptor = int(entry.name)
        try:
            mode = os.fstat(descriptor).st_mode
            writable = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
            target = str(entry.readlink())
        except OSError:
            continue  # the listing's own descriptor is gone by now
        if stat.S_ISSOCK(mode):
            _look_at_socket(descriptor)
        elif writable and stat.S_ISBLK(mode):
            raise SealError(f"seal: the disk {target} is open for writing as descriptor {descriptor}; start without it")
        elif writable and stat.S_ISREG(mode) and descriptor in _LOG:
            # The limit on files will silence it, so this is the last that it hears.
            log.warning("%s is a file: a sealed process writes to none, so its log ends here; use a pipe", target)
        elif writable and stat.S_ISREG(mode):
            raise SealError(f"seal: the file {target} is open for writing as descriptor {descriptor}; start without it")
        elif any(handle in target for handle in _KERNEL_HANDLES if target.startswith("anon_inode:")):
            raise SealError(f"seal: {target} is open as descriptor {descriptor}; start without it")


def _look_at_socket(descriptor: int) -> None:
    """Let only AF_UNIX sockets with a peer stay: systemd's readiness socket, the journal."""
    end = socket.socket(fileno=descriptor)
    try:
        if end.family != socket.AF_UNIX:
            raise SealError(f"seal: descriptor {descriptor} is a network socket; start without it")
        end.getpeername()
    except OSError as exc:
        if isinstance(exc, SealError):
            raise
        raise SealError(f"seal: descriptor {descriptor} is a socket without a peer; start without it") from exc
    finally:
        end.detach()


def _refuse_company() -> None:
    """Refuse to seal beside running threads that Landlock and capset(2) can't reach on this kernel."""
    others = [
        (task / "comm").read_text(encoding="utf-8").strip()
        for task in Path("/proc/self/task").iterdir()
        if int(task.name) != os.getpid()
    ]
    if others:
        raise SealError(
            f"seal: {len(others)} other threads run already ({', '.join(others)}) and this kernel can't bind them; "
            "set OPENBLAS_NUM_THREADS=1 and OPENCV_FFMPEG_THREADS=1 before numpy and OpenCV are loaded"
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


def _prctl(what: str, option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise SealError(f"seal: {what}: {os.strerror(ctypes.get_errno())}")


def _has_capabilities() -> bool:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return any(int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("CapPrm:", "CapEff:")))


def _drop_capabilities() -> None:
    """Make root a user like any other."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if _libc.syscall(ctypes.c_long(syscalls.number("capset")), header, nothing):
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
