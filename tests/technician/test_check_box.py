"""What `footfall check` says of the box: heat, clock, disk, ledger, units."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.config import schema
from edge.core import clock
from edge.core.clock import KernelClock
from edge.publisher.ledger.ledger import Ledger
from edge.technician import temperature
from edge.technician.check import box
from edge.technician.check.check_result import CheckResult
from tests.technician.rig import Books, write_config

pytestmark = pytest.mark.processes

HOUR_MS = 3_600_000


def one(findings: Iterator[CheckResult], what: str) -> CheckResult:
    """Return the finding about *what*, which there must be once."""
    (found,) = [finding for finding in findings if finding.what == what]
    return found


# --- heat ------------------------------------------------------------------------------------------------------------


def sensors(folder: Path, *degrees: float) -> Path:
    """Make what sysfs shows of so many sensors."""
    for number, celsius in enumerate(degrees):
        zone = folder / "thermal" / f"thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "temp").write_text(f"{round(celsius * 1000)}\n")
    return folder


@pytest.fixture(name="firmware")
def _firmware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a vcgencmd on PATH that says what stands in the file that is returned."""
    folder = tmp_path / "bin"
    folder.mkdir()
    said = tmp_path / "said"
    program = folder / "vcgencmd"
    program.write_text(f'#!/bin/sh\n[ "$1" = get_throttled ] && cat {said}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return said


@pytest.mark.parametrize(
    ("degrees", "state"), [((), "ok"), ((45.0, 51.2), "ok"), ((45.0, 71.0), "warn"), ((81.0,), "fail")]
)
def test_the_hottest_sensor_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, degrees: tuple[float, ...], state: str
) -> None:
    """Warm from 70 °C, too hot from 80; a machine without a sensor is not at fault."""
    monkeypatch.setattr(temperature, "SYS", sensors(tmp_path / "sys", *degrees))

    assert state == one(box.check_temperature(), "temperature").state


@pytest.mark.parametrize(
    ("bits", "state", "words"),
    [
        ("0x0", "ok", "the box isn't throttled"),
        ("0x50005", "fail", "its supply's voltage is too low; it is throttled"),
        ("0x50000", "warn", "not now, but since it started: its supply's voltage is too low; it is throttled"),
        ("0x20002", "fail", "its clock is held down"),
    ],
)
def test_the_firmwares_bits(firmware: Path, bits: str, state: str, words: str) -> None:
    """A Raspberry Pi tells what holds it back, now and since it started."""
    firmware.write_text(f"throttled={bits}\n")
    found = one(box.check_temperature(), "throttling")

    assert (state, words) == (found.state, found.found)
    assert ("supply" in found.advice) == ("supply" in words)


def test_a_firmware_that_doesnt_answer_is_left(firmware: Path) -> None:
    """What can't be read is no fault."""
    firmware.write_text("error=1 error_msg=\n")

    assert "ok" == one(box.check_temperature(), "throttling").state


def test_the_kernels_own_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this user may not ask the firmware, the kernel's driver tells of low voltage."""
    driver = tmp_path / "hwmon" / "hwmon1"
    driver.mkdir(parents=True)
    (driver / "name").write_text("rpi_volt\n")
    (driver / "in0_lcrit_alarm").write_text("1\n")
    monkeypatch.setattr(temperature, "SYS", tmp_path)

    assert ["its supply's voltage is too low"] == temperature.read().throttled


# --- clock -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("synchronised", "state"), [(True, "ok"), (False, "fail")])
def test_the_clock(monkeypatch: pytest.MonkeyPatch, synchronised: bool, state: str) -> None:
    """Without a synchronised clock no hour is ever sent."""
    monkeypatch.setattr(clock, "kernel_synchronised", lambda: synchronised)

    assert state == one(box.check_clock(), "clock").state


# --- disk ------------------------------------------------------------------------------------------------------------


def test_the_disk_is_written_to_and_nothing_stays(tmp_path: Path) -> None:
    """A file is forced to the disk, and removed."""
    settings = schema.load(write_config(tmp_path)).publisher()
    before = set(tmp_path.iterdir())
    found = one(box.check_disk(settings), "disk")

    assert "ok" == found.state
    assert before == set(tmp_path.iterdir())


def test_a_folder_that_cant_be_written_to(tmp_path: Path) -> None:
    """Even root can't write into sysfs: the error is told, and where to look."""
    settings = schema.load(write_config(tmp_path, folder="/sys/kernel")).publisher()
    found = one(box.check_disk(settings), "disk")

    assert "fail" == found.state
    assert "/sys/kernel can't be written to" in found.found


