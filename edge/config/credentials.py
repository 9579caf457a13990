"""What it takes to log in at a broker: the password from its file, and TLS. Connects to nothing."""

from __future__ import annotations

import os
import ssl
import stat
from pathlib import Path

from edge.config.broker import Broker, Tls
from edge.core.errors import PasswordFileError, TlsFileError

_LONGEST = 65_536
"""Characters of a password that are read; MQTT allows no more bytes."""
_NEED_PEM = "name a file in PEM form: text that begins with -----BEGIN"
_MARK_OF_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


def read_password(broker: Broker) -> str | None:
    """
    Return the broker's password; None if it needs none. Systemd's credential `mqtt.password` goes before the file.

    A byte order mark and the ends of lines, which editors leave in the file, are no part of it; blanks are.

    Raises:
        PasswordFileError: the file can't be read, is empty, or can be read by everybody.
    """
    return None if broker.password_file is None else read_secret(broker.password_file, "mqtt.password")


def read_secret(file_of_secret: Path, name: str) -> str:
    """
    Return the password or token that stands alone in a file. Systemd's credential *name* goes before the file.

    Raises:
        PasswordFileError: the file can't be read, is empty, or can be read by everybody.
    """
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"), name)
    path = credential if credential.exists() else file_of_secret
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            mode = os.fstat(file.fileno()).st_mode
            password = file.read(_LONGEST).rstrip("\r\n")
    except UnicodeDecodeError as exc:
        raise PasswordFileError(path, "it isn't UTF-8 text", "write the password alone into that file") from exc
    except OSError as exc:
        advice = "run this with sudo" if isinstance(exc, PermissionError) else "write the password into that file"
        raise PasswordFileError(path, exc.strerror or str(exc), advice) from exc
    if path != credential and mode & stat.S_IRWXO:
        raise PasswordFileError(path, "others may read it", f"type: chmod o= {path}")
    if not password:
        raise PasswordFileError(path, "it is empty", "write the password into that file")
    return password


def context(tls: Tls) -> ssl.SSLContext:
    """
    Return what a TLS connection is made with; 1.2 is the oldest version spoken, and the broker's name is checked.

    Nobody is ever asked for a pass phrase: a box has no keyboard.

    Raises:
        TlsFileError: a file holds something else than what it must, or the key has a pass phrase.
        OSError: a file can't be read; names it.
    """
    # The library doesn't say which file it couldn't open.
    for path in (tls.ca_file, tls.cert_file, tls.key_file):
        if path is not None:
            path.open("rb").close()
    try:
        made = ssl.create_default_context(cafile=tls.ca_file)
    except ssl.SSLError as exc:
        assert tls.ca_file is not None  # noqa: S101 - nothing else is loaded
        raise TlsFileError("tls.ca_file", tls.ca_file, "it holds no certificate", _NEED_PEM) from exc
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python 3.13 asks for extensions that private authorities often lack, such as one that was made as mosquitto's
    # manual says. A certificate that one box trusts is trusted by all, whatever their Debian.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if tls.cert_file is not None and tls.key_file is not None:
        _load_own(made, tls.cert_file, tls.key_file)
    return made


class _PassPhraseAsked(Exception):
    """The key can be read with a pass phrase only."""


def _load_own(made: ssl.SSLContext, cert_file: Path, key_file: Path) -> None:
    """Load this box's certificate and key into *made*; raises TlsFileError."""

    def refuse() -> str:
        raise _PassPhraseAsked

    try:
        made.load_cert_chain(cert_file, key_file, password=refuse)
    except _PassPhraseAsked as exc:
        bare = f"openssl pkey -in {key_file} -out {key_file.with_suffix('.bare.key')}"
        raise TlsFileError(
            "tls.key_file",
            key_file,
            "it has a pass phrase, which nobody can type on a box",
            f"write it without: {bare}",
        ) from exc
    except ssl.SSLError as exc:
        if exc.reason == "KEY_VALUES_MISMATCH":
            cause = f"it isn't the key of the certificate {cert_file}"
            raise TlsFileError(
                "tls.key_file", key_file, cause, "name the key that the certificate was made for"
            ) from exc
        if _MARK_OF_CERTIFICATE not in cert_file.read_bytes():
            raise TlsFileError("tls.cert_file", cert_file, "it holds no certificate", _NEED_PEM) from exc
        raise TlsFileError("tls.key_file", key_file, "it holds no key that can be read", _NEED_PEM) from exc
