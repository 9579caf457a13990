"""The broker's certificate and the authority that signs it: made by openssl, kept apart from each other."""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
import tempfile
from pathlib import Path

from edge.core.errors import ConfigError, ExtraMissing

_YEARS = 10


def authority_of(folder: Path) -> Path:
    """Return where the key of the authority of the broker in *folder* lies: beside it, out of the broker's reach."""
    return folder.with_name(f"{folder.name}-authority")


def make(folder: Path, host: str) -> bool:
    """
    Make an authority where there is none, and the broker's certificate where there is none for *host*.

    Returns:
        Whether a certificate was made.

    Raises:
        ExtraMissing: there is no openssl.
        ConfigError: openssl has failed, or the authority's key isn't there.
    """
    _move_authority(folder)
    if (folder / "broker.pem").exists() and _is_for(folder / "broker.pem", host):
        return False
    if shutil.which("openssl") is None:
        raise ExtraMissing("openssl", "apt-get install openssl")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", str(365 * _YEARS)]
    authority = authority_of(folder)
    if (folder / "ca.pem").exists() and not (authority / "ca.key").exists():
        raise ConfigError(
            "broker",
            [f"a certificate for {host} needs the authority's key, {authority / 'ca.key'}; bring it back for this"],
        )
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
    return True


def _is_for(certificate: Path, host: str) -> bool:
    """Tell whether a certificate is for *host*."""
    if shutil.which("openssl") is None:
        return True
    try:
        how = ["-checkip", str(ipaddress.ip_address(host))]
    except ValueError:
        how = ["-checkhost", host]
    said = subprocess.run(
        ["openssl", "x509", "-in", str(certificate), "-noout", *how],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return "does match certificate" in said.stdout


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
