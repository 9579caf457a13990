"""
Put the figures of results.json into the model card, between its marks.

    python -m models.training.card models

A test holds the card against the results, so that no figure in it can be older than the file it describes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- results: written by models.training.card -->", "<!-- end of results -->"


def written(card: str, results: dict[str, Any]) -> str:
    """Return *card* with the tables of *results* between its marks."""
    before, _, rest = card.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables(results)}\n{END}{after}"


def tables(results: dict[str, Any]) -> str:
    """Return the results as tables, Markdown."""
    parts = [f"Model file `{results['model']}`, sha256 `{results['sha256']}`."]
    sets = [(name, results[name]) for name in ("rendered", "brt", "mall", "scut") if name in results]
    rows: list[tuple[object, ...]] = [
        (
            name, figures["heads"], figures["average_precision"], figures["recall_at_one_false_a_picture"],
            figures["strong"]["precision"], figures["strong"]["recall"], figures["match"],
        )
        for name, figures in sets
    ]  # fmt: skip
    head = ("set", "heads", "AP", "recall at 1 false a picture", "precision", "recall", "a head is found")
    parts.append(_table(head, rows))
    strong, weak = (sets[0][1][name]["score"] for name in ("strong", "weak"))
    parts.append(f"Precision and recall at the shipped threshold, {strong}; tracks go on down to {weak}.")
    for name, figures in sets:
        if "by_diameter_px" in figures:
            parts.append(f"{name.capitalize()}, by the head's diameter at the model's input:")
            rows = [(size, *part.values()) for size, part in figures["by_diameter_px"].items()]
            parts.append(_table(("px", "heads", "AP", "recall"), rows))
        if "by_tilt_deg" in figures:
            parts.append(f"{name.capitalize()}, by how far the camera looks away from straight down:")
            rows = [(tilt, p["heads"], p["precision"], p["recall"]) for tilt, p in figures["by_tilt_deg"].items()]
            parts.append(_table(("degrees", "heads", "precision", "recall"), rows))
        if "average_precision_from_12_px" in figures:
            parts.append(f"{name}, AP@.5 of heads from 12 px: {figures['average_precision_from_12_px']}.")
    if "doors" in results:
        parts.append("Real doors, counted by the whole pipeline at 15 frames a second:")
        rows = [(clip, *figures.values()) for clip, figures in results["doors"].items()]
        parts.append(_table(("clip", "true", "counted", "right", "F1"), rows))
    speed = results["speed"]
    rows = [
        (size, part["detect_ms"], speed["interpreter_ms"], part["beside_ms"]) for size, part in speed["frames"].items()
    ]
    parts.append("CPU time of one thread on the machine that made this table, x86-64:")
    parts.append(_table(("picture, px", "detect, ms", "of that the interpreter, ms", "the rest, ms"), rows))
    parts.append(
        f"The file has {speed['file_kib']} KiB; the detector wants {speed['memory_mb']} MB more than the interpreter's "
        "library alone."
    )
    return "\n\n".join(parts) + "\n"


def _table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    lines = [list(map(str, row)) for row in (head, *rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Write the card anew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="folder of MODEL_CARD.md and results.json")
    folder = parser.parse_args().models
    card = folder / "MODEL_CARD.md"
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    card.write_text(written(card.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    main()
