"""
Follow each head from frame to frame, by place, size and motion; by nothing that could tell one person from another.

People come in at the picture's edge and leave through it. So a head that comes up in its middle, where another one was
lost a moment ago, is that one; one that vanishes in the middle is waited for. And no two people's heads can be nearer
to each other than a head and its own shoulder: one that comes up beside another, and stays there, is a part of it.
So, farther off, is one of which the detector is far less sure: a hand, or a bag.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge.vision.scene import Heads, Sighting, from_edge
from edge.vision.tracking.association import BACK_AGAIN, alike, assign, find_again
from edge.vision.tracking.track import Head, Track

_EDGE = 1.5
"""First seen nearer to the picture's edge than this, a head may be somebody new, diameters."""
_STEP = 2.5
"""First or last seen nearer to the edge than this, a head may have come in or gone out unseen, diameters."""
_MOVED, _JUST_MS = 0.3, 800
"""It came in if it moved so far since, diameters, that it would have been at the edge so shortly before."""
_DOUBTFUL_MS = 800
"""How long a track that is not yet sure may be unseen."""
_ONCE_MS = 400
"""If it was seen only once, or is taken for a part of another."""
_LOST_MS = 2_000
"""How long a sure one may, in the middle of the picture."""
_GONE_MS = 400
"""How long a sure one may when it should be outside the picture."""
_LEAST_PATIENCE_MS = min(_DOUBTFUL_MS, _ONCE_MS, _LOST_MS, _GONE_MS)
_MOST_TRACKS = 200

_STRIDE = 8.0
"""One that comes up in the middle of the picture may be one that was lost farther off than `BACK_AGAIN`: by so much for
each second that it was unseen, diameters / s."""
_FARTHEST = 5.0
"""But no farther than this, diameters."""

_OWN_GROUND = 0.6
"""No head is born so near to one that is followed already, diameters of the larger."""
_NEW_HITS, _COMPANY = 2, 1.4
"""A head that is so near to another in one of so many first sightings may be its shoulder, diameters of the larger."""
_COMPANY_IN_MIDDLE = 1.6
"""Or so near, if it came up in the middle of the picture, where nobody comes in."""
_APART, _APART_SIGHTINGS = 0.3, 2
"""Seen so much farther from it than that, diameters of the larger, so many times in a row, it is another one's."""
STEADY_MS, STEADY = 3_000, 0.85
"""Or if it is seen in nearly every frame for so long, as no shoulder is."""
_OUTSHONE, _COMPANY_IN_SHADE = 0.7, 2.5
"""A head whose scores are under this share of those of another that goes along with it, so near, may be a part of that
person: a hand, a bag."""
_DIMMER, _DIMMER_HITS = 0.75, 3
"""A head whose scores are under this share of those of what is beside it, seen so often, is itself the part."""
_AWAY_MS = 300
"""A head that comes again after so long may as well be a part of another, though it was a head of its own before."""
_JUST_LEFT_MS = 1_000
"""A head that is seen where another stood until so shortly before is that one."""
_TAKEN_OVER_MS = 300
"""A head that is unseen for so long, while what is beside it is seen, was the shoulder itself."""


