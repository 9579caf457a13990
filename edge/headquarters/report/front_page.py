"""
The first page: is the chain up or down, which shops stand out, which cameras can't be trusted. Pure.

It keeps a few hundred bytes of each site, so that it knows a chain of any size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from edge.headquarters.report.grid import Comparison
from edge.headquarters.report.problems import Problem
from edge.headquarters.report.study import Applied, Figures, Question, SiteStudy

_LEAST_DIFFERENCE = 0.1
"""A shop stands out if its change differs from the chain's by more than this, as a factor of people: a tenth."""
_LEAST_SIGMA = 3.0
"""A shop stands out if its change differs by more than so many standard deviations of counts by chance, too."""
LEAST_COMPARED = 0.5
"""A shop stands out only if at least this share of its open hours could be compared; a change over less is marked."""


@dataclass(frozen=True, slots=True)
class CameraLine:
    """A camera's line on the first page."""

    site: str
    site_name: str
    camera: str
    camera_name: str
    problems: tuple[Problem, ...]

    @property
    def urgency(self) -> tuple[bool, int]:
        """What goes on comes first, then what spoils most hours."""
        return (
            all(problem.until is not None for problem in self.problems),
            -max(problem.hours for problem in self.problems),
        )


@dataclass(frozen=True, slots=True)
class SiteLine:
    """A site's line on the first page."""

    site: str
    name: str
    region: str | None
    figures: Figures
    cameras: int


@dataclass(frozen=True, slots=True)
class StandOut:
    """A shop whose change isn't the chain's, by the comparison that shows it most."""

    line: SiteLine
    against: str
    change: float
    chain: float


@dataclass(slots=True)
class FrontPage:
    """What the first page shows; sites are added one by one."""

    figures: Figures = field(default_factory=Figures)
    sites: list[SiteLine] = field(default_factory=list)
    untrusted: list[CameraLine] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    applied: dict[int, Applied] = field(default_factory=dict)
    cameras: int = 0
    trials: int = 0

    def add(self, study: SiteStudy) -> None:
        """Add a site."""
        self.figures.include(study.figures)
        self.sites.append(SiteLine(study.site, study.name, study.region, study.figures, len(study.cameras)))
        self.questions += study.questions
        self.trials += study.trials
        self.cameras += len(study.cameras)
        for entry in study.applied:
            known = self.applied.setdefault(entry.correction.number, Applied(entry.correction))
            known.hours += entry.hours
            known.people += entry.people
        for camera in study.cameras:
            if camera.problems:
                self.untrusted.append(
                    CameraLine(study.site, study.name, camera.camera, camera.name, tuple(camera.problems))
                )

    def most_urgent(self) -> list[CameraLine]:
        """Return the cameras that can't be trusted, the most urgent first."""
        return sorted(self.untrusted, key=lambda line: (*line.urgency, line.site, line.camera))

    def by_visitors(self) -> list[SiteLine]:
        """Return the sites, those with most visitors in the week first."""
        return sorted(self.sites, key=lambda line: (-line.figures.week.in_, line.name))

    def regions(self) -> list[tuple[str, Figures]]:
        """Return the regions by name with their figures; none if no more than one is known."""
        found: dict[str, Figures] = {}
        for line in self.sites:
            if line.region is not None:
                found.setdefault(line.region, Figures()).include(line.figures)
        return sorted(found.items()) if len(found) > 1 else []

    def stand_outs(self) -> list[StandOut]:
        """Return the shops that stand out, those that differ most first."""
        found = []
        for line in self.sites:
            ways = list(_differences(line, self.figures))
            if ways:
                found.append(max(ways, key=lambda way: abs(math.log((1 + way.change) / (1 + way.chain)))))
        return sorted(found, key=lambda one: (-abs(one.change - one.chain), one.line.site))


def _differences(line: SiteLine, chain: Figures) -> Iterator[StandOut]:
    """Yield each comparison in which a shop differs from the chain by more than chance explains."""
    mine = line.figures
    pairs: Sequence[tuple[str, Comparison, Comparison]] = (
        ("last_year", mine.last_year, chain.last_year),
        ("four_weeks", mine.four_weeks, chain.four_weeks),
    )
    for name, ours, theirs in pairs:
        if ours.change is None or theirs.change is None or not ours.now or not theirs.now:
            continue
        difference = math.log((1 + ours.change) / (1 + theirs.change))
        chance = math.sqrt(1 / ours.now + 1 / ours.then)
        is_large = abs(difference) > math.log(1 + _LEAST_DIFFERENCE) and abs(difference) > _LEAST_SIGMA * chance
        if is_large and ours.share >= LEAST_COMPARED:
            yield StandOut(line, name, ours.change, theirs.change)
