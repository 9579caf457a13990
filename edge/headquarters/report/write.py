"""Writes a report: one HTML file or a folder of pages, CSV and Parquet, from the store, which it only reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote
from zoneinfo import ZoneInfo

from markupsafe import Markup

from edge.core.clock import Clock
from edge.core.errors import ConfigError
from edge.core.hour import WELL_WATCHED
from edge.headquarters import sales, sites
from edge.headquarters.address import open_reader
from edge.headquarters.corrections import InForce
from edge.headquarters.report import sentences, tables
from edge.headquarters.report.drawings import Drawer
from edge.headquarters.report.front_page import LEAST_COMPARED, FrontPage
from edge.headquarters.report.period import Period
from edge.headquarters.report.reliability import State
from edge.headquarters.report.study import Chain, SiteStudy
from edge.headquarters.report.takings import peak_hours, per_open_hour
from edge.headquarters.store.reader import Reader
from edge.web.language import Language
from edge.web.render import render

MOST_SITES = 60
"""So many shops get charts in a single file; a folder has a page for each."""
_MOST_LINES = 12
"""A list on the first page has no more lines: whoever reads it has ten seconds."""
_OVERDUE = timedelta(seconds=300)
"""An hour that has not arrived so long after its end is missing."""


@dataclass(frozen=True, slots=True)
class Wish:
    """
    What to write, and from what.

    Attributes:
        html: File for the first page with the shops below it.
        folder: Folder for the first page and a page for each shop.
        csv_file: File for a row an hour, day or week.
        parquet: File for a row an hour.
        only: Names of sites; all if empty.
        last: The last day; None takes the last whole day of the site with the newest hour.
        days: Length of the period, in days.
        by: What a row of the CSV file is: hour, day or week.
        delimiter: What divides its cells.
        sites: sites.yaml.
        sales: CSV file of transactions and revenue.
        staff: CSV file of staff hours.
        align: Whether holidays are compared with last year's holidays.
        language: Code of a language.
    """

    html: Path | None = None
    folder: Path | None = None
    csv_file: Path | None = None
    parquet: Path | None = None
    only: Sequence[str] = ()
    last: date | None = None
    days: int = 28
    by: str = "hour"
    delimiter: str = ","
    sites: Path | None = None
    sales: Path | None = None
    staff: Path | None = None
    align: bool = False
    language: str = "en"


class _Shown(NamedTuple):
    """A site whose charts stand on the first page."""

    site: str
    name: str
    html: Markup


def run(store_url: str, clock: Clock, wish: Wish) -> None:
    """
    Write what *wish* says.

    Raises:
        StoreError: the store can't be read.
        ConfigError: there is nothing to report, or nowhere to write it, or a file can't be understood.
        ExtraMissing: a library of the extra is needed.
        OSError: a file can't be written.
    """
    if not any((wish.html, wish.folder, wish.csv_file, wish.parquet)):
        raise ConfigError(
            "report", ["say where the report goes: --html FILE, --folder DIR, --csv FILE or --parquet FILE"]
        )
    store = open_reader(store_url)
    try:
        report = prepare(store, clock, wish)
        if wish.html is not None or wish.folder is not None:
            report.write_pages(wish.html, wish.folder)
        if wish.csv_file is not None:
            report.write_csv(wish.csv_file, wish.by, wish.delimiter)
        if wish.parquet is not None:
            report.write_parquet(wish.parquet)
    finally:
        store.close()


def prepare(store: Reader, clock: Clock, wish: Wish) -> Report:
    """Return the report that *wish* asks for, of an open store; raises as :func:`run`."""
    plan = sites.load(wish.sites)
    sold = None if wish.sales is None else sales.read_sales(wish.sales)
    staff = None if wish.staff is None else sales.read_staff(wish.staff)
    words = language(wish.language)
    now = datetime.fromtimestamp(clock.wall_ms() / 1000, UTC)
    corrections = InForce.of(store.corrections())
    period = Period(wish.last or last_day(store, corrections, wish.only, now), wish.days, aligned=wish.align)
    due = min(now - _OVERDUE, period.until)
    whole = wish.csv_file is not None or wish.parquet is not None
    everything = Chain(plan, corrections, period, due, sales=sold, staff=staff, every_column=whole)
    return Report(store, everything, wish.only, words, now)


def language(code: str) -> Language:
    """Return a language; ConfigError if there is no catalog for it."""
    try:
        return Language(code)
    except ValueError as exc:
        raise ConfigError("--language", [f"--language: {exc}"]) from exc


def last_day(store: Reader, corrections: InForce, only: Sequence[str], now: datetime) -> date:
    """
    Return the last whole day of the site with the newest hour, of *only* or of all; ConfigError if there is none.

    On the first day no day is whole. It is returned then: a report that left it out would look as if nothing had come.
    """
    # A camera that is shown under another site has its hours under the one that they came from.
    stored = {names[0] for names in store.cameras() if corrections.is_of(only, names)} if only else set()
    sites = sorted(stored) or only
    if store.extent() is None:
        advice = "a box sends an hour when it is over, and `footfall collect` stores it"
        raise ConfigError("report", [f"store {store.name}: there are no hours in it yet; {advice}"])
    extent, newest = store.extent(sites), store.newest_of(sites, now)
    if extent is None or newest is None:
        raise ConfigError(
            "report", [f"store {store.name}: no hours of {', '.join(only) or 'any site'} before {now:%d %b}"]
        )
    zone = ZoneInfo(newest[1])
    whole = (newest[0].astimezone(zone) + timedelta(hours=1)).date() - timedelta(days=1)
    return max(whole, extent[0].astimezone(zone).date())


class Report:
    """Everything that is written of one period."""

    def __init__(self, store: Reader, everything: Chain, only: Sequence[str], words: Language, made: datetime) -> None:
        self._store = store
        self._chain = everything
        self._only = only
        self._words = words
        self._made = made
        self._period = everything.period
        self._sources = everything.sources(store, only)

    def studies(self) -> Iterator[SiteStudy]:
        """Yield each site's figures, by the site's name."""
        for site, cameras in self._sources.items():
            study = self._chain.study(self._store, site, cameras)
            if study is not None:
                yield study

    # --- pages -------------------------------------------------------------------------------------------------------

    def write_pages(self, html: Path | None, folder: Path | None) -> FrontPage:
        """
        Write the first page, in one file and into a folder with a page for each shop; return its figures.

        Without a file and a folder nothing is written.
        """
        front = FrontPage()
        shown: list[_Shown] = []
        names = list(self._sources)
        if folder is not None:
            (folder / "sites").mkdir(parents=True, exist_ok=True)
        for index, study in enumerate(self.studies()):
            front.add(study)
            show = html is not None and len(shown) < MOST_SITES
            if not show and folder is None:
                continue
            body = self._body(study)
            if folder is not None:
                page = self._site_page(study, body, names[index - 1 : index + 2] if index else ["", *names[:2]])
                (folder / "sites" / f"{quote(study.site, safe='')}.html").write_text(page, encoding="utf-8")
            if show:
                shown.append(_Shown(study.site, study.name, body))
        if not front.sites:
            none = f"store {self._store.name}: no hours that count, of the sites and days that were asked for"
            advice = "a box sends an hour when it is over, and hours of a trial never count"
            raise ConfigError("report", [f"{none}; {advice}"])
        if html is not None:
            html.write_text(self.front_page(front, shown), encoding="utf-8")
        if folder is not None:
            (folder / "index.html").write_text(self.front_page(front, (), link_in_folder), encoding="utf-8")
            (folder / "shops.html").write_text(self._shops_page(front), encoding="utf-8")
        return front

    def front_page(self, front: FrontPage, shown: Sequence[_Shown] = (), link: Callable[..., str] | None = None) -> str:
        """Return the first page; *link* gives the address of a site or camera, by default one in the same file."""
        values = self.front_values(front, link)
        hidden = 0 if link is not None else len(front.sites) - len(shown)
        all_shops = "" if link is None else "shops.html"
        return render("report_front.html", **values, shown=shown, hidden=hidden, all_shops=all_shops)

    def front_values(self, front: FrontPage, link: Callable[..., str] | None = None) -> dict[str, object]:
        """Return what the first page's templates are filled with."""
        _ = self._words
        ranking = front.by_visitors()[:MOST_SITES]
        most = max([1, *(line.figures.week.in_ for line in ranking)])
        week = _.from_to(self._period.week[0], self._period.week[-1])
        return {
            **self._common(),
            "title": _("Visitors, {days}", days=week),
            "week": week,
            "extent": self._extent(front),
            "front": front,
            "comparisons": {
                "last_week": _("against the week before"),
                "last_year": _("against the same weekdays last year"),
                "four_weeks": _("against the mean of four weeks"),
            },
            "stand_outs": front.stand_outs(),
            "regions": front.regions(),
            "untrusted": front.most_urgent(),
            "ranking": ranking,
            "most_lines": _MOST_LINES,
            "least_compared": LEAST_COMPARED,
            "names": self._chain.sites,
            "link": link or _link_in_file,
            "share_of_most": lambda people: f"{people / most:.4f}",
            "end_of": lambda moment: (moment + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M"),
        }

    def _extent(self, front: FrontPage) -> str:
        _ = self._words
        shops = _.plural("{n} shop", "{n} shops", len(front.sites))
        return f"{shops}, {_.plural('{n} camera', '{n} cameras', front.cameras)}"

    def _common(self) -> dict[str, object]:
        return {
            "_": self._words,
            "language": self._words.html,
            "sentences": sentences,
            "made": self._made,
            "aligned": self._period.aligned,
            "well_watched": WELL_WATCHED,
            "states": State,
            "weekdays": [self._words.weekday(number) for number in range(7)],
            "currency": self._chain.sites.currency or "",
            "days": self._words.from_to(self._period.first, self._period.last),
        }

    def _body(self, study: SiteStudy) -> Markup:
        drawer = Drawer(self._period, study.rulers, study.label, self._words)
        html = render(
            "report_body.html",
            **self._common(),
            study=study,
            drawer=drawer,
            peak=peak_hours(study.grid, study.rulers.days),
            per_hour=per_open_hour(study.grid, study.rulers.days),
        )
        # The template has escaped every value.
        return Markup(html)  # noqa: S704

    def _site_page(self, study: SiteStudy, body: Markup, around: Sequence[str]) -> str:
        _ = self._words
        before, after = around[0] if around else "", around[2] if len(around) > 2 else ""  # noqa: PLR2004 - three names
        name = self._chain.sites.name
        ways = [(_("First page"), "../index.html"), (_("All shops"), "../shops.html")]
        ways += [(f"← {name(before)}", _address(before))] if before else []
        ways += [(f"{name(after)} →", _address(after))] if after else []
        return render("report_site.html", **self._common(), study=study, html=body, ways=ways)

    def _shops_page(self, front: FrontPage) -> str:
        lines = sorted(front.sites, key=lambda line: line.name.casefold())
        return render("report_shops.html", **self._common(), sites=lines, link=link_in_folder, trials=front.trials)

    # --- tables ------------------------------------------------------------------------------------------------------

    def write_csv(self, path: Path, by: str, delimiter: str) -> None:
        """Write a row for each hour, day or week."""
        flags = self._chain.flags
        if by == "hour":
            rows = (tables.hour_rows(study, self._period, flags) for study in self.studies())
        else:
            rows = (tables.sum_rows(study, self._period, flags, weekly=by == "week") for study in self.studies())
        tables.write_csv(path, tables.HOURS if by == "hour" else tables.SUMS, chain.from_iterable(rows), delimiter)

    def write_parquet(self, path: Path) -> None:
        """Write a row for each hour."""
        rows = (tables.hour_rows(study, self._period, self._chain.flags) for study in self.studies())
        tables.write_parquet(path, chain.from_iterable(rows))


def _link_in_file(site: str, camera: str = "") -> str:
    return f"#{site}.{camera}" if camera else f"#{site}"


def link_in_folder(site: str, camera: str = "") -> str:
    """Return where a site or camera is shown, from the first page of a folder."""
    return f"sites/{_address(site)}" + (f"#{site}.{camera}" if camera else "")


def _address(site: str) -> str:
    """Return the address of a site's page beside the others; its file's name is quoted once, the address twice."""
    return f"{quote(quote(site, safe=''), safe='')}.html"
