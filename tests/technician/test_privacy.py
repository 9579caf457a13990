"""`footfall privacy` tells what the kernel says, good or bad."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.config import schema
from edge.publisher.hours import Span
from edge.publisher.ledger.ledger import Ledger, Row
from edge.technician import privacy, proc
from edge.technician.privacy import Examination, Finding, Section

pytestmark = [pytest.mark.processes, pytest.mark.host]

ROOT = os.geteuid() == 0
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if ROOT else ()
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
    "sha256": "0" * 64,
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
        yield folder


@pytest.fixture(name="start")
def _start(folder: Path) -> Iterator[Start]:
    """Start something that the kernel knows as `footfall WORDS`, which does *body* and then waits."""
    started: list[subprocess.Popen[str]] = []

    def start(words: Sequence[str], body: str) -> proc.Process:
        program = folder / str(len(started)) / "footfall"
        program.parent.mkdir()
        program.write_text(STAND_IN.format(body=body))
        process = subprocess.Popen(
            [*AS_NOBODY, sys.executable, str(program), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "HOME": "/nonexistent"},
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        return next(found for found in proc.running(words[0]) if found.pid == process.pid)

    yield start
    for process in started:
        process.communicate(timeout=300)


def judged(section: Section, *, good: bool) -> set[str]:
    """Return what was looked at and found *good*, or not."""
    return {finding.what for finding in section.findings if finding.good is good}


def test_sealed(start: Start) -> None:
    """Of a sealed process the kernel says nothing bad."""
    section = privacy._vision(start(["vision", "door"], SEALING))

    assert judged(section, good=False) == set(), section
    assert judged(section, good=True) >= {
        "system calls filtered (seccomp)",
        "can gain rights",
        "capabilities",
        "bytes it may write to any file",
        "sockets",
        "standard input, output and error",
        "pipes to write to",
    }


def test_unsealed(start: Start) -> None:
    """Of a process that was started with --unsealed the kernel says so, in each thing that it didn't give up."""
    section = privacy._vision(start(["vision", "door", "--unsealed"], ""))

    assert judged(section, good=False) >= {
        "sealed",
        "system calls filtered (seccomp)",
        "can gain rights",
        "bytes it may write to any file",
        "standard input, output and error",
    }


def test_while_a_technician_looks(start: Start) -> None:
    """A process with a window, through which a technician sees silhouettes, is told of, sealed or not."""
    body = "from edge.vision.seal import Seal; window = os.pipe()[1]; Seal([]).close((up, window))"

    section = privacy._vision(start(["vision", "door", "--window=7"], body))

    assert judged(section, good=False) == {"window", "pipes to write to"}


@pytest.mark.skipif(not ROOT, reason="the kernel doesn't tell whether root's processes are dumpable")
def test_dumpable(start: Start) -> None:
    """Whether others of its user may look into a process is told from outside."""
    found = [start(["vision", "door"], body).dumpable for body in ("", SEALING)]

    assert found == [True, False]


def test_vision_with_luggage(start: Start, folder: Path) -> None:
    """A process that sees and holds a network socket, or a file to write to, is told of."""
    log = folder / "pictures"
    log.touch()
    log.chmod(0o666)
    body = f"here = socket.create_server(('127.0.0.1', 0)); log = open('{log}', 'w')"

    section = privacy._vision(start(["vision", "door"], body))

    found = {finding.what: finding.found for finding in section.findings if finding.good is False}
    assert found["sockets"] == "tcp listening"
    assert found["files open for writing"] == str(log)


def test_what_could_be_written_to(start: Start) -> None:
    """The kernel's own list of mounts tells which file systems a process could write to; sealed, it has none."""
    found = []
    for body in ("", SEALING):
        section = privacy._vision(start(["vision", "door"], body))
        found += [
            finding.found for finding in section.findings if finding.what == "file systems mounted to be written to"
        ]

    assert "/" in found[0].split(", ")
    assert found[1] == "none"


def test_publisher_that_listens(start: Start) -> None:
    """A process that talks and lets others connect is told of."""
    section = privacy._publisher(start(["publisher"], "here = socket.create_server(('127.0.0.1', 0))"))

    assert judged(section, good=False) == {"lets others connect"}


def test_publisher_with_a_camera() -> None:
    """Any device through which a picture could come is known as a camera."""
    devices = ["/dev/video0", "/dev/media1", "/dev/v4l-subdev0", "/dev/dma_heap/linux,cma", "/dev/null", "/dev/urandom"]

    assert [bool(privacy._CAMERA.match(device)) for device in devices] == [True] * 4 + [False] * 2


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

    while_it_is_open = privacy._left(settings, now_ms)
    ledger.close()

    found = {finding.what: finding.found for finding in while_it_is_open.findings}
    assert found["footfall/v1/sh-023/door/hour"] == f"2 messages, {8 + len(rows[2].payload)} bytes"
    assert found["waiting to be sent"] == "1 messages"
    assert found[""] == '{"in":2,"zone":"Asia/\u4e0a\u6d77"}'
    assert privacy._left(settings, now_ms) == while_it_is_open


def test_no_ledger(folder: Path) -> None:
    """A ledger that isn't there is told of, and none is made."""
    section = privacy._left(schema.load(folder / "footfall.yaml").publisher(), 0)

    assert "can't be read" in section.findings[0].found
    assert not (folder / "ledger.sqlite").exists()


def test_model(folder: Path) -> None:
    """Each of the model's outputs is named, and one that this program doesn't know speaks against it."""
    contract = json.loads(json.dumps(CONTRACT))
    contract["outputs"]["face"] = {"index": 3, "shape": [1, 512]}
    (folder / "head.json").write_text(json.dumps(contract))

    section = privacy._model(schema.load(folder / "footfall.yaml").publisher())

    assert judged(section, good=True) == {"score", "size", "offset"}
    assert judged(section, good=False) == {"face"}


def test_page() -> None:
    """The report is one page that loads nothing, escapes what it shows, and carries the verdict."""
    section = Section("vision <door>", [Finding("sockets", "tcp to 10.0.0.1 & more", good=False)])

    page = privacy.page(Examination("box", datetime(2026, 11, 24, tzinfo=UTC), [section]))

    assert "vision &lt;door&gt;" in page
    assert "NOT SHOWN that pictures can&#39;t leave: vision &lt;door&gt;: sockets: tcp to 10.0.0.1 &amp; more" in page
    assert [word for word in ("src=", "href=", "http:", "https:", "<script", "url(", "@import") if word in page] == []


ALONE = """
import subprocess, sys
from pathlib import Path
from edge.technician import privacy
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
    program = ALONE.format(folder=folder, prefix=AS_NOBODY)
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
