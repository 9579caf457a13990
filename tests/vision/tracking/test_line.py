"""Which paths over which lines count, as tables of walks and as properties of all walks."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge.config.schema import Line
from edge.vision.explain import Rejected
from edge.vision.scene import Crossing, Sighting
from edge.vision.tracking.line import CrossingCounter
from edge.vision.tracking.settings import SETTINGS

SIZE = (640, 480)
HEAD = 40.0
ACROSS = Line.model_validate({"from": (0.1, 0.5), "to": (0.9, 0.5), "inside": (0.5, 0.9)})
LOWER = Line.model_validate({"from": (0.1, 0.7), "to": (0.9, 0.7), "inside": (0.5, 0.9)})

Walk = Sequence[tuple[float, float]]


def of(track: int, walk: Walk, *, head: float = HEAD, step_ms: float = 100.0) -> list[Sighting]:
    """Return the sightings of one track that walks along places in px from 0 ms on."""
    return [Sighting(track, x, y, head, index * step_ms) for index, (x, y) in enumerate(walk)]


def count(walk: Walk, line: Line = ACROSS, *, head: float = HEAD, step_ms: float = 100.0) -> list[Crossing]:
    """Walk one head along places in px and return what was counted."""
    width, height = SIZE
    counter = CrossingCounter({"door": line}, width, height)
    return counter.update(of(1, walk, head=head, step_ms=step_ms), ended=[1])


def same(some: Sequence[Crossing], others: Sequence[Crossing]) -> bool:
    """Tell whether both are the same ways at the same times, but for the last bits of a float."""
    times = pytest.approx([crossing.t_ms for crossing in some])
    return [c.direction for c in some] == [c.direction for c in others] and [c.t_ms for c in others] == times


def ways(walk: Walk, line: Line = ACROSS) -> list[str]:
    return [crossing.direction for crossing in count(walk, line)]


def straight(start: tuple[float, float], end: tuple[float, float], steps: int = 12) -> list[tuple[float, float]]:
    (x1, y1), (x2, y2) = start, end
    return [(x1 + (x2 - x1) * i / steps, y1 + (y2 - y1) * i / steps) for i in range(steps + 1)]


DOWN = straight((320, 120), (320, 360))
UP = DOWN[::-1]
BEFORE = straight((320, 120), (320, 230))

WALKS: dict[str, tuple[Walk, list[str]]] = {
    "straight down, towards inside": (DOWN, ["in"]),
    "straight up": (UP, ["out"]),
    "there and back counts one in and one out": (DOWN + UP, ["in", "out"]),
    "there and back and there again": (DOWN + UP + DOWN, ["in", "out", "in"]),
    "turned back before the line": (straight((320, 120), (320, 230)) + straight((320, 230), (320, 120)), []),
    "turned back on the line": (straight((320, 120), (320, 250)) + straight((320, 250), (320, 120)), []),
    "beside the left end": (straight((30, 120), (30, 360)), []),
    "beside the right end": (straight((620, 360), (620, 120)), []),
    "round the end and back through the line": (
        straight((320, 120), (20, 120)) + straight((20, 120), (20, 360)) + straight((20, 360), (320, 360)) + UP,
        ["out"],
    ),
    "through the line and back round its end": (
        DOWN + straight((320, 360), (20, 360)) + straight((20, 360), (20, 120)),
        ["in"],
    ),
    "just inside the left end": (straight((66, 120), (66, 360)), ["in"]),
    "along the line, in the band": (straight((80, 236), (560, 244)), []),
    "along the line, then away on the side it came from": (
        straight((80, 120), (200, 238)) + straight((200, 238), (400, 244)) + straight((400, 244), (500, 120)),
        [],
    ),
    "slanted through the line": (straight((120, 120), (520, 360)), ["in"]),
    "slanted past the end, over where the line is drawn on": (straight((0, 180), (60, 300)), []),
    "one step over the whole band": ([(320, 120), (320, 360)], ["in"]),
    "first seen in the band": (straight((320, 238), (320, 360)), []),
    "seen exactly on the line for a while": (
        straight((320, 120), (320, 235)) + [(320, 240)] * 9 + straight((320, 245), (320, 360)),
        ["in"],
    ),
    "last seen in the band": (straight((320, 120), (320, 250)), []),
    "last seen just beyond the band": (straight((320, 120), (320, 260)), []),
    "turned back just beyond the band": ([*BEFORE, (320, 262), (320, 262), *BEFORE[::-1]], []),
    "came to stand just beyond the band": ([*BEFORE, *[(320, 262)] * 4], ["in"]),
}


@pytest.mark.parametrize("name", WALKS)
def test_walk(name: str) -> None:
    """Each walk of the table counts what its row says."""
    walk, expected = WALKS[name]

    assert expected == ways(walk)


def test_moment() -> None:
    """A crossing's time is the interpolated moment on the line, not the one of its confirmation."""
    (crossing,) = count([(320, 100), (320, 200), (320, 300), (320, 400)])

    assert crossing == Crossing(140.0, "door", "in")


