"""
Write the INT8 model, the same model in float32 for comparison, and the contract head.json.

    python -m models.training.export RUN/folded.npz --pictures PICTURES --out models

Needs TensorFlow 2.17, whose converter writes only what old interpreters know too; nothing here needs PyTorch.
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

from .dimensions import PADDING, STRIDE
from .graph import Graph
from .int8_layers import RANGES
from .size_calibration import add_size_slope

_CALIBRATION = 300


def _converted(graph: Graph, size: tuple[int, int], calibration: list[np.ndarray] | None) -> bytes:
    """Return a model file for pictures of *size*: INT8 if there are pictures to calibrate with, else float32."""
    width, height = size
    shape = tf.TensorSpec((1, height, width, 3), tf.float32 if calibration else tf.int8)
    ask = graph if calibration else lambda pictures: graph(tf.cast(pictures, tf.float32) / 127.5)
    module = tf.Module()
    module.serve = tf.function(ask, input_signature=[shape])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.serve.get_concrete_function()], module)
    if calibration:

        def samples() -> Iterator[list[np.ndarray]]:
            for number, picture in enumerate(calibration):
                inputs = tf.image.resize(picture[None].astype(np.float32), (height, width)).numpy()
                if not number:
                    # The whole range of bytes must be seen once: then the input's scale is 1 / 127.5 and its zero 0.
                    inputs[0, 0, :2] = [[0.0], [255.0]]
                yield [(inputs - np.float32(128)) / np.float32(127.5)]

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = samples
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def _contract(path: Path, version: str, size: tuple[int, int], thresholds: dict[str, float]) -> dict[str, Any]:
    """Return head.json for a written model; ValueError if its input isn't the byte less 128."""
    width, height = size
    interpreter = tf.lite.Interpreter(str(path))
    scale, zero = interpreter.get_input_details()[0]["quantization"]
    if scale and (zero or abs(scale * 127.5 - 1) > 1e-4):
        raise ValueError(f"the input's scale is {scale} and its zero {zero}, not 1 / 127.5 and 0")
    shape = [int(side) for side in interpreter.get_output_details()[0]["shape"]]
    return {
        "name": "footfall-head",
        "version": version,
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "input": {"width": width, "height": height, "colour": "RGB", "dtype": "int8", "padding": PADDING},
        "outputs": {"maps": {"index": 0, "shape": shape, "ranges": {n: list(limits) for n, limits in RANGES.items()}}},
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
    parser.add_argument("--size", type=int, nargs=2, default=(384, 288), help="width and height, multiples of 16 px")
    parser.add_argument("--strong", type=float, default=0.35)
    parser.add_argument("--weak", type=float, default=0.25)
    parser.add_argument("--size-slope", type=float, default=0.0, help="as `measure_size_calibration` prints it")
    parser.add_argument("--version", default="0.1.0")
    options = parser.parse_args()
    arrays = dict(np.load(options.folded))
    arrays["out/kernel"], arrays["out/bias"] = add_size_slope(
        arrays["out/kernel"], arrays["out/bias"], options.size_slope
    )
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
