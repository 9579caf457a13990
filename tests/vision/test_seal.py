"""Each test seals a process of its own: nobody comes back from it."""

from __future__ import annotations

import errno
import json
import os
import pty
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from edge.core.errors import SealError
from edge.sandbox import landlock, seccomp
from tests.attempt import OUTCOME
from tests.nobody import AS_NOBODY, UID, needs_nobody
from tests.vision import odd_clips

pytestmark = [pytest.mark.processes, pytest.mark.host]

ROOT = os.geteuid() == 0
REPOSITORY = Path(__file__).parents[2]

needs_root = pytest.mark.skipif(not ROOT, reason="needs root to become another user or to make a device")
needs_landlock = pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock")

WITHOUT = """
    import errno, pyseccomp
    old = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for number in {numbers}:
        old.add_rule(pyseccomp.ERRNO(errno.{error}), number)
    old.load()
"""
WITHOUT_LANDLOCK = WITHOUT.format(numbers=(444, 445, 446), error="ENOSYS")
"""Makes the kernel look as old as one without Landlock, or as one that was built without it."""
WITHOUT_NAMESPACES = WITHOUT.format(numbers=["unshare"], error="EPERM")
"""Makes the kernel as strict as a unit with RestrictNamespaces=, or a container."""

PREPARE = """
    import ctypes, fcntl, json, os, resource, signal, socket, subprocess, sys, threading
    from pathlib import Path
    from edge.core.errors import SealError
    from edge.vision.seal import Seal

    answer = int(sys.argv[1])

    def say(what):
        os.write(answer, json.dumps(what).encode() + b"\\n")

    def seal(cameras=(), held=(), **options):
        return Seal(cameras, **options).close((answer, *held))
"""


class InAProcess:
    """
    *bodies* after `PREPARE` in a Python of their own, as a trial would start it.

    A sealed process has no standard output, so `say` writes to a pipe that it holds, and `go` reads from one.
    """

    def __init__(
        self,
        *bodies: str,
        prefix: Sequence[str] = (),
        descriptors: Sequence[int] = (),
        cwd: Path = Path("/"),
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        answer, saying = os.pipe()
        waiting, self._going = os.pipe()
        passed = (saying, waiting, *descriptors)
        program = "".join(map(textwrap.dedent, (OUTCOME, PREPARE, *bodies)))
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-c", program, *map(str, passed)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=passed,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "HOME": "/nonexistent", **environment},
        )
        os.close(saying)
        os.close(waiting)
        self._answers = os.fdopen(answer, encoding="utf-8")

    def hears(self) -> Any:
        """Return what it says next."""
        return json.loads(self._answers.readline())

    def go(self) -> None:
        """Let it go on."""
        os.write(self._going, b"go")

    def end(self) -> tuple[str, str]:
        """Wait for its end; return its standard output and error."""
        os.close(self._going)
        self._answers.close()
        out, err = self._process.communicate(timeout=300)
        assert self._process.returncode == 0, err
        return out, err


def said(process: InAProcess) -> Any:
    """Wait for *process* and return what it said."""
    heard = process._answers.readline()
    _, err = process.end()
    assert heard, err
    return json.loads(heard)


@pytest.mark.parametrize("prefix", [pytest.param((), id="this user"), pytest.param(AS_NOBODY, marks=needs_nobody)])
def test_every_way_out_is_tried(prefix: Sequence[str]) -> None:
    """A sealed process has really tried each call that it must not make, and each was refused."""
    body = "say(seal().refused)"

    refused = said(InAProcess(body, prefix=prefix))

    tried = {what.split(" (")[0] for what in refused}
    assert set(" ".join(seccomp.REFUSED.values()).split()) - tried == set()


def test_what_the_kernel_says() -> None:
    """The kernel itself says that a sealed process has a filter, no new rights, no capability, no core and no file."""
    body = """
        seal()
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        limits = [resource.getrlimit(limit) for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)]
        dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
        say([status["Seccomp"].strip(), status["NoNewPrivs"].strip(), int(status["CapPrm"], 16),
                          int(status["CapEff"], 16), limits, dumpable])
    """

    assert said(InAProcess(body)) == ["2", "1", 0, 0, [[0, 0], [0, 0]], 0]