def test_single_jump_is_not_believed() -> None:
    """One sighting beyond the band, less than a head clear of the line, is taken for a slip of the detector."""
    walk = [*BEFORE, (320, 265), *BEFORE[::-1]]

    assert ways(walk) == []


@pytest.mark.parametrize("end", [(0.0, 1.0), (0.01, 0.99)])
def test_end_at_the_edge(end: tuple[float, float]) -> None:
    """Where a line ends at the picture's edge nobody can go round: a head that is half outside still crosses it."""
    line = Line.model_validate({"from": (end[0], 0.5), "to": (end[1], 0.5), "inside": (0.5, 0.9)})

    assert ways(straight((-4, 120), (-4, 360)), line) == ["in"]
    assert ways(straight((643, 360), (643, 120)), line) == ["out"]


def test_drawn_backwards() -> None:
    """Which end of a line is drawn first doesn't matter; only `inside` says what in is."""
    backwards = Line.model_validate({"from": ACROSS.end, "to": ACROSS.start, "inside": ACROSS.inside})

    assert ways(DOWN, backwards) == ["in"]
    assert ways(UP, backwards) == ["out"]


@pytest.mark.parametrize(
    ("inside", "walk"),
    [
        ((0.5, 0.9), DOWN),
        ((0.5, 0.1), UP),
        ((0.02, 0.9), DOWN),
        ((0.98, 0.1), UP),
    ],
)
def test_y_runs_down(inside: tuple[float, float], walk: Walk) -> None:
    """In is towards the inside point wherever it lies, with y running down as in every picture."""
    line = Line.model_validate({"from": (0.1, 0.5), "to": (0.9, 0.5), "inside": inside})

    assert ways(walk, line) == ["in"]
    assert ways(walk[::-1], line) == ["out"]


def test_several_lines() -> None:
    """Each line of a camera counts for itself, and a path over two of them counts on both."""
    counter = CrossingCounter({"street": ACROSS, "shop": LOWER}, *SIZE)
    walk = straight((320, 120), (320, 460), 20)
    counted = counter.update(of(1, walk), ended=[])

    assert [(c.line, c.direction) for c in counted] == [("street", "in"), ("shop", "in")]


ARCH = Line.model_validate(
    {"from": (0.2, 0.2), "via": [(0.35, 0.5), (0.65, 0.5)], "to": (0.8, 0.2), "inside": (0.5, 0.1)}
)
ARCH_WALKS: dict[str, tuple[Walk, list[str]]] = {
    "through the middle": (straight((320, 400), (320, 100)), ["in"]),
    "through the left piece": (straight((60, 220), (400, 150)), ["in"]),
    "in through the left piece, out through the right": (straight((60, 200), (600, 200), 30), ["in", "out"]),
    "past the corner, outside": (straight((130, 300), (240, 330)), []),
    "beside the whole arch": (straight((60, 60), (40, 460)), []),
    "inside from wall to wall": (straight((260, 140), (400, 140)), []),
}


@pytest.mark.parametrize("name", ARCH_WALKS)
def test_curved_threshold(name: str) -> None:
    """A line that goes via other points counts who goes through any of its pieces."""
    walk, expected = ARCH_WALKS[name]

    assert expected == ways(walk, ARCH)
    assert [{"in": "out", "out": "in"}[way] for way in reversed(expected)] == ways(walk[::-1], ARCH)


def test_corner_on_a_straight_line() -> None:
    """A point in the middle of a straight line changes nothing."""
    bent = Line.model_validate({"from": (0.1, 0.5), "via": [(0.5, 0.5)], "to": (0.9, 0.5), "inside": (0.5, 0.9)})

    assert [count(walk) for walk, _ in WALKS.values()] == [count(walk, bent) for walk, _ in WALKS.values()]


