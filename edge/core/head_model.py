"""
The head model's contract, head.json: where it is, and what it says it is.

Both processes read this small file: vision to check the model against it, the publisher to name the model in each hour.
Neither numpy nor an interpreter is loaded here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Contract:
    """
    What head.json promises of the model file beside it.

    Attributes:
        file: The model file.
        sha256: Its digest, hexadecimal.
        width, height: Input size, px.
        padding: Grey value around a letterboxed picture.
        stride: Input px per cell of the output maps.
        outputs: Position of each output map among the model's outputs, and its shape.
        strong, weak: Scores from which a head may begin a track, and may continue one.
    """

    path: Path
    name: str
    version: str
    file: Path
    sha256: str
    width: int
    height: int
    padding: int
    stride: int
    outputs: dict[str, tuple[int, tuple[int, ...]]]
    strong: float
    weak: float

    def __post_init__(self) -> None:
        """Refuse what no model can be (ValueError)."""
        if min(self.width, self.height, self.stride) < 1:
            raise ValueError("a size that is less than 1 px")
        if not 0 < self.weak <= self.strong <= 1:
            raise ValueError("thresholds that aren't 0 < weak <= strong <= 1")

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
        outputs = {name: (int(o["index"]), tuple(map(int, o["shape"]))) for name, o in raw["outputs"].items()}
        contract = Contract(
            path=path,
            name=str(raw["name"]),
            version=str(raw["version"]),
            file=path.parent / str(raw["file"]),
            sha256=str(raw["sha256"]),
            width=int(raw["input"]["width"]),
            height=int(raw["input"]["height"]),
            padding=int(raw["input"]["padding"]),
            stride=int(raw["stride"]),
            outputs=outputs,
            strong=float(raw["thresholds"]["strong"]),
            weak=float(raw["thresholds"]["weak"]),
        )
    except FileNotFoundError as exc:
        raise ModelMissing(path) from exc
    except (OSError, ValueError, OverflowError, KeyError, TypeError, AttributeError) as exc:
        raise ModelMismatch(path, "contract", "a JSON object as the training code writes it", repr(exc)) from exc
    if {"score", "size", "offset"} - set(outputs):
        raise ModelMismatch(path, "outputs", "score, size and offset", ", ".join(sorted(outputs)))
    return contract
