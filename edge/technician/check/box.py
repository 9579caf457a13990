"""The part of `footfall check` that looks at the box: temperature, clock, disk, ledger, units."""

from __future__ import annotations

import os
import pwd
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from edge.config.credentials import read_password
from edge.config.schema import Config, PublisherSettings
from edge.core.clock import KernelClock
from edge.core.errors import LedgerError, LedgerMissing, PasswordFileError
from edge.core.systemd import bound_folders, drop_in_for
from edge.publisher.ledger.view import LedgerView
from edge.technician import proc, temperature
from edge.technician.check.check_result import CheckResult, fail, ok, warn

SYSTEMD = Path("/run/systemd/system")
"""There when systemd runs the machine."""

_LITTLE_MB, _NO_ROOM_MB = 200, 20
"""MB free on the ledger's disk under which `check` warns, and under which it fails."""
_SLOW_S = 2.0
"""Seconds that a card may take to store the probe before `check` warns of it."""
_PROBE_BYTES = 65_536
"""Size of the file that `check` writes beside the ledger, forces to the disk and removes."""
_PUBLISHER_USER = "footfall-publisher"
_ETC = Path("/etc/footfall")
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - only looked at
"""What the publisher's unit doesn't let it see: ProtectHome, PrivateTmp, InaccessiblePaths."""


def check_temperature() -> Iterator[CheckResult]:
    """Tell how warm the box is, and whether it is throttled."""
    found = temperature.read()
    if found.celsius is None:
        yield ok("temperature", "this machine has no sensor")
    elif found.celsius >= temperature.HOT_C:
        yield fail("temperature", f"{found}: too hot, it slows itself down", "give the box air, shade or a heat sink")
    elif found.celsius >= temperature.WARM_C:
        yield warn("temperature", f"{found}: warm", "give the box air; a closed case in the sun gets hotter still")
    else:
        yield ok("temperature", str(found))
    advice = (
        "use the supply that came with the box, and a short cable"
        if any("voltage" in words for words in (*found.throttled, *found.was_throttled))
        else "give the box air, shade or a heat sink"
    )
    if found.throttled:
        yield fail("throttling", "; ".join(found.throttled), advice)
    elif found.was_throttled:
        yield warn("throttling", "not now, but since it started: " + "; ".join(found.was_throttled), advice)
    else:
        yield ok("throttling", "the box isn't throttled")


def check_clock() -> Iterator[CheckResult]:
    """Tell whether the kernel's clock is kept right."""
    clock = KernelClock()
    says = f"it is {datetime.fromtimestamp(clock.wall_ms() / 1000, UTC):%Y-%m-%d %H:%M} UTC"
    if clock.trusted():
        yield ok("clock", f"synchronised; {says}")
    else:
        yield fail(
            "clock",
            f"not synchronised: what is counted waits, and no hour is sent; {says}",
            "let the box reach a time server (UDP port 123), then look at `timedatectl`",
        )


def check_disk(settings: PublisherSettings) -> Iterator[CheckResult]:
    """Tell whether the ledger's disk has room, and can really be written to by the publisher."""
    folder = settings.ledger.absolute().parent
    if not folder.is_dir():
        yield warn("disk", f"{folder} isn't there yet", "start the publisher once; systemd makes the folder for it")
        return
    try:
        stats = os.statvfs(folder)
        took_s = _write_test(folder)
    except OSError as exc:
        advice = "run this with sudo" if isinstance(exc, PermissionError) else f"look at `df {folder}` and `dmesg`"
        yield fail("disk", f"{folder} can't be written to: {exc.strerror}", advice)
        return
    room_mb = stats.f_bavail * stats.f_frsize // 1_000_000
    found = f"{room_mb:,} MB free in {folder}, 64 KiB written and forced to the disk in {1000 * took_s:.0f} ms"
    if room_mb < _NO_ROOM_MB:
        yield fail("disk", found, "delete files: soon counts can be kept in memory only")
    elif room_mb < _LITTLE_MB:
        yield warn("disk", found, f"delete files; {_LITTLE_MB} MB are enough for years")
    elif took_s > _SLOW_S:
        yield warn("disk", found, "the card is very slow, which often comes before its end; have another at hand")
    else:
        yield ok("disk", found)
    yield from _check_owner(folder)


