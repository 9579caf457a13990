"""The Grafana dashboard: each panel's SQL runs on a real PostgreSQL with a year of data; its sums are right."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from edge.headquarters import sites
from edge.headquarters.address import open_store
from edge.headquarters.sites import as_table
from tests.headquarters import chain
from tests.headquarters.conftest import Postgres

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.xdist_group("grafana")]

DASHBOARD = json.loads((Path(__file__).parents[2] / "deploy/grafana/footfall.json").read_text(encoding="utf-8"))
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
SINCE, UNTIL = datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 29, 23, 59, tzinfo=UTC)
"""28 days, as the dashboard shows when it is opened."""


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> Iterator[Any]:
    """Give a connection to a store of twelve shops over twenty months."""
    url = postgres.database()
    store = open_store(url)
    store.replace_sites(as_table(sites.parse(chain.SITES)))
    store.set_alerts("store", {("koeln", "main", "silent"): SINCE}, [])
    store.close()
    connection = psycopg.connect(url, autocommit=True)
    with connection.cursor() as cursor, cursor.copy("COPY hours FROM STDIN") as copy:
        for site, camera, start, end, *rest in chain.rows():
            moments = (datetime.fromtimestamp(moment, UTC).isoformat() for moment in (start, end))
            copy.write_row((site, camera, *moments, *rest))
    connection.execute(
        "INSERT INTO corrections (made, who, why, action, site, camera, since, until, value)"
        " VALUES (now(), 'anna', 'a demonstration', 'exclude', 'hamburg-hbf', 'station', '2026-11-25T00:00+01:00',"
        " '2026-11-26T00:00+01:00', '')"
    )
    connection.execute("ANALYZE")
    yield connection
    connection.close()


def filled(sql: str, **chosen: list[str]) -> str:
    """Return *sql* as Grafana sends it: its macros and variables replaced."""
    since, until = SINCE.strftime("%Y-%m-%dT%H:%M:%SZ"), UNTIL.strftime("%Y-%m-%dT%H:%M:%SZ")
    sql = re.sub(r"\$__timeFilter\(([^)]+)\)", rf"\1 BETWEEN '{since}' AND '{until}'", sql)
    sql = sql.replace("$__timeFrom()", f"'{since}'").replace("$__timeTo()", f"'{until}'")
    for name, values in chosen.items():
        sql = sql.replace("${" + name + ":sqlstring}", ",".join(f"'{value}'" for value in values))
    assert "$" not in sql, sql
    return sql


def rows(database: Any, title: str, *only: str) -> list[dict[str, Any]]:
    """Return what a panel shows of some shops, or of all, as its columns' names and values."""
    names = list(only) or [shop.site for shop in chain.SHOPS]
    cursor = database.execute(filled(PANELS[title]["targets"][0]["rawSql"], site=names))
    return [dict(zip([column.name for column in cursor.description], row, strict=True)) for row in cursor]


@pytest.mark.parametrize("title", PANELS)
def test_each_panel_shows_something(database: Any, title: str) -> None:
    """Its SQL runs, and a time series has a time, a name and a number in each row."""
    found = rows(database, title)

    assert found
    if PANELS[title]["targets"][0]["format"] == "time_series":
        assert {"time", "metric", "value"} == set(found[0])
        assert all(isinstance(row["time"], datetime) and row["value"] >= 0 for row in found)


@pytest.mark.parametrize("title", PANELS)
def test_nothing_else_is_shown_for_one_shop(database: Any, title: str) -> None:
    """The variable reaches each panel: of a shop that there isn't, nothing is shown."""
    found = rows(database, title, "no-such-shop")

    assert not any(value for row in found for value in row.values()), found


def test_the_sums_are_those_of_the_hours(database: Any) -> None:
    """Entrances only, without excluded and unwatched hours, as the report adds them up by local day."""
    first, last = SINCE.date(), UNTIL.date()
    expected: dict[str, int] = {}
    for site, camera, start, _, zone, _, _, _, watched_s, flags, lines, _, _ in chain.rows():
        local = datetime.fromtimestamp(start, UTC).astimezone(ZoneInfo(zone))
        excluded = (site, camera, local.date()) == ("hamburg-hbf", "station", date(2026, 11, 25))
        if first <= local.date() <= last and not excluded and (watched_s or "closed" in flags):
            expected[site] = expected.get(site, 0) + json.loads(lines)["entrance"]["in"]
    by_shop = {row["shop"]: row["visitors"] for row in rows(database, "Shops beside each other")}
    plan = sites.parse(chain.SITES)

    assert {plan.name(site): people for site, people in expected.items() if people} == {
        shop: int(people) for shop, people in by_shop.items() if people
    }
    assert sum(expected.values()) == int(rows(database, "Visitors")[0]["visitors"])


@pytest.mark.parametrize(
    ("title", "index"),
    [("Visitors", "hours_by_day"), ("Visitors a day", "hours_by_day"), ("Visitors an hour", "hours_by_start")],
)
def test_a_panel_reads_the_hours_of_its_days_alone(database: Any, title: str, index: str) -> None:
    """A store of years must not be read whole for four weeks of one shop."""
    sql = filled(PANELS[title]["targets"][0]["rawSql"], site=["koeln"])
    plan = "\n".join(row[0] for row in database.execute(f"EXPLAIN {sql}"))

    assert index in plan or "hours_pkey" in plan, plan
    assert "Seq Scan on hours" not in plan, plan


def test_last_year_is_compared_like_for_like(database: Any) -> None:
    """One shop's change over the hours that are known on both sides, counted again in Python."""
    known: dict[tuple[date, int], int] = {}
    for site, _, start, _, zone, _, in_, _, watched_s, flags, _, _, _ in chain.rows():
        if site != "berlin-west":
            continue
        local = datetime.fromtimestamp(start, UTC).astimezone(ZoneInfo(zone))
        if watched_s >= 3240 or "closed" in flags:
            key = (local.date(), local.hour)
            known[key] = known.get(key, 0) + in_
    now = then = 0
    moment = SINCE
    while moment <= UNTIL:
        local = moment.astimezone(ZoneInfo(chain.BERLIN))
        key, past = (local.date(), local.hour), (local.date() - timedelta(days=364), local.hour)
        if key in known and past in known:
            now, then = now + known[key], then + known[past]
        moment += timedelta(hours=1)
    found = rows(database, "Against last year, like for like", "berlin-west")

    assert (now - then) / then == pytest.approx(found[0]["change"], rel=1e-12)


def test_the_variables_offer_regions_and_shops(database: Any) -> None:
    """A shop has its name; one without a region stands under a dash."""
    regions = [row[0] for row in database.execute(filled(VARIABLES["region"]["query"]))]
    of_east = database.execute(filled(VARIABLES["site"]["query"], region=["East"])).fetchall()
    plain = database.execute(filled(VARIABLES["site"]["query"], region=["-"])).fetchall()

    assert ["-", "Abroad", "East", "North", "South"] == sorted(regions)
    assert ("berlin-mitte", "Berlin Mitte") in of_east
    assert ("koeln", "koeln") in plain


def test_grafana_can_place_every_panel() -> None:
    """No two panels overlap, each is 24 columns wide at most, has its own number, and asks the chosen data source."""
    taken: dict[tuple[int, int], int] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["id"]) == panel["id"], panel["title"]
        assert "${datasource}" == panel["datasource"]["uid"] == panel["targets"][0]["datasource"]["uid"]

    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
