"""
A secured mosquitto in a folder: TLS, one account a box, and an ACL under which a box can do one thing only.

A box may publish to its own two topics and read nothing; a collector may read and publish nothing. Run again with more
boxes, it adds them and changes nothing that is there: no key, no certificate, no password.

Made by root, the folder stays root's: the broker can read its configuration and write its state, nothing else. The
authority's key, with which boxes could be made to believe another broker, lies in a folder beside it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import secrets
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.core.errors import ConfigError
from edge.core.topics import NAME_PATTERN, hour_topic, status_topic
from edge.headquarters import broker_certificates

_NAME = re.compile(NAME_PATTERN)
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,253}")
_ROUNDS = 101
"""As mosquitto_passwd: the passwords are random and long, and ten thousand boxes may come back at once."""

_CONF = """\
# Made by `footfall broker`; it is the whole configuration. Start it with:  mosquitto -c {folder}/mosquitto.conf
# Don't put it into /etc/mosquitto/conf.d: Debian's own configuration sets some of this already, and mosquitto refuses
# a setting that it finds twice. Debian's service takes it by the drop-in mosquitto.service.d/footfall.conf beside it.
per_listener_settings false
listener {port}
certfile {folder}/broker.pem
keyfile {folder}/broker.key
tls_version tlsv1.2

allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl

# What a collector that is away will get later survives a restart of the broker, and has no bound but the disk.
persistence true
persistence_location {folder}/state/
autosave_interval 60
max_queued_messages 0
max_inflight_messages 2000

# An hour has less than 2 KiB.
message_size_limit 65536
max_packet_size 131072
max_keepalive 3600
"""


_DROP_IN = """\
# Made by `footfall broker`: Debian's mosquitto.service with the configuration in {folder}, and nothing else.
[Service]
ExecStart=
ExecStart=/usr/sbin/mosquitto -c {folder}/mosquitto.conf
# One for each camera, and some more.
LimitNOFILE=200000
"""

_USER = "mosquitto"
"""The user that mosquitto becomes when root starts it, and its group."""


@dataclass(frozen=True, slots=True)
class Account:
    """One box: the name that it logs in with, its site, its cameras."""

    name: str
    site: str
    cameras: tuple[str, ...]


def parse(text: str) -> Account:
    """
    Return the account that `site/camera,camera` or `name=site/camera` names; its name is the site's if none is given.

    Raises:
        ValueError: that is no box.
    """
    name, _, place = text.rpartition("=")
    site, _, cameras = place.partition("/")
    account = Account(name or site, site, tuple(cameras.split(",")))
    for part in (account.name, site, *account.cameras):
        if not _NAME.fullmatch(part):
            raise ValueError(f'"{text}" is no box; write it as sh-023/door-a,door-b or till-2=sh-023/door-c')
    return account


@dataclass(frozen=True, slots=True)
class Changes:
    """
    What becomes of accounts that are there.

    Attributes:
        revoke: Names of accounts that end.
        rekey: Names of accounts that get another password.
        rename: Old name -> new name; the password stays.
    """

    revoke: Sequence[str] = ()
    rekey: Sequence[str] = ()
    rename: Mapping[str, str] = field(default_factory=dict)

    def faults(self, wanted: Mapping[str, Account | None]) -> Iterator[str]:
        """Yield why they can't be made to the accounts *wanted*."""
        for name in (*self.revoke, *self.rekey, *self.rename):
            if name not in wanted:
                yield f"there is no account {name}"
        for old, new in self.rename.items():
            if not _NAME.fullmatch(new):
                yield f'"{new}" is no name: lower-case letters, digits, dashes'
            elif new in wanted:
                yield f"{new} is an account already; {old} can't take its name"


_NO_CHANGES = Changes()


