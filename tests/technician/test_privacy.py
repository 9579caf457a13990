"""`footfall privacy` tells what the kernel says, good or bad."""

from __future__ import annotations

import _sqlite3
import hashlib
import json
import os
import py_compile
import shutil
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.config import schema
from edge.publisher.hours import Span
from edge.publisher.ledger.ledger import Ledger, Row
from edge.technician import proc
from edge.technician.privacy import box, filtered, left, processes, programs, unit
from edge.technician.privacy.finding import Examination, Finding, Section
from edge.technician.privacy.page import page
from tests.nobody import AS_NOBODY, WHY_NOT

pytestmark = [pytest.mark.processes, pytest.mark.host]

ROOT = os.geteuid() == 0
BY_NOBODY = AS_NOBODY if ROOT else ()
REPOSITORY = Path(__file__).parents[2]

STAND_IN = """\
import os, socket, sys
up, go = os.dup(1), os.dup(0)
{body}
os.write(up, b"up\\n")
os.read(go, 1)
"""
SEALING = "from edge.vision.seal import Seal; Seal([]).close((up,))"
"""It holds one pipe to write to, which stands for its diode."""

CONFIG = """
site: sh-023
timezone: Asia/Shanghai
cameras:
  door:
    source: /dev/video0
    lines: {{entrance: {{from: [0.1, 0.5], to: [0.9, 0.5], inside: [0.5, 0.9]}}}}
broker: {{host: 127.0.0.1, tls: false}}
ledger: {folder}/ledger.sqlite
model: {folder}/head.json
"""

CONTRACT = {
    "name": "heads",
    "version": "1",
    "file": "head.tflite",
    "sha256": hashlib.sha256(b"a model").hexdigest(),
    "input": {"width": 320, "height": 240, "padding": 114},
    "stride": 8,
    "outputs": {
        name: {"index": index, "shape": [1, 30, 40, 2 if name == "offset" else 1]}
        for index, name in enumerate(("score", "size", "offset"))
    },
    "thresholds": {"strong": 0.5, "weak": 0.3},
}

Start = Callable[..., proc.Process]


@pytest.fixture(name="folder")
def _folder() -> Iterator[Path]:
    """Make a folder that other users may read, as pytest's own aren't."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "footfall.yaml").write_text(CONFIG.format(folder=folder))
        (folder / "head.json").write_text(json.dumps(CONTRACT))
        (folder / "head.tflite").write_bytes(b"a model")
        yield folder


@pytest.fixture(name="start")
def _start(folder: Path) -> Iterator[Start]:
    """Start something that the kernel knows as `footfall WORDS`, which does *body* and then waits."""
    started: list[subprocess.Popen[str]] = []

    if ROOT and WHY_NOT:
        pytest.skip(WHY_NOT)

    def start(words: Sequence[str], body: str, *, child: bool = False) -> proc.Process:
        program = folder / str(len(started)) / "footfall"
        program.parent.mkdir()
        program.write_text(STAND_IN.format(body=body))
        process = subprocess.Popen(
            [*BY_NOBODY, sys.executable, str(program), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "HOME": "/nonexistent"},
        )
        started.append(process)
        assert process.stdout is not None
        pid = int(process.stdout.readline()) if child else process.pid
        assert process.stdout.readline() == "up\n"
        return next(found for found in proc.running(words[0]) if found.pid == pid)

    yield start
    for process in started:
        process.communicate(timeout=300)


def judged(section: Section, *, good: bool) -> set[str]:
    """Return what was looked at and found *good*, or not."""
    return {finding.what for finding in section.findings if finding.good is good}


def looked_at(process: proc.Process) -> Section:
    """Return what is found of a process that sees."""
    return processes.vision(process, [])


def test_sealed(start: Start) -> None:
    """Of a sealed process the kernel says nothing bad."""
    section = looked_at(start(["vision", "door"], SEALING))

    assert judged(section, good=False) == set(), section
    assert judged(section, good=True) >= {
        filtered._WHAT,
        "can gain rights",
        "capabilities",
        "bytes it may write to any file",
        "sockets",
        "standard input, output and error",
        "pipes to write to",
    }


def test_unsealed(start: Start) -> None:
    """Of a process that was started with --unsealed the kernel says so, in each thing that it didn't give up."""
    section = looked_at(start(["vision", "door", "--unsealed"], ""))

    assert judged(section, good=False) >= {
        "sealed",
        filtered._WHAT,
        "can gain rights",
        "bytes it may write to any file",
        "standard input, output and error",
    }


