"""What the tracker takes for one head, and what it doesn't."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.vision.scene import NO_HEADS, Heads, Sighting
from edge.vision.tracking.tracker import Tracker

STRONG, WEAK = 0.5, 0.25
HEAD = 40.0
STEP_MS = 100.0

Place = tuple[float, float] | tuple[float, float, float]

STOOD: list[list[Place]] = [[(320, 240)]] * 160
"""Frames of somebody, or something, that stands still for 16 s."""


def heads(places: Iterable[Place]) -> Heads:
    """Return heads of one size at (x, y) or (x, y, score)."""
    rows = [(*place, 0.9)[:3] for place in places]
    if not rows:
        return NO_HEADS
    array = np.array(rows, np.float32)
    return Heads(array[:, :2], np.full(len(rows), HEAD, np.float32), array[:, 2])


def follow(frames: Sequence[Sequence[Place]], step_ms: float = STEP_MS) -> tuple[Tracker, list[list[Sighting]]]:
    """Show frames to a new tracker; return it and what it reported for each."""
    tracker = Tracker(640, 480, STRONG, WEAK)
    return tracker, [tracker.update(heads(places), index * step_ms) for index, places in enumerate(frames)]


def numbers(reports: Iterable[Iterable[Sighting]]) -> set[int]:
    return {sighting.track for report in reports for sighting in report}


def walk(x: float, y: float, dx: float, dy: float, count: int) -> list[Place]:
    return [(x + index * dx, y + index * dy) for index in range(count)]


def test_one_walker_is_one_track() -> None:
    """A head that walks through the picture keeps one number."""
    _, reports = follow([[place] for place in walk(320, 20, 2, 20, 20)])

    assert len(numbers(reports)) == 1


def test_first_sightings_come_when_sure() -> None:
    """Nothing is reported of a head until its third sighting; then all three are, oldest first."""
    _, reports = follow([[place] for place in walk(320, 240, 0, 20, 4)])

    assert [len(report) for report in reports] == [0, 0, 3, 1]
    assert [sighting.t_ms for sighting in reports[2]] == [0, 100, 200]


@pytest.mark.parametrize(
    ("start", "step", "edge", "ago_ms"),
    [
        ((320, 30), (2, 20), (317, 0), 150),
        ((50, 240), (20, 0), (0, 240), 250),
        ((300, 455), (0, -10), (300, 480), 250),
    ],
)
def test_where_it_came_in(
    start: tuple[float, float], step: tuple[float, float], edge: tuple[float, float], ago_ms: float
) -> None:
    """A head that is first seen near the picture's edge, on its way in, is told to have come over the edge before."""
    _, reports = follow([[place] for place in walk(*start, *step, 4)])

    came, *seen = reports[2]
    assert (came.x, came.y) == pytest.approx(edge, abs=3)
    assert came.t_ms == pytest.approx(-ago_ms, abs=20)
    assert [sighting.t_ms for sighting in seen] == [0, 100, 200]


@pytest.mark.parametrize(
    "places",
    [walk(320, 240, 0, 20, 4), walk(320, 30, 0, 1, 40), walk(320, 60, 0, -15, 3), walk(320, 90, 0, 8, 5)],
    ids=["in the middle", "loitering at the edge", "on its way out", "too slow to have come in just before"],
)
def test_nobody_says_that_it_came_in(places: list[Place]) -> None:
    """What comes up elsewhere, or doesn't come from the edge, is told of from its first sighting on."""
    _, reports = follow([[place] for place in places])

    assert min(sighting.t_ms for report in reports for sighting in report) == 0


def test_where_it_went_out() -> None:
    """A head that was on its way out when last seen, near the edge, is told to have gone on, over the edge."""
    places = walk(320, 300, 0, 20, 8)
    _, reports = follow([*([place] for place in places), *[[]] * 20])

    (gone,) = (sighting for report in reports[len(places) :] for sighting in report)
    assert gone.y > 480
    assert gone.x == pytest.approx(320, abs=3)


