"""Many hosts: one goes first, eight at a time follow, the worst decides. ssh here does what its host's name says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parent.parent
SSH = """#!/bin/bash
# A host that is called bad3-x ends what it is asked for with 3; dead ones can't be reached.
while [[ "$1" == -o ]]; do shift 2; done
host="$1"
if [[ "$host" == dead* ]]; then echo "ssh: connect to host $host port 22: No route to host" >&2; exit 255; fi
if [[ "$2" == *probe* ]]; then cat >/dev/null; echo "target aarch64-cp311"; echo "current 0.1.0-aaaaaaaa"; exit 0; fi
echo "begin $host" >>"$JOURNAL"
if [[ "$host" == slow* ]]; then
    for ((i = 0; i < 200; i++)); do
        [[ "$(grep -c ^begin "$JOURNAL")" -ge "$TOGETHER" ]] && break
        sleep 0.05
    done
fi
echo "end $host" >>"$JOURNAL"
echo "last words of $host" >&2
code="${host#bad}"
[[ "$host" == bad* ]] && exit "${code%%-*}"
exit 0
"""


@pytest.fixture
def ssh(tmp_path: Path) -> Path:
    """Give an ssh of our own."""
    program = tmp_path / "ssh"
    program.write_text(SSH)
    program.chmod(0o755)
    return program


def rollback(ssh: Path, *arguments: str, together: int = 0) -> subprocess.CompletedProcess[str]:
    """Let deploy.sh roll hosts back."""
    return subprocess.run(
        [ROOT / "deploy.sh", "rollback", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "FOOTFALL_SSH": str(ssh), "JOURNAL": str(ssh.parent / "journal"), "TOGETHER": str(together)},
    )


def journal(ssh: Path) -> list[str]:
    return (ssh.parent / "journal").read_text().splitlines()


def column(said: subprocess.CompletedProcess[str], host: str) -> str:
    """Return a host's line of the table."""
    return next(line for line in said.stdout.splitlines() if line.startswith(host + " "))


def test_a_fleet_that_comes_through(ssh: Path) -> None:
    """Every host is in the table with its last words, and the exit code is 0."""
    said = rollback(ssh, "one", "two", "three")

    assert 0 == said.returncode, said.stderr
    for host in ("one", "two", "three"):
        assert " ok " in column(said, host)
        assert f"last words of {host}" in column(said, host)


def test_the_first_goes_alone(ssh: Path) -> None:
    """The canary is through before anybody else begins."""
    rollback(ssh, "one", "two", "three")

    assert ["begin one", "end one"] == journal(ssh)[:2]


def test_a_canary_that_does_not_sing_saves_the_others(ssh: Path) -> None:
    """When the first is rolled back, nothing is done to the others, and its own story is told."""
    said = rollback(ssh, "bad3-first", "two", "three")

    assert 3 == said.returncode
    assert ["begin bad3-first", "end bad3-first"] == journal(ssh)
    assert "rolled back" in column(said, "bad3-first")
    assert "not tried" in column(said, "two")
    assert "last words of bad3-first" in said.stderr


def test_a_host_that_is_away_stops_nobody(ssh: Path) -> None:
    """An unreachable host is no canary, the others are done, and the exit code tells of it."""
    said = rollback(ssh, "dead-1", "one", "two", "dead-2")

    assert 5 == said.returncode
    assert "unreachable" in column(said, "dead-1")
    assert "No route to host" in column(said, "dead-2")
    assert " ok " in column(said, "two")
    assert "begin one" == journal(ssh)[0]


def test_the_worst_decides(ssh: Path) -> None:
    """Of 0, 1, 3, 5 and 6 the exit code is 6: a box that doesn't count is worse than one that can't be reached."""
    said = rollback(ssh, "one", "bad1-x", "bad3-x", "bad6-x", "dead-1")

    assert 6 == said.returncode
    assert "NOT COUNTING" in column(said, "bad6-x")
    assert "not changed" in column(said, "bad1-x")


def test_eight_at_a_time(ssh: Path) -> None:
    """After the canary eight hosts are worked on together, and never nine."""
    rollback(ssh, "one", *(f"slow-{n}" for n in range(12)), together=9)
    working = most = 0
    for word, _ in (line.split() for line in journal(ssh)[2:]):
        working += 1 if word == "begin" else -1
        most = max(most, working)

    assert 8 == most


def test_hosts_from_a_file(ssh: Path, tmp_path: Path) -> None:
    """A host a line; blank lines and what follows # are nothing."""
    hosts = tmp_path / "hosts"
    hosts.write_text("# shops\none  # by the station\n\n  two\n")
    said = rollback(ssh, "--hosts", str(hosts))

    assert 0 == said.returncode, said.stderr
    assert ["one", "two"] == [line.split()[0] for line in said.stdout.splitlines()[1:]]


def test_a_host_that_is_named_twice(ssh: Path, tmp_path: Path) -> None:
    """It is visited once."""
    hosts = tmp_path / "hosts"
    hosts.write_text("two\r\none\r\n")
    rollback(ssh, "one", "--hosts", str(hosts))

    assert ["begin one", "end one", "begin two", "end two"] == journal(ssh)


def test_a_code_that_means_nothing_here(ssh: Path) -> None:
    """What some program on the box ended with is told as 1: the table of exit codes holds."""
    assert 1 == rollback(ssh, "bad127-x").returncode


def test_a_single_host_that_is_away(ssh: Path) -> None:
    """Without a table: ssh's own words, and exit code 5."""
    said = rollback(ssh, "dead-1")

    assert 5 == said.returncode
    assert "No route to host" in said.stderr
