"""The systemd units: what they must say to keep the two processes apart, and how exposed they are."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from edge.core import errors

UNITS = Path(__file__).parent.parent / "systemd"
VISION = UNITS / "footfall-vision@.service"
PUBLISHER = UNITS / "footfall-publisher.service"
DIODE = UNITS / "footfall-diode@.socket"

BOTH = {
    "Type": "notify",
    "ExecReload": "/bin/sh -c 'kill -HUP $$MAINPID'",
    "Restart": "on-failure",
    "RestartPreventExitStatus": "77 78",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "ProtectProc": "invisible",
    "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectControlGroups": "yes",
    "PrivateIPC": "yes",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "SystemCallArchitectures": "native",
    "DevicePolicy": "closed",
    "LimitCORE": "0",
    "MemorySwapMax": "0",
}
REQUIRED = [
    *((VISION, key, value) for key, value in BOTH.items()),
    *((PUBLISHER, key, value) for key, value in BOTH.items()),
    *((unit, "NotifyAccess", "main") for unit in (VISION, PUBLISHER)),
    (VISION, "RootDirectory", "/run/footfall-root/vision"),
    (PUBLISHER, "RootDirectory", "/run/footfall-root/publisher"),
    (VISION, "SyslogLevel", "err"),
    (VISION, "SyslogLevelPrefix", "no"),
    (VISION, "LogLevelMax", "err"),
    (VISION, "User", "footfall-vision"),
    (VISION, "PrivateNetwork", "yes"),
    (VISION, "RestrictAddressFamilies", "AF_UNIX"),
    (VISION, "IPAddressDeny", "any"),
    (VISION, "DeviceAllow", "char-video4linux rw"),
    (PUBLISHER, "User", "footfall-publisher"),
    (PUBLISHER, "PrivateDevices", "yes"),
    (PUBLISHER, "StateDirectory", "footfall"),
    (PUBLISHER, "StateDirectoryMode", "0700"),
    (PUBLISHER, "LoadCredential", "mqtt.password:/etc/footfall/mqtt.password"),
    (PUBLISHER, "RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
    (DIODE, "ListenFIFO", "/run/footfall/%i.tally"),
    (DIODE, "SocketUser", "footfall-vision"),
    (DIODE, "SocketGroup", "footfall-publisher"),
]


def read(unit: Path) -> dict[str, list[str]]:
    """Return each setting of *unit* with all its values; the names are unique across sections."""
    settings: dict[str, list[str]] = defaultdict(list)
    for line in unit.read_text(encoding="utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith(("#", ";")):
            settings[key].append(value)
    return settings


@pytest.mark.parametrize(("unit", "key", "value"), REQUIRED, ids=lambda part: getattr(part, "name", part))
def test_what_a_unit_must_say(unit: Path, key: str, value: str) -> None:
    """The unit holds this line, once, and with this value."""
    assert [value] == read(unit)[key]


@pytest.mark.parametrize("unit", [VISION, PUBLISHER], ids=lambda unit: unit.name)
def test_restarting_stops_where_it_can_not_help(unit: Path) -> None:
    """A config, a model or a seal that can't be used isn't tried again and again: systemd knows the errors' codes."""
    hopeless: set[type[errors.EdgeError]] = {
        errors.ConfigError,
        errors.DetectorError,
        errors.PasswordFileError,
        errors.SealError,
    }

    assert {str(error.exit_code) for error in hopeless} == set(read(unit)["RestartPreventExitStatus"][0].split())


@pytest.mark.parametrize("unit", [VISION, PUBLISHER], ids=lambda unit: unit.name)
def test_restarting_never_gives_up_and_never_loops(unit: Path) -> None:
    """At one restart each RestartSec the start limit is never reached, so an unplugged camera is tried for ever."""
    settings = read(unit)
    every_s, within_s = int(settings["RestartSec"][0]), int(settings["StartLimitIntervalSec"][0])

    assert within_s / every_s < int(settings["StartLimitBurst"][0])


@pytest.mark.parametrize("unit", [VISION, PUBLISHER], ids=lambda unit: unit.name)
def test_nothing_waits_for_a_network(unit: Path) -> None:
    """A shop without a network is counted: no unit is ordered after one, nor after a clock that needs one."""
    after = {target for line in read(unit)["After"] for target in line.split()}

    assert set() == after & {"network-online.target", "time-sync.target"}


@pytest.mark.parametrize("unit", [VISION, PUBLISHER], ids=lambda unit: unit.name)
def test_memory_and_tasks_are_capped(unit: Path) -> None:
    """Neither process can take the whole box down with it, and both together leave something to the system."""
    settings = read(unit)

    assert {"MemoryMax", "TasksMax"} <= settings.keys()
    assert ["footfall.slice"] == settings["Slice"]
    assert "80%" in read(UNITS / "footfall.slice")["MemoryMax"]


def test_an_interrupted_update_is_ended_before_anything_starts() -> None:
    """The unit that goes back runs before the publisher, and so before vision, and needs nothing of any release."""
    settings = read(UNITS / "recover-update" / "footfall-recover-update.service")

    assert "footfall-publisher.service" in settings["Before"][0].split()
    assert not [value for value in settings["ExecStart"] if "current" in value]


def test_logs_stay_in_memory() -> None:
    """The journal's drop-in keeps logs off the card, and bounds them."""
    settings = read(UNITS / "journald.conf.d" / "footfall.conf")

    assert ["volatile"] == settings["Storage"]
    assert {"RuntimeMaxUse", "RateLimitBurst"} <= settings.keys()


