"""What it takes to log in at a broker: the password from its file, and TLS. Connects to nothing."""

from __future__ import annotations

import os
import ssl
import stat
from pathlib import Path

from edge.config.schema import Broker, Tls
from edge.core.errors import PasswordFileError


def read_password(broker: Broker) -> str | None:
    """
    Return the broker's password; None if it needs none. Systemd's credential `mqtt.password` goes before the file.

    Raises:
        PasswordFileError: the file can't be read, is empty, or can be read by everybody.
    """
    if broker.password_file is None:
        return None
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"), "mqtt.password")
    path = credential if credential.exists() else broker.password_file
    try:
        with path.open(encoding="utf-8", newline="") as file:
            mode = os.fstat(file.fileno()).st_mode
            password = file.read(65_536).removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as exc:
        raise PasswordFileError(path, "it isn't UTF-8 text") from exc
    except OSError as exc:
        raise PasswordFileError(path, exc.strerror or str(exc)) from exc
    if path != credential and mode & stat.S_IRWXO:
        raise PasswordFileError(path, f"others may read it; type: chmod o= {path}")
    if not password:
        raise PasswordFileError(path, "it is empty")
    return password


def context(tls: Tls) -> ssl.SSLContext:
    """
    Return what a TLS connection is made with; 1.2 is the oldest version spoken, and the broker's name is checked.

    Raises:
        OSError: a file can't be read; names it. ssl.SSLError, one of these too: it holds something else.
    """
    # The library doesn't say which file it couldn't open.
    for path in (tls.ca_file, tls.cert_file, tls.key_file):
        if path is not None:
            path.open("rb").close()
    made = ssl.create_default_context(cafile=tls.ca_file)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.cert_file is not None:
        made.load_cert_chain(tls.cert_file, tls.key_file)
    return made
