"""Scores that slope with the size of the head: how much is measured, and what the network's last layer makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from models.training.dimensions import STRIDE
from models.training.measure_size_calibration import by_size
from models.training.size_calibration import USUAL_DIAMETER, add_size_slope


@pytest.mark.parametrize("slope", [-0.3, 0.0, 0.2, 0.6])
def test_the_slope_that_is_in_the_detections_is_found(slope: float) -> None:
    """Of detections with equal scores the larger ones are heads more often, by a slope that is known."""
    random = np.random.default_rng(11)
    logits, diameters = random.uniform(-2, 3, 12_000), np.exp(random.uniform(2, 4.5, 12_000))
    likely = 1 / (1 + np.exp(1 - 2 * (logits + slope * np.log(diameters / USUAL_DIAMETER))))

    found, error = by_size(1 / (1 + np.exp(-logits)), diameters, random.random(12_000) < likely)

    assert 0.01 < error < 0.05
    assert abs(found - slope) < 3 * error


@pytest.mark.parametrize("slope", [0.0, 0.2, -0.4])
def test_the_last_layer_gives_scores_with_the_slope_and_the_same_sizes(slope: float) -> None:
    random = np.random.default_rng(5)
    seen, kernel = random.normal(0, 1, (200, 48)), random.normal(0, 0.1, (48, 4))
    bias = np.array([-1.0, 1.6, 0.0, 0.0])
    before = seen @ kernel + bias
    diameters = STRIDE * np.exp(before[:, 1])

    kernel_after, bias_after = add_size_slope(kernel, bias, slope)
    after = seen @ kernel_after + bias_after

    assert after[:, 0] == pytest.approx(before[:, 0] + slope * np.log(diameters / USUAL_DIAMETER))
    assert after[:, 1:] == pytest.approx(before[:, 1:])
    assert before == pytest.approx(seen @ kernel + bias), "what was given is left as it was"
