"""What it takes to log in: password files as editors leave them, and TLS files that can't be used."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edge.config.broker import Broker, Tls
from edge.config.credentials import context, read_password
from edge.core.errors import TlsFileError


def broker_with(path: Path) -> Broker:
    """Return a broker whose password stands in the file at *path*."""
    return Broker.model_validate({"host": "127.0.0.1", "username": "u", "password_file": path})


@pytest.mark.parametrize(
    ("written", "password"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b"secret\r", "secret"),
        (b"secret\r\n\r\n", "secret"),
        (b"\xef\xbb\xbfsecret\r\n", "secret"),
        (b" s p \n", " s p "),
        (b"\xef\xbb\xbfgr\xc3\xbc\xc3\x9fe", "gr\u00fc\u00dfe"),
    ],
)
def test_what_editors_leave_is_no_part_of_the_password(tmp_path: Path, written: bytes, password: str) -> None:
    """A byte order mark and line ends go; blanks stay, since they may be meant."""
    path = tmp_path / "password"
    path.write_bytes(written)
    path.chmod(0o600)

    assert password == read_password(broker_with(path))


@pytest.fixture(name="pki", scope="module")
def _pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a box's certificate, its key with and without a pass phrase, and the key of another."""
    folder = tmp_path_factory.mktemp("pki")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    for name in ("box", "other"):
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"]
        openssl("req", "-x509", *key, "-out", f"{name}.pem", "-subj", f"/CN={name}", "-days", "2")
    openssl("pkey", "-in", "box.key", "-aes256", "-passout", "pass:hush", "-out", "locked.key")
    (folder / "empty").write_text("")
    return folder


def tls(folder: Path, **files: str) -> Tls:
    """Return the section with these *files* of *folder*."""
    return Tls.model_validate({key: folder / name for key, name in files.items()})


def test_a_boxs_own_certificate(pki: Path) -> None:
    """A certificate and its key are loaded."""
    assert context(tls(pki, ca_file="box.pem", cert_file="box.pem", key_file="box.key"))


@pytest.mark.parametrize(
    ("files", "problem", "advice"),
    [
        (
            {"cert_file": "box.pem", "key_file": "locked.key"},
            "broker.tls.key_file {0}/locked.key: it has a pass phrase, which nobody can type on a box",
            "write it without: openssl pkey -in {0}/locked.key -out {0}/locked.bare.key",
        ),
        (
            {"cert_file": "box.pem", "key_file": "other.key"},
            "broker.tls.key_file {0}/other.key: it isn't the key of the certificate {0}/box.pem",
            "name the key that the certificate was made for",
        ),
        (
            {"cert_file": "box.key", "key_file": "box.key"},
            "broker.tls.cert_file {0}/box.key: it holds no certificate",
            "name a file in PEM form: text that begins with -----BEGIN",
        ),
        (
            {"cert_file": "box.pem", "key_file": "empty"},
            "broker.tls.key_file {0}/empty: it holds no key that can be read",
            "name a file in PEM form: text that begins with -----BEGIN",
        ),
        (
            {"ca_file": "empty"},
            "broker.tls.ca_file {0}/empty: it holds no certificate",
            "name a file in PEM form: text that begins with -----BEGIN",
        ),
    ],
    ids=["pass phrase", "another's key", "no certificate", "no key", "no authority"],
)
def test_files_that_hold_something_else(pki: Path, files: dict[str, str], problem: str, advice: str) -> None:
    """Each is named by its setting; nobody is asked for a pass phrase, though there were a terminal to ask on."""
    with pytest.raises(TlsFileError) as refusal:
        context(tls(pki, **files))

    assert (problem.format(pki), advice.format(pki)) == (refusal.value.problem, refusal.value.advice)
    assert 78 == refusal.value.exit_code


def test_a_file_that_is_not_there_is_named(pki: Path) -> None:
    """The library wouldn't say which."""
    with pytest.raises(FileNotFoundError) as missing:
        context(tls(pki, ca_file="nowhere.pem"))

    assert str(pki / "nowhere.pem") == missing.value.filename
