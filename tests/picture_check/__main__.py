"""
Measure the picture check: `python -m tests.picture_check [still | moves | knocks | faults | clips | cost] [--quick]`.

Without a name, all of it, which takes about an hour of one core. It prints its figures and keeps none.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median

from edge.core.tally import Flag
from tests import clips
from tests.picture_check import measure

STILL_VIEWS, STILL_S = 60, 600.0
MOVES, KNOCKS, FAULTS = 60, 20, 10
CLIP_S = 600.0


def still(*, quick: bool) -> None:
    outcomes = list(measure.still_views(6 if quick else STILL_VIEWS, 60.0 if quick else STILL_S))
    for outcome in outcomes:
        if not outcome.clean:
            print(f"  {outcome}", flush=True)
    print(f"still: {sum(not outcome.clean for outcome in outcomes)} of {len(outcomes)} views with a verdict")


def moves(*, quick: bool) -> None:
    found: dict[str, list[float | None]] = {}
    for kind, outcome in measure.moves(8 if quick else MOVES):
        came = outcome.came.get(Flag.MOVED)
        found.setdefault(kind, []).append(None if came is None else came - 60)
        if came is None or set(outcome.came) != {Flag.MOVED}:
            print(f"  {outcome}", flush=True)
    for kind, times in found.items():
        flagged = [t for t in times if t is not None]
        after = f", after {median(flagged):.0f} s, at most {max(flagged):.0f} s" if flagged else ""
        print(f"moves: {kind}: {len(flagged)} of {len(times)} flagged{after}")


def knocks(*, quick: bool) -> None:
    outcomes = list(measure.knocks(4 if quick else KNOCKS))
    for outcome, made_up in outcomes:
        print(f"  {outcome}, {made_up} made up", flush=True)
    flagged = sum(bool(outcome.came) for outcome, _ in outcomes)
    shaken = sum(bool(outcome.shaken) for outcome, _ in outcomes)
    made_up = sum(count for _, count in outcomes)
    print(f"knocks: {flagged} of {len(outcomes)} flagged; {shaken} measured as shaken; {made_up} crossings made up")


def faults(*, quick: bool) -> None:
    found: dict[str, list[tuple[float, float]]] = {}
    for name, flag, outcome in measure.faults(2 if quick else FAULTS):
        came, went = outcome.came.get(flag), outcome.went.get(flag)
        found.setdefault(name, [])
        if came is None or went is None or set(outcome.came) != {flag}:
            print(f"  {outcome}", flush=True)
        if came is not None and went is not None:
            found[name].append((came - 60, went - 90))
    for name, times in found.items():
        if times:
            found_s, gone_s = (max(column) for column in zip(*times, strict=True))
            print(f"faults: {name}: {len(times)} found, within {found_s:.1f} s, and gone within {gone_s:.1f} s")
        else:
            print(f"faults: {name}: never found")


def real_clips(*, quick: bool) -> None:
    for clip in clips.found():
        for seconds in (0.0,) if quick else (0.0, CLIP_S):
            print(f"clips: {measure.clip_to_and_fro(clip, seconds)} in {seconds:.0f} s", flush=True)


def cost(*, quick: bool) -> None:
    look_ms, run_ms = measure.cost(20.0 if quick else 120.0)
    print(
        f"cost: {look_ms:.3f} ms of CPU time a look, {look_ms / run_ms:.4f} of the interpreter's run ({run_ms:.2f} ms)"
    )


MEASUREMENTS: dict[str, Callable[..., None]] = {
    "still": still, "moves": moves, "knocks": knocks, "faults": faults, "clips": real_clips, "cost": cost,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*MEASUREMENTS, []])
    parser.add_argument("--quick", action="store_true", help="a small part of each")
    options = parser.parse_args()
    for name in options.names or MEASUREMENTS:
        MEASUREMENTS[name](quick=options.quick)


if __name__ == "__main__":
    main()