def test_new_threads() -> None:
    """Threads still start after sealing, and are bound as well."""
    body = """
        seal()
        seen = []
        thread = threading.Thread(target=lambda: seen.append(outcome(lambda: socket.socket())))
        thread.start(), thread.join()
        say(seen)
    """

    assert said(InAProcess(body)) == ["EPERM"]


def test_threads_of_libraries() -> None:
    """Threads that libraries start between the seal's two steps are bound as well."""
    body = f"""
        started = Seal([])
        sealed, seen = threading.Event(), []
        def look():
            sealed.wait()
            seen.append([outcome(lambda: socket.socket()), outcome(lambda: os.open("/dev/full", os.O_RDWR))])
        thread = threading.Thread(target=look)
        thread.start()
        bound = outcome(lambda: open("{REPOSITORY}/footfall-{os.getpid()}", "w"))
        started.close((answer,))
        sealed.set(), thread.join()
        say([bound, *seen])
    """

    assert said(InAProcess(body)) == ["EROFS", ["EPERM", "EPERM"]]


def test_no_log() -> None:
    """What is written to standard output and error after sealing arrives nowhere, and nothing comes in."""
    body = """
        os.write(1, b"before")
        seal()
        os.write(1, b"picture"), os.write(2, b"picture"), print("picture", flush=True)
        say(os.read(0, 10).decode())
    """
    process = InAProcess(body)

    assert process.hears() == ""
    assert process.end() == ("before", "")


@pytest.mark.parametrize("prefix", [pytest.param((), id="this user"), pytest.param(AS_NOBODY, marks=needs_nobody)])
def test_namespaces(prefix: Sequence[str]) -> None:
    """Where namespaces may be made, the process's own have no network but a dead loopback, and nothing to write to."""
    body = """
        report = seal()
        writable = [line for line in Path("/proc/self/mountinfo").read_text().splitlines()
                    if not line.split()[5].startswith("ro")]
        networks = [line.split(":")[0].strip() for line in Path("/proc/self/net/dev").read_text().splitlines()[2:]]
        rights = Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0]
        say([report.read_only, writable, networks, int(rights, 16)])
    """

    assert said(InAProcess(body, prefix=prefix)) == [True, [], ["lo"], 0]


def test_a_signal_through_the_kernel() -> None:
    """The kernel can't be made to send a signal, nor a pipe to show its size to whoever holds its other end."""
    body = """
        seal()
        say([outcome(lambda: fcntl.fcntl(answer, command, 1)) for command in (8, 10, 15, 1031)])
    """

    assert said(InAProcess(body)) == ["ENOSYS"] * 4


def test_other_threads_are_refused() -> None:
    """A process in which other threads run already isn't sealed by half."""
    body = """
        never = threading.Event()
        threading.Thread(target=never.wait, daemon=True).start()
        try:
            seal()
        except SealError as exc:
            say([exc.exit_code, "1 other threads run already" in str(exc)])
    """

    assert said(InAProcess(body)) == [77, True]


def test_readiness_and_diode() -> None:
    """After sealing, the diode and the pipe to the readiness helper still work, and no word reaches an address."""
    body = """
        helper, diode = int(sys.argv[3]), int(sys.argv[4])
        seal(held=(helper, diode))
        os.write(helper, bytes([3]))
        os.write(diode, b"tally")
        libc = ctypes.CDLL(None, use_errno=True)
        libc.sendto(-1, b"picture", 7, 0, b"/run/elsewhere", 16)
        say(ctypes.get_errno())
    """
    waiting, helper = os.pipe()
    reader, writer = os.pipe()
    with (
        os.fdopen(waiting, "rb") as words,
        os.fdopen(helper, "wb") as speaks,
        os.fdopen(reader, "rb") as tallies,
        os.fdopen(writer, "wb") as diode,
    ):
        refused = said(InAProcess(body, descriptors=(speaks.fileno(), diode.fileno())))
        heard = words.read1(), tallies.read1()

    assert refused == errno.EPERM
    assert heard == (b"\x03", b"tally")


