"""sites.yaml and the CSV files of sales and staff: what is taken, and how every fault of them is told."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from edge.core.errors import ConfigError
from edge.headquarters import sales, sites
from tests.headquarters import chain

CALENDAR = "calendars:\n  de:\n    - {name: Good Friday, day: 2025-04-18}\n    - {name: Good Friday, day: 2026-04-03}\n"


def test_what_people_know_of_shops_is_read() -> None:
    """Names in any script, regions, opening hours, holidays, what a line is for."""
    found = sites.parse(chain.SITES)

    assert ("Berlin Mitte", "上海 023", "koeln") == tuple(map(found.name, ("berlin-mitte", "shanghai-023", "koeln")))
    assert ("Arkade", "main") == (found.name("muenchen", "arcade"), found.name("muenchen", "main"))
    assert sites.Role.PASSAGE is found.camera("london-soho", "main").lines["street"]
    assert {date(2026, 1, 1), date(2026, 10, 3)} == found.events("berlin-mitte").closed
    assert {} == found.events("koeln").names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sites: {shop: {nmae: x}}", 'sites.yaml:1: sites.shop.nmae: "nmae" is not a setting; did you mean "name"?'),
        ("sites: {SHOP: {}}", "is no name"),
        ("sites: {shop: {calendars: [de]}}", 'shop names the calendar "de"; calendars of this file: none'),
        ("sites: {shop: {open: {mon: 9-20}}}", 'is no span of time; write it as "09:30-22:00"'),
        ("sites: {shop: {open: always}}", "must be opening hours"),
        ("sites: {shop: {area_m2: -1}}", "area_m2"),
        ("sites: {shop: {events: [{name: Sale}]}}", "needs either `day`, or both `from` and `to`"),
        ("sites: {shop: {events: [{name: Sale, day: 2026-13-01}]}}", "must be a day, but is 2026-13-01"),
        ("sites: {shop: {events: [{name: Sale, from: 2026-11-02, to: 2026-11-01}]}}", "must end on or after"),
        ("sites: {shop: {cameras: {door: {lines: {street: outside}}}}}", "'entrance' or 'passage'"),
        ("sites: {shop: {cameras: {door: {most_an_hour: 0}}}}", "most_an_hour"),
        ('sites: {shop: {name: "a\\x1b"}}', "name"),
        ("sites:\n  a: {}\n  a: {}\n", "stands here twice, first on line 2"),
        ("sites: [", "this isn't YAML"),
    ],
)  # fmt: skip
def test_every_fault_is_told_with_its_place(text: str, words: str) -> None:
    """As strictly as footfall.yaml, in the same words."""
    with pytest.raises(ConfigError) as refusal:
        sites.parse(text)

    assert words in str(refusal.value)


def test_the_shown_file_is_accepted() -> None:
    """The sites.yaml that docs/headquarters.md shows."""
    page = (Path(__file__).parents[2] / "docs" / "headquarters.md").read_text(encoding="utf-8")
    shown = page.split("### sites.yaml")[1].split("```yaml\n")[1].split("```", maxsplit=1)[0]

    assert "Main door" == sites.parse(shown).name("sh-023", "door-a")


def test_all_faults_are_told_at_once() -> None:
    """Three faults of three kinds, three messages, in the order of the file."""
    with pytest.raises(ConfigError) as refusal:
        sites.parse("sites:\n  a: {nmae: x}\n  b: {area_m2: big}\n  c: {open: {mon: late}}\n")

    assert ["sites.yaml:2", "sites.yaml:3", "sites.yaml:4"] == [message.place for message in refusal.value.messages]


@pytest.mark.parametrize(
    ("day", "default", "partner"),
    [
        (date(2026, 4, 3), date(2025, 4, 4), date(2025, 4, 18)),
        (date(2026, 4, 17), date(2025, 4, 18), None),
        (date(2026, 4, 10), date(2025, 4, 11), date(2025, 4, 11)),
    ],
)
def test_a_holiday_has_a_partner_of_last_year(day: date, default: date, partner: date | None) -> None:
    """Good Friday goes with Good Friday, a plain day with a plain day, and what has no partner with nothing."""
    book = sites.parse(CALENDAR + "sites: {shop: {calendars: [de]}}").events("shop")

    assert partner == book.same_last_year(day, default)


def test_sales_of_any_delimiter_are_the_same(tmp_path: Path) -> None:
    """Commas, semicolons or tabs; columns in any order; with or without the mark that Excel writes."""
    found = []
    for number, (mark, delimiter) in enumerate([("", ","), ("\ufeff", ";"), ("", "\t")]):
        path = tmp_path / f"{number}.csv"
        rows = [["date", "site", "revenue", "transactions"], ["2026-11-07", "sh-023", "1234.50", "56"]]
        path.write_text(mark + "\n".join(delimiter.join(row) for row in rows) + "\n\n", encoding="utf-8")
        found.append(sales.read_sales(path).site("sh-023"))

    assert [{(date(2026, 11, 7), -1): (Decimal(56), Decimal("1234.50"))}] * 3 == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 'there is no column "site"'),
        ("site,date,transactions\n", 'there is no column "revenue"'),
        ("site,date,transactions,revenue,till\n", '"till" is no column'),
        ("site,date,date,transactions,revenue\n", 'the column "date" stands twice'),
        ("site,date,transactions,revenue\nsh 1,2026-11-07,1,2\n", 's.csv:2: site: "sh 1" is no site'),
        ("site,date,transactions,revenue\na,7.11.2026,1,2\n", '"7.11.2026" is no day; write it as 2026-11-24'),
        ("site,date,transactions,revenue\na,2026-11-07,1.5,2\n", '"1.5" is no whole number'),
        ("site,date,transactions,revenue\na,2026-11-07,1,-2\n", '"-2" is no number'),
        ("site,date,transactions,revenue\na,2026-11-07,1,NaN\n", '"NaN" is no number'),
        ("site,date,transactions,revenue\na,2026-11-07,1\n", "3 cells, but there are 4 columns"),
        ("site,date,hour,transactions,revenue\na,2026-11-07,24,1,2\n", '"24" is no hour; write 0 to 23'),
        ("site,date,transactions,revenue\na,2026-11-07,1,2\na,2026-11-07,1,2\n", "a has this day or hour twice"),
    ],
)
def test_every_fault_of_a_sales_file_is_told(tmp_path: Path, text: str, words: str) -> None:
    """With file, line and column, and nothing is taken of a file that has one."""
    path = tmp_path / "s.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refusal:
        sales.read_sales(path)

    assert words in str(refusal.value)


def test_a_wrong_column_makes_no_thousand_messages(tmp_path: Path) -> None:
    """Fifty faults, and how many more there are."""
    path = tmp_path / "s.csv"
    path.write_text("site,date,staff_hours\n" + "a,today,1\n" * 1000, encoding="utf-8")
    with pytest.raises(ConfigError) as refusal:
        sales.read_staff(path)

    assert 51 == len(refusal.value.messages)
    assert "950 more faults" in str(refusal.value)
