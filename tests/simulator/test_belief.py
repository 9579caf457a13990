"""The belief model can be run: it counts as its command says, holds its bounds, and stays out of the product."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from edge.config.schema import Line
from edge.core import head_model
from edge.vision.scene import NO_HEADS, Crossing, Heads
from edge.vision.tracking.settings import SETTINGS
from tests import clips
from tests.simulator.__main__ import Case
from tests.simulator.ablation import Recording
from tests.simulator.belief import __main__ as command
from tests.simulator.belief import settings
from tests.simulator.belief.model import BeliefModel
from tests.simulator.eye import Errors
from tests.simulator.walkers import Traffic

STEP_MS, HEAD = 100.0, 30.0
LINE = Line.model_validate({"from": (0.1, 0.5), "to": (0.9, 0.5), "inside": (0.5, 0.9)})
Place = tuple[float, float, float]
"""x and y of a head, px, and its score."""


def heads(places: Iterable[Place]) -> Heads:
    """Return heads of one size."""
    rows = np.array(list(places), np.float32).reshape(-1, 3)
    return Heads(rows[:, :2], np.full(len(rows), HEAD, np.float32), rows[:, 2]) if len(rows) else NO_HEADS


def walk(*walkers: tuple[float, float], frames: int = 40) -> list[Heads]:
    """Return what is seen of walkers, each an x, px, and a score, who come in at the top and go out at the bottom."""
    ys = [-20 + 14 * index for index in range(frames)]
    return [heads((x, y, score) for x, score in walkers if 0 <= y < 480) for y in ys]


def look(model: BeliefModel, seen: Iterable[Heads]) -> list[Crossing]:
    """Return what *model* counts of frames."""
    counted = [crossing for index, found in enumerate(seen) for crossing in model.look(found, STEP_MS * index)]
    return [*counted, *model.finish()]


@pytest.fixture
def model() -> BeliefModel:
    return BeliefModel({"door": LINE}, 640, 480, 0.35, 0.25)


def test_two_persons_are_two(model: BeliefModel) -> None:
    """Two who walk side by side, three diameters apart, are counted both, at once and when they were on the line."""
    counted = look(model, walk((200, 0.7), (200 + 3 * HEAD, 0.7)))

    assert ["in", "in"] == [crossing.direction for crossing in counted]
    assert all(abs(crossing.t_ms - STEP_MS * 260 / 14) < STEP_MS for crossing in counted)


def test_a_part_is_none(model: BeliefModel) -> None:
    """What stays one diameter beside a head, with half its score, is a part of it; the decision says so."""
    decisions = []
    counted = []
    for index, found in enumerate([*walk((200, 0.8), (200 + HEAD, 0.4)), *[NO_HEADS] * 50]):
        counted += model.look(found, STEP_MS * index)
        decisions += model.counter.decisions
    refused = [decision for decision in decisions if decision.explanation.verdict == "refused"]

    assert ["in"] == [crossing.direction for crossing in counted]
    assert ["part of a head that was counted"] == [decision.explanation.reason for decision in refused]
    assert refused[0].two_persons < 0


def test_what_is_undecided_waits_for_the_end(model: BeliefModel) -> None:
    """Two who stay 1.47 diameters apart may be one: the second waits until it is late, or the pictures end."""
    crossed = walk((200, 0.7), (200 + 1.47 * HEAD, 0.7))[:26]
    counted = [crossing for index, found in enumerate(crossed) for crossing in model.look(found, STEP_MS * index)]

    assert ["in"] == [crossing.direction for crossing in counted]
    assert ["in"] == [crossing.direction for crossing in model.finish()]
    assert [] == model.finish()


def test_a_leap_over_the_line_is_no_crossing(model: BeliefModel) -> None:
    """Heads that come up two seconds and five diameters from where another was lost aren't known to be its own."""
    upper, lower = [heads([(300, 150 + index, 0.4)]) for index in range(8)], [heads([(300, 300, 0.4)])] * 8

    assert [] == look(model, [*upper, *[NO_HEADS] * 18, *lower])


