"""
`footfall send-test`: a test hour for each camera, so that nobody need wait an hour to see that headquarters hears.

The message goes on the topic of the hours, under a client name of its own, and not through the ledger: it is never sent
again, and the publisher doesn't know of it. It carries the flags `test` and `trial` and counts nobody; see
`edge.core.hour.Hour.of_test`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from rich.console import Console

from edge.config.schema import Config
from edge.core import head_model
from edge.core.clock import KernelClock
from edge.core.hour import Hour, Source
from edge.technician.check.broker import check_broker
from edge.technician.check.check_result import CheckResult, show


def run(settings: Config) -> int:
    """Send one test hour for each camera and print what became of it; return 1 if any of it failed, else 0."""
    out = Console(highlight=False, soft_wrap=True)
    sent_ms = KernelClock().wall_ms()
    publisher = settings.publisher()
    model = head_model.read(settings.model).identity
    hours = {
        camera.name: Hour.of_test(
            Source(settings.site, camera.name, ZoneInfo(settings.timezone), model), sent_ms, camera.lines
        ).encode()
        for camera in publisher.cameras
    }
    results: list[CheckResult] = []
    for result in check_broker(publisher, hours):
        results.append(result)
        show(out, result)
    if any(result.state == "fail" for result in results):
        out.print("not sent: put right what failed, then type this again", style="bold red")
        return 1
    out.print(
        f"sent at {datetime.fromtimestamp(sent_ms / 1000, UTC):%H:%M:%S} UTC; at headquarters `footfall watch` shows"
        " it, and the collector logs it and keeps it in quarantine, with the reason `test`"
    )
    return 0
