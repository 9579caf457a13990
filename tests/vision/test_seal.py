"""Each test seals a process of its own: nobody comes back from it."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge.errors import SealError
from edge.vision import landlock, syscalls

ROOT = os.geteuid() == 0
NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")

needs_root = pytest.mark.skipif(not ROOT, reason="needs root to become another user or to make a device")
needs_landlock = pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock")

WITHOUT_LANDLOCK = """
    import errno, pyseccomp
    old = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for number in (444, 445, 446):
        old.add_rule(pyseccomp.ERRNO(errno.ENOSYS), number)
    old.load()
"""
"""Makes the kernel look as old as one without Landlock."""

PREPARE = """
    import ctypes, errno, fcntl, json, os, resource, signal, socket, subprocess, sys, threading
    from pathlib import Path
    from edge.errors import SealError
    from edge.vision.seal import seal

    def outcome(attempt):
        try:
            attempt()
        except OSError as exc:
            return errno.errorcode[exc.errno]
        return "done"
"""


def in_a_process(
    *bodies: str,
    prefix: Sequence[str] = (),
    descriptors: Sequence[int] = (),
    stdin: int | None = subprocess.DEVNULL,
    cwd: Path = Path("/"),
) -> subprocess.Popen[str]:
    """Start *bodies* after `PREPARE` in a Python of its own, as a trial would start it; see `said`."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", "".join(map(textwrap.dedent, (PREPARE, *bodies))), *map(str, descriptors)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=descriptors,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "HOME": "/nonexistent"},
    )


def said(process: subprocess.Popen[str]) -> Any:
    """Wait for *process* and return the JSON that it printed last."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


@pytest.mark.parametrize("prefix", [pytest.param((), id="this user"), pytest.param(AS_NOBODY, marks=needs_root)])
def test_every_way_out_is_tried(prefix: Sequence[str]) -> None:
    """A sealed process has really tried each call that it must not make, and each was refused."""
    body = "print(json.dumps(seal([]).refused))"

    refused = said(in_a_process(body, prefix=prefix))

    tried = {what.split(" (")[0] for what in refused}
    assert set(" ".join(syscalls.REFUSED.values()).split()) - tried == set()


def test_what_the_kernel_says() -> None:
    """The kernel itself says that a sealed process has a filter, no new rights, no capability, no core and no file."""
    body = """
        seal([])
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        limits = [resource.getrlimit(limit) for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)]
        dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
        print(json.dumps([status["Seccomp"].strip(), status["NoNewPrivs"].strip(), int(status["CapPrm"], 16),
                          int(status["CapEff"], 16), limits, dumpable]))
    """

    assert said(in_a_process(body)) == ["2", "1", 0, 0, [[0, 0], [0, 0]], 0]


def test_new_threads() -> None:
    """Threads still start after sealing, and are bound as well."""
    body = """
        seal([])
        seen = []
        thread = threading.Thread(target=lambda: seen.append(outcome(lambda: socket.socket())))
        thread.start(), thread.join()
        print(json.dumps(seen))
    """

    assert said(in_a_process(body)) == ["EPERM"]


@needs_root
def test_threads_that_run_already() -> None:
    """A thread that ran before sealing can open no socket either: the filter is loaded for all threads."""
    body = """
        sealed, seen = threading.Event(), []
        thread = threading.Thread(target=lambda: (sealed.wait(), seen.append(outcome(lambda: socket.socket()))))
        thread.start()
        seal([])
        sealed.set(), thread.join()
        print(json.dumps(seen))
    """

    assert said(in_a_process(WITHOUT_LANDLOCK, body, prefix=AS_NOBODY)) == ["EPERM"]


@needs_landlock
@pytest.mark.skipif(landlock.binds_all_threads(), reason="this kernel binds threads that run already")
def test_company_is_refused() -> None:
    """Where Landlock can't bind threads that run already, a process that has some isn't sealed by half."""
    body = """
        never = threading.Event()
        threading.Thread(target=never.wait, daemon=True).start()
        try:
            seal([])
        except SealError as exc:
            print(json.dumps([exc.exit_code, "1 other threads run already" in str(exc)]))
    """

    assert said(in_a_process(body)) == [77, True]


def test_readiness_and_diode() -> None:
    """After sealing the readiness socket and the diode still work, and the socket reaches nobody else."""
    body = """
        systemd, diode = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
        seal([])
        systemd.send(b"READY=1")
        os.write(diode, b"tally")
        print(json.dumps([outcome(lambda: systemd.sendto(b"picture", "/run/elsewhere")),
                          outcome(lambda: systemd.sendmsg([b"picture"])),
                          outcome(lambda: systemd.connect("/run/elsewhere"))]))
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    reader, writer = os.pipe()
    with ours, theirs, os.fdopen(reader, "rb") as tallies, os.fdopen(writer, "wb") as diode:
        descriptors = (theirs.fileno(), diode.fileno())
        refused = said(in_a_process(body, descriptors=descriptors))
        heard = ours.recv(100), tallies.read1()

    assert refused == ["EPERM"] * 3
    assert heard == (b"READY=1", b"tally")


