"""
What a lens without distortion sees of a door, at the height of people's heads. Pure.

The camera hangs in the middle over the door, or behind it on the shop's side, and leans towards the door by *tilt*.
The line is drawn across the middle of the picture. Lengths are in m, angles in degrees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge.technician import head_size
from edge.technician.check.check_result import CheckResult, fail, ok, warn
from edge.technician.head_size import Verdict

HEAD_M = 0.18
"""Diameter of a head seen from above, m: 0.16 across and 0.20 along are usual for adults."""
TALL_M, USUAL_M, CHILD_M = 1.85, 1.6, 1.0
"""Height of the middle of a head above the floor, m: a tall adult's, most adults', a child's of about five years."""
BESIDE_M = 0.15
"""What the picture must cover beyond each side of the door, m."""
LENSES = (40, 50, 60, 66, 78, 90, 102)
"""Usual lenses, degrees across the picture. Wider ones are fisheyes, whose edges the model has never learnt."""
MOST_LENS = 110
"""Lenses that see more than this across are fisheyes: straight lines bend, and heads at the edge are not round."""
SHAPE = 3 / 4
"""Height of the picture as a share of its width: 640 x 480."""
ROOM_DIAMETERS = 4.0
"""Room that the line needs on either side, head diameters. At 4 the simulator's people are counted with F1 0.991, at
2.5 with 0.980, at 1 with 0.964 (docs/accuracy.md)."""
LEAST_ROOM_DIAMETERS = 2.5
"""Less room than this on one side of the line, head diameters, costs too many people."""
STEEP = 40.0
"""From this tilt on, degrees from straight down, people hide those behind them."""

_PEOPLE = (("tall adult", TALL_M), ("adult", USUAL_M), ("child", CHILD_M))


@dataclass(frozen=True, slots=True)
class Door:
    """
    A door and the camera that is to hang over it.

    Attributes:
        height_m: Height of the lens above the floor.
        width_m: Width of the door.
        lens: What the lens sees across the picture, degrees.
        tilt: How far it leans from straight down, degrees.
    """

    height_m: float
    width_m: float
    lens: float
    tilt: float = 0.0

    @property
    def focal(self) -> float:
        """Focal length as a share of the picture's width."""
        return 0.5 / math.tan(math.radians(self.lens) / 2)

    @property
    def lean(self) -> str:
        """How far it leans, in words."""
        return "straight down" if not self.tilt else f"{self.tilt:g} degrees from straight down"

    def above(self, head_m: float) -> float:
        """Return how far the lens is above heads at *head_m*; 0 where it isn't above them."""
        return max(0.0, self.height_m - head_m)

    def distance(self, head_m: float, at: float = 0.5) -> float:
        """Return the distance from the lens to heads at *head_m*, along its axis; *at*: 0 top to 1 bottom."""
        ray = self.angle(at)
        if not math.cos(ray) > 0.05:  # noqa: PLR2004 - at the horizon
            return math.inf
        return self.above(head_m) / math.cos(ray) * math.cos(ray - math.radians(self.tilt))

    def angle(self, at: float) -> float:
        """Return the angle from straight down of what is seen at the share *at* of the picture's height, radians."""
        return math.radians(self.tilt) + math.atan((0.5 - at) * SHAPE / self.focal)

    def covered_m(self, head_m: float) -> float:
        """Return the width that the picture's middle row covers at the height *head_m*."""
        return self.distance(head_m) / self.focal

    def along_m(self, head_m: float) -> tuple[float, float]:
        """Return how far along the walk the picture reaches before and behind the line, at *head_m*; far side first."""
        middle, far, near = (self.above(head_m) * math.tan(min(self.angle(at), 1.5)) for at in (0.5, 0.0, 1.0))
        return far - middle, middle - near

    def head_share(self, head_m: float, at: float = 0.5) -> float:
        """Return a head's diameter as a share of the picture's width, at the share *at* of its height."""
        distance = self.distance(head_m, at)
        return HEAD_M * self.focal / distance if distance > 0 else math.inf


def choose_lens(height_m: float, width_m: float, tilt: float = 0.0) -> float:
    """Return the narrowest usual lens with which all is well; else the first without a failure; else the widest."""
    for accepted in ({"ok"}, {"ok", "warn"}):
        for lens in LENSES:
            if {answer.state for answer in judge(Door(height_m, width_m, lens, tilt))} <= accepted:
                return lens
    return LENSES[-1]


def judge(door: Door) -> list[CheckResult]:
    """Return what a camera over *door* would be good for: one answer for each thing that must be right."""
    return [_height(door), _lens(door), _width(door), _heads(door), _room(door), _tilt(door)]


def _height(door: Door) -> CheckResult:
    above = door.above(TALL_M)
    found = f"the lens is {above:.1f} m above the head of a tall person"
    if above < 0.4:  # noqa: PLR2004 - arm's length
        return fail("height", found, "hang the camera higher: 2.3 m above the floor at least")
    return ok("height", found)


def _lens(door: Door) -> CheckResult:
    found = f"{door.lens:g} degrees across the picture"
    if door.lens > MOST_LENS:
        return warn("lens", f"{found}: a fisheye, for which nothing here holds exactly", "take 102 degrees or less")
    return ok("lens", found)


def _width(door: Door) -> CheckResult:
    needed, tall, usual = door.width_m + 2 * BESIDE_M, door.covered_m(TALL_M), door.covered_m(USUAL_M)
    found = f"the picture covers {tall:.1f} m at the height of tall people's heads, {usual:.1f} m at most people's"
    if tall >= needed:
        return ok("width", found)
    advice = f"{needed:.1f} m are needed: take a wider lens, hang it higher, or use two cameras side by side"
    return (fail if usual < door.width_m else warn)("width", found, advice)


def _heads(door: Door) -> CheckResult:
    shares = {name: door.head_share(height) for name, height in _PEOPLE}
    found = "heads at the line: " + ", ".join(
        f"{name} {640 * share:.0f} px of 640 ({100 * share:.1f} %)" for name, share in shares.items()
    )
    verdicts: set[Verdict] = {head_size.judge(share) for share in shares.values()}
    if "too small" in verdicts:
        return fail("heads", found, f"from {100 * head_size.GOOD:.1f} % on: lower, or a narrower lens")
    if "too large" in verdicts:
        return fail("heads", found, f"up to {100 * head_size.LARGEST:.0f} %: higher, or a wider lens")
    # Of a child's smaller head some are missed where those of adults are just large enough.
    if head_size.judge(shares["adult"]) == "small":
        return warn("heads", found, f"some are missed below {100 * head_size.GOOD:.1f} %: lower, or a narrower lens")
    return ok("heads", found)


def _room(door: Door) -> CheckResult:
    before, behind = door.along_m(TALL_M)
    diameters = min(before, behind) / HEAD_M
    found = (
        f"along the walk the picture shows {before:.1f} m before the line and {behind:.1f} m behind it at the height"
        f" of tall people's heads: {diameters:.1f} heads on the shorter side"
    )
    if diameters < LEAST_ROOM_DIAMETERS:
        return fail("room", found, f"{ROOM_DIAMETERS:g} heads are good: hang it higher, or take a wider lens")
    if diameters < ROOM_DIAMETERS:
        return warn("room", found, f"{ROOM_DIAMETERS:g} heads are good: higher, or a wider lens")
    return ok("room", found)


def _tilt(door: Door) -> CheckResult:
    if door.tilt >= STEEP:
        advice = "hang it nearer to the door, and let it look down"
        return warn("tilt", f"{door.lean}: people hide those behind them", advice)
    return ok("tilt", door.lean)
