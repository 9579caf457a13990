"""
`footfall support FILE`: one file for whoever helps from afar, with what this box says of itself and no secret.

It holds text and nothing else: no picture, no part of the ledger's file, no password, key or certificate. Every part
goes through `Redaction`, whatever it comes from. A part that can't be had says why, and the others are there.
"""

from __future__ import annotations

import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path

from rich.console import Console

from edge import __version__
from edge.config import schema
from edge.core.clock import KernelClock
from edge.core.errors import ConfigError, ReportUnwritable
from edge.technician import temperature

REMOVED = "<removed>"
"""What stands in the bundle in place of a secret."""
_SECRET_KEY = re.compile(
    r"(?i)^(\s*[\"']?[\w-]*(?:password|passwd|passphrase|secret|token|private)[\w-]*[\"']?\s*[:=]).*$"
)
"""A line that gives a secret a value. The files that hold secrets are named by keys that end in `_file`: those stay."""
_FLOW_SECRET = re.compile(
    r"(?i)([{,]\s*[\"']?[\w-]*(?:password|passwd|passphrase|secret|token|private)(?!\w*_file)[\w-]*[\"']?\s*:\s*)"
    r"(\"[^\"]*\"|'[^']*'|[^,}\n]*)"
)
_CREDENTIALS = re.compile(r"(://)[^/@\s]+@")
_PEM = re.compile(r"-----BEGIN [^-]+-----.*?(?:-----END [^-]+-----|\Z)", re.DOTALL)
_SHORTEST_SECRET = 4
"""A password of fewer characters isn't looked for: it would be found in every word."""
_PART_BYTES = 2_000_000
"""The most that one part may have; the rest of it is left out, and the part says so."""
_ANSWER_S = 120.0
"""Seconds that a program of the system has for its answer."""
_OWN_ANSWER_S = 900.0
"""Seconds that a command of ours has: `check` alone waits up to ten minutes for a box that is slow or busy."""
_JOURNAL_LINES = 2_000
_FILES = ("/opt/footfall/history", "/etc/os-release", "/proc/cpuinfo", "/proc/meminfo", "/proc/loadavg", "/proc/uptime")


@dataclass(slots=True)
class Redaction:
    """
    Takes secrets out of text.

    Attributes:
        secrets: Texts that may stand nowhere: what the password's file holds.
    """

    secrets: list[str] = field(default_factory=list)

    def learn(self, path: Path | None) -> None:
        """Learn the secret that the file at *path* holds; one that can't be read is in no text of ours either."""
        if path is None:
            return
        try:
            words = path.read_text(encoding="utf-8", errors="replace").strip("\ufeff\r\n")
        except OSError:
            return
        self.secrets += [text for text in {words, words.strip()} if len(text) >= _SHORTEST_SECRET]

    def clean(self, text: str) -> str:
        """Return *text* without what may be secret."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, REMOVED)
        text = _PEM.sub(REMOVED, text)
        text = _CREDENTIALS.sub(rf"\1{REMOVED}@", text)
        text = _FLOW_SECRET.sub(rf"\1{REMOVED}", text)
        return "\n".join(
            line if re.match(r"(?i)\s*[\"']?\w+_file\b", line) else _SECRET_KEY.sub(rf"\1 {REMOVED}", line)
            for line in text.split("\n")
        )


def run(config: Path, file: Path) -> None:
    """
    Write the bundle, and say what is in it.

    Args:
        config: The config file; it may have faults, and may be missing.
        file: The bundle, a compressed tar archive that isn't there yet.

    Raises:
        ReportUnwritable: the bundle can't be written, or is there already.
    """
    redaction = Redaction()
    out = Console(highlight=False, soft_wrap=True)
    progress = Console(stderr=True)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise ReportUnwritable(
            file, exc.strerror or str(exc), "name a new file in a folder that you may write to"
        ) from exc
    _learn_secrets(config, redaction)
    name = f"footfall-support-{platform.node()}"
    with os.fdopen(descriptor, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
        with progress.status("", spinner="line") as status:
            for part, make in _parts(config).items():
                status.update(f"{part} ...")
                _add(archive, f"{name}/{part}", redaction.clean(_made(make)))
        _add(archive, f"{name}/README.txt", _README.format(version=__version__, box=platform.node(), at=_now()))
    out.print(f"written: {file}, {file.stat().st_size:,} bytes. Look into it before you send it: tar xzf {file}")
    out.print(
        "It holds no picture, no password and no key; names of site, cameras, lines and broker, and hourly counts."
    )


_README = """What a Footfall box said of itself, for whoever helps.

