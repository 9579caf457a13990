"""Lines on the page: what crosses them, and what is said against them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from edge.config import schema
from edge.core.errors import ConfigError
from edge.core.silhouette import FULL, Count, Point, Silhouette
from edge.core.tally import Flag
from edge.technician.setup.advice import SceneStatistics, advise
from edge.technician.setup.draft import Draft
from edge.vision.scene import Sighting

WIDTH, HEIGHT, HEAD = 640, 480, 60
ENTRANCE = schema.line((0.1, 0.5, 0.9, 0.5), (0.5, 0.9))


def seen(t_ms: int, *points: tuple[int, float, float]) -> Silhouette:
    """Return the record of a frame with heads of `HEAD` px at (track, x, y), px."""
    diameter = round(FULL * HEAD / WIDTH)
    told = [Point(track, round(FULL * x / WIDTH), round(FULL * y / HEIGHT), diameter) for track, x, y in points]
    return Silhouette(t_ms, t_ms, 0, 0, WIDTH, HEIGHT, b"", [Count(0, 0)], told)


def test_refused_crossings_are_shown() -> None:
    """The page is told how many crossings of the camera's lines the box has seen and not counted."""
    draft = Draft({"entrance": ENTRANCE})
    draft.observe(replace(seen(0), counts=[Count(1, 0, 3)]))

    assert 3 == draft.shown(0)["refused"]


def walk(draft: Draft, track: int, start: float, end: float, t_ms: int, x: float = 320) -> int:
    """Let one head walk down or up the picture in a second; return the time then."""
    for step in range(16):
        t_ms += 66
        draft.observe(seen(t_ms, (track, x, start + (end - start) * step / 15)))
    return t_ms


def test_what_is_not_counted_is_told_by_its_reason() -> None:
    """A head that turns back on the line stands on the line's card as a number and a reason."""
    draft = Draft({"entrance": ENTRANCE})
    t_ms = walk(draft, 1, 100, 255, 0)
    walk(draft, 1, 255, 100, t_ms)
    (line,) = draft.shown(0)["lines"]

    assert {"in": 0, "out": 0} == line["counts"]
    assert {"turned back": 1} == line["uncounted"]


def sent(number: int = 1, name: str = "entrance", was: object = "entrance", **changes: Any) -> dict[str, Any]:
    """Return a line as the page sends it."""
    return {
        "number": number,
        "name": name,
        "was": was,
        "points": [[0.1, 0.5], [0.9, 0.5]],
        "inside": [0.5, 0.9],
        **changes,
    }


def counts(draft: Draft) -> dict[str, tuple[int, int]]:
    return {line["name"]: (line["counts"]["in"], line["counts"]["out"]) for line in draft.shown(0)["lines"]}


def faults(draft: Draft) -> list[str]:
    return [fault for line in draft.shown(0)["lines"] for fault in line["faults"]]


def test_people_are_counted_as_they_walk() -> None:
    """Two go in and one comes out, over the line of the file."""
    draft = Draft({"entrance": ENTRANCE})
    t_ms = walk(draft, 1, 60, 420, 0)
    t_ms = walk(draft, 2, 60, 420, t_ms)
    walk(draft, 3, 420, 60, t_ms)

    assert counts(draft) == {"entrance": (2, 1)}


def test_the_shop_on_the_other_side() -> None:
    """Once the shop's side is tapped, the same walk is one out; counting begins anew for that line alone."""
    draft = Draft({"entrance": ENTRANCE, "side": schema.line((0.1, 0.4, 0.9, 0.4), (0.5, 0.9))})
    t_ms = walk(draft, 1, 60, 420, 0)
    side = sent(2, "side", "side", points=[[0.1, 0.4], [0.9, 0.4]])
    draft.change([sent(inside=[0.5, 0.1]), side])
    walk(draft, 2, 60, 420, t_ms)

    assert counts(draft) == {"entrance": (0, 1), "side": (2, 0)}


def test_a_new_name_keeps_the_counts() -> None:
    """A line that is only renamed goes on counting."""
    draft = Draft({"entrance": ENTRANCE})
    walk(draft, 1, 60, 420, 0)
    draft.change([sent(name="front")])

    assert counts(draft) == {"front": (1, 0)}