def test_while_a_technician_looks(start: Start) -> None:
    """A process with a window, through which a technician sees silhouettes, is told of, sealed or not."""
    body = "from edge.vision.seal import Seal; window = os.pipe()[1]; Seal([]).close((up, window))"

    section = looked_at(start(["vision", "door", "--window=7"], body))

    assert judged(section, good=False) == {"window", "pipes to write to"}


@pytest.mark.skipif(not ROOT, reason="the kernel doesn't tell whether root's processes are dumpable")
def test_dumpable(start: Start) -> None:
    """Whether others of its user may look into a process is told from outside."""
    found = [start(["vision", "door"], body).dumpable for body in ("", SEALING)]

    assert found == [True, False]


def test_vision_with_open_descriptors(start: Start, folder: Path) -> None:
    """A process that sees and holds a network socket, or a file to write to, is told of."""
    log = folder / "pictures"
    log.touch()
    log.chmod(0o666)
    body = f"here = socket.create_server(('127.0.0.1', 0)); log = open('{log}', 'w')"

    section = looked_at(start(["vision", "door"], body))

    found = {finding.what: finding.found for finding in section.findings if finding.good is False}
    assert found["sockets"] == "tcp listening, unix" or found["sockets"] == "tcp listening"
    assert found["files open for writing"] == str(log)


def test_what_could_be_written_to(start: Start) -> None:
    """The kernel's own list of mounts tells which file systems a process could write to; sealed, it has none."""
    found = []
    for body in ("", SEALING):
        section = looked_at(start(["vision", "door"], body))
        found += [
            finding.found for finding in section.findings if finding.what == "file systems mounted to be written to"
        ]

    assert "/" in found[0].split(", ")
    assert found[1].startswith("none")


def test_publisher_that_listens(start: Start) -> None:
    """A process that talks and lets others connect is told of."""
    section = processes.publisher(start(["publisher"], "here = socket.create_server(('127.0.0.1', 0))"))

    assert "lets others connect" in judged(section, good=False)


def test_a_process_that_has_ended_meanwhile() -> None:
    """Between two looks a process may end; it has no parent then, no helper, and is nobody's child."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait(300)
    process = proc.Process(ended.pid, ["footfall", "publisher"])

    assert (process.parent, process.helper) == (None, None)
    assert ended.pid not in {child.pid for child in proc.Process(os.getpid(), []).children}


@pytest.mark.skipif(not ROOT, reason="needs root to make a device")
def test_cameras_are_known_by_their_number(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node through which pictures come is a camera whatever its name is, and /dev/null is none."""
    monkeypatch.setattr(box, "PROC", folder)
    (folder / "devices").write_text("Character devices:\n  1 mem\n 81 video4linux\n510 media\n\nBlock devices:\n")
    (folder / "dev" / "innocent").mkdir(parents=True)
    for name, major, minor in (("innocent/thing", 81, 0), ("other", 510, 1), ("video0", 1, 3)):
        os.mknod(folder / "dev" / name, 0o600 | stat.S_IFCHR, os.makedev(major, minor))

    assert sorted(box.cameras_beneath(folder / "dev")) == ["/dev/innocent/thing", "/dev/other"]


