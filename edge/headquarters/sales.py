"""
Sales and staff hours from CSV files that a person or a till exports: as strictly read as a config, every fault at once.

The first row names the columns, in any order. Sales: site, date, transactions, revenue. Staff: site, date, staff_hours.
With a column `hour` (0 to 23) each row is an hour, else a day. The delimiter is a comma, a semicolon or a tab.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

from edge.config.schema import read_text
from edge.core.config_message import ConfigMessage
from edge.core.errors import ConfigError
from edge.core.topics import NAME_PATTERN

_MOST_FAULTS = 50
"""So many faults of one file are told; a wrong column makes one in each row."""
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,4})?")
_WHOLE = re.compile(r"[0-9]{1,12}")

Key = tuple[date, int]
"""Local day and hour; the hour is `WHOLE_DAY` where a row is a whole day."""
WHOLE_DAY = -1


@dataclass(slots=True)
class Table:
    """
    Amounts of one file: site -> (day, hour) -> amounts, in the order of the file's columns.

    Attributes:
        by_hour: Whether each row is an hour.
    """

    by_hour: bool = False
    amounts: dict[str, dict[Key, tuple[Decimal, ...]]] = field(default_factory=dict)

    def site(self, name: str) -> Mapping[Key, tuple[Decimal, ...]]:
        """Return the amounts of a site; nothing if the file has none."""
        return self.amounts.get(name, {})


def read_sales(path: Path) -> Table:
    """
    Read transactions and revenue.

    Raises:
        ConfigError: with every fault of the file.
    """
    return _read(path, ("transactions", "revenue"), whole=("transactions",))


def read_staff(path: Path) -> Table:
    """
    Read the hours that people worked.

    Raises:
        ConfigError: with every fault of the file.
    """
    return _read(path, ("staff_hours",))


def _read(path: Path, amounts: Sequence[str], whole: Sequence[str] = ()) -> Table:
    text = read_text(path).removeprefix("\ufeff")
    lines = text.splitlines()
    header = lines[0] if lines else ""
    delimiter = max(",;\t", key=header.count)
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    faults: list[ConfigMessage] = []
    table = Table()
    try:
        columns = [name.strip().lower() for name in next(rows, [])]
        faults += _header_faults(path, columns, amounts)
        if not faults:
            table.by_hour = "hour" in columns
            for row in rows:
                place = f"{path}:{rows.line_num}"
                if len(row) == len(columns):
                    faults += _take(table, dict(zip(columns, row, strict=True)), (amounts, whole), place)
                elif any(cell.strip() for cell in row):
                    said = f"{len(row)} cells, but there are {len(columns)} columns"
                    faults.append(ConfigMessage(said, place=place))
    except csv.Error as exc:
        faults.append(ConfigMessage(f"this isn't CSV: {exc}", place=f"{path}:{rows.line_num}"))
    if faults:
        more = [ConfigMessage(f"{len(faults) - _MOST_FAULTS} more faults", place=str(path))]
        raise ConfigError(path, faults if len(faults) <= _MOST_FAULTS else faults[:_MOST_FAULTS] + more)
    return table


def _header_faults(path: Path, columns: Sequence[str], amounts: Sequence[str]) -> Iterator[ConfigMessage]:
    known = ("site", "date", "hour", *amounts)
    wanted = f"the first line is: {','.join(known)}; `hour` may be left out"
    for name in known:
        if name not in columns and name != "hour":
            yield ConfigMessage(f'there is no column "{name}"', wanted, place=f"{path}:1")
    for name in dict.fromkeys(columns):
        if name not in known:
            yield ConfigMessage(f'"{name}" is no column', wanted, place=f"{path}:1")
        elif columns.count(name) > 1:
            yield ConfigMessage(f'the column "{name}" stands twice', "keep one", place=f"{path}:1")


def _take(
    table: Table, cells: Mapping[str, str], shape: tuple[Sequence[str], Sequence[str]], place: str
) -> Iterator[ConfigMessage]:
    """Put a row into *table*; yield its faults instead if it has any. *shape*: amounts, and which of them are whole."""
    amounts, whole = shape
    faults = []

    def refuse(column: str, what: str, advice: str) -> None:
        faults.append(ConfigMessage(f'"{cells[column].strip()[:40]}" is no {what}', advice, key=column, place=place))

    site, day = cells["site"].strip(), _day(cells["date"].strip())
    if not re.fullmatch(NAME_PATTERN, site):
        refuse("site", "site", "write its name in the topics")
    if day is None:
        refuse("date", "day", "write it as 2026-11-24")
    hour = _hour(cells["hour"].strip()) if table.by_hour else WHOLE_DAY
    if hour is None:
        refuse("hour", "hour", "write 0 to 23")
    for name in amounts:
        if not (_WHOLE if name in whole else _NUMBER).fullmatch(cells[name].strip()):
            refuse(name, "whole number" if name in whole else "number", "write it as 1234.50, without a sign")
    if not faults and day is not None and hour is not None:
        of_site = table.amounts.setdefault(site, {})
        if (day, hour) in of_site:
            faults.append(ConfigMessage(f"{site} has this day or hour twice", "keep one row", place=place))
        of_site[day, hour] = tuple(Decimal(cells[name].strip()) for name in amounts)
    yield from faults


def _hour(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]|[01][0-9]|2[0-3]", text) else None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) else None
    except ValueError:
        return None
