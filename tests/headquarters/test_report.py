"""The page in a real browser, and the files for those who read hours with other tools."""

from __future__ import annotations

import csv
import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.core.clock import ManualClock
from edge.core.errors import ConfigError, ExtraMissing
from edge.headquarters import report
from edge.headquarters.address import open_store
from tests.headquarters import year
from tests.publisher.rig import utc_ms

pytestmark = pytest.mark.processes

CLOCK = ManualClock(wall=utc_ms("2026-11-08T04:00:00+00:00"))


@pytest.fixture(scope="module")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("store") / "hours.sqlite"
    store = open_store(str(path))
    year.fill(store)
    store.close()
    return str(path)


@pytest.fixture(scope="module")
def page(store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.run(store_url, CLOCK, html=path)
    return path


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("NO CHROMIUM ON THIS MACHINE: apt-get install chromium")
    return found


def measured(chromium: str, page: Path, folder: Path, width: int, expression: str) -> Any:
    """Show *page* in a browser's frame *width* px wide; return what *expression* (of `page`, `window`) says there."""
    shell = folder / "shell.html"
    document = html.escape(page.read_text(encoding="utf-8"), quote=True)
    shell.write_text(
        f'<meta charset="utf-8"><iframe id="f" width="{width}" height="900" srcdoc="{document}"></iframe>'
        '<pre id="o"></pre>'
        "<script>const f = document.getElementById('f'); f.onload = () => { const page = f.contentDocument;"
        f" const window = f.contentWindow; document.getElementById('o').textContent = JSON.stringify({expression}); }};"
        "</script>",
        encoding="utf-8",
    )
    flags = [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=10000", "--dump-dom",
    ]  # fmt: skip
    said = subprocess.run(
        [chromium, *flags, shell.as_uri()], capture_output=True, text=True, check=True, timeout=180
    ).stdout
    found = re.search(r'<pre id="o">(.*?)</pre>', said, re.DOTALL)
    assert found, said[-500:]
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_the_page_fits_every_screen(chromium: str, page: Path, tmp_path: Path, width: int) -> None:
    """On a phone as on a laptop nothing sticks out to the side, and text can be read."""
    wide, shown, smallest = measured(
        chromium, page, tmp_path, width,
        "[page.documentElement.scrollWidth, page.documentElement.clientWidth,"
        " Math.min(...[...page.querySelectorAll('p,td,th,h2,.under span')]"
        ".map(e => parseFloat(window.getComputedStyle(e).fontSize)))]",
    )  # fmt: skip

    assert wide <= shown
    assert smallest >= 11


def test_what_nobody_watched_is_hatched_in_a_real_browser(chromium: str, page: Path, tmp_path: Path) -> None:
    """Four days without a box have columns of full height with a hatching, and no bar."""
    columns = measured(
        chromium, page, tmp_path, 1280,
        "[...page.querySelectorAll('#porto details .bars')].map(b => [...b.children].map(c =>"
        " [c.title, [...c.querySelectorAll('.lost')].map(l => [l.offsetHeight,"
        " window.getComputedStyle(l).backgroundImage.slice(0, 9)]), c.querySelectorAll('.now').length]))",
    )  # fmt: skip
    street = columns[1]
    lost = [column for column in street if "nobody watched" in column[0]]

    assert [f"{name} Oct" for name in ("Tue 27", "Wed 28")] == [column[0].split(":")[0] for column in lost[:2]]
    for _, hatched, bars in lost:
        assert "repeating" == hatched[0][1]
        assert 0 == bars


def test_the_page_needs_nothing_from_outside(page: Path) -> None:
    """No script, no style sheet, no picture, no font, no address: it opens on a machine without a network."""
    text = page.read_text(encoding="utf-8")

    assert not re.findall(r"<script|<link|<img|<iframe|@import|url\(|https?://|srcset|<object|<embed", text)
    assert len(text) < 400_000


def test_the_page_names_what_is_wrong(page: Path) -> None:
    """The camera whose line lies badly, the hours that are missing, and how far each site is known."""
    text = page.read_text(encoding="utf-8")
    porto = text.split('id="porto"')[1]
    street = re.search(r"<tr><td>street.*?</tr>", porto, re.DOTALL)

    assert '<b class="bad">1</b>camera out of balance' in text
    assert re.search(r'<tr><td>main<td>[\d,]+<td>[\d,]+<td class="bad" title=[^>]*>\+3\d\.\d%', text)
    assert street is not None
    assert '<td class="bad">96 h</tr>' in street[0]
    assert "People in, 11 Oct to 7 Nov 2026" in text


def test_names_in_the_store_are_only_text(tmp_path: Path, store_url: str) -> None:
    """What somebody has written into the table by hand can't become part of the page."""
    path = tmp_path / "hours.sqlite"
    shutil.copy(store_url, path)
    store = open_store(str(path))
    with store._transaction():
        store._run("UPDATE hours SET site = '<b>x' WHERE site = 'kathmandu'")
    store.close()
    report.run(str(path), CLOCK, html=tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")

    assert "<b>x" not in text
    assert "&lt;b&gt;x" in text


def test_the_table_has_a_row_for_every_hour_and_no_zero_for_a_missing_one(store_url: str, tmp_path: Path) -> None:
    """CSV: 28 days of one camera, with an empty count where no hour came."""
    report.run(store_url, CLOCK, csv_file=tmp_path / "hours.csv", sites=["porto"])
    with (tmp_path / "hours.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["camera"] == "street"]
    missing = [row for row in rows if row["state"] == "missing"]

    # Clocks went back in these days.
    assert 28 * 24 + 1 == len(rows)
    assert 96 == len(missing)
    assert {("", "", "")} == {(row["in"], row["out"], row["watched_s"]) for row in missing}
    assert ("2026-11-07T23:00:00Z", "2026-11-07T23:00:00+00:00", "closed") == (
        rows[-1]["start"], rows[-1]["local_start"], rows[-1]["state"],
    )  # fmt: skip


def test_parquet_holds_the_same(store_url: str, tmp_path: Path) -> None:
    """Typed: instants are instants, counts are integers or null."""
    parquet = pytest.importorskip("pyarrow.parquet")
    report.run(store_url, CLOCK, csv_file=tmp_path / "h.csv", parquet=tmp_path / "h.parquet", sites=["porto"])
    table = parquet.read_table(tmp_path / "h.parquet")
    with (tmp_path / "h.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    assert [int(row["in"]) if row["in"] else None for row in rows] == table.column("in").to_pylist()
    assert "timestamp[ms, tz=UTC]" == str(table.schema.field("start").type)


def test_postgresql_gives_the_same_page(store_url: str, tmp_path: Path, postgres: Any) -> None:
    """Whatever the store, a site's report is the same to the byte."""
    url = postgres.database()
    store = open_store(url)
    year.fill(store, ["kathmandu"])
    store.close()
    for name, where in (("one", url), ("two", store_url)):
        report.run(where, CLOCK, html=tmp_path / name, sites=["kathmandu"])

    assert (tmp_path / "one").read_text(encoding="utf-8") == (tmp_path / "two").read_text(encoding="utf-8")


def test_what_cant_be_reported_is_told(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty store, an unknown site, nowhere to write, no library."""
    with pytest.raises(ConfigError, match="there are no hours in it yet"):
        report.run(str(tmp_path / "empty.sqlite"), CLOCK, html=tmp_path / "r.html")
    with pytest.raises(ConfigError, match="no hours of nowhere"):
        report.run(store_url, CLOCK, html=tmp_path / "r.html", sites=["nowhere"])
    with pytest.raises(ConfigError, match="say where the report goes"):
        report.run(store_url, CLOCK)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ExtraMissing, match="footfall-edge"):
        report.run(store_url, CLOCK, parquet=tmp_path / "h.parquet", sites=["porto"])
