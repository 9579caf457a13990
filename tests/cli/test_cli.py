"""What a person sees of the commands: exit codes, one sentence and no traceback, and JSON that a program can read."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from edge import __version__
from edge.__main__ import COMMANDS, main
from edge.cli import program
from edge.cli.exit_codes import EXIT_CODES
from edge.core import head_model
from edge.technician import reference
from tests import piece
from tests.publisher.rig import free_port

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
CLIP = piece.CLIP
LINE = ("--line", "0.03,0.52,0.97,0.52", "--inside", "0.5,0.9")
HEAD = ("head.json", "head.tflite")


def footfall(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(
        [sys.executable, "-m", "edge", *map(str, arguments)], text=True, check=False, timeout=600, cwd=ROOT, **options
    )


Here = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(name="here")
def _here(capsys: pytest.CaptureFixture[str]) -> Here:
    """Return what runs one command in this process, where it neither seals itself nor needs descriptors of its own."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = list(map(str, arguments))
        capsys.readouterr()
        code = main(words)
        said = capsys.readouterr()
        return subprocess.CompletedProcess(words, code, said.out, said.err)

    return run


def sentence(said: subprocess.CompletedProcess[str], code: int) -> str:
    """Return what a command that failed with *code* said last: one sentence, and no traceback before it."""
    assert code == said.returncode, said.stderr
    assert "Traceback" not in said.stderr
    *_, last = said.stderr.splitlines()
    assert last.startswith("footfall: ")
    return last.removeprefix("footfall: ")


@pytest.fixture(name="write_config")
def _write_config(tmp_path: Path) -> Callable[..., Path]:
    """Write a config whose only camera plays the demo clip, with some top-level or camera settings changed."""

    def write(camera: dict[str, object] | None = None, **changes: object) -> Path:
        line = {end: list(point) for end, point in piece.LINE.items()}
        values = {
            "site": "sh-023",
            "timezone": "Asia/Shanghai",
            "cameras": {"door": {"source": str(CLIP), "lines": {"entrance": line}, **(camera or {})}},
            "broker": {"host": "127.0.0.1", "port": free_port()},
            "ledger": str(tmp_path / "ledger.sqlite"),
            "tally_dir": str(tmp_path),
            **changes,
        }
        path = tmp_path / "footfall.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path

    return write


WriteConfig = Callable[..., Path]


@pytest.fixture(name="head")
def _head(tmp_path: Path) -> Path:
    """Return the contract of a copy of the shipped head model, to be spoilt."""
    for name in HEAD:
        shutil.copy(head_model.shipped(name), tmp_path / name)
    return tmp_path / HEAD[0]


@pytest.fixture(name="diode")
def _diode() -> Iterator[tuple[int, int]]:
    """Make a pipe that stands for a diode: read end, write end."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


def vision(path: Path, diode: tuple[int, int], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run vision of the config's camera on *diode* to its end."""
    return footfall("vision", "door", "--config", path, f"--diode={diode[1]}", pass_fds=[diode[1]], **options)


# --- vision ----------------------------------------------------------------------------------------------------------


def test_no_camera(write_config: WriteConfig, diode: tuple[int, int]) -> None:
    """A camera that isn't there ends with 74 and the advice to plug it in."""
    said = vision(write_config({"source": "/dev/video99"}), diode)

    assert (
        "camera /dev/video99: there is no such device; plug the camera in, or name another `source`"
        == sentence(said, 74)
    )  # fmt: skip


def test_something_that_is_no_camera(write_config: WriteConfig, diode: tuple[int, int]) -> None:
    """A device that gives no pictures ends with 74, and the library's own warning isn't shown."""
    said = vision(write_config({"source": "/dev/null"}), diode)

    assert sentence(said, 74).startswith("camera /dev/null: it can't be opened; another program may hold it")
    assert "VIDEOIO" not in said.stderr


def test_no_clip(write_config: WriteConfig, diode: tuple[int, int]) -> None:
    """A clip that isn't there ends with 74 and a sentence; one that is none too, but a sealed process has no log."""
    missing = vision(write_config({"source": "/nonexistent.mp4"}), diode)
    wrong = vision(write_config({"source": __file__}), diode)

    assert "there is no such clip" in sentence(missing, 74)
    assert 74 == wrong.returncode
    assert "from here on it has no log" in wrong.stderr.splitlines()[-1]