class Tracker:
    """
    Gives the heads of one frame after another their tracks.

    Weak heads can only continue a track, as a head that is half hidden does. Where heads come in and go out over the
    picture's edge is told too, though nobody sees it: a line may lie there. State: the live tracks, at most
    `_MOST_TRACKS`.

    Args:
        width, height: The picture, px.
        strong: Score from which a head may begin a track.
        weak: Score from which it may continue one.
    """

    def __init__(self, width: int, height: int, strong: float, weak: float) -> None:
        self._width, self._height = width, height
        self._strong, self._weak = strong, weak
        self._tracks: list[Track] = []
        self._ended: list[int] = []
        self._born = 0

    @property
    def alive(self) -> bool:
        """Whether any head is being followed, seen or not, sure or not."""
        return bool(self._tracks)

    @property
    def all_stand(self) -> bool:
        """Whether the newest frame showed every head that is followed, standing where it has stood for long."""
        return all(track.stands and track.seen_ms == track.t_ms for track in self._tracks)

    @property
    def tracks(self) -> Sequence[Track]:
        """The live tracks; only to look at, and only until the next update."""
        return self._tracks

    @property
    def ended(self) -> Sequence[int]:
        """The numbers of the tracks that died in the last update."""
        return self._ended

    def update(self, heads: Heads, t_ms: float) -> list[Sighting]:
        """
        Return where the sure tracks were seen in this frame.

        When a track becomes sure, or is again, its sightings of before come with it, oldest first: a fast walker may be
        over the line by then. And where a head came in or went out over the picture's edge is told like a sighting.

        Args:
            heads: The frame's heads.
            t_ms: The frame's time; not before that of the last update.
        """
        sightings = self._move_on(t_ms)
        lost, left = assign(self._tracks, self._plain(heads))
        for head in find_again(lost, [head for head in left if head.strong]):
            self._give_birth(head, t_ms)
        self._doubt_who_comes_again(t_ms)
        for track in [track for track in self._tracks if track.seen_ms == t_ms and not track.proven]:
            before = track.host
            if before is not None:
                self._look_at_company(track, before)
            if track.host is None and not track.proven:
                track.host = self._beside(track, before)
            if track.convincing and not track.proven:
                self._find_past(track)
        for track in self._tracks:
            if track.seen_ms == t_ms:
                told = track.report()
                if len(told) > 1 and told[0].t_ms == track.born_ms:
                    sightings += self._came_in(told)
                sightings += told
        return sightings

    def _came_in(self, told: list[Sighting]) -> list[Sighting]:
        """Return where a head of which all is *told*, from its birth on, came over the picture's edge just before."""
        first, last = told[0], told[-1]
        dx, dy = last.x - first.x, last.y - first.y
        away = self._from_edge(first.x, first.y, first.diameter)
        if away > _STEP or math.hypot(dx, dy) < _MOVED * last.diameter:
            return []
        share = min(
            (first.x if dx > 0 else first.x - self._width) / dx if dx else math.inf,
            (first.y if dy > 0 else first.y - self._height) / dy if dy else math.inf,
        )
        ago_ms = share * (last.t_ms - first.t_ms)
        if not 0 < ago_ms <= _JUST_MS:
            return []
        return [first._replace(x=first.x - share * dx, y=first.y - share * dy, t_ms=first.t_ms - ago_ms)]

    def _plain(self, heads: Heads) -> list[Head]:
        """Return the strong and the weak heads."""
        rows = zip(heads.centres.tolist(), heads.diameters.tolist(), heads.scores.tolist(), strict=True)
        return [
            Head(x, y, diameter, score, strong=score >= self._strong)
            for (x, y), diameter, score in rows
            if score >= self._weak
        ]

    def _move_on(self, t_ms: float) -> list[Sighting]:
        """Move every track on to *t_ms*, end those that were unseen for too long, and return where any went out."""
        kept: list[Track] = []
        gone: list[Sighting] = []
        self._ended = []
        for track in self._tracks:
            track.predict(t_ms)
            unseen_ms = t_ms - track.seen_ms
            if unseen_ms <= _LEAST_PATIENCE_MS or unseen_ms <= self._patience_ms(track):
                kept.append(track)
            else:
                self._ended.append(track.number)
                if track.sure and self._went_out(track):
                    gone.append(Sighting(track.number, track.x, track.y, track.diameter, t_ms))
        self._tracks = kept
        return gone

    def _patience_ms(self, track: Track) -> float:
        if not track.proven:
            return _DOUBTFUL_MS if track.hits > 1 and track.host is None else _ONCE_MS
        return _GONE_MS if self._is_out(track) else _LOST_MS

    def _is_out(self, track: Track) -> bool:
        return from_edge(track.x, track.y, self._width, self._height) <= 0

    def _went_out(self, track: Track) -> bool:
        return self._is_out(track) and self._from_edge(track.seen_x, track.seen_y, track.diameter) < _STEP

    def _from_edge(self, x: float, y: float, diameter: float) -> float:
        """Return how far a place is from the picture's edge, diameters."""
        return from_edge(x, y, self._width, self._height) / diameter

    def _at_edge(self, x: float, y: float, diameter: float) -> bool:
        return self._from_edge(x, y, diameter) < _EDGE

    def _give_birth(self, head: Head, t_ms: float) -> None:
        """Begin a track with *head*, unless it stands on the ground of one that lives."""
        if len(self._tracks) >= _MOST_TRACKS:
            return
        for track in self._tracks:
            ground = _OWN_GROUND * max(track.diameter, head.diameter)
            if abs(track.x - head.x) < ground and math.hypot(track.x - head.x, track.y - head.y) < ground:
                return
        self._born += 1
        track = Track(self._born, head.x, head.y, head.diameter, t_ms)
        track.take(head)
        self._tracks.append(track)
        self._doubt_who_left(track)

    def _doubt_who_left(self, born: Track) -> None:
        """
        Doubt who went from where *born* is seen, if somebody is beside them: what stood there stands there still.

        What went is that one's shoulder, by which the track was led away.
        """
        ground = _OWN_GROUND * born.diameter
        for track in self._tracks:
            just_left = track.proven and born.t_ms - track.left_ms <= _JUST_LEFT_MS
            if just_left and math.hypot(track.left_x - born.x, track.left_y - born.y) < ground:
                self._doubt(track, born)

    def _doubt_who_comes_again(self, t_ms: float) -> None:
        """Doubt those that were unseen for a while, and come up beside a far surer head now: that may be its part."""
        for track in self._tracks:
            if track.seen_ms == t_ms and track.proven and track.unseen_ms > _AWAY_MS:
                self._doubt(track, None)

    def _doubt(self, track: Track, before: Track | None) -> None:
        """Take *track* for a part of what is beside it, but not of *before*, if there is anything."""
        host = self._beside(track, before)
        if host is not None:
            track.be_doubted(host)

    def _company(self, track: Track) -> float:
        """Return how near to another a head may be that is only a part of it, diameters of the larger."""
        return _COMPANY if self._at_edge(track.born_x, track.born_y, track.diameter) else _COMPANY_IN_MIDDLE

    def _company_of(self, track: Track, host: Track) -> float:
        """Return the same for one host, which may be so much surer that a part of it may be farther off."""
        return _COMPANY_IN_SHADE if _outshone(track, host) else self._company(track)

    def _beside(self, track: Track, before: Track | None) -> Track | None:
        """
        Return the nearest head of which *track* may be a part, if there is one.

        A new track may be a part of an older one; one that isn't taken for a part of *before* any longer, of any other.
        """
        near = [
            (away, host.number, host)
            for host in self._tracks
            if host is not track
            and host is not before
            and host.host is None
            and host.seen_ms == track.t_ms
            and (
                (before is not None and host.proven)
                or (track.hits <= _NEW_HITS and host.judged_ms <= track.judged_ms)
                or _outshone(track, host)
            )
            and (away := _between(track, host)) < self._company_of(track, host)
        ]
        return min(near)[2] if near else None

    def _look_at_company(self, track: Track, host: Track) -> None:
        """Decide whether *track*, seen now, is still taken for a part of *host*."""
        if host not in self._tracks:
            track.host = None
            if host.proven:
                track.waiting = []
            return
        if host.proven and track.hits >= _DIMMER_HITS and host.score < _DIMMER * track.score:
            self._change_places(host, track)
            return
        away = _between(track, host)
        if away > self._company_of(track, host) + _APART:
            track.apart += 1
        elif host.seen_ms == track.t_ms:
            track.apart = 0
        elif track.t_ms - host.seen_ms >= _TAKEN_OVER_MS and away < self._company(track) + _APART:
            self._replace(host, track)
            return
        steady = (
            not _outshone(track, host)
            and track.t_ms - track.judged_ms >= STEADY_MS
            and track.hits >= STEADY * (track.frames + 1)
        )
        if steady or track.apart >= _APART_SIGHTINGS:
            track.host = None

    def _find_past(self, track: Track) -> None:
        """Let *track*, sure for the first time, go on as one that was lost, if it began where nobody comes in."""
        if self._at_edge(track.born_x, track.born_y, track.diameter):
            return
        near = []
        for lost in self._tracks:
            gap_s = (track.born_ms - lost.seen_ms) / 1000
            if not lost.proven or gap_s <= 0 or not alike(lost, track):
                continue
            reach = min(BACK_AGAIN + _STRIDE * gap_s, _FARTHEST) * track.diameter
            away = math.hypot(track.born_x - lost.seen_x, track.born_y - lost.seen_y)
            if lost.stands and math.hypot(track.x - lost.seen_x, track.y - lost.seen_y) < away:
                continue  # who sets out goes away from where they stood; this one comes past
            if away < reach:
                near.append((away, lost.number, lost))
        if near:
            self._replace(min(near)[2], track)

    def _change_places(self, host: Track, track: Track) -> None:
        """Let *track* be the head, and *host* what may be a part of it."""
        self._hand_over(host, track)
        self._born += 1
        host.step_down(self._born, track)

    def _replace(self, lost: Track, heir: Track) -> None:
        """Let *heir* go on as *lost*."""
        self._hand_over(lost, heir)
        self._tracks.remove(lost)

    def _hand_over(self, track: Track, heir: Track) -> None:
        """Let *heir* go on under the number of *track*; its own, of which something may have been told, ends."""
        self._ended.append(heir.number)
        heir.inherit(track)


def _between(one: Track, other: Track) -> float:
    """Return how far *one*, seen now, is from where *other* is or at least was last seen, diameters of the larger."""
    predicted = math.hypot(one.x - other.x, one.y - other.y)
    seen = math.hypot(one.x - other.seen_x, one.y - other.seen_y)
    return min(predicted, seen) / max(one.diameter, other.diameter)


def _outshone(track: Track, host: Track) -> bool:
    """Tell whether *host* is so much surer a head that *track*, beside it, need not be one."""
    return track.score < _OUTSHONE * host.score
