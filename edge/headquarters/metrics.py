"""
What the collector knows, as Prometheus reads it: `footfall collect --metrics PORT`, on loopback.

Alerts are Prometheus' own business; docs/headquarters.md has rules to begin with. Names of cameras are labels, and come
from messages that were accepted only.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge.core.errors import HEADQUARTERS_EXTRA, ExtraMissing
from edge.core.hour import Hour
from edge.headquarters.errors import REASONS
from edge.headquarters.store.batch import Outcome

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server
except ImportError as exc:
    raise ExtraMissing("Prometheus' client", HEADQUARTERS_EXTRA) from exc

_CAMERA = ("site", "camera")


class Metrics:
    """The figures, each with the label site and camera where it is one of a camera."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._stored = Counter("footfall_hours_stored", "Hours stored.", registry=self.registry)
        self._repeated = Counter("footfall_hours_repeated", "Hours that were known already.", registry=self.registry)
        self._quarantined = Counter(
            "footfall_quarantined", "Messages put into quarantine.", ["reason"], registry=self.registry
        )
        # Prometheus sees no increase in a counter that was not there before.
        for reason in REASONS:
            self._quarantined.labels(reason)
        self._end = Gauge(
            "footfall_hour_end_timestamp_seconds", "End of the newest hour.", _CAMERA, registry=self.registry
        )
        self._people = Gauge(
            "footfall_hour_people", "People in the newest hour.", [*_CAMERA, "direction"], registry=self.registry
        )
        self._watched = Gauge(
            "footfall_hour_watched_ratio", "Share of the newest hour that was watched.", _CAMERA, registry=self.registry
        )
        self._flag = Gauge(
            "footfall_hour_flag", "1 if the newest hour has the flag.", [*_CAMERA, "flag"], registry=self.registry
        )
        self._online = Gauge("footfall_online", "1 if the box says that it is online.", _CAMERA, registry=self.registry)
        self._missing = Gauge("footfall_hours_missing", "Hours missing between known ones.", registry=self.registry)
        self._gapped = Gauge("footfall_cameras_missing_hours", "Cameras with missing hours.", registry=self.registry)
        self._newest: dict[tuple[str, str], tuple[float, int]] = {}
        self._flags: dict[tuple[str, str], set[str]] = {}

    def serve(self, port: int) -> int:
        """Answer on loopback at *port*, 0 for any free one; return the port. OSError if it is taken."""
        server, _ = start_http_server(port, "127.0.0.1", self.registry)
        return int(server.server_port)

    def note_outcome(self, outcome: Outcome) -> None:
        """Count what became of a batch."""
        self._stored.inc(outcome.stored)
        self._repeated.inc(outcome.repeated)
        for reason, times in outcome.quarantined.items():
            self._quarantined.labels(reason).inc(times)

    def note_hour(self, hour: Hour) -> None:
        """Show an hour, if it is its camera's newest, or a correction of it."""
        names = (hour.site, hour.camera)
        age = (hour.start.timestamp(), hour.revision)
        if age < self._newest.get(names, (0.0, 0)):
            return
        self._newest[names] = age
        self._end.labels(*names).set(hour.end.timestamp())
        self._people.labels(*names, "in").set(hour.in_)
        self._people.labels(*names, "out").set(hour.out)
        self._watched.labels(*names).set(hour.watched_s / hour.length_s)
        for flag in self._flags.get(names, set()) - set(hour.flags):
            self._flag.labels(*names, flag).set(0)
        for flag in hour.flags:
            self._flag.labels(*names, flag).set(1)
        self._flags.setdefault(names, set()).update(hour.flags)

    def note_statuses(self, statuses: Mapping[tuple[str, str], str]) -> None:
        """Show which boxes are online."""
        for names, status in statuses.items():
            self._online.labels(*names).set(status == "online")

    def note_gaps(self, hours: int, cameras: int) -> None:
        """Show how many hours are missing, and at how many cameras."""
        self._missing.set(hours)
        self._gapped.set(cameras)