def _write_test(folder: Path) -> float:
    """Write a file in *folder*, force it to the disk, remove it; return how long it took, s."""
    path = folder / f".footfall-check-{os.getpid()}"
    began_s = time.monotonic()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, bytes(_PROBE_BYTES))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        path.unlink()
    return time.monotonic() - began_s


def _check_owner(folder: Path) -> Iterator[CheckResult]:
    """Say so where the service's user, if there is one, doesn't own the folder that it must write to."""
    user, owner = _publisher_user(), folder.stat().st_uid
    if user is not None and SYSTEMD.exists() and owner not in (user.pw_uid, os.geteuid() or user.pw_uid):
        yield fail(
            "disk owner",
            f"{folder} belongs to user {owner}, not to {_PUBLISHER_USER}",
            f"sudo chown -R {_PUBLISHER_USER}: {folder}",
        )


def _publisher_user() -> pwd.struct_passwd | None:
    """Return the service's user; None where the units aren't installed."""
    try:
        return pwd.getpwnam(_PUBLISHER_USER)
    except KeyError:
        return None


def check_broker_files(settings: PublisherSettings) -> Iterator[CheckResult]:
    """
    Tell which of the broker's files the publisher can't use, though whoever checks can read them.

    Whether the publisher may read its password is another matter: systemd reads that for it.
    """
    yield from _check_password(settings)
    tls, user = settings.broker.tls, _publisher_user()
    if tls is None or user is None or not SYSTEMD.exists():
        return
    groups = set(os.getgrouplist(user.pw_name, user.pw_gid))
    for path in filter(None, (tls.ca_file, tls.cert_file, tls.key_file)):
        real = path.resolve()
        if any(real.is_relative_to(hidden) for hidden in _HIDDEN):
            yield fail("broker files", f"{path}: the publisher's unit hides that folder from it", f"move it to {_ETC}")
        elif os.access(real, os.R_OK) and (barred := _barred(real, user.pw_uid, groups)) is not None:
            where = f"{path}: {user.pw_name} may not " + ("read it" if barred == real else f"enter {barred}")
            right = "r" if barred == real else "x"
            yield fail("broker files", where, f"sudo chgrp {user.pw_name} {barred} && sudo chmod g+{right} {barred}")


def _check_password(settings: PublisherSettings) -> Iterator[CheckResult]:
    """Say so where blanks stand around the password: an editor may have left them."""
    try:
        password = read_password(settings.broker)
    except PasswordFileError:
        return  # the login tells
    if password is not None and password != password.strip():
        yield warn(
            "broker password",
            f"{settings.broker.password_file}: the password begins or ends with a blank",
            "delete the blank, unless it is meant",
        )


def _barred(path: Path, uid: int, groups: set[int]) -> Path | None:
    """Return what of *path*, a folder above it or itself, keeps a user out by its mode; None if nothing does."""
    for part in (*reversed(path.parents), path):
        stats = part.stat()
        bit = stat.S_IROTH if part == path else stat.S_IXOTH
        shift = 6 if stats.st_uid == uid else 3 if stats.st_gid in groups else 0
        if not stats.st_mode & bit << shift:
            return part
    return None


def check_ledger(settings: PublisherSettings) -> Iterator[CheckResult]:
    """Read all of the ledger, and tell what waits in it."""
    path = settings.ledger
    try:
        with LedgerView.opened(path) as ledger:
            damage = ledger.fault()
            if damage is not None:
                yield fail(
                    "ledger", f"{path} {damage}", "restart the publisher: it sets the file aside and begins anew"
                )
                return
            waiting, since_ms, unplaced = ledger.backlog(), ledger.waiting_since_ms(), ledger.without_wall_time()
            last = [stamp for c in settings.cameras if (stamp := ledger.acknowledged_ms(c.name)) is not None]
    except LedgerMissing:
        yield warn("ledger", f"{path} isn't there yet", "start the publisher: sudo systemctl start footfall-publisher")
        return
    except LedgerError as exc:
        denied = not os.access(path, os.R_OK)
        yield fail("ledger", f"{path}: {exc.cause}", "run this with sudo" if denied else exc.advice)
        return
    aside = sorted(found.name for found in path.parent.glob(f"{path.name}.aside-*") if found.suffix[-1].isdigit())
    if aside:
        yield warn("ledger", f"intact, but {', '.join(aside)} was damaged and set aside", "keep the file for support")
    else:
        yield ok("ledger", f"intact, {path.stat().st_size / 1e6:.1f} MB")
    if unplaced:
        people = sum(in_ + out for *_, in_, out in unplaced)
        boots = len({boot for boot, *_ in unplaced})
        yield warn(
            "counts without wall time",
            f"{plural(people, 'crossing')} of {plural(boots, 'boot')} without a synchronised clock",
            "those of this boot get their hour once the clock is synchronised; those of earlier boots never do",
        )
    yield _outbox(waiting, since_ms, max(last, default=None))


