"""What a technician does at the door: plan it, draw the line, count beside the box, show that headquarters hears."""

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


@command(
    "send-test",
    examples=["sudo footfall send-test", "footfall send-test --config footfall.yaml"],
    exits={1: "the broker can't be reached, or doesn't take the message", 78: ""},
)
@options.config
def send_test(*, config: Path) -> int:
    """
    Send headquarters a test hour, so that nobody need wait for a real one.

    One message for each camera, on the topic of the hours: it counts nobody and carries the flags `test` and `trial`.
    Headquarters shows it and never adds it to any count. It works beside the running service, before it and without a
    synchronised clock.
    """
    from edge.technician import send_test

    return send_test.run(options.load(config))


@command(
    "plan",
    examples=["footfall plan --height 3.2 --width 2.4", "footfall plan --height 3.2 --width 2.4 --svg door.svg"],
    exits={1: "the camera doesn't fit this door as described; the last lines say what would"},
)
@click.option(
    "--height", type=types.number(1.5, 12), required=True, metavar="M", help="Height of the lens above the floor, m."
)
@click.option("--width", type=types.number(0.5, 20), required=True, metavar="M", help="Width of the door, m.")
@click.option(
    "--lens",
    type=types.number(20, 130),
    metavar="DEGREES",
    help="What the lens sees across the picture, degrees. Default: the narrowest usual lens that fits.",
)
@click.option(
    "--tilt",
    type=types.number(0, 60),
    default=0.0,
    metavar="DEGREES",
    help="How far the camera leans from straight down. Default: 0.",
)
@click.option("--svg", type=types.FILE, metavar="FILE", help="Also draw the door from the side and from above.")
def plan(*, height: float, width: float, lens: float | None, tilt: float, svg: Path | None) -> int:
    """
    Tell from height and lens how wide a door a camera covers, and how large heads are.

    It computes with the geometry of a lens without distortion, at the height of people's heads. Nothing is measured:
    `footfall setup` shows at the door how large heads really are.
    """
    from edge.technician.plan import process

    return process.run(height, width, lens, tilt, svg)
