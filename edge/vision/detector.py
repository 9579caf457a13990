"""
Find heads in one frame: one resize, one run of the INT8 model, one vectorised look at its maps.

The model gives points, sizes and scores; nothing that could tell one person from another. Its contract is head.json
(`edge.core.head_model`): file digest, tensors and thresholds are checked before the first frame.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.core.errors import DetectorError, ModelMismatch, ModelMissing, PictureUnfit
from edge.core.head_model import Contract
from edge.vision.scene import NO_HEADS, Heads

_AVERAGED = 0.5
"""Frames that are made smaller than this are averaged. Between this and 1 that takes a quarter as long as the network,
and interpolating, which hardly takes any time, finds the same heads."""
_MOST_HEADS = 100
"""Heads looked at in one frame; the weakest beyond are left out."""
_SAME_HEAD = 0.7
"""Two peaks nearer to each other than this share of the larger diameter are one head: heads touch at 1, and overlap in
the picture only where one hides the other."""


class Detector:
    """
    The head model, loaded and checked.

    Args:
        contract: What the model file must be.
        threads: Threads of the interpreter.

    Raises:
        ModelMissing, ModelMismatch: the file isn't there, or isn't the one in the contract.
        DetectorError: no interpreter is installed, or it can't run the model.
    """

    def __init__(self, contract: Contract, threads: int = 1) -> None:
        self.contract = contract
        self._interpreter = _interpreter(_checked(contract), contract.file, threads)
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._score, self._size, self._offset = self._check_tensors()
        self._canvas = np.full((contract.height, contract.width, 3), contract.padding, np.uint8)
        self._letterbox: tuple[int, int, int, int] | None = None
        self._shape: tuple[int, ...] = ()
        self._scale = 1.0

    @property
    def interpreter(self) -> str:
        """The package that runs the model."""
        return type(self._interpreter).__module__.partition(".")[0]

    def detect(self, pixels: npt.NDArray[np.uint8]) -> Heads:
        """
        Return the heads in *pixels* whose score is at least the contract's weak threshold, strongest first.

        Args:
            pixels: (height, width, 3) uint8 BGR, or (height, width) grey; any size.

        Raises:
            PictureUnfit: an empty picture, or not one.
        """
        self._fill_canvas(pixels)
        self._interpreter.set_tensor(self._input, self._canvas[None])
        self._interpreter.invoke()
        return self._decode()

    def _fill_canvas(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Resize *pixels*, keeping its aspect, into the middle of the canvas, as RGB."""
        if pixels.shape != self._shape or pixels.dtype != np.uint8:
            self._fit(pixels)
        assert self._letterbox is not None  # noqa: S101 - set by _fit
        x, y, width, height = self._letterbox
        method = cv2.INTER_LINEAR if _AVERAGED < self._scale < 1 else cv2.INTER_AREA
        small = cv2.resize(pixels, (width, height), interpolation=method)
        code = cv2.COLOR_GRAY2RGB if small.ndim == 2 else cv2.COLOR_BGR2RGB  # noqa: PLR2004 - no colour axis
        cv2.cvtColor(small, code, dst=self._canvas[y : y + height, x : x + width])

    def _fit(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Work out where a picture of this shape goes on the canvas."""
        height, width, *colours = pixels.shape if pixels.ndim > 1 else (0, 0)
        if pixels.dtype != np.uint8 or not height * width or colours not in ([], [3]):
            raise PictureUnfit(pixels.shape, str(pixels.dtype))
        self._scale = min(self.contract.width / width, self.contract.height / height)
        fit_width = max(1, min(self.contract.width, round(width * self._scale)))
        fit_height = max(1, min(self.contract.height, round(height * self._scale)))
        x, y = (self.contract.width - fit_width) // 2, (self.contract.height - fit_height) // 2
        self._canvas[:] = self.contract.padding
        self._letterbox = (x, y, fit_width, fit_height)
        self._shape = pixels.shape

    def _decode(self) -> Heads:
        """Return the local maxima of the score map as heads, in px of the frame."""
        score_map = self._score.read(self._interpreter)[0, :, :, 0]
        peaks = (score_map >= self.contract.weak) & (score_map >= cv2.dilate(score_map, _NEIGHBOURS))
        rows, columns = np.nonzero(peaks)
        if not rows.size:
            return NO_HEADS
        scores = score_map[rows, columns]
        if rows.size > _MOST_HEADS:
            best = np.argpartition(-scores, _MOST_HEADS)[:_MOST_HEADS]
            rows, columns, scores = rows[best], columns[best], scores[best]
        order = np.argsort(-scores, kind="stable")
        rows, columns, scores = rows[order], columns[order], scores[order]
        stride = self.contract.stride
        offsets = self._offset.read_at(self._interpreter, rows, columns)
        sizes = self._size.read_at(self._interpreter, rows, columns)[:, 0]
        diameters = stride * np.exp(np.clip(sizes, -2.0, 5.0))
        centres = (np.stack((columns, rows), axis=1) + np.float32(0.5) + offsets) * np.float32(stride)
        kept = _told_apart(centres, diameters)
        assert self._letterbox is not None  # noqa: S101 - a picture has been put in
        x, y, width, height = self._letterbox
        kept = kept[np.all((centres[kept] >= (x, y)) & (centres[kept] <= (x + width, y + height)), axis=1)]
        corner = np.array((x, y), np.float32)
        return Heads(
            ((centres[kept] - corner) / self._scale).astype(np.float32),
            (diameters[kept] / self._scale).astype(np.float32),
            scores[kept],
        )

    def _check_tensors(self) -> tuple[_Map, _Map, _Map]:
        """Hold the model's tensors against the contract."""
        contract, details = self.contract, self._interpreter.get_input_details()
        wanted = (1, contract.height, contract.width, 3)
        actual = tuple(map(int, details[0]["shape"]))
        if len(details) != 1 or actual != wanted or details[0]["dtype"] is not np.uint8:
            raise ModelMismatch(
                contract.file, "its input", f"uint8 {wanted}", f"{details[0]['dtype'].__name__} {actual}"
            )
        outputs = self._interpreter.get_output_details()
        maps = {}
        for name, (index, shape) in contract.outputs.items():
            found = tuple(map(int, outputs[index]["shape"])) if 0 <= index < len(outputs) else None
            if found != shape:
                raise ModelMismatch(contract.file, f"its output {name}", shape, found)
            maps[name] = _Map(outputs[index])
        cells = (1, contract.height // contract.stride, contract.width // contract.stride)
        for name, channels in (("score", 1), ("size", 1), ("offset", 2)):
            if contract.outputs[name][1] != (*cells, channels):
                raise ModelMismatch(
                    contract.path, f"the shape of {name}", (*cells, channels), contract.outputs[name][1]
                )
        return maps["score"], maps["size"], maps["offset"]


class _Map:
    """One output map, read as real numbers whether the file keeps it quantised or not."""

    def __init__(self, details: dict[str, Any]) -> None:
        self._index = int(details["index"])
        scale, zero = details["quantization"]
        self._scale, self._zero = (np.float32(scale), np.float32(zero)) if scale else (np.float32(1), np.float32(0))

    def read(self, interpreter: Any) -> npt.NDArray[np.float32]:
        """Return the whole map, (1, rows, columns, channels) float32."""
        raw = interpreter.get_tensor(self._index)
        return np.asarray((raw.astype(np.float32) - self._zero) * self._scale, np.float32)

    def read_at(
        self, interpreter: Any, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.float32]:
        """Return the map's values at n cells, (n, channels) float32."""
        raw = interpreter.get_tensor(self._index)[0, rows, columns]
        return np.asarray((raw.astype(np.float32) - self._zero) * self._scale, np.float32)


_NEIGHBOURS = np.ones((3, 3), np.uint8)


def _told_apart(centres: npt.NDArray[np.float32], diameters: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """
    Return which of the heads stay when each drops the weaker ones that lie on it.

    Args:
        centres: (n, 2) px, strongest first.
        diameters: (n,) px.
    """
    steps = centres[:, None] - centres[None]
    near = np.hypot(steps[..., 0], steps[..., 1]) < _SAME_HEAD * np.maximum(diameters[:, None], diameters[None])
    dropped = np.zeros(len(centres), bool)
    for index in range(len(centres)):
        if not dropped[index]:
            dropped[index + 1 :] |= near[index, index + 1 :]
    return np.flatnonzero(~dropped)


def _checked(contract: Contract) -> bytes:
    """Return the model file's bytes if their digest is the contract's."""
    try:
        model = Path(contract.file).read_bytes()
    except OSError as exc:
        raise ModelMissing(contract.file) from exc
    digest = hashlib.sha256(model).hexdigest()
    if digest != contract.sha256:
        raise ModelMismatch(contract.file, "its sha256", contract.sha256, digest)
    return model


def _interpreter(model: bytes, path: Path, threads: int) -> Any:
    """Build an interpreter: LiteRT, or tflite-runtime where LiteRT has no wheel; both have the same calls."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError as exc:
            raise DetectorError(
                f"no interpreter for the head model can be loaded ({exc}); install ai-edge-litert"
            ) from exc
    try:
        interpreter = Interpreter(model_content=model, num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError, TypeError) as exc:
        raise DetectorError(f"head model: {path} can't be run by this interpreter: {exc}") from exc
    return interpreter
