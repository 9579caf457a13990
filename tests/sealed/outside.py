"""
A whole trial, looked at from outside: on a network of its own, with every packet kept and every system call noted.

It needs root, for the network and to look into memory that nobody else may look into. The trial runs as root, too: that
is the most that a trial can be.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from edge.core.head_model import shipped
from edge.technician import proc
from tests.nobody import AS_NOBODY
from tests.publisher.rig import MOSQUITTO, wait_until
from tests.publisher.wire import Talk
from tests.sealed.marks import Mark

REPOSITORY = Path(__file__).parents[2]
BOX, SHOP = "10.87.31.1", "10.87.31.2"
PORT = 1883
DEADLINE_S = 600.0

CONFIG = """
site: sh-023
timezone: Asia/Shanghai
cameras:
  door:
    source: {folder}/door.mp4
    loop: true
    lines: {{entrance: {{from: [0.1, 0.5], to: [0.9, 0.5], inside: [0.5, 0.9]}}}}
broker: {{host: {host}, tls: false}}
ledger: {folder}/state/ledger.sqlite
tally_dir: {folder}/state
"""

CAPTURE = """
import socket, struct, sys
taps = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
taps.bind((sys.argv[1], 3))
with open(sys.argv[2], "wb", buffering=0) as kept:
    kept.write(b"")
    print("listening", flush=True)
    while True:
        frame = taps.recv(65536)
        kept.write(struct.pack("<I", len(frame)) + frame)
"""
"""Keeps every frame that passes an interface, in both directions."""

CALLS = (
    "%network,%process,%file,%ipc,seccomp,prctl,write,writev,pwrite64,pwritev,ftruncate,fallocate,memfd_create,dup,dup2,"
    "io_uring_setup,ptrace,process_vm_readv,process_vm_writev,pidfd_open,pidfd_getfd,splice,sendfile,copy_file_range,"
    "unshare,setns,bpf,keyctl,add_key,mknodat,fchmod,fchown,fsetxattr,flock,tgkill,tkill,ioctl"
)
_LINE = re.compile(r"^(\d+\.\d+) (\w+)\((.*)\)\s+= (-?\d+|\?)", re.DOTALL)


_WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_TMPFILE")


@dataclass(frozen=True, slots=True)
class Call:
    """A system call, as strace notes it: when, s; its name; its arguments in words; its result, negative if refused."""

    at_s: float
    name: str
    arguments: str
    result: int


@dataclass
class Trial:
    """What is left of a trial once it is over, and the memory of its processes as it was."""

    folder: Path
    mark: Mark
    vision: int = 0
    publisher: int = 0
    heard: list[str] = field(default_factory=list)
    memory_of_vision: bytes = field(default=b"", repr=False)
    memory_of_publisher: bytes = field(default=b"", repr=False)
    looked_as_nobody: list[str] = field(default_factory=list)
    log: bytes = field(default=b"", repr=False)

    def calls(self, process: int) -> list[Call]:
        """Return what all threads of *process* asked of the kernel, in order of time."""
        waiting, calls = [process], []
        while waiting:
            thread = list(_calls(self.folder / "trace" / f"calls.{waiting.pop()}"))
            calls += thread
            waiting += [c.result for c in thread if "CLONE_THREAD" in c.arguments and c.result > 0]
        return sorted(calls, key=lambda call: call.at_s)

    def after_sealing(self) -> list[Call]:
        """Return what vision asked of the kernel once its second filter was loaded."""
        calls = self.calls(self.vision)
        loaded = [
            index
            for index, call in enumerate(calls)
            if call.name == "seccomp" and "SET_MODE_FILTER" in call.arguments and call.result == 0
        ]
        return calls[loaded[-1] + 1 :]

    def frames(self) -> Iterator[bytes]:
        """Yield each frame that passed the box's interface."""
        kept = memoryview((self.folder / "frames").read_bytes())
        while len(kept) >= 4:
            (size,) = struct.unpack_from("<I", kept)
            if len(kept) < 4 + size:
                return
            yield bytes(kept[4 : 4 + size])
            kept = kept[4 + size :]

    def written(self) -> list[Path]:
        """Return each file in the trial's folder, and each that one of its processes opened to write; not the clip."""
        found = {path for path in self.folder.rglob("*") if path.is_file() and path.parent.name != "trace"}
        for trace in (self.folder / "trace").iterdir():
            for call in _calls(trace):
                if call.name in ("open", "openat") and call.result >= 0 and _WRITING.search(call.arguments):
                    path = self.folder / "cwd" / call.arguments.split('"')[1]
                    found |= {path} if path.is_file() else set()
        return sorted(found - {self.folder / "door.mp4"})


def _calls(path: Path) -> Iterator[Call]:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = _LINE.match(line)
        if match and match[4] != "?":
            yield Call(float(match[1]), match[2], match[3], int(match[4]))


