"""What a sealed process that was captured has the kernel write into its log, with the switch that a box is given."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.processes,
    pytest.mark.host,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to read the kernel's log and to set what goes into it"),
    pytest.mark.skipif(
        os.uname().machine != "x86_64", reason="the vsyscall page is x86's; ARM logs no crash by itself"
    ),
]

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
SWITCH = Path("/proc/sys/debug/exception-trace")
SHIPPED = REPOSITORY / "systemd/sysctl.d/footfall.conf"

CAPTURED = """
import ctypes, sys
from edge.vision.seal import Seal
attack = ctypes.CDLL(sys.argv[1])
attack.look.argtypes = [ctypes.c_uint64] * 4
attack.crash.argtypes = [ctypes.c_uint64] * 2
picture = int(sys.argv[2], 16)
Seal([]).close()
attack.prepare()
for _ in range(20):
    attack.look(picture, picture, picture, picture)
attack.crash(picture, picture)
"""
"""Sealed, it looks at the vsyscall page twenty times, and then crashes."""


@pytest.fixture(name="library", scope="module")
def _library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("kernel_log") / "kernel_log.so"
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", made, HERE / "kernel_log.c"], check=True)
    return made


@contextlib.contextmanager
def switched(setting: str) -> Iterator[None]:
    """Have this machine's switch stand so meanwhile."""
    before = SWITCH.read_text()
    if before.strip() != setting:
        try:
            SWITCH.write_text(setting)
        except OSError:
            pytest.skip("the switch can't be set here")
    try:
        yield
    finally:
        SWITCH.write_text(before)


def logged(library: Path) -> list[str]:
    """Return the lines of the kernel's log that hold what a captured process wanted there."""
    picture = secrets.token_hex(6)
    log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(log, 0, os.SEEK_END)
    done = subprocess.run(
        [sys.executable, "-c", CAPTURED, str(library), picture],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -11, done.stderr
    lines = []
    with contextlib.suppress(BlockingIOError):
        while True:
            lines.append(os.read(log, 8192).decode(errors="replace"))
    os.close(log)
    return [line for line in lines if picture in line]


def test_a_crash_leaves_nothing(library: Path) -> None:
    """With the switch as it is shipped, neither the vsyscall page nor a crash brings a byte into the kernel's log."""
    assert "debug.exception-trace = 0" in SHIPPED.read_text()
    with switched("0"):
        assert logged(library) == []


def test_without_the_switch(library: Path) -> None:
    """As the kernel comes, the same process writes there: it is the switch that stops it."""
    if "[vsyscall]" not in Path("/proc/self/maps").read_text():
        pytest.skip("this kernel has no vsyscall page")
    with switched("1"):
        assert logged(library)
