"""Judges what systemd holds a process of ours to: the unit as it is in force, and what was dropped into it."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge.core.systemd import bound_folders
from edge.technician.privacy import release
from edge.technician.privacy.finding import Section
from edge.technician.proc import Process

_ANSWER_S = 20.0
_PROGRAM = "{ path=/opt/footfall/current/bin/footfall ;"
_BOTH = {
    "NotifyAccess": "main",
    "DevicePolicy": "closed",
    "ProtectSystem": "strict",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "RestrictNamespaces": "yes",
    "MemorySwapMax": "0",
    "ReadWritePaths": "",
    "BindPaths": "",
    "EnvironmentFiles": "",
    "ExecStartPre": "",
    "ExecStartPost": "",
}
WANTED = {
    "vision": {
        **_BOTH,
        "User": "footfall-vision",
        "RootDirectory": "/run/footfall-root/vision",
        "PrivateNetwork": "yes",
        "StateDirectory": "",
        "Environment": "",
        "LogLevelMax": "3",
    },
    "publisher": {
        **_BOTH,
        "User": "footfall-publisher",
        "RootDirectory": "/run/footfall-root/publisher",
        "PrivateDevices": "yes",
        "StateDirectory": "footfall",
        "Environment": "",
    },
}
"""What systemd must say of our units, where it runs them."""
_DEVICES = {
    "vision": {"char-video4linux rw", "char-media rw", "char-dma_heap rw"},
    "publisher": set[str](),
}
"""Devices that a unit may name: cameras, and what the drop-in for a `csi:` camera in docs/operations.md adds."""
_HARMLESS = frozenset({
    "IPAddressAllow", "IPAddressDeny", "DeviceAllow", "LimitFSIZE", "TimeoutStartSec", "TimeoutStopSec", "MemoryMax",
    "CPUWeight", "CPUQuota", "TasksMax", "WatchdogSec", "RestartSec", "After", "Wants", "BindReadOnlyPaths", "Nice",
})  # fmt: skip
"""Settings that a drop-in may change: they give no way out, or what they give is judged by itself."""
_SETTING = re.compile(r"^\s*([A-Za-z]+)\s*=(.*)")
_OTHERS = tuple(map(Path, ("/run", "/var/run", "/dev", "/proc", "/sys", "/tmp", "/var/tmp")))  # noqa: S108 - looked for
"""Where other programs' sockets and devices are: a service that sees one of these folders may reach them."""


def judge(section: Section, process: Process, role: str) -> None:
    """Judge the unit that *process* runs in, as a "vision" or a "publisher"."""
    unit = process.unit
    if unit is None:
        section.tell("systemd unit", "none: a trial")
        return
    wanted = WANTED[role]
    said = properties(unit, [*wanted, "DeviceAllow", "ExecStart", "DropInPaths", "FragmentPath", "NeedDaemonReload"])
    for name, value in wanted.items():
        found = " ".join(said.get(name, [])).strip()
        section.judge(f"{unit} {name}", found or "none", good=found == value)
    foreign = [device for device in said.get("DeviceAllow", []) if device and device not in _DEVICES[role]]
    section.judge_none(f"{unit} DeviceAllow, beside cameras", foreign)
    starts = said.get("ExecStart", [])
    good = len(starts) == 1 and starts[0].startswith(_PROGRAM) and "--unsealed" not in starts[0]
    section.judge(f"{unit} ExecStart", "our program" if good else "; ".join(starts) or "none", good=good)
    _same_as_released(section, unit, said)
    paths = " ".join(said.get("DropInPaths", [])).split()
    section.tell(f"{unit} drop-ins", ", ".join(paths) or "none")
    section.judge_none(f"{unit} settings of drop-ins that aren't harmless", _foreign_settings(paths))


def _same_as_released(section: Section, unit: str, said: Mapping[str, Sequence[str]]) -> None:
    """Judge whether the unit's file is the one of the release's list, and systemd has read it as it is."""
    path = Path(" ".join(said.get("FragmentPath", [])))
    wanted = release.listed().get(f"systemd/{path.name}")
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as exc:
        section.judge(f"{unit} file", f"can't be read: {exc.strerror}", good=False)
        return
    if wanted is None:
        section.tell(f"{unit} file", f"{path}, of no release; sha256 {found}")
    else:
        same = "the release's" if found == wanted else f"{path} is NOT the release's: sha256 {found}"
        section.judge(f"{unit} file", same, good=found == wanted)
    current = said.get("NeedDaemonReload") == ["no"]
    section.judge(
        f"{unit} in force as its files say", "yes" if current else "NO: sudo systemctl daemon-reload", good=current
    )


def properties(unit: str, names: Sequence[str]) -> dict[str, list[str]]:
    """Return what systemd says of *unit*, each line of each property; nothing where there is no systemd."""
    if shutil.which("systemctl") is None:
        return {}
    command = ["systemctl", "show", unit, f"--property={','.join(names)}"]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_ANSWER_S)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found: dict[str, list[str]] = defaultdict(list)
    for line in done.stdout.decode(errors="replace").splitlines():
        key, equals, value = line.partition("=")
        if equals:
            found[key].append(value)
    return found


def _shows_others(key: str, value: str) -> bool:
    """Tell whether a folder that is added to a service's root holds sockets or devices of others."""
    if key != "BindReadOnlyPaths":
        return False
    return any(
        path.is_relative_to(other) or other.is_relative_to(path) or ".." in path.parts
        for path in bound_folders(value)
        for other in _OTHERS
    )


def _foreign_settings(paths: Sequence[str]) -> list[str]:
    found = []
    for path in paths:
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError as exc:
            found.append(f"{path} can't be read ({exc.strerror})")
            continue
        settings = [(match[1], match[2]) for match in map(_SETTING.match, text.splitlines()) if match]
        found += [f"{key} in {path}" for key, value in settings if key not in _HARMLESS or _shows_others(key, value)]
    return found
