"""
What INT8 interpreters like, put into a network's first and last layer: exact changes of their weights.

The input is the byte less 128, (grey - 128) / 127.5, so nothing has to be normalised. The output is one map of four
channels, each stretched so that its range fills 0 to 6: the last convolution then needs no scale of its own for each
channel, and its ReLU6 keeps what lies outside.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RANGES = {"logit": (-4.0, 5.0), "size": (0.0, 4.5), "offset": (-4.2, 4.2)}
"""What each output can say: a score of 0.018 to 0.993, a diameter of 4 to 360 px, an offset in cells. Steps in INT8 are
0.035, 0.018 and 0.033; those of 0.6.0 were 0.0039 of the score, 0.017 and 0.033."""
OUTPUTS = ("logit", "size", "offset", "offset")
"""Of the map's four channels."""
TOP = 6.0

Array = npt.NDArray[np.floating]


def stretched(kernel: Array, bias: Array) -> tuple[Array, Array]:
    """Return the last convolution, (..., 4) and (4,), so that each channel's range becomes 0 to 6."""
    low, high = np.array([RANGES[name] for name in OUTPUTS], np.float32).T
    factor = TOP / (high - low)
    return kernel * factor, (bias - low) * factor


def paired(kernel: Array) -> Array:
    """
    Return a stem's kernel, (3, 3 or 4, 3, n), as one over pairs of columns, (3, 2, 6, n).

    Two columns of three colours lie in memory as one of six, so the pairs cost nothing, and a stride of 2 becomes 1.
    """
    rows, columns, colours, outputs = kernel.shape
    whole = np.zeros((rows, 4, colours, outputs), kernel.dtype)
    whole[:, :columns] = kernel
    return whole.reshape(rows, 2, 2 * colours, outputs)


def recentred(kernel: Array, bias: Array) -> Array:
    """Return the bias of a stem that was trained with grey / 127.5 - 1 and now gets (grey - 128) / 127.5."""
    return bias + kernel.sum(axis=(0, 1, 2)) * np.float32(0.5 / 127.5)
