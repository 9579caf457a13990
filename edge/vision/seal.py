"""
Give up everything but seeing and counting, for every thread and for good, and then try to get it back.

In two steps. `Seal` is made while the process is young and has one thread, before numpy, OpenCV and the interpreter are
loaded, because these start threads of their own, which would be left out::

    namespaces, where they may be    a network without a wire; an empty root, read-only, into which a few folders are
                                     put (`edge.sandbox.namespaces`). On a box its unit has done so before
    no_new_privs, no capabilities    nothing to gain, not even for root
    Landlock                         read anything, make nothing, write to camera and diode (`edge.sandbox.landlock`)

`Seal.close` comes after the model is loaded and the diode and the camera are open, and before the first byte of a
picture or a clip is looked at::

    no foreign file system           looking up a name on a network or FUSE file system is sending it: none is there
    rlimits, not dumpable            no byte written to any file, no core; memory kept out of swap where that may be
    seccomp                          no socket, no program, no process, ... (`edge.sandbox.seccomp`)
    no log                           standard input, output and error lead to /dev/null

Before the last, each forbidden thing is really tried (`edge.sandbox.self_test`), and `SealError` names what succeeded.
There is no optional step: where a kernel has no Landlock, a process that could still change a file is told so and ends.

A sealed process has no log because a captured one would write pictures to it, and the journal is a file on the disk.
What there is to say goes through the diode as flags, to systemd as one of a dozen sentences
(`edge.sandbox.readiness`), and out in the exit code.

There is no RLIMIT_NPROC: the kernel counts threads as processes, and the capture thread must still start.
"""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import resource
import stat
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.core.errors import SealError
from edge.core.printable import printable
from edge.sandbox import devices, landlock, mounts, namespaces, prctl, seccomp
from edge.sandbox.self_test import SelfTest

log = logging.getLogger(__name__)

_LOCK_NOW_AND_LATER_WHEN_TOUCHED = 1 | 2 | 4

_STANDARD = (0, 1, _ERROR := 2)
_KERNEL_HANDLES = ("io_uring", "bpf", "userfaultfd", "pidfd", "perf_event", "fanotify", "seccomp")

_DEVICES = Path("/dev")
_NULL = os.makedev(1, 3)
"""The number of /dev/null, whatever it is called."""

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Report:
    """
    What holds from here on.

    Attributes:
        landlock: Which Landlock binds this process; 0 where the kernel has none.
        reopens: Whether a camera that was unplugged can be opened again. Its device is then a new file, which only a
            rule on all of /dev covers; that rule is given where nothing else in /dev can be opened for writing, as
            under the unit, whose control group allows cameras alone. Else there is a rule for the one node.
        memory_locked: Whether pictures are kept out of swap by this process itself.
        read_only: Whether this process has made itself a read-only root and a network without a wire. On a box its
            unit has done so before.
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
        needed: Files and folders that are opened later: config, model, clip. What Python itself needs is known.

    Raises:
        SealError: something could not be given up, or other threads run already and can't be bound.
    """

    def __init__(
        self,
        cameras: Sequence[Path],
        *,
        diode: Path | None = None,
        helper: bool = False,
        needed: Collection[Path] = (),
    ) -> None:
        seccomp.load_library()
        self._cameras = cameras = [camera.resolve() for camera in cameras]
        _refuse_threads()
        self._self_test = SelfTest(cameras)
        # Opened now: later nothing may be opened for writing.
        self._nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._landlock = landlock.abi()
        folders = sorted({camera.parent for camera in cameras})
        beside = devices.writable_others(folders, cameras)
        left = namespaces.leave()
        self._self_test.leave_files()
        self._read_only = left and namespaces.make_read_only()
        try:
            if self._read_only:
                # Writable folders beside a camera are read-only by now; devices are not.
                self._reopens = not any(devices.is_device(entry) for entry in beside)
                seen = folders if self._reopens else cameras
                namespaces.enter_root(_needed(needed, diode, seen, helper=helper))
            else:
                self._reopens = not self._landlock or not any(devices.opens(entry) for entry in beside)
        except OSError as exc:
            raise SealError(f"seal: a root of its own can't be made: {exc.strerror}") from exc
        try:
            prctl.gain_nothing()
            if self._landlock:
                landlock.restrict(self._reachable(diode, helper=helper))
        except OSError as exc:
            raise SealError(f"seal: Landlock refuses its rules: {exc.strerror}") from exc
        try:
            prctl.drop_capabilities()
        except OSError as exc:
            raise SealError(f"seal: capabilities: {exc.strerror}") from exc

    def close(self, held: Collection[int] = ()) -> Report:
        """
        Close the seal, and prove it.

        Args:
            held: Descriptors that are needed: the diode and the pipe to the readiness helper. No other can be written
                to.

        Raises:
            SealError: something could not be given up, or came back when it was tried.
        """
        _look_through_descriptors({*held, *self._self_test.files}, self._cameras)
        _refuse_foreign_mounts()
        helpers = _children()
        locked = _lock_memory()
        prctl.hide_memory()
        for limit in (resource.RLIMIT_CORE, resource.RLIMIT_MSGQUEUE, resource.RLIMIT_FSIZE):
            resource.setrlimit(limit, (0, 0))
        seccomp.close(helpers, read_write=bool(self._cameras))
        refused, possible = self._self_test.run(read_write=bool(self._cameras))
        if possible:
            in_unit = namespaces.is_own_root() and not self._read_only
            advice = (
                "look at what drop-ins add to its unit: `DeviceAllow=` may name cameras only, and no `BindPaths=` helps"
                if in_unit
                else "run it as its systemd unit does, on a kernel with seccomp and Landlock"
            )
            raise SealError(f"seal: still possible after sealing: {'; '.join(possible)}", advice)
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
            writable.add(_DEVICES)
        if diode is not None:
            writable.add(diode)
        return {
            Path("/"): reading,
            **{path: landlock.READ | landlock.WRITE_DEVICE for path in writable if path.exists()},
        }