def test_a_line_that_can_not_be() -> None:
    """It is told why, isn't counted, and can't be written; its neighbour goes on."""
    draft = Draft({"entrance": ENTRANCE})
    flat = sent(2, "flat", None, points=[[0.0, 0.01], [1.0, 0.01]])
    draft.change([sent(), flat])
    walk(draft, 1, 60, 420, 0)

    assert counts(draft) == {"entrance": (1, 0), "flat": (0, 0)}
    assert "move it inwards" in faults(draft)[0]
    with pytest.raises(ConfigError, match="flat: the line leaves only"):
        draft.wanted()


@pytest.mark.parametrize(
    ("names", "complaint"),
    [(("door", "door"), "door: two lines have this name"), (("door", "no name"), "no name: is no name")],
)
def test_names_that_can_not_be(names: tuple[str, str], complaint: str) -> None:
    """A name twice, or one that a topic couldn't hold, can't be written."""
    draft = Draft({"entrance": ENTRANCE})
    draft.change([sent(number, name, None) for number, name in enumerate(names)])

    with pytest.raises(ConfigError, match=complaint):
        draft.wanted()


@pytest.mark.parametrize(
    "lines", [[], [sent()] * 9, [{"number": 1}], [sent(points=[[0.1]])], [sent(was=3)], [sent(points="ab")]]
)
def test_what_the_page_can_not_have_sent(lines: list[dict[str, Any]]) -> None:
    """Anything else than lines is refused and changes nothing."""
    draft = Draft({"entrance": ENTRANCE})
    with pytest.raises((ValueError, TypeError, KeyError)):
        draft.change(lines)

    assert counts(draft) == {"entrance": (0, 0)}


def test_a_picture_is_shown_until_the_next() -> None:
    """While the camera gives nothing the last cells stay, and the flag is told; a second tab gets the same heads."""
    draft = Draft({"entrance": ENTRANCE})
    draft.observe(seen(66, (1, 320, 60)))
    lost = Silhouette(67, 67, 0, 0, WIDTH, HEIGHT, b"", [Count(0, 0)], (), Flag.CAMERA_LOST)
    draft.observe(lost)

    assert draft.shown(0)["flags"] == ["CAMERA_LOST"]
    assert draft.shown(0)["points"] == draft.shown(0)["points"] == [[1, 0.5, 0.125, 0.0938, 66]]


# --- people who count twice ---

SIDE = schema.line((0.1, 0.3, 0.9, 0.3), (0.5, 0.9))


def twice(draft: Draft) -> dict[str, list[str]]:
    """Return line name: what is said of people who are counted twice."""
    return {
        line["name"]: [told.partition(",")[0] for told in line["advice"] if told.startswith("Counted twice")]
        for line in draft.shown(0)["lines"]
    }


def test_who_crosses_two_lines_counts_twice() -> None:
    """Each line names the other and how many people crossed both, while they are seen and after they have gone."""
    draft = Draft({"entrance": ENTRANCE, "side": SIDE})
    t_ms = walk(draft, 1, 60, 420, 0)
    assert twice(draft) == {
        "entrance": ["Counted twice: 1 person crossed this line and side"],
        "side": ["Counted twice: 1 person crossed this line and entrance"],
    }
    t_ms = walk(draft, 2, 420, 60, t_ms + 5_000)

    assert counts(draft) == {"entrance": (1, 1), "side": (1, 1)}
    assert twice(draft)["side"] == ["Counted twice: 2 people crossed this line and entrance"]


def test_who_crosses_one_line_or_turns_back_does_not() -> None:
    """Two doors side by side, and a person who goes over the second line and comes back."""
    left, right = schema.line((0.05, 0.5, 0.45, 0.5), (0.2, 0.9)), schema.line((0.55, 0.5, 0.95, 0.5), (0.8, 0.9))
    doors = Draft({"left": left, "right": right})
    t_ms = walk(doors, 1, 60, 420, 0, x=150)
    walk(doors, 2, 60, 420, t_ms, x=480)
    turned = Draft({"entrance": ENTRANCE, "side": SIDE})
    t_ms = walk(turned, 1, 60, 200, 0)
    walk(turned, 1, 200, 60, t_ms)

    assert twice(doors) == {"left": [], "right": []}
    assert twice(turned) == {"entrance": [], "side": []}