def test_vision_stops_before_the_publisher() -> None:
    """What vision writes as it goes is still read: it is ordered after the publisher, so it stops first."""
    assert "footfall-publisher.service" in read(VISION)["After"][0].split()


def test_vision_can_write_nowhere() -> None:
    """Nothing opens a hole in vision's read-only file system."""
    holes = {"ReadWritePaths", "StateDirectory", "CacheDirectory", "LogsDirectory", "RuntimeDirectory", "PrivateTmp"}

    assert set() == holes & read(VISION).keys()


def test_publisher_can_write_only_its_state() -> None:
    """The ledger's folder is the publisher's only place on disk."""
    holes = {"ReadWritePaths", "StateDirectory", "CacheDirectory", "LogsDirectory", "RuntimeDirectory"}

    assert {"StateDirectory"} == holes & read(PUBLISHER).keys()


@pytest.mark.parametrize("unit", [VISION, PUBLISHER], ids=lambda unit: unit.name)
def test_there_is_no_way_round_the_diode(unit: Path) -> None:
    """Neither process sees the bus, on which systemd tells of services, nor memory or queues that both could open."""
    hidden = {
        path.removeprefix("-").removeprefix("+") for value in read(unit)["InaccessiblePaths"] for path in value.split()
    }

    assert {"/run/dbus", "/dev/shm", "/dev/mqueue"} <= hidden  # noqa: S108 - it is hidden


@pytest.mark.parametrize("unit", [VISION, PUBLISHER], ids=lambda unit: unit.name)
def test_each_process_has_a_root_of_its_own(unit: Path) -> None:
    """Its root is a folder that tmpfiles.d makes, into which nothing can be written, and no home or bus is put."""
    settings = read(unit)
    root = settings["RootDirectory"][0]
    bound = {path.lstrip("-") for value in settings["BindReadOnlyPaths"] for path in value.split()}

    assert re.search(
        rf"^d\s+{root}\s+0755 root root", (UNITS / "tmpfiles.d" / "footfall.conf").read_text(), re.MULTILINE
    )
    assert "BindPaths" not in settings
    assert bound & {"/", "/run", "/home", "/var", "/dev", "/run/dbus", "/run/user", "/tmp", "/mnt", "/srv"} == set()  # noqa: S108


def test_a_crash_leaves_nothing_in_the_kernels_log() -> None:
    """sysctl.d keeps registers and memory of a process that crashes out of the kernel's log; no kernel must have it."""
    assert "-debug.exception-trace = 0" in (UNITS / "sysctl.d" / "footfall.conf").read_text(encoding="utf-8").split(
        "\n"
    )


def test_publisher_reaches_no_device() -> None:
    """No line gives the publisher a device."""
    assert "DeviceAllow" not in read(PUBLISHER)


def test_the_diode_lets_each_side_do_one_thing() -> None:
    """The FIFO's mode: its owner, vision, may only write; its group, the publisher, may only read; others nothing."""
    expected = stat.S_IWUSR | stat.S_IRGRP

    assert expected == int(read(DIODE)["SocketMode"][0], 8)


def test_the_two_users_are_made() -> None:
    """sysusers.d makes the user of each service."""
    made = re.findall(r"^u\s+(\S+)", (UNITS / "sysusers.d" / "footfall.conf").read_text(encoding="utf-8"), re.MULTILINE)

    assert {read(VISION)["User"][0], read(PUBLISHER)["User"][0]} == set(made)


@pytest.mark.parametrize("unit", [VISION, PUBLISHER], ids=lambda unit: unit.name)
def test_asking_the_clock_stays_possible(unit: Path) -> None:
    """Neither unit forbids clock_adjtime(2), without which the clock would never be trusted and no hour ever placed."""
    settings = read(unit)

    assert "yes" not in settings["ProtectClock"]
    assert any("clock_adjtime" in value.split() for value in settings["SystemCallFilter"])


@pytest.mark.processes
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze isn't on this machine")
@pytest.mark.parametrize(("unit", "most"), [(VISION, 1.0), (PUBLISHER, 1.4)], ids=["vision", "publisher"])
def test_exposure_is_low(unit: Path, most: float) -> None:
    """By systemd's own measure, the service's exposure stays under its limit."""
    report = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)

    assert found, report
    assert float(found[1]) <= most


HEADQUARTERS = sorted((UNITS.parent / "deploy/headquarters/units").glob("*.service"))


@pytest.mark.parametrize("unit", HEADQUARTERS, ids=lambda unit: unit.stem)
def test_headquarters_services_are_confined(unit: Path) -> None:
    """None is root, none has a right of root's, and each writes to headquarters' own folders only."""
    settings = read(unit)
    written = " ".join(settings["ReadWritePaths"]).split()

    assert ["footfall_hq"] == settings["User"]
    assert settings["ExecStart"][0].startswith("/opt/footfall-hq/current/bin/footfall ")
    for key in ("CapabilityBoundingSet", "NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateDevices"):
        assert [BOTH.get(key, "yes")] == settings[key], key
    assert set(written) <= {"/var/lib/footfall-hq", "/var/lib/footfall-report"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="NO SYSTEMD ON THIS MACHINE")
@pytest.mark.processes
@pytest.mark.parametrize("unit", HEADQUARTERS, ids=lambda unit: unit.stem)
def test_headquarters_exposure_is_low(unit: Path) -> None:
    """By systemd's own measure."""
    test_exposure_is_low(unit, 2.5)
