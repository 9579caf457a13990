"""`footfall plan`: prints what a camera over one door would be good for, and draws it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edge.technician.check.check_result import CheckResult, show
from edge.technician.plan import drawing
from edge.technician.plan.geometry import LENSES, TALL_M, USUAL_M, Door, choose_lens, judge


def run(height_m: float, width_m: float, lens: float | None, tilt: float, svg: Path | None) -> int:
    """
    Print the answers for one door, and the usual lenses beside each other; return 1 if something fails, else 0.

    Args:
        height_m: Height of the lens above the floor, m.
        width_m: Width of the door, m.
        lens: What the lens sees across the picture, degrees; None: the narrowest usual one that fits.
        tilt: How far it leans from straight down, degrees.
        svg: Where to draw it.

    Raises:
        OSError: the drawing can't be written.
    """
    door = Door(height_m, width_m, choose_lens(height_m, width_m, tilt) if lens is None else lens, tilt)
    answers = judge(door)
    out = Console(highlight=False, soft_wrap=True)
    out.print(Text(f"A lens of {door.lens:g} degrees, {height_m:g} m above the floor, {door.lean}:", "bold"))
    for answer in answers:
        show(out, answer)
    out.print(_verdict(answers))
    out.print(_lenses(door))
    out.print(
        "Computed for a lens without distortion and a picture of 640 x 480; at the door `footfall setup` measures."
    )
    if svg is not None:
        svg.write_text(drawing.draw(door), encoding="utf-8")
        out.print(f"drawn in {svg}")
    return int(any(answer.state == "fail" for answer in answers))


def _verdict(answers: Sequence[CheckResult]) -> Text:
    fails, warns = (sum(answer.state == state for answer in answers) for state in ("fail", "warn"))
    if fails:
        return Text(f"this doesn't fit: {fails} of {len(answers)} points fail", "bold red")
    if warns:
        return Text("this fits, with a warning" + "s" * (warns > 1), "yellow")
    return Text("this fits", "bold green")


def _lenses(door: Door) -> Table:
    """Return the usual lenses at this height: what each covers, and how large heads are."""
    table = Table(
        "lens", "covers, tall people", "most people", "head of an adult", "this door", box=None, padding=(0, 2, 0, 0)
    )
    for lens in LENSES:
        other = Door(door.height_m, door.width_m, lens, door.tilt)
        states = {answer.state for answer in judge(other)}
        fits = "no" if "fail" in states else "with a warning" if "warn" in states else "yes"
        table.add_row(
            f"{lens}°", f"{other.covered_m(TALL_M):.1f} m", f"{other.covered_m(USUAL_M):.1f} m",
            f"{100 * other.head_share(USUAL_M):.1f} %", fits,
        )  # fmt: skip
    return table