def rpicam(folder: Path, script: str) -> dict[str, str]:
    """Put a program called rpicam-vid on the PATH that does what *script* says."""
    program = folder / "rpicam-vid"
    program.write_text(f"#!{sys.executable}\n{script}")
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def test_an_unplugged_camera(write_config: WriteConfig, diode: tuple[int, int], tmp_path: Path) -> None:
    """A Raspberry Pi camera that stops giving pictures ends with 74, a last reading, and a sentence for systemd."""
    environment = rpicam(tmp_path, "import sys\nsys.stdout.buffer.write(bytes(range(256)) * 4 * 45 * 3)")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        environment["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        said = vision(write_config({"source": "csi:0", "size": [320, 240]}), diode, env=environment)
        systemd.setblocking(False)
        told = []
        with contextlib.suppress(BlockingIOError):
            while True:
                told.append(systemd.recv(4096).decode())

    assert 74 == said.returncode
    assert "Traceback" not in said.stderr
    assert "STATUS=the camera or clip can't be opened, or it stopped; type: sudo footfall check" in told
    assert os.read(diode[0], 4096)


def test_a_camera_without_its_program(write_config: WriteConfig, diode: tuple[int, int], tmp_path: Path) -> None:
    """Without rpicam-vid the sentence says what to install."""
    said = vision(write_config({"source": "csi:0"}), diode, env={**os.environ, "PATH": str(tmp_path)})

    assert "camera csi:0: rpicam-vid isn't installed; run: sudo apt install rpicam-apps" == sentence(said, 74)


def _truncate(head: Path) -> None:
    os.truncate(head.with_suffix(".tflite"), 1000)


def _alter(head: Path) -> None:
    path = head.with_suffix(".tflite")
    altered = bytearray(path.read_bytes())
    altered[len(altered) // 2] ^= 1
    path.write_bytes(altered)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda head: head.unlink(), "head.json is not there; install the package again or set `model:`"),
        (lambda head: head.with_suffix(".tflite").unlink(), "head.tflite is not there; install the package again"),
        (_truncate, "head.tflite: its sha256 should be"),
        (_alter, "head.tflite: its sha256 should be"),
        (lambda head: head.write_text("{}"), "contract should be a JSON object as the training code writes it"),
        (lambda head: head.write_text("no JSON"), "contract should be a JSON object as the training code writes it"),
        (lambda head: head.write_bytes(b"\xff"), "contract should be a JSON object as the training code writes it"),
    ],
    ids=["no contract", "no model", "truncated", "altered", "empty contract", "no JSON", "no text"],
)
def test_a_model_that_can_not_be_used(
    write_config: WriteConfig,
    diode: tuple[int, int],
    here: Here,
    head: Path,
    spoil: Callable[[Path], object],
    message: str,
) -> None:
    """Missing, truncated or changed: 78, since starting again can't help, in vision, in count, and in the publisher."""
    spoil(head)
    path = write_config(model=str(head))

    assert message in sentence(vision(path, diode), 78)
    assert message in sentence(here("count", CLIP, *LINE, "--model", head), 78)
    if "tflite" not in message:
        assert message in sentence(footfall("publisher", "--config", path), 78)


def test_no_diode(write_config: WriteConfig) -> None:
    """Vision without a pipe ends with 76 and says how to get one."""
    said = footfall("vision", "door", "--config", write_config())

    assert "No such file or directory; start the publisher first, or enable footfall-diode@.socket" in (
        sentence(said, 76)
    )


def test_nobody_at_the_diodes_other_end(write_config: WriteConfig, tmp_path: Path) -> None:
    """A FIFO that nobody holds isn't one to count into."""
    os.mkfifo(tmp_path / "door.tally")
    said = footfall("vision", "door", "--config", write_config())

    assert "No such device or address; start the publisher first" in sentence(said, 76)


def test_a_camera_that_the_config_does_not_have(write_config: WriteConfig, here: Here) -> None:
    """It is told which ones it has."""
    said = here("vision", "window", "--config", write_config())

    assert 'no camera is called "window"; the config has: door' == sentence(said, 78)


# --- config ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("vision", "door"), ("publisher",), ("run",), ("privacy",)])
def test_a_config_that_can_not_be_read(command: Sequence[str], tmp_path: Path, here: Here) -> None:
    """Each command that reads the config ends with 78 and one sentence if it can't."""
    said = here(*command, "--config", tmp_path / "nowhere.yaml")

    assert f"{tmp_path}/nowhere.yaml: can't be read: No such file or directory; give another with --config" == (
        sentence(said, 78)
    )
    assert 1 == len(said.stderr.splitlines())


