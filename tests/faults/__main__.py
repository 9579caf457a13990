"""
`python -m tests.faults --rounds N --seed S`: faults upon a box, a broker and headquarters, and the sums at the end.

After each round everybody stands still, the hour ends, and what headquarters has stored must equal what has crossed.
"""

from __future__ import annotations

import argparse
import random
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.faults import schedule
from tests.faults.world import Sums, World, Wrong


def main() -> int:
    """Play the rounds; return 1 if the promise didn't hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="how many (default 50)")
    parser.add_argument("--seed", type=int, default=None, help="of the dice (default: drawn, and printed)")
    parser.add_argument("--zone", default="Europe/Berlin", help="the site's (default Europe/Berlin)")
    parser.add_argument("--folder", type=Path, default=None, help="keep everything here (default: a temporary one)")
    options = parser.parse_args()
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    print(f"{options.rounds} rounds, seed {seed}, {options.zone}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="faults-")) if options.folder is None else options.folder
    folder.mkdir(exist_ok=True)
    world = World(folder, random.Random(seed), options.zone)
    began_s = time.monotonic()
    try:
        for number in range(1, options.rounds + 1):
            names = schedule.play(world)
            world.settle()
            passed_s = time.monotonic() - began_s
            print(f"round {number:3} at {passed_s:6.1f} s: right after {', '.join(names)}", flush=True)
        report(world.finish(), time.monotonic() - began_s)
    except Wrong as wrong:
        print(f"WRONG, seed {seed}: {wrong}\neverything is in {folder}", flush=True)
        return 1
    finally:
        world.close()
    if options.folder is None:
        shutil.rmtree(folder)
    return 0


def report(sums: Sums, wall_s: float) -> None:
    """Print what it came to."""
    for name, count in sorted(sums.faults.items()):
        print(f"{count:6} {name}")
    print(
        f"{sums.counted} crossings in {sums.hours} hours, {sums.messages} messages, {sums.corrections} corrections"
        f" (highest revision {sums.most_revisions}), {wall_s:.0f} s\n"
        f"lost with a killed vision {sums.lost_by_kill} (the last one {sums.most_lost_ms / 1000:.1f} s after its last"
        f" reading), while its diode was full {sums.lost_by_choke}, in power cuts {sums.lost_by_power};"
        f" in boots that never knew the time {sums.unplaced}; all else arrived, once"
    )


if __name__ == "__main__":
    sys.exit(main())
