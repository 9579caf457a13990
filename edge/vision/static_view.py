"""
What stands still before one camera: edges that stay, learnt all the time from wherever nobody is.

Each cell of the thumbnail has an edge (its gradient) that is *known* once it was the same for some seconds with nobody
near. A crowd, a swinging door or the moving shadow of a tree are never the same for so long, so they never become a
part of the view, whenever the camera is started. A cell whose edge changes for good, where a trolley was parked, is
known anew when the new edge has stood for a minute.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.vision.registration import EDGE_LEVEL, UNMOVED, Structure, Transform, found
from edge.vision.thumbnail import Gradient, steepness

Cells = npt.NDArray[np.bool_]
"""(rows, columns) bool."""


@dataclass(frozen=True)
class StaticViewSettings:
    """How fast a view is learnt."""

    steady_level: float = 4.0
    """A cell is steady while its gradient differs from before by less than this, grey levels over two cells,"""
    steady_noise: float = 0.5
    """and this many times the picture's noise, grey levels;"""
    steady_share: float = 0.35
    """and this share of its own size: light changes steep edges more."""
    known_s: float = 4.0
    """A cell is known once it was steady for this long, seconds."""
    renewed_s: float = 60.0
    """A known cell is known anew once something else was steady there for this long, seconds."""
    trusted_s: float = 8.0
    """A known edge is a part of the structure once it was seen in place for this long in all, seconds."""
    mature_s: float = 120.0
    """A known edge counts in full once it was in place for this long in all, or whenever nobody hid it, seconds."""
    least_mature_s: float = 20.0
    """But not before it was in place for this long, seconds."""
    absent_factor: float = 3.0
    """A second in which something else was seen in its place takes this many times as much from an edge's weight."""
    least_edges: float = 110.0
    """Less structure than this, edge cells of 4,800 by their weight, tells nothing."""
    ample_edges: float = 600.0
    """
    With less structure than this only a sudden move is told: a sun spot that wanders over a plain floor has up to 550
    edge cells, and it may be all the structure there is.
    """
    spread_tiles: int = 10
    """A view with edges in so many of the 12 tiles is no single spot of light on a plain floor: one has up to 9."""
    least_standing: int = 100
    """Edge cells that a structure in the view's place must have at least."""
    least_tiles: int = 7
    """Edges in fewer of the picture's 12 tiles (4 x 3) than this tell nothing, either: a door, or a sun spot, may."""
    stood_s: float = 40.0
    """What has been steady for this long, seconds, where the view was, has come in its place."""
    slack: int = 2
    """A view that is shifted by no more cells than this is the same view: a mount that trembles, or sags a little."""


