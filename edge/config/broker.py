"""The section of the broker: where it is, and how it and this box know each other."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, field_validator, model_validator

from edge.config.section import FilePath, Section, refusal


class Tls(Section):
    """How to know the broker, and how it knows us. All optional."""

    ca_file: FilePath | None = Field(
        default=None,
        description="authority that signed the broker's certificate",
        examples=["/etc/footfall/ca.pem"],
        json_schema_extra={"absent": "the system's"},
    )
    cert_file: FilePath | None = Field(
        default=None,
        description="this box's certificate; goes with `key_file`",
        examples=["/etc/footfall/box.pem"],
        json_schema_extra={"absent": "none"},
    )
    key_file: FilePath | None = Field(
        default=None,
        description="this box's key, without a pass phrase",
        examples=["/etc/footfall/box.key"],
        json_schema_extra={"absent": "none"},
    )

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise refusal("`cert_file` and `key_file` come together", "give both or neither")
        return self


def _parse_tls(value: object) -> object:
    return {} if value is True else None if value is False else value


def _host_alone(value: str) -> str:
    """Return *value*, the name or address of a host and nothing else."""
    if is_address(value):
        return value
    match = re.fullmatch(
        r"(?:(?P<scheme>[a-z+]+)://)?(?:[^/@]*@)?(?P<host>[^/:@\[\]]+|\[.*\])(?::(?P<port>\d+))?/?", value
    )
    if match is None or re.search(r"\s", value):
        raise refusal(f'"{value}" is no name and no address', "write the broker's name alone, as in mqtt.example.com")
    host = match["host"].strip("[]")
    if host == value:
        return value
    keys = [f'host: "{host}"' if ":" in host else f"host: {host}"]
    if match["port"]:
        keys.append(f"port: {match['port']}")
    if match["scheme"]:
        keys.append(f"tls: {str(match['scheme'] in ('mqtts', 'ssl', 'tls', 'wss', 'https')).lower()}")
    raise refusal(f'must be a name or an address alone, but is "{value}"', "write " + ", ".join(keys))


Host = Annotated[str, StringConstraints(min_length=1), AfterValidator(_host_alone)]
"""The name or address of a host alone: no scheme, no port."""


class Broker(Section):
    """Headquarters' MQTT broker."""

    host: Host = Field(description="its name or address", examples=["mqtt.example.com"])
    port: Annotated[int, Field(ge=1, le=65535, strict=True)] = Field(
        default=0,
        description="its port",
        examples=[8883],
        json_schema_extra={"absent": "8883 with TLS, else 1883"},
        validate_default=False,
    )
    username: str | None = Field(
        default=None, description="who we are", examples=["sh-023"], json_schema_extra={"absent": "nobody"}
    )
    password_file: FilePath | None = Field(
        default=None,
        description="file that holds the password; nobody but its owner may read it",
        examples=["/etc/footfall/mqtt.password"],
        json_schema_extra={"absent": "no password"},
    )
    tls: Annotated[Tls | None, BeforeValidator(_parse_tls)] = Field(
        default=None,
        description="`true`, `false` or a section with the three keys below",
        json_schema_extra={"absent": "`true`, but `false` when the broker is on this box"},
    )
    protocol: Literal["5", "3.1.1"] = Field(default="5", description="MQTT version", examples=["5"])
    keepalive_s: Annotated[int, Field(ge=5, le=3600, strict=True)] = Field(
        default=60,
        description="a silent connection is taken for dead after 1.5 times this",
        examples=[60],
        json_schema_extra={"unit": "s"},
    )

    @field_validator("protocol", mode="before")
    @classmethod
    def _number_or_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        filled = dict(value)
        filled.setdefault("tls", not is_loopback(str(filled.get("host"))))
        filled.setdefault("port", 1883 if filled["tls"] is False else 8883)
        return filled

    @model_validator(mode="after")
    def _password_has_user(self) -> Self:
        if self.password_file is not None and self.username is None:
            raise refusal("`password_file` needs a `username` beside it")
        return self


def is_address(host: str) -> bool:
    """Tell whether *host* is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Tell whether *host* is this box itself."""
    return ipaddress.ip_address(host).is_loopback if is_address(host) else host == "localhost"
