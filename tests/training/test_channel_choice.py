"""Which input channels of a 1 x 1 convolution can be left out, and what the others say in their place."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from models.training.channel_choice import Moments

CELLS = 4_000


def seen(seed: int, inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return correlated inputs, (cells, inputs), and what a random layer says of them, (cells, outputs)."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(CELLS, inputs)) @ random.normal(size=(inputs, inputs)) + random.normal(size=inputs)
    return mixed, mixed @ random.normal(size=(inputs, outputs)) + random.normal(size=outputs)


def unexplained(x: np.ndarray, wanted: np.ndarray) -> float:
    """Return the share of the wanted variance that least squares on *x* leave, mean over the outputs."""
    with_one = np.column_stack([x, np.ones(len(x))])
    left = wanted - with_one @ np.linalg.lstsq(with_one, wanted, rcond=None)[0]
    return float((left.var(axis=0) / wanted.var(axis=0)).mean())


def test_copies_and_noise_are_left_out_first() -> None:
    """Of five channels one is a copy of another and one is never asked: three say everything."""
    random = np.random.default_rng(1)
    x = random.normal(size=(CELLS, 5)) + 3
    x[:, 3] = 2 * x[:, 0] - 1
    wanted = x[:, [0, 1, 2]] @ random.normal(size=(3, 4)) - 5
    moments = Moments(5, 4)
    for part in (slice(0, 1_000), slice(1_000, CELLS)):
        moments.add(x[part], wanted[part])

    fit = moments.fit(3)

    assert {1, 2} < set(fit.kept)
    assert 4 not in fit.kept
    assert fit.unexplained < 1e-3
    said = (x[:, fit.kept] - fit.input_mean) @ fit.weights.T + fit.mean
    assert said == pytest.approx(wanted, abs=0.05)
    assert fit.variance == pytest.approx(wanted.var(axis=0), rel=1e-3)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("keep", [6, 4, 2])
def test_the_weights_are_those_of_least_squares(seed: int, keep: int) -> None:
    """The weights are the best for the channels that are kept, and these explain more than half of all choices do."""
    x, wanted = seen(seed, 8, 3)
    moments = Moments(8, 3)
    moments.add(x, wanted)

    fit = moments.fit(keep)

    assert fit.unexplained == pytest.approx(unexplained(x[:, fit.kept], wanted), abs=2e-3)
    all_choices = sorted(unexplained(x[:, list(some)], wanted) for some in itertools.combinations(range(8), keep))
    assert fit.unexplained < np.median(all_choices)


def test_an_output_that_never_changes_counts_for_nothing() -> None:
    """Its variance of nearly nothing doesn't outweigh the others."""
    x, wanted = seen(9, 6, 2)
    wanted[:, 1] = 7.0
    moments = Moments(6, 2)
    moments.add(x, wanted)

    fit = moments.fit(3)

    assert fit.mean[1] == pytest.approx(7.0)
    assert np.abs(fit.weights[1]).max() < 1e-6


def test_more_than_there_are_can_not_be_kept() -> None:
    with pytest.raises(ValueError, match="9 channels can't be kept of 8"):
        Moments(8, 3).fit(9)
