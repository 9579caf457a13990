"""The first page of a year of twelve shops, held to the digit against what pandas makes of the same rows."""

from __future__ import annotations

import io
import json
import re
import sqlite3
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from edge.core.clock import ManualClock
from edge.headquarters import corrections
from edge.headquarters.address import open_store
from edge.headquarters.report import write
from tests.headquarters import chain

pytestmark = pytest.mark.slow

CLOCK = ManualClock(wall=int(chain.NOW.timestamp() * 1000))
WEEK = [chain.LAST - timedelta(days=n) for n in range(7)]
MONTH = [chain.LAST - timedelta(days=n) for n in range(28)]
GOOD, CLOSED = "good", "closed"
DASH = "&ndash;"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the store with its corrections, the files that people keep, and the report made of all."""
    folder = tmp_path_factory.mktemp("chain")
    path = folder / "hours.sqlite"
    chain.fill(path)
    store = open_store(str(path))
    for wish in (
        corrections.wish("merge", "muenchen/old-arcade", value="muenchen/arcade", why="the camera has a new name"),
        corrections.wish("retire", "nuernberg/main", since=date(2026, 10, 1), why="the shop has closed for good"),
        corrections.wish(
            "exclude", "hamburg-hbf/station", since=date(2026, 11, 25), until=date(2026, 11, 25), why="a demonstration"
        ),
    ):
        corrections.enter(store, wish, CLOCK, "anna")
    store.close()
    (folder / "sites.yaml").write_text(chain.SITES, encoding="utf-8")
    (folder / "sales.csv").write_text(chain.sales(), encoding="utf-8")
    before = path.read_bytes()
    write.run(
        str(path),
        CLOCK,
        write.Wish(
            html=folder / "r.html",
            folder=folder / "pages",
            sites=folder / "sites.yaml",
            sales=folder / "sales.csv",
        ),
    )
    # A report only reads.
    assert before == path.read_bytes()
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "r.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def cells(folder: Path) -> pd.DataFrame:
    """Give one row for each camera, local day and hour, made by pandas alone."""
    connection = sqlite3.connect(folder / "hours.sqlite")
    table = pd.read_sql('SELECT site, camera, start, timezone, "in", watched_s, flags, lines FROM hours', connection)
    connection.close()
    table.loc[table.camera == "old-arcade", "camera"] = "arcade"
    moments = pd.to_datetime(table.start, unit="s", utc=True)
    local = pd.Series(index=table.index, dtype="datetime64[s]")
    for zone, group in moments.groupby(table.timezone):
        local[group.index] = group.dt.tz_convert(zone).dt.tz_localize(None).astype("datetime64[s]")
    table["day"], table["hour"] = local.dt.date, local.dt.hour
    table["people"] = [json.loads(lines)["entrance"]["in"] for lines in table.lines]
    flags = table["flags"].map(json.loads)
    closed = flags.map(lambda some: "closed" in some)
    troubled = flags.map(lambda some: bool({"covered", "moved", "camera_lost"} & set(some)))
    table["state"] = "good"
    table.loc[troubled, "state"] = "poor"
    table.loc[(table.watched_s == 0) & ~closed, "state"] = "unwatched"
    table.loc[closed, "state"] = CLOSED
    table.loc[table.people > 1_000_000, "state"] = "doubted"
    demonstration = (table.site == "hamburg-hbf") & (table.camera == "station") & (table.day == date(2026, 11, 25))
    table.loc[demonstration, "state"] = "excluded"
    worst: dict[str, int] = {"closed": 1, "good": 2, "poor": 3, "unwatched": 4, "excluded": 6, "doubted": 7}
    table["rank"] = table["state"].map(worst)
    table.loc[~table["state"].isin(["good", "poor", "closed"]), "people"] = 0
    # The hour that clocks show twice is one.
    whole = table.groupby(["site", "camera", "day", "hour"]).agg(people=("people", "sum"), rank=("rank", "max"))
    whole["state"] = whole["rank"].map(dict(zip(worst.values(), worst, strict=True)))
    whole["is_open"] = whole["state"] == GOOD
    whole["is_known"] = whole["state"].isin([GOOD, CLOSED])
    whole = whole.reset_index()
    # Nothing else is asked for, and looking at half a million rows for each shop would take minutes.
    needed = {day - timedelta(days=shift) for day in WEEK + MONTH for shift in (0, 7, 14, 21, 28, 364)}
    return whole[whole.day.isin(needed)]


def of(cells: pd.DataFrame, days: list[date], shift: int = 0) -> pd.DataFrame:
    """Return the cells of *days*, *shift* days earlier, under the days' own dates."""
    found = cells.copy()
    found["day"] = [day + timedelta(days=shift) for day in found.day]
    return found[found.day.isin(days)]


