"""
How much CPU time models take, in the interpreter alone and in the whole detector, and how much memory they want.

    python -m models.training.speed models/head.json OTHERS/head.json ...

All models are measured in turns, in an order that is drawn anew each round, so that the ratios hold on a busy machine
too. CPU time is that of the one thread that does everything. The pictures are noise. Memory is what a fresh process
holds with the detector less what it holds with the interpreter's library alone.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.core.head_model import Contract, read
from edge.vision.detector import Detector

_ROUNDS = 150
_BURST = 3
"""Runs in a row of one model; the first, for which the caches are cold, isn't counted."""
_SIZES = ((640, 480), (1280, 720))
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


def compare(contracts: list[Contract], rounds: int = _ROUNDS) -> list[dict[str, Any]]:
    """
    Return the median CPU milliseconds of each model, and its ratio to the first model's interpreter.

    {"model", "interpreter_ms", "interpreter_ratio", "frames": {size: {"detect_ms", "beside_ms", "ratio"}}}; "beside" is
    what the detector takes beside the interpreter, "ratio" the whole detector over the first model's interpreter.
    """
    cv2.setNumThreads(1)
    pictures = {f"{w} x {h}": _noise(h, w) for w, h in _SIZES}
    detectors = [Detector(contract) for contract in contracts]
    times: list[dict[str, list[float]]] = [{name: [] for name in ("", *pictures)} for _ in contracts]
    turns = [(number, name) for number in range(len(contracts)) for name in ("", *pictures)]
    for _ in range(rounds):
        random.shuffle(turns)
        for number, name in turns:
            detector = detectors[number]
            for run in range(_BURST):
                begun = time.thread_time()
                if name:
                    detector.detect(pictures[name])
                else:
                    detector._interpreter.invoke()  # noqa: SLF001 - the share of a detection that isn't ours
                if run:
                    times[number][name].append((time.thread_time() - begun) * 1000)
    medians = [{name: float(np.median(spent)) for name, spent in of.items()} for of in times]
    first = medians[0][""]
    return [
        {
            "model": contract.identity,
            "file": str(contract.file),
            "interpreter_ms": round(own[""], 2),
            "interpreter_ratio": round(own[""] / first, 3),
            "frames": {
                name: {
                    "detect_ms": round(own[name], 2),
                    "beside_ms": round(own[name] - own[""], 2),
                    "ratio": round(own[name] / first, 3),
                }
                for name in pictures
            },
        }
        for contract, own in zip(contracts, medians, strict=True)
    ]


def speed(contract: Contract) -> dict[str, Any]:
    """Return one model's CPU times, its file's size and the memory it wants."""
    return {
        **compare([contract])[0],
        "file_kib": round(contract.file.stat().st_size / 1024),
        "memory_mb": round((_rss_kb(contract, "detector") - _rss_kb(contract, "bare")) / 1024, 1),
    }


def _noise(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)


def _rss_kb(contract: Contract, what: str) -> int:
    told = subprocess.run(
        [sys.executable, "-c", _MEMORY, str(contract.path), what], capture_output=True, text=True, check=True
    ).stdout
    return int(told.split()[-1])


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contracts", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    options = parser.parse_args()
    print(json.dumps(compare([read(path) for path in options.contracts], options.rounds), indent=2))


if __name__ == "__main__":
    main()
