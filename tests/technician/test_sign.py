"""`footfall sign`: each language whole, one printed page each, and nothing but text from whoever fills it in."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from edge.technician.sign import process
from edge.technician.sign.process import Shop
from tests.technician.chromium import Browser
from tests.technician.rig import here

SHOP = Shop("Muster Laden GmbH, Hauptstraße 1, 10115 Berlin", "datenschutz@example.com")
LANGUAGES = ("de", "en", "es", "fr", "it", "nl", "pl", "ro", "zh-Hans", "zh-Hant")
ARTICLES = ("15", "17", "18", "21", "11")
"""The GDPR's articles on rights that each European text names."""


def test_every_language_has_every_text() -> None:
    """The languages of the EU's large countries, English and both Chinese scripts; no key is missing or left over."""
    keys = [set(text) for text in process.texts().values()]

    assert LANGUAGES == tuple(process.texts())
    assert all(keys[0] == others for others in keys)
    assert ["zh-Hans", "zh-Hant"] == [
        tag for tag, text in process.texts().items() if any(value is None for value in text.values())
    ]


@pytest.mark.parametrize("tag", [tag for tag in LANGUAGES if not tag.startswith("zh")])
def test_european_texts_name_the_same_articles(tag: str) -> None:
    """Basis and rights are the same in each language, whatever the law is called there."""
    text = process.texts()[tag]

    assert re.search(r"\b6\b.*\bf\b", text["basis_text"] or "")
    assert all(re.search(rf"\b{article}\b", text["rights_text"] or "") for article in ARTICLES)


@pytest.mark.browser
@pytest.mark.parametrize("size", ["a4", "a5"])
def test_each_language_is_one_printed_page(browser: Browser, tmp_path: Path, size: process.Size) -> None:
    """In a real browser: as many pages as languages, of the paper's size, and no text is cut off."""
    path = tmp_path / "sign.html"
    path.write_text(process.page(SHOP, LANGUAGES, size), encoding="utf-8")
    page = browser.page()
    page.open(path.as_uri())
    printed = base64.b64decode(page.do("Page.printToPDF", preferCSSPageSize=True)["data"])
    pages = re.findall(rb"/Type /Page\b[^s].*?/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed, re.DOTALL)
    points = {"a4": (595.28, 841.89), "a5": (419.53, 595.28)}[size]
    cut = page.run(
        "[...document.querySelectorAll('.sign')].filter(s => s.scrollHeight > s.clientHeight + 1"
        " || s.scrollWidth > s.clientWidth + 1).map(s => s.lang)"
    )

    assert len(LANGUAGES) == len(pages)
    for width, height in pages:
        assert points == pytest.approx((float(width), float(height)), abs=1.5)
    assert [] == cut
    assert [] == page.said
    assert [path.as_uri()] == page.asked


def test_what_is_filled_in_is_only_text() -> None:
    """A controller's name is text, whatever it looks like; a basis of one's own takes the place of the usual one."""
    made = process.page(Shop("<script>alert(1)</script> & Söhne", "a@b", "Art. 99"), ["de"], "a4")

    assert "<script>" not in made
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Söhne" in made
    assert "Art. 99" in made
    assert "DSGVO (berechtigtes" not in made


def test_the_command(tmp_path: Path) -> None:
    """Languages in any case; an unknown one names those that there are; what Chinese leaves open is said."""
    who = ("--controller", "Shop Ltd", "--contact", "privacy@example.com")
    made = here("sign", tmp_path / "sign.html", *who, "--language", "ZH-hans", "--language", "en")
    every = here("sign", tmp_path / "all.html", *who)
    unknown = here("sign", tmp_path / "x.html", *who, "--language", "xx")
    nobody = here("sign", tmp_path / "x.html", "--contact", "privacy@example.com")

    assert (0, 0, 2, 2) == (made.returncode, every.returncode, unknown.returncode, nobody.returncode)
    assert ["zh-Hans", "en"] == re.findall(r'<section class="sign" lang="(\S+)"', (tmp_path / "sign.html").read_text())
    assert len(LANGUAGES) == (tmp_path / "all.html").read_text().count('<section class="sign"')
    assert "not legal advice" in made.stdout
    assert "the legal basis is a line to fill in" in made.stdout
    assert "there is no text in xx; known are de, en" in unknown.stderr
    assert "--controller is needed" in nobody.stderr
