"""deploy.sh: what it says to a person who mistypes, and that it builds nothing twice."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "deploy.sh"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False, timeout=300)


def in_shell(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run *code* in a bash that has deploy.sh's functions."""
    return subprocess.run(
        ["bash", "-c", f'source "$1"\nshift\n{code}', "bash", str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("word", ["help", "--help", "-h"])
def test_help_names_the_commands(word: str) -> None:
    """Asking for help shows each command on standard output and succeeds."""
    said = run(word)

    assert said.returncode == 0
    assert "  demo " in said.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonsense"], "there is no command nonsense"),
        (["demo", "--spede", "60"], "demo knows no --spede"),
        (["demo", "--speed"], "--speed needs a value"),
        (["demo", "--broker", "rabbit"], "--broker is mosquitto or amqtt, not rabbit"),
        (["install"], "install needs a host, --hosts FILE or --local"),
        (["install", "box", "--purge"], "install knows no --purge"),
        (["update", "box", "--config", "x"], "update knows no --config"),
        (["install", "box", "--config", "/nowhere/%h.yaml"], "/nowhere/box.yaml can't be read; it is for box"),
        (
            ["status", "ssh://pi@box:2222"],
            "ssh://pi@box:2222 is no host as ssh knows it: [user@]name; a port belongs into ~/.ssh/config",
        ),
        (["status", "--hosts", "/nowhere"], "--hosts: /nowhere can't be read"),
        (["bundle", "--four", "x"], "bundle knows no --four"),
        (["headquarters"], "headquarters needs a host or --local"),
        (["headquarters", "hq", "--nmae", "x"], "headquarters knows no --nmae"),
        (["headquarters", "hq", "other"], "headquarters is one server"),
        (["headquarters", "hq", "--sites", "/nowhere"], "/nowhere can't be read"),
        (["headquarters", "hq", "--backup", "a", "--restore", "/dev/null"], "--backup goes alone"),
        (["program", "--global"], "program knows no --global"),
    ],
)
def test_a_mistyped_command_line(arguments: list[str], complaint: str) -> None:
    """What can't be understood ends with code 2, and the last line says what it was."""
    said = run(*arguments)

    assert said.returncode == 2
    assert said.stderr.splitlines()[-1] == complaint


def test_a_python_that_does_not_fit(tmp_path: Path) -> None:
    """A Python that is too old isn't taken, even if it was asked for."""
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    said = in_shell('find_python "$1"', str(old))

    assert said.returncode == 1
    assert said.stderr == f"{old} is no Python 3.11 to 3.13\n"


def test_a_python_that_fits_is_found() -> None:
    """The Python that runs these tests is one that fits."""
    said = in_shell('find_python "$1"', sys.executable)

    assert said.stdout == f"{sys.executable}\n"


def test_who_may_not_install_is_told_what_to_type() -> None:
    """Where packages are missing and the user isn't root, the line to type is shown and nothing is tried."""
    said = in_shell("apt-get() { exit 9; }\nmay_be_root() { false; }\napt_install python3-venv")

    assert said.returncode == 1
    assert "  sudo apt-get update && sudo apt-get install -y --no-install-recommends python3-venv\n" in said.stderr


def test_an_environment_is_not_built_twice(tmp_path: Path) -> None:
    """An environment whose stamp matches pins, extras and Python is left as it is, without asking pip."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    python = venv / "bin" / "python"
    python.write_text("#!/bin/sh\nexit 0\n")
    python.chmod(0o755)
    (venv / "footfall-stamp").write_text(in_shell('make_stamp "$1" dependencies', sys.executable).stdout)
    said = in_shell('make_venv "$1" "$2" dependencies', str(venv), sys.executable)

    assert (said.returncode, said.stderr) == (0, "")


PROGRAM = """
make_venv() {
    mkdir -p "$1/bin"
    printf '#!/bin/sh\\necho footfall-edge 9.9\\n' >"$1/bin/footfall"
    chmod +x "$1/bin/footfall"
    echo "make_venv ${*:3}" >&2
}
need_libseccomp() { :; }
ROOT_OF_THE_TEST="$1"
eval "$(declare -f program | sed 's|\\$ROOT/.venv-program|$ROOT_OF_THE_TEST/venv|')"
program
"""
"""`./deploy.sh program` with an environment that is made up, in a folder of the test's."""