@pytest.mark.parametrize(
    "places", [walk(320, 100, 0, 20, 8), walk(320, 455, 0, 0, 8)], ids=["in the middle", "standing at the edge"]
)
def test_nobody_says_that_it_went_out(places: list[Place]) -> None:
    """One who vanishes elsewhere, or stood still, was last seen where they were."""
    _, reports = follow([*([place] for place in places), *[[]] * 40])

    assert [] == [sighting for report in reports[len(places) :] for sighting in report]


def test_a_weak_head_in_place_rather_than_a_strong_one_beside() -> None:
    """A track goes on with the weak head where it should be, and not with a strong one that comes up a head away."""
    tracker, reports = follow([[place] for place in walk(320, 240, 0, 10, 8)])
    number = reports[-1][0].track
    seen = tracker.update(heads([(320, 320, 0.4), (355, 310, 0.9)]), 800)

    assert [(s.track, round(s.x)) for s in seen] == [(number, 320)]


def test_a_head_seen_once_is_nobody() -> None:
    """A false head of one frame is never reported, and is soon forgotten."""
    tracker, reports = follow([[(100, 100)], *[[]] * 12])

    assert numbers(reports) == set()
    assert not tracker.tracks


def test_weak_heads_begin_nothing() -> None:
    """A head that is only ever weak is never followed."""
    tracker, reports = follow([[(x, y, 0.4)] for x, y, *_ in walk(320, 20, 0, 20, 20)])

    assert numbers(reports) == set()
    assert not tracker.tracks


def test_weak_heads_continue_a_track() -> None:
    """A head that grows weak, as under a hat's brim, keeps its number and goes on being reported."""
    strong, weak = walk(320, 20, 0, 20, 6), [(x, y, 0.3) for x, y, *_ in walk(320, 140, 0, 20, 10)]
    _, reports = follow([[place] for place in [*strong, *weak]])

    assert len(numbers(reports)) == 1
    assert all(reports[6:])


@pytest.mark.parametrize(("away", "score", "seen"), [(24.0, 0.3, True), (56.0, 0.3, False), (56.0, 0.9, True)])
def test_weak_heads_count_only_near(away: float, score: float, seen: bool) -> None:
    """A lost head is taken for found where something weak comes up near by, not a diameter and a half away."""
    _, reports = follow([*[[(320, 240)]] * 8, *[[]] * 5, *[[(320 + away, 240, score)]] * 3])

    assert any(reports[-3:]) == seen


@pytest.mark.parametrize(
    ("away", "score", "people"), [(80.0, 0.55, 1), (80.0, 0.9, 2), (120.0, 0.55, 2), (80.0, 0.7, 2)]
)
def test_what_goes_along_with_a_much_surer_head(away: float, score: float, people: int) -> None:
    """A hand or a bag that walks along, seen as a head but far less surely, isn't one; a person beside another is."""
    sure, doubtful = walk(200, 20, 0, 20, 15), walk(200 + away, 20, 0, 20, 15)
    _, reports = follow([[place, (*other[:2], score)] for place, other in zip(sure, doubtful, strict=True)])

    assert len(numbers(reports)) == people


def test_a_doubtful_head_alone_is_one() -> None:
    """What would be a hand beside a surer head is a head where there is none."""
    _, reports = follow([[(x, y, 0.55)] for x, y, *_ in walk(200, 20, 0, 20, 15)])

    assert len(numbers(reports)) == 1


def test_below_weak_is_nothing() -> None:
    """A head under the weak threshold is not seen at all."""
    _, reports = follow([*[[place] for place in walk(320, 20, 0, 20, 4)], [(320, 100, 0.2)]])

    assert reports[-1] == []


@pytest.mark.parametrize("missed", [1, 3, 6])
def test_missed_frames(missed: int) -> None:
    """A walker who is missed for up to six frames at 10 fps is the same one after."""
    path = walk(320, 20, 0, 12, 30)
    frames: list[list[Place]] = [[place] for place in path]
    frames[10 : 10 + missed] = [[]] * missed
    _, reports = follow(frames)

    assert len(numbers(reports)) == 1


def test_unseen_is_not_reported() -> None:
    """A head that isn't seen in a frame isn't reported for it, though it is still followed."""
    tracker, reports = follow([*[[place] for place in walk(320, 20, 0, 20, 5)], []])

    assert reports[-1] == []
    assert tracker.tracks