def test_a_folder_that_isnt_there(tmp_path: Path) -> None:
    """Before the first start there is none; that is told, and not made up for."""
    settings = schema.load(write_config(tmp_path, folder=tmp_path / "later")).publisher()
    found = one(box.check_disk(settings), "disk")

    assert "warn" == found.state
    assert not (tmp_path / "later").exists()


# --- ledger ----------------------------------------------------------------------------------------------------------


def test_no_ledger_yet(tmp_path: Path) -> None:
    """A new box has none, and reading makes none."""
    settings = schema.load(write_config(tmp_path)).publisher()
    found = one(box.check_ledger(settings), "ledger")

    assert "warn" == found.state
    assert not settings.ledger.exists()


def test_a_ledger_beside_its_publisher(tmp_path: Path) -> None:
    """While it is open for writing, all of it is read, and what waits is told with its age."""
    path = write_config(tmp_path)
    now_ms = KernelClock().wall_ms()
    books = Books(path, now_ms - 5 * HOUR_MS)
    books.let(240, in_=1)
    books.acknowledge()
    acknowledged = {finding.what: finding for finding in box.check_ledger(books.settings)}
    books.let(60)
    waiting = {finding.what: finding for finding in box.check_ledger(books.settings)}
    books.close()

    assert {"ledger": "ok", "outbox": "ok"} == {what: found.state for what, found in acknowledged.items()}
    assert acknowledged["outbox"].found.startswith("no hour is waiting; last acknowledged")
    assert re.match(r"(1 hour|2 hours) waiting, the oldest for \d+ ", waiting["outbox"].found)


def test_hours_that_wait_for_long(tmp_path: Path) -> None:
    """Nothing is lost, but somebody should look at the broker."""
    books = Books(write_config(tmp_path), KernelClock().wall_ms() - 8 * HOUR_MS)
    books.let(300, in_=1)
    found = one(box.check_ledger(books.settings), "outbox")
    books.close()

    assert "warn" == found.state
    assert "nothing is lost" in found.advice


def test_a_damaged_ledger(tmp_path: Path) -> None:
    """It is told, left as it is, and what to do."""
    books = Books(write_config(tmp_path), KernelClock().wall_ms() - 5 * HOUR_MS)
    books.let(120, in_=1)
    books.close()
    with books.settings.ledger.open("r+b") as file:
        file.seek(2_000)
        file.write(b"\xff" * 6_000)
    before = books.settings.ledger.read_bytes()
    found = one(box.check_ledger(books.settings), "ledger")

    assert "fail" == found.state
    assert before == books.settings.ledger.read_bytes()


def test_something_that_is_no_ledger(tmp_path: Path) -> None:
    """Text in its place."""
    settings = schema.load(write_config(tmp_path)).publisher()
    settings.ledger.write_text("no ledger\n" * 100)

    assert "fail" == one(box.check_ledger(settings), "ledger").state


def test_a_ledger_that_was_set_aside(tmp_path: Path) -> None:
    """The new one is sound; that there was another is told by name."""
    settings = schema.load(write_config(tmp_path)).publisher()
    settings.ledger.write_text("no ledger\n" * 100)
    Ledger(settings.ledger, "b1", 0).close()
    found = one(box.check_ledger(settings), "ledger")

    assert "warn" == found.state
    assert "ledger.sqlite.aside-1" in found.found


def test_counts_without_a_place(tmp_path: Path) -> None:
    """A boot that never saw a synchronised clock keeps its counts, and they are told."""
    path = write_config(tmp_path)
    books = Books(path, KernelClock().wall_ms(), boot_id="b0")
    books.clock.synchronised = False
    books.let(10, in_=1)
    books.close()
    found = one(box.check_ledger(books.settings), "counts without wall time")

    assert "warn" == found.state
    assert found.found.startswith("60 crossings of 1 boot ")


# --- the broker's files ----------------------------------------------------------------------------------------------


def broker_files(folder: Path, authority: Path) -> list[CheckResult]:
    """Return what is said of *authority* under `broker.tls.ca_file`."""
    tls = f"{{ca_file: {authority}}}"
    return list(box.check_broker_files(schema.load(write_config(folder, tls=tls)).publisher()))


@pytest.fixture(name="authority")
def _authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file in a folder that the units show; the service's user is the one that runs the test."""
    monkeypatch.setattr(box, "SYSTEMD", tmp_path)
    monkeypatch.setattr(box, "_HIDDEN", ("/nowhere",))
    monkeypatch.setattr(box, "_PUBLISHER_USER", pwd.getpwuid(os.geteuid()).pw_name)
    path = tmp_path / "closed" / "ca.pem"
    path.parent.mkdir(mode=0o700)
    path.touch(0o600)
    return path


