"""The languages of reports: every catalog is whole, and dates and numbers are those of its readers."""

from __future__ import annotations

import re
from datetime import date, datetime

import pytest
from babel.messages.pofile import read_po

from edge.web.language import CATALOGS, Language, codes
from tests.web.texts import texts


def test_there_are_three_and_a_fourth_is_a_file() -> None:
    """English stands in the code; German and Simplified Chinese are catalogs beside it."""
    assert ("en", "de", "zh_CN") == codes()
    with pytest.raises(ValueError, match="the languages are en, de, zh_CN"):
        Language("xx")


@pytest.mark.parametrize("code", [code for code in codes() if code != "en"])
def test_a_catalog_has_every_sentence_and_no_other(code: str) -> None:
    """Each sentence of code and templates is translated, with the same names in braces, and none is left over."""
    with (CATALOGS / f"{code}.po").open("rb") as file:
        catalog = {
            message.id if isinstance(message.id, str) else message.id[0]: message.string
            for message in read_po(file, locale=code)
            if message.id
        }
    wanted = texts()

    assert set(wanted) == set(catalog)
    for text, plural in wanted.items():
        found = catalog[text]
        forms = [found] if isinstance(found, str) else list(found or ())
        names = set(re.findall(r"\{(\w+)\}", text))
        assert all(forms), text
        assert (plural is None) == isinstance(found, str), text
        assert all(set(re.findall(r"\{(\w+)\}", form)) == names for form in forms), text


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("en", ("12,345", "1,234.5", "\N{MINUS SIGN}3.4 %", "Sat 7 Nov", "7 Nov 2026", "7 Nov 14:00", "1 hour", "2 hours")),  # noqa: E501 - a table
        ("de", ("12.345", "1.234,5", "\N{MINUS SIGN}3,4 %", "Sa 7. Nov.", "07.11.2026", "7. Nov. 14:00", "1 Stunde", "2 Stunden")),  # noqa: E501 - a table
        ("zh_CN", ("12,345", "1,234.5", "\N{MINUS SIGN}3.4 %", "周六 11月7日", "2026年11月7日", "11月7日 14:00", "1 小时", "2 小时")),  # noqa: E501 - a table
    ],
)  # fmt: skip
def test_dates_and_numbers_are_those_of_the_reader(code: str, expected: tuple[str, ...]) -> None:
    """Thousands, decimals, signs, weekdays, days and plurals."""
    words, day = Language(code), date(2026, 11, 7)

    assert expected == (
        words.number(12345), words.number(1234.5, 1), words.percent(-0.0345, signed=True), words.weekday_and_day(day),
        words.whole_day(day), words.moment(datetime(2026, 11, 7, 14)), words.plural("{n} hour", "{n} hours", 1),  # noqa: DTZ001
        words.plural("{n} hour", "{n} hours", 2),
    )  # fmt: skip


def test_a_share_that_is_not_all_is_not_shown_as_all() -> None:
    """99.96 % isn't 100 %."""
    assert ["99.9 %", "100 %", "0 %", "91.2 %"] == [Language().known(share) for share in (0.9996, 1.0, 0.0, 0.912)]