def test_helper() -> None:
    """A helper that was started before can be ended and waited for; nobody else can be signalled."""
    body = f"""
        started = Seal([], helper=True)
        helper = subprocess.Popen(["sleep", "60"])
        started.close((answer,))
        parent = outcome(lambda: os.kill({os.getpid()}, signal.SIGCONT))
        helper.kill()
        say([parent, helper.wait()])
    """

    assert said(InAProcess(body)) == ["ENOSYS", -9]


def test_signals_to_itself() -> None:
    """A sealed process still gets SIGTERM, and may raise a signal itself."""
    body = """
        caught = []
        signal.signal(signal.SIGTERM, lambda number, _: caught.append(number))
        seal()
        os.kill(os.getpid(), signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        say(caught)
    """

    assert said(InAProcess(body)) == [15, 15]


@pytest.mark.parametrize(
    ("packing", "complaint"),
    [
        ("thing = open('{folder}/log', 'w')", "is open for writing as descriptor"),
        ("thing = os.memfd_create('thing')", "is open for writing as descriptor"),
        ("thing = socket.socket(socket.AF_INET)", "a socket is open"),
        ("thing = socket.socket(socket.AF_UNIX)", "a socket is open"),
        ("thing = socket.socketpair()", "a socket is open"),
        ("thing = os.open('/', os.O_RDONLY)", "the folder / is open"),
        ("thing = os.open('{folder}', os.O_PATH)", "is open as descriptor"),
        ("thing = os.pipe()", "is open for writing as descriptor"),
        ("thing = os.open('/dev/full', os.O_WRONLY)", "is open for writing as descriptor"),
        ("thing = os.pidfd_open(os.getppid())", "[pidfd] is open as descriptor"),
    ],
)
def test_inherited_descriptors(packing: str, complaint: str, tmp_path: Path) -> None:
    """A process that holds something through which a picture could leave isn't sealed."""
    body = f"""
        {packing.format(folder=tmp_path)}
        try:
            seal()
        except SealError as exc:
            say({complaint!r} in str(exc))
    """

    assert said(InAProcess(body)) is True


def test_a_held_socket_is_refused() -> None:
    """Not even a socket that is said to be needed stays: what systemd is told goes through a pipe."""
    body = """
        thing = socket.socketpair()[0]
        try:
            seal(held=(thing.fileno(),))
        except SealError as exc:
            say("a socket is open" in str(exc))
    """

    assert said(InAProcess(body)) is True


