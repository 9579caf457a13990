"""Client ids that only the owner of an account can know."""

from __future__ import annotations

import re
from pathlib import Path

from edge.config.schema import Broker
from edge.mqtt.client import Session
from edge.mqtt.client_id import client_id, secret_of


def broker(**settings: object) -> Broker:
    return Broker.model_validate({"host": "127.0.0.1", **settings})


def test_an_id_follows_from_name_and_secret() -> None:
    """Always the same for the same account, another for another secret or name, and the secret isn't in it."""
    ours = client_id("footfall-sh-023-door-a", b"secret")

    assert re.fullmatch(r"footfall-sh-023-door-a-[0-9a-f]{24}", ours)
    assert ours == client_id("footfall-sh-023-door-a", b"secret")
    others = {client_id("footfall-sh-023-door-b", b"secret"), client_id("footfall-sh-023-door-a", b"Secret")}
    assert 3 == len({ours, *others})
    assert 3 == len({name.rsplit("-", 1)[1] for name in (ours, *others)})
    assert "secret" not in ours


def test_the_id_of_a_release_doesnt_change() -> None:
    """A collector's session at the broker is found again by it, so this value must stay."""
    assert "footfall-collect-1-dfb75a71f0f6e9645c7164a1" == client_id("footfall-collect-1", b"a password")


def test_the_secret_is_the_password_or_else_the_key(tmp_path: Path) -> None:
    """Whoever logs in with a certificate only has a secret, too; whoever has none keeps the plain name."""
    password, key = tmp_path / "password", tmp_path / "box.key"
    password.write_text("word\n")
    key.write_text("a private key")
    for path in (password, key):
        path.chmod(0o600)
    tls = {"cert_file": tmp_path / "box.pem", "key_file": key}
    plain = broker(tls=False)

    assert b"word" == secret_of(broker(username="u", password_file=password, tls=tls))
    assert b"a private key" == secret_of(broker(tls=tls))
    assert secret_of(plain) is None
    assert "footfall-x" == Session("footfall-x").client_id(plain)
    assert "exact" == Session("exact", exact=True).client_id(broker(username="u", password_file=password))
