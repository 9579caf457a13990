"""What an export does to the first and the last layer: other numbers in another form, and the same results."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from models.training.int8_layers import OUTPUTS, RANGES, TOP, paired, recentred, stretched

Array = npt.NDArray[np.floating]


def convolved(x: Array, kernel: Array, strides: tuple[int, int]) -> Array:
    """Return the convolution of (rows, columns, channels), padded with zeros below and to the right."""
    rows, columns = (side // stride for side, stride in zip(x.shape, strides, strict=False))
    padded = np.pad(x, ((0, kernel.shape[0]), (0, kernel.shape[1]), (0, 0)))
    result = np.zeros((rows, columns, kernel.shape[3]))
    for row in range(rows):
        for column in range(columns):
            top, left = row * strides[0], column * strides[1]
            part = padded[top : top + kernel.shape[0], left : left + kernel.shape[1]]
            result[row, column] = np.tensordot(part, kernel, 3)
    return result


@pytest.mark.parametrize("columns", [3, 4])
def test_a_stem_over_pairs_of_columns_gives_the_same(columns: int) -> None:
    """Pairs of columns lie in memory as one column of six colours; a stride of 2 across becomes 1."""
    random = np.random.default_rng(4)
    picture, kernel = random.normal(size=(12, 16, 3)), random.normal(size=(3, columns, 3, 5))

    pairs = convolved(picture.reshape(12, 8, 6), paired(kernel), (2, 1))

    assert pairs == pytest.approx(convolved(picture, kernel, (2, 2)))


def test_another_zero_of_the_input_goes_into_the_bias() -> None:
    """A stem that was trained with grey / 127.5 - 1 gives the same of (grey - 128) / 127.5."""
    random = np.random.default_rng(5)
    grey = random.integers(0, 256, (3, 3, 3))
    kernel, bias = random.normal(size=(3, 3, 3, 4)), random.normal(size=4)
    trained = np.tensordot(grey / 127.5 - 1, kernel, 3) + bias

    assert np.tensordot((grey - 128) / 127.5, kernel, 3) + recentred(kernel, bias) == pytest.approx(trained)


def test_each_output_fills_its_range() -> None:
    """The ends of a range become 0 and 6, whatever lies between stays between, in proportion."""
    random = np.random.default_rng(6)
    seen, kernel = random.normal(size=(50, 8)), random.normal(0, 0.3, (8, 4))
    bias = random.normal(size=4)
    low, high = np.array([RANGES[name] for name in OUTPUTS]).T

    kernel_after, bias_after = stretched(kernel, bias)
    share = (seen @ kernel_after + bias_after) / TOP

    assert low + share * (high - low) == pytest.approx(seen @ kernel + bias, abs=1e-4)