def test_helper() -> None:
    """A helper that was started before can be ended and waited for; nobody else can be signalled."""
    body = f"""
        helper = subprocess.Popen(["sleep", "60"])
        seal([])
        parent = outcome(lambda: os.kill({os.getpid()}, signal.SIGCONT))
        helper.kill()
        print(json.dumps([parent, helper.wait()]))
    """

    assert said(in_a_process(body)) == ["ENOSYS", -9]


def test_signals_to_itself() -> None:
    """A sealed process still gets SIGTERM, and may raise a signal itself."""
    body = """
        caught = []
        signal.signal(signal.SIGTERM, lambda number, _: caught.append(number))
        seal([])
        os.kill(os.getpid(), signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        print(json.dumps(caught))
    """

    assert said(in_a_process(body)) == [15, 15]


@pytest.mark.parametrize(
    ("packing", "complaint"),
    [
        ("thing = open('{folder}/log', 'w')", "is open for writing as descriptor"),
        ("thing = os.memfd_create('thing')", "is open for writing as descriptor"),
        ("thing = socket.socket(socket.AF_INET)", "is a network socket"),
        ("thing = socket.socket(socket.AF_UNIX)", "is a socket without a peer"),
        ("thing = os.pidfd_open(os.getppid())", "[pidfd] is open as descriptor"),
    ],
)
def test_luggage(packing: str, complaint: str, tmp_path: Path) -> None:
    """A process that holds something through which a picture could leave isn't sealed."""
    body = f"""
        {packing.format(folder=tmp_path)}
        try:
            seal([])
        except SealError as exc:
            print(json.dumps({complaint!r} in str(exc)))
    """

    assert said(in_a_process(body)) is True


@needs_landlock
def test_without_landlock_a_clip_is_sealed() -> None:
    """On a kernel without Landlock a process without a camera is sealed by the filter and the limits alone."""
    body = "report = seal([]); print(json.dumps([report.landlock, str(report)]))"

    version, report = said(in_a_process(WITHOUT_LANDLOCK, body))

    assert (version, "this kernel has no Landlock" in report) == (0, True)


@needs_landlock
def test_without_landlock_a_writable_place_is_told() -> None:
    """On a kernel without Landlock a process that needs a camera and could change a file in /tmp is told so."""
    body = """
        try:
            seal([Path("/dev/full")])
        except SealError as exc:
            print(json.dumps("changing a file in /tmp" in str(exc)))
    """

    assert said(in_a_process(WITHOUT_LANDLOCK, body)) is True


@needs_landlock
def test_only_the_camera_is_opened() -> None:
    """The camera's device can be opened for reading and writing after sealing; its neighbour can't."""
    body = """
        seal([Path("/dev/full")])
        print(json.dumps([outcome(lambda: os.open(device, os.O_RDWR)) for device in ("/dev/full", "/dev/null")]))
    """

    assert said(in_a_process(body)) == ["done", "EACCES"]


@pytest.fixture(name="devices")
def _devices() -> Iterator[Path]:
    """Make a folder that other users may read, as pytest's own aren't, with a camera in it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        plug_in(Path(name) / "video0")
        yield Path(name)


def plug_in(camera: Path) -> None:
    """Make a device, as the kernel does when a camera is plugged in; /dev/full stands for it."""
    os.mknod(camera, stat.S_IFCHR | 0o666, os.makedev(1, 7))
    camera.chmod(0o666)


UNPLUGGED = """
        report = seal([Path("{camera}")])
        print("sealed", flush=True)
        sys.stdin.readline()
        print(json.dumps([report.reopens, outcome(lambda: os.open("{camera}", os.O_RDWR))]))
"""


@needs_root
@needs_landlock
def test_replugged_camera(devices: Path) -> None:
    """A camera that is unplugged and plugged in again, a new file by then, is opened by the sealed process."""
    camera = devices / "video0"
    process = in_a_process(UNPLUGGED.format(camera=camera), prefix=AS_NOBODY, stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "sealed\n"
    camera.unlink()
    plug_in(camera)

    assert json.loads(process.communicate("go\n", timeout=60)[0]) == [True, "done"]


@needs_root
@needs_landlock
def test_replugged_camera_beside_a_writable_folder(devices: Path) -> None:
    """Where /dev has a folder that could be written to, only the present device is opened, and the report says so."""
    camera = devices / "video0"
    (devices / "shm").mkdir()
    (devices / "shm").chmod(0o1777)
    process = in_a_process(UNPLUGGED.format(camera=camera), prefix=AS_NOBODY, stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "sealed\n"
    camera.unlink()
    plug_in(camera)

    assert json.loads(process.communicate("go\n", timeout=60)[0]) == [False, "EACCES"]


def test_libseccomp_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without libseccomp the error says what to install."""
    monkeypatch.setitem(sys.modules, "pyseccomp", None)

    with pytest.raises(SealError, match="sudo apt install libseccomp2"):
        syscalls.load_library()
