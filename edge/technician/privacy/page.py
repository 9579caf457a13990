"""The examination as one HTML page that loads nothing."""

from __future__ import annotations

from edge import __version__
from edge.technician.privacy.finding import Examination
from edge.technician.privacy.show import MARKS
from edge.web.render import render


def page(examination: Examination) -> str:
    """Return the examination as one HTML page that loads nothing."""
    return render(
        "privacy.html",
        box=examination.box,
        at=examination.at,
        version=__version__,
        proven=not examination.faults,
        verdict=examination.verdict,
        sections=[
            (
                section.title,
                [(MARKS[finding.good][0].strip(), finding.what, finding.found) for finding in section.findings],
            )
            for section in examination.sections
        ],
    )
