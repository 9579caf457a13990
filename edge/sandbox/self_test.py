"""
Try every way out of a sealed process, and name those that are open.

Each name in `edge.sandbox.seccomp.REFUSED` is really called; so is what is refused by its arguments, and what other
locks than the filter keep shut: files in every place where this user may write, other devices, its parent's memory.
A call with -1 and nothing for arguments is a real attempt. The filter stands before the kernel looks at arguments, so
that EBADF, EFAULT or EINVAL would tell of an open way; and what could do harm with such arguments needs a capability.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from edge.core.printable import printable
from edge.sandbox import devices, seccomp

_REFUSALS = frozenset({errno.EPERM, errno.EACCES, errno.ENOSYS})
_NOTHING_THERE = _REFUSALS | {errno.ENOENT, errno.ENOTDIR, errno.EROFS}
_NO_DEVICE = _NOTHING_THERE | {errno.ENXIO, errno.ENODEV}
"""Also: no terminal that /dev/tty could be, no file system in which /dev/ptmx could make one."""
_NO_ROOM = _REFUSALS | {errno.EFBIG}

_PR_SET_DUMPABLE = 4
_TIOCSTI = 0x5412
_VISIBLE_FCNTLS = {
    6: "a lock that others see",
    8: "a signal to another, sent by the kernel (F_SETOWN)",
    37: "a lock of the other kind",
    1024: "a lease",
    1031: "the size of a pipe",
    1036: "a hint on a file",
}

_Attempt = tuple[str, frozenset[int], Callable[[], object]]
"""What is tried, the errors that mean it was refused, and the attempt."""

_libc = ctypes.CDLL(None, use_errno=True)


class SelfTest:
    """
    Attempts that are prepared before sealing, and made afterwards.

    In each place where this user may write, files without a name are kept open, so that what could be done to files
    that were there before can be tried without leaving one behind: one to write to, and one to open again.

    Args:
        cameras: Devices that stay openable, so that they aren't tried.
    """

    def __init__(self, cameras: Sequence[Path] = ()) -> None:
        # Not tempfile.gettempdir(): it fails where there is none, and there is none under systemd.
        temporary = os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - to be tried
        places = {Path.cwd(), Path.home(), *map(Path, (temporary, "/tmp", "/var/tmp", "/dev/shm"))}  # noqa: S108 - likewise
        self._places = sorted(places)
        self._files = self._make()
        folders = sorted({Path("/dev"), *(camera.parent for camera in cameras)})
        self._devices = [entry for entry in devices.writable_others(folders, cameras) if devices.is_device(entry)]
        self._closed: dict[Path, int] = {}

    def leave_files(self) -> None:
        """Leave files to open again, in the file systems that are mounted now and before any is made read-only."""
        for place, writing in self._make().items():
            self._closed[place] = os.open(f"/proc/self/fd/{writing}", os.O_RDONLY | os.O_CLOEXEC)
            os.close(writing)

    def _make(self) -> dict[Path, int]:
        files = {}
        for place in self._places:
            try:
                files[place] = os.open(place, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                continue
            # Whatever the umask says: a unit's may leave nothing.
            os.fchmod(files[place], 0o600)
        return files

    @property
    def files(self) -> Collection[int]:
        """The descriptors of files to write to."""
        return self._files.values()

    def run(self, *, read_write: bool) -> tuple[list[str], list[str]]:
        """
        Try everything; return what was refused and what is open.

        Args:
            read_write: Whether devices may be opened for reading and writing, because one of them is the camera.
        """
        refused: list[str] = []
        possible: list[str] = []
        for what, refusals, attempt in self._attempts(read_write=read_write):
            try:
                found = attempt()
            except OSError as exc:
                (refused if exc.errno in refusals else possible).append(what)
            else:
                possible.append(f"{what} ({printable(str(found))})" if isinstance(found, Path) else what)
        for file in (*self._files.values(), *self._closed.values()):
            os.close(file)
        return refused, possible

    def _attempts(self, *, read_write: bool) -> Iterator[_Attempt]:
        for reason, names in seccomp.REFUSED.items():
            for name in names.split():
                yield f"{name} ({reason})", _REFUSALS, _call(name, -1)
        yield from self._everywhere()
        if not read_write:
            yield "opening a device for writing", _REFUSALS, _open("/dev/null", os.O_RDWR)
        yield "another process", _REFUSALS, _fork
        yield "another program", _REFUSALS, _spawn
        yield "sending to an address", _REFUSALS, _call("sendto", -1, 0, 0, 0, 1, 16)
        for command, what in _VISIBLE_FCNTLS.items():
            yield what, _REFUSALS, _call("fcntl", -1, command)
        yield "typing into the terminal", _REFUSALS, _call("ioctl", -1, _TIOCSTI)
        yield "room for files", _REFUSALS, _call("prlimit64", 0, int(resource.RLIMIT_FSIZE), 1)
        yield "being dumpable again", _REFUSALS, _call("prctl", _PR_SET_DUMPABLE, 1)
        parent = os.getppid()
        if parent:
            yield "its parent's memory", _NOTHING_THERE, _open(f"/proc/{parent}/mem", os.O_RDONLY)
            yield "a signal to its parent", _REFUSALS, _call("kill", parent, 0)

    def _everywhere(self) -> Iterator[_Attempt]:
        """Yield attempts at what lies in the file system: files in each place, and devices."""
        for place in self._places:
            yield f"a new file in {place}", _NOTHING_THERE, _create_in(place)
        for place, file in self._closed.items():
            yield f"opening a file in {place}", _NOTHING_THERE, _reopen(file, os.O_WRONLY)
            yield f"changing a file in {place}", _NOTHING_THERE, _reopen(file, os.O_RDWR)
        for place, file in self._files.items():
            yield f"a byte more in a file in {place}", _NO_ROOM, _write(file)
        for operation in (*seccomp.FUTEX_OTHERS, *seccomp.FUTEX_WAITS):
            # Nothing is there to wait at, so that the kernel itself would say EFAULT.
            refusals = frozenset({errno.EAGAIN}) if operation in seccomp.FUTEX_WAITS else _REFUSALS
            yield f"futex {operation} with another process", refusals, _call("futex", 0, operation)
        yield "another device opened for writing", _REFUSALS, _any(self._devices)


def _call(name: str, *arguments: int) -> Callable[[], object]:
    """Return an attempt at the system call *name*; one that this machine hasn't got counts as refused."""
    number = seccomp.number(name)

    def attempt() -> None:
        words = [ctypes.c_long(a) for a in (*arguments, 0, 0, 0, 0, 0)[:6]]
        process = os.getpid()
        result = _libc.syscall(ctypes.c_long(number), *words) if number >= 0 else -1
        if os.getpid() != process:
            os._exit(0)
        if result < 0:
            code = ctypes.get_errno() if number >= 0 else errno.ENOSYS
            raise OSError(code, os.strerror(code))

    return attempt


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _spawn() -> None:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


def _create_in(place: Path) -> Callable[[], object]:
    return _open(str(place / f".footfall-{os.getpid()}"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)


def _reopen(file: int, flags: int) -> Callable[[], object]:
    return _open(f"/proc/self/fd/{file}", flags)


def _write(file: int) -> Callable[[], object]:
    return lambda: os.write(file, b"\0")


def _any(nodes: Sequence[Path]) -> Callable[[], object]:
    """Return an attempt to open any of *nodes* for writing, which gives the one that opens; refused where each is."""

    def attempt() -> Path:
        for node in nodes:
            try:
                os.close(os.open(node, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
            except OSError as exc:
                if exc.errno not in _NO_DEVICE:
                    raise
            else:
                return node
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    return attempt


def _open(path: str, flags: int) -> Callable[[], object]:
    return lambda: os.open(path, flags, 0o600)
