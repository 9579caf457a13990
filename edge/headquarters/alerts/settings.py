"""
headquarters.yaml: what is told by itself, to whom and how. A person keeps it; it is read as strictly as footfall.yaml.

Secrets are never in it: passwords and tokens stand in files of their own, which nobody but their owner may read.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from edge.config.broker import Host, is_loopback
from edge.config.schema import parse_as, read_text
from edge.config.section import FilePath, Section, refusal
from edge.headquarters.report.problems import Kind

DEFAULT = Path("/etc/footfall/headquarters.yaml")
"""Where `./deploy.sh headquarters` puts it."""
_PORTS = {"starttls": 587, "tls": 465, "none": 25}


def _web_address(value: str) -> str:
    """Return *value*, an address of the web. What is wrong with it never repeats it: its path may be a secret."""
    parts = urllib.parse.urlsplit(value)
    try:
        is_whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_whole = False
    if parts.scheme not in {"http", "https"} or not is_whole or not value.isascii() or not value.isprintable():
        raise refusal("is no address of the web", "write it as https://hooks.example.com/footfall")
    if parts.username is not None or parts.fragment or " " in value:
        raise refusal("must have no user, no `#` and no blank in it", "give a token with `token_file`")
    return value


WebAddress = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_web_address)]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Mailbox = Annotated[str, StringConstraints(max_length=254, pattern=r"^[!#-'*+\-/-9=?A-Z^-~.]+@[A-Za-z0-9.-]+$")]
"""The address of a mailbox alone, as in anna@example.com; ASCII, without a name, a comma or a blank."""


class Rules(Section):
    """When something is an alert. The rules beside these are the report's: an alert says what the first page says."""

    overdue_min: Annotated[int, Field(ge=63, le=10_080, strict=True)] = Field(
        default=65, description="a camera is silent when its newest hour ended so long ago, minutes"
    )
    least_hours: Annotated[int, Field(ge=1, le=168, strict=True)] = Field(
        default=2, description="flags and hours that nobody watched are told from so many open hours on"
    )
    days: Annotated[int, Field(ge=1, le=28, strict=True)] = Field(
        default=7, description="how many days are looked at; a gap is told for so long"
    )
    unusual_factor: Annotated[float, Field(gt=1.0, le=100.0)] = Field(
        default=2.0,
        description="a day is unusual with so many times the people of the same weekday in four weeks, or so few",
    )
    ignore: tuple[Kind, ...] = Field(default=(), description="kinds that are never told")


class Webhook(Section):
    """Where changes go as JSON, by POST."""

    url: WebAddress = Field(description="its address; it is never logged")
    token_file: FilePath | None = Field(
        default=None, description="file with a token, which goes along as `Authorization: Bearer`"
    )
    ca_file: FilePath | None = Field(default=None, description="authority that signed the server's certificate")

    @model_validator(mode="after")
    def _token_is_covered(self) -> Self:
        if self.token_file is not None and not self.is_tls and not is_loopback(self.host):
            raise refusal("a token needs https", "anybody on the way could read it")
        if self.ca_file is not None and not self.is_tls:
            raise refusal("`ca_file` needs https", "leave it out, or write https")
        return self

    @property
    def is_tls(self) -> bool:
        """Whether the server is spoken to through TLS."""
        return urllib.parse.urlsplit(self.url).scheme == "https"

    @property
    def host(self) -> str:
        """The server's name, which may be logged."""
        return urllib.parse.urlsplit(self.url).hostname or ""


class Mail(Section):
    """The server that takes mail, and who sends it."""

    host: Host = Field(description="the mail server's name or address")
    port: Port = Field(default=0, description="its port; by default 587, with `tls` 465, with `none` 25")
    security: Literal["starttls", "tls", "none"] = Field(default="starttls", description="how the way is encrypted")
    username: str | None = Field(default=None, min_length=1, max_length=254, description="who we are to it")
    password_file: FilePath | None = Field(default=None, description="file with the password")
    ca_file: FilePath | None = Field(default=None, description="authority that signed the server's certificate")
    sender: Mailbox = Field(description="the mailbox that mails come from")

    @model_validator(mode="before")
    @classmethod
    def _default_port(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        filled: dict[Any, Any] = {"port": _PORTS.get(str(value.get("security", "starttls")), 25), **value}
        return filled

    @model_validator(mode="after")
    def _password_is_covered(self) -> Self:
        if (self.username is None) != (self.password_file is None):
            raise refusal("`username` and `password_file` come together", "give both or neither")
        if self.password_file is not None and self.security == "none" and not is_loopback(self.host):
            raise refusal("a password needs `starttls` or `tls`", "anybody on the way could read it")
        return self


Mailboxes = Annotated[tuple[Mailbox, ...], Field(min_length=1, max_length=50)]


class Weekly(Section):
    """The weekly mail with the first page."""

    to: Mailboxes = Field(description="who gets it")
    report_url: WebAddress | None = Field(
        default=None, description="where `report --folder` is served; each name in the mail leads there"
    )

    @field_validator("report_url")
    @classmethod
    def _ends_as_a_folder(cls, value: str | None) -> str | None:
        if value is not None and (urllib.parse.urlsplit(value).query or not value.endswith("/")):
            raise refusal("must be the address of a folder", "write it as https://reports.example.com/footfall/")
        return value


class Settings(Section):
    """The whole of headquarters.yaml."""

    language: str = Field(default="en", description="of mails and of the webhook's texts: en, de, zh_CN")
    rules: Rules = Field(default_factory=lambda: Rules.model_validate({}), description="when something is an alert")
    webhook: Webhook | None = Field(default=None, description="where alerts go as JSON")
    mail: Mail | None = Field(default=None, description="the mail server; for alerts and for the weekly mail")
    alerts_to: Mailboxes | None = Field(default=None, description="who gets alerts by mail")
    weekly: Weekly | None = Field(default=None, description="the weekly mail")

    @field_validator("language")
    @classmethod
    def _is_there(cls, value: str) -> str:
        from edge.web.language import codes  # noqa: PLC0415 - its library is in the extra only

        if value not in codes():
            raise refusal(f'there is no language "{value}"', f"the languages are {', '.join(codes())}")
        return value

    @model_validator(mode="after")
    def _there_is_a_server(self) -> Self:
        for name, wish in (("alerts_to", self.alerts_to), ("weekly", self.weekly)):
            if wish is not None and self.mail is None:
                raise refusal(f"`{name}` needs a mail server", "add the section `mail`")
        return self


def load(path: Path) -> Settings:
    """
    Read headquarters.yaml.

    Raises:
        ConfigError: with every fault that the file has.
    """
    return parse(read_text(path, "give the file with --config"), path)


def parse(text: str, path: Path = Path("headquarters.yaml")) -> Settings:
    """Read headquarters.yaml from *text*; *path* is named in messages."""
    return parse_as(Settings, text, path)
