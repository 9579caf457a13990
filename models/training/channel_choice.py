"""
Which of a 1 x 1 convolution's input channels the others can stand in for.

One after the other is left out, each time the one whose loss costs least when the weights of the others make up for it
(Hassibi and Stork 1993, Optimal Brain Surgeon), by least squares over many cells. Only numbers: nothing here needs
PyTorch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_RIDGE = 1e-4
"""Share of the inputs' mean variance that is added to the variance of each, so that channels that are copies of each
other don't make the inverse endless."""
_SMALLEST_VARIANCE = 1e-6
"""Least variance that an output is weighed by, so that one that never changes doesn't count for all."""


class Fit(NamedTuple):
    """
    A 1 x 1 convolution that does with fewer input channels.

    Attributes:
        kept: The input channels that are left, ascending.
        weights: (outputs, kept).
        input_mean: Of the kept inputs, (kept,).
        mean, variance: Of the outputs, (outputs,).
        unexplained: Share of the wanted outputs' variance that these weights don't explain, mean over the outputs.
    """

    kept: list[int]
    weights: Array
    input_mean: Array
    mean: Array
    variance: Array
    unexplained: float


class Moments:
    """
    Means and covariances of a layer's inputs and of what is wanted of it, over all cells seen.

    Args:
        inputs, outputs: Channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        self._inputs, self._count = inputs, 0
        self._sum = np.zeros(inputs + outputs)
        self._products = np.zeros((inputs + outputs, inputs + outputs))

    def add(self, inputs: npt.NDArray[np.floating], wanted: npt.NDArray[np.floating]) -> None:
        """Add cells, (n, inputs) and (n, outputs)."""
        both = np.concatenate([inputs, wanted], axis=1, dtype=np.float64)
        self._count += len(both)
        self._sum += both.sum(axis=0)
        self._products += both.T @ both

    def fit(self, keep: int) -> Fit:
        """
        Return what is left when all but *keep* inputs have been left out.

        Each output counts alike, however large its values are.

        Raises:
            ValueError: There are fewer inputs.
        """
        count = self._inputs
        if keep > count:
            raise ValueError(f"{keep} channels can't be kept of {count}")
        mean = self._sum / self._count
        covariances = self._products / self._count - np.outer(mean, mean)
        inputs, cross = covariances[:count, :count], covariances[count:, :count]
        scale = np.maximum(covariances.diagonal()[count:], _SMALLEST_VARIANCE)
        inverse = np.linalg.inv(inputs + _RIDGE * inputs.diagonal().mean() * np.eye(count))
        weights, kept = cross @ inverse, np.arange(count)
        while len(kept) > keep:
            costs = (weights**2 / scale[:, None]).sum(axis=0) / inverse.diagonal()
            least = int(costs.argmin())
            row, pivot = inverse[least], inverse[least, least]
            weights = np.delete(weights - np.outer(weights[:, least], row) / pivot, least, axis=1)
            inverse = np.delete(np.delete(inverse - np.outer(row, row) / pivot, least, axis=0), least, axis=1)
            kept = np.delete(kept, least)
        explained = np.maximum((weights * cross[:, kept]).sum(axis=1), 0.0)
        unexplained = float((1 - explained / scale).mean())
        return Fit(kept.tolist(), weights, mean[kept], mean[count:], explained, unexplained)