class StaticView:
    """
    The view of one camera. State: for each of 80 x 60 cells two edges and two ages; nothing a person could be seen in.

    Args:
        shape: Rows and columns of the thumbnail.
    """

    def __init__(self, shape: tuple[int, int], settings: StaticViewSettings | None = None) -> None:
        self.settings = settings or StaticViewSettings()
        self.shape = shape
        self._known = np.zeros((2, *shape), np.float32)
        self._seen_s = np.zeros(shape, np.float32)
        """For how long, in all, the known edge was seen in place; 0: not known."""
        self._absent_s = np.zeros(shape, np.float32)
        """For how long, in all, something else was seen in its place: a door that opens now and then."""
        self._steady = np.zeros((2, *shape), np.float32)
        self._steady_s = np.zeros(shape, np.float32)
        """For how long the newest edge has been steady."""
        self._watched_s = np.zeros(shape, np.float32)
        """For how long, in all, the cell was not hidden by people, and the camera looked at this view."""
        self._structure: Structure | None = None
        self._edges_seen = 0.0
        """How much structure there is, edge cells by their weight."""
        self._tiles_seen = 0
        shifts = range(-self.settings.slack, self.settings.slack + 1)
        self._slack = sorted(
            (Transform(float(right), float(down)) for down in shifts for right in shifts),
            key=lambda shift: shift.right**2 + shift.down**2,
        )

    @property
    def structure(self) -> Structure | None:
        """The known edges, or None if there is too little structure to tell anything by."""
        return self._structure

    @property
    def is_ample(self) -> bool:
        """Whether there is so much structure that it can't be one thing that wanders over a plain floor."""
        return self._structure is not None and self._edges_seen >= self.settings.ample_edges

    @property
    def is_spread(self) -> bool:
        """Whether there is structure nearly everywhere, so that it can't all go when one thing goes."""
        return self._structure is not None and self._tiles_seen >= self.settings.spread_tiles

    def in_place(self, picture: Gradient, enough: float = 1.0, likely: Transform = UNMOVED) -> tuple[float, Transform]:
        """
        Return the share of the structure that *picture* has where it should be, within the slack, and the shift.

        Args:
            picture: The thumbnail's gradient.
            enough: A shift that has this share ends the search.
            likely: The shift to try first.
        """
        assert self._structure is not None  # noqa: S101 - asked for by whoever calls
        best, best_shift = 0.0, UNMOVED
        for shift in (likely, *self._slack):
            share = found(self._structure, picture, shift)
            if share > best:
                best, best_shift = share, shift
            if best >= enough:
                break
        return best, best_shift

    def is_within_slack(self, shift: Transform) -> bool:
        """Tell whether *shift* is less than the slack: at its edge, the view may in truth be shifted farther."""
        return max(abs(shift.right), abs(shift.down)) < self.settings.slack

    def contrast(self, picture: Gradient, shift: Transform) -> float:
        """Return how much of the known edges' contrast *picture* has, 0 to about 1: little in fog, none behind tape."""
        down, right = round(shift.down), round(shift.right)
        known = np.roll(self._known, (down, right), (1, 2))
        weight = np.roll(self._weight(), (down, right), (0, 1))
        size = steepness(known)
        along = np.maximum(0.0, (known * picture).sum(axis=0) / np.maximum(size, 1e-6))
        return float((weight * np.minimum(along, size)).sum() / max(1e-6, float((weight * size).sum())))

    def learn(
        self,
        picture: Gradient,
        hidden: Cells,
        elapsed_s: float,
        shift: Transform,
        noise: float,
        *,
        renew: bool,
        doubtful: bool,
    ) -> None:
        """
        Let the view follow *picture*.

        Args:
            picture: The thumbnail's gradient.
            hidden: Cells near people, of which nothing is learnt.
            elapsed_s: Time since the picture before.
            shift: How *picture* is shifted against the view: at most the slack.
            noise: The noise of the thumbnail, grey levels.
            renew: Whether known edges may be replaced; not while it is in doubt what the camera looks at.
            doubtful: Whether this may be another view than the one that is learnt: nothing becomes known then.
        """
        settings = self.settings
        self._watched_s += ~hidden * np.float32(elapsed_s if renew else 0.0)
        picture = np.roll(picture, (-round(shift.down), -round(shift.right)), (1, 2))
        size = steepness(self._steady)
        change = steepness(picture - self._steady)
        steady = change <= settings.steady_level + settings.steady_noise * noise + settings.steady_share * size
        rate = np.where(steady, np.float32(0.2), np.float32(1.0)) * ~hidden
        self._steady += rate * (picture - self._steady)
        self._steady_s = np.where(hidden, self._steady_s, (self._steady_s + np.float32(elapsed_s)) * steady)
        if doubtful:
            return
        same = self._same()
        known = self._seen_s > 0
        confirmed = known & same & steady & ~hidden
        rate = confirmed * np.float32(elapsed_s) / np.clip(self._seen_s, np.float32(5.0), np.float32(600.0))
        self._known += rate * (self._steady - self._known)
        self._seen_s += confirmed * np.float32(elapsed_s)
        new = ~known & (self._steady_s >= settings.known_s)
        if renew:
            self._absent_s += (known & ~same & steady & ~hidden) * np.float32(elapsed_s)
            new |= known & ~same & (self._steady_s >= settings.renewed_s)
        self._known[:, new] = self._steady[:, new]
        self._seen_s = np.where(new, np.minimum(self._steady_s, settings.renewed_s), self._seen_s)
        self._absent_s[new] = 0.0
        self._structure = self._edges()

    def replaced(self) -> tuple[float, int]:
        """
        Return the share of the structure in whose place something else has stood for long, and how many edges that has.

        The share is that of the tile, among the tiles with structure, in which least was replaced but for a quarter of
        them: it is only high if the structure is gone everywhere.
        """
        edges = (self._seen_s >= self.settings.trusted_s) & (steepness(self._known) > EDGE_LEVEL)
        other = ~self._same() & (self._steady_s >= self.settings.stood_s)
        weight = edges * self._weight()
        shares = [float((weight[tile] * other[tile]).sum() / weight[tile].sum()) for tile in tiles_with(weight)]
        standing = (steepness(self._steady) > EDGE_LEVEL) & (self._steady_s >= self.settings.stood_s)
        enough = len(tiles_with(standing)) >= self.settings.least_tiles
        return (float(np.quantile(shares, 0.25)) if shares else 0.0), int(np.count_nonzero(standing)) * enough

    def renew(self) -> None:
        """Take what is steady now for the view, wherever it differs from what was known."""
        new = ~self._same() & (self._steady_s >= self.settings.known_s)
        self._known[:, new] = self._steady[:, new]
        self._seen_s = np.where(new, self._steady_s, self._seen_s)
        self._absent_s[new] = 0.0
        self._structure = self._edges()

    def _same(self) -> Cells:
        """Return where the newest edge is the known one: the same direction, or none in both."""
        return _alike(self._known, self._steady)

    def _weight(self) -> npt.NDArray[np.float32]:
        seen = self._seen_s / (self._seen_s + self.settings.absent_factor * self._absent_s + np.float32(1e-6))
        mature_s = np.clip(self._watched_s, self.settings.least_mature_s, self.settings.mature_s)
        weight: npt.NDArray[np.float32] = seen * np.minimum(self._seen_s / mature_s, 1.0)
        return weight

    def _edges(self) -> Structure | None:
        size = steepness(self._known)
        edges = (self._seen_s >= self.settings.trusted_s) & (size > EDGE_LEVEL)
        border = self.settings.slack + 1
        edges[:border] = edges[-border:] = False
        edges[:, :border] = edges[:, -border:] = False
        weight = edges * self._weight()
        self._edges_seen = float(weight.sum())
        self._tiles_seen = len(tiles_with(weight))
        if self._edges_seen < self.settings.least_edges or self._tiles_seen < self.settings.least_tiles:
            return None
        return Structure.of(self._known, edges, weight)


