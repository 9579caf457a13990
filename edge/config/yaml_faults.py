"""
From what the YAML parser says to a message for the technician: where, in plain words, with the line and a caret.

The parser names tokens and states of its own; a person knows tabs, quotes, brackets, colons and indentation.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from edge.core.config_message import ConfigMessage

_WIDEST = 100
"""Characters of a line that an excerpt shows."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong, what to do about it, and where: line and column from 0; no column where a whole line is meant."""

    cause: str
    advice: str
    line: int
    column: int | None = None


def explain(exc: yaml.MarkedYAMLError | yaml.reader.ReaderError, text: str, path: Path) -> ConfigMessage:
    """Return the message for a *text*, of the file at *path*, in which the parser has met *exc*."""
    lines = text.splitlines() or [""]
    fault = _find_character(exc, text) if isinstance(exc, yaml.reader.ReaderError) else _find(exc, lines)
    number = min(fault.line, len(lines) - 1)
    return ConfigMessage(
        f"this isn't YAML: {fault.cause}",
        fault.advice,
        place=f"{path}:{number + 1}",
        excerpt=_excerpt(lines[number], number + 1, fault.column),
    )


def explain_encoding(data: bytes, exc: UnicodeDecodeError, path: Path) -> ConfigMessage:
    """Return the message for *data*, of the file at *path*, that isn't UTF-8 text."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ConfigMessage("it is UTF-16 text", "save it as UTF-8 in your editor", place=str(path))
    number = data.count(b"\n", 0, exc.start) + 1
    return ConfigMessage("it isn't UTF-8 text", "save it as UTF-8 in your editor", place=f"{path}:{number}")


def _excerpt(line: str, number: int, column: int | None) -> tuple[str, ...]:
    """Return the line, and a caret below *column*; nothing of a line that might hold a password."""
    if "password" in line.casefold():
        return ()
    margin = " " * len(str(number))
    shown = line.replace("\t", "→")[:_WIDEST]
    caret = () if column is None or column > _WIDEST else (f"  {margin} | {' ' * column}^",)
    return (f"  {number} | {shown}", *caret)


def _find_character(exc: yaml.reader.ReaderError, text: str) -> _Fault:
    number = text.count("\n", 0, exc.position)
    character = exc.character if isinstance(exc.character, int) else ord(str(exc.character)[0])
    return _Fault(f"it holds the character {character:#x}, which nobody can see", "delete it", number)


_SIMPLE = (
    (r"found character '\\t'", "a tab stands where only spaces may", "indent with spaces"),
    (r"found character '(.)' that cannot start", "a value can't begin with {}", "put the value in quotes"),
    (r"quoted scalar/.*end of stream", "the quote that opens here is never closed", "close it on the same line"),
    (r"unknown escape character '(.*)'", "\\{} means nothing in double quotes", "use single quotes"),
    (r"<block end>.*'<scalar>'", "something stands behind a closed quote", "put all of the value in one pair"),
    (r"undefined alias '(.*)'", "*{} refers to nothing", "put a value that begins with * in quotes"),
    (r"constructor for the tag '(.*)'", "{} isn't understood here", "write the value itself"),
    (r"expected the node content.*'([\]})])'", "nothing was opened that {} could close", "look at the brackets"),
    (r"another document", "--- begins a second document", "keep one, in one file"),
)
"""What the parser says, "context/problem", as a pattern; what is wrong; what to do. {} is what the pattern caught."""


def _find(exc: yaml.MarkedYAMLError, lines: list[str]) -> _Fault:
    """Return what a person would call the fault."""
    context, problem = exc.context or "", exc.problem or ""
    mark = exc.problem_mark or exc.context_mark
    opened = exc.context_mark or mark
    if mark is None or opened is None:
        return _Fault(", ".join(filter(None, (context, problem))), "", 0)
    for pattern, cause, advice in _SIMPLE:
        if match := re.search(pattern, f"{context}/{problem}"):
            at = opened if "end of stream" in problem else mark
            return _Fault(cause.format(*match.groups()), advice, at.line, at.column)
    if "parsing a flow" in context:
        return _find_in_brackets(problem, lines, (mark.line, mark.column), (opened.line, opened.column))
    if problem == "mapping values are not allowed here":
        return _find_colon(lines, mark.line, mark.column)
    if "<block end>" in problem:
        return _indentation(lines, mark.line)
    return _Fault(", ".join(filter(None, (context, problem))), "", mark.line, mark.column)


def _find_in_brackets(problem: str, lines: list[str], at: tuple[int, int], opened: tuple[int, int]) -> _Fault:
    """Return what is wrong inside { } or [ ]."""
    line = lines[min(at[0], len(lines) - 1)]
    if line.count('"') % 2:
        return _Fault("a quote is missing in this line", "quotes come in pairs", at[0], line.rindex('"'))
    bracket = "}" if "'}'" in problem.partition("but got")[0] else "]"
    if "stream end" in problem or "document" in problem:
        return _Fault(f"the bracket that opens here is never closed with {bracket}", f"add {bracket}", *opened)
    return _Fault(f"a comma or a {bracket} is missing before this place", "look at the brackets and commas", *at)


def _find_colon(lines: list[str], line: int, column: int) -> _Fault:
    """Return why a colon can't stand where it does: because of the line above, or because it is the second one."""
    above = _line_above(lines, line)
    if re.search(r":\s", lines[line][:column]):
        return _Fault("a second colon stands in this line", "put the value in quotes", line, column)
    if above is not None and _indent(lines[line]) <= _indent(lines[above]) and not re.search(r":(\s|$)", lines[above]):
        if ":" in lines[above]:
            return _Fault(
                "a space is missing after the colon", "write `key: value`", above, lines[above].index(":") + 1
            )
        return _Fault("a colon is missing between the key and its value", "write `key: value`", above)
    return _indentation(lines, line)


def _indentation(lines: list[str], line: int) -> _Fault:
    """Return how the line's indentation differs from that of the line above it."""
    above = _line_above(lines, line)
    indents = _indent(lines[line]), None if above is None else _indent(lines[above])
    if indents[0] == indents[1]:
        return _Fault("this line doesn't fit the one above it", "write either `- entry` or `key: value` in both", line)
    said = f"this line is indented by {indents[0]} space{'' if indents[0] == 1 else 's'}"
    if above is not None:
        said += f", line {above + 1} above it by {indents[1]}"
    return _Fault(said, "begin all lines of one section in the same column", line, _indent(lines[line]))


def _line_above(lines: list[str], line: int) -> int | None:
    """Return the nearest line above that holds more than a comment."""
    return next((n for n in range(line - 1, -1, -1) if lines[n].split("#", maxsplit=1)[0].strip()), None)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