def test_the_publisher_reads_its_files(tmp_path: Path, authority: Path) -> None:
    """Nothing is said of a file that its user can read, nor where there is none."""
    assert not broker_files(tmp_path, authority)
    assert not list(box.check_broker_files(schema.load(write_config(tmp_path)).publisher()))


def test_another_users_file(tmp_path: Path, authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only root may read fails in the service, though the check itself can read it: told, with the command."""
    monkeypatch.setattr(box, "_PUBLISHER_USER", "nobody")
    (found,) = broker_files(tmp_path, authority)

    assert "fail" == found.state
    assert "nobody may not" in found.found
    assert "sudo chgrp nobody" in found.advice


def test_a_file_out_of_the_units_sight(tmp_path: Path, authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit hides whole folders from the publisher, whatever a file's mode."""
    monkeypatch.setattr(box, "_HIDDEN", (str(authority.parent),))
    (found,) = broker_files(tmp_path, authority)

    assert "fail" == found.state
    assert "hides" in found.found


# --- units -----------------------------------------------------------------------------------------------------------


@pytest.fixture(name="systemd")
def _systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a systemctl on PATH that says of unit U what stands in the file U in the folder that is returned."""
    folder = tmp_path / "units"
    folder.mkdir()
    bin_ = tmp_path / "systemctl-bin"
    bin_.mkdir()
    program = bin_ / "systemctl"
    program.write_text(f'#!/bin/sh\n[ "$1" = show ] && cat "{folder}/$2" 2>/dev/null || echo LoadState=not-found\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(bin_), prepend=":")
    monkeypatch.setattr(box, "SYSTEMD", folder)
    return folder


UP = "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nNRestarts=0\n"


@pytest.mark.parametrize(
    ("said", "state", "words"),
    [
        (UP + "StatusText=no hour waits; door-a: connected\n", "ok", "no hour waits"),
        (UP.replace("NRestarts=0", "NRestarts=7"), "warn", "started again 7 times"),
        (UP.replace("=enabled", "=disabled"), "warn", "won't start with the box"),
        (UP.replace("=active", "=inactive").replace("running", "dead"), "fail", "inactive (dead)"),
        (
            UP.replace("=active", "=failed").replace("running", "failed") + "ExecMainStatus=78\n",
            "fail",
            "exit code 78",
        ),
        (UP.replace("=active", "=activating").replace("running", "auto-restart"), "fail", "auto-restart"),
        ("LoadState=not-found\nActiveState=inactive\n", "fail", "isn't installed"),
    ],
)
def test_units(tmp_path: Path, systemd: Path, said: str, state: str, words: str) -> None:
    """What systemd says of a unit, judged, with the command that helps."""
    settings = schema.load(write_config(tmp_path)).publisher()
    for name in ("footfall-diode@door-a.socket", "footfall-vision@door-a.service"):
        (systemd / name).write_text(UP)
    (systemd / "footfall-publisher.service").write_text(said)
    found = {finding.what: finding for finding in box.check_units(settings)}

    assert ["ok", "ok"] == [found[name].state for name in found if name != "footfall-publisher.service"]
    assert state == found["footfall-publisher.service"].state
    assert words in found["footfall-publisher.service"].found


@pytest.mark.parametrize(
    ("bound", "state"),
    [("/usr:/usr:rbind -/opt/footfall:/opt/footfall:rbind", "fail"), ("/usr:/usr:rbind {}:{}:rbind", "")],
    ids=["elsewhere", "a drop-in shows it"],
)
def test_a_clip_that_the_service_does_not_see(tmp_path: Path, systemd: Path, bound: str, state: str) -> None:
    """A clip outside the root of vision's service is told, with the drop-in to type; root itself would see it."""
    path = write_config(tmp_path, source=tmp_path / "door.mp4")
    said = f"RootDirectory=/run/footfall-root/vision\nBindReadOnlyPaths={bound.format(tmp_path, tmp_path)}\n"
    (systemd / "footfall-vision@door-a.service").write_text(said)
    found = list(box.check_folders(schema.load(path)))

    assert [state] * bool(state) == [result.state for result in found]
    assert all(f"BindReadOnlyPaths={tmp_path}" in result.advice for result in found)


def test_no_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a trial there are no units: told, and no failure."""
    monkeypatch.setattr(box, "SYSTEMD", tmp_path / "nothing")
    settings = schema.load(write_config(tmp_path)).publisher()

    assert "warn" == one(box.check_units(settings), "units").state


@pytest.mark.parametrize(
    ("ago_s", "words"), [(0, "0 s"), (119, "119 s"), (600, "10 min"), (7_200, "2 h"), (500_000, "5 days")]
)
def test_ages(ago_s: int, words: str) -> None:
    """As a person would say them."""
    now_ms = KernelClock().wall_ms()

    assert words == box.age(now_ms - ago_s * 1000)
