"""Follow each head from frame to frame as the product does, but with beliefs in tracks and in pairs of tracks."""

from __future__ import annotations

from edge.vision.scene import Heads, Sighting
from edge.vision.tracking.association import assign
from edge.vision.tracking.track import Detection, Track
from edge.vision.tracking.tracker import _MOST_TRACKS, Tracker
from tests.simulator.belief.pairs import PairBeliefs
from tests.simulator.belief.settings import BELIEFS, MOTION, BeliefSettings
from tests.simulator.belief.track import BelievedTrack

_REMEMBERED_MS = 6_000.0
"""Beliefs about a pair outlive both tracks by so long: longer than a crossing can be undecided."""


class BeliefTracker(Tracker):
    """
    Gives the heads of one frame after another their tracks.

    It predicts, matches and ends tracks as the product does. A track is reported for its existence, and no
    head is held back for being a part of another one: that is decided at the line, by the belief about the pair.

    Args:
        width, height: The picture, px.
        strong, weak: Scores from which a head may begin a track, and may continue one.

    Attributes:
        pairs: The beliefs about pairs of tracks.
        by_number: The live tracks, and those that ended in the last update, by number.
    """

    tracks: list[BelievedTrack]  # type: ignore[assignment]

    def __init__(self, width: int, height: int, strong: float, weak: float, beliefs: BeliefSettings = BELIEFS) -> None:
        super().__init__(width, height, strong, weak, MOTION)
        self._beliefs = beliefs
        self._t_ms = 0.0
        self._ended_ms: dict[int, float] = {}
        self.pairs = PairBeliefs(beliefs)
        self.by_number: dict[int, BelievedTrack] = {}

    def update(self, heads: Heads, t_ms: float) -> list[Sighting]:
        """Return where the confirmed tracks were seen in this frame; all as `Tracker.update` says."""
        dt_s = (t_ms - self._t_ms) / 1000 if self.by_number else 0.0
        self._t_ms = t_ms
        before = self.tracks
        points = self._move_on(t_ms)
        left = assign(self.tracks, self._detections(heads), MOTION)
        for track in self.tracks:
            if track.seen_ms < t_ms:
                track.miss(dt_s)
        for head in left:
            if head.strong and len(self.tracks) < _MOST_TRACKS:
                self._begin(head)
        self.pairs.update(self.tracks, dt_s)
        seen = [track for track in self.tracks if track.seen_ms == t_ms]
        for track in seen:
            is_new = track.is_credible and not track.was_confirmed
            if is_new and not self._is_near_border(track.born_x, track.born_y, track.diameter):
                self._continue_lost(track)
            reported = track.report()
            if len(reported) > 1 and reported[0].t_ms == track.born_ms:
                points += self._entry(reported[0], reported[-1])
            points += reported
        self.by_number = {track.number: track for track in (*before, *self.tracks)}
        self._forget()
        return points

    def _begin(self, head: Detection) -> None:
        self._born += 1
        born = BelievedTrack(self._born, head, self._t_ms, self._beliefs)
        self.pairs.begin(born, self.tracks, at_border=self._is_near_border(head.x, head.y, head.diameter))
        self.tracks.append(born)

    def _continue_lost(self, track: Track) -> None:
        """Let *track*, now credible and born where nobody comes in, go on as the nearest that was lost near by."""
        for distance, _, lost in self._lost_by_distance(track):
            if distance < self._heir_reach(track.born_ms - lost.seen_ms):
                self._replace(lost, track)
                return

    def _heir_reach(self, gap_ms: float) -> float:
        """Return how far a lost head may have gone unseen in *gap_ms*, d."""
        beliefs = self._beliefs
        return min(beliefs.heir_reach + beliefs.heir_speed * gap_ms / 1000, beliefs.heir_farthest)

    def _replace(self, lost: Track, heir: Track) -> None:
        number = heir.number
        super()._replace(lost, heir)
        self.pairs.replace(number, heir.number)

    def _forget(self) -> None:
        """Forget the beliefs about pairs of which one has ended long ago."""
        self._ended_ms |= dict.fromkeys(self.ended, self._t_ms)
        old = [number for number, ended_ms in self._ended_ms.items() if self._t_ms - ended_ms > _REMEMBERED_MS]
        if old:
            for number in old:
                del self._ended_ms[number]
            self.pairs.keep({*(track.number for track in self.tracks), *self._ended_ms})
