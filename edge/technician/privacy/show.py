"""Prints an examination on the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

from edge.technician.privacy.finding import Examination

MARKS: Mapping[bool | None, tuple[str, str]] = {True: ("ok", "green"), False: ("NO", "bold red"), None: ("  ", "dim")}
"""How a line is marked by whether it is as it must be, and in which style."""


def show(examination: Examination) -> None:
    """Print each line with its mark, and the verdict last."""
    console = Console(highlight=False, soft_wrap=True)
    for section in examination.sections:
        console.print(Text(section.title, "bold"))
        for finding in section.findings:
            mark, style = MARKS[finding.good]
            what = f"{finding.what}: " if finding.what else ""
            found = (finding.found, style if finding.good is False else "")
            console.print(Text.assemble("  ", (mark, style), "  ", (what, "dim"), found))
    console.print(Text(examination.verdict, "bold red" if examination.faults else "bold green"))