def test_a_config_with_faults(write_config: WriteConfig, here: Here) -> None:
    """Each fault is a line of its own."""
    path = write_config({"fps": 900}, site="NO")
    said = here("run", "--config", path)

    assert 78 == said.returncode
    assert [
        f"footfall: {path}:6: cameras.door.fps: must be at most 60, but is 900",
        f"footfall: {path}:20: site: is no name; use lower-case letters, digits and dashes, at most 32, as in no",
    ] == said.stderr.splitlines()


def test_a_config_that_is_no_yaml(tmp_path: Path, here: Here) -> None:
    """The sentence is followed by the line and a caret below the place."""
    path = tmp_path / "footfall.yaml"
    path.write_text("site: @x\n")
    said = here("config", "--cameras", "--config", path)

    assert 78 == said.returncode
    assert [
        f"footfall: {path}:1: this isn't YAML: a value can't begin with @; put the value in quotes",
        "  1 | site: @x",
        "    |       ^",
    ] == said.stderr.splitlines()


# --- publisher -------------------------------------------------------------------------------------------------------


def publisher(path: Path, **options: Any) -> subprocess.Popen[str]:
    """Start a publisher."""
    return subprocess.Popen(
        [sys.executable, "-m", "edge", "publisher", "--config", str(path)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        **options,
    )


def test_no_broker(write_config: WriteConfig) -> None:
    """A broker that can't be reached is one line in the log; the publisher stays, and stops when asked to, with 0."""
    with publisher(write_config()) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        line = next(line for line in lines if "can't be reached" in line)
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()

    assert "broker 127.0.0.1:" in line
    assert 0 == process.returncode
    assert "Traceback" not in rest
    assert "can't be reached" not in rest


def test_a_ledger_that_another_publisher_holds(write_config: WriteConfig) -> None:
    """The second one ends with 74 and says why; the first goes on."""
    path = write_config()
    with publisher(path) as process:
        assert process.stderr is not None
        next(line for line in iter(process.stderr.readline, "") if "go into" in line)
        said = footfall("publisher", "--config", path)
        alive = process.poll() is None
        process.terminate()
        process.stderr.read()

    assert sentence(said, 74).endswith("another publisher is running on it; stop that one first")
    assert alive


def test_a_place_where_no_ledger_can_be(write_config: WriteConfig, tmp_path: Path) -> None:
    """A file where a folder should be ends with 74 and the advice to look at the disk."""
    (tmp_path / "file").write_text("")
    said = footfall("publisher", "--config", write_config(ledger=str(tmp_path / "file" / "ledger.sqlite")))

    assert sentence(said, 74).endswith("look at the disk's room and at the folder's owner")


@pytest.fixture(name="tiny_disk")
def _tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tiny", folder], check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(write_config: WriteConfig, tiny_disk: Path) -> None:
    """Where there is no room for a ledger at all, the publisher says so and waits for room, until it is stopped."""
    with contextlib.suppress(OSError):
        (tiny_disk / "filling").write_bytes(bytes(65536))
    config = write_config(ledger=str(tiny_disk / "ledger.sqlite"))
    command = [sys.executable, "-m", "edge", "publisher", "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as publisher:
        assert publisher.stderr is not None
        full = next((line for line in publisher.stderr if "the disk is full" in line), "")
        publisher.terminate()
        publisher.communicate(timeout=600)

    assert f"ledger {tiny_disk}/ledger.sqlite: " in full
    assert 0 == publisher.returncode


def test_a_file_where_the_diode_should_be(write_config: WriteConfig, tmp_path: Path) -> None:
    """A publisher doesn't read what is no FIFO."""
    (tmp_path / "door.tally").write_text("")
    said = footfall("publisher", "--config", write_config())

    assert "something that is no FIFO stands there" in sentence(said, 76)


def test_a_descriptor_that_is_no_pipe(write_config: WriteConfig) -> None:
    """A descriptor that is closed, or no pipe, is no diode either."""
    path = write_config()
    closed = footfall("publisher", "--config", path, "--diode=door=99")
    with Path(os.devnull).open("rb") as null:
        wrong = footfall("publisher", "--config", path, f"--diode=door={null.fileno()}", pass_fds=[null.fileno()])

    assert "descriptor 99 is no pipe: Bad file descriptor" in sentence(closed, 76)
    assert "is no pipe: Bad file descriptor" in sentence(wrong, 76)


def test_a_password_that_can_not_be_read(write_config: WriteConfig, tmp_path: Path) -> None:
    """A password file that isn't there ends with 78 before anything else is done."""
    broker = {"host": "127.0.0.1", "username": "x", "password_file": str(tmp_path / "nowhere")}
    said = footfall("publisher", "--config", write_config(broker=broker))

    assert (
        f"password file {tmp_path}/nowhere: No such file or directory; write the password into that file"
        == sentence(said, 78)
    )


# --- run -------------------------------------------------------------------------------------------------------------


def test_a_trial_ends_as_the_process_that_failed(write_config: WriteConfig) -> None:
    """`footfall run` of a camera that isn't there stops the publisher and ends with vision's code and sentence."""
    said = footfall("run", "--config", write_config({"source": "/dev/video99"}))

    assert 74 == said.returncode
    assert "footfall: camera /dev/video99: there is no such device" in said.stderr
    assert "Traceback" not in said.stderr


# --- the command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "a command is needed, as in: footfall check"),
        (["nonsense"], 'there is no command "nonsense"; `footfall --help` explains it'),
        (["chek"], 'there is no command "chek"; did you mean check?'),
        (["measur"], 'there is no command "measur"; `footfall --help` explains it'),
        (["help", "exit-code"], 'there is no command "exit-code"; did you mean exit-codes?'),
        (["run", "--trail-speed", "9"], "there is no option --trail-speed; did you mean --trial-speed?"),
        (["status", "--nonsense"], "there is no option --nonsense; `footfall status --help` explains it"),
        (["setup"], "CAMERA is needed; `footfall setup --help` explains it"),
        (["broker", "d"], "--host is needed; `footfall broker --help` explains it"),
        (["status", "door"], "Got unexpected extra argument (door); `footfall status --help` explains it"),
        (["count", "c.mp4", "--line", "1,2"], "--line: 4 numbers are needed, divided by commas, not '1,2'"),
        (["count", "c.mp4", "--line", "a,b,c,d"], "--line: 4 numbers are needed, divided by commas, not"),
        (["count", "c.mp4", "--fps", "0"], "--fps: a number from 1 to 60 is needed, not '0'"),
        (["count", "c.mp4", "--fps", "nan"], "--fps: a number from 1 to 60 is needed, not 'nan'"),
        (["run", "--trial-speed", "0"], "--trial-speed: a number from 0.01 to 10000 is needed, not '0'"),
        (["publisher", "--diode", "x"], "--diode: CAMERA=FD is needed, as in door=3, not 'x'"),
        (["vision", "door", "--trial-clock", "x"], "--trial-clock: a trial clock is SPEED:BOOT_MS:WALL_MS"),
        (["counts", "--from", "yesterday"], "--from: a day is needed, as in 2026-11-24, not 'yesterday'"),
        (["report", "--days", "0"], "--days: 1 to 366 days are needed, not '0'"),
        (["collect", "--name", "a b"], "--name: a name has 1 to 32 letters, digits, dashes, not 'a b'"),
        (["watch", "--protocol", "4"], "--protocol: '4' is not one of '5', '3.1.1'"),
        (["demo", "--port", "x"], "--port: 'x' is not a valid integer"),
        (["counts", "--csv", "--json"], "--csv and --json can't be used together"),
        (["config"], "say what to show: --cameras, --example, --schema or --reference"),
    ],
    ids=lambda part: " ".join(part) or "nothing" if isinstance(part, list) else "",
)
def test_a_mistyped_command_line(here: Here, arguments: list[str], message: str) -> None:
    """What can't be understood ends with 2, says what was wrong, and what was probably meant."""
    said = here(*arguments)

    assert sentence(said, 2).startswith(message)
    assert "" == said.stdout


