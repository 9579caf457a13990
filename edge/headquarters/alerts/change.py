"""A change of an alert's state: it has begun, or it is over. What it is called, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edge.headquarters.alerts.judge import Alert
from edge.headquarters.report import sentences
from edge.headquarters.report.problems import Kind
from edge.headquarters.sites import Sites
from edge.headquarters.store.reader import Alerting
from edge.web.language import Language
from edge.web.language import marked as _

_OVER = {
    Kind.SILENT: _("hours come again"),
    Kind.MISSING: _("no hour is missing any more"),
    Kind.OFF: _("the box is on again"),
    Kind.DOUBTED: _("the doubted hours are answered"),
    Kind.UNBALANCED: _("in and out agree again"),
    Kind.CAMERA_LOST: _("the camera gives pictures again"),
    Kind.COVERED: _("the camera is no longer covered"),
    Kind.DARK: _("it is bright enough again"),
    Kind.FROZEN: _("the picture moves again"),
    Kind.MOVED: _("the camera's view is right again"),
    Kind.SLOW: _("enough pictures a second again"),
    Kind.UNUSUAL: _("a usual day again"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """
    One change.

    Attributes:
        key: Site, camera and kind.
        place: Site and camera as people call them.
        began: Since when it is or was an alert.
        alert: What is wrong; None if it is over.
    """

    key: Alerting
    place: str
    began: datetime
    alert: Alert | None

    @property
    def is_over(self) -> bool:
        """Whether it is over."""
        return self.alert is None

    def text(self, words: Language) -> str:
        """Return what has happened, in a sentence."""
        if self.alert is None:
            return words(_OVER[Kind(self.key[2])])
        return sentences.cause(self.alert.problem, words)

    def advice(self, words: Language) -> str:
        """Return what to do about it; "" of what is over."""
        return "" if self.alert is None else sentences.advice(self.alert.problem, words)

    def as_json(self, words: Language) -> dict[str, Any]:
        """Return it as the webhook sends it."""
        site, camera, kind = self.key
        return {
            "site": site,
            "camera": camera,
            "kind": kind,
            "state": "closed" if self.is_over else "open",
            "since": self.began.isoformat(timespec="seconds"),
            "place": self.place,
            "hours": 0 if self.alert is None else self.alert.problem.hours,
            "text": self.text(words),
            "advice": self.advice(words),
        }


def changes(told: Mapping[Alerting, datetime], now: Iterable[Alert], plan: Sites) -> Iterator[Change]:
    """Yield what differs between what was told and what is: what has begun first, then what is over."""
    present = {alert.key: alert for alert in now}
    for key, alert in present.items():
        if key not in told:
            yield Change(key, alert.place, alert.since, alert)
    for key, since in sorted(told.items()):
        if key not in present:
            site, camera, _kind = key
            yield Change(key, f"{plan.name(site)} / {plan.name(site, camera)}", since, None)
