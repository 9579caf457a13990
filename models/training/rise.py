"""Put into the network's last layer that scores rise with the size of the head; `level` measures by how much."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .canvas import STRIDE

USUAL = 20.0
"""A head of this diameter keeps its score, px of the model's input."""

Array = TypeVar("Array", bound=npt.NDArray[np.floating])


def of_layer(kernel: Array, bias: Array, rise: float) -> tuple[Array, Array]:
    """
    Return the last convolution, *kernel* (..., outputs) and *bias* (outputs,), with the rise in it.

    Its first two outputs are the score's logit and ln(diameter / STRIDE).
    """
    kernel, bias = kernel.copy(), bias.copy()
    kernel[..., 0] += rise * kernel[..., 1]
    bias[0] += rise * (bias[1] - np.log(USUAL / STRIDE))
    return kernel, bias
