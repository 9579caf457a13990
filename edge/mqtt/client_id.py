"""
Client ids that nobody else can guess.

Whoever connects under a client id takes that id's session, whatever account they log in with: a broker's rules are
about topics. So an id ends in what is derived from the account's own secret.
"""

from __future__ import annotations

import hashlib

from edge.config.credentials import read_password
from edge.config.schema import Broker

_ROUNDS = 1_000
"""Rounds of PBKDF2: 0.3 ms, ten times what mosquitto's own password file has. Ids stand in brokers' logs."""
_BYTES = 12


def secret_of(broker: Broker) -> bytes | None:
    """
    Return what only the owner of this account knows: its password, or else its private key; None if it has neither.

    Raises:
        PasswordFileError, OSError: the file can't be read.
    """
    password = read_password(broker)
    if password is not None:
        return password.encode()
    if broker.tls is not None and broker.tls.key_file is not None:
        return broker.tls.key_file.read_bytes()
    return None


def client_id(name: str, secret: bytes | None) -> str:
    """Return *name* and 24 hexadecimal digits that only follow from *secret*; *name* alone where there is no secret."""
    if secret is None:
        return name
    digest = hashlib.pbkdf2_hmac("sha256", secret, b"footfall client id\0" + name.encode(), _ROUNDS, _BYTES)
    return f"{name}-{digest.hex()}"
