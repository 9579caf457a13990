"""
The filters as each of our machines would run them: they are compiled for it, and run by an interpreter here.

A filter for 64-bit or 32-bit ARM can't be loaded on another machine, but what it answers to a call can be read off.
"""

from __future__ import annotations

import errno
import os
import struct
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

import pyseccomp
import pytest

from edge.sandbox import seccomp

pytestmark = pytest.mark.processes

SELF, HELPER, OTHER = 100, 101, 102
ALLOW = "goes through"
EPERM, ENOSYS = "EPERM", "ENOSYS"

THREAD = 0x3D0F00
"""The flags with which glibc starts a thread."""


class Machine(NamedTuple):
    """An architecture: its name, pyseccomp's number and the kernel's."""

    name: str
    architecture: int
    audit: int


MACHINES = [
    Machine("x86-64", pyseccomp.Arch.X86_64, 0xC000003E),
    Machine("aarch64", pyseccomp.Arch.AARCH64, 0xC00000B7),
    Machine("armv7l", pyseccomp.Arch.ARM, 0x40000028),
]


class Instruction(NamedTuple):
    """One step of classic BPF."""

    code: int
    if_true: int
    if_false: int
    k: int


def run(program: Sequence[Instruction], data: bytes) -> int:
    """Run a classic BPF program, of which libseccomp uses eight instructions, on a struct seccomp_data."""
    accumulator = position = 0
    while True:
        step = program[position]
        position += 1
        match step.code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, step.k)
            case 0x54:
                accumulator &= step.k
            case 0x05:
                position += step.k
            case 0x15:
                position += step.if_true if accumulator == step.k else step.if_false
            case 0x25:
                position += step.if_true if accumulator > step.k else step.if_false
            case 0x35:
                position += step.if_true if accumulator >= step.k else step.if_false
            case 0x45:
                position += step.if_true if accumulator & step.k else step.if_false
            case 0x06:
                return step.k
            case _:
                raise AssertionError(step)


def compiled(machine: Machine, *, read_write: bool) -> list[list[Instruction]]:
    """Return both filters for *machine*, in the order in which they are loaded."""
    programs = []
    for filter_ in seccomp.filters((SELF, HELPER), read_write=read_write, architecture=machine.architecture):
        with tempfile.TemporaryFile() as file:
            filter_.export_bpf(file)
            file.seek(0)
            programs.append([Instruction(*step) for step in struct.iter_unpack("<HBBI", file.read())])
    return programs


def answer(programs: Sequence[Sequence[Instruction]], machine: Machine, name: str, *arguments: int) -> str:
    """Return what the kernel of *machine* answers: of several filters the strictest, of equals the newest."""
    number = pyseccomp.resolve_syscall(machine.architecture, name)
    filled = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<IIQ6Q", number, machine.audit, 0, *filled)
    result = min((run(program, data) for program in reversed(programs)), key=lambda value: value & 0xFFFF0000)
    return ALLOW if result == pyseccomp.ALLOW else errno.errorcode[result & 0xFFFF]


@pytest.fixture(name="machine", params=MACHINES, ids=lambda machine: machine.name)
def _machine(request: pytest.FixtureRequest) -> Machine:
    machine: Machine = request.param
    return machine


