"""What people read and correct at headquarters: reports, corrections, what is in quarantine."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import click

from edge.cli import options, types
from edge.cli.command import command
from edge.core.clock import KernelClock
from edge.core.errors import ConfigError

_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}


@command(
    "report",
    examples=[
        "footfall report --store hours.sqlite --html report.html --days 7",
        "footfall report --folder report/ --sites sites.yaml --sales sales.csv --language de",
        "footfall report --csv days.csv --by day --delimiter semicolon",
    ],
    exits={69: "a library that it needs isn't installed", 74: "", 78: ""},
)
@options.store
@click.option("--html", type=types.FILE, metavar="FILE", help="Write one page, which needs no other files.")
@click.option("--folder", type=types.FILE, metavar="DIR", help="Write a first page and a page for each shop.")
@click.option("--csv", "csv_file", type=types.FILE, metavar="FILE", help="Write a row for each hour, missing ones too.")
@click.option(
    "--by", type=click.Choice(["hour", "day", "week"]), default="hour", help="A row of the CSV file. Default: hour."
)
@click.option(
    "--delimiter", type=click.Choice(sorted(_DELIMITERS)), default="comma", help="Between its cells. Default: comma."
)
@click.option("--parquet", type=types.FILE, metavar="FILE", help="Write the hours for data frames.")
@click.option("--site", "sites", multiple=True, metavar="NAME", help="Only this site. May be repeated.")
@click.option("--last", type=types.DAY, metavar="DAY", help="The last day. Default: yesterday.")
@click.option("--days", type=types.DAYS, default=28, metavar="N", help="How many days, 1 to 366. Default: 28.")
@click.option("--sites", "plan", type=types.FILE, metavar="FILE", help="sites.yaml: names, regions, holidays, lines.")
@click.option("--sales", type=types.FILE, metavar="FILE", help="CSV: site, date, transactions, revenue.")
@click.option("--staff", type=types.FILE, metavar="FILE", help="CSV: site, date, staff_hours.")
@click.option("--align-holidays", "align", is_flag=True, help="Compare a holiday with last year's of the same name.")
@click.option("--language", default="en", metavar="CODE", help="en, de or zh_CN. Default: en.")
def report(
    *,
    store: str,
    html: Path | None,
    folder: Path | None,
    csv_file: Path | None,
    by: str,
    delimiter: str,
    parquet: Path | None,
    sites: tuple[str, ...],
    last: date | None,
    days: int,
    plan: Path | None,
    sales: Path | None,
    staff: Path | None,
    align: bool,
    language: str,
) -> None:
    """
    Write pages with charts, CSV or Parquet, from the stored hours.

    Give at least one of --html, --folder, --csv and --parquet.
    """
    from edge.headquarters.report import write

    wish = write.Wish(
        html, folder, csv_file, parquet, sites, last, days, by, _DELIMITERS[delimiter], plan, sales, staff, align,
        language,
    )  # fmt: skip
    write.run(store, KernelClock(), wish)


_ACTIONS = ("exclude", "believe", "annotate", "rename", "merge", "retire", "revoke")


@command(
    "correct",
    examples=[
        "footfall correct exclude sh-023/door-a --from 2026-11-16 --to 2026-11-21 --why 'a poster before the lens'",
        "footfall correct believe sh-023/door-a --from 2026-11-27T10:00 --to 2026-11-27T20:00 --why 'Black Friday'",
        "footfall correct annotate sh-023 'road works' --from 2026-11-02 --to 2026-11-13 --why 'told by the shop'",
        "footfall correct merge sh-023/door-x sh-023/door-a --why 'the box was replaced'",
        "footfall correct revoke 3 --why 'it was another shop'",
        "footfall correct --list",
    ],
    exits={74: "", 78: ""},
)
@click.argument("action", type=click.Choice(_ACTIONS), required=False, metavar="ACTION")
@click.argument("what", required=False, metavar="SITE[/CAMERA]")
@click.argument("value", required=False, default="", metavar="TEXT")
@options.store
@click.option("--from", "since", type=types.MOMENT, metavar="DAY", help="The first day, or local time of the shop.")
@click.option("--to", "until", type=types.MOMENT, metavar="DAY", help="The last day, or the first moment after it.")
@click.option("--why", default="", metavar="TEXT", help="The reason. Needed.")
@click.option("--by", "who", metavar="NAME", help="Who says so. Default: this account's name.")
@click.option("--list", "list_all", is_flag=True, help="Show every correction, those that were revoked too.")
def correct(
    *,
    action: str | None,
    what: str | None,
    value: str,
    store: str,
    since: date | datetime | None,
    until: date | datetime | None,
    why: str,
    who: str | None,
    list_all: bool,
) -> None:
    """
    Enter what a person knows better than a camera; reports follow it.

    ACTION is exclude, believe, annotate, rename, merge, retire or revoke. The hours stay as they are, and every
    correction stays on record with who, when and why.
    """
    from edge.headquarters import corrections
    from edge.headquarters.address import open_reader, open_store

    if list_all:
        reader = open_reader(store)
        try:
            everything = reader.corrections()
        finally:
            reader.close()
        revoked = {one.revokes for one in everything}
        for one in everything:
            print(corrections.describe(one, revoked=one.number in revoked))
        return
    if action is None or what is None:
        raise ConfigError("correct", ["say what to correct, as in: footfall correct exclude sh-023/door-a --from ..."])
    try:
        wish = corrections.wish(action, what, why=why, since=since, until=until, value=value)
    except ValueError as exc:
        raise ConfigError("correct", [str(exc)]) from exc
    open_reader(store).close()
    opened = open_store(store)
    try:
        number = corrections.enter(opened, wish, KernelClock(), who)
    finally:
        opened.close()
    print(f"correction {number} is entered; `footfall correct revoke {number} --why ...` takes it back")


@command(
    "quarantine",
    examples=["footfall quarantine --store hours.sqlite", "footfall quarantine --rejudge --store hours.sqlite"],
    exits={74: ""},
)
@options.store
@click.option("--reason", metavar="WORD", help="Only messages with this reason.")
@click.option("--limit", type=types.whole(1, 100_000), default=50, metavar="N", help="At most N messages. Default: 50.")
@click.option("--rejudge", is_flag=True, help="Judge them again, and store what passes now.")
@click.option("--trial", is_flag=True, help="With --rejudge: store the hours of trials, too.")
def quarantine(*, store: str, reason: str | None, limit: int, rejudge: bool, trial: bool) -> None:
    """
    Show the messages that could not be stored as hours, the newest first.

    Each has the reason, the details, and how often it came.
    """
    from edge.headquarters import quarantine

    if rejudge:
        said = quarantine.rejudge(store, KernelClock(), trial=trial, reason=reason)
        print(f"{said.stored} hours stored, {said.repeated} known already; the rest stays in quarantine")
        return
    for line in quarantine.show(store, reason, limit):
        print(line)