@needs_root
def test_a_descriptor_is_known_by_its_device(tmp_path: Path) -> None:
    """/dev/null under another name is no file to write to, and a file that is called /dev/null is one."""
    nothing, log = tmp_path / "nothing", tmp_path / "log"
    os.mknod(nothing, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    log.touch()
    null = f"thing = os.open('{nothing}', os.O_WRONLY); seal(); say('sealed')"
    lie = """
        try:
            seal()
        except SealError as exc:
            say("is open for writing" in str(exc))
    """
    bound = ("unshare", "--mount", "sh", "-c", f'mount --bind {log} /dev/null; exec "$0" "$@"')

    assert said(InAProcess(null)) == "sealed"
    assert said(InAProcess(lie, prefix=bound)) is True


TERMINAL = """
    try:
        seal([Path("/dev/full")])
    except SealError as exc:
        say("another device opened for writing (/dev/" in str(exc) or str(exc))
    else:
        say([outcome(lambda: os.open(device, os.O_RDWR | os.O_NOCTTY)) for device in ("{terminal}", "/dev/ptmx")])
"""


@needs_root
@pytest.mark.parametrize("prefix", [pytest.param((), id="this user"), pytest.param(AS_NOBODY, marks=needs_nobody)])
@pytest.mark.parametrize(
    "kernel",
    ["", WITHOUT_NAMESPACES, WITHOUT_LANDLOCK, WITHOUT_NAMESPACES + WITHOUT_LANDLOCK],
    ids=["both", "landlock", "namespaces", "neither"],
)
def test_no_device_but_the_camera(kernel: str, prefix: Sequence[str]) -> None:
    """A process with a V4L2 camera in a trial can't write to a terminal of the same user; where it could, it ends."""
    outer, inner = pty.openpty()
    terminal = os.ttyname(inner)
    if prefix:
        os.chown(terminal, UID, UID)
    try:
        found = said(InAProcess(kernel, TERMINAL.format(terminal=terminal), prefix=prefix))
    finally:
        os.close(outer)
        os.close(inner)

    neither = WITHOUT_LANDLOCK in kernel and WITHOUT_NAMESPACES in kernel
    assert True is found if neither else set(found) <= {"ENOENT", "EACCES"}, found


@pytest.fixture(name="served")
def _served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Mount a FUSE file system whose server writes down each name that is looked up; give its folder and the list."""
    if not Path("/dev/fuse").exists() or not ROOT:
        pytest.skip("needs root and /dev/fuse to mount a file system")
    folder = tmp_path_factory.mktemp("served")
    heard = folder / "heard"
    (folder / "mount").mkdir()
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "fuse_server.py"), str(folder / "mount"), str(heard)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "mounted\n"
    yield folder / "mount", heard
    subprocess.run(["umount", "-l", folder / "mount"], check=True)
    server.communicate(timeout=30)


LOOKUPS = """
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    place = "{place}/PICTURE-"
    ways = (lambda n: os.stat(n), lambda n: os.open(n, os.O_RDONLY), lambda n: os.access(n, os.R_OK),
            lambda n: os.readlink(n), lambda n: os.statvfs(n), lambda n: os.listdir(n),
            lambda n: libc.syscall(332, -100, n.encode(), 0, 0, ctypes.create_string_buffer(256)),
            lambda n: os.stat(n, dir_fd=None, follow_symlinks=False))
    for number, way in enumerate(ways):
        try:
            way(place + str(number))
        except OSError:
            pass
"""


@needs_root
def test_a_name_is_not_sent(served: tuple[Path, Path]) -> None:
    """In a root of its own a sealed process looks up names where a server would hear them; it hears none."""
    mount, heard = served
    looking = LOOKUPS.format(place=mount)

    assert said(InAProcess(looking, "say('looked')")) == "looked"
    assert heard.read_text().count("PICTURE-") >= 6, "the server is deaf"
    heard.write_text("")
    assert said(InAProcess(f"seal(needed=[Path('{mount.parent}')])", looking, "say('looked')")) == "looked"
    assert heard.read_text().count("PICTURE-") == 0


@needs_root
@pytest.mark.parametrize("kernel", [WITHOUT_NAMESPACES, ""], ids=["no root of its own", "needed from there"])
def test_a_file_system_that_is_served(served: tuple[Path, Path], kernel: str) -> None:
    """Where a name that is looked up would be sent, a process isn't sealed, and says what is mounted."""
    mount, _ = served
    body = f"""
        try:
            seal(needed=[Path("{mount}")])
        except SealError as exc:
            say("{mount} (fuse)" in str(exc))
    """

    assert said(InAProcess(kernel, body)) is True


def test_an_empty_root(tmp_path: Path) -> None:
    """In a root of its own a sealed process finds what it asked for, and neither homes nor other folders."""
    (tmp_path / "needed").mkdir()
    (tmp_path / "needed" / "config").touch()
    (tmp_path / "other").touch()
    (tmp_path / "link").symlink_to("needed")
    body = f"""
        report = seal(needed=[Path("{tmp_path}/link")])
        say([report.read_only, os.listdir("{tmp_path}"), os.listdir("{tmp_path}/link"),
             list(filter(os.path.exists, ("/home", "/var", "/run", "/srv", "/mnt", "/dev/shm", "/dev/pts"))),
             outcome(lambda: os.open("{tmp_path}/needed/new", os.O_WRONLY | os.O_CREAT))])
    """

    owned, listed, linked, there, new = said(InAProcess(body))
    if not owned:
        pytest.skip("no namespaces may be made here")
    assert (sorted(listed), linked, there, new) == (["link", "needed"], ["config"], [], "EPERM")


def test_what_lies_in_tmp_itself_is_found() -> None:
    """Where a root of its own is mounted, too, a sealed process finds what it asked for."""
    with tempfile.NamedTemporaryFile(dir="/tmp", suffix=".mp4") as clip:
        body = f"""
            seal(needed=[Path("/tmp")])
            say(os.path.exists("{clip.name}"))
        """

        assert said(InAProcess(body)) is True


@pytest.mark.parametrize("name", ["clip.mp4", "browser.webm"])
def test_a_clip_repeats_under_the_seal(tmp_path: Path, name: str) -> None:
    """A sealed process reads a clip again and again: one that is wound back, and one that has to be opened anew."""
    path = odd_clips.write(tmp_path / name)
    if name == "browser.webm":
        odd_clips.set_webm_times(path, [40 * n + (7 * n * n) % 37 for n in range(odd_clips.FRAMES)])
    body = f"""
        started = Seal([], needed=[Path("{tmp_path}")])
        from edge.vision.clip import ClipSource
        started.close((answer,))
        source = ClipSource("{path}", fps=60, loop=True)
        say([source.read() is not None for _ in range({3 * odd_clips.FRAMES})])
    """

    assert said(InAProcess(body)) == [True] * 3 * odd_clips.FRAMES


@needs_landlock
def test_without_landlock_a_clip_is_sealed() -> None:
    """On a kernel without Landlock and namespaces a process without a camera is sealed by filter and limits alone."""
    body = "report = seal(); say([report.landlock, report.read_only, str(report)])"

    version, read_only, report = said(InAProcess(WITHOUT_LANDLOCK, WITHOUT_NAMESPACES, body))

    assert (version, read_only) == (0, False)
    assert report.endswith("each refused (by seccomp)")


@needs_landlock
def test_without_landlock_a_writable_place_is_told() -> None:
    """Without Landlock and namespaces, a process that needs a camera and could change a file in /tmp is told so."""
    body = """
        try:
            seal([Path("/dev/full")])
        except SealError as exc:
            say("changing a file in /tmp" in str(exc))
    """

    assert said(InAProcess(WITHOUT_LANDLOCK, WITHOUT_NAMESPACES, body)) is True


@needs_landlock
def test_only_the_camera_is_opened() -> None:
    """The camera's device can be opened for reading and writing after sealing; its neighbour can't."""
    body = """
        seal([Path("/dev/full")])
        say([outcome(lambda: os.open(device, os.O_RDWR)) for device in ("/dev/full", "/dev/null")])
    """

    assert said(InAProcess(body)) == ["done", "EACCES"]


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
        say("sealed")
        os.read(int(sys.argv[2]), 2)
        say([report.reopens, outcome(lambda: os.open("{camera}", os.O_RDWR))])
"""


@needs_nobody
@pytest.mark.parametrize("kernel", ["", WITHOUT_NAMESPACES, WITHOUT_LANDLOCK], ids=["both", "landlock", "namespaces"])
def test_replugged_camera(devices: Path, kernel: str) -> None:
    """A camera that is unplugged and plugged in again, a new file by then, is opened by the sealed process."""
    camera = devices / "video0"
    process = InAProcess(kernel, UNPLUGGED.format(camera=camera), prefix=AS_NOBODY)
    assert process.hears() == "sealed"
    camera.unlink()
    plug_in(camera)
    process.go()

    assert said(process) == [True, "done"]


@needs_nobody
@needs_landlock
def test_replugged_camera_beside_a_writable_folder(devices: Path) -> None:
    """Where /dev has a folder that could be written to, only the present device is opened, and the report says so."""
    camera = devices / "video0"
    (devices / "shm").mkdir()
    (devices / "shm").chmod(0o1777)
    process = InAProcess(WITHOUT_NAMESPACES, UNPLUGGED.format(camera=camera), prefix=AS_NOBODY)
    assert process.hears() == "sealed"
    camera.unlink()
    plug_in(camera)
    process.go()

    assert said(process) == [False, "EACCES"]


def test_libseccomp_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without libseccomp the error says what to install."""
    monkeypatch.setitem(sys.modules, "pyseccomp", None)

    with pytest.raises(SealError, match="sudo apt install libseccomp2"):
        seccomp.load_library()