CHEATS = {
    "allow everything": """
        import pyseccomp
        from edge.sandbox import seccomp
        def nothing(*_, **__):
            for _ in range(30):
                pyseccomp.SyscallFilter(pyseccomp.ALLOW).load()
        seccomp.close = nothing
        from edge.sandbox.self_test import SelfTest
        SelfTest.run = lambda self, **_: (["x"] * 246, [])
        from edge.vision.seal import Seal
        Seal([]).close((up,))
    """,
    "a hole for one value": """
        import pyseccomp
        from edge.sandbox import seccomp
        real = seccomp._Filter.refuse_all
        def refuse_all(self, table):
            table = {reason: names.replace("socket socketpair", "socketpair") for reason, names in table.items()}
            real(self, table)
            self.refuse("socket", 0, 0xFFFFFFFF, 1)
            for family in (2, 10, 16, 17):
                self.refuse("socket", 0, 0xFFFFFFFF, family)
        seccomp._Filter.refuse_all = refuse_all
        seccomp.NEEDED["a hole"] = "socket"
        from edge.sandbox.self_test import SelfTest
        SelfTest.run = lambda self, **_: (["x"] * 246, [])
        from edge.vision.seal import Seal
        Seal([]).close((up,))
    """,
    "one thread without": """
        import threading
        from edge.sandbox import seccomp
        real = seccomp._Filter.__init__
        def without_others(self, *arguments, **options):
            real(self, *arguments, **options)
            self.built.set_attr(self._seccomp.Attr.CTL_TSYNC, 0)
        seccomp._Filter.__init__ = without_others
        from edge.vision.seal import Seal
        begun = Seal([])
        never = threading.Event()
        threading.Thread(target=never.wait, daemon=True).start()
        begun.close((up,))
    """,
}
"""Programs of a vendor who cheats: everything that a count of filters looks at is as it should be."""


@pytest.mark.skipif(not ROOT, reason="reading loaded filters needs root")
@pytest.mark.parametrize("cheat", CHEATS)
def test_a_vision_that_only_seems_sealed(start: Start, cheat: str) -> None:
    """Filters that allow what must be refused are found out, however many they are, by what they say."""
    section = looked_at(start(["vision", "door"], textwrap.dedent(CHEATS[cheat])))

    assert filtered._WHAT in judged(section, good=False), section