_SAME = 0.7
"""Cosine of the angle between two edges of one cell that count as the same."""


def _alike(one: Gradient, other: Gradient) -> Cells:
    """Return where two edges run the same way, or where neither has one."""
    size, other_size = steepness(one), steepness(other)
    along = (one * other).sum(axis=0)
    both_plain = np.maximum(size, other_size) <= EDGE_LEVEL
    alike: Cells = both_plain | (along > _SAME * size * other_size) & (other_size > EDGE_LEVEL / 3)
    return alike


_TILE_EDGES = 5.0
"""A tile has structure if it has this many edge cells by their weight."""


def tiles_with(weight: npt.NDArray[np.float32] | Cells) -> list[tuple[slice, slice]]:
    """Return those of the picture's 12 tiles that have enough edges; *weight* says how much each cell's counts."""
    return [tile for tile in _tiles(weight.shape) if float(weight[tile].sum()) >= _TILE_EDGES]


def _tiles(shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """Return the picture's 12 tiles, 4 across and 3 down."""
    rows, columns = shape
    return [
        (slice(row * rows // 3, (row + 1) * rows // 3), slice(column * columns // 4, (column + 1) * columns // 4))
        for row in range(3)
        for column in range(4)
    ]


_PERSON_REACH = 3.0
"""A person reaches no farther from the head's centre than this, head diameters."""


def near_heads(shape: tuple[int, int], size: tuple[int, int], heads: npt.NDArray[np.float32]) -> Cells:
    """
    Return the cells that are near heads: people may hide them.

    Args:
        shape: Rows and columns of the thumbnail.
        size: Width and height of the picture, px.
        heads: (n, 3) float32: x, y and diameter of each head, px.
    """
    cells = np.zeros(shape, np.uint8)
    scale_x, scale_y = shape[1] / size[0], shape[0] / size[1]
    for x, y, diameter in heads.tolist():
        centre = (round(x * scale_x), round(y * scale_y))
        cv2.circle(cells, centre, max(1, round(_PERSON_REACH * diameter * scale_x)), 1, -1)
    return cells > 0