def test_beliefs_are_bounded_and_forgotten(model: BeliefModel) -> None:
    """Existence stays in its bounds while a head is seen and while it isn't, and nothing is kept of who left."""
    shy = [heads([(450, 240, 0.4)])] * 4
    found = [*walk((200, 0.9), (215, 0.3), (330, 0.9)), *shy, *[NO_HEADS] * 100]
    existences = []
    for index, one in enumerate(found):
        model.look(one, STEP_MS * index)
        existences += [track.confidence for track in model.tracker.tracks]

    assert (min(existences), max(existences)) == (settings.BELIEFS.least, settings.BELIEFS.most)
    assert not model.tracker.tracks
    assert not model.tracker.by_number
    assert len(model.tracker.pairs) == 0
    assert not model.counter.histories
    assert not model.counter._pending


def test_who_came_and_left_is_followed_by_one_track(model: BeliefModel) -> None:
    """A head unseen for half a second in the middle of the picture goes on under its number, with one unseen step."""
    seen = walk((300, 0.8))
    seen[16:21] = [NO_HEADS] * 5
    for index, found in enumerate(seen[:30]):
        model.look(found, STEP_MS * index)

    (track,) = model.tracker.tracks
    assert 1 == track.number
    assert [STEP_MS * 21] == [t_ms for t_ms, continuity in track.steps if continuity < -1]


def test_one_detection_is_no_track_yet(model: BeliefModel) -> None:
    """However confident the detector is, one detection isn't reported: it tells no motion, so no way in either."""
    assert [] == model.tracker.update(heads([(300, 200, 1.0)]), 0)
    assert model.tracker.tracks


def test_each_setting_has_a_sentence() -> None:
    """Each belief has a unit and a sentence; motion is the product's but for its confidence."""
    source = Path(settings.__file__).read_text(encoding="utf-8")
    told = dict(re.findall(r"^    (\w+): float = \S+  # ([A-Z].*\.)$", source, re.MULTILINE))
    theirs = {name: getattr(settings.MOTION, name) for name in ("miss", "confirm", "doubt", "least", "most")}

    assert {field.name for field in fields(settings.BELIEFS)} == set(told)
    assert settings.MOTION == replace(SETTINGS, **theirs)


def test_recorded_doors_stand_side_by_side(tmp_path: Path) -> None:
    """A recorded walk is counted right by both models, in one row."""
    truth = {
        "fps": 10,
        "frames": 40,
        "line": {"from": [0.1, 0.5], "to": [0.9, 0.5], "inside": [0.5, 0.9]},
        "events": [{"t": 1.9, "dir": "in"}],
    }
    (tmp_path / "walk.json").write_text(json.dumps(truth), encoding="utf-8")
    frames = [(STEP_MS * index, index == 0, found) for index, found in enumerate(walk((300, 0.8)))]
    recording = Recording(tmp_path / "walk.mp4", (640, 480), frames)
    rows = list(command.recorded([recording], head_model.read(), quick=False))

    assert "| walk | 1 / 0 / 0 | 1.0000 | 1 / 0 / 0 | 1.0000 |" == rows[0]
    assert "| **mean over these 11 pairs of thresholds** | | 1.0000 | | 1.0000 |" == rows[-3]
    assert len(rows) == 1 + 11 + 1 + 2


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It counts simulated walks right, with both models; where there are no recorded doors, it says so."""
    perfect = Errors(recall=1, edge=0, weak=0, double=0, shoulder=0, false=0, ghosts=0)
    case = Case("alone", Traffic(1, groups=0), perfect, 12)
    monkeypatch.setattr(clips, "DOORS", tmp_path)
    monkeypatch.setattr(command, "cases", lambda many, few: [(f"Walks\n\n{many} of {few}", "", [case])])
    monkeypatch.setattr(sys, "argv", ["belief", "--quick", "--heads", str(tmp_path / "heads")])
    command.main()
    said = capsys.readouterr()

    assert "| Walks | 12 / 0 / 0 | 1.0000 | 12 / 0 / 0 | 1.0000 |" in said.out
    assert f"LEFT OUT: there are none in {tmp_path}" in said.err


def test_the_product_does_without() -> None:
    """No module of the product knows the belief model, or any other test."""
    modules = sorted((clips.REPOSITORY / "edge").rglob("*.py"))

    assert modules
    assert [] == [
        path
        for path in modules
        if re.search(r"^\s*(from|import) tests\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
