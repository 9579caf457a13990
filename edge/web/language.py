"""
The language of what people read: sentences from a gettext catalog, dates and numbers as its readers write them.

A language is a file: `edge/web/languages/CODE.po`. English stands in the code, so it needs none; a sentence that a
catalog lacks stays English.
"""

from __future__ import annotations

import gettext
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

from edge.core.errors import HEADQUARTERS_EXTRA, ExtraMissing

try:
    from babel import Locale
    from babel.dates import format_date, format_datetime, format_skeleton, get_day_names
    from babel.messages.pofile import read_po
    from babel.numbers import format_decimal, get_decimal_symbol, get_group_symbol
except ImportError as exc:
    raise ExtraMissing("Babel", HEADQUARTERS_EXTRA) from exc

CATALOGS = Path(__file__).parent / "languages"
ENGLISH = "en"


def marked(text: str) -> str:
    """Mark *text*, under the name `_`, for the catalogs; it is translated when it is used."""
    return text


class Language:
    """
    One language.

    Args:
        code: As in `en`, `de`, `zh_CN`.

    Raises:
        ValueError: there is no catalog for it.
    """

    def __init__(self, code: str = ENGLISH) -> None:
        if code not in codes():
            raise ValueError(f"the languages are {', '.join(codes())}, not {code!r}")
        self.code = code
        self.locale = Locale.parse(code)
        # Babel's own formatting takes 0.1 ms, and a map of a week has 168 numbers.
        self._is_parted_by_three = self.locale.decimal_formats[None].grouping == (3, 3)
        self._symbols = str.maketrans({",": get_group_symbol(self.locale), ".": get_decimal_symbol(self.locale)})
        names = get_day_names("abbreviated", locale=self.locale)
        self._weekdays = [str(names[number]).rstrip(".") for number in range(7)]
        self._texts: dict[str, tuple[str, ...]] = {}
        self._form: Callable[[int], int] = lambda count: int(count != 1)
        if code != ENGLISH:
            self._read(CATALOGS / f"{code}.po")

    def _read(self, path: Path) -> None:
        with path.open("rb") as file:
            catalog = read_po(file, locale=self.code)
        self._form = gettext.c2py(catalog.plural_expr)
        for message in catalog:
            if message.id and not message.fuzzy:
                key = message.id[0] if isinstance(message.id, (list, tuple)) else message.id
                texts = message.string if isinstance(message.string, (list, tuple)) else (message.string,)
                if all(texts):
                    self._texts[str(key)] = tuple(map(str, texts))

    @property
    def html(self) -> str:
        """The language as HTML names it."""
        return self.code.replace("_", "-")

    def __call__(self, text: str, **values: object) -> str:
        """Return *text* in this language, its {names} replaced by *values*."""
        found = self._texts.get(text, (text,))[0]
        return found.format(**values) if values else found

    def plural(self, one: str, many: str, count: int, **values: object) -> str:
        """Return *one* or *many* for *count*, which is {n} in it, in this language."""
        texts = self._texts.get(one, (one, many))
        form = self._form(count) if one in self._texts else int(count != 1)
        return texts[min(form, len(texts) - 1)].format(n=self.number(count), **values)

    # --- numbers -----------------------------------------------------------------------------------------------------

    def number(self, value: float | Decimal, digits: int = 0) -> str:
        """Return a number with its thousands parted, rounded half to even."""
        if self._is_parted_by_three:
            parted = f"{Decimal(str(value)):,.{digits}f}"
            return parted.translate(self._symbols)
        return str(format_decimal(value, f"#,##0.{'0' * digits}" if digits else "#,##0", self.locale))

    def percent(self, share: float, digits: int = 1, *, signed: bool = False) -> str:
        """Return a share as per cent, rounded half to even; *signed* shows a plus, too."""
        text = self.number(share * 100, digits)
        sign = "+" if signed and not text.startswith("-") else ""
        return f"{sign}{text} %".replace("-", "\u2212")

    def known(self, share: float) -> str:
        """Return the share of known hours: 99.96 % isn't all of it."""
        tenths = int(share * 1000 + 1e-9) / 10
        return f"{self.number(tenths, 0 if tenths.is_integer() else 1)} %"

    # --- dates -------------------------------------------------------------------------------------------------------

    def weekday(self, number: int) -> str:
        """Return the short name of a weekday, 0 is Monday."""
        return self._weekdays[number]

    def day(self, day: date) -> str:
        """Return a day without its year, as in 7 Nov."""
        return f"{day.day} {day:%b}" if self.code == ENGLISH else str(format_skeleton("MMMd", day, locale=self.locale))

    def weekday_and_day(self, day: date) -> str:
        """Return a day with its weekday, as in Sat 7 Nov."""
        return f"{self.weekday(day.weekday())} {self.day(day)}"

    def whole_day(self, day: date) -> str:
        """Return a day with its year."""
        if self.code == ENGLISH:
            return f"{day.day} {day:%b %Y}"
        return str(format_date(day, "medium", locale=self.locale))

    def month(self, day: date) -> str:
        """Return a month with its year."""
        return f"{day:%b %Y}" if self.code == ENGLISH else str(format_skeleton("yMMM", day, locale=self.locale))

    def from_to(self, first: date, last: date) -> str:
        """Return a stretch of days."""
        begin = self.day(first) if first.year == last.year else self.whole_day(first)
        return self("{first} to {last}", first=begin, last=self.whole_day(last))

    def moment(self, moment: datetime) -> str:
        """Return a day and an hour."""
        return f"{self.day(moment.date())} {format_datetime(moment, 'HH:mm', locale=self.locale)}"


@cache
def codes() -> tuple[str, ...]:
    """Return the languages that there are."""
    return (ENGLISH, *sorted(path.stem for path in CATALOGS.glob("*.po")))
