"""`footfall support`: what a bundle holds, and that nothing secret and no picture is in it."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest

from edge.technician import support
from edge.technician.support import Redaction
from tests.technician.rig import footfall, here, write_config

WORD = "correct-horse-battery-staple"
MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF", b"\x00\x00\x00\x18ftyp", b"SQLite format 3")
"""How pictures, clips and a ledger begin."""


def contents(bundle: Path) -> dict[str, bytes]:
    """Return what the archive holds, by name without its folder."""
    found = {}
    with tarfile.open(bundle) as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is not None
            assert member.isfile()
            assert not member.name.startswith(("/", ".."))
            found[member.name.partition("/")[2]] = file.read()
    return found


@pytest.mark.processes
def test_a_bundle(tmp_path: Path) -> None:
    """Real `check`, `status` and the rest on a real config: every part is there, and the password is nowhere."""
    password = tmp_path / "mqtt.password"
    password.write_text(f"{WORD}\n")
    password.chmod(0o600)
    config = write_config(tmp_path, broker=f", username: sh-023, password_file: {password}")
    with config.open("a") as file:
        file.write(f"# the old password was {WORD}\n")
    bundle = tmp_path / "support.tar.gz"
    run = footfall("support", bundle, "--config", config)
    parts = contents(bundle)

    assert 0 == run.returncode, run.stderr
    assert 0o600 == bundle.stat().st_mode & 0o777
    assert {
        "README.txt", "versions.txt", "footfall.yaml", "check.json", "status.txt", "hours.csv", "privacy.txt",
        "units.txt", "unit-files.txt", "journal.txt", "clock.txt", "network.txt", "disk.txt", "cameras.txt",
    } <= set(parts)  # fmt: skip
    assert b'"what": "broker TCP"' in parts["check.json"]
    assert b"footfall-edge" in parts["versions.txt"]
    assert b"password_file:" in parts["footfall.yaml"]
    assert b"the old password was <removed>" in parts["footfall.yaml"]
    for name, data in parts.items():
        assert WORD.encode() not in data, name
        assert not data.startswith(MAGIC), name
        assert data.decode("utf-8").isprintable() or not re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", data), name


@pytest.mark.processes
def test_a_config_with_faults_is_what_help_is_asked_for(tmp_path: Path) -> None:
    """A password in the wrong place is taken out of the config and out of every sentence about it."""
    config = write_config(tmp_path, broker=f", username: u, password: {WORD}")
    bundle = tmp_path / "support.tar.gz"
    run = footfall("support", bundle, "--config", config)
    parts = contents(bundle)

    assert 0 == run.returncode, run.stderr
    assert b"username: u, password: <removed>" in parts["footfall.yaml"]
    assert b"is not a setting" in parts["check.json"]
    assert all(WORD.encode() not in data for data in parts.values())


def test_a_bundle_is_not_written_over_anything(tmp_path: Path) -> None:
    """A file that is there stays; a folder that isn't is told in a sentence."""
    (tmp_path / "there.tar.gz").write_text("mine")
    there = here("support", tmp_path / "there.tar.gz", "--config", tmp_path / "none.yaml")
    nowhere = here("support", tmp_path / "no" / "x.tar.gz", "--config", tmp_path / "none.yaml")

    assert (74, 74) == (there.returncode, nowhere.returncode)
    assert "mine" == (tmp_path / "there.tar.gz").read_text()
    assert f"{tmp_path}/there.tar.gz: File exists; name a new file in a folder that you may write to" in there.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  password: hunter22", "  password: <removed>"),
        ("broker: {host: h, password: 'a, b', port: 1}", "broker: {host: h, password: <removed>, port: 1}"),
        ("MQTT_PASSWORD=hunter22", "MQTT_PASSWORD= <removed>"),
        ('"api_token": "x"', '"api_token": <removed>'),
        ("  password_file: /etc/footfall/mqtt.password", "  password_file: /etc/footfall/mqtt.password"),
        ("{username: u, password_file: pw, tls: true}", "{username: u, password_file: pw, tls: true}"),
        ("host: mqtts://user:hunter22@mqtt.example.com", "host: mqtts://<removed>@mqtt.example.com"),
        ("a\n-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nb", "a\n<removed>\nb"),
        ("-----BEGIN EC PRIVATE KEY-----\nMIIE", "<removed>"),
        ("broker login: the password is in that file", "broker login: the password is in that file"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, expected: str) -> None:
    """By its key, its place in an address, its form; sentences about passwords stay readable."""
    assert expected == Redaction().clean(text)


def test_what_is_known_to_be_secret_is_taken_out_everywhere(tmp_path: Path) -> None:
    """The password's own text, whatever stands around it in its file; one of a letter would be everywhere."""
    (tmp_path / "long").write_bytes(f"\ufeff {WORD} \r\n".encode())
    (tmp_path / "short").write_text("a\n")
    redaction = Redaction()
    for name in ("long", "short", "missing"):
        redaction.learn(tmp_path / name)

    assert f"x{support.REMOVED}y a" == redaction.clean(f"x{WORD}y a")
