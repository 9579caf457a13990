"""The real publisher, on a clock that the harness drives. Its waits in real time are shortened as the clock is fast."""

from __future__ import annotations

import logging
from pathlib import Path

from edge import config
from edge.errors import EdgeError
from edge.publisher import connection, mqtt, process
from edge.systemd import Notifier
from tests.faults.clock import SharedClock

log = logging.getLogger(__name__)


def main(settings: str, clock: str) -> int:
    """Run it, as `footfall publisher` does, until it is told to stop; return its exit code."""
    mqtt.ANSWER_S = 2.0
    mqtt.LONGEST_REST_S = 0.5
    connection.CONNECT_S = 2.0
    try:
        process.run(lambda: config.load(Path(settings)).publisher(), SharedClock(Path(clock)), {}, Notifier())
    except EdgeError as exc:
        log.error("%s", exc)  # noqa: TRY400 - as the command says it
        return exc.exit_code
    return 0
