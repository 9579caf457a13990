"""The weekly mail: the first page of the report, as HTML and as plain text, for people who open no report."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from email.message import EmailMessage

from edge.core.clock import Clock
from edge.core.errors import ConfigError
from edge.headquarters.address import open_reader
from edge.headquarters.alerts import mail
from edge.headquarters.alerts.settings import Settings
from edge.headquarters.report import write
from edge.web.render import render

log = logging.getLogger(__name__)


def compose(store_url: str, clock: Clock, settings: Settings, wish: write.Wish) -> EmailMessage:
    """
    Return the mail; *wish* says from what, as for a report, and its language.

    Raises:
        StoreError: the store can't be read.
        ConfigError: nobody would get it, there is nothing to report, or a file can't be understood.
    """
    if settings.mail is None or settings.weekly is None:
        raise ConfigError("headquarters.yaml", ["nobody gets a weekly mail: add `mail`, and `weekly` with `to`"])
    base = settings.weekly.report_url or ""
    store = open_reader(store_url)
    try:
        report = write.prepare(store, clock, wish)
        front = report.write_pages(None, None)
        values = report.front_values(front, lambda *place: base + write.link_in_folder(*place))
    finally:
        store.close()
    now = datetime.fromtimestamp(clock.wall_ms() // 1000, UTC)
    made = mail.message(settings.mail, settings.weekly.to, str(values["title"]), now)
    made.set_content(render("report_mail.txt", **values, linked=base), charset="utf-8")
    made.add_alternative(render("report_mail.html", **values, linked=base), subtype="html", charset="utf-8")
    return made


def run(store_url: str, clock: Clock, settings: Settings, wish: write.Wish) -> None:
    """
    Send the mail.

    Raises:
        StoreError, ConfigError: as :func:`compose`.
        TellingFailed, PasswordFileError: as :func:`edge.headquarters.alerts.mail.send`.
    """
    made = compose(store_url, clock, settings, wish)
    if settings.mail is not None:
        refused = mail.send(settings.mail, made)
        if refused:
            log.warning("mail server %s: it takes no mail for %s; look at `weekly`", settings.mail.host, refused)
        log.info("%s: sent to %s", made["Subject"], made["To"])
