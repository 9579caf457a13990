"""
Follow each head from frame to frame, by place, size and motion; by nothing that could tell one person from another.

People come in and leave over the picture's border: a head that appears in its middle is one that was lost near by. A
head that appears beside another one is suspected to be a part of it, a shoulder or a bag, until it is seen apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge.vision.explain import Reason, Rejected
from edge.vision.scene import Heads, Sighting, came_over_edge, from_edge
from edge.vision.tracking.association import assign
from edge.vision.tracking.settings import SETTINGS, TrackingSettings
from edge.vision.tracking.track import Detection, Track

_MOST_TRACKS = 200
"""More heads than this are not followed at once."""
_FIRST_HITS = 2
"""A head that appears beside another in one of so many first detections is suspected to be a part of it."""
_EXPLAINED_HITS = 3
"""A track that was never confirmed and had fewer detections isn't worth an explanation."""


class Tracker:
    """
    Gives the heads of one frame after another their tracks. State: the live tracks, at most `_MOST_TRACKS`.

    Args:
        width, height: The picture, px.
        strong, weak: Scores from which a head may begin a track, and may continue one as a half hidden one does.

    Attributes:
        tracks: The live tracks; only to look at, and only until the next update.
        ended: The numbers of the tracks that were deleted in the last update.
        rejected: Those of them that were never taken for a person, and why.
    """

    def __init__(
        self, width: int, height: int, strong: float, weak: float, settings: TrackingSettings = SETTINGS
    ) -> None:
        self._width, self._height = width, height
        self._strong, self._weak = strong, weak
        self._settings = settings
        self._born = 0
        self.tracks: list[Track] = []
        self.ended: list[int] = []
        self.rejected: list[Rejected] = []

    @property
    def all_static(self) -> bool:
        """Whether the newest frame showed every head that is followed, where it has stood for long."""
        return all(track.is_static and track.seen_ms == track.t_ms for track in self.tracks)

    def update(self, heads: Heads, t_ms: float) -> list[Sighting]:
        """
        Return where the confirmed tracks were seen in this frame.

        When a track is confirmed, or is again, its earlier points come with it, oldest first: a fast walker may be over
        the line by then. Where a head came in or went out over the picture's border is reported like a detection.
        *t_ms* is never before that of the last update.
        """
        points = self._move_on(t_ms)
        for head in assign(self.tracks, self._detections(heads), self._settings):
            if head.strong and len(self.tracks) < _MOST_TRACKS:
                self._born += 1
                self.tracks.append(Track(self._born, head, t_ms, self._settings))
        self._verify([track for track in self.tracks if track.seen_ms == t_ms])
        for track in self.tracks:
            if track.seen_ms == t_ms:
                reported = track.report()
                if len(reported) > 1 and reported[0].t_ms == track.born_ms:
                    points += self._entry(reported[0], reported[-1])
                points += reported
        return points

    def _detections(self, heads: Heads) -> list[Detection]:
        """Return those of *heads* that may belong to a track."""
        rows = zip(heads.centres.tolist(), heads.diameters.tolist(), heads.scores.tolist(), strict=True)
        return [Detection(x, y, d, score, score >= self._strong) for (x, y), d, score in rows if score >= self._weak]

    def _move_on(self, t_ms: float) -> list[Sighting]:
        """Move every track on to *t_ms*, delete those unseen for too long, and return where any went out."""
        settings = self._settings
        kept: list[Track] = []
        gone: list[Sighting] = []
        self.ended, self.rejected = [], []
        for track in self.tracks:
            track.predict(t_ms)
            unseen_ms = t_ms - track.seen_ms
            if unseen_ms <= settings.left_ms:
                kept.append(track)  # as nearly always: no track ends sooner
                continue
            is_out = from_edge(track.x, track.y, self._width, self._height) <= 0
            if track.was_confirmed:
                patience_ms = settings.left_ms if is_out else settings.lost_ms
            else:
                patience_ms = settings.tentative_ms if track.hits > 1 and track.owner is None else settings.left_ms
            if unseen_ms <= patience_ms:
                kept.append(track)
                continue
            self.ended.append(track.number)
            if track.confirmed and is_out and self._is_near_border(track.seen_x, track.seen_y, track.diameter):
                gone.append(track.point())
            elif not track.was_confirmed and len(track.pending) >= _EXPLAINED_HITS:
                reason: Reason = "part of a more confident head" if track.owner else "not detected often enough"
                self.rejected.append(Rejected(reason, tuple(track.pending)))
        self.tracks = kept
        return gone

    def _is_near_border(self, x: float, y: float, diameter: float) -> bool:
        return from_edge(x, y, self._width, self._height) < self._settings.border * diameter

    def _entry(self, first: Sighting, last: Sighting) -> list[Sighting]:
        """Return where a head came over the border just before its *first* point, if it moves away from there."""
        point = came_over_edge(first, last, self._width, self._height)
        is_near = self._is_near_border(first.x, first.y, first.diameter)
        return [point] if is_near and point and first.t_ms - point.t_ms <= self._settings.tentative_ms else []

    def _verify(self, seen: Sequence[Track]) -> None:
        """Decide which of those *seen* now are heads of their own, and which of these are lost ones."""
        for track in seen:
            is_back = track.was_confirmed and track.unseen_ms > self._settings.reverify_ms
            if is_back and (owner := self._owner_beside(track)) is not None:
                track.suspect(owner)
        for track in [track for track in seen if not track.was_confirmed]:
            before = track.owner
            if before is not None:
                self._judge_owner(track, before)
            if track.owner is None and not track.was_confirmed:
                track.owner = self._owner_beside(track, before)
            is_new = track.is_credible and not track.was_confirmed
            if is_new and not self._is_near_border(track.born_x, track.born_y, track.diameter):
                self._continue_lost(track)

    def _owner_beside(self, track: Track, before: Track | None = None) -> Track | None:
        """Return the nearest head of which *track*, new or no longer a part of *before*, may be a part."""
        near = [
            (distance, owner.number, owner)
            for owner in self.tracks
            if owner not in (track, before)
            and owner.owner is None
            and owner.seen_ms == track.t_ms
            and (
                (before is not None and owner.was_confirmed)
                or (track.hits <= _FIRST_HITS and owner.judged_ms <= track.judged_ms)
                or track.is_dim_beside(owner)
            )
            and (distance := track.distance(owner)) < self._part_reach(track, owner)
        ]
        return min(near)[2] if near else None

    def _judge_owner(self, track: Track, owner: Track) -> None:
        """Decide whether *track*, seen now, is still suspected to be a part of *owner*, or is the head itself."""
        if owner not in self.tracks:
            track.owner = None
            if owner.was_confirmed:
                track.pending = []
            return
        distance = track.distance(owner)
        track.apart = track.apart + 1 if distance > self._part_reach(track, owner) else 0
        is_gone = track.t_ms - owner.seen_ms >= self._settings.reverify_ms and not owner.is_static
        is_part_of_it = owner.was_confirmed and track.hits > _FIRST_HITS and owner.is_dim_beside(track)
        if is_part_of_it or (is_gone and distance < self._settings.part_reach):
            self._replace(owner, track)
        elif track.apart > 1:
            track.owner = None

    def _part_reach(self, track: Track, owner: Track) -> float:
        """Return how far from *owner* a part of it may be, diameters of the larger."""
        return self._settings.dim_reach if track.is_dim_beside(owner) else self._settings.part_reach

    def _continue_lost(self, track: Track) -> None:
        """Let *track*, now credible and born where nobody comes in, go on as one that was lost near by."""
        near = self._lost_by_distance(track)
        if near and near[0][0] < self._settings.lost_reach:
            self._replace(near[0][2], track)

    def _lost_by_distance(self, track: Track) -> list[tuple[float, int, Track]]:
        """Return the lost heads that *track* may be, nearest first: distance, diameters of *track*; number; track."""
        return sorted(
            (math.hypot(track.born_x - lost.seen_x, track.born_y - lost.seen_y) / track.diameter, lost.number, lost)
            for lost in self.tracks
            if lost.was_confirmed and not lost.is_static and lost.seen_ms < track.born_ms and track.is_alike(lost)
        )

    def _replace(self, lost: Track, heir: Track) -> None:
        """Let *heir* go on under the number of *lost*; its own, of which something may have been reported, ends."""
        self.ended.append(heir.number)
        heir.inherit(lost)
        self.tracks.remove(lost)