def test_found_again_where_it_vanished() -> None:
    """A head that stops, is hidden and appears again near by is the same one."""
    stands: list[list[Place]] = [[(300, 200)]] * 5
    _, reports = follow([*[[place] for place in walk(300, 80, 0, 24, 5)], *stands, *[[]] * 12, *[[(330, 225)]] * 3])

    assert len(numbers(reports)) == 1


def test_lost_for_good() -> None:
    """After two seconds unseen in the middle of the picture, a head that appears there is another one."""
    _, reports = follow([*[[(300, 200)]] * 5, *[[]] * 25, *[[(300, 200)]] * 5])

    assert len(numbers(reports)) == 2


def test_ended_says_who_died() -> None:
    """The number of a track that died is told once."""
    tracker, reports = follow([[(300, 200)]] * 5)
    told: list[int] = []
    for index in range(5, 40):
        tracker.update(NO_HEADS, index * STEP_MS)
        told += tracker.ended

    assert told == list(numbers(reports))


def test_gone_through_the_edge() -> None:
    """Who walked out of the picture isn't waited for as long as one who vanished in its middle."""
    tracker, _ = follow([[place] for place in walk(320, 300, 0, 30, 6)])
    for index in range(6, 14):
        tracker.update(NO_HEADS, index * STEP_MS)

    assert not tracker.tracks


def test_crossing_paths() -> None:
    """Two who pass each other keep their own numbers: motion tells them apart."""
    down, up = walk(300, 40, 0, 16, 25), walk(345, 440, 0, -16, 25)
    _, reports = follow([[one, other] for one, other in zip(down, up, strict=True)])
    first, last = reports[2][:1] + reports[2][3:4], reports[-1]

    assert len(numbers(reports)) == 2
    assert {s.track for s in first if s.y < 240} == {s.track for s in last if s.y > 240}


def test_side_by_side() -> None:
    """Two who walk side by side, half a head between their heads, are two."""
    left, right = walk(300, 40, 0, 16, 25), walk(360, 40, 0, 16, 25)
    _, reports = follow([[one, other] for one, other in zip(left, right, strict=True)])

    assert len(numbers(reports)) == 2
    assert all(len(report) == 2 for report in reports[3:])


@pytest.mark.parametrize(("fps", "speed"), [(5, 12.0), (10, 13.0), (10, 1.3), (30, 13.0)])
def test_speeds(fps: float, speed: float) -> None:
    """From a stroll to a run, at 5 to 30 fps, a walker is one track (speeds in heads a second; 13 is 3 m/s)."""
    step, step_ms = speed * HEAD / fps, 1000 / fps
    _, reports = follow([[place] for place in walk(320, 10, 0, step, int(460 / step))], step_ms)

    assert len(numbers(reports)) == 1
    told = {sighting.t_ms for report in reports for sighting in report}
    assert told >= {index * step_ms for index in range(len(reports))}


def test_uneven_frames() -> None:
    """Frames that come late don't matter: motion is in seconds."""
    tracker = Tracker(640, 480, STRONG, WEAK)
    reports = [tracker.update(heads([(320, 0.2 * t_ms)]), t_ms) for t_ms in (0, 60, 190, 250, 700, 760, 1200, 1900)]

    assert len(numbers(reports)) == 1


def test_a_false_head_leads_nobody_astray_for_long() -> None:
    """A track that took a false head for its own finds its way back."""
    path = walk(320, 20, 0, 15, 28)
    frames: list[list[Place]] = [[place] for place in path]
    frames[12] = [(path[12][0] + 45, path[12][1] - 10)]
    _, reports = follow(frames)

    assert len(numbers(reports)) == 1
    assert (reports[-1][0].x, reports[-1][0].y) == pytest.approx(path[-1], abs=6)


def test_a_mannequin_does_not_walk_off() -> None:
    """What stood still for long doesn't go on as somebody who comes up beside it while it is hidden."""
    passing = walk(368, 240, 15, 0, 14)
    frames = [*STOOD, *([place] for place in passing[:2]), *([place, (320.0, 240.0)] for place in passing[2:])]
    tracker, reports = follow(frames)

    assert len(numbers(reports)) == 2
    assert {(track.number, round(track.x)) for track in tracker.tracks} == {(1, 320), (2, 563)}


