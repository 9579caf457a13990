"""The real publisher, on a clock that the harness drives. Its waits in real time are shortened as the clock is fast."""

from __future__ import annotations

import logging
from pathlib import Path

from edge.config import schema
from edge.core.errors import EdgeError
from edge.core.systemd import Notifier
from edge.mqtt import connection
from edge.publisher import outbox, process
from tests.faults.clock import SharedClock

log = logging.getLogger(__name__)


def main(settings: str, clock: str) -> int:
    """Run it, as `footfall publisher` does, until it is told to stop; return its exit code."""
    outbox.ANSWER_S = 2.0
    outbox.LONGEST_REST_S = 0.5
    connection.CONNECT_S = 2.0
    try:
        process.run(lambda: schema.load(Path(settings)).publisher(), SharedClock(Path(clock)), {}, Notifier())
    except EdgeError as exc:
        log.error("%s", exc)  # noqa: TRY400 - as the command says it
        return exc.exit_code
    return 0