def comparison(cells: pd.DataFrame, days: list[date], *shifts: int) -> tuple[int, float, int]:
    """Return people now, people then, and how many hours were compared."""
    keys = ["site", "camera", "day", "hour"]
    now = of(cells, days)
    now = now[now.is_known]
    then = pd.concat([of(cells, days, shift) for shift in shifts])
    then = then[then.is_known]
    means = then.groupby(keys).agg(then=("people", "mean"), times=("people", "size"), was_open=("is_open", "any"))
    means = means[means.times >= min(2, len(shifts))].reset_index()
    both = now.merge(means, on=keys)
    if both.empty:
        return 0, 0.0, 0
    compared = both[both.is_open | both.was_open]
    return int(both.people.sum()), float(both.then.sum()), len(compared)


def percent(share: float) -> str:
    """Return a share as the page writes it."""
    rounded = Decimal(str(share * 100)).quantize(Decimal("0.1"))
    return f"{rounded:+,} %".replace("-", "\N{MINUS SIGN}")


def tiles(page: str) -> list[tuple[str, str]]:
    """Return the figure and the sentence below it of each tile."""
    part = page.split('<div class="tiles wide">')[1].split("</div>\n<section>", maxsplit=1)[0]
    found = re.findall(r"<b[^>]*>([^<]*)</b>.*?<small[^>]*>(.*?)</small>", part, re.DOTALL)
    return [(figure, sentence) for figure, sentence in found]


def test_the_headline_is_what_pandas_works_out(page: str, cells: pd.DataFrame) -> None:
    """People of the week, and the three comparisons like for like, with how many hours were compared."""
    week = of(cells, WEEK)
    expected = [f"{week.people.sum():,}"]
    sentences = []
    for shifts in ((7,), (364,), (7, 14, 21, 28)):
        now, then, hours = comparison(cells, WEEK, *shifts)
        expected.append(percent((now - then) / then))
        sentences.append((f"{now:,} against {Decimal(str(then)).quantize(Decimal(1)):,}", f"{hours:,} of "))
    found = tiles(page)

    assert expected == [figure for figure, _ in found]
    for (beside, compared), (_, sentence) in zip(sentences, found[1:], strict=True):
        assert sentence.startswith(f"{beside}; {compared}")


def shop_rows(page: str) -> dict[str, list[str]]:
    """Return the cells of each shop's row in the table of shops, by the shop's name."""
    part = page.split('<table class="shops">')[1].split("</table>", maxsplit=1)[0]
    found = {}
    for row in re.findall(r"<tr><td>.*?</tr>", part, re.DOTALL):
        texts = [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)]
        found[texts[0]] = [text for text in texts[1:] if text.strip()]
    return found


def test_every_shops_row_is_what_pandas_works_out(page: str, cells: pd.DataFrame) -> None:
    """People, and the three changes, of each of the twelve; a dash where nothing can be compared."""
    names = {"berlin-mitte": "Berlin Mitte", "hamburg-hbf": "Hamburg Hauptbahnhof", "london-soho": "London Soho",
             "shanghai-023": "上海 023", "muenchen": "München"}  # fmt: skip
    rows = shop_rows(page)
    assert 12 == len(rows)
    for shop in chain.SHOPS:
        mine = cells[cells.site == shop.site]
        changes = []
        for shifts in ((7,), (364,), (7, 14, 21, 28)):
            now, then, _ = comparison(mine, WEEK, *shifts)
            changes.append(percent((now - then) / then) if then else DASH)
        week = of(mine, WEEK)
        shown = f"{week.people.sum():,}" if len(week) else DASH

        assert [shown, *changes] == rows[names.get(shop.site, shop.site)][:4], shop.site


