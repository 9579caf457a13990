"""headquarters.yaml: what is taken, and how every fault of it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.core.errors import ConfigError
from edge.headquarters.alerts import settings

MAIL = "mail: {host: smtp.example.com, sender: a@example.com"


def test_a_port_follows_from_how_the_way_is_encrypted() -> None:
    """Unless it is given."""
    ports = {
        more: settings.parse(f"{MAIL}{more}}}").mail
        for more in ("", ", security: tls", ", security: none", ", port: 2525")
    }

    assert [587, 465, 25, 2525] == [mail.port for mail in ports.values() if mail]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("langauge: en", 'headquarters.yaml:1: langauge: "langauge" is not a setting; did you mean "language"?'),
        ("language: fr", 'there is no language "fr"; the languages are en, de, zh_CN'),
        ("webhook: {url: hooks.example.com}", "is no address of the web; write it as https://hooks.example.com/"),
        ("webhook: {url: 'https://a:b@example.com/'}", "must have no user, no `#` and no blank in it"),
        ("webhook: {url: 'http://example.com/', token_file: t}", "a token needs https"),
        ("webhook: {url: 'http://example.com/', ca_file: t}", "`ca_file` needs https"),
        ("webhook: {url: 'https://example.com:99999/'}", "is no address of the web"),
        (f"{MAIL}, username: a}}", "`username` and `password_file` come together"),
        (f"{MAIL}, username: a, password_file: p, security: none}}", "a password needs `starttls` or `tls`"),
        (f"{MAIL}, security: ssl}}", "'starttls', 'tls' or 'none'"),
        (f"{MAIL}, port: 0}}", "port"),
        ("mail: {host: 'smtp://x', sender: a@b.de}", "must be a name or an address alone"),
        ('mail: {host: x, sender: "a@b.de\\nBcc: c@d.de"}', "sender"),
        (f"{MAIL}}}\nalerts_to: ['Anna <a@b.de>']", "alerts_to"),
        (f"{MAIL}}}\nalerts_to: []", "alerts_to"),
        ("alerts_to: [a@b.de]", "`alerts_to` needs a mail server; add the section `mail`"),
        ("weekly: {to: [a@b.de]}", "`weekly` needs a mail server"),
        (f"{MAIL}}}\nweekly: {{to: [a@b.de], report_url: 'https://x.de/a'}}", "must be the address of a folder"),
        ("rules: {overdue_min: 5}", "overdue_min"),
        ("rules: {unusual_factor: 1}", "unusual_factor"),
        ("rules: {ignore: [everything]}", "ignore"),
        ("rules: {}\nrules: {}\n", "stands here twice, first on line 1"),
        ("webhook: [", "this isn't YAML"),
    ],
)  # fmt: skip
def test_every_fault_is_told_with_its_place(text: str, words: str) -> None:
    """As strictly as footfall.yaml, in the same words."""
    with pytest.raises(ConfigError) as refusal:
        settings.parse(text)

    assert words in str(refusal.value)


def test_a_fault_of_the_address_does_not_repeat_it() -> None:
    """Its path may be the secret that lets anybody write there."""
    with pytest.raises(ConfigError) as refusal:
        settings.parse("webhook: {url: 'ftp://hooks.example.com/s3cret'}")

    assert "s3cret" not in str(refusal.value)


def test_the_shown_file_is_accepted() -> None:
    """The headquarters.yaml that docs/headquarters.md shows, with every setting that there is."""
    page = (Path(__file__).parents[2] / "docs" / "headquarters.md").read_text(encoding="utf-8")
    shown = page.split("### Alerts")[1].split("```yaml\n")[1].split("```", maxsplit=1)[0]
    found = settings.parse(shown)

    assert found.webhook is not None
    for section in (found, found.rules, found.webhook, found.mail, found.weekly):
        assert section is not None
        for name in type(section).model_fields:
            assert f"{name}:" in shown, name