def _outbox(waiting: int, since_ms: int | None, last_ms: int | None) -> CheckResult:
    said = "no hour was acknowledged yet" if last_ms is None else f"last acknowledged {age(last_ms)} ago"
    if not waiting or since_ms is None:
        return ok("outbox", f"no hour is waiting; {said}")
    found = f"{plural(waiting, 'hour')} waiting, the oldest for {age(since_ms)}; {said}"
    late = KernelClock().wall_ms() - since_ms > 2 * 3_600_000
    if late:
        return warn("outbox", found, "nothing is lost; look at the lines about the broker below")
    return ok("outbox", found)


def plural(number: int, noun: str) -> str:
    """Return *number* with its noun, as in "1 hour" and "2 hours"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def age(since_ms: int) -> str:
    """Return how long ago *since_ms*, wall time, was: 12 s, 5 min, 3 h, 2 days."""
    seconds = max(0, KernelClock().wall_ms() - since_ms) // 1000
    for unit, size, most in (("s", 1, 120), ("min", 60, 7_200), ("h", 3_600, 172_800)):
        if seconds < most:
            return f"{seconds // size} {unit}"
    return f"{seconds // 86_400} days"


def check_units(settings: PublisherSettings) -> Iterator[CheckResult]:
    """Tell whether the services are installed and run."""
    if not SYSTEMD.exists():
        processes = [*proc.running("publisher"), *proc.running("vision")]
        found = "a trial is running" if processes else "nothing runs"
        yield warn("units", f"systemd doesn't run this machine; {found}", "on a box: install the units")
        return
    names = ["footfall-publisher.service"]
    for camera in settings.cameras:
        names += [f"footfall-diode@{camera.name}.socket", f"footfall-vision@{camera.name}.service"]
    for name in names:
        yield _unit(name)


def check_folders(config: Config) -> Iterator[CheckResult]:
    """Look whether clip and model of each camera are in the root that its service has made."""
    for name, camera in config.cameras.items():
        unit = f"footfall-vision@{name}.service"
        said = proc.unit_properties(unit, ["RootDirectory", "BindReadOnlyPaths"])
        if not said.get("RootDirectory"):
            continue
        bound = bound_folders(said.get("BindReadOnlyPaths", ""))
        files = [path.absolute() for path in (camera.clip, config.model) if path is not None]
        unseen = [file for file in files if not any(file.is_relative_to(folder) for folder in bound)]
        if unseen:
            advice = drop_in_for(unit, {file.parent for file in unseen})
            yield fail(f"camera {name}", f"its service doesn't see {', '.join(map(str, unseen))}", advice)


def _unit(name: str) -> CheckResult:
    keys = ("LoadState", "ActiveState", "SubState", "UnitFileState", "StatusText", "NRestarts", "ExecMainStatus")
    said = proc.unit_properties(name, keys)
    state = said.get("ActiveState", "unknown")
    restarts = said.get("NRestarts", "0")
    words = f"{state} ({said.get('SubState', '')})" + (f": {said['StatusText']}" if said.get("StatusText") else "")
    if said.get("LoadState") != "loaded":
        return fail(name, "it isn't installed", "install the units: see docs/operations.md, systemd")
    if state == "failed" or said.get("SubState") == "auto-restart":
        return fail(name, f"{words}, exit code {said.get('ExecMainStatus', '?')}", f"journalctl -u {name} -n 20")
    if state not in ("active", "reloading", "activating"):
        return fail(name, words, f"sudo systemctl enable --now {name}")
    if said.get("UnitFileState") not in ("enabled", "enabled-runtime"):
        return warn(name, f"{words}, but it won't start with the box", f"sudo systemctl enable {name}")
    if restarts not in ("0", "[not set]", ""):
        return warn(name, f"{words}; started again {restarts} times", f"journalctl -u {name} -n 50")
    return ok(name, words)
