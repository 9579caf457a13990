"""
The publisher's own sandbox: no camera, no device, no other process, no file to write but the ledger.

On a box its unit says the same and more; this holds in a trial as well, where both processes run as one user, and for
root. Entered when the ledger and the diodes are open and before anything is heard from a network. In this order::

    a root of its own    where a user may make one: the system, the config, certificates, name services and the ledger;
                         no home, no /run/user, no other program's sockets. On a box its unit has made it
    no capabilities      but, for root, to read its own files whatever their mode
    Landlock             where the kernel has it: no device, no /proc, no /sys, no program, one folder to write to
    seccomp              no other program, no shared memory or futex, no inotify, no other socket than TCP and UDP
                         (`edge.sandbox.seccomp`)

Where it can have no root of its own, it makes no socket with a path either: others of its user listen at them, such as
the session bus and camera services, and Landlock doesn't know them. A broker's name that only a local service can
resolve (`hub.local`) is then not found, and the log says so.

Everything else in its root may be read, as name servers, certificates and time zones lie in places that nobody can
list; but not /dev, where cameras are, nor /proc and /sys, where other processes and their load could be watched. Which
address it speaks to is left to the unit (IPAddressAllow=): Landlock knows ports only, and the MQTT library needs some
of its own.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from edge.config.schema import PublisherSettings
from edge.core.errors import SealError
from edge.sandbox import devices, landlock, namespaces, prctl, seccomp

log = logging.getLogger(__name__)

_CLOSED = {"dev", "proc", "sys"}
_RESOLVER = Path("/etc/resolv.conf")
_NAME_SERVICES = tuple(
    map(Path, ("/run/systemd/resolve", "/run/avahi-daemon", "/run/nscd", "/var/lib/ca-certificates"))
)
"""What answers for names on this machine, if it is there, and where certificates may lie beside /etc and /usr."""


def enter(settings: PublisherSettings, config: Path | None = None) -> None:
    """
    Confine this process for good; say so and go on where the kernel has no Landlock.

    Args:
        settings: What it may know.
        config: The config file, which is read again when it is changed.

    Raises:
        SealError: something that the kernel has could not be had.
    """
    seccomp.load_library()
    prctl.hide_memory()
    own_root = _enter_root(settings, config)
    try:
        prctl.gain_nothing()
        prctl.drop_capabilities(keep=(prctl.DAC_OVERRIDE, prctl.DAC_READ_SEARCH))
        if landlock.abi():
            readable = [path for path in Path("/").iterdir() if path.name not in _CLOSED and path.exists()]
            allowed = dict.fromkeys(readable, landlock.READ)
            allowed[settings.ledger.absolute().parent] = landlock.KEEP_FILES
            landlock.restrict(allowed, network=True)
        else:
            log.info("this kernel has no Landlock: what this process may reach, its root and its unit decide")
    except OSError as exc:
        raise SealError(f"publisher's sandbox: the kernel refuses a rule: {exc.strerror}") from exc
    if not own_root:
        log.info("no root of its own can be had: a broker's name that only a local service knows (.local) isn't found")
    try:
        seccomp.publisher_filter(unix=own_root).load()
    except OSError as exc:
        raise SealError(f"publisher's sandbox: the kernel doesn't take its filter: {exc.strerror}") from exc


def _enter_root(settings: PublisherSettings, config: Path | None) -> bool:
    """Live in a root of our own, made here or by the unit; return False where there is none."""
    if namespaces.is_own_root():
        return True
    if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208 - only counted
        return False
    if not namespaces.leave(network=True) or not namespaces.make_read_only():
        return False
    try:
        namespaces.enter_root(list(_needed(settings, config)), [settings.ledger.absolute().parent])
    except OSError as exc:
        raise SealError(f"publisher's sandbox: a root of its own can't be made: {exc.strerror}") from exc
    return True


def _needed(settings: PublisherSettings, config: Path | None) -> Iterator[Path]:
    """Yield what is read later on: libraries, name services, certificates, and whatever the config names."""
    yield from (*namespaces.SYSTEM, *devices.ALWAYS, *_NAME_SERVICES)
    yield from (
        Path(place) for place in (sys.prefix, sys.base_prefix, *sys.path) if place and Path(place) != Path.cwd()
    )
    yield Path(__file__).resolve().parents[2]
    servers = _RESOLVER.resolve()
    # A folder, as the file is replaced when the network changes; not all of /run, where sockets are.
    yield servers if servers.parent == Path("/run") else servers.parent
    broker = settings.broker
    files = [settings.model, broker.password_file]
    files += [] if broker.tls is None else [broker.tls.ca_file, broker.tls.cert_file, broker.tls.key_file]
    files += [
        config,
        Path(os.environ["CREDENTIALS_DIRECTORY"], "any") if "CREDENTIALS_DIRECTORY" in os.environ else None,
    ]
    yield from (file.absolute().parent for file in files if file is not None)
