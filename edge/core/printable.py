"""Text of others, made safe for a terminal: what a process, a file or the network said, before anybody reads it."""

from __future__ import annotations

import unicodedata

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""
Unicode categories that are escaped: controls (ESC begins a terminal's commands), invisible and direction-changing
characters, halves of characters, characters without a meaning, and separators of lines and paragraphs.
"""


def printable(text: str | bytes, most: int = 4096) -> str:
    r"""
    Return *text* on one line, with each character that a terminal could obey or a reader could not see as an escape.

    Args:
        text: Anything; bytes are read as UTF-8, and what isn't UTF-8 becomes U+FFFD.
        most: Characters that are kept; the rest is replaced by an ellipsis.
    """
    if isinstance(text, bytes):
        text = text[: 4 * most + 4].decode(errors="replace")
    cut = "…" if len(text) > most else ""
    return "".join(_escaped(character) for character in text[:most]) + cut


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in _UNSAFE:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 - widths
