"""Each command line that a page shows is one that its program takes."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import edge
from edge.__main__ import COMMANDS

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "data-protection").glob("*.md")),
]
SYSTEMS = {
    "apt-get", "bash", "cat", "cd", "chmod", "command", "cp", "export", "git", "grep", "kill", "mosquitto",
    "mosquitto_sub",
    "mv", "rm", "runuser", "sh", "systemctl", "tar", "test",
}  # fmt: skip
"""Programs of the system, whose options aren't tested here."""


def without_documents(block: str) -> str:
    """Return *block* without the lines of here-documents."""
    return re.sub(r"<<'(\w+)'\n.*?\n\1$", "", block, flags=re.DOTALL | re.MULTILINE)


def commands_in(block: str) -> list[list[str]]:
    """Return the words of each simple command in a block of shell."""
    found = []
    for line in without_documents(block).replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split, lexer.commenters = True, "#"
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set(";&|"):
                found += [words] if words else []
                words = []
            else:
                words.append(word)
    return [bare for words in found if (bare := without_wrappers(words))]


def without_wrappers(words: list[str]) -> list[str]:
    """Return a command without `sudo`, `timeout`, settings of variables and redirections."""
    while words and (words[0] == "sudo" or "=" in words[0]):
        words = words[1:]
    if words[:1] == ["timeout"]:
        words = words[2:]
    return words[: next((at for at, word in enumerate(words) if set(word) & set("<>") and len(word) < 3), len(words))]


def blocks_of(page: Path) -> list[str]:
    """Return the blocks of shell that a page shows."""
    return re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


SHOWN = [
    pytest.param(words, id=f"{page.name}: {' '.join(words)}"[:120])
    for page in PAGES
    for block in blocks_of(page)
    for words in commands_in(block)
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_are_shell(page: Path) -> None:
    """Each block can be read by bash, so that it can be copied as a whole."""
    for block in blocks_of(page):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_left_for_the_reader_to_guess(page: Path) -> None:
    """No block holds three dots in place of what must be typed."""
    assert [] == [block for block in blocks_of(page) if "..." in without_documents(block) or "…" in block]


@pytest.mark.parametrize("words", SHOWN)
def test_shown_commands_are_understood(words: list[str], tmp_path: Path) -> None:
    """Each is understood by the program that it names, with its options."""
    match words[0]:
        case "./deploy.sh":
            _deploy_understands(words[1:], tmp_path)
        case _ if words[0].endswith("/deploy.sh"):
            assert words[0] == f"footfall-{edge.__version__}/deploy.sh"
            _deploy_understands([word for word in words[1:] if word != "--local"] + ["box1"], tmp_path)
        case "footfall":
            _footfall_understands(words[1:])
        case "pip":
            _pip_understands(words[1:])
        case "tests/run.sh" | "tests/bare_root.sh" | "deploy/lock.sh" | "deploy/site.sh":
            assert os.access(ROOT / words[0], os.X_OK)
        case "python" | "python3":
            _python_understands(words[1:])
        case _ if words[0].startswith(".venv"):
            assert words[0].split("/")[1] == "bin"
        case program:
            assert program in SYSTEMS, f"this test doesn't know {program}"


def _deploy_understands(words: list[str], folder: Path) -> None:
    """Assert that deploy.sh takes these words: no host can be reached here, and what would be built is left out."""
    made = ("boxes.txt", "sites.yaml", "headquarters.yaml", "smtp.password", "hq.tar")
    for name in ("footfall.yaml", "box1.yaml", "mqtt.password", "box1.password", "ca.pem", *made):
        (folder / name).write_text("anything")
    (folder / "configs").mkdir()
    for host in ("one", "two"):
        (folder / "configs" / f"{host}.yaml").write_text("anything")
    for name in ("shops.txt", "new.txt"):
        (folder / name).write_text("one\ntwo\n")
    (folder / "ssh").write_text("#!/bin/sh\nexit 255\n")
    (folder / "ssh").chmod(0o755)
    stub = "build_wheel() { exit 0; }; make_venv() { exit 0; }; need_libseccomp() { :; }"
    said = subprocess.run(
        ["bash", "-c", f'source "$1"; {stub}; main "${{@:2}}"', "bash", ROOT / "deploy.sh", *words],
        check=False, capture_output=True, text=True, timeout=300, cwd=folder,
        env={**os.environ, "FOOTFALL_SSH": str(folder / "ssh"), "HOME": str(folder)},
    )  # fmt: skip
    unreachable = 5

    assert said.returncode == (unreachable if words[0] in ("install", "update", "status", "headquarters") else 0), (
        said.stderr
    )


def _footfall_understands(words: list[str]) -> None:
    """Assert that footfall has this command with these options."""
    if words == ["--version"]:
        return
    command, *rest = words

    assert command in {name for section in COMMANDS.values() for name in section}
    assert [] == [word for word in rest if word.startswith("--") and word not in help_of(command)]


def _pip_understands(words: list[str]) -> None:
    """Assert that what is installed is this package, with extras that it has."""
    named = [word for word in words if "[" in word]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]

    assert "install" == words[0]
    for name in named:
        assert set(name.rstrip("]").split("[")[1].split(",")) <= set(extras)


def _python_understands(words: list[str]) -> None:
    """Assert that the module that is run is there."""
    if words[0] == "-m" and words[1].startswith(("tests", "models", "edge")):
        assert importlib.util.find_spec(words[1]) is not None


@functools.cache
def help_of(command: str) -> str:
    """Return what `footfall COMMAND --help` prints."""
    return subprocess.run(
        [sys.executable, "-m", "edge", command, "--help"], check=True, capture_output=True, text=True, timeout=300
    ).stdout
