"""Where clips with truth lie: the demo clip always, real doors where this machine has them (FOOTFALL_CLIPS)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.evaluation.evaluate import CLIP_SUFFIXES

REPOSITORY = Path(__file__).parent.parent
DEMO = REPOSITORY / "models" / "demo" / "door.mp4"
DOORS = Path(os.environ.get("FOOTFALL_CLIPS", REPOSITORY.parent / "shared" / "clips"))
"""Recordings of strangers' doors; most may not be passed on, so that they are never committed."""

_ABSENT = f"there are no real doors in {DOORS}; FOOTFALL_CLIPS names the folder"


def found() -> list[Path]:
    """Return every clip with a truth file on this machine, the demo clip first."""
    doors = (clip for clip in sorted(DOORS.glob("*")) if clip.suffix in CLIP_SUFFIXES)
    return [DEMO, *(clip for clip in doors if clip.with_suffix(".json").is_file())]


def everywhere() -> list[object]:
    """Return `found()` as parameters of a test; where there are no real doors, one that is skipped and says why."""
    absent = [] if len(found()) > 1 else [pytest.param(DOORS, marks=pytest.mark.skip(reason=_ABSENT), id="real doors")]
    return [*(pytest.param(clip, id=clip.stem) for clip in found()), *absent]
