"""The page in a real browser, and the files for those who read hours with other tools."""

from __future__ import annotations

import base64
import csv
import html
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.core.clock import ManualClock
from edge.core.errors import ConfigError, ExtraMissing
from edge.headquarters import corrections
from edge.headquarters.address import open_store
from edge.headquarters.collect import judge
from edge.headquarters.errors import StoreUnusable
from edge.headquarters.report import write
from edge.headquarters.report.write import Wish
from edge.web.charts import COLUMNS_PX
from tests.headquarters import year
from tests.headquarters.messages import TOPIC, told
from tests.headquarters.shop import Shop, at
from tests.nobody import AS_NOBODY, UID, WHY_NOT
from tests.publisher.rig import utc_ms
from tests.technician import chromium as chromium_driver

pytestmark = pytest.mark.processes

ROOT = str(Path(__file__).parents[2])
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
    write.run(store_url, CLOCK, Wish(html=path))
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
    """On a phone as on a laptop nothing sticks out to the side, no table is cut, and text can be read."""
    wide, shown, cut, smallest = measured(
        chromium, page, tmp_path, width,
        "[page.documentElement.scrollWidth, page.documentElement.clientWidth,"
        " [...page.querySelectorAll('.scroll')].filter(s => s.scrollWidth > s.clientWidth)"
        ".map(s => [s.scrollWidth, s.clientWidth, s.textContent.slice(0, 60)]),"
        " Math.min(...[...page.querySelectorAll('p,td,th,h2,.chart text')]"
        ".map(e => parseFloat(window.getComputedStyle(e).fontSize)))]",
    )  # fmt: skip

    assert wide <= shown
    assert [] == cut
    assert smallest >= 11


def test_what_nobody_watched_is_hatched_in_a_real_browser(chromium: str, page: Path, tmp_path: Path) -> None:
    """Four days without a box have columns of full height with a hatching, and no bar."""
    columns = measured(
        chromium, page, tmp_path, 1280,
        "[...page.querySelectorAll('#porto details .chart')].map(b => [...b.querySelectorAll('.column')].map(c =>"
        " [c.querySelector('title').textContent, [...c.querySelectorAll('.unknown')].map(l =>"
        " [Number(l.getAttribute('height')), l.querySelector('use').getBoundingClientRect().height > 100]),"
        " c.querySelectorAll('.now').length]))",
    )  # fmt: skip
    street = columns[2]
    lost = [column for column in street if "nobody watched" in column[0]]

    assert [f"{name} Oct" for name in ("Tue 27", "Wed 28")] == [column[0].split(":")[0] for column in lost[:2]]
    for _, hatched, bars in lost:
        assert [[COLUMNS_PX, True]] == hatched
        assert 0 == bars


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("days", [28, 42, 43, 366])
def test_every_bar_can_be_seen(chromium: str, store_url: str, tmp_path: Path, days: int, width: int) -> None:
    """However long the period is, a bar is 2 px wide or wider, on a phone too: long ones go by week and by month."""
    write.run(store_url, CLOCK, Wish(html=tmp_path / "r.html", days=days, only=["kathmandu"]))
    headings, narrowest, most = measured(
        chromium, tmp_path / "r.html", tmp_path, width,
        "[[...page.querySelectorAll('h3')].map(h => h.textContent).slice(0, 2),"
        " Math.min(...[...page.querySelectorAll('.now[width],.before[width]')]"
        ".map(r => r.getBoundingClientRect().width)),"
        " Math.max(...[...page.querySelectorAll('.chart')].map(c => c.querySelectorAll('.column').length))]",
    )  # fmt: skip

    assert (["Days", "Weeks"] if days <= 42 else ["Weeks", "Months"]) == headings
    assert narrowest >= 1.9
    assert most <= 54


