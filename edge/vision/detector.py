"""
Detect heads in one frame: one resize, one run of the INT8 model, one vectorised look at its output.

The model gives points, sizes and scores; nothing that could tell one person from another. Its contract is head.json
(`edge.core.head_model`): file digest, tensors and thresholds are checked before the first frame.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.core.errors import DetectorError, ModelMismatch, ModelMissing, PictureUnfit
from edge.core.head_model import CHANNELS, SEPARATE_MAPS, Contract
from edge.vision.head_maps import reader
from edge.vision.scene import NO_HEADS, Heads

_HALVED = 2.4
"""A frame that becomes smaller by this factor or more is halved first, which OpenCV does quickly. Between 2 and this it
is averaged by the fraction: halved and interpolated, a clip of 832 px had one person counted in vain."""
_AVERAGED = 0.5
"""Frames that are scaled by more than this, but less than 1, are interpolated without being averaged first."""
_MOST_HEADS = 100
"""Heads looked at in one frame; the weakest beyond are left out."""
_SAME_HEAD = 0.7
"""Two peaks nearer to each other than this share of the larger diameter are one head: heads touch at 1, and overlap in
the picture only where one hides the other."""
_SIGN = np.uint8(0x80)
"""The bit that turns a byte into the signed byte of 128 less."""


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
        self._check_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._maps = reader(contract, self._interpreter.get_output_details())
        self._canvas = np.full((contract.height, contract.width, 3), contract.padding, np.uint8)
        self._signed = np.empty_like(self._canvas) if contract.input_type == "int8" else None
        self._letterbox: tuple[int, int, int, int] | None = None
        self._shape: tuple[int, ...] = ()
        self._scale = 1.0
        self._halvings = 0

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
        if self._signed is None:
            self._interpreter.set_tensor(self._input, self._canvas[None])
        else:
            np.bitwise_xor(self._canvas, _SIGN, out=self._signed)
            self._interpreter.set_tensor(self._input, self._signed.view(np.int8)[None])
        self._interpreter.invoke()
        return self._decode()

    def _fill_canvas(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Resize *pixels*, keeping its aspect, into the middle of the canvas, as RGB."""
        if pixels.shape != self._shape or pixels.dtype != np.uint8:
            self._fit(pixels)
        assert self._letterbox is not None  # noqa: S101 - set by _fit
        x, y, width, height = self._letterbox
        for _ in range(self._halvings):
            rows, columns = (side // 2 for side in pixels.shape[:2])
            pixels = cv2.resize(pixels[: 2 * rows, : 2 * columns], (columns, rows), interpolation=cv2.INTER_AREA)  # type: ignore[assignment] # bytes stay bytes
        method = cv2.INTER_LINEAR if self._halvings or _AVERAGED < self._scale < 1 else cv2.INTER_AREA
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
        self._halvings = _halvings(min(width / fit_width, height / fit_height))
        x, y = (self.contract.width - fit_width) // 2, (self.contract.height - fit_height) // 2
        self._canvas[:] = self.contract.padding
        self._letterbox = (x, y, fit_width, fit_height)
        self._shape = pixels.shape

    def _decode(self) -> Heads:
        """Return the local maxima of the score map as heads, in px of the frame."""
        found = self._maps.peaks(self._interpreter, self.contract.weak)
        if not found.scores.size:
            return NO_HEADS
        order = np.argsort(-found.scores, kind="stable")[:_MOST_HEADS]
        stride = np.float32(self.contract.stride)
        cells = np.stack((found.columns[order], found.rows[order]), axis=1)
        centres = (cells + np.float32(0.5) + found.offsets[order]) * stride
        diameters = stride * np.exp(np.clip(found.sizes[order], -2.0, 5.0))
        kept = _told_apart(centres, diameters)
        assert self._letterbox is not None  # noqa: S101 - a picture has been put in
        x, y, width, height = self._letterbox
        kept = kept[np.all((centres[kept] >= (x, y)) & (centres[kept] <= (x + width, y + height)), axis=1)]
        corner = np.array((x, y), np.float32)
        return Heads(
            ((centres[kept] - corner) / self._scale).astype(np.float32),
            (diameters[kept] / self._scale).astype(np.float32),
            found.scores[order][kept],
        )

    def _check_tensors(self) -> None:
        """Hold the model's tensors against the contract."""
        contract, details = self.contract, self._interpreter.get_input_details()
        wanted = f"{contract.input_type} {(1, contract.height, contract.width, 3)}"
        actual = f"{np.dtype(details[0]['dtype']).name} {tuple(map(int, details[0]['shape']))}"
        if len(details) != 1 or actual != wanted:
            raise ModelMismatch(contract.file, "its input", wanted, actual)
        outputs = self._interpreter.get_output_details()
        for name, (index, shape) in contract.outputs.items():
            found = tuple(map(int, outputs[index]["shape"])) if 0 <= index < len(outputs) else None
            if found != shape:
                raise ModelMismatch(contract.file, f"its output {name}", shape, found)
        needed = {"maps": sum(CHANNELS.values())} if "maps" in contract.outputs else SEPARATE_MAPS
        for name, channels in needed.items():
            expected = (1, *contract.cells, channels)
            if contract.outputs[name].shape != expected:
                raise ModelMismatch(contract.path, f"the shape of {name}", expected, contract.outputs[name].shape)


def _halvings(shrinking: float) -> int:
    """
    Return how often a picture is halved before it is interpolated, if it is to be *shrinking* times as small.

    Halving averages 2 x 2 px, which OpenCV does quickly; interpolating by more than a half would leave pixels out.
    """
    return math.floor(math.log2(shrinking)) if shrinking >= _HALVED else 0


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