@pytest.mark.parametrize(
    "after",
    [
        [sent(), sent(2, "side", "side", points=[[0.1, 0.31], [0.9, 0.31]])],
        [sent()],
    ],
    ids=["moved", "deleted"],
)
def test_a_changed_line_begins_anew(after: list[dict[str, Any]]) -> None:
    """What was said of a line's old place is no longer said."""
    draft = Draft({"entrance": ENTRANCE, "side": SIDE})
    t_ms = walk(draft, 1, 60, 420, 0)
    walk(draft, 2, 60, 100, t_ms + 5_000)
    draft.change(after)

    assert twice(draft) == {line["name"]: [] for line in after}


def test_unsaved_until_it_is_saved() -> None:
    """A change makes the draft unsaved; taking it back, or saving it, doesn't."""
    draft = Draft({"entrance": ENTRANCE})
    states = [draft.unsaved]
    draft.change([sent(inside=[0.5, 0.1])])
    states.append(draft.shown(0)["unsaved"])
    draft.change([sent()])
    states.append(draft.unsaved)
    draft.change([sent(name="front")])
    states.append(draft.unsaved)
    draft.mark_saved()
    states.append(draft.unsaved)

    assert states == [False, True, False, True, False]


@pytest.mark.parametrize("name", ["</script><b>", "javascript:x", "a\nb", "\"'><i>"])
def test_a_hostile_name_is_one_event(name: str) -> None:
    """A name that the page sends comes back as the same text in one event of JSON, and can't be saved."""
    draft = Draft({"entrance": ENTRANCE})
    draft.change([sent(name=name)])
    event = json.dumps(draft.shown(0))

    assert json.loads(event)["lines"][0]["name"] == name
    assert "\n" not in event
    with pytest.raises(ConfigError):
        draft.wanted()


# --- advice ----------------------------------------------------------------------------------------------------------


def statistics(*sightings: tuple[int, float, float, float]) -> SceneStatistics:
    """Return what is known after (track, x, y, t_ms) of heads of `HEAD` px."""
    learnt = SceneStatistics(WIDTH)
    for track, x, y, t_ms in sightings:
        learnt.add(Sighting(track, x, y, HEAD, t_ms))
    return learnt


PASSES = [(1, 320.0, 40.0 * step, 66.0 * step) for step in range(12)]


@pytest.mark.parametrize(
    ("ends", "inside", "learnt", "said"),
    [
        ((0.1, 0.5, 0.9, 0.5), (0.5, 0.9), [], None),
        ((0.1, 0.5, 0.9, 0.5), (0.5, 0.9), PASSES, None),
        ((0.1, 0.06, 0.9, 0.06), (0.5, 0.9), [], "the street's side has room for 6 % of the picture"),
        ((0.1, 0.95, 0.9, 0.95), (0.5, 0.99), [], "the shop's side has room for 5 % of the picture"),
        ((0.1, 0.15, 0.9, 0.15), (0.5, 0.9), PASSES, "the street's side has room for 1.2 heads"),
        ((0.4, 0.5, 0.6, 0.5), (0.5, 0.9), PASSES, "Too short: 2.1 heads long"),
        ((0.4, 0.5, 0.6, 0.5), (0.5, 0.9), [], None),
    ],
)
def test_advice(
    ends: tuple[float, ...],
    inside: tuple[float, float],
    learnt: list[tuple[int, float, float, float]],
    said: str | None,
) -> None:
    """A line is told what speaks against it, measured in the heads that were seen, and a good one is told nothing."""
    told = advise(schema.line(ends, inside), statistics(*learnt), WIDTH, HEIGHT)

    assert len(told) == (said is not None)
    assert all(said in sentence for sentence in told if said)


def test_people_stand_on_the_line() -> None:
    """Who sways on the line for eight seconds is told of; who stands elsewhere, or walks, isn't."""
    sways = [(2, 300.0 + 5 * (step % 2), 240.0, 66.0 * step) for step in range(122)]
    elsewhere = [(3, 100.0, 420.0, 66.0 * step) for step in range(122)]

    assert advise(ENTRANCE, statistics(*PASSES, *elsewhere), WIDTH, HEIGHT) == []
    assert advise(ENTRANCE, statistics(*PASSES, *sways), WIDTH, HEIGHT) == [
        "People stand here: 8 s so far. Move the line to where they walk on."
    ]


def test_tracks_that_ended_are_forgotten() -> None:
    """State is kept for live tracks only."""
    learnt = statistics(*((number, 320.0, 240.0, float(number)) for number in range(1, 500)))

    assert list(range(1, 500)) == sorted(learnt.end_tracks(10_000))
    assert learnt.end_tracks(10_000) == []