def run(
    folder: Path,
    host: str,
    boxes: Sequence[Account],
    collectors: Sequence[str],
    *,
    port: int = 8883,
    changes: Changes = _NO_CHANGES,
) -> None:
    """
    Make or extend the configuration in *folder*, and say what to do with it.

    Args:
        folder: Everything goes here, readable by its owner only.
        host: The broker's name or address, as boxes know it.
        boxes: Accounts to have; those that are there stay.
        collectors: Names of accounts that may read.
        port: To listen on.
        changes: What becomes of accounts that are there.

    Raises:
        ConfigError: two boxes claim one camera, a name is taken, or there is no such account.
        ExtraMissing: there is no openssl.
        OSError: the folder can't be written.
    """
    if not _HOST.fullmatch(host):
        raise ConfigError("--host", [f"--host {host!r} is no name and no address"])
    folder = folder.absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("state", "accounts"):
        (folder / name).mkdir(mode=0o700, exist_ok=True)
        (folder / name).chmod(0o700)
    known = _read_acl(folder / "acl")
    wanted = _merge(known, boxes, collectors)
    faults = list(changes.faults(wanted))
    if faults:
        raise ConfigError("broker", faults)
    renewed = broker_certificates.make(folder, host)
    passwords = _read_passwords(folder / "passwords")
    wanted = _change(folder, changes, wanted, passwords, address=(host, port))
    new = [name for name in wanted if name not in passwords]
    for name in new:
        password = secrets.token_urlsafe(24)
        passwords[name] = _hashed(password)
        account = wanted[name]
        _hand_over(folder / "accounts" / name, name, account, password, address=(host, port))
        shutil.copyfile(folder / "ca.pem", folder / "accounts" / name / "ca.pem")
    _write(folder / "passwords", "".join(f"{name}:{hashed}\n" for name, hashed in sorted(passwords.items())), 0o600)
    _write(folder / "acl", _acl(wanted), 0o600)
    _write(folder / "mosquitto.conf", _CONF.format(folder=folder, port=port), 0o644)
    drop_in = folder / "mosquitto.service.d" / "footfall.conf"
    drop_in.parent.mkdir(exist_ok=True)
    _write(drop_in, _DROP_IN.format(folder=folder), 0o644)
    _let_mosquitto_read(folder)
    if renewed:
        print(f"The broker has a certificate for {host}.")
    if _reload(folder / "mosquitto.conf"):
        print("The broker that runs has read all of it again.")
    print(f"{len(wanted)} accounts, {len(new)} of them new, in {folder}")
    print(f"Each new account's files are in {folder}/accounts/NAME; take them to the box, and delete them here.")
    print(f"The authority's key is in {broker_certificates.authority_of(folder)}; the broker doesn't need it.")
    print(f"For Debian's mosquitto.service:  cp -r {drop_in.parent} /etc/systemd/system/")
    print("                                 systemctl daemon-reload && systemctl restart mosquitto")


def _change(
    folder: Path,
    changes: Changes,
    wanted: Mapping[str, Account | None],
    passwords: dict[str, str],
    *,
    address: tuple[str, int],
) -> dict[str, Account | None]:
    """Make *changes* to *passwords* and to the folders of accounts; return the accounts that there are then."""
    accounts = dict(wanted)
    for name in changes.revoke:
        del accounts[name]
        passwords.pop(name, None)
        shutil.rmtree(folder / "accounts" / name, ignore_errors=True)
    for name in changes.rekey:
        passwords.pop(name, None)
    for old, new in changes.rename.items():
        account = accounts.pop(old)
        accounts[new] = None if account is None else Account(new, account.site, account.cameras)
        if old in passwords:
            passwords[new] = passwords.pop(old)
        held, moved = folder / "accounts" / old, folder / "accounts" / new
        if held.exists():
            held.rename(moved)
            _describe(moved, new, accounts[new], address=address)
    return accounts


def _reload(conf: Path) -> bool:
    """Let each broker that runs with *conf* read passwords, rules and certificates again; return whether one does."""
    found = False
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"mosquitto") and os.fsencode(conf) in words:
                os.kill(int(entry.name), signal.SIGHUP)
                found = True
    return found


def _merge(
    known: Mapping[str, Account | None], boxes: Sequence[Account], collectors: Sequence[str]
) -> dict[str, Account | None]:
    """Return all accounts by name, collectors as None; refuse what contradicts itself."""
    wanted = dict(known)
    faults = []
    for name in collectors:
        if not _NAME.fullmatch(name):
            faults.append(f'"{name}" is no name for a collector: lower-case letters, digits, dashes')
        elif wanted.get(name) is not None:
            faults.append(f"{name} is a box already; give the collector another name")
        else:
            wanted[name] = None
    for box in boxes:
        there = wanted.get(box.name)
        if box.name in wanted and there is None:
            faults.append(f"{box.name} is a collector already; give the box another name")
        elif there is not None and there.site != box.site:
            faults.append(f"{box.name} is a box of {there.site} already; give this one another name")
        else:
            cameras = dict.fromkeys([*(there.cameras if there else ()), *box.cameras])
            wanted[box.name] = Account(box.name, box.site, tuple(cameras))
    faults += _claimed_twice(wanted)
    if faults:
        raise ConfigError("broker", faults)
    return wanted