def test_a_phone_shows_every_number_of_the_map(chromium: str, page: Path, tmp_path: Path) -> None:
    """Days stand beside each other and hours below each other, so that nobody has to point at a cell to read it."""
    cut, size, below = measured(
        chromium, page, tmp_path, 360,
        "[[...page.querySelectorAll('.heat i')].filter(i => i.scrollWidth > i.clientWidth && i.offsetParent).length,"
        " Math.min(...[...page.querySelectorAll('.heat i')].map(i => parseFloat(window.getComputedStyle(i).fontSize))),"
        " (() => { const h = page.querySelectorAll('.heat .hour'); return h[23].offsetTop > h[0].offsetTop; })()]",
    )  # fmt: skip

    assert (0, True) == (cut, below)
    assert size >= 11


def test_printing_keeps_the_charts(page: Path, tmp_path: Path) -> None:
    """On paper, with the browser's backgrounds off, bars and the map's cells are there, the folded ones too."""
    if chromium_driver.PROGRAM is None:
        pytest.skip("NO CHROMIUM ON THIS MACHINE: apt-get install chromium")
    with chromium_driver.browser(tmp_path / "profile") as browser:
        tab = browser.page()
        tab.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        tab.open(page.as_uri())
        printed = tab.do("Page.printToPDF", printBackground=False)["data"]
        tab.do("Emulation.setEmulatedMedia", media="print", features=[])
        bars = tab.run(
            "[...document.querySelectorAll('.chart .now')].filter((r) => r.getAttribute('height') > 0).length"
        )
        cells = tab.run(
            "[...document.querySelectorAll('.heat i[style*=share]')].map((i) => getComputedStyle(i).backgroundColor)"
        )
    packed = re.findall(rb"/FlateDecode.{0,80}?stream\r?\n(.*?)endstream", base64.b64decode(printed), re.DOTALL)
    found: list[tuple[float, ...]] = []
    for part in packed:
        drawn = zlib.decompressobj().decompress(part)
        found += [tuple(map(float, colour)) for colour in re.findall(rb"([.\d]+) ([.\d]+) ([.\d]+) rg\n", drawn)]
    wanted = {tuple(float(number) for number in re.findall(r"[\d.]+", cell)) for cell in cells}

    assert found.count((0.0431, 0.4471, 0.5216)) >= bars > 200
    assert len(wanted) > 50
    assert {colour for colour in wanted if not any(math.dist(colour, other) < 0.002 for other in found)} == set()


