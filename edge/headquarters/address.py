"""What a person writes on the command line: where the broker is, and where the store."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edge.config.schema import Broker
from edge.core.errors import ConfigError
from edge.headquarters.store.reader import Reader
from edge.headquarters.store.sqlite import SqliteReader, SqliteStore
from edge.headquarters.store.store import Store


def broker_at(
    url: str, *, username: str | None, password_file: Path | None, ca_file: Path | None, protocol: str
) -> Broker:
    """
    Return where `mqtts://mqtt.example.com` is; `mqtt://` is without TLS, and a bare name takes TLS off this machine.

    Raises:
        ConfigError: that can't be a broker.
    """
    parts = urllib.parse.urlsplit(url if "://" in url else f"//{url}")
    if parts.scheme not in {"", "mqtt", "mqtts"} or parts.path.strip("/") or parts.password or not parts.hostname:
        advice = "write it as mqtts://mqtt.example.com:8883; the password comes from --password-file"
        raise ConfigError("--broker", [f"--broker {url}: {advice}"])
    try:
        settings: dict[str, Any] = {
            "host": parts.hostname,
            "username": username or parts.username,
            "password_file": password_file,
            "protocol": protocol,
        }
        if parts.port is not None:
            settings["port"] = parts.port
        if ca_file is not None:
            settings["tls"] = {"ca_file": ca_file}
        elif parts.scheme:
            settings["tls"] = parts.scheme == "mqtts"
        return Broker.model_validate(settings)
    except ValidationError as exc:
        said = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in exc.errors())
        raise ConfigError("--broker", [f"--broker {url}: {said}"]) from exc
    except ValueError as exc:
        raise ConfigError("--broker", [f"--broker {url}: {exc}"]) from exc


def open_store(url: str) -> Store:
    """
    Open, and make if need be, the store that *url* names: `postgresql://...`, `sqlite:///path`, or a path.

    Raises:
        StoreUnusable: it can't be opened or written.
        ExtraMissing: PostgreSQL's client isn't installed.
    """
    if _is_postgres(url):
        from edge.headquarters.store.postgres import PostgresStore  # noqa: PLC0415 - its client is in the extra only

        return PostgresStore(url)
    return SqliteStore(_path(url))


def open_reader(url: str) -> Reader:
    """
    Open the store that *url* names only to read it: its file or its role may forbid everything else.

    Raises:
        StoreUnusable: there is none, or it can't be read.
        ExtraMissing: PostgreSQL's client isn't installed.
    """
    if _is_postgres(url):
        from edge.headquarters.store.postgres import PostgresReader  # noqa: PLC0415 - likewise

        return PostgresReader(url)
    return SqliteReader(_path(url))


def grant_roles(url: str, writer: str | None, reader: str | None) -> Iterator[str]:
    """
    Make roles of the database that *url* names; yield a line about each.

    Raises:
        ConfigError: it is no PostgreSQL, or a role can't be one of these.
        StoreUnusable: it can't be opened or written, or the role in *url* may not make roles.
        ExtraMissing: PostgreSQL's client isn't installed.
    """
    if not _is_postgres(url):
        raise ConfigError(
            "--store", ["roles are PostgreSQL's: --store postgresql://...; a file has modes (chmod, chown)"]
        )
    if writer is None and reader is None:
        raise ConfigError("roles", ["say which: --writer NAME, --reader NAME"])
    from edge.headquarters.store import roles  # noqa: PLC0415 - likewise

    open_store(url).close()
    yield from roles.grant(url, writer, reader)


def _is_postgres(url: str) -> bool:
    return re.match(r"postgres(ql)?://", url) is not None


def _path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))