def published(frames: Iterator[bytes]) -> tuple[list[str], list[tuple[str, bytes]]]:
    """
    Return what is on the wire: whatever isn't MQTT from the box to the broker, and what was published.

    A frame is Ethernet, IPv4 and TCP, or ARP between the two.
    """
    foreign: list[str] = []
    streams: dict[int, dict[int, bytes]] = {}
    for frame in frames:
        kind = int.from_bytes(frame[12:14])
        if kind == 0x0806 and {frame[28:32], frame[38:42]} == {socket.inet_aton(BOX), socket.inet_aton(SHOP)}:
            continue
        head = 14 + (frame[14] & 15) * 4
        addresses = {socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])} if len(frame) > 34 else set()
        if kind != 0x0800 or frame[23] != socket.IPPROTO_TCP or addresses != {BOX, SHOP}:
            foreign.append(frame[:60].hex())
            continue
        source, target, sequence = struct.unpack_from(">HHI", frame, head)
        if PORT not in (source, target):
            foreign.append(f"TCP from {source} to {target}")
        elif target == PORT:
            end = 14 + int.from_bytes(frame[16:18])
            data = frame[head + (frame[head + 12] >> 4) * 4 : end]
            if data:
                streams.setdefault(source, {})[sequence] = data
    messages: list[tuple[str, bytes]] = []
    for segments in streams.values():
        messages += _messages(b"".join(segments[sequence] for sequence in sorted(segments)), foreign)
    return foreign, messages


