"""
Make one threshold serve heads of all sizes: add a slope over the head's size to the score, in the last layer's weights.

`measure_size_calibration` measures the slope.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .dimensions import STRIDE

USUAL_DIAMETER = 20.0
"""A head of this diameter keeps its score, px of the model's input."""

Array = TypeVar("Array", bound=npt.NDArray[np.floating])


def add_size_slope(kernel: Array, bias: Array, slope: float) -> tuple[Array, Array]:
    """
    Return the last convolution with the slope in its weights; the given arrays stay as they are.

    Args:
        kernel: (..., outputs). The first two outputs are the score's logit and ln(diameter / STRIDE).
        bias: (outputs,).
        slope: By how much the logit rises when a head is e times as large.
    """
    kernel, bias = kernel.copy(), bias.copy()
    kernel[..., 0] += slope * kernel[..., 1]
    bias[0] += slope * (bias[1] - np.log(USUAL_DIAMETER / STRIDE))
    return kernel, bias