@pytest.mark.parametrize(
    ("x", "last", "expected"),
    [(320, 488.0, ["in"]), (320, 480.0, ["in"]), (320, 478.0, []), (320, 462.0, []), (20, 488.0, [])],
    ids=["out of the picture", "on its edge", "still in it", "in the band", "out of it, beside the line"],
)
def test_last_seen_beyond_a_line_at_the_edge(x: float, last: float, expected: list[str]) -> None:
    """Who was just beyond the band when they left the picture has gone over; who might come back has not."""
    line = Line.model_validate({"from": (0.1, 0.95), "to": (0.9, 0.95), "inside": (0.5, 0.99)})

    assert ways([*straight((x, 300), (x, 452)), (x, 474), (x, last)], line) == expected


def test_turning_back_at_any_frame_rate() -> None:
    """Two tenths of a second just beyond the band are no crossing, in however many frames it was seen."""
    for fps in (10, 15, 30, 60):
        beyond = [(320.0, 262.0)] * (1 + fps // 5)
        walk = [*BEFORE, *beyond, *BEFORE[::-1]]

        assert count(walk, step_ms=1000 / fps) == [], fps


def moved(walk: Walk, right: float, down: float) -> Walk:
    """Return a walk beside *walk*, so many head diameters to the right and down."""
    return [(x + right * HEAD, y + down * HEAD) for x, y in walk]


def side_by_side(*walks: Walk, told_late: bool = False) -> list[str]:
    """Let several walk at once, and return what was counted; the last may be told of at the end only."""
    counter = CrossingCounter({"door": ACROSS}, *SIZE)
    tracks = [of(number, walk) for number, walk in enumerate(walks)]
    late = tracks.pop() if told_late else []
    frames = sorted((sighting for track in tracks for sighting in track), key=lambda s: (s.t_ms, s.track))
    counted = [crossing for sighting in frames for crossing in counter.update([sighting], ended=[])]
    return [crossing.direction for crossing in counted + counter.update(late, ended=range(len(walks)))]


@given(st.floats(0, 6.28), st.floats(0.2, 1.25), st.integers(6, 24), st.booleans(), st.booleans())
def test_a_shoulder_is_not_counted(angle: float, away: float, steps: int, down: bool, told_late: bool) -> None:
    """What goes along with a head, on whatever side and however fast, counts once with it; also when told of late."""
    walk = straight((320, 100), (320, 380), steps) if down else straight((320, 380), (320, 100), steps)
    shoulder = moved(walk, away * math.cos(angle), away * math.sin(angle))

    assert side_by_side(walk, shoulder, told_late=told_late) == ["in" if down else "out"]


@given(st.floats(1.7, 4), st.floats(-1, 1))
def test_abreast(right: float, down: float) -> None:
    """Two who walk shoulder to shoulder count as two."""
    assert side_by_side(DOWN, moved(DOWN, right, down)) == ["in", "in"]


def test_seen_apart_for_a_moment() -> None:
    """A part that was a little farther from its head in a frame or two doesn't count, not even later."""
    part = [*moved(DOWN[:5], 0.9, 0), *moved(DOWN[5:6], 1.6, 0), *moved(DOWN[6:], 0.9, 0)]

    assert side_by_side([*DOWN, *[DOWN[-1]] * 60], part) == ["in"]


@given(st.floats(1.9, 3.0))
def test_a_part_of_another_size(ratio: float) -> None:
    """Heads that are side by side are alike in size: a much smaller thing counts only from farther off."""
    for right, expected in ((1.7, ["in"]), (5.0, ["in", "in"])):
        counter = CrossingCounter({"door": ACROSS}, *SIZE)
        tracks = zip(of(1, DOWN), of(2, moved(DOWN, right, 0), head=HEAD / ratio), strict=True)
        counted = [crossing for frame in tracks for crossing in counter.update(frame, ended=[])]

        assert [crossing.direction for crossing in counted] == expected


def test_squeezed_at_the_door() -> None:
    """Two who are as near as a head and its shoulder at the line only, and came to it apart, count as two."""
    left = straight((260, 120), (302, 240), 6) + straight((302, 240), (260, 360), 6)[1:]
    right = straight((380, 120), (338, 240), 6) + straight((338, 240), (380, 360), 6)[1:]

    assert side_by_side(left, right) == ["in", "in"]


def test_past_each_other() -> None:
    """Of two who brush past each other, one goes in and one out."""
    assert sorted(side_by_side(DOWN, moved(UP, 1.2, 0))) == ["in", "out"]


def test_one_after_the_other() -> None:
    """Who follows a second later is another one, however near their paths are."""
    follower = [*[(320, -200)] * 11, *DOWN]

    assert side_by_side(DOWN, follower) == ["in", "in"]


def test_a_shoulder_on_two_lines() -> None:
    """Each line books what goes along with a head once."""
    counter = CrossingCounter({"street": ACROSS, "shop": LOWER}, *SIZE)
    walk = straight((320, 120), (320, 440), 20)
    frames = [list(pair) for pair in zip(of(1, walk), of(2, moved(walk, 0.9, 0.3)), strict=True)]
    counted = [crossing for frame in frames for crossing in counter.update(frame, ended=[])]

    assert [(c.line, c.direction) for c in counted] == [("street", "in"), ("shop", "in")]


def test_there_and_back_with_a_shoulder() -> None:
    """A head with a shoulder beside it that goes there and back counts one in and one out."""
    walk = DOWN + UP

    assert side_by_side(walk, moved(walk, -1, 0.2)) == ["in", "out"]


def test_dead_tracks_are_forgotten() -> None:
    """Ten thousand heads that came and went leave nothing behind."""
    counter = CrossingCounter({"door": ACROSS}, *SIZE)
    for number in range(10_000):
        counter.update([Sighting(number, 320, 120, HEAD, number)], ended=[number])

    assert not counter.histories


def test_numbers_are_not_shared() -> None:
    """A number that comes again after its track's end begins without a past."""
    counter = CrossingCounter({"door": ACROSS}, *SIZE)
    counter.update([Sighting(1, 320, 120, HEAD, 0)], ended=[1])

    assert counter.update([Sighting(1, 320, 360, HEAD, 100), Sighting(1, 320, 380, HEAD, 200)], ended=[]) == []


# Places are kept off the exact edges of the rules, where rounding would decide.
PLACES = st.tuples(st.integers(20, 620).map(lambda x: x + 0.37), st.integers(20, 460).map(lambda y: y + 0.29))
PATHS = st.lists(PLACES, min_size=2, max_size=30)
LINES = st.tuples(
    st.tuples(st.integers(10, 45), st.integers(30, 70)),
    st.tuples(st.integers(55, 90), st.integers(30, 70)),
    st.sampled_from([(0.5, 0.03), (0.5, 0.97)]),
).map(
    lambda ends: Line.model_validate(
        {"from": (ends[0][0] / 100, ends[0][1] / 100), "to": (ends[1][0] / 100, ends[1][1] / 100), "inside": ends[2]}
    )
)


def swapped(crossings: Sequence[Crossing]) -> list[Crossing]:
    return [c._replace(direction="out" if c.direction == "in" else "in") for c in crossings]


@given(PATHS, LINES)
def test_inside_moved(path: Walk, line: Line) -> None:
    """To move `inside` to the other side swaps in and out and changes nothing else."""
    x, y = line.inside
    turned = Line.model_validate({"from": line.start, "to": line.end, "inside": (x, 1 - y)})

    assert swapped(count(path, line)) == count(path, turned)


@given(PATHS, LINES)
def test_line_reversed(path: Walk, line: Line) -> None:
    """To draw the line from its other end changes nothing."""
    backwards = Line.model_validate({"from": line.end, "to": line.start, "inside": line.inside})

    assert same(count(path, line), count(path, backwards))


@given(PATHS, LINES)
def test_picture_turned_upside_down(path: Walk, line: Line) -> None:
    """A camera mounted upside down counts the same, with its line turned alike."""
    turned = Line.model_validate(
        {
            "from": (1 - line.start[0], 1 - line.start[1]),
            "to": (1 - line.end[0], 1 - line.end[1]),
            "inside": (1 - line.inside[0], 1 - line.inside[1]),
        }
    )
    width, height = SIZE

    assert [c.direction for c in count(path, line)] == [
        c.direction for c in count([(width - x, height - y) for x, y in path], turned)
    ]


@given(PATHS, LINES, st.sampled_from([0.25, 0.5, 2.0, 4.0]))
def test_scaled(path: Walk, line: Line, scale: float) -> None:
    """A camera of another resolution counts the same."""
    width, height = SIZE
    counter = CrossingCounter({"door": line}, round(width * scale), round(height * scale))
    scaled = counter.update(of(1, [(x * scale, y * scale) for x, y in path], head=HEAD * scale), ended=[1])

    assert same(count(path, line), scaled)


@given(PATHS, st.floats(-0.05, 0.05), st.floats(-0.2, 0.2))
def test_shifted(path: Walk, right: float, down: float) -> None:
    """Who crosses doesn't depend on where in the picture the line and the path lie together."""
    width, height = SIZE
    (x1, y1), (x2, y2), (xi, _) = ACROSS.start, ACROSS.end, ACROSS.inside
    line = Line.model_validate(
        {"from": (x1 + right, y1 + down), "to": (x2 + right, y2 + down), "inside": (xi + right, 0.97)}
    )
    moved = [(x + right * width, y + down * height) for x, y in path]
    # Rounding must not carry a place over the line, the band's edge or the line's end.
    assume(all(min(abs(abs(y - 240) - limit) for limit in (0, SETTINGS.band * HEAD, HEAD)) > 1e-3 for _, y in path))

    assert ways(path) == ways(moved, line)


@given(
    st.integers(120, 520),
    st.integers(120, 520),
    st.booleans(),
    st.floats(0.1, 0.55),
    st.integers(0, 1),
)
def test_every_other_frame(start: int, end: int, down: bool, step: float, first: int) -> None:
    """A smooth walk over the line counts the same when every other frame is dropped."""
    steps = round(12 / step)
    walk = straight((start, 20), (end, 460), steps) if down else straight((start, 460), (end, 20), steps)

    assert ways(walk) == ways(walk[first::2]) == ["in" if down else "out"]


@given(st.integers(0, 2**32), st.floats(0, 1), st.floats(0.05, 0.99))
def test_jitter(seed: int, place: float, share: float) -> None:
    """A head that stands on the line and trembles within the band counts nothing, whatever the seed."""
    rnd = random.Random(seed)
    reach = SETTINGS.band * HEAD * share
    middle = 240 + (place - 0.5) * 2 * (SETTINGS.band * HEAD - reach)
    walk = [(320 + rnd.uniform(-reach, reach), middle + rnd.uniform(-reach, reach)) for _ in range(200)]

    assert ways(walk) == []


@given(st.integers(0, 2**32))
def test_jitter_after_walking_in(seed: int) -> None:
    """A head that walks up to the line, trembles on it and goes on over counts once."""
    rnd = random.Random(seed)
    reach = SETTINGS.band * HEAD * 0.99
    stand = [(320 + rnd.uniform(-reach, reach), 240 + rnd.uniform(-reach, reach)) for _ in range(200)]
    walk = straight((320, 120), (320, 230)) + stand + straight((320, 250), (320, 360))

    assert ways(walk) == ["in"]


@given(PATHS)
def test_alternates(path: Walk) -> None:
    """One head never goes in twice without having gone out, or round an end, between."""
    line = Line.model_validate({"from": (0.0, 0.5), "to": (1.0, 0.5), "inside": (0.5, 0.9)})
    counted = ways(path, line)

    assert all(one != other for one, other in pairwise(counted))


EXPLAINED = {
    "straight down": (DOWN, ("counted", "one head over the line")),
    "turned back on the line": (
        straight((320, 120), (320, 250)) + straight((320, 250), (320, 120)),
        ("nearly", "turned back"),
    ),
    "beside the left end": (straight((30, 120), (30, 360)), ("nearly", "passed the line's end")),
    "last seen just beyond the band": (straight((320, 120), (320, 260)), ("nearly", "lost at the line")),
}


@pytest.mark.parametrize("name", EXPLAINED)
def test_explanation(name: str) -> None:
    """Each way over the line, or nearly, is explained once, with the place on the line and integers only."""
    walk, expected = EXPLAINED[name]
    counter = CrossingCounter({"door": ACROSS}, *SIZE)
    told = []
    for sighting in of(1, walk):
        counter.update([sighting], ended=[])
        told += counter.explained
    counter.update([], ended=[1])
    (explanation,) = told + counter.explained

    assert (explanation.verdict, explanation.reason) == expected
    assert abs(explanation.y - 240) <= 1
    assert all(isinstance(value, int) for value in explanation.beliefs.values())


def test_a_part_is_explained() -> None:
    """A part that crosses with its head is refused, and the explanation says how near it stayed."""
    counter = CrossingCounter({"door": ACROSS}, *SIZE)
    explained = []
    for frame in zip(of(1, DOWN), of(2, moved(DOWN, 0.9, 0)), strict=True):
        counter.update(frame, ended=[])
        explained += [(e.verdict, e.reason, e.apart) for e in counter.explained]

    assert explained == [
        ("counted", "one head over the line", 0),
        ("refused", "part of a head that was counted", 9),
    ]


def test_a_rejected_track_is_explained() -> None:
    """A track that was never taken for a person and went over the line is refused, with the tracker's reason."""
    counter = CrossingCounter({"door": ACROSS}, *SIZE)
    counter.update([], [], [Rejected("not detected often enough", tuple(of(7, DOWN)))])

    assert [(e.verdict, e.reason) for e in counter.explained] == [("refused", "not detected often enough")]
    assert not counter.histories