def _messages(stream: bytes, foreign: list[str]) -> list[tuple[str, bytes]]:
    """Return what a client published; packets that only a client that listens would send are foreign."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        theirs.sendall(stream)
        theirs.shutdown(socket.SHUT_WR)
        talk = Talk(ours)
        with contextlib.suppress(ConnectionError):
            while True:
                kind, _ = talk.packet()
                # CONNECT, PUBLISH, PUBACK, PINGREQ, DISCONNECT
                if kind not in (1, 3, 4, 12, 14):
                    foreign.append(f"MQTT packet of kind {kind}")
        return [(topic, payload) for topic, payload, _ in talk.published]


def marked_clip(path: Path, mark: Mark) -> None:
    """Write the demo clip with *mark* over the upper and lower fifth of every frame."""
    clip = cv2.VideoCapture(str(shipped("demo") / "door.mp4"))
    size = (int(clip.get(cv2.CAP_PROP_FRAME_WIDTH)), int(clip.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), clip.get(cv2.CAP_PROP_FPS), size)
    good, pixels = clip.read()
    while good:
        writer.write(mark.paint(np.asarray(pixels, np.uint8)))
        good, pixels = clip.read()
    writer.release()
    clip.release()


def run(folder: Path) -> Trial:
    """Run a trial until two hours have arrived at the broker, and return what is left of it."""
    trial = Trial(folder, Mark.of(secrets.randbits(32)))
    marked_clip(folder / "door.mp4", trial.mark)
    (folder / "footfall.yaml").write_text(CONFIG.format(folder=folder, host=SHOP))
    for name in ("state", "home", "cwd", "trace"):
        (folder / name).mkdir()
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        box, shop = _networks(stack)
        _start(stack, [*shop, MOSQUITTO, "-c", str(_broker(folder))])
        hears = ["mosquitto_sub", "-h", SHOP, "-q", "1", "-t", "#", "-F", "%t %p"]
        wait_until(lambda: _listens(shop), "the broker to listen")
        heard = stack.enter_context((folder / "heard").open("wb"))
        subscriber = _start(stack, [*shop, *hears], stdout=heard)
        capture = _start(
            stack,
            [*box, sys.executable, "-c", CAPTURE, "box", str(folder / "frames")],
            stdout=subprocess.PIPE,
        )
        assert capture.stdout is not None
        assert capture.stdout.readline() == b"listening\n"
        _trial(stack, trial, box)
        _look_into(trial)
        _end(trial)
        subscriber.terminate()
        subscriber.wait()
    trial.heard = (folder / "heard").read_text().splitlines()
    trial.log = (folder / "log").read_bytes()
    return trial


def _networks(stack: contextlib.ExitStack) -> tuple[list[str], list[str]]:
    """Make two networks with a wire between them; return how to run something in the box's, and in the shop's."""
    lot = secrets.token_hex(3)
    names = [f"footfall-{lot}-{name}" for name in ("box", "shop")]
    for name in names:
        _ip("netns", "add", name)
        stack.callback(_ip, "netns", "delete", name)
    inside = [["ip", "netns", "exec", name] for name in names]
    _ip("-n", names[0], "link", "add", "box", "type", "veth", "peer", "name", "shop", "netns", names[1])
    for name, link, address in ((names[0], "box", BOX), (names[1], "shop", SHOP)):
        # Without it the kernel itself would talk IPv6 on the wire.
        quiet = f"net.ipv6.conf.{link}.disable_ipv6=1"
        subprocess.run(["ip", "netns", "exec", name, "sysctl", "-qe", "-w", quiet], check=True)
        _ip("-n", name, "address", "add", f"{address}/24", "dev", link)
        for one in ("lo", link):
            _ip("-n", name, "link", "set", one, "up")
    # Whatever goes anywhere else goes over the wire, too, where it is seen.
    _ip("-n", names[0], "route", "add", "default", "via", SHOP)
    return inside[0], inside[1]


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _start(stack: contextlib.ExitStack, command: Sequence[str], **options: object) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **options)  # type: ignore[call-overload]

    def end() -> None:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    stack.callback(end)
    started: subprocess.Popen[bytes] = process
    return started


def _broker(folder: Path) -> Path:
    path = folder / "mosquitto.conf"
    path.write_text(f"listener {PORT} {SHOP}\nallow_anonymous true\npersistence false\nuser root\n")
    return path


def _listens(shop: Sequence[str]) -> bool:
    probe = ["mosquitto_pub", "-h", SHOP, "-t", "probe", "-m", "x"]
    return subprocess.run([*shop, *probe], capture_output=True, check=False).returncode == 0


def _trial(stack: contextlib.ExitStack, trial: Trial, box: Sequence[str]) -> None:
    """Start the trial under strace, and wait until two hours have arrived."""
    folder = trial.folder
    strace = ["strace", "-ff", "-ttt", "-s", "256", "-e", f"trace={CALLS}"]
    footfall = [sys.executable, "-m", "edge", "run", "--config", str(folder / "footfall.yaml"), "--trial-speed", "1200"]
    log = stack.enter_context((folder / "log").open("wb"))
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [*box, *strace, "-o", str(folder / "trace" / "calls"), *footfall],
        stdout=writer,
        stderr=writer,
        cwd=folder / "cwd",
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "HOME": str(folder / "home"), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    os.close(writer)
    # A pipe, as a sealed process writes to no file; it ends when all who hold it have ended.
    keep = subprocess.Popen(["cat"], stdin=reader, stdout=log)
    os.close(reader)

    def end() -> None:
        process.kill()
        process.wait()
        keep.wait()

    stack.callback(end)

    def arrived() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        return (folder / "heard").read_text().count("/hour ") >= 2

    wait_until(arrived, "two hours at the broker", DEADLINE_S)
    ours = {int(path.suffix[1:]) for path in (folder / "trace").iterdir()}
    (trial.vision,) = (found.pid for found in proc.running("vision") if found.pid in ours)
    (trial.publisher,) = (found.pid for found in proc.running("publisher") if found.pid in ours)


def _look_into(trial: Trial) -> None:
    """Keep the memory of both processes, as root may, and note what their own user may."""
    trial.memory_of_vision, trial.memory_of_publisher = _memory(trial.vision), _memory(trial.publisher)
    for process in (trial.vision, trial.publisher):
        look = f"open('/proc/{process}/mem', 'rb')"
        done = subprocess.run(
            [*AS_NOBODY, sys.executable, "-c", look],
            capture_output=True,
            text=True,
            check=False,
        )
        trial.looked_as_nobody.append(done.stderr.strip().rpartition("\n")[2].partition(":")[0])


def _memory(process: int) -> bytes:
    """Return everything that a process has written to its memory: not its programs and libraries."""
    parts = []
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{process}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            start, end = (int(edge, 16) for edge in span.split("-"))
            if not rights.startswith("rw") or start >= 1 << 47:
                continue
            memory.seek(start)
            # What was never touched can be large and unreadable.
            with contextlib.suppress(OSError):
                parts.append(memory.read(end - start))
    return b"".join(parts)


def _end(trial: Trial) -> None:
    """Ask the trial to stop, and wait for its processes."""
    parent = trial.vision
    while b"\0run\0" not in Path(f"/proc/{parent}/cmdline").read_bytes():
        # Between `run` and the process that sees stands the one that tells how it is (edge/sandbox/readiness.py).
        parent = int(proc.Process(parent, ()).status["PPid"])
    os.kill(parent, 15)
    for process in (trial.vision, trial.publisher, parent):
        wait_until(lambda process=process: not Path(f"/proc/{process}").exists(), "the trial to end", 60)  # type: ignore[misc]


def missing() -> str:
    """Return why there can be no such trial here; nothing if there can."""
    if os.geteuid() != 0:
        return "needs root for a network of its own"
    lacking = [name for name in ("ip", "strace", "setpriv", "mosquitto_sub") if shutil.which(name) is None]
    return f"needs {', '.join(lacking)}" if lacking else ""