box {box}, footfall-edge {version}, made {at}

It holds text only: versions, the config without secrets, check, status, the hours of the last week, the services'
state, the publisher's journal and the machine's figures. It holds no picture, as none is ever kept on a box, no part
of the ledger's file, no password, no key and no certificate. It does hold the names of the site, its cameras and
lines, of the broker, and counts by the hour.
"""


def _learn_secrets(config: Path, redaction: Redaction) -> None:
    redaction.learn(Path("/etc/footfall/mqtt.password"))
    try:
        redaction.learn(schema.load(config).broker.password_file)
    except ConfigError:
        # A config with faults may still name the file.
        for named in re.findall(r"password_file:\s*[\"']?([^\"'\s,}]+)", _read(config)):
            redaction.learn(config.parent / named)


def _parts(config: Path) -> Mapping[str, Callable[[], str]]:
    """Return what goes into the bundle, and how each part is made."""
    ours = ["--config", str(config)]
    units = ["footfall-*"]
    return {
        "versions.txt": _versions,
        "footfall.yaml": lambda: _read(config),
        "check.json": lambda: _footfall("check", *ours, "--json"),
        "status.txt": lambda: _footfall("status", *ours),
        "hours.csv": lambda: _footfall("counts", *ours, "--csv"),
        "privacy.txt": lambda: _footfall("privacy", *ours),
        "units.txt": lambda: _run("systemctl", "status", "--no-pager", "--full", "--lines=0", *units),
        "unit-files.txt": lambda: _run("systemctl", "cat", "--no-pager", *units),
        "journal.txt": lambda: _run(
            "journalctl", "--no-pager", "--output=short-iso", f"--lines={_JOURNAL_LINES}", "--unit=footfall-*"
        ),
        "clock.txt": lambda: _run("timedatectl", "--no-pager"),
        "network.txt": lambda: _run("ip", "-brief", "address") + _run("ip", "route"),
        "disk.txt": lambda: _run("df", "-h"),
        "cameras.txt": _cameras,
        **{f"machine/{Path(path).name}.txt": partial(_read, Path(path)) for path in _FILES},
    }


def _made(make: Callable[[], str]) -> str:
    try:
        return make()
    except (OSError, subprocess.SubprocessError) as exc:
        return f"can't be had: {exc}\n"


def _versions() -> str:
    packages = sorted(f"{found.name} {found.version}" for found in metadata.distributions() if found.name)
    facts = [
        f"footfall-edge {__version__}",
        f"Python {platform.python_version()}",
        f"{platform.system()} {platform.release()} {platform.machine()}",
        f"temperature {temperature.read()}",
        f"wall clock {_now()}",
        "",
        *packages,
    ]
    return "\n".join(facts) + "\n"


def _cameras() -> str:
    """Return the names of the camera devices; nothing is opened."""
    names = [*Path("/dev").glob("video*"), *Path("/dev/v4l").glob("*/*")]
    return "\n".join(f"{path} -> {path.resolve()}" for path in sorted(names)) + "\n"


def _footfall(*arguments: str) -> str:
    return _output([sys.executable, "-m", "edge", *arguments], _OWN_ANSWER_S)


def _run(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return f"can't be had: {command[0]} isn't installed here\n"
    return _output(command, _ANSWER_S)


def _output(command: Sequence[str], longest_s: float) -> str:
    """Return what a program says, both outputs, and its exit code where that isn't 0; TimeoutExpired if it hangs."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "120"},
        check=False,
        timeout=longest_s,
    )
    said = done.stdout.decode(errors="replace")
    return said + (f"exit code {done.returncode}\n" if done.returncode else "")


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_PART_BYTES).decode(errors="replace")


def _add(archive: tarfile.TarFile, name: str, text: str) -> None:
    """Add a text to the archive; of one that is too long, its end."""
    data = text.encode(errors="replace")
    if len(data) > _PART_BYTES:
        data = b"the beginning is left out\n" + data[-_PART_BYTES:]
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(data), 0o600, KernelClock().wall_ms() // 1000
    archive.addfile(member, io.BytesIO(data))


def _now() -> str:
    return datetime.fromtimestamp(KernelClock().wall_ms() / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
