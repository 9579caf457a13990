"""`footfall count`: a clip's crossings as fast as they can be found, for a person or for a program."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from edge.config.schema import Line
from edge.core.errors import ClipTruncated
from edge.core.head_model import Contract
from edge.vision.clip_counter import count_clip

log = logging.getLogger(__name__)


def run(
    clip: Path,
    lines: Mapping[str, Line],
    contract: Contract,
    *,
    fps: float,
    as_json: bool,
    fps_of_clip: float | None = None,
    explain: bool = False,
) -> None:
    """
    Count *clip* and print what crossed; progress and logs go to stderr.

    With *as_json*, stdout holds one object a crossing, {"t": seconds from the clip's start, "line", "dir"}, and at last
    {"summary": {"in", "out", "frames": looked at, "seconds": it took, "fps": frames a second, "missing": frames that
    the clip promises and doesn't have}}. With *explain*, crossings that were seen and not counted are printed too:
    {"t", "line", "dir", "refused": reason}. What is doubtful about the clip's times goes to stderr, before the counts.

    Raises:
        CameraMissing, ClipUntimed, DetectorError: the clip or the model can't be used.
        ClipTruncated: frames are missing; what is there was counted and printed.
    """
    began_s = time.perf_counter()
    totals: Counter[str] = Counter()
    frames = missing = 0
    note = ""
    console = Console(stderr=True)
    # Only where both are one terminal may the bar move over for what is counted; elsewhere it would take it to stderr.
    together = sys.stdout.isatty()
    with Progress(
        console=console, transient=True, disable=not console.is_terminal, redirect_stdout=together
    ) as progress:
        task = progress.add_task(clip.name, total=None)
        for step in count_clip(clip, lines, contract, fps, fps_of_clip=fps_of_clip):
            if step.note != note:
                note = step.note
                log.warning("%s: %s", clip, note)
            frames += 1 if step.looked else 0
            missing = step.missing
            progress.update(task, completed=step.position, total=max(step.of, step.position))
            for crossing in step.crossings:
                totals[crossing.direction] += 1
                event: dict[str, float | str] = {
                    "t": round(crossing.t_ms / 1000, 3),
                    "line": crossing.line,
                    "dir": crossing.direction,
                }
                _say(json.dumps(event) if as_json else _as_text(event))
            for refused in step.refused if explain else ():
                event = {"t": round(refused.t_ms / 1000, 3), "line": refused.line, "dir": refused.direction}
                event["refused"] = refused.reason
                _say(json.dumps(event) if as_json else f"{_as_text(event)}  not counted: {refused.reason}")
    seconds = time.perf_counter() - began_s
    summary = {
        "in": totals["in"],
        "out": totals["out"],
        "frames": frames,
        "seconds": round(seconds, 3),
        "fps": round(frames / seconds, 1),
        "missing": missing,
    }
    if as_json:
        _say(json.dumps({"summary": summary}))
    else:
        _say("{in} in, {out} out; {frames} frames in {seconds:.1f} s, {fps:.0f} a second".format(**summary))
    if missing:
        raise ClipTruncated(str(clip), missing)


def _as_text(event: Mapping[str, float | str]) -> str:
    return f"{event['t']:8.2f} s  {event['line']}  {event['dir']}"


def _say(line: str) -> None:
    print(line, flush=True)
    sys.stdout.flush()
