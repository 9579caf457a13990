"""The real publisher, on a clock that the harness drives. Its waits in real time are shortened as the clock is fast."""

from __future__ import annotations

import logging
from pathlib import Path

from edge.config import schema
from edge.core.errors import EdgeError
from edge.core.systemd import Notifier
from edge.mqtt.limits import LIMITS
from edge.publisher import process
from tests.faults.clock import SharedClock

log = logging.getLogger(__name__)


def main(settings: str, clock: str) -> int:
    """Run it, as `footfall publisher` does, until it is told to stop; return its exit code."""
    for name, seconds in (("answer_s", 2.0), ("longest_wait_s", 0.5), ("connect_s", 2.0)):
        # They are frozen for everybody else.
        object.__setattr__(LIMITS, name, seconds)
    try:
        process.run(lambda: schema.load(Path(settings)).publisher(), SharedClock(Path(clock)), {}, Notifier())
    except EdgeError as exc:
        log.error("%s", exc)  # noqa: TRY400 - as the command says it
        return exc.exit_code
    return 0