def _needed(asked: Collection[Path], diode: Path | None, cameras: Collection[Path], *, helper: bool) -> list[Path]:
    """Return what must be there in a root of our own: the system, this Python, and what was *asked* for."""
    own = Path(__file__).resolve().parents[2]
    here = Path.cwd()
    # `python -m` puts the folder that one happens to be in on the path.
    modules = [Path(place) for place in sys.path if place and (Path(place) != here or here == own)]
    python = [Path(place) for place in (sys.prefix, sys.base_prefix, sys.exec_prefix)] + modules
    found = [*namespaces.SYSTEM, own, *python, *devices.ALWAYS, *asked, *cameras]
    found += [] if diode is None else [diode]
    if helper:
        # rpicam-vid asks udev, and opens more devices than the one that gives pictures.
        found += [_DEVICES, Path("/run/udev"), *map(Path, os.environ.get("PATH", "").split(":"))]
    return [place for place in found if place.is_absolute()]


def _refuse_foreign_mounts() -> None:
    """Refuse to go on where a name that is looked up is heard by somebody else."""
    foreign = [mount for mount in mounts.visible(mounts.mounted()) if mount.remote]
    if foreign:
        places = ", ".join(f"{printable(str(mount.point))} ({printable(mount.kind)})" for mount in foreign)
        raise SealError(
            f"seal: network or FUSE file systems are mounted: {places}. Who serves one hears each name that is looked"
            " up; install on a local disk, or run it as its systemd unit does, or where a user may make namespaces"
        )


def _look_through_descriptors(held: Collection[int], cameras: Sequence[Path]) -> None:
    """Refuse to go on with something open that a picture could leave through; standard ones are replaced anyway."""
    known = {_NULL, *(camera.stat().st_rdev for camera in cameras if devices.is_device(camera))}
    for entry in list(Path("/proc/self/fd").iterdir()):
        descriptor = int(entry.name)
        try:
            status = os.fstat(descriptor)
            writable = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
            name = str(entry.readlink())
        except OSError:
            continue  # the listing's own descriptor is gone by now
        mode = status.st_mode
        if descriptor in _STANDARD:
            if descriptor == _ERROR and stat.S_ISREG(mode) and writable:
                # The limit on files will silence it, so this is the last that it hears.
                log.warning("%s is a file: a sealed process writes to none, so its log ends here", printable(name))
            continue
        # A name may lie; only what has no file at all is called anon_inode.
        nameless = name.startswith("anon_inode:")
        fault = ""
        if stat.S_ISSOCK(mode):
            fault = "a socket is open"
        elif stat.S_ISDIR(mode):
            fault = f"the folder {name} is open"
        elif nameless and any(handle in name for handle in _KERNEL_HANDLES):
            fault = f"{name} is open"
        elif writable and not nameless and descriptor not in held and not _is_one_of(status, known):
            fault = f"{name} is open for writing"
        if fault:
            raise SealError(f"seal: {printable(fault)} as descriptor {descriptor}; start without it")


def _is_one_of(status: os.stat_result, known: Collection[int]) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev in known


def _refuse_threads() -> None:
    """Refuse to begin beside other threads: namespaces, Landlock and capset(2) reach only the calling one."""
    others = [
        (task / "comm").read_text(encoding="utf-8", errors="replace").strip()
        for task in Path("/proc/self/task").iterdir()
        if int(task.name) != os.getpid()
    ]
    if others:
        raise SealError(
            f"seal: {len(others)} other threads run already ({', '.join(others)}); make the seal before anything else "
            "is loaded"
        )


def _children() -> tuple[int, ...]:
    """Return the processes that this one has started and that run."""
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
