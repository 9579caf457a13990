"""
Draw what a model misses and where it sees heads that aren't, so that a person can name the cause.

    python -m models.training.faults models/head.json --pictures DATA/validation --out models/training/faults.jpg
    python -m models.training.faults models/head.json --heads ../shared/heads --set brt --out faults.png

Of sets of real heads only the train parts are looked at, and their sheet stays on the machine where it was made: it
shows pictures that may not be passed on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.core.head_model import read

from .evaluate import real, rendered
from .matching import Pair, matched
from .shards import load

_TILE, _COLUMNS = 120, 12
_SHOWN = 3 * _COLUMNS


Picture = npt.NDArray[np.uint8]


def sheet(picture: Callable[[int], Picture], pairs: list[Pair], kind: str, strong: float) -> Picture:
    """Return some misses above, the surest false heads below, BGR; rings are the heads in question."""
    random = np.random.default_rng(0)
    missed, false = [], []
    for index, (found, truth) in enumerate(pairs):
        sure = found.scores >= strong
        heads, judged = matched(found, truth, kind)
        seen = set(heads[sure].tolist())
        missed += [(index, *truth.heads[i, :3]) for i in range(len(truth.heads)) if i not in seen]
        false += [
            (float(found.scores[i]), index, *found.centres[i], found.diameters[i])
            for i in np.flatnonzero(sure & judged & (heads < 0))
        ]
    chosen = [missed[i] for i in random.permutation(len(missed))[:_SHOWN]]
    surest = [row[1:] for row in sorted(false, reverse=True)[:_SHOWN]]
    print(f"{len(missed)} missed, {len(false)} false, {sum(len(truth.heads) for _, truth in pairs)} heads")
    rows = []
    for faults in (chosen, surest):
        tiles = [_tile(picture(index), float(x), float(y), float(size)) for index, x, y, size in faults]
        tiles += [np.zeros((_TILE, _TILE, 3), np.uint8)] * (-len(tiles) % _COLUMNS)
        rows += [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
        rows.append(np.full((6, _COLUMNS * _TILE, 3), 255, np.uint8))
    return np.vstack(rows)


def _tile(picture: Picture, x: float, y: float, size: float) -> Picture:
    """Return the surroundings of a place in a picture."""
    reach = max(40.0, 2.5 * size)
    scale = _TILE / (2 * reach)
    move = np.array([[scale, 0, _TILE / 2 - scale * x], [0, scale, _TILE / 2 - scale * y]])
    tile = cv2.warpAffine(picture, move, (_TILE, _TILE), flags=cv2.INTER_AREA)
    cv2.circle(tile, (_TILE // 2, _TILE // 2), max(4, round(size * scale / 2)), (0, 255, 255), 1, cv2.LINE_AA)
    return np.asarray(tile, np.uint8)


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contract", type=Path)
    looked_at = parser.add_mutually_exclusive_group(required=True)
    looked_at.add_argument("--pictures", type=Path, help="rendered validation pictures")
    looked_at.add_argument("--heads", type=Path, help="folder of brt.json and scut.json")
    parser.add_argument("--set", choices=("brt", "scut"), default="brt", dest="name")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    contract = read(options.contract)
    if options.pictures:
        drawn = [picture for shard in load(options.pictures) for picture in shard.pictures]
        faults = sheet(lambda i: drawn[i][:, :, ::-1], rendered(contract, options.pictures), "circles", contract.strong)
    else:
        paths, pairs, kind = real(contract, options.heads, options.name, "train")
        faults = sheet(lambda i: _read(options.heads / paths[i]), pairs, kind, contract.strong)
    cv2.imwrite(str(options.out), faults, [cv2.IMWRITE_JPEG_QUALITY, 70])


def _read(path: Path) -> Picture:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR), np.uint8)


if __name__ == "__main__":
    main()
