"""Templates: what is escaped, what a document holds, and that all of it is in the wheel."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from edge.core.clock import ManualClock
from edge.evaluation import timelines
from edge.evaluation.evaluate import Evaluation
from edge.evaluation.score import Event, score
from edge.headquarters.address import open_store
from edge.headquarters.collect import judge
from edge.headquarters.report import write
from edge.technician.audit.count import Interval, Result
from edge.technician.audit.report import Report, Signature
from edge.web.render import FOLDER, render
from tests.headquarters.messages import told

REPOSITORY = Path(__file__).parents[2]
HOSTILE = [
    "<script>alert(1)</script>",
    '"\' onmouseover="alert(1)',
    "</title></style></svg><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "a\nb\r\nc",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;",
    "\u202e\u0007",
]
AT = datetime(2026, 11, 7, 10, tzinfo=UTC)


def of_headquarters(name: str) -> str:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        store = open_store(str(folder / "hours.sqlite"))
        hours = [
            (f"footfall/v1/sh-{n % 3}/door-a/hour", told(AT - timedelta(hours=n + 2), site=f"sh-{n % 3}"))
            for n in range(30)
        ]
        store.add(judge(hours, AT), AT)
        with store._transaction():
            store._run("UPDATE hours SET site = :name || site, camera = :name, model = :name", {"name": name})
        store.close()
        clock = ManualClock(wall=round(AT.timestamp() * 1000))
        wish = write.Wish(html=folder / "r.html", folder=folder / "pages", last=AT.date())
        write.run(str(folder / "hours.sqlite"), clock, wish)
        pages = [folder / "r.html", *(folder / "pages" / "sites").iterdir()]
        assert 4 == len(pages)
        return pages[0].read_text(encoding="utf-8")


def of_audit(name: str) -> str:
    result = Result(60.0, 60, [Interval((1, 0), (1, 0))], score([Event(1, "in")], [Event(1, "in")]), [name])
    return Report({"site": name, "camera": name, "line": name}, result, Signature(name, accepted=True)).page()


def of_evaluation(name: str) -> str:
    events = (Event(1.0, "in"),)
    found = score(events, events)
    return timelines.page([Evaluation(name, 60, events, events, (name,), found)], found, name)


def of_privacy(name: str) -> str:
    sections = [(name, [("NO", name, name)])]
    return render("privacy.html", box=name, at=AT, version=name, proven=False, verdict=name, sections=sections)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("document", [of_headquarters, of_audit, of_evaluation, of_privacy])
def test_names_are_only_text(document: object, name: str) -> None:
    """Site, camera, line, signer, clip and note: whatever they hold, the document has the same tags and attributes."""
    assert callable(document)
    plain = re.compile(r"<[^>]*>")
    tags = [re.sub(r'"[^"]*"', '""', tag) for tag in plain.findall(document(name))]

    assert [re.sub(r'"[^"]*"', '""', tag) for tag in plain.findall(document("plain"))] == tags


@pytest.mark.parametrize("document", [of_headquarters, of_audit, of_evaluation, of_privacy])
def test_a_document_loads_nothing(document: object) -> None:
    """It holds its style sheet, runs no script, refers to nothing outside, and forbids its browser to load anything."""
    assert callable(document)
    text = document("plain")

    assert not re.findall(r"<script|<link|<img|<iframe|@import|url\(|https?://|srcset|<object|<embed", text)
    assert "default-src 'none'; style-src 'unsafe-inline'" in text
    assert (FOLDER / "style.css").read_text(encoding="utf-8") in text


def test_a_missing_value_is_an_error() -> None:
    """A template never shows an empty place where a value was forgotten."""
    with pytest.raises(UndefinedError, match="reason"):
        render("refusal.html")


@pytest.mark.processes
def test_the_wheel_holds_them(tmp_path: Path) -> None:
    """Every template, script and style sheet is in the wheel that a box installs."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=REPOSITORY, check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("edge/web/")}
    here = {
        path.relative_to(REPOSITORY).as_posix()
        for path in FOLDER.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert held == here
    assert {"edge/web/style.css", "edge/web/templates/base.html", "edge/web/static/setup.js"} <= held