def test_the_program_comes_onto_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link in the user's own folder, completion and manual beside it; who must change PATH is told how."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    first = in_shell(PROGRAM, str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}/home/.local/bin:{os.environ['PATH']}")
    second = in_shell(PROGRAM, str(tmp_path))
    share = tmp_path / "home" / ".local" / "share"

    assert (0, 0) == (first.returncode, second.returncode), first.stderr + second.stderr
    assert "make_venv dependencies deploy headquarters" in first.stderr
    assert f"{tmp_path}/home/.local/bin/footfall is footfall-edge 9.9" in first.stderr + first.stdout
    assert 'export PATH="$HOME/.local/bin:$PATH"' in first.stderr + first.stdout
    assert "export PATH" not in second.stderr + second.stdout
    assert (share / "bash-completion/completions/footfall").resolve() == ROOT / "deploy/completion/footfall.bash"
    assert (share / "man/man1/footfall.1").resolve() == ROOT / "deploy/man/footfall.1"


def test_a_program_of_somebody_elses_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of that name that isn't a link of ours is left alone."""
    monkeypatch.setenv("HOME", str(tmp_path))
    there = tmp_path / ".local" / "bin" / "footfall"
    there.parent.mkdir(parents=True)
    there.write_text("mine")
    said = in_shell(PROGRAM, str(tmp_path))

    assert 1 == said.returncode
    assert "is there already and isn't a link of ours" in said.stderr
    assert "mine" == there.read_text()


def test_what_was_started_is_ended(tmp_path: Path) -> None:
    """Leaving by an error ends the children, removes the temporary files and keeps the exit code."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    said = in_shell(
        'trap clean_up EXIT\nSCRATCH="$1"\ntail -f /dev/null >/dev/null 2>&1 &\nCHILDREN+=("$!")\necho "$!"\nexit 76',
        str(scratch),
    )

    assert said.returncode == 76
    assert not scratch.exists()
    assert not Path("/proc", said.stdout.strip()).exists()


def read_terminal(screen: int) -> bytes:
    """Return all that was written to a terminal whose last writer has gone; a single read may give only a part."""
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(screen, 4096)
        except OSError:  # the kernel's end of a terminal (EIO)
            part = b""
        if not part:
            return b"".join(parts)
        parts.append(part)


def test_long_work_is_one_moving_line_on_a_terminal() -> None:
    """What pip says moves by in one line, which is empty in the end; without a terminal nothing is said."""
    screen, terminal = pty.openpty()
    code = "printf 'Collecting numpy\\nDownloading\\n' | show_moving"
    subprocess.run(
        ["bash", "-c", f'source "$1"\n{code}', "bash", str(SCRIPT)], stderr=terminal, check=True, timeout=300
    )
    os.close(terminal)
    shown = read_terminal(screen).decode()
    os.close(screen)

    assert ["", "\033[K   Collecting numpy", "\033[K   Downloading", "\033[K"] == shown.split("\r")
    assert "" == in_shell(code).stderr


def test_what_pip_says_is_told_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that can't be installed ends with what pip said, and leaves no environment that seems whole."""
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\ncase "$1 $2" in\n'
        '"-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;\n'
        '"- "*) exec "$PYTHON" "$@" ;;\n'
        '"-m pip") echo "ERROR: no such package" >&2 && exit 1 ;;\nesac\n'
    )
    python.chmod(0o755)
    monkeypatch.setenv("PYTHON", sys.executable)
    said = in_shell('make_venv "$1" "$2" demo', str(tmp_path / "venv"), str(python))

    assert 1 == said.returncode
    assert ["ERROR: no such package", "pip could not install the packages; what it said stands above"] == (
        said.stderr.splitlines()[-2:]
    )
    assert not (tmp_path / "venv" / "footfall-stamp").exists()


def test_a_file_that_the_lock_does_not_name(tmp_path: Path) -> None:
    """What was fetched is held against the lock's digests before anything of it is installed."""
    (tmp_path / "rich-15.0.0-py3-none-any.whl").write_bytes(b"not what the lock names")
    said = in_shell('check_digests "$1"', str(tmp_path))

    assert 1 == said.returncode
    assert said.stderr.startswith("rich-15.0.0-py3-none-any.whl is not the file that constraints.lock names")


def test_nothing_is_fetched_but_by_the_lock() -> None:
    """Only files whose digests were checked are installed: pip asks an index in one place, for wheels."""
    lines = [line for line in Path(ROOT, "deploy", "python.sh").read_text().splitlines() if 'run_pip "$venv"' in line]

    assert 3 == len(lines)
    assert ["--only-binary=:all:", "--no-index", "--no-index"] == [line.split()[3] for line in lines]