def test_regions_are_the_sums_of_their_shops(page: str, cells: pd.DataFrame) -> None:
    """Shops without a region are in none."""
    part = page.split("<h2>Regions</h2>")[1].split("</table>", maxsplit=1)[0]
    regions = {"East": ["berlin-mitte", "berlin-west", "dresden", "leipzig"], "North": ["hamburg-hbf"],
               "Abroad": ["london-soho", "shanghai-023"], "South": ["muenchen"]}  # fmt: skip
    for name, sites in regions.items():
        mine = cells[cells.site.isin(sites)]
        now, then, _ = comparison(mine, WEEK, 364)

        assert f"<tr><td>{name}</td><td>{of(mine, WEEK).people.sum():,}</td>" in part
        assert f"<td>{percent((now - then) / then)}</td>" in part
    assert 4 == part.count("<tr><td>")


def test_sales_are_divided_by_visitors_of_days_that_are_known(page: str, cells: pd.DataFrame) -> None:
    """Conversion and sales per visitor of each shop, over days of which every open hour is good."""
    part = page.split("<h2>Sales and staff")[1].split("</section>", maxsplit=1)[0]
    sold = pd.read_csv(io.StringIO(chain.sales()), sep=";", dtype={"revenue": str})
    for site, name in (("berlin-mitte", "Berlin Mitte"), ("koeln", "koeln")):
        mine = cells[cells.site == site]
        by_day = mine.groupby("day").agg(people=("people", "sum"), fine=("is_known", "all"))
        days = sold[sold.site == site].copy()
        days["day"] = [date.fromisoformat(text) for text in days.date]
        both = days.merge(by_day[by_day.fine].reset_index(), on="day")
        people = int(both.people.sum())
        conversion = percent(both.transactions.sum() / people).removeprefix("+")
        revenue = sum(map(Decimal, both.revenue), Decimal(0)) / people
        row = re.search(rf"<tr><td><a [^>]*>{name}</a>.*?</tr>", part, re.DOTALL)

        assert row is not None
        assert f"<td>{conversion}</td>" in row[0]
        assert f"<td>{revenue.quantize(Decimal('0.01'))}</td>" in row[0]


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        ("dresden / main", "no hour has come, since 27 Nov 09:00"),
        ("frankfurt-zeil / south", "the camera was moved, since 18 Nov 10:00"),
        ("leipzig / main", "the camera was covered, 20 Nov 09:00 to 25 Nov 18:00"),
        ("München / main", "in and out differ by +46 %, since 5 Nov"),
        ("Berlin Mitte / side", "the camera gave no pictures, 24 Nov 11:00 to 24 Nov 14:00"),
        ("koeln / main", "hours are missing, 10 Nov 10:00 to 12 Nov 19:00"),
    ],
)
def test_who_cant_be_trusted_since_when_and_why(page: str, camera: str, words: str) -> None:
    """Each camera with something wrong stands on the first page as a link, with the moment at which it began."""
    part = page.split("<h2>Cameras that can&#39;t be trusted</h2>")[1].split("</section>", maxsplit=1)[0]
    entry = re.search(rf'<li><a href="#[a-z0-9.-]+">{camera}</a>:(.*?)</li>', part, re.DOTALL)

    assert entry is not None
    assert words in entry[1]


def test_nobody_else_is_accused(page: str) -> None:
    """Shops without trouble, the one that has closed and the camera with a new name are not listed."""
    part = page.split("<h2>Cameras that can&#39;t be trusted</h2>")[1].split("</section>", maxsplit=1)[0]

    assert not re.search("nuernberg|stuttgart|london|shanghai|arcade|Arkade|hamburg", part)


def test_an_absurd_hour_is_asked_about_and_in_no_sum(page: str) -> None:
    """One hour with seventy million people changes no figure until somebody says that it is right."""
    part = page.split("<h2>Not believed until you answer</h2>")[1].split("</section>", maxsplit=1)[0]

    assert "1 hour with up to 70,000,000 people" in part
    assert "footfall correct believe berlin-west/main --from 2026-11-26T15:00 --to 2026-11-26T16:00" in part
    assert "70,0" not in page.split("<h2>Not believed", maxsplit=1)[0]