def test_the_version_is_told(here: Here) -> None:
    """`footfall --version` names the program as each hour's message does."""
    assert f"footfall-edge {__version__}\n" == here("--version").stdout


def test_the_commands_are_listed_by_who_needs_them(here: Here) -> None:
    """The help has each command under its heading; what other commands start isn't there."""
    shown = here("--help").stdout

    for heading, commands in COMMANDS.items():
        for name in commands:
            assert bool(heading) == bool(re.search(rf"^  {name}  +[A-Z]", shown, re.MULTILINE)), name


@pytest.mark.parametrize("name", [name for commands in COMMANDS.values() for name in commands])
def test_each_command_explains_itself(here: Here, name: str) -> None:
    """The help says what for, with an example that the command accepts and its exit codes; `help` shows the same."""
    shown = here(name, "--help").stdout
    examples = re.findall(rf"^  (?:sudo )?footfall ({name}\b.*)$", shown, re.MULTILINE)
    command = program.LazyGroup(COMMANDS).get_command(click.Context(click.Command("footfall")), name)

    assert shown == here("help", name).stdout
    assert re.search(r"^Usage: footfall .*\n\n  [A-Z]", shown)
    assert examples or name == "demo"
    for code in (0, 2, 130):
        assert re.search(rf"^  {code} +[a-z]", shown, re.MULTILINE)
    assert command is not None
    for example in examples:
        words = shlex.split(example.partition(" > ")[0])
        command.make_context(name, words[1:], resilient_parsing=False)


