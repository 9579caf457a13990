"""Scores that rise with the size of the head: how much is measured, and what the network's last layer makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from models.training.canvas import STRIDE
from models.training.level import by_size
from models.training.rise import USUAL, of_layer


@pytest.mark.parametrize("rise", [-0.3, 0.0, 0.2, 0.6])
def test_the_rise_that_is_in_the_detections_is_found(rise: float) -> None:
    """Of detections with equal scores the larger ones are heads more often, by a rise that is known."""
    random = np.random.default_rng(11)
    logits, diameters = random.uniform(-2, 3, 12_000), np.exp(random.uniform(2, 4.5, 12_000))
    likely = 1 / (1 + np.exp(1 - 2 * (logits + rise * np.log(diameters / USUAL))))

    found, error = by_size(1 / (1 + np.exp(-logits)), diameters, random.random(12_000) < likely)

    assert 0.01 < error < 0.05
    assert abs(found - rise) < 3 * error


@pytest.mark.parametrize("rise", [0.0, 0.2, -0.4])
def test_the_last_layer_gives_risen_scores_and_the_same_sizes(rise: float) -> None:
    random = np.random.default_rng(5)
    seen, kernel = random.normal(0, 1, (200, 48)), random.normal(0, 0.1, (48, 4))
    bias = np.array([-1.0, 1.6, 0.0, 0.0])
    before = seen @ kernel + bias
    diameters = STRIDE * np.exp(before[:, 1])

    kernel_after, bias_after = of_layer(kernel, bias, rise)
    after = seen @ kernel_after + bias_after

    assert after[:, 0] == pytest.approx(before[:, 0] + rise * np.log(diameters / USUAL))
    assert after[:, 1:] == pytest.approx(before[:, 1:])
    assert before == pytest.approx(seen @ kernel + bias), "what was given is left as it was"