def _claimed_twice(accounts: Mapping[str, Account | None]) -> list[str]:
    owners: dict[tuple[str, str], str] = {}
    faults = []
    for account in filter(None, accounts.values()):
        for camera in account.cameras:
            owner = owners.setdefault((account.site, camera), account.name)
            if owner != account.name:
                faults.append(f"{account.site}/{camera} belongs to {owner} and to {account.name}; a camera has one box")
    return faults


def _acl(accounts: Mapping[str, Account | None]) -> str:
    """Return the ACL; what isn't allowed here is refused."""
    lines = ["# Made by `footfall broker`. A box: its own two topics, write only. A collector: read only."]
    for name, account in sorted(accounts.items()):
        lines += ["", f"user {name}"]
        if account is None:
            lines.append("topic read footfall/#")
            continue
        for camera in account.cameras:
            lines.append(f"topic write {hour_topic(account.site, camera)}")
            lines.append(f"topic write {status_topic(account.site, camera)}")
    return "\n".join(lines) + "\n"


def _read_acl(path: Path) -> dict[str, Account | None]:
    """Return the accounts that an earlier run wrote."""
    accounts: dict[str, Account | None] = {}
    name = ""
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        if line.startswith("user "):
            name = line.removeprefix("user ")
            accounts[name] = None
        elif line.startswith("topic write ") and line.endswith("/hour"):
            _, _, site, camera, _ = line.split("/")
            before = accounts[name]
            accounts[name] = Account(name, site, (*(before.cameras if before else ()), camera))
    return accounts


def _read_passwords(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    return dict(line.split(":", 1) for line in path.read_text(encoding="utf-8").splitlines() if line)


def _hashed(password: str) -> str:
    """Return *password* as mosquitto's password file holds it."""
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS)
    return f"$7${_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _hand_over(folder: Path, name: str, account: Account | None, password: str, *, address: tuple[str, int]) -> None:
    """Write what one account's owner needs: its password, and where everything goes."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder / "mqtt.password", f"{password}\n", 0o600)
    _describe(folder, name, account, address=address)


def _describe(folder: Path, name: str, account: Account | None, *, address: tuple[str, int]) -> None:
    """Write where an account's owner sends everything, and under which name."""
    host, port = address
    if account is None:
        text = (
            f"footfall collect --broker mqtts://{host}:{port} --username {name} --password-file mqtt.password"
            " --ca-file ca.pem --store hours.sqlite\n"
        )
        _write(folder / "collect.txt", text, 0o644)
        return
    text = (
        f"# In footfall.yaml of the box at {account.site} with {', '.join(account.cameras)}:\n"
        f"broker: {{host: {host}, port: {port}, username: {name}, password_file: /etc/footfall/mqtt.password,\n"
        "  tls: {ca_file: /etc/footfall/ca.pem}}\n"
    )
    _write(folder / "broker.yaml", text, 0o644)


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file as a whole or not at all; nobody sees it with other rights than these."""
    made = path.with_name(f".{path.name}.new")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    made.replace(path)


def _let_mosquitto_read(folder: Path) -> None:
    """As root, where mosquitto's user is known: it may read its configuration and write its state, and that is all."""
    if os.geteuid() != 0:
        return
    try:
        for path, mode in (
            (folder, 0o750),
            *((folder / name, 0o640) for name in ("passwords", "acl", "broker.key", "mosquitto.conf")),
        ):
            shutil.chown(path, "root", _USER)
            path.chmod(mode)
        for name in ("broker.pem", "ca.pem", "mosquitto.service.d", "accounts"):
            if (folder / name).exists():
                shutil.chown(folder / name, "root", "root")
        for path in (folder / "state", *(folder / "state").iterdir()):
            shutil.chown(path, _USER, _USER)
    except LookupError:
        print(
            f"There is no user {_USER} on this machine. On the broker's: all of {folder} belongs to root, its group"
            f" {_USER} may read passwords, acl, broker.key and mosquitto.conf, and only state/ is {_USER}'s."
        )