def test_the_exit_codes_are_explained(here: Here) -> None:
    """`footfall help exit-codes` has each of them."""
    shown = here("help", "exit-codes").stdout

    assert {str(code) for code in EXIT_CODES} == set(re.findall(r"^(\d+) ", shown, re.MULTILINE))


def test_the_settings_are_explained(here: Here) -> None:
    """`footfall help settings` has every key that the config may hold."""
    shown = here("help", "settings").stdout.splitlines()

    assert {key.key for key in reference.every_key()} <= set(shown)


def test_the_shipped_manual_is_the_programs_own(here: Here) -> None:
    """What deploy.sh installs for man is what `footfall help man` writes; man reads it without a complaint."""
    manual = (ROOT / "deploy/man/footfall.1").read_text(encoding="utf-8")

    assert manual == here("help", "man").stdout
    for name in (name for heading, section in COMMANDS.items() if heading for name in section):
        assert re.search(
            rf"^\.SS footfall {re.escape(name).replace('-', '-')}\b", manual.replace("\\-", "-"), re.MULTILINE
        )
    if shutil.which("groff") is None:
        pytest.skip("NO GROFF: whether man can read the manual is NOT tested")
    shown = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww", "-P-c"], input=manual, capture_output=True, text=True, check=True
    )

    assert "" == shown.stderr
    assert "footfall send-test" in shown.stdout


