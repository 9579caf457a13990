"""Mail: one message to some mailboxes, through the mail server of headquarters.yaml. No secret reaches a log."""

from __future__ import annotations

import logging
import smtplib
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid

from edge.config.credentials import read_secret
from edge.core.printable import printable
from edge.headquarters.alerts.change import Change
from edge.headquarters.alerts.retry import certified, reason, with_retries
from edge.headquarters.alerts.settings import Mail
from edge.headquarters.errors import TellingFailed
from edge.web.language import Language

log = logging.getLogger(__name__)

_TIMEOUT_S = 20.0
"""The server must answer each command within this, s."""
_PERMANENT = 500
"""From this reply on, trying again at once can't help."""
_MOST_LISTED = 100
"""A mail lists no more changes; it says how many more there are."""
_LONGEST_SUBJECT = 120
"""Characters of a subject."""


def message(settings: Mail, to: Sequence[str], subject: str, now: datetime) -> EmailMessage:
    """Return a mail without a body, which tells other programs that no person has written it."""
    made = EmailMessage(policy=SMTP)
    made["From"] = f"Footfall <{settings.sender}>"
    made["To"] = ", ".join(to)
    made["Subject"] = printable(subject, _LONGEST_SUBJECT)
    made["Date"] = format_datetime(now.astimezone(UTC))
    made["Message-ID"] = make_msgid(domain=settings.sender.rpartition("@")[2])
    made["Auto-Submitted"] = "auto-generated"
    return made


def send(settings: Mail, mail: EmailMessage) -> list[str]:
    """
    Send *mail* to everybody it is addressed to; return the mailboxes that the server refused, if it took others.

    Raises:
        TellingFailed: the server did not take it, after three tries.
        PasswordFileError, ConfigError: the password's or the authority's file can't be used.
    """
    password = None if settings.password_file is None else read_secret(settings.password_file, "smtp.password")
    trusted = None if settings.security == "none" else certified(settings.ca_file, "mail.ca_file")
    refused: list[str] = []
    with_retries(lambda: refused.extend(_try(settings, mail, password, trusted)))
    return refused


def _try(settings: Mail, mail: EmailMessage, password: str | None, trusted: ssl.SSLContext | None) -> list[str]:
    server = f"mail server {settings.host}"
    try:
        with _connected(settings, trusted) as connection:
            if settings.username is not None and password is not None:
                connection.login(settings.username, password)
            return list(connection.send_message(mail))
    except smtplib.SMTPAuthenticationError as exc:
        raise TellingFailed(
            server, f"it refuses this user and password ({exc.smtp_code})", may_pass=exc.smtp_code < _PERMANENT
        ) from None
    except smtplib.SMTPRecipientsRefused as exc:
        codes = [code for code, _ in exc.recipients.values()]
        raise TellingFailed(
            server, f"it takes mail for none of {len(codes)} mailboxes ({max(codes)})", may_pass=min(codes) < _PERMANENT
        ) from None
    except smtplib.SMTPResponseException as exc:
        said = printable(exc.smtp_error, 200)
        raise TellingFailed(server, f"{exc.smtp_code} {said}", may_pass=exc.smtp_code < _PERMANENT) from None
    except smtplib.SMTPNotSupportedError as exc:
        raise TellingFailed(server, f"it can't do what `mail` asks for: {exc}", may_pass=False) from None
    except smtplib.SMTPServerDisconnected:
        raise TellingFailed(server, "it closed the connection") from None
    except (OSError, smtplib.SMTPException) as exc:
        raise TellingFailed(server, f"it does not answer: {reason(exc)}") from exc
    except UnicodeEncodeError:
        raise TellingFailed(server, "user and password must be ASCII", may_pass=False) from None


def _connected(settings: Mail, trusted: ssl.SSLContext | None) -> smtplib.SMTP:
    """Return a connection, encrypted if it has to be; on an error nothing stays open."""
    if settings.security == "tls" and trusted is not None:
        return smtplib.SMTP_SSL(settings.host, settings.port, timeout=_TIMEOUT_S, context=trusted)
    connection = smtplib.SMTP(settings.host, settings.port, timeout=_TIMEOUT_S)
    if trusted is not None:
        try:
            connection.starttls(context=trusted)
        except BaseException:
            connection.close()
            raise
    return connection


class MailChannel:
    """Mailboxes that get changes."""

    name = "mail"
    most = 1_000_000
    """All changes of a run are one mail."""

    def __init__(self, settings: Mail, to: Sequence[str], words: Language) -> None:
        self._settings = settings
        self._to = to
        self._words = words

    def tell(self, changes: Sequence[Change], now: datetime) -> None:
        """Send *changes* as one mail; raises as :func:`send`."""
        self._send(self._subject(changes), "\n".join(self._lines(changes)), now)

    def test(self, now: datetime) -> None:
        """Send a mail that says nothing, so that a person sees that the way works; raises as :func:`send`."""
        _ = self._words
        self._send(_("a test"), _("This is a test: alerts come to this mailbox."), now)

    def _send(self, subject: str, text: str, now: datetime) -> None:
        mail = message(self._settings, self._to, f"Footfall: {subject}", now)
        mail.set_content(f"{text}\n", charset="utf-8")
        refused = send(self._settings, mail)
        if refused:
            # The others have it, and must not get it again.
            log.warning("mail server %s: it takes no mail for %s; look at `alerts_to`", self._settings.host, refused)

    def _subject(self, changes: Sequence[Change]) -> str:
        _ = self._words
        began = sum(not change.is_over for change in changes)
        over = len(changes) - began
        if len(changes) == 1:
            return f"{changes[0].place}: {changes[0].text(_)}"
        parts = [_.plural("{n} new alert", "{n} new alerts", began)] if began else []
        parts += [_.plural("{n} alert is over", "{n} alerts are over", over)] if over else []
        return ", ".join(parts)

    def _lines(self, changes: Sequence[Change]) -> Sequence[str]:
        _ = self._words
        lines = []
        for change in changes[:_MOST_LISTED]:
            advice = change.advice(_)
            lines.append(f"{'-' if change.is_over else '!'} {change.place}: {change.text(_)}")
            lines += [f"  {advice}"] if advice else []
        if len(changes) > _MOST_LISTED:
            lines.append(_.plural("{n} more change", "{n} more changes", len(changes) - _MOST_LISTED))
        return lines