@pytest.mark.skipif(not ROOT, reason="reading loaded filters needs root")
def test_a_process_that_is_traced(start: Start) -> None:
    """Where somebody traces the process, its filters can't be read: the tracer is named, and counts against it."""
    process = start(["vision", "door"], SEALING)
    with subprocess.Popen(["strace", "-f", "-p", str(process.pid)], stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        assert "attached" in strace.stderr.readline()
        traced = looked_at(process)
        strace.terminate()
        strace.communicate()
    found = {finding.what: finding.found for finding in traced.findings if finding.good is False}

    assert [filtered._WHAT] == list(found), traced
    assert f"traced by process {strace.pid}, " in found[filtered._WHAT]
    assert judged(looked_at(process), good=False) == set()


@pytest.mark.skipif(not ROOT, reason="reading loaded filters needs root")
def test_a_publisher_without_a_sandbox(start: Start) -> None:
    """A publisher that hasn't confined itself is told of."""
    section = processes.publisher(start(["publisher"], ""))

    assert filtered._WHAT in judged(section, good=False)


@pytest.mark.skipif(not ROOT, reason="reading loaded filters needs root")
def test_the_readiness_helper(start: Start, folder: Path) -> None:
    """The helper that tells systemd is found beside the process that sees, which isn't mistaken for it, and judged."""
    body = f"""
        server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        server.bind("{folder}/notify-" + str(os.getpid()))
        os.environ["NOTIFY_SOCKET"] = server.getsockname()
        server.detach()
        from edge.sandbox.readiness import Readiness
        readiness = Readiness()
        os.write(up, str(os.getpid()).encode() + b"\\n")
        from edge.vision.seal import Seal
        for entry in os.listdir("/proc/self/fd"):
            try:
                if stat.S_ISSOCK(os.fstat(int(entry)).st_mode):
                    os.close(int(entry))
            except OSError:
                pass
        Seal([]).close((up, *readiness.descriptors))
    """
    folder.chmod(0o777)
    process = start(["vision", "door"], "import stat\n" + textwrap.dedent(body), child=True)

    section = looked_at(process)

    assert process.helper is not None
    assert judged(section, good=False) == set(), section
    assert judged(processes.readiness(process.helper), good=False) == set()


@pytest.mark.skipif(not ROOT, reason="needs root to make a device")
def test_somebody_else_with_a_camera(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds a camera is named, whatever the node and the program are called."""
    misc, fuse = 10, 229
    monkeypatch.setattr(box, "camera_majors", lambda: {misc})
    node = folder / "innocent"
    os.mknod(node, 0o600 | stat.S_IFCHR, os.makedev(misc, fuse))
    with node.open("rb") as camera:
        holder = subprocess.Popen(["sleep", "600"], stdin=camera)
    try:
        section = box.judge(set())
    finally:
        holder.kill()
        holder.wait()

    (found,) = (finding for finding in section.findings if finding.what == "of these, not ours")
    assert f"sleep (process {holder.pid}, user root)" in found.found
    assert found.good is False


def test_drop_ins(folder: Path) -> None:
    """A drop-in may name addresses and limits; one that brings a program, an environment or a folder is told of."""
    (folder / "good.conf").write_text("[Service]\nIPAddressAllow=192.0.2.10\n# ExecStart=no\n")
    (folder / "bad.conf").write_text("[Service]\nEnvironment=PYTHONPATH=/tmp\nBindPaths=/mnt\n")

    found = unit._foreign_settings([str(folder / "good.conf"), str(folder / "bad.conf"), str(folder / "gone.conf")])

    assert found[:2] == [f"Environment in {folder}/bad.conf", f"BindPaths in {folder}/bad.conf"]
    assert found[2].endswith("gone.conf can't be read (No such file or directory)")


@pytest.mark.parametrize(
    ("value", "harmless"),
    [
        ("/srv/clips", True),
        ("-/srv/clips /mnt/models:/usr/share/models", True),
        ("/run/user/1000", False),
        ("-/var/run/docker.sock", False),
        ("/", False),
        ("/srv/../run/dbus", False),
        ('"/dev/video0:/srv/clips"', False),
        ("+/tmp", False),
    ],
)
def test_a_folder_that_a_drop_in_shows(folder: Path, value: str, harmless: bool) -> None:
    """A drop-in may show clips to a service; not a folder in which sockets and devices of other programs are."""
    (folder / "paths.conf").write_text(f"[Service]\nBindReadOnlyPaths={value}\n")

    assert (unit._foreign_settings([str(folder / "paths.conf")]) == []) is harmless


def test_byte_code_that_is_another(tmp_path: Path) -> None:
    """Python runs the byte code beside a file and not the file: one that is of other code, or of no file, is found."""
    package = tmp_path / "package"
    package.mkdir()
    for name in ("good", "evil", "gone"):
        (package / f"{name}.py").write_text(f"def seal(): return {name!r}\n")
    made = {
        name: Path(str(py_compile.compile(str(package / f"{name}.py"), doraise=True)))
        for name in ("good", "evil", "gone")
    }
    header, code = made["evil"].read_bytes()[:16], made["good"].read_bytes()[16:]
    made["evil"].write_bytes(header + code)
    (package / "gone.py").unlink()
    (package / "__pycache__" / "other").write_bytes(b"data")

    found = {path.name for path in programs._foreign_byte_code(tmp_path)}

    assert found == {made["evil"].name, made["gone"].name, "other"}
    said = subprocess.run(
        [sys.executable, "-c", "from package import evil; print(evil.seal())"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "good\n", "the interpreter itself doesn't notice"


STARTER = """#!{folder}/bin/python
# -*- coding: utf-8 -*-
import re
import sys
from edge.__main__ import main
{more}if __name__ == '__main__':
    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])
    sys.exit(main())