def test_the_shipped_completion_is_the_librarys() -> None:
    """What deploy.sh installs for bash is what the program writes itself."""
    said = footfall(env={**os.environ, "_FOOTFALL_COMPLETE": "bash_source"})

    assert (ROOT / "deploy/completion/footfall.bash").read_text(encoding="utf-8") == said.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("footfall che", ["check"]),
        ("footfall mea", []),
        ("footfall counts --fr", ["--from"]),
        ("footfall setup --config {config} ", ["door"]),
        ("footfall bench --config {config} --camera d", ["door"]),
        ("footfall bench --config /nonexistent --camera d", []),
        ("footfall help exit", ["exit-codes"]),
    ],
)
def test_what_a_shell_completes(write_config: WriteConfig, typed: str, offered: list[str]) -> None:
    """The tab key offers commands, options, and the names of the config's cameras."""
    words = typed.format(config=write_config())
    said = footfall(
        env={
            **os.environ,
            "_FOOTFALL_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }
    )

    assert [f"plain,{word}" for word in offered] == said.stdout.split()


# --- count -----------------------------------------------------------------------------------------------------------


@pytest.fixture(name="clip", scope="module")
def _clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return piece.write(tmp_path_factory.mktemp("clip"))


@pytest.fixture(name="expected", scope="module")
def _expected(clip: Path) -> list[dict[str, object]]:
    """Return the piece's crossings as the same pipeline finds them in this process, as JSON objects."""
    return [
        {"t": round(crossing.t_ms / 1000, 3), "line": crossing.line, "dir": crossing.direction}
        for step in piece.crossings(clip)
        for crossing in step
    ]


def check_json(out: str, expected: list[dict[str, object]]) -> None:
    """Hold a command's standard output against the contract: one object a crossing, and at last one summary."""
    *crossings, last = [json.loads(line) for line in out.splitlines()]
    summary = last["summary"]
    directions = [crossing["dir"] for crossing in crossings]

    assert expected == crossings
    assert {"summary"} == set(last)
    assert {"in": int, "out": int, "frames": int, "seconds": float, "fps": float, "missing": int} == {
        key: type(value) for key, value in summary.items()
    }
    assert (directions.count("in"), directions.count("out"), piece.FRAMES) == (
        summary["in"],
        summary["out"],
        summary["frames"],
    )
    assert summary["fps"] == pytest.approx(summary["frames"] / summary["seconds"], rel=0.01, abs=0.06)


def test_count_as_json(clip: Path, expected: list[dict[str, object]], here: Here) -> None:
    """Standard output holds the crossings and the summary and nothing else; without a terminal there is no progress."""
    said = here("count", clip, *LINE, "--json")

    assert 0 == said.returncode
    check_json(said.stdout, expected)
    assert "%" not in said.stderr


def test_count_explains(clip: Path, expected: list[dict[str, object]], here: Here) -> None:
    """With --explain each crossing has its place and what was believed, as integers, and so has what is not counted."""
    said = here("count", clip, *LINE, "--json", "--explain")
    *events, _ = map(json.loads, said.stdout.splitlines())
    counted = [event for event in events if not {"refused", "nearly"} & set(event)]

    assert [(event["line"], event["dir"]) for event in counted] == [(e["line"], e["dir"]) for e in expected]
    for event in events:
        assert set(event["beliefs"]) == {"confidence", "score", "unseen", "depth", "apart"}
        assert all(isinstance(value, int) for value in [event["x"], event["y"], *event["beliefs"].values()])


def test_progress_is_drawn_on_the_terminal_only(clip: Path, expected: list[dict[str, object]]) -> None:
    """With a terminal for errors the bar is drawn there, and standard output stays clean JSON."""
    screen, terminal = pty.openpty()
    drawn = bytearray()
    with subprocess.Popen(
        [sys.executable, "-m", "edge", "count", str(clip), *LINE, "--json"],
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
    ) as process:
        os.close(terminal)
        with contextlib.suppress(OSError):  # the terminal's other end is closed when the process ends
            while part := os.read(screen, 4096):
                drawn += part
        assert process.stdout is not None
        out = process.stdout.read()
    os.close(screen)

    assert 0 == process.returncode
    check_json(out, expected)
    assert b"piece.mp4" in drawn
    assert b"100%" in drawn


def test_count_with_a_configs_lines(
    write_config: WriteConfig, clip: Path, expected: list[dict[str, object]], here: Here
) -> None:
    """`--config F --camera C` takes the lines, and their names, from the config."""
    said = here("count", clip, "--config", write_config(), "--camera", "door", "--json")
    events = [json.loads(line) for line in said.stdout.splitlines()][:-1]

    assert 0 == said.returncode
    assert [{**event, "line": "entrance"} for event in expected] == events


def test_count_for_a_person(clip: Path, expected: list[dict[str, object]], here: Here) -> None:
    """Without --json there is a line for each crossing, and a sentence."""
    said = here("count", clip, *LINE)
    *lines, summary = said.stdout.splitlines()

    assert len(expected) == len(lines)
    assert f"; {piece.FRAMES} frames in " in summary


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["/nonexistent.mp4", *LINE], 74, "camera /nonexistent.mp4: there is no such clip"),
        ([__file__, *LINE], 74, "it isn't a clip that can be decoded"),
        ([CLIP], 78, "say where the line is: --line x1,y1,x2,y2 --inside x,y, or --config F --camera C"),
        ([CLIP, *LINE[:2]], 78, "--line: inside: must be two numbers, as in [0.5, 0.9], but is []"),
        ([CLIP, "--line", "0.1,0.5,0.9,0.5", "--inside", "0.5,0.5"], 78, "`inside` lies on the line"),
        (
            [CLIP, "--line", "0.1,0.5,1.9,0.5", "--inside", "0.5,0.9"],
            78,
            "--line: to.0: must be a share of the picture's width",
        ),
    ],
)
def test_what_can_not_be_counted(arguments: list[object], code: int, message: str, here: Here) -> None:
    """A clip that is none and a line that can't be: one sentence, and nothing on standard output."""
    said = here("count", *arguments, "--json")

    assert message in sentence(said, code)
    assert "" == said.stdout


def test_an_output_that_is_full(clip: Path) -> None:
    """Counts that can't be written are an error, with a sentence."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        said = footfall("count", clip, *LINE, "--json", stdout=full)

    assert "[Errno 28] No space left on device" == sentence(said, 74)


def test_a_reader_that_has_heard_enough(clip: Path) -> None:
    """`footfall count ... | head -0` is no error."""
    reader, writer = os.pipe()
    os.close(reader)
    said = footfall("count", clip, *LINE, "--json", stdout=writer)
    os.close(writer)

    assert 0 == said.returncode
    assert "Broken" not in said.stderr
