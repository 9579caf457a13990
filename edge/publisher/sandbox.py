"""
The publisher's own cell: no camera, no device, no other process, no file to write but the ledger.

On a box its unit says the same and more; this holds in a trial as well, where both processes run as one user, and for
root. It rests on Landlock: a kernel without it leaves the unit, and memory that nobody else of this user can look into,
where the broker's password is. Entered when the ledger and the diodes are open
and before anything is heard from a network.

Everything else may be read, as name servers, certificates and time zones lie in places that nobody can list; but not
/dev, where cameras are, nor /proc and /sys, where other processes and their load could be watched. Which address it
speaks to is left to the unit (IPAddressAllow=): Landlock knows ports only, and the MQTT library needs some of its own.
"""

from __future__ import annotations

import logging
from pathlib import Path

from edge.config.schema import PublisherSettings
from edge.core.errors import SealError
from edge.sandbox import landlock, prctl

log = logging.getLogger(__name__)

_CLOSED = {"dev", "proc", "sys"}


def enter(settings: PublisherSettings) -> None:
    """
    Confine this process for good; say so and go on where the kernel has no Landlock.

    Raises:
        SealError: the kernel has it, and refuses the rules.
    """
    prctl.hide_memory()
    if not landlock.abi():
        log.info("this kernel has no Landlock: what this process may reach, its unit alone decides")
        return
    readable = [path for path in Path("/").iterdir() if path.name not in _CLOSED and path.exists()]
    allowed = dict.fromkeys(readable, landlock.READ)
    allowed[settings.ledger.absolute().parent] = landlock.KEEP_FILES
    try:
        prctl.gain_nothing()
        landlock.restrict(allowed, network=True)
    except OSError as exc:
        raise SealError(f"cell: Landlock refuses its rules: {exc.strerror}") from exc