def test_a_year_and_more_counts_no_day_twice(store_url: str, tmp_path: Path) -> None:
    """Where the period overlaps last year's, each hour has one row, and each day is in this year's sum once."""
    wish = Wish(csv_file=tmp_path / "h.csv", html=tmp_path / "r.html", days=366, only=["kathmandu"])
    write.run(store_url, CLOCK, wish)
    with (tmp_path / "h.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    total = sum(int(row["in"] or 0) for row in rows)

    assert len(rows) == len({row["start"] for row in rows})
    assert f'<p class="soft">{total:,} in, ' in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_the_page_needs_nothing_from_outside(page: Path) -> None:
    """No script, no style sheet, no picture, no font, no address: it opens on a machine without a network."""
    text = page.read_text(encoding="utf-8")

    assert not re.findall(r"<script|<link|<img|<iframe|@import|url\(|https?://|srcset|<object|<embed", text)
    assert len(text) < 400_000


def test_the_page_names_what_is_wrong(page: Path) -> None:
    """The camera whose line lies badly, the hours that are missing, and how far each site is known."""
    text = page.read_text(encoding="utf-8")
    porto = text.split('<section id="porto">')[1]
    street = re.search(r'<tr id="porto.street"><td>street</td>.*?</tr>', porto, re.DOTALL)

    assert "in and out differ by +39 %" in text
    assert re.search(r'<td>main</td><td>[\d,]+</td><td>[\d,]+</td>\s*<td class="bad" title=[^>]*>\+3\d\.\d %', text)
    assert street is not None
    # Eleven open hours on each of four days; what the shop was closed for is not missed.
    assert '<td class="bad">44 h</td></tr>' in street[0]
    assert "Visitors, 1 Nov to 7 Nov 2026" in text


@pytest.mark.parametrize("flag", ["moved", "slow", "covered", "dark", "frozen", "camera_lost"])
def test_a_flagged_hour_is_no_good_hour(tmp_path: Path, flag: str) -> None:
    """Watched all the time or not: it is told, its people are in the sum, and no comparison is made of it."""
    store = open_store(str(tmp_path / "hours.sqlite"))
    last = year.LAST - timedelta(hours=12)
    for days in (7, 0):
        start = last - timedelta(days=days)
        flags = {flag} if not days else set()
        payload = told(start, in_=500 - 20 * days, zone="Europe/Berlin", flags=flags)
        store.add(judge([(TOPIC, payload)], year.LAST), year.LAST)
    store.close()
    write.run(str(tmp_path / "hours.sqlite"), CLOCK, Wish(html=tmp_path / "r.html", days=14, last=year.LAST.date()))
    text = (tmp_path / "r.html").read_text(encoding="utf-8")

    assert ">500</b>people in" in text
    assert "nothing to compare with" in text
    assert "Cameras that can&#39;t be trusted" in text


def test_names_in_the_store_are_only_text(tmp_path: Path, store_url: str) -> None:
    """What somebody has written into the table by hand can't become part of the page."""
    path = tmp_path / "hours.sqlite"
    shutil.copy(store_url, path)
    store = open_store(str(path))
    with store._transaction():
        store._run("UPDATE hours SET site = '<b>x' WHERE site = 'kathmandu'")
    store.close()
    write.run(str(path), CLOCK, Wish(html=tmp_path / "r.html"))
    text = (tmp_path / "r.html").read_text(encoding="utf-8")

    assert "<b>x" not in text
    assert "&lt;b&gt;x" in text


def test_the_table_has_a_row_for_every_hour_and_no_zero_for_a_missing_one(store_url: str, tmp_path: Path) -> None:
    """CSV: 28 days of one camera, with an empty count where no hour came."""
    write.run(store_url, CLOCK, Wish(csv_file=tmp_path / "hours.csv", only=["porto"]))
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
    write.run(store_url, CLOCK, Wish(csv_file=tmp_path / "h.csv", parquet=tmp_path / "h.parquet", only=["porto"]))
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
        write.run(where, CLOCK, Wish(html=tmp_path / name, only=["kathmandu"]))

    assert (tmp_path / "one").read_text(encoding="utf-8") == (tmp_path / "two").read_text(encoding="utf-8")


@pytest.mark.parametrize(("hours", "in_"), [(range(3), 3), (range(24), 24), (range(30), 24)])
def test_the_first_day_is_in_the_report(tmp_path: Path, hours: range, in_: int) -> None:
    """While no day is over yet the report shows the hours that there are; then whole days, as ever."""
    url = str(tmp_path / "first.sqlite")
    store = open_store(url)
    first = datetime(2026, 11, 5, 16, tzinfo=UTC)  # midnight in Shanghai
    now = first + timedelta(hours=len(hours), minutes=10)
    messages = [(TOPIC, told(first + timedelta(hours=hour), in_=1, out=0)) for hour in hours]
    store.add(judge(messages, now), now)
    store.close()
    clock = ManualClock(wall=round(now.timestamp() * 1000))
    write.run(url, clock, Wish(html=tmp_path / "r.html", csv_file=tmp_path / "r.csv"))
    rows = list(csv.DictReader((tmp_path / "r.csv").read_text(encoding="utf-8").splitlines()))

    assert in_ == sum(int(row["in"] or 0) for row in rows)


@pytest.mark.parametrize(("site", "in_", "last"), [("mall", 700, "2026-11-07"), ("new", 30, "2026-11-08")])
def test_one_site_has_a_last_day_of_its_own(tmp_path: Path, site: str, in_: int, last: str) -> None:
    """A site that only a correction has made is found by `--site`; the first day of a new shop is in its report."""
    shop = Shop(tmp_path)
    for day in range(1, 8):
        shop.open_day(day)
    for hour in (9, 10, 11):
        shop.count(at(8, hour), site="new")
    clock = ManualClock(wall=round(at(8, 13).timestamp() * 1000))
    rename = corrections.wish("rename", "shop/door", why="the shop has moved", value="mall/door")
    corrections.enter(shop.store, rename, clock, "anna")
    shop.store.close()
    write.run(shop.url, clock, Wish(csv_file=tmp_path / "r.csv", only=[site], days=7))
    rows = list(csv.DictReader((tmp_path / "r.csv").read_text(encoding="utf-8").splitlines()))

    assert {site} == {row["site"] for row in rows}
    assert (in_, last) == (sum(int(row["in"] or 0) for row in rows), max(row["date"] for row in rows))


def test_what_cant_be_reported_is_told(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty store, an unknown site, nowhere to write, no library."""
    with pytest.raises(StoreUnusable, match="there is no such file; look at --store"):
        write.run(str(tmp_path / "mistyped.sqlite"), CLOCK, Wish(html=tmp_path / "r.html"))
    assert not (tmp_path / "mistyped.sqlite").exists()
    (tmp_path / "other").write_text("a shopping list, long enough to be something else than a database " * 20)
    with pytest.raises(StoreUnusable, match="not a database"):
        write.run(str(tmp_path / "other"), CLOCK, Wish(html=tmp_path / "r.html"))
    open_store(str(tmp_path / "empty.sqlite")).close()
    with pytest.raises(ConfigError, match="there are no hours in it yet"):
        write.run(str(tmp_path / "empty.sqlite"), CLOCK, Wish(html=tmp_path / "r.html"))
    with pytest.raises(ConfigError, match="no hours of nowhere"):
        write.run(store_url, CLOCK, Wish(html=tmp_path / "r.html", only=["nowhere"]))
    with pytest.raises(ConfigError, match="say where the report goes"):
        write.run(store_url, CLOCK, Wish())
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ExtraMissing, match="footfall_edge-VERSION"):
        write.run(store_url, CLOCK, Wish(parquet=tmp_path / "h.parquet", only=["porto"]))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder that other users can reach: pytest's own is closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="footfall-report-"))
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o700)
    shutil.rmtree(folder)


def test_a_store_that_may_only_be_read_is_reported(open_folder: Path, store_url: str) -> None:
    """A file and a folder without the right to write: the report opens them, and leaves nothing behind."""
    folder, out = open_folder / "read-only", open_folder / "out"
    folder.mkdir()
    out.mkdir()
    shutil.copy(store_url, folder / "hours.sqlite")
    (folder / "hours.sqlite").chmod(0o444)
    folder.chmod(0o555)
    as_nobody: list[str] = []
    if os.geteuid() == 0:
        os.chown(out, UID, UID)
        if WHY_NOT:
            pytest.skip(WHY_NOT)
        as_nobody = [*AS_NOBODY]
    done = subprocess.run(
        [*as_nobody, sys.executable, "-m", "edge", "report", "--store", str(folder / "hours.sqlite"), "--site", "porto",
         "--last", "2026-11-07", "--csv", str(out / "h.csv")],
        capture_output=True, text=True, check=False, timeout=300, cwd="/", env={**os.environ, "PYTHONPATH": ROOT},
    )  # fmt: skip

    assert 0 == done.returncode, done.stderr
    assert (out / "h.csv").stat().st_size > 1000
    assert ["hours.sqlite"] == [path.name for path in folder.iterdir()]


def test_a_role_that_may_only_read_is_enough(tmp_path: Path, postgres: Any) -> None:
    """PostgreSQL: a role with SELECT alone, on three tables, makes the report, and could not change an hour."""
    url = postgres.database()
    store = open_store(url)
    year.fill(store, ["kathmandu"])
    with store._transaction():
        store._run("CREATE ROLE reader LOGIN")
        store._run("GRANT SELECT ON footfall_store, hours, days, corrections TO reader")
    try:
        write.run(url.replace("footfall@", "reader@"), CLOCK, Wish(csv_file=tmp_path / "h.csv"))
    finally:
        with store._transaction():
            store._run("DROP OWNED BY reader")
            store._run("DROP ROLE reader")
        store.close()

    assert (tmp_path / "h.csv").stat().st_size > 1000


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_cell_is_a_formula(store_url: str, tmp_path: Path, delimiter: str) -> None:
    """What begins as a formula does, or can't be seen, is text in every spreadsheet; counts and dates stay so."""
    path = tmp_path / "hours.sqlite"
    shutil.copy(store_url, path)
    store = open_store(str(path))
    hostile = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "a\u202eb"]
    with store._transaction():
        for number, text in enumerate(hostile):
            store._run(
                "UPDATE hours SET model = :text WHERE site = 'porto' AND start % 21600 = :rest",
                {"text": text, "rest": 3600 * number},
            )
    store.close()
    wish = Wish(csv_file=tmp_path / "h.csv", only=["porto"], delimiter=delimiter)
    write.run(str(path), CLOCK, wish)
    with (tmp_path / "h.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=delimiter))
    models = {row["model"] for row in rows}

    assert not [cell for row in rows for cell in row.values() if re.match(r"[=+@\t\r]|-\D", cell)]
    assert {"'=cmd|' /C calc'!A0", "'+1", "'-1", "'@SUM(A1)", "a\\u202eb"} <= models
    assert {"2026-11-07"} <= {row["date"] for row in rows}
    assert all(row["in"] == "" or row["in"].isdecimal() for row in rows)


def test_days_and_weeks_are_the_sums_of_their_hours(store_url: str, tmp_path: Path) -> None:
    """The three tables of one period agree, and an unwatched day is empty and not zero."""
    rows = {}
    for by in ("hour", "day", "week"):
        wish = Wish(csv_file=tmp_path / by, by=by, only=["porto"], delimiter=";")
        write.run(store_url, CLOCK, wish)
        text = (tmp_path / by).read_bytes()
        rows[by] = list(csv.DictReader(text.decode("utf-8-sig").splitlines(), delimiter=";"))
        assert text.startswith(b"\xef\xbb\xbf")
    lost = [row for row in rows["day"] if row["camera"] == "street" and "2026-10-27" <= row["date"] <= "2026-10-28"]

    assert len({sum(int(row["in"] or 0) for row in some) for some in rows.values()}) == 1
    assert ["", ""] == [row["in"] for row in lost]
    assert {"Mon"} == {row["weekday"] for row in rows["week"]}
    assert 28 * 2 == len(rows["day"])


def test_calc_takes_counts_as_numbers_and_days_as_dates(store_url: str, tmp_path: Path) -> None:
    """LibreOffice Calc itself opens the file, and writes it again with typed cells."""
    program = shutil.which("soffice")
    if program is None:
        pytest.skip("NO LIBREOFFICE ON THIS MACHINE: apt-get install libreoffice-calc")
    wish = Wish(csv_file=tmp_path / "h.csv", by="day", only=["porto"])
    write.run(store_url, CLOCK, wish)
    subprocess.run(
        [program, f"-env:UserInstallation=file://{tmp_path}/profile", "--headless", "--convert-to", "fods",
         "--outdir", str(tmp_path), str(tmp_path / "h.csv")],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    sheet = (tmp_path / "h.fods").read_text(encoding="utf-8")

    assert 56 <= sheet.count('office:value-type="date"')
    assert 'office:value-type="float"' in sheet
    assert "table:formula" not in sheet
