"""`footfall plan`: what a camera covers, held against a projection that is computed another way."""

from __future__ import annotations

import math
import random
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from edge.technician import head_size
from edge.technician.plan import drawing
from edge.technician.plan.geometry import HEAD_M, SHAPE, TALL_M, USUAL_M, Door, choose_lens, judge
from tests.technician.rig import here


def project(door: Door, x_m: float, y_m: float, z_m: float) -> tuple[float, float]:
    """
    Return where a point is in the picture, as shares of its width and height, by a camera matrix.

    The camera is at the origin's height over y = 0; the street is at negative y, and the top of the picture shows it.
    """
    tilt = math.radians(door.tilt)
    axis = np.array([0.0, -math.sin(tilt), -math.cos(tilt)])
    down = np.array([0.0, math.cos(tilt), -math.sin(tilt)])
    seen = np.array([x_m, y_m, z_m - door.height_m])
    depth = float(seen @ axis)
    return 0.5 + door.focal * x_m / depth, 0.5 + door.focal * float(seen @ down) / depth / SHAPE


def line_y_m(door: Door, head_m: float) -> float:
    """Return where the middle of the picture is along the walk at *head_m*, m from below the camera."""
    return -door.above(head_m) * math.tan(math.radians(door.tilt))


def doors() -> list[Door]:
    """Return doors of all kinds, the same each time."""
    rng = random.Random(54)
    return [
        Door(rng.uniform(2.3, 6), rng.uniform(0.8, 5), rng.uniform(45, 105), rng.choice([0, rng.uniform(0, 35)]))
        for _ in range(40)
    ]


@pytest.mark.parametrize("door", doors(), ids=lambda door: f"{door.height_m:.1f} m, {door.lens:.0f}, {door.tilt:.0f}")
def test_what_is_computed_is_what_a_camera_matrix_projects(door: Door) -> None:
    """Width, reach along the walk and size of a head, at tall people's heads, straight down and tilted."""
    middle = line_y_m(door, TALL_M)
    half = door.covered_m(TALL_M) / 2
    before, behind = door.along_m(TALL_M)
    left, at_line = project(door, -half, middle, TALL_M)
    right, _ = project(door, half, middle, TALL_M)
    one, _ = project(door, -HEAD_M / 2, middle, TALL_M)
    other, _ = project(door, HEAD_M / 2, middle, TALL_M)

    assert (0.0, 1.0, 0.5) == pytest.approx((left, right, at_line), abs=1e-9)
    assert pytest.approx(0.0, abs=1e-9) == project(door, 0, middle - before, TALL_M)[1]
    assert pytest.approx(1.0, abs=1e-9) == project(door, 0, middle + behind, TALL_M)[1]
    assert pytest.approx(other - one) == door.head_share(TALL_M)


def test_a_good_door_is_good_and_the_advice_leads_there() -> None:
    """A narrow lens covers too little, a low camera shows too little of the walk, and from high up heads are small."""
    states = {
        (door.height_m, door.lens): {answer.what: answer.state for answer in judge(door)}
        for door in (Door(3.2, 2.4, 90), Door(3.2, 2.4, 60), Door(2.4, 0.9, 78), Door(9, 2.4, 102), Door(3.2, 2.4, 120))
    }

    assert {"ok"} == set(states[3.2, 90].values())
    assert "fail" == states[3.2, 60]["width"]
    assert "fail" == states[2.4, 78]["room"]
    assert "fail" == states[9, 102]["heads"]
    assert "warn" == states[3.2, 120]["lens"]
    assert all(answer.advice for door in doors() for answer in judge(door) if answer.state != "ok")


@pytest.mark.parametrize("height", [2.6, 3.2, 4.0])
@pytest.mark.parametrize("width", [0.9, 1.8, 2.6])
def test_the_chosen_lens_is_the_narrowest_that_fits(height: float, width: float) -> None:
    """No narrower usual lens is as good."""
    chosen = choose_lens(height, width)
    worst = {answer.state for answer in judge(Door(height, width, chosen))}
    narrower = [lens for lens in (40, 50, 60, 66, 78, 90, 102) if lens < chosen]

    for lens in narrower:
        states = {answer.state for answer in judge(Door(height, width, lens))}
        assert not states <= worst or "fail" in states


@pytest.mark.parametrize(
    ("px", "verdict", "words"),
    [(40, "ok", "large enough"), (20, "small", "some are missed"), (10, "too small", "too small to be found"),
     (200, "too large", "hang the camera higher")],
)  # fmt: skip
def test_heads_are_judged_as_the_setup_page_says_it(px: float, verdict: str, words: str) -> None:
    """A verdict, the size that was seen, and what to do."""
    found, said = head_size.describe(px, 640)

    assert verdict == found
    assert f"Heads here are {px} px of 640, {100 * px / 640:.1f} %" in said
    assert words in said


def test_the_command(tmp_path: Path) -> None:
    """It prints a line for each thing, the lenses beside each other, and draws; its exit code says whether it fits."""
    good = here("plan", "--height", 3.2, "--width", 2.4, "--svg", tmp_path / "door.svg")
    bad = here("plan", "--height", 3.2, "--width", 2.4, "--lens", 60)
    wrong = here("plan", "--height", "3,2", "--width", 2.4)

    assert (0, 1, 2) == (good.returncode, bad.returncode, wrong.returncode)
    assert "A lens of 90 degrees, 3.2 m above the floor, straight down:" in good.stdout
    assert "this fits" in good.stdout
    assert "102°" in good.stdout
    assert "fail  width" in bad.stdout
    assert "a number from 1.5 to 12 is needed, not '3,2'" in wrong.stderr
    assert (tmp_path / "door.svg").read_text(encoding="utf-8") == drawing.draw(Door(3.2, 2.4, 90))


@pytest.mark.parametrize("door", doors()[:12], ids=lambda door: f"{door.height_m:.1f} m")
def test_the_drawing_stays_inside_its_frame(door: Door) -> None:
    """Whatever the door, everything that is drawn can be seen, and it says its figures as text."""
    svg = ET.fromstring(drawing.draw(door))  # noqa: S314 - our own
    _, _, width, height = map(float, svg.attrib["viewBox"].split())
    names = "{http://www.w3.org/2000/svg}"
    for line in svg.iter(f"{names}line"):
        for x, y in (("x1", "y1"), ("x2", "y2")):
            assert -1 <= float(line.attrib[x]) <= width + 1
            assert -1 <= float(line.attrib[y]) <= height + 1
    for text in svg.iter(f"{names}text"):
        assert 0 <= float(text.attrib["x"]) <= width
        assert 0 <= float(text.attrib["y"]) <= height
    words = [text.text for text in svg.iter(f"{names}text")]

    assert f"{door.height_m:g} m" in words
    assert f"{door.covered_m(TALL_M):.1f} m seen" in words
    assert USUAL_M < TALL_M