def test_a_runner_is_no_mannequin() -> None:
    """Who comes up and runs past a mannequin that is hidden meanwhile doesn't go on as it."""
    running = walk(345, 160, 0, 55, 5)
    tracker, reports = follow([*STOOD, *([place] for place in running), [(320.0, 240.0)], [(320.0, 240.0)]])

    assert {track.number: round(track.y, -1) for track in tracker.tracks}[1] == 240
    assert len(numbers(reports)) == 2


def test_a_head_suspected_again_did_not_come_in_just_then() -> None:
    """A head that has been here for long, and is believed again, isn't told of as coming in over an edge near by."""
    faint = [(x, y, 0.55) for x, y, *_ in [*walk(300, 50, 0, 0, 12), *walk(300, 50, 0, 15, 12)]]
    surer = walk(520, 60, -32, 0, 5) + [(390.0, 60.0)] * 11
    frames: list[list[Place]] = [[place] for place in faint[:8]]
    frames += [[place] for place in surer[:4]]
    frames += [[*places] for places in zip(faint[12:], surer[4:], strict=True)]
    _, reports = follow(frames)
    (again,) = (report for report in reports[12:] if {1, 2} <= numbers([report]) and len(report) > 2)

    assert all(sighting.y > 45 for sighting in again)


def test_no_head_is_half_as_large_a_moment_later() -> None:
    """What comes up where a head vanished, and is half as large, is another thing."""
    tracker = Tracker(640, 480, STRONG, WEAK)
    reports = [tracker.update(heads([place]), 100 * index) for index, place in enumerate(walk(320, 200, 0, 10, 8))]
    small = Heads(np.array([(322, 262)], np.float32), np.full(1, HEAD / 2, np.float32), np.full(1, 0.9, np.float32))
    reports += [tracker.update(small, 1000 + 100 * index) for index in range(4)]

    assert len(numbers(reports[:8])) == 1
    assert numbers(reports[8:]).isdisjoint(numbers(reports[:8]))


@pytest.mark.parametrize("missed", [0, 2])
def test_who_stood_still_sets_out(missed: int) -> None:
    """Somebody who waited for long and walks off, quicker with each step, is still the same."""
    steps = np.cumsum([0.0, 2, 5, 8, 12, 15, 18, 20, 20, 20, 20])
    setting_out: list[list[Place]] = [[(320, 240 + float(step))] for step in steps]
    setting_out[2 : 2 + missed] = [[]] * missed
    _, reports = follow(STOOD + setting_out)

    assert len(numbers(reports)) == 1


def test_the_surer_of_two_is_the_head() -> None:
    """A shoulder seen before the head it belongs to gives its number up to the head, which is by far the surer one."""
    shoulder, head = walk(366, 20, 0, 15, 24), walk(320, 20, 0, 15, 24)
    frames = [[(x, y, 0.6), *head[index : index + 1][: index > 3]] for index, (x, y, *_) in enumerate(shoulder)]
    _, reports = follow(frames)

    assert numbers(reports) == {1}
    assert reports[3][0].x == pytest.approx(366, abs=2)
    assert reports[-1][0].x == pytest.approx(320, abs=2)


def test_a_shoulder_that_passes_a_mannequin_is_still_a_shoulder() -> None:
    """What was taken for a part of a mannequin, and leaves it, isn't somebody: it goes along with a head."""
    head = walk(400, 460, 0, -20, 20)
    frames: list[list[Place]] = [
        [(320, 240), (x, y), *([(x - 45, y)] if y < 280 else [])] for x, y, *_ in [(400.0, 460.0)] * 3 + head
    ]
    _, reports = follow(frames)

    assert numbers(reports) == {1, 2}


def test_a_second_peak_on_a_head_is_not_born() -> None:
    """A strong head on the ground of one that is followed begins no track."""
    path = walk(320, 20, 0, 15, 20)
    _, reports = follow([[place, (place[0] + 20, place[1] + 4)] for place in path])

    assert len(numbers(reports)) == 1


