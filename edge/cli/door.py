"""What a technician does at the door: draw the line, and count beside the box."""

from __future__ import annotations

from pathlib import Path

import click

from edge.cli import options, types
from edge.cli.command import command


@command(
    "setup",
    examples=["sudo footfall setup door", "sudo footfall setup door --minutes 30"],
    exits={1: "the page's port is in use", 74: "", 77: "", 78: ""},
)
@options.camera
@options.config
@options.page
def setup(*, camera: str, config: Path, port: int, minutes: float) -> int:
    """
    Draw the lines of a camera on a page, over a silhouette of the door.

    The page is served on this box alone; the terminal shows how to reach it from a phone or a laptop. The camera's
    service is stopped meanwhile and started again afterwards.
    """
    from edge.technician.setup import process

    return process.run(config, camera, port=port, minutes=minutes)


@command(
    "audit",
    examples=["sudo footfall audit door --minutes 15"],
    exits={1: "the count was not signed and accepted, or the page's port is in use", 74: "", 77: "", 78: ""},
)
@options.camera
@options.config
@options.page
@click.option("--line", metavar="NAME", help="Audit this line of the camera only. Default: all of them together.")
@click.option(
    "--reports", type=types.FILE, metavar="DIR", help="Keep the report here. Default: audits, beside the ledger."
)
def audit(*, camera: str, config: Path, port: int, minutes: float, line: str | None, reports: Path | None) -> int:
    """
    Count beside the box, compare, and sign the result.

    Count by taps on a page or by keys in this terminal. The report shows how near the box's count is to yours.
    """
    from edge.technician.audit import process

    return process.run(config, camera, line=line, port=port, minutes=minutes, folder=reports)
