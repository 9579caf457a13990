"""
What captured processes do on a box once they are confined, under their real units: each tries everything, and says so.

tests/system/test_captured.py puts this file and tests/sealed/hostile.py among a release's packages, and three lines at
the end of three of its modules. Everything else is the release's own. What became of each attempt goes into a pipe that
the test's drop-in has put there, which is no part of the attack.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import importlib
import json
import os
import struct
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

REPORTS = Path("/run/footfall-report")
ROLES = ("vision", "publisher")
FILE = "/usr/lib/os-release"
"""A file that both processes may read and map."""
PASSWORD = "/etc/footfall/mqtt.password"  # noqa: S105 - where it lies
SERVED = "/mnt/served"
"""Where the box has a file system whose server notes each name that is looked up."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = _libc.mmap.restype = ctypes.c_long
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]

role = next((word for word in sys.argv[1:2] if word in ROLES), "")
report = os.open(REPORTS / role, os.O_RDWR) if role else -1


def watch_descriptors(module: dict[str, Any]) -> None:
    """Let the seal overlook the pipe for reports, and remember what it is told to hold: at the end of seal.py."""
    look, seal = module["_look_through_descriptors"], module["Seal"]
    close = seal.close
    module["_look_through_descriptors"] = lambda held, cameras: look({*held, report}, cameras)

    def close_and_remember(self: object, held: Collection[int] = ()) -> object:
        global _held  # noqa: PLW0603 - for the first picture
        _held = tuple(held)
        return close(self, held)

    seal.close = close_and_remember


_held: tuple[int, ...] = ()


def take_vision(module: dict[str, Any]) -> None:
    """Try everything at the first picture, and count on as if nothing were: at the end of pipeline.py."""
    pipeline = module["Pipeline"]
    look = pipeline.look

    def attack(self: Any, frame: Any) -> Any:
        pipeline.look = look
        say(attack_as_vision(frame.pixels.tobytes()))
        return look(self, frame)

    if role == "vision":
        pipeline.look = attack


def take_publisher(module: dict[str, Any]) -> None:
    """Try everything as soon as the sandbox is entered: at the end of the publisher's sandbox.py."""
    enter = module["enter"]

    def enter_and_attack(*arguments: Any) -> None:
        enter(*arguments)
        say(attack_as_publisher())

    if role == "publisher":
        module["enter"] = enter_and_attack


def say(found: object) -> None:
    """Tell the test."""
    os.write(report, json.dumps(found).encode() + b"\n")


def attack_as_vision(pixels: bytes) -> dict[str, list[str]]:
    """Try each way of tests/sealed/hostile.py that doesn't end the diode, and names and channels."""
    # Not above: it imports the release's modules, which import this one.
    hostile = importlib.import_module("hostile")
    diode, *helpers = _held
    world = hostile.World(
        tcp=22,
        udp=53,
        abstract="footfall",
        path="/run/dbus/system_bus_socket",
        victim=int((REPORTS / "victim").read_text()),
        file=FILE,
        folders=("/tmp", "/var/tmp", "/run/footfall"),  # noqa: S108 - tried
        diode=diode,
        readiness=helpers[0],
        helper=os.getppid(),
        picture=hostile.MARK + pixels[:60_000],
    )
    names = [way.name for way in hostile.WAYS if not way.bound]
    names += ["the log", "the trace of reading", "its command line", "the status"]
    found: dict[str, list[str]] = hostile.outcomes(world, names)
    found["names"] = [outcome(functools.partial(way, f"{SERVED}/{world.picture[:40].hex()}")) for way in NAME_WAYS]
    places = ("/home", "/mnt", "/srv", "/var/lib", "/etc/shadow", "/run/dbus")
    found["seen"] = [place for place in places if seen(place)]
    # Last: the helper listens no more.
    found["the journal"] = hostile.outcomes(world, ["the journal, through systemd"])["the journal, through systemd"]
    return found


NAME_WAYS: list[Callable[[str], object]] = [
    os.stat,
    os.lstat,
    os.listdir,
    os.readlink,
    os.statvfs,
    lambda name: os.open(name, os.O_RDONLY),
    lambda name: os.open(name, os.O_PATH),
    lambda name: must(os.access(name, os.R_OK)),
    lambda name: os.getxattr(name, "user.picture"),
    lambda name: must(call("inotify_add_watch", 0, name.encode(), 1) == "done"),
    os.chdir,
    lambda name: os.execv(name, [name]),  # noqa: S606 - tried
]
"""Ways to look up a name, each by another system call."""


def attack_as_publisher() -> dict[str, list[str]]:
    """Try to hear what a captured vision says beside the diode, and to reach what it must not."""
    file = os.open(FILE, os.O_RDONLY)
    page = int(_libc.mmap(None, 4096, 1, 1, file, 0))
    vision = (REPORTS / "seeing").read_text().strip()
    return {
        "hear": [
            call("inotify_init1", 0),
            call("fanotify_init", 0, 0),
            call("futex", page, 0, ctypes.c_uint32.from_address(page).value, 0, 0, 0),
            call("futex_waitv", struct.pack("<QQII", 0, page, 2, 0), 1, 0, 0, 0),
            call("mincore", page, 4096, bytes(1)),
            call("preadv2", file, 0, 0, 0, 0, 8),
            call("cachestat", file, bytes(16), bytes(40), 0),
            call("sysinfo", bytes(128)),
        ],
        "answer": [call("futex", page, 1, 1, 0, 0, 0), call("madvise", page, 4096, 21), call("kill", int(vision), 0)],
        "see": [
            outcome(lambda: os.open("/dev/video0", os.O_RDONLY)),
            outcome(lambda: os.mknod("/var/lib/footfall/camera", 0o20600, os.makedev(81, 0))),
            outcome(lambda: Path(f"/proc/{vision}").stat()),
            outcome(lambda: os.open("/proc/loadavg", os.O_RDONLY)),
            outcome(lambda: os.open("/run/dbus/system_bus_socket", os.O_RDONLY)),
            outcome(lambda: os.open("/run/footfall/door.tally", os.O_WRONLY)),
            outcome(lambda: os.execv("/bin/true", ["true"])),  # noqa: S606 - tried
        ],
        "seen": [place for place in ("/home", "/mnt", "/srv", "/run/dbus", PASSWORD) if seen(place)],
    }


def seen(place: str) -> bool:
    """Tell whether *place* has something in it that may be read."""
    try:
        return any(Path(place).iterdir()) if Path(place).is_dir() else bool(Path(place).read_bytes())
    except OSError:
        return False


def must(done: bool) -> None:
    """Raise what stands for a refusal where it isn't *done*."""
    if not done:
        raise PermissionError(errno.EPERM, "")


def call(name: str, *arguments: int | bytes) -> str:
    """Make a system call; return what became of it."""
    from edge.sandbox import seccomp  # noqa: PLC0415 - of the release

    def attempt() -> None:
        words = [a if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
        if _libc.syscall(ctypes.c_long(seccomp.number(name)), *words) < 0:
            raise OSError(ctypes.get_errno(), "")

    return outcome(attempt)


def outcome(attempt: Callable[[], object]) -> str:
    """Return `done`, or the error that refused it."""
    try:
        attempt()
    except OSError as exc:
        return errno.errorcode.get(exc.errno or 0, str(exc))
    return "done"
