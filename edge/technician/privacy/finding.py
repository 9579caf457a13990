"""What was looked at and what was found: the lines of an examination, and its verdict."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from edge.core.printable import printable

_MOST = 2000
"""Characters of one line: what a captured process could write into it is bounded."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, what was found, and whether that is as it must be; None tells without judging."""

    what: str
    found: str
    good: bool | None = None


@dataclass(slots=True)
class Section:
    """A process, or what has left the box, or what the model gives; all text is escaped as it comes in."""

    title: str
    findings: list[Finding] = field(default_factory=list)

    def tell(self, what: str, found: object) -> None:
        """Add a finding that isn't judged."""
        self.findings.append(Finding(printable(what, _MOST), printable(str(found), _MOST)))

    def judge(self, what: str, found: object, *, good: bool) -> None:
        """Add a finding that counts for the verdict."""
        self.findings.append(Finding(printable(what, _MOST), printable(str(found), _MOST), good))

    def judge_none(self, what: str, found: Sequence[object], *, otherwise: str = "none") -> None:
        """Add a finding that is good if nothing was *found*."""
        self.judge(what, ", ".join(map(str, found)) or otherwise, good=not found)


@dataclass(frozen=True, slots=True)
class Examination:
    """
    Everything that was found, when, and where.

    Attributes:
        programs: Which release's programs run, by what is known of them; the verdict rests on it.
    """

    box: str
    at: datetime
    sections: Sequence[Section]
    programs: str = "the programs that run here are not known"

    @property
    def faults(self) -> list[str]:
        """What speaks against the promise."""
        return [
            f"{section.title}: {finding.what}: {finding.found}"
            for section in self.sections
            for finding in section.findings
            if finding.good is False
        ]

    @property
    def verdict(self) -> str:
        """One sentence on what was shown, and what it rests on."""
        if not self.faults:
            return (
                "Pictures can't leave: each process that sees is sealed, and the process that talks sees nothing. "
                f"This rests on the kernel of this box and on its root, and on this: {self.programs}."
            )
        more = f", and {len(self.faults) - 1} more" if len(self.faults) > 1 else ""
        return f"NOT SHOWN that pictures can't leave: {self.faults[0]}{more}"


@contextlib.contextmanager
def readable(section: Section) -> Iterator[None]:
    """Turn what may not be read, or has ended, into a finding."""
    try:
        yield
    except PermissionError:
        section.judge("everything else", "this user may not look; run it with sudo", good=False)
    except (FileNotFoundError, ProcessLookupError):
        section.judge("everything else", "it ended while it was looked at; run this again", good=False)
