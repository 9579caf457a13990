"""What a publisher can still reach once it is in its sandbox; each test puts a process of its own into one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.sandbox import landlock
from tests.attempt import OUTCOME

pytestmark = pytest.mark.processes

REPOSITORY = Path(__file__).parents[2]

CONFIG = """
site: sh-023
timezone: Asia/Shanghai
cameras:
  door: {{source: /dev/video0, lines: {{entrance: {{from: [0.1, 0.5], to: [0.9, 0.5], inside: [0.5, 0.9]}}}}}}
broker: {{host: 127.0.0.1, tls: false}}
ledger: {folder}/state/ledger.sqlite
"""

PREPARE = """
    import json, os, signal, socket, sqlite3, subprocess, sys
    from pathlib import Path
    from edge.config import schema
    from edge.publisher import sandbox

    folder = Path(sys.argv[1])
    ledger = sqlite3.connect(folder / "state" / "ledger.sqlite")
    ledger.execute("PRAGMA journal_mode = WAL")
    ledger.execute("CREATE TABLE hours (payload)")
"""
ENTER = """
    sandbox.enter(schema.load(folder / "footfall.yaml").publisher(), folder / "footfall.yaml")
"""

needs_landlock = pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock")
needs_neighbours = pytest.mark.skipif(landlock.abi() < 6, reason="this kernel's Landlock knows no signals")


def said(body: str, folder: Path, *before: str) -> Any:
    """Return what *body* printed, as JSON, after *before* was done and a publisher's sandbox entered."""
    (folder / "state").mkdir()
    (folder / "footfall.yaml").write_text(CONFIG.format(folder=folder))
    (folder / "another").write_text("somebody else's")
    done = subprocess.run(
        [sys.executable, "-c", "".join(map(textwrap.dedent, (OUTCOME, PREPARE, *before, ENTER, body))), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_landlock
def test_no_device_and_no_other_process(tmp_path: Path) -> None:
    """Neither a device nor what /proc and /sys tell of others can be opened, by root either."""
    body = """
        paths = ("/dev/full", "/dev/null", "/proc/1/status", "/proc/stat", f"/proc/{os.getppid()}/mem", "/sys")
        print(json.dumps([outcome(lambda: os.open(path, os.O_RDONLY)) for path in paths]))
    """

    assert said(body, tmp_path) == ["EACCES"] * 6


@needs_landlock
def test_no_file_but_the_ledger(tmp_path: Path) -> None:
    """Files are made and changed in the ledger's folder and nowhere else, and no program is started."""
    body = """
        ledger.execute("INSERT INTO hours VALUES ('41')"), ledger.commit()
        print(json.dumps([
            outcome(lambda: (folder / "state" / "ledger.sqlite.new").write_text("hours")),
            outcome(lambda: (folder / "new").write_text("picture")),
            outcome(lambda: (folder / "another").write_text("picture")),
            outcome(lambda: (folder / "another").unlink()),
            outcome(lambda: (folder / "state" / "link").symlink_to("/dev/video0")),
            outcome(lambda: subprocess.run(["/bin/true"])),
        ]))
    """

    new, *others, program = said(body, tmp_path)

    assert new == "done"
    assert set(others) <= {"EACCES", "EROFS"}
    assert program in {"EACCES", "EPERM"}


@needs_landlock
def test_what_it_needs(tmp_path: Path) -> None:
    """Names, certificates, time zones and the config can still be read, also those that weren't before."""
    body = """
        import ssl, zoneinfo
        ssl.create_default_context()
        print(json.dumps([zoneinfo.ZoneInfo("Asia/Kathmandu").key, socket.getaddrinfo("localhost", 1)[0][1],
                          outcome(lambda: (folder / "footfall.yaml").read_text())]))
    """

    assert said(body, tmp_path) == ["Asia/Kathmandu", 1, "done"]


@needs_neighbours
def test_no_word_to_others(tmp_path: Path) -> None:
    """No process outside the sandbox can be signalled."""
    body = "print(json.dumps(outcome(lambda: os.kill(os.getppid(), signal.SIGCONT))))"

    assert said(body, tmp_path) == "EPERM"


WITHOUT_NAMESPACES = """
    import errno, pyseccomp
    old = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    old.add_rule(pyseccomp.ERRNO(errno.EPERM), "unshare")
    old.load()
"""
WITHOUT_LANDLOCK = """
    from edge.sandbox import landlock
    landlock.abi = lambda: 0
"""
KERNELS = pytest.mark.parametrize(
    "kernel", ["", WITHOUT_NAMESPACES, WITHOUT_LANDLOCK], ids=["both", "landlock", "namespaces"]
)


@pytest.fixture(name="neighbour")
def _neighbour() -> Iterator[tuple[Path, socket.socket]]:
    """Listen at a path, as the session bus, a camera service or Docker of the same user does."""
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as listener:
        path = Path(name) / "bus"
        listener.bind(str(path))
        listener.listen()
        listener.setblocking(False)
        yield path, listener


@KERNELS
def test_no_socket_of_a_neighbour(tmp_path: Path, neighbour: tuple[Path, socket.socket], kernel: str) -> None:
    """In a trial the publisher reaches no socket with a path of another program of its user."""
    path, listener = neighbour
    body = f"""
        def reach():
            with socket.socket(socket.AF_UNIX) as end:
                end.connect("{path}")
        print(json.dumps(outcome(reach)))
    """

    assert said(body, tmp_path, kernel) == ("EAFNOSUPPORT" if kernel == WITHOUT_NAMESPACES else "ENOENT")
    with pytest.raises(BlockingIOError):
        listener.accept()


CHANNELS = """
    import ctypes, mmap, struct, threading
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = libc.mmap.restype = ctypes.c_long
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    from edge.sandbox import seccomp
    file = os.open(folder / "another", os.O_RDONLY)
    page = libc.mmap(None, 4096, 1, 1, file, 0)

    def call(name, *arguments):
        def attempt():
            words = [a if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
            if libc.syscall(ctypes.c_long(numbers[name]), *words) < 0:
                raise OSError(ctypes.get_errno(), "")
        return outcome(attempt)
"""


@KERNELS
def test_no_channel_beside_the_diode(tmp_path: Path, kernel: str) -> None:
    """A captured publisher neither hears inotify nor wakes or waits at a word of a file, nor asks what is in memory."""
    body = """
        waits = [call("futex", page, operation, ctypes.c_uint32.from_address(page).value, 0, 0, 0)
                 for operation in (0, 9, 256)]
        wakes = [call("futex", page, operation, 1, 0, 0, 0) for operation in (1, 5, 10)]
        others = [call("futex_waitv", struct.pack("<QQII", 0, page, 2, 0), 1, 0, 0, 0),
                  call("inotify_init1", 0), call("fanotify_init", 0, 0), call("sysinfo", bytes(128)),
                  call("mincore", page, 4096, bytes(1)), call("preadv2", file, 0, 0, 0, 0, 8),
                  call("fadvise64", file, 0, 0, 4), call("madvise", page, 4096, 21),
                  call("shmget", 1, 4096, 0o1600), call("io_uring_setup", 1, 0), call("ptrace", 16, os.getppid(), 0, 0)]
        done = threading.Thread(target=lambda: None)
        done.start(), done.join()
        print(json.dumps([waits, wakes, others]))
    """
    numbers = "numbers = {name: seccomp.number(name) for name in " + repr(NAMES) + "}\n"

    waits, wakes, others = said(textwrap.dedent(CHANNELS) + numbers + textwrap.dedent(body), tmp_path, kernel)

    assert (set(waits), set(wakes), set(others)) == ({"EAGAIN"}, {"EPERM"}, {"EPERM"})


NAMES = (
    *("futex", "futex_waitv", "inotify_init1", "fanotify_init", "sysinfo", "mincore", "preadv2", "fadvise64"),
    *("madvise", "shmget", "io_uring_setup", "ptrace"),
)


def test_families(tmp_path: Path) -> None:
    """Sockets are made for the internet alone: not for packets, netlink, vsock or Bluetooth."""
    body = """
        families = (socket.AF_PACKET, socket.AF_NETLINK, socket.AF_VSOCK, 31, socket.AF_ALG, 1 << 32 | 16)
        libc = __import__("ctypes").CDLL(None, use_errno=True)
        made = [outcome(lambda: socket.socket(socket.AF_INET).close()), outcome(lambda: socket.socket(10).close())]
        print(json.dumps([made, [outcome(lambda: socket.socket(f, 3).close()) for f in families[:5]]]))
    """

    assert said(body, tmp_path) == [["done"] * 2, ["EAFNOSUPPORT"] * 5]


@KERNELS
def test_a_root_of_its_own(tmp_path: Path, kernel: str) -> None:
    """It sees neither homes nor other programs' folders, where it can have a root of its own."""
    body = """
        places = ("/home", "/mnt", "/srv", "/run/user", "/dev/shm", "/dev/pts", "/var/log", "/dev/tty")
        print(json.dumps([path for path in places if os.path.exists(path)]))
    """

    seen = said(body, tmp_path, kernel)

    assert (seen == []) is (kernel != WITHOUT_NAMESPACES)


def test_a_kernel_without_landlock(tmp_path: Path) -> None:
    """Where the kernel has no Landlock the publisher goes on, and says so: its root and its unit hold it."""
    before = """
        import logging
        told = []
        logging.getLogger("edge.publisher.sandbox").addFilter(lambda record: told.append(record.getMessage()))
        logging.getLogger("edge.publisher.sandbox").setLevel(logging.INFO)
    """

    assert said("print(json.dumps(told))", tmp_path, WITHOUT_LANDLOCK, before) == [
        "this kernel has no Landlock: what this process may reach, its root and its unit decide"
    ]
