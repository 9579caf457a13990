"""The shipped model: what its contract, its results and its card say is of this file and no other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge.core import head_model
from edge.vision.detector import Detector
from models.training import card

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture(name="contract")
def _contract() -> head_model.Contract:
    return head_model.read(MODELS / "head.json")


def test_it_is_small(contract: head_model.Contract) -> None:
    """The file has at most a megabyte."""
    assert contract.file.stat().st_size <= 1_000_000


def test_the_results_are_of_this_file(contract: head_model.Contract) -> None:
    """results.json was measured on the file that is shipped, under its name."""
    results = json.loads((MODELS / "results.json").read_text(encoding="utf-8"))

    assert (contract.identity, contract.sha256) == (results["model"], results["sha256"])
    assert contract.strong == pytest.approx(results["rendered"]["strong"]["score"], abs=0.001)


def test_the_card_shows_the_results() -> None:
    """Each figure of the card is that of results.json."""
    results = json.loads((MODELS / "results.json").read_text(encoding="utf-8"))
    text = (MODELS / "MODEL_CARD.md").read_text(encoding="utf-8")

    assert text == card.written(text, results)


def test_an_empty_floor_holds_no_head(contract: head_model.Contract) -> None:
    """Grey, black, white and noisy pictures have no head that could begin a track."""
    detector = Detector(contract)
    random = np.random.default_rng(3)
    pictures = [np.full((480, 640, 3), grey, np.uint8) for grey in (0, 90, 255)]
    pictures.append(random.integers(80, 110, (480, 640, 3), np.uint8))

    assert [float(detector.detect(p).scores.max(initial=0)) >= contract.strong for p in pictures] == [False] * 4
