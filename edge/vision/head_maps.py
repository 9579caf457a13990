"""
Read heads off the head model's output: the local maxima of its score map, with what the other maps say there.

Only those cells are turned into real numbers. Which outputs there are, and what their numbers mean, the contract says
(`edge.core.head_model`): models up to 0.6.0 give a map each for score, size and offset, later ones a single map.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edge.core.head_model import TOP, Contract, Output

Floats = npt.NDArray[np.float32]
Cells = npt.NDArray[np.intp]

_NEIGHBOURS = np.ones((3, 3), np.uint8)
_MARGIN = 1e-3
"""A map is first searched for values down to this much below the threshold, then the scores themselves are compared:
conversion to real numbers rounds."""


class Peaks(NamedTuple):
    """
    The local maxima of the score map, in no order.

    Attributes:
        rows, columns: (n,) of the cells.
        scores: (n,) float32, 0 to 1.
        sizes: (n,) float32, ln(diameter in cells).
        offsets: (n, 2) float32, x and y from the cell's centre to the head's, in cells.
    """

    rows: Cells
    columns: Cells
    scores: Floats
    sizes: Floats
    offsets: Floats


class SeparateMaps:
    """Reads models that give the score itself, the size and the offset as three outputs."""

    def __init__(self, contract: Contract, details: list[dict[str, Any]]) -> None:
        self._score, self._size, self._offset = (
            _Tensor(contract.outputs[name], details) for name in ("score", "size", "offset")
        )

    def peaks(self, interpreter: Any, least: float) -> Peaks:
        """Return the maxima whose score is at least *least*, from the last run of *interpreter*."""
        scores = self._score.values(interpreter)[:, :, 0]
        rows, columns = _maxima(scores, self._score.raw(least))
        found = self._score.real(scores[rows, columns])
        kept = found >= least
        rows, columns = rows[kept], columns[kept]
        sizes = self._size.real(self._size.values(interpreter)[rows, columns, 0])
        offsets = self._offset.real(self._offset.values(interpreter)[rows, columns])
        return Peaks(rows, columns, found[kept], sizes, offsets)


class JointMaps:
    """Reads models that give one output: the score's logit, size and offset, each stretched to 0 to `TOP`."""

    def __init__(self, contract: Contract, details: list[dict[str, Any]]) -> None:
        self._maps = _Tensor(contract.outputs["maps"], details)
        logit, size, offset = (contract.ranges[name] for name in ("logit", "size", "offset"))
        low, high = np.array((logit, size, offset, offset), np.float32).T
        self._low, self._step = low, (high - low) / np.float32(TOP)

    def peaks(self, interpreter: Any, least: float) -> Peaks:
        """Return the maxima whose score is at least *least*, from the last run of *interpreter*."""
        maps = self._maps.values(interpreter)
        logit = math.log(least / (1 - least)) if least < 1 else math.inf
        rows, columns = _maxima(maps[:, :, 0], self._maps.raw((logit - float(self._low[0])) / float(self._step[0])))
        real = self._low + self._step * self._maps.real(maps[rows, columns])
        scores = np.asarray(1 / (1 + np.exp(-real[:, 0])), np.float32)
        kept = scores >= least
        return Peaks(rows[kept], columns[kept], scores[kept], real[kept, 1], real[kept, 2:])


def reader(contract: Contract, details: list[dict[str, Any]]) -> SeparateMaps | JointMaps:
    """Return what reads the outputs that *contract* promises; *details* is what the interpreter says of them."""
    return JointMaps(contract, details) if "maps" in contract.outputs else SeparateMaps(contract, details)


class _Tensor:
    """One output, quantised or not."""

    def __init__(self, output: Output, details: list[dict[str, Any]]) -> None:
        self._index = int(details[output.position]["index"])
        scale, zero = details[output.position]["quantization"]
        self._scale, self._zero = (np.float32(scale), np.float32(zero)) if scale else (np.float32(1), np.float32(0))

    def values(self, interpreter: Any) -> npt.NDArray[Any]:
        """Return the values as the interpreter keeps them, (rows, columns, channels)."""
        values: npt.NDArray[Any] = interpreter.get_tensor(self._index)[0]
        return values

    def real(self, values: npt.NDArray[Any]) -> Floats:
        """Return *values* as real numbers."""
        return np.asarray((values.astype(np.float32) - self._zero) * self._scale, np.float32)

    def raw(self, real: float) -> float:
        """Return what a real number would be kept as, before it is rounded."""
        return real / float(self._scale) + float(self._zero)


def _maxima(plane: npt.NDArray[Any], least: float) -> tuple[Cells, Cells]:
    """Return rows and columns of the cells that are no less than *least* and than each of their eight neighbours."""
    values = np.ascontiguousarray(plane, np.float32)
    high = values >= least - _MARGIN
    if high.any():
        high &= values >= cv2.dilate(values, _NEIGHBOURS)
    rows, columns = np.nonzero(high)
    return rows, columns
