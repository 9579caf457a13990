"""The weekly mail: the first page's figures in HTML and in plain text, in every language, through a real server."""

from __future__ import annotations

import dataclasses
import re
from email.message import EmailMessage
from pathlib import Path

import pytest

from edge.core.clock import ManualClock
from edge.core.errors import ConfigError
from edge.headquarters.alerts import settings, weekly
from edge.headquarters.report import write
from edge.web.language import Language, codes
from tests.headquarters import chain, servers

pytestmark = pytest.mark.slow

CLOCK = ManualClock(wall=int(chain.NOW.timestamp() * 1000))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weekly")
    chain.fill(folder / "hours.sqlite")
    (folder / "sites.yaml").write_text(chain.SITES, encoding="utf-8")
    (folder / "sales.csv").write_text(chain.sales(), encoding="utf-8")
    return folder


def wanted(
    language: str = "en", port: int = 25, url: str = "report_url: 'https://reports.example.com/f/'"
) -> settings.Settings:
    return settings.parse(
        f"language: {language}\nmail: {{host: localhost, port: {port}, security: none, sender: hq@example.com}}\n"
        f"weekly: {{to: [anna@example.com, bert@example.com], {url}}}\n"
    )


def wish(folder: Path, language: str = "en") -> write.Wish:
    return write.Wish(sites=folder / "sites.yaml", sales=folder / "sales.csv", language=language)


def parts(mail: EmailMessage) -> tuple[str, str]:
    """Return its plain text and its HTML."""
    found = [mail.get_body((kind,)) for kind in ("plain", "html")]
    assert all(found)
    text, html = (part.get_content() for part in found if part is not None)
    return text, html


@pytest.mark.parametrize("code", codes())
def test_both_parts_say_what_the_first_page_says(folder: Path, code: str) -> None:
    """Through a real mail server: the same sums and changes as in the report, in the reader's language."""
    box = servers.Mailbox()
    write.run(str(folder / "hours.sqlite"), CLOCK, dataclasses.replace(wish(folder, code), html=folder / "r.html"))
    page = (folder / "r.html").read_text(encoding="utf-8").partition("<section id=")[0]
    with servers.mail_server(box) as port:
        weekly.run(str(folder / "hours.sqlite"), CLOCK, wanted(code, port), wish(folder, code))
    ((to, mail),) = box.mails
    text, html = parts(mail)
    week = re.findall(r"<b>([\d.,]+)</b>", page)[0]
    changes = re.findall(r'<b class="(?:up|down|soft)">([^<]+)</b>', page)[:3]

    assert (["anna@example.com", "bert@example.com"], "multipart/alternative") == (to, mail.get_content_type())
    assert Language(code).from_to(chain.LAST.replace(day=23), chain.LAST) in mail["Subject"]
    assert 3 == len(changes)
    for figure in (week, *changes):
        assert figure in text, figure
        assert figure in html, figure


def test_each_name_leads_to_its_page(folder: Path) -> None:
    """Where the report is served; without that address nothing is a link."""
    url = str(folder / "hours.sqlite")
    _, html = parts(weekly.compose(url, CLOCK, wanted(), wish(folder)))
    _, bare = parts(weekly.compose(url, CLOCK, wanted(url=""), wish(folder)))
    links = set(re.findall(r'href="([^"]+)"', html))

    assert "https://reports.example.com/f/sites/berlin-mitte.html" in links
    assert all(link.startswith("https://reports.example.com/f/sites/") for link in links)
    assert "<a " not in bare


def test_no_name_becomes_html_and_none_is_escaped_in_text(folder: Path, tmp_path: Path) -> None:
    """A shop's name is what a person typed."""
    (tmp_path / "sites.yaml").write_text("sites: {koeln: {name: 'Köln <b>&amp; Söhne'}}\n", encoding="utf-8")
    made = write.Wish(sites=tmp_path / "sites.yaml")
    text, html = parts(weekly.compose(str(folder / "hours.sqlite"), CLOCK, wanted(), made))

    assert "Köln <b>&amp; Söhne" in text
    assert "Köln &lt;b&gt;&amp;amp; Söhne" in html
    assert "Köln <b>" not in html


def test_without_anybody_to_send_it_to_it_says_so(folder: Path) -> None:
    """An empty file is a valid one, and no weekly mail."""
    with pytest.raises(ConfigError, match="nobody gets a weekly mail"):
        weekly.compose(str(folder / "hours.sqlite"), CLOCK, settings.parse("{}"), wish(folder))