"""


@pytest.mark.parametrize(
    ("more", "settings", "found"),
    [
        ("", "false", []),
        ("import edge.sandbox.seccomp; edge.sandbox.seccomp.close = print\n", "false", ["bin/footfall"]),
        ("", "true", ["pyvenv.cfg"]),
    ],
)
def test_a_starter_that_does_more(tmp_path: Path, more: str, settings: str, found: list[str]) -> None:
    """The program that the unit starts is pip's few lines, and its Python takes no packages from elsewhere."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/footfall").write_text(STARTER.format(folder=tmp_path, more=more))
    (tmp_path / "pyvenv.cfg").write_text(f"home = /usr/bin\ninclude-system-site-packages = {settings}\n")

    assert list(programs._foreign_starters(tmp_path)) == [str(tmp_path / name) for name in found]


def test_code_from_elsewhere(start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that is no part of the release or the system, and what brought it there, are told of a service."""
    foreign = folder / "libevil.so"
    shutil.copy(_sqlite3.__file__, foreign)
    process = start(["vision", "door"], f"import ctypes; here = ctypes.CDLL('{foreign}')")
    monkeypatch.setattr(proc.Process, "unit", "footfall-vision@door.service")
    section = Section("vision")

    processes._code(section, process)

    found = {finding.what: finding for finding in section.findings}
    assert str(foreign) in found["code from elsewhere than this release and the system"].found
    assert "PYTHONPATH" in found["environment beside what systemd sets"].found
    assert judged(section, good=True) == set()


def test_text_of_others_is_escaped() -> None:
    """Nothing that a process or the ledger says reaches a terminal as a command, nor hides or turns around text."""
    section = Section("vision \x1b[2J")
    section.tell("topic\n", "\x1b]0;title\x07 \u202egnp.exe \x9b31m" + "x" * 9000)

    (finding,) = section.findings
    assert "\x1b" not in finding.what + finding.found
    assert finding.found.startswith("\\x1b]0;title\\x07 \\u202egnp.exe \\x9b31m")
    assert len(finding.found) < 2100


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("/opt/footfall/current/bin/python /opt/footfall/current/bin/footfall vision door", True),
        ("/usr/bin/python3 -m edge vision door --config f", True),
        ("python3 -X dev -m edge vision door", True),
        ("/usr/bin/footfall vision door", True),
        ("sudo footfall vision door", False),
        ("python3 -m edge publisher", False),
        ("vi vision", False),
        ("python3 -m edge run --config vision", False),
        ("", False),
    ],
)
def test_whose_process(arguments: str, expected: bool) -> None:
    """A process of ours is known by its arguments, however Python was started for it."""
    assert proc._runs(arguments.split(), "vision") is expected


def hour(number: int, payload: bytes, delivered_ms: int | None) -> Row:
    """Return the row of an hour."""
    start_ms = number * 3_600_000
    return Row("door", Span(start_ms, start_ms + 3_600_000), 1, payload, start_ms + 3_600_000, delivered_ms)


def test_what_left(folder: Path) -> None:
    """What left in the last 24 hours is told by topic, in bytes, and the last message whole; what waits is counted."""
    now_ms = 100 * 3_600_000
    rows = [
        hour(1, b'{"long ago":1}', now_ms - 86_400_001),
        hour(80, b'{"in":1}', now_ms - 7_200_000),
        hour(98, '{"in":2,"zone":"Asia/\u4e0a\u6d77"}'.encode(), now_ms - 60_000),
        hour(99, b'{"in":3}', None),
    ]
    ledger = Ledger(folder / "ledger.sqlite", "boot", 0)
    with ledger.transaction():
        for row in rows:
            ledger.add(row)
    settings = schema.load(folder / "footfall.yaml").publisher()

    while_it_is_open = left.tell(settings, now_ms)
    ledger.close()

    found = {finding.what: finding.found for finding in while_it_is_open.findings}
    assert found["footfall/v1/sh-023/door/hour"] == f"2 messages, {8 + len(rows[2].payload)} bytes"
    assert found["waiting to be sent"] == "1 messages"
    assert found[""] == '{"in":2,"zone":"Asia/\u4e0a\u6d77"}'
    assert left.tell(settings, now_ms) == while_it_is_open


def test_no_ledger(folder: Path) -> None:
    """A ledger that isn't there is told of, and none is made."""
    section = left.tell(schema.load(folder / "footfall.yaml").publisher(), 0)

    assert "can't be read" in section.findings[0].found
    assert not (folder / "ledger.sqlite").exists()


def test_model(folder: Path) -> None:
    """Each of the model's outputs is named, and one that this program doesn't know speaks against it."""
    contract = json.loads(json.dumps(CONTRACT))
    contract["outputs"]["face"] = {"index": 3, "shape": [1, 512]}
    (folder / "head.json").write_text(json.dumps(contract))

    section = programs.model(schema.load(folder / "footfall.yaml").publisher())

    assert judged(section, good=True) == {"the file on the disk", "score", "size", "offset"}
    assert judged(section, good=False) == {"face"}


def test_another_model(folder: Path) -> None:
    """The model's file itself is looked at, and not what its contract says of it."""
    (folder / "head.tflite").write_bytes(b"another model")

    section = programs.model(schema.load(folder / "footfall.yaml").publisher())

    assert judged(section, good=False) == {"the file on the disk"}


def test_page() -> None:
    """The report is one page that loads nothing, escapes what it shows, and carries the verdict."""
    section = Section("vision <door>", [Finding("sockets", "tcp to 10.0.0.1 & more", good=False)])

    made = page(Examination("box", datetime(2026, 11, 24, tzinfo=UTC), [section]))

    assert "vision &lt;door&gt;" in made
    assert "NOT SHOWN that pictures can&#39;t leave: vision &lt;door&gt;: sockets: tcp to 10.0.0.1 &amp; more" in made
    assert [word for word in ("src=", "href=", "http:", "https:", "<script", "url(", "@import") if word in made] == []


ALONE = """
import subprocess, sys
from pathlib import Path
from edge.technician import privacy
from edge.technician.privacy import box
box._CRASHES = Path("/nonexistent")  # a setting of this machine
children = []
for number, words in enumerate(sys.argv[2:]):
    command = [*{prefix}, sys.executable, "{folder}/stand-in/footfall", *words.split()]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    children.append(child)
    child.stdout.readline()
code = privacy.run(Path("{folder}/footfall.yaml"), Path("{folder}/report.html"))
for child in children:
    child.communicate()
sys.exit(code)
"""


@pytest.mark.skipif(not ROOT or shutil.which("unshare") is None, reason="needs root for a process table of its own")
@pytest.mark.parametrize(
    ("words", "code", "verdict"),
    [
        (["vision door"], 0, "\x1b[1;32mPictures can't leave"),
        (["vision door", "vision back --unsealed"], 1, "\x1b[1;31mNOT SHOWN that pictures can't leave: vision back"),
        ([], 1, "\x1b[1;31mNOT SHOWN that pictures can't leave: vision: running: no process sees now"),
    ],
    ids=["sealed", "one of two isn't", "nothing runs"],
)
def test_whole(folder: Path, words: list[str], code: int, verdict: str) -> None:
    """On a terminal the verdict is green and 0 when all is sealed, red and 1 when a process isn't or none runs."""
    (folder / "stand-in").mkdir()
    body = "if '--unsealed' not in sys.argv:\n    from edge.vision.seal import Seal\n    Seal([]).close((up,))"
    (folder / "stand-in" / "footfall").write_text(STAND_IN.format(body=body))
    program = ALONE.format(folder=folder, prefix=BY_NOBODY)
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", program, "", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "400"},
    )

    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.splitlines()[-1].startswith(verdict)
    assert ("NOT SHOWN" in (folder / "report.html").read_text()) is bool(code)
