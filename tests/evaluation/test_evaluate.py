"""`footfall evaluate`: clips held against their truth, as a table, as JSON and as a page in a real browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.config.schema import Line
from edge.core.errors import ConfigError
from edge.evaluation import timelines
from edge.evaluation.evaluate import Evaluation, evaluate, read_truth
from edge.evaluation.score import Event, together
from edge.vision.explain import Explanation
from tests import clips, piece
from tests.technician.rig import footfall

pytestmark = pytest.mark.processes

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TRUTH: dict[str, Any] = {
    "fps": 15,
    "frames": 900,
    "line": {"from": [0.1, 0.5], "to": [0.9, 0.5], "inside": [0.5, 0.9]},
    "events": [
        {"t": 10.0, "dir": "in", "note": "a man <with> a hat & bag"},
        {"t": 20.0, "dir": "out"},
        {"t": 30.0, "dir": "in"},
        {"t": 40.0, "dir": "in"},
    ],
    "sure": True,
}
COUNTED = {
    "hall.mp4": [Event(10.2, "in"), Event(20.1, "in"), Event(30.0, "in"), Event(31.0, "in"), Event(50.0, "out")],
    "yard.mkv": [Event(10.0, "in"), Event(20.0, "out"), Event(30.0, "in"), Event(40.0, "in")],
}


WHY = Explanation(40_500, "door", "in", "nearly", "turned back", 320, 241, 23, 41, 200, 3, 0)


def said(clip: Path, line: Line) -> Iterable[Event | Explanation]:
    """Stand in for vision: what is counted is given; what is made of it is under test."""
    assert (0.5, 0.9) == line.inside
    return [*COUNTED[clip.name], *([WHY] if clip.name == "hall.mp4" else [])]


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in COUNTED:
        (folder / name).touch()
        (folder / name).with_suffix(".json").write_text(json.dumps(TRUTH))
    (folder / "without-truth.mp4").touch()
    (folder / "notes.txt").touch()
    return folder


@pytest.fixture(name="evaluations")
def _evaluations(folder: Path) -> list[Evaluation]:
    return evaluate(folder, said)


def test_each_clip_with_a_truth_file(evaluations: list[Evaluation]) -> None:
    """Clips that have a truth file beside them are counted, in the order of their names, and no others."""
    assert ["hall.mp4", "yard.mkv"] == [evaluation.clip for evaluation in evaluations]
    assert [60.0, 60.0] == [evaluation.seconds for evaluation in evaluations]


def test_what_each_error_was(evaluations: list[Evaluation]) -> None:
    """Every error is told with its time and kind, and the total is that of all events."""
    errors = [(error.t_s, error.direction, error.fault) for error in evaluations[0].score.errors]
    total = together(evaluation.score for evaluation in evaluations)

    assert errors == [
        (20.1, "in", "wrong way"),
        (31.0, "in", "double"),
        (40.0, "in", "missed"),
        (50.0, "out", "false"),
    ]
    assert (6, 9, 8) == (total.right, sum(total.counted.values()), sum(total.true.values()))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"fps": 0}, "fps"),
        ({"events": [{"t": 3, "dir": "left"}]}, "events.0.dir"),
        ({"events": [{"t": -1, "dir": "in"}]}, "events.0.t"),
        ({"line": {"from": [0.1, 0.5], "to": [0.9, 0.5]}}, "line.inside"),
    ],
)
def test_a_truth_file_with_a_fault(folder: Path, change: Mapping[str, object], complaint: str) -> None:
    """What is wrong with a truth file is told with the file's name and the key."""
    path = folder / "hall.json"
    path.write_text(json.dumps({**TRUTH, **change}))
    with pytest.raises(ConfigError) as caught:
        read_truth(path)

    assert f"{path}: {complaint}" in str(caught.value)


@pytest.mark.parametrize("prepare", [Path.mkdir, lambda _: None], ids=["empty", "absent"])
def test_no_clips(tmp_path: Path, prepare: Callable[[Path], None]) -> None:
    """A folder that isn't there, or holds no clip with a truth file, is refused in one sentence that names it."""
    folder = tmp_path / "none"
    prepare(folder)
    told = footfall("evaluate", folder)

    assert 78 == told.returncode
    assert str(folder) in told.stderr
    assert "Traceback" not in told.stderr


