"""
A secured mosquitto in a folder: TLS, one account a box, and an ACL under which a box can do one thing only.

A box may publish to its own two topics and read nothing; a collector may read and publish nothing. Run again with more
boxes, it adds them and changes nothing that is there: no key, no certificate, no password.

Made by root, the folder stays root's: the broker can read its configuration and write its state, nothing else. The
authority's key, with which boxes could be made to believe another broker, lies in a folder beside it.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.core.errors import ConfigError, ExtraMissing
from edge.core.topics import NAME_PATTERN, hour_topic, status_topic

_NAME = re.compile(NAME_PATTERN)
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,253}")
_ROUNDS = 101
"""As mosquitto_passwd: the passwords are random and long, and ten thousand boxes may come back at once."""
_YEARS = 10

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


def run(folder: Path, host: str, boxes: Sequence[Account], collectors: Sequence[str], *, port: int = 8883) -> None:
    """
    Make or extend the configuration in *folder*, and say what to do with it.

    Args:
        folder: Everything goes here, readable by its owner only.
        host: The broker's name or address, as boxes know it.
        boxes: Accounts to have; those that are there stay.
        collectors: Names of accounts that may read.
        port: To listen on.

    Raises:
        ConfigError: two boxes claim one camera, or a name is taken by another kind of account.
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
    _make_certificates(folder, host)
    passwords = _read_passwords(folder / "passwords")
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
    print(f"{len(wanted)} accounts, {len(new)} of them new, in {folder}")
    print(f"Each new account's files are in {folder}/accounts/NAME; take them to the box, and delete them here.")
    print(f"The authority's key is in {authority_of(folder)}; the broker doesn't need it.")
    print(f"For Debian's mosquitto.service:  cp -r {drop_in.parent} /etc/systemd/system/")
    print("                                 systemctl daemon-reload && systemctl restart mosquitto")


def authority_of(folder: Path) -> Path:
    """Return where the key of the authority of the broker in *folder* lies: beside it, out of the broker's reach."""
    return folder.with_name(f"{folder.name}-authority")


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
    host, port = address
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder / "mqtt.password", f"{password}\n", 0o600)
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


def _make_certificates(folder: Path, host: str) -> None:
    """Make an authority and the broker's certificate, where there are none."""
    _move_authority(folder)
    if (folder / "broker.pem").exists():
        return
    if shutil.which("openssl") is None:
        raise ExtraMissing("openssl", "apt-get install openssl")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", str(365 * _YEARS)]
    authority = authority_of(folder)
    authority.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=authority) as name:
        made = Path(name)
        (made / "ext").write_text(
            f"subjectAltName={_alternative(host)}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n",
            encoding="utf-8",
        )
        if not (folder / "ca.pem").exists():
            subject = ["-subj", "/CN=footfall broker authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
            _openssl(made, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", *subject)
            _place(made / "ca.key", authority / "ca.key", 0o600)
            _place(made / "ca.pem", folder / "ca.pem", 0o644)
        _openssl(made, "req", *key, "-keyout", "broker.key", "-out", "broker.csr", "-subj", f"/CN={host}"[:64])
        signer = ["-CA", str(folder / "ca.pem"), "-CAkey", str(authority / "ca.key")]
        signer += ["-CAcreateserial", "-CAserial", str(authority / "serial")]
        _openssl(
            made, "x509", "-req", "-in", "broker.csr", *signer, "-days", str(365 * _YEARS), "-extfile", "ext",
            "-out", "broker.pem",
        )  # fmt: skip
        _place(made / "broker.key", folder / "broker.key", 0o600)
        _place(made / "broker.pem", folder / "broker.pem", 0o644)


def _move_authority(folder: Path) -> None:
    """Take the authority's key out of a folder that an earlier release made."""
    for name in ("ca.key", "serial"):
        if (folder / name).exists():
            authority_of(folder).mkdir(mode=0o700, exist_ok=True)
            _place(folder / name, authority_of(folder) / name, 0o600)


def _place(made: Path, path: Path, mode: int) -> None:
    """Move a file that another program made to where it belongs."""
    made.chmod(mode)
    shutil.move(made, path)


def _alternative(host: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(host)}"
    except ValueError:
        return f"DNS:{host}"


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise ConfigError("broker", [f"openssl {arguments[0]}: {done.stderr.strip()[-500:]}"])


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