CALLS = [
    ("clone", (THREAD,), ALLOW, "a thread starts"),
    ("clone", (17,), EPERM, "fork, as glibc asks for it (SIGCHLD)"),
    ("clone", (0x4111,), EPERM, "vfork and posix_spawn: memory shared, but another process"),
    ("clone", (THREAD | 0x40000000,), EPERM, "a thread in a network namespace of its own"),
    ("clone3", (), ENOSYS, "its flags can't be read by a filter; glibc falls back to clone"),
    ("openat", (0, 0, os.O_RDONLY | os.O_CLOEXEC), ALLOW, "reading a file"),
    ("openat", (0, 0, os.O_WRONLY), EPERM, "writing"),
    ("openat", (0, 0, os.O_RDWR | os.O_CREAT), EPERM, "making a file"),
    ("openat", (0, 0, os.O_RDONLY | os.O_CREAT), EPERM, "making a file to read it"),
    ("openat", (0, 0, os.O_RDONLY | os.O_TRUNC), EPERM, "emptying a file"),
    ("openat", (0, 0, os.O_RDWR | os.O_TMPFILE), EPERM, "a file without a name"),
    ("openat", (0, 0, os.O_WRONLY | 1 << 40), EPERM, "writing, with rubbish in bits that the kernel doesn't look at"),
    ("openat2", (0, 0, 0, 24), EPERM, "its flags can't be read by a filter"),
    ("sendto", (3, 1, 7, 0, 0, 0), ALLOW, "a word to systemd"),
    ("sendto", (3, 1, 7, 0, 0xFFFF0000, 16), EPERM, "a word to an address"),
    ("socket", (1, 2, 0), EPERM, "a socket"),
    ("kill", (SELF, 15), ALLOW, "a signal to itself"),
    ("kill", (HELPER, 9), ALLOW, "the end of its helper"),
    ("kill", (OTHER, 9), ENOSYS, "the end of somebody else"),
    ("kill", (-1 & 2**64 - 1, 9), ENOSYS, "the end of everybody"),
    ("tgkill", (SELF, 7, 6), ALLOW, "abort()"),
    ("tgkill", (OTHER, 7, 6), ENOSYS, "a signal to another process's thread"),
    ("ioctl", (3, 0xC0CC5615), ALLOW, "VIDIOC_S_CTRL and its kin, to the camera"),
    ("ioctl", (3, 0x5401), ALLOW, "is it a terminal?"),
    ("ioctl", (0, 0x5412), ENOSYS, "typing into the terminal's shell"),
    ("ioctl", (3, 0x8914), ENOSYS, "configuring a network interface"),
    ("prctl", (4, 1), ENOSYS, "dumpable again"),
    ("prctl", (38, 1), ENOSYS, "nothing to be asked of prctl but looking"),
    ("prctl", (3,), ALLOW, "looking"),
    ("prlimit64", (0, 1, 0, 1), ALLOW, "asking for a limit"),
    ("prlimit64", (0, 1, 1, 0), EPERM, "changing a limit"),
    ("execve", (), EPERM, "a program"),
    ("memfd_create", (), EPERM, "a file in memory"),
    ("io_uring_setup", (), EPERM, "a second way to make system calls"),
    ("seccomp", (1, 0, 0), EPERM, "another filter"),
    ("futex", (), ALLOW, "threads wait for each other"),
    ("mmap", (), ALLOW, "memory"),
    ("inotify_init1", (), ENOSYS, "nobody thought that vision needs it"),
]


@pytest.mark.parametrize(("name", "arguments", "expected", "what"), CALLS, ids=[call[3] for call in CALLS])
def test_answers(machine: Machine, name: str, arguments: tuple[int, ...], expected: str, what: str) -> None:
    """Each machine's filters answer a call as they should, by its arguments where those matter."""
    if machine.name == "armv7l" and name == "mmap":
        name = "mmap2"
    if machine.name == "armv7l":
        arguments = tuple(argument & 2**32 - 1 for argument in arguments)

    assert expected == answer(compiled(machine, read_write=True), machine, name, *arguments), what


@pytest.mark.parametrize(("read_write", "expected"), [(True, ALLOW), (False, EPERM)])
def test_opening_the_camera(machine: Machine, read_write: bool, expected: str) -> None:
    """Only a process with a V4L2 camera may open something for reading and writing."""
    programs = compiled(machine, read_write=read_write)

    assert expected == answer(programs, machine, "openat", 0, 0, os.O_RDWR | os.O_NONBLOCK)


def test_refused(machine: Machine) -> None:
    """Each refused call that a machine has is refused there, whatever its arguments."""
    programs = compiled(machine, read_write=True)
    names = " ".join(seccomp.REFUSED.values()).split()
    there = [name for name in names if pyseccomp.resolve_syscall(machine.architecture, name) >= 0]

    assert [name for name in there if answer(programs, machine, name) != EPERM] == []


def test_calls_of_another_architecture(machine: Machine) -> None:
    """A call that is made in another architecture's way isn't let through."""
    other = machine._replace(audit=0x40000003)
    data = struct.pack("<IIQ6Q", 1, other.audit, 0, *[0] * 6)

    assert all(run(program, data) == pyseccomp.KILL for program in compiled(machine, read_write=True))


def test_known_names() -> None:
    """Each name in both tables is a system call of at least one of our machines, as far as libseccomp knows them."""
    newer_than_debian_12 = {"setxattrat", "removexattrat"}
    names = set(" ".join((*seccomp.NEEDED.values(), *seccomp.REFUSED.values())).split())
    known = {
        name
        for name in names
        if any(pyseccomp.resolve_syscall(machine.architecture, name) >= 0 for machine in MACHINES)
    }

    assert names - known - newer_than_debian_12 == set()


def test_tables_dont_contradict() -> None:
    """No call is both needed and refused, but the one that loads the second filter."""
    needed, refused = (set(" ".join(table.values()).split()) for table in (seccomp.NEEDED, seccomp.REFUSED))

    assert needed & refused == {"seccomp"}
