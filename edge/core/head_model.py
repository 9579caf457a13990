"""
The head model's contract, head.json: where it is, and what it says it is.

Both processes read this small file: vision to check the model against it, the publisher to name the model in each hour.
Neither numpy nor an interpreter is loaded here.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from edge.core.errors import ModelMismatch, ModelMissing

_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (_PACKAGE / "models", _PACKAGE.parent / "models")
"""In an installed wheel; in a checkout."""


def shipped(name: str) -> Path:
    """Return the path of a file that is shipped beside the head model; ModelMissing if it isn't there."""
    for folder in _FOLDERS:
        if (folder / name).exists():
            return folder / name
    raise ModelMissing(_FOLDERS[-1] / name)


SEPARATE_MAPS = {"score": 1, "size": 1, "offset": 2}
"""The outputs of a model with one output per map, and their channels: models up to 0.6.0."""
CHANNELS = {"logit": 1, "size": 1, "offset": 2}
"""What the channels of a single output map are, in this order, and how many each needs: models from 0.6.1."""
TOP = 6.0
"""The value in a single output map that stands for the upper end of a channel's range; 0 stands for the lower end."""
_INPUT_TYPES = ("uint8", "int8")


class Output(NamedTuple):
    """
    One of the model's outputs.

    Attributes:
        position: Its index among the model's outputs.
        shape: (1, rows, columns, channels).
    """

    position: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Contract:
    """
    What head.json promises of the model file beside it.

    Attributes:
        file: The model file.
        sha256: Its digest, hexadecimal.
        width, height: Input size, px.
        input_type: "uint8": the RGB bytes; "int8": the RGB bytes less 128, which saves the model a conversion.
        padding: Grey value around a letterboxed picture.
        stride: Input px per cell of the output maps.
        outputs: Either score, size and offset (`SEPARATE_MAPS`), or one output, maps, with all `CHANNELS`.
        ranges: Of a single output: the real values of each channel that 0 and `TOP` stand for. Otherwise empty.
        strong, weak: Scores from which a head may begin a track, and may continue one.
    """

    path: Path
    name: str
    version: str
    file: Path
    sha256: str
    width: int
    height: int
    input_type: str
    padding: int
    stride: int
    outputs: dict[str, Output]
    ranges: dict[str, tuple[float, float]]
    strong: float
    weak: float

    def __post_init__(self) -> None:
        """Refuse what no model can be (ValueError)."""
        if min(self.width, self.height, self.stride) < 1:
            raise ValueError("a size that is less than 1 px")
        if self.input_type not in _INPUT_TYPES:
            raise ValueError(f"an input of {self.input_type}")
        if not all(-math.inf < low < high < math.inf for low, high in self.ranges.values()):
            raise ValueError("a range that doesn't go from a lower to a higher number")
        if not 0 < self.weak <= self.strong <= 1:
            raise ValueError("thresholds that aren't 0 < weak <= strong <= 1")

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of each map."""
        return self.height // self.stride, self.width // self.stride

    @property
    def channels(self) -> dict[str, tuple[int, ...]]:
        """Everything that the model tells of a picture: name, and (rows, columns, channels)."""
        if "maps" in self.outputs:
            return {name: (*self.cells, count) for name, count in CHANNELS.items()}
        return {name: output.shape[1:] for name, output in self.outputs.items()}

    @property
    def identity(self) -> str:
        """Name and version, as each hour's message carries them."""
        return f"{self.name} {self.version}"


def read(path: Path | None = None) -> Contract:
    """
    Read the contract at *path*, or the shipped one.

    Raises:
        ModelMissing: there is no such file.
        ModelMismatch: it isn't a contract.
    """
    path = path or shipped("head.json")
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        outputs = {
            name: Output(int(output["index"]), tuple(map(int, output["shape"])))
            for name, output in raw["outputs"].items()
        }
        ranges = raw["outputs"].get("maps", {}).get("ranges", {})
        contract = Contract(
            path=path,
            name=str(raw["name"]),
            version=str(raw["version"]),
            file=path.parent / str(raw["file"]),
            sha256=str(raw["sha256"]),
            width=int(raw["input"]["width"]),
            height=int(raw["input"]["height"]),
            input_type=str(raw["input"].get("dtype", "uint8")),
            padding=int(raw["input"]["padding"]),
            stride=int(raw["stride"]),
            outputs=outputs,
            ranges={name: (float(low), float(high)) for name, (low, high) in ranges.items()},
            strong=float(raw["thresholds"]["strong"]),
            weak=float(raw["thresholds"]["weak"]),
        )
    except FileNotFoundError as exc:
        raise ModelMissing(path) from exc
    except (OSError, ValueError, OverflowError, KeyError, TypeError, AttributeError) as exc:
        raise ModelMismatch(path, "contract", "a JSON object as the training code writes it", repr(exc)) from exc
    if set(outputs) == {"maps"}:
        if set(ranges) != set(CHANNELS):
            raise ModelMismatch(path, "ranges of maps", ", ".join(CHANNELS), ", ".join(sorted(ranges)) or "nothing")
    elif set(SEPARATE_MAPS) - set(outputs):
        raise ModelMismatch(path, "outputs", "score, size and offset, or maps", ", ".join(sorted(outputs)))
    return contract