def test_another_size_is_another_head() -> None:
    """A large head doesn't continue a small one's track."""
    tracker = Tracker(640, 480, STRONG, WEAK)
    for index in range(5):
        tracker.update(heads([(300, 200)]), index * STEP_MS)
    large = Heads(np.array([[302, 203]], np.float32), np.array([130], np.float32), np.array([0.9], np.float32))

    assert tracker.update(large, 500.0) == []


def test_numbers_are_never_used_again() -> None:
    """A track's number is its own for the tracker's whole life."""
    tracker = Tracker(640, 480, STRONG, WEAK)
    born: list[int] = []
    for visit in range(30):
        seen = [tracker.update(heads([(300, 200)]), visit * 10_000 + index * STEP_MS) for index in range(4)]
        born += numbers(seen)

    assert len(set(born)) == 30


@given(st.lists(st.lists(st.tuples(st.integers(0, 640), st.integers(0, 480)), max_size=100), max_size=12))
def test_bounded(frames: list[list[tuple[int, int]]]) -> None:
    """However many heads rain down, the tracker follows at most two hundred and reports each number once a time."""
    tracker, reports = follow(frames)

    assert len(tracker.tracks) <= 200
    assert all(len({(s.track, s.t_ms) for s in report}) == len(report) for report in reports)


@given(st.integers(1, 7), st.integers(4, 64))
def test_scale(seed: int, sixteenths: int) -> None:
    """A camera of another resolution sees the same tracks."""
    rng, scale = np.random.default_rng(seed), sixteenths / 16
    small, large = Tracker(640, 480, STRONG, WEAK), Tracker(40 * sixteenths, 30 * sixteenths, STRONG, WEAK)
    for index in range(20):
        centres = np.stack((np.array([200.0, 300.0]), np.array([20.0, 400.0]) + index * np.array([15, -15])), axis=1)
        centres += rng.normal(0, 3, (2, 2))
        scores = np.full(2, 0.9, np.float32)
        one = small.update(Heads(centres.astype(np.float32), np.full(2, HEAD, np.float32), scores), index * STEP_MS)
        other = large.update(
            Heads((centres * scale).astype(np.float32), np.full(2, HEAD * scale, np.float32), scores), index * STEP_MS
        )

        assert [s.track for s in one] == [s.track for s in other]
        assert [s.y for s in one] == pytest.approx([s.y / scale for s in other], abs=0.05)


@pytest.mark.parametrize("away", [0.9, 1.2, 2.0])
@pytest.mark.parametrize("fps", [8, 15])
def test_a_part_that_comes_and_goes_is_rarely_reported(away: float, fps: int) -> None:
    """Of forty walkers with a much less confident part beside them, seen now and then, none makes two tracks."""
    step = 10 * HEAD / 2 / fps
    doubled = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        frames: list[list[Place]] = []
        for x, y, *_ in walk(320, 20, 0, step, int(440 / step)):
            x_, y_ = rng.normal((x, y), 0.05 * HEAD)
            part = [(x + away * HEAD, y + 0.2 * HEAD, 0.55)] if rng.random() < 0.5 else []
            frames.append([(float(x_), float(y_)), *part])
        _, reports = follow(frames, 1000 / fps)
        doubled += len(numbers(reports)) > 1
    print(f"{doubled} of 40")

    assert doubled == 0


def test_a_small_ghost_does_not_block_a_large_head() -> None:
    """Where a small thing stands, unseen, a head three times as large is followed from its first frames."""
    tracker = Tracker(640, 480, STRONG, WEAK)
    small = Heads(np.array([(320, 200)], np.float32), np.full(1, HEAD / 3, np.float32), np.full(1, 0.9, np.float32))
    for index in range(6):
        tracker.update(small, 100 * index)
    told = [tracker.update(heads([(320, 190 + 10 * index)]), 600 + 100 * index) for index in range(4)]

    assert any(told)


@pytest.mark.parametrize("missed", [8, 15, 19])
def test_a_lost_head_is_confirmed_in_time(missed: int) -> None:
    """However long a followed head was missed, three detections where it was are enough to report it again."""
    stands: list[list[Place]] = [[(320, 240)]]
    frames = [*stands * 20, *[[]] * missed, *stands * 4]
    _, reports = follow(frames)

    assert any(reports[-1:])
    assert numbers(reports) == {1}
