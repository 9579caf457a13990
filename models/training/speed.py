"""
How long the detector takes, of that how much in the interpreter, and how much memory it wants.

    python -m models.training.speed models/head.json

All in one run and on one picture of noise, so that the shares hold on a busy machine too. Memory is what a fresh
process holds with the detector less what it holds with the interpreter's library alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.core.head_model import Contract, read
from edge.vision.detector import Detector

_ROUNDS = 200
_HEADS = 30
_MEMORY = """
import sys
import cv2, numpy
from ai_edge_litert.interpreter import Interpreter
cv2.setNumThreads(1)
from edge.core.head_model import read
if sys.argv[2] == "detector":
    from edge.vision.detector import Detector
    detector = Detector(read(__import__("pathlib").Path(sys.argv[1])))
    for _ in range(5):
        detector.detect(numpy.zeros((480, 640, 3), numpy.uint8))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")))
"""


def speed(contract: Contract) -> dict[str, Any]:
    """Return the median milliseconds of each stage of one detection of a 640 x 480 picture, and the memory in MB."""
    cv2.setNumThreads(1)
    picture = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    found: dict[str, Any] = {}
    for threads in (1, 2):
        detector = Detector(contract, threads)
        detector.detect(picture)
        whole = _median_ms(partial(detector.detect, picture))
        inside = _median_ms(detector._interpreter.invoke)  # noqa: SLF001 - the stages of a detection
        found[f"threads_{threads}"] = {
            "detect_ms": round(whole, 2), "interpreter_ms": round(inside, 2), "share": round(inside / whole, 3)
        }  # fmt: skip
    found["decode_30_heads_ms"] = round(_decode_ms(contract), 3)
    found["file_kib"] = round(contract.file.stat().st_size / 1024)
    found["memory_mb"] = round((_rss_kb(contract, "detector") - _rss_kb(contract, "bare")) / 1024, 1)
    return found


def _decode_ms(contract: Contract) -> float:
    """Return the time of the look at maps with thirty well separated heads in them."""
    detector = Detector(contract)
    detector.detect(np.zeros((contract.height, contract.width, 3), np.uint8))
    rows, columns = contract.height // contract.stride, contract.width // contract.stride
    score = np.zeros((1, rows, columns, 1), np.float32)
    for index in range(_HEADS):
        score[0, 4 + 10 * (index // 6), 6 + 12 * (index % 6), 0] = 0.9
    sizes = np.ones((_HEADS, 1), np.float32)
    detector._score.read = lambda _: score  # type: ignore[method-assign] # noqa: SLF001 - maps that we know
    detector._size.read_at = lambda *_: sizes  # type: ignore[method-assign] # noqa: SLF001
    assert len(detector._decode().scores) == _HEADS  # noqa: S101, SLF001
    return _median_ms(detector._decode)  # noqa: SLF001


def _median_ms(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begun)
    return float(np.median(spent)) * 1000


def _rss_kb(contract: Contract, what: str) -> int:
    told = subprocess.run(
        [sys.executable, "-c", _MEMORY, str(contract.path), what], capture_output=True, text=True, check=True
    ).stdout
    return int(told.split()[-1])


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contract", type=Path)
    print(json.dumps(speed(read(parser.parse_args().contract)), indent=2))


if __name__ == "__main__":
    main()
