"""The head network again in TensorFlow, layer for layer, with the normalisation folded in; see `network.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from .int8_layers import paired, recentred, stretched

Array = npt.NDArray[np.float32]


class Graph(tf.Module):  # type: ignore[misc]
    """
    A network in TensorFlow.

    Args:
        arrays: What `fold_batch_norm` wrote.
    """

    def __init__(self, arrays: dict[str, Array]) -> None:
        super().__init__()
        arrays = dict(arrays)
        arrays["stem/bias"] = recentred(arrays["stem/kernel"], arrays["stem/bias"])
        arrays["stem/kernel"] = paired(arrays["stem/kernel"])
        arrays["out/kernel"], arrays["out/bias"] = stretched(arrays["out/kernel"], arrays["out/bias"])
        self._arrays = {name: tf.constant(array) for name, array in arrays.items()}

    def __call__(self, pictures: Any) -> Any:
        """Take (1, height, width, 3) of (grey - 128) / 127.5, give (1, height / 4, width / 4, 4) of 0 to 6."""
        _, height, width, _ = pictures.shape
        pairs = tf.reshape(pictures, (1, height, width // 2, 6))
        stem = self._unit("stem", pairs, stride=(2, 1))
        fine = self._blocks("fine", stem)
        middle = self._blocks("middle", fine)
        up = self._unit("from_coarse", self._blocks("coarse", middle))
        up = self._separable("at_middle", _doubled(up) + self._unit("from_middle", middle, linear=True))
        up = self._separable("at_fine", _doubled(up) + self._unit("from_fine", fine, linear=True))
        return self._unit("out", self._separable("head", up))

    def _unit(
        self,
        name: str,
        x: Any,
        *,
        stride: int | tuple[int, int] = 1,
        linear: bool = False,
        depthwise: bool = False,
    ) -> Any:
        kernel, bias = self._arrays[f"{name}/kernel"], self._arrays[f"{name}/bias"]
        if depthwise:
            x = tf.nn.depthwise_conv2d(x, kernel, [1, stride, stride, 1], "SAME")
        else:
            x = tf.nn.conv2d(x, kernel, stride, "SAME")
        x = tf.nn.bias_add(x, bias)
        return x if linear else tf.nn.relu6(x)

    def _blocks(self, name: str, x: Any) -> Any:
        count = sum(array.startswith(f"{name}.") and array.endswith(".narrow/bias") for array in self._arrays)
        for number in range(count):
            own = f"{name}.{number}"
            y = self._unit(f"{own}.widen", x)
            y = self._unit(f"{own}.around", y, stride=1 if number else 2, depthwise=True)
            y = self._unit(f"{own}.narrow", y, linear=True)
            x = x + y if number else y
        return x

    def _separable(self, name: str, x: Any) -> Any:
        return self._unit(f"{name}.mix", self._unit(f"{name}.around", x, depthwise=True))


def _doubled(x: Any) -> Any:
    return tf.compat.v1.image.resize_nearest_neighbor(x, [2 * x.shape[1], 2 * x.shape[2]])