def test_a_confirmed_hour_is_counted(folder: Path, tmp_path: Path) -> None:
    """The very command that the page shows makes it believed; revoked, it is doubted again."""
    path = tmp_path / "hours.sqlite"
    path.write_bytes((folder / "hours.sqlite").read_bytes())
    store = open_store(str(path))
    moment = datetime(2026, 11, 26, 15)  # noqa: DTZ001 - local time, as it is typed
    wish = corrections.wish(
        "believe", "berlin-west/main", since=moment, until=moment + timedelta(hours=1), why="the pope"
    )
    number = corrections.enter(store, wish, CLOCK, "anna")
    texts = []
    for _ in range(2):
        write.run(str(path), CLOCK, write.Wish(html=tmp_path / "r.html", only=["berlin-west"]))
        texts.append((tmp_path / "r.html").read_text(encoding="utf-8"))
        if not texts[1:]:
            corrections.enter(store, corrections.wish("revoke", str(number), why="it was no pope"), CLOCK, "anna")
    store.close()

    assert "70,00" in tiles(texts[0])[0][0]
    assert "70,00" not in tiles(texts[1])[0][0]


def test_corrections_stand_on_the_page_with_who_and_why(page: str) -> None:
    """Those that touch these days, and what they touch."""
    part = page.split("<h2>Corrections that these figures follow</h2>")[1].split("</table>", maxsplit=1)[0]

    assert "1: anna, 30 Nov 2026: the camera has a new name" in part
    assert "muenchen/old-arcade → muenchen/arcade" in part
    assert re.search(r"<td>excluded</td><td>hamburg-hbf/station</td><td>24 hours, [\d,]+ people in left out</td>", part)


def test_a_street_outside_is_no_entrance(page: str) -> None:
    """The passage gives the capture rate, and is in no sum of visitors."""
    london = page.split('<section id="london-soho">')[1].split("</section>", maxsplit=1)[0]

    assert "<dt>capture rate</dt>" in london
    assert re.search(r"<dd title=[^>]*>11\.1 %</dd>", london)


def test_every_name_is_a_link_that_leads_somewhere(folder: Path, page: str) -> None:
    """In one file to a place in it, in a folder to a page that is there."""
    targets = set(re.findall(r'id="([^"]+)"', page))
    links = re.findall(r'href="#([^"]+)"', page)

    assert links
    assert set(links) <= targets
    for document in (folder / "pages").rglob("*.html"):
        for address in re.findall(r'href="([^"#]+)(?:#[^"]*)?"', document.read_text(encoding="utf-8")):
            assert (document.parent / address.replace("%25", "%")).exists(), (document, address)
    assert 12 == len(list((folder / "pages" / "sites").glob("*.html")))


def test_a_shop_alone_has_a_link_to_its_page(folder: Path, tmp_path: Path) -> None:
    """With nothing to compare and nothing amiss, the first page of a folder leads to the shop all the same."""
    wish = write.Wish(folder=tmp_path, sites=folder / "sites.yaml", only=["stuttgart"])
    write.run(str(folder / "hours.sqlite"), CLOCK, wish)
    first = (tmp_path / "index.html").read_text(encoding="utf-8")

    assert ["sites/stuttgart.html"] == re.findall(r'href="([^"]+)"', first)


def test_holidays_are_compared_with_holidays_on_request(folder: Path, tmp_path: Path) -> None:
    """Good Friday of 2026 with that of 2025; and a plain Friday isn't compared with last year's holiday."""
    (tmp_path / "sites.yaml").write_text(
        "calendars:\n  de:\n    - {name: Good Friday, day: 2025-04-18}\n    - {name: Good Friday, day: 2026-04-03}\n"
        "sites: {koeln: {calendars: [de]}}\n"
    )
    found = {}
    for align in (False, True):
        wish = write.Wish(
            html=tmp_path / "r.html", only=["koeln"], last=date(2026, 4, 5), days=7, sites=tmp_path / "sites.yaml",
            align=align,
        )  # fmt: skip
        write.run(str(folder / "hours.sqlite"), CLOCK, wish)
        text = (tmp_path / "r.html").read_text(encoding="utf-8")
        found[align] = tiles(text)[2]

    assert found[False] != found[True]
    # Unaligned, a shop that is closed on Good Friday has lost a whole Friday against 4 April 2025.
    assert found[False][0].startswith("\N{MINUS SIGN}")
    assert not found[True][0].startswith("\N{MINUS SIGN}1")
