"""What others say is made safe for a terminal."""

from __future__ import annotations

import pytest

from edge.core.printable import printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words, 上海, Größe", "plain words, 上海, Größe"),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("two\nlines\r\t", "two\\x0alines\\x0d\\x09"),
        ("\x9b31m", "\\x9b31m"),
        ("exe\u202egnp", "exe\\u202egnp"),
        ("nothing\u200b\u2066here\u2028", "nothing\\u200b\\u2066here\\u2028"),
        ("half \ud800", "half \\ud800"),
        (b"\xff\xfe bytes \x1b", "\ufffd\ufffd bytes \\x1b"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_a_terminal_could_obey(text: str | bytes, expected: str) -> None:
    """Controls, and what can't be seen or turns text around, become escapes; letters of any script stay."""
    assert expected == printable(text)


def test_length() -> None:
    """No more is kept than was asked for."""
    assert "xxxxx…" == printable("x" * 9000, 5)
    assert len(printable(b"\xe4" * 1_000_000)) == 4097
