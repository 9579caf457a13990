"""
Write the INT8 model, the same model in float32 for comparison, and the contract head.json.

    python -m models.training.export RUN/folded.npz --pictures PICTURES --out models

Needs TensorFlow 2.17, whose converter writes only what old interpreters know too; nothing here needs PyTorch. The graph
is `network.HeadNet` again, layer for layer, with the normalisation folded in.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from .canvas import PADDING, STRIDE
from .rise import of_layer

_CALIBRATION = 300


class Graph(tf.Module):  # type: ignore[misc]
    """The network in TensorFlow; see `network.py` for what its parts are for."""

    def __init__(self, arrays: dict[str, Any]) -> None:
        super().__init__()
        self._arrays = {name: tf.constant(array) for name, array in arrays.items()}

    def __call__(self, pictures: Any) -> dict[str, Any]:
        """Take (1, height, width, 3) of 0 to 255, give score, size and offset."""
        x = pictures / 127.5 - 1.0
        fine = self._blocks("fine", self._unit("stem", x, stride=2))
        middle = self._blocks("middle", fine)
        up = self._unit("from_coarse", self._blocks("coarse", middle))
        up = self._separable("at_middle", _doubled(up) + self._unit("from_middle", middle, linear=True))
        up = self._separable("at_fine", _doubled(up) + self._unit("from_fine", fine, linear=True))
        up = self._separable("head", up)
        kernel, bias = self._arrays["out/kernel"], self._arrays["out/bias"]
        score, size, offset = (
            tf.nn.bias_add(tf.nn.conv2d(up, kernel[..., low:high], 1, "SAME"), bias[low:high])
            for low, high in ((0, 1), (1, 2), (2, 4))
        )
        return {"score": tf.sigmoid(score), "size": size, "offset": offset}

    def _unit(self, name: str, x: Any, *, stride: int = 1, linear: bool = False, depthwise: bool = False) -> Any:
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


def _converted(graph: Graph, size: tuple[int, int], calibration: list[np.ndarray] | None) -> bytes:
    """Return a model file for pictures of *size*: INT8 if there are pictures to calibrate with, else float32."""
    width, height = size
    shape = tf.TensorSpec((1, height, width, 3), tf.float32 if calibration else tf.uint8)
    ask = graph if calibration else lambda pictures: graph(tf.cast(pictures, tf.float32))
    module = tf.Module()
    module.serve = tf.function(ask, input_signature=[shape])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.serve.get_concrete_function()], module)
    if calibration:

        def samples() -> Iterator[list[np.ndarray]]:
            for picture in calibration:
                yield [tf.image.resize(picture[None].astype(np.float32), (height, width)).numpy()]

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = samples
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def _contract(path: Path, version: str, size: tuple[int, int], thresholds: dict[str, float]) -> dict[str, Any]:
    """Return head.json for a written model: which output is which is told by running it."""
    width, height = size
    interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], np.full((1, height, width, 3), PADDING, np.uint8)
    )
    interpreter.invoke()
    outputs: dict[str, Any] = {}
    for index, details in enumerate(interpreter.get_output_details()):
        values = interpreter.get_tensor(details["index"]).astype(np.float32)
        scale, zero = details["quantization"]
        real = (values - zero) * scale if scale else values
        shape = [int(side) for side in details["shape"]]
        name = "offset" if shape[-1] == 2 else "score" if float(np.median(real)) < 0.1 else "size"
        outputs[name] = {"index": index, "shape": shape}
    if set(outputs) != {"score", "size", "offset"}:
        raise ValueError(f"outputs can't be told apart: {outputs}")
    return {
        "name": "footfall-head",
        "version": version,
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "input": {"width": width, "height": height, "colour": "RGB", "dtype": "uint8", "padding": PADDING},
        "outputs": {name: outputs[name] for name in ("score", "size", "offset")},
        "stride": STRIDE,
        "thresholds": thresholds,
    }


def main() -> None:
    """Convert, and write the contracts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folded", type=Path)
    parser.add_argument("--pictures", type=Path, required=True, help="training pictures, to calibrate INT8 with")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--float", type=Path, help="folder for the float32 model and its contract")
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240), help="width and height, multiples of 16 px")
    parser.add_argument("--strong", type=float, default=0.4)
    parser.add_argument("--weak", type=float, default=0.2)
    parser.add_argument("--by-size", type=float, default=0.0, help="the rise that `level` tells of")
    parser.add_argument("--version", default="0.1.0")
    options = parser.parse_args()
    arrays = dict(np.load(options.folded))
    arrays["out/kernel"], arrays["out/bias"] = of_layer(arrays["out/kernel"], arrays["out/bias"], options.by_size)
    graph = Graph(arrays)
    pictures: list[np.ndarray] = []
    for path in sorted(options.pictures.glob("*.pictures.npy")):
        shard = np.load(path, mmap_mode="r")
        pictures += [np.array(shard[index]) for index in range(0, len(shard), 12)]
    thresholds = {"strong": options.strong, "weak": options.weak}
    wanted = [(options.out, pictures[:: max(1, len(pictures) // _CALIBRATION)])]
    wanted += [(options.float, None)] if options.float else []
    for folder, calibration in wanted:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "head.tflite"
        path.write_bytes(_converted(graph, options.size, calibration))
        contract = _contract(path, options.version, options.size, thresholds)
        (folder / "head.json").write_text(json.dumps(contract, indent=2) + "\n", encoding="utf-8")
        print(f"{path}: {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
