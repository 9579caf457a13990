"""`count` and `evaluate` on clips whose times are odd, or that are cut short: exit codes, and what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.technician.rig import here
from tests.vision import odd_clips

LINE = ("--line", "0.1,0.5,0.9,0.5", "--inside", "0.5,0.9")


@pytest.fixture(name="lying")
def _lying(tmp_path: Path) -> Path:
    """Write an AVI that says 600 frames a second, with a truth file of somebody who knows that it has 15."""
    path = odd_clips.set_avi_rate(odd_clips.write(tmp_path / "door.avi"), 600)
    line = {"from": [0.1, 0.5], "to": [0.9, 0.5], "inside": [0.5, 0.9]}
    path.with_suffix(".json").write_text(json.dumps({"fps": 15, "frames": 30, "line": line, "events": []}))
    return path


def test_a_clip_without_times(lying: Path) -> None:
    """It isn't counted as if all were well, and the option that settles it is named; with it, it is counted."""
    refused, settled = here("count", lying, *LINE), here("count", lying, *LINE, "--fps-of-clip", 15)

    assert (78, "") == (refused.returncode, refused.stdout)
    assert "--fps-of-clip N" in refused.stderr
    assert 0 == settled.returncode
    assert settled.stdout.startswith("0 in, 0 out; 30 frames")


def test_the_truth_file_knows_the_rate(lying: Path, caplog: pytest.LogCaptureFixture) -> None:
    """`evaluate` takes it from there, and says so."""
    done = here("evaluate", lying.parent, "--json")

    assert 0 == done.returncode, done.stderr
    assert any("the rate of its truth file is used, 15 frames a second" in said for said in caplog.messages)
    assert 0 == json.loads(done.stdout)["clips"][0]["missing"]


def test_a_clip_that_was_cut_short(tmp_path: Path) -> None:
    """What is there is counted and printed, the missing frames are told, and the exit code is its own."""
    path = odd_clips.cut(odd_clips.move_index_first(odd_clips.write(tmp_path / "door.mp4")), 0.6)
    done = here("count", path, *LINE, "--json")
    summary = json.loads(done.stdout.splitlines()[-1])["summary"]

    assert 65 == done.returncode
    assert odd_clips.FRAMES == summary["frames"] + summary["missing"]
    assert f"{summary['missing']} frames are missing at its end" in done.stderr


def test_a_clip_of_one_frame_a_second(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is counted, and it is said that nobody can be followed."""
    done = here("count", odd_clips.write(tmp_path / "door.avi", fps=1, frames=5), *LINE)

    assert 0 == done.returncode
    assert any("1 frames a second: too few to follow anybody" in said for said in caplog.messages)
