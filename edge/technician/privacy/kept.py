"""
What is kept of a door, where and for how long: one table for docs/privacy.md, whose figures are those of the code.

`footfall privacy --kept` prints it, and tests/test_docs.py holds the page against it.
"""

from __future__ import annotations

from typing import NamedTuple

from edge.config.schema import DEFAULT_LEDGER
from edge.core.hour import HOUR_MS
from edge.core.silhouette import SIZE as SILHOUETTE_BYTES
from edge.core.tally import BEAT_MS
from edge.core.tally import SIZE as TALLY_BYTES
from edge.publisher.hour_builder import KEEP_HOURS_MS, KEEP_READINGS_MS

_DAY_MS = 24 * HOUR_MS


class Kept(NamedTuple):
    """One row of the table: what, where, for how long."""

    what: str
    where: str
    how_long: str


_FOLDER = DEFAULT_LEDGER.parent

KEPT = (
    Kept(
        "the newest picture",
        "RAM of the process that sees",
        "until the next one: at 15 pictures a second, 67 milliseconds. The last one before the camera is closed or lost"
        " may stay, shrunk to the model's size, until the next is looked at",
    ),
    Kept(
        "heads and tracks: place, size, number in the run, and the last hundred places",
        "RAM of the process that sees",
        "while the head is in the picture, and a moment after; of who crossed last, until the next one does",
    ),
    Kept(
        "a slow average of 80 by 60 grey cells, to tell whether anything moves",
        "RAM of the process that sees",
        "fades within seconds",
    ),
    Kept(
        "the edges of what stands still, in 80 by 60 cells, and six copies of the newest picture in as many grey cells,"
        " to tell whether the camera was moved or shaken; nothing is learnt near a head",
        "RAM of the process that sees",
        "the copies: half a second; the edges: while the thing stands there",
    ),
    Kept(
        f"a silhouette, {SILHOUETTE_BYTES} bytes of cells and head positions, while a technician draws a line",
        "RAM of the process that sees, of `footfall setup` and of the technician's browser",
        "until the page is closed, which it does by itself; it is written nowhere",
    ),
    Kept(
        f"readings: counts, frames, milliseconds watched, flags; {TALLY_BYTES} bytes each, every {BEAT_MS // 1000} s",
        f"the diode, then `{DEFAULT_LEDGER}`",
        f"{KEEP_READINGS_MS // HOUR_MS} hours, and the rest of the hour that these begin in; of a boot whose clock was"
        " never synchronised, one reading of each hour and line until the ledger is deleted",
    ),
    Kept(
        "hours: the messages that were sent, and when each was acknowledged",
        f"`{DEFAULT_LEDGER}`",
        f"{KEEP_HOURS_MS // _DAY_MS} days; while no broker has acknowledged them, until one does",
    ),
    Kept("hours", "headquarters", "as headquarters decides"),
    Kept(
        "a copy of the ledger from before the last update, and ledgers that were damaged and set aside",
        f"`{_FOLDER}`",
        "until the next update; those set aside until somebody deletes them",
    ),
    Kept(
        "an audit: totals by minute, and **the name of whoever signed it**",
        f"`{_FOLDER}/audits`",
        "until somebody deletes it",
    ),
    Kept(
        "the times of the taps of an audit that is going on",
        f"`{_FOLDER}/audits`",
        "until its report is written",
    ),
    Kept(
        "the config: names of site, cameras and lines, where lines are, opening hours; the broker's name and user",
        "`/etc/footfall/footfall.yaml`, and `footfall.yaml.<time>.bak` beside it each time `setup` saves",
        "until somebody deletes it",
    ),
    Kept("the broker's password", "`/etc/footfall/mqtt.password`", "until it is changed or deleted"),
    Kept(
        "log lines: what the processes said before they were sealed, and what the publisher says; no picture, nothing"
        " about a person",
        "the system's journal, in RAM",
        "until the box restarts, 24 MB at most",
    ),
    Kept(
        "when which release was installed or rolled back",
        "`/opt/footfall/history`",
        "until Footfall is uninstalled with `--purge`",
    ),
    Kept(
        "a bundle for support or an inspector's report, if somebody makes one",
        "where the command was told to write it",
        "until somebody deletes it",
    ),
)
"""Everything that is kept, in the order of its way out."""


def table() -> str:
    """Return the table as Markdown."""
    rows = [f"| {row.what} | {row.where} | {row.how_long} |" for row in KEPT]
    return "\n".join(["| what | where | how long |", "|---|---|---|", *rows]) + "\n"