@pytest.fixture(name="real", scope="module")
def _real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a real clip of seven seconds, in which one comes in and one goes out."""
    folder = tmp_path_factory.mktemp("real")
    clip = piece.write(folder)
    truth = json.loads(clips.DEMO.with_suffix(".json").read_text())
    seconds = piece.FRAMES / piece.FPS
    events = [event for event in truth["events"] if event["t"] < seconds - 1]
    clip.with_suffix(".json").write_text(json.dumps({**truth, "frames": piece.FRAMES, "events": events}))
    return folder


def test_the_command(real: Path, tmp_path: Path) -> None:
    """Standard output holds one JSON object whose numbers agree; the page lies where it was asked for."""
    page = tmp_path / "page.html"
    told = footfall("evaluate", real, "--json", "--html", page)
    shown = json.loads(told.stdout)
    (clip,) = shown["clips"]

    assert 0 == told.returncode
    assert ["piece.mp4"] == [clip["clip"]]
    assert shown["total"]["true"] == clip["true"]
    assert 0 < sum(clip["true"].values())
    assert clip["right"] == sum(clip["true"].values()) - sum(
        e["fault"] in ("missed", "wrong way") for e in clip["errors"]
    )
    assert shown["model"] in page.read_text(encoding="utf-8")
    counted = [event for event in clip["explained"] if event["verdict"] == "counted"]
    assert len(counted) == sum(clip["counted"].values()) > 0
    assert all(isinstance(event[name], int) for event in counted for name in ("x", "y", "confidence", "score", "depth"))
    assert clip["refused"] == [
        {"t": round(event["t_ms"] / 1000, 2), "dir": event["direction"], "reason": event["reason"]}
        for event in clip["explained"]
        if event["verdict"] == "refused"
    ]


def test_the_table(real: Path) -> None:
    """A person is shown a table without colours or bars where there is no terminal."""
    told = footfall("evaluate", real)

    assert re.search(r"^clip +in +true +out +true +right +precision +recall +F1$", told.stdout, re.MULTILINE)
    assert "piece.mp4" in told.stdout
    assert "\x1b" not in told.stdout + told.stderr


@pytest.fixture(name="page")
def _page(evaluations: list[Evaluation], tmp_path: Path) -> Path:
    path = tmp_path / "page.html"
    total = together(evaluation.score for evaluation in evaluations)
    path.write_text(timelines.page(evaluations, total, "head 1 (abc)"), encoding="utf-8")
    return path


def test_the_page_says_why(page: Path) -> None:
    """Each decision stands on the page with its reason, its place, a strip of beliefs, and the error it may explain."""
    text = page.read_text(encoding="utf-8")

    assert "Why: 1 decisions" in text
    assert "nearly: turned back, at 320, 241 px (missed)" in text
    assert 'aria-label="confidence 23, score 41, unseen 200, depth 3, apart 0"' in text


def test_the_page_stands_alone(page: Path) -> None:
    """Nothing in the page is fetched or run, and what people wrote stands in it as text."""
    text = page.read_text(encoding="utf-8")

    assert not re.findall(r"<script|<link|<img|<iframe|@import|url\(|https?://", text)
    assert "a man &lt;with&gt; a hat &amp; bag" in text


@pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM ON THIS MACHINE: apt-get install chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_in_a_browser(page: Path, tmp_path: Path, width: int) -> None:
    """In a real browser each clip has a time line as wide as the page, with every crossing where its second is."""
    expression = """{
      wide: page.documentElement.scrollWidth,
      smallest: Math.min(...[...page.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height)
        .filter(high => high)),
      room: page.documentElement.clientWidth,
      lines: [...page.querySelectorAll('svg.timeline')].map(svg => ({
        wide: svg.getBoundingClientRect().width, high: svg.getBoundingClientRect().height,
        marks: [...svg.querySelectorAll('path')].map(m => m.querySelector('title').textContent),
        at: [...svg.querySelectorAll('path')].map(m => {
          const b = m.getBoundingClientRect(), s = svg.getBoundingClientRect();
          return (b.left + b.width / 2 - s.left) / s.width }),
        faults: [...svg.querySelectorAll('.fault')].map(t => t.textContent) }))}"""
    frame = html.escape(page.read_text(encoding="utf-8"), quote=True)
    shell = tmp_path / "shell.html"
    shell.write_text(
        f'<meta charset="utf-8"><iframe id="f" width="{width}" height="900" srcdoc="{frame}"></iframe>'
        '<pre id="o"></pre>'
        "<script>document.getElementById('f').onload = event => { const page = event.target.contentDocument;"
        f" document.getElementById('o').textContent = JSON.stringify({expression}) }}</script>",
        encoding="utf-8",
    )
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={tmp_path / 'p'}"]
    shown = subprocess.run(
        [str(CHROMIUM), *options, "--virtual-time-budget=10000", "--dump-dom", shell.as_uri()],
        capture_output=True, text=True, check=True, timeout=300,
    ).stdout  # fmt: skip
    found = re.search(r'<pre id="o">(.*?)</pre>', shown, re.DOTALL)
    assert found, shown[-500:]
    seen = json.loads(html.unescape(found[1]))
    hall, yard = seen["lines"]

    assert seen["wide"] <= seen["room"]
    assert hall["wide"] > 0.7 * (seen["room"] - 40)
    assert seen["smallest"] >= 12
    assert ["wrong way", "double", "missed", "false"] == hall["faults"]
    assert [] == yard["faults"]
    assert "10.00 s, in: a man <with> a hat & bag" == hall["marks"][0]
    assert [t / 60 for t in (10, 20, 30, 40)] == pytest.approx(yard["at"][:4], abs=0.01)
