"""
From what a validation finds wrong to a sentence for the technician: what is wrong, and what to write instead.

The names that are known where a mistyped one stands come from the sections' classes themselves.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_MOST_SHOWN = 60
"""Characters of a wrong value that a complaint repeats."""

_NOUNS = {"int": "a whole number", "float": "a number", "string": "text", "bool": "true or false", "path": "a path"}

_TUPLES = {
    "from": "two numbers, as in [0.5, 0.9]",
    "size": "two whole numbers, as in [640, 480]",
    "via": "a list of points, as in [[0.3, 0.5], [0.7, 0.5]]",
}


def faults(exc: ValidationError) -> Iterator[ErrorDetails]:
    """Yield each fault; that of a list which is too short once, as its own and not its missing entries'."""
    short: set[tuple[int | str, ...]] = set()
    for error in exc.errors(include_url=False):
        if error["type"] == "missing" and isinstance(error["input"], (list, tuple)):
            error["loc"] = error["loc"][:-1]
            if error["loc"] in short:
                continue
            short.add(error["loc"])
        yield error


def say(error: ErrorDetails, root: type[BaseModel]) -> str:
    """Return a sentence that says what is wrong in a *root* section and what to write instead."""
    kind, context, given = error["type"], error.get("ctx", {}), _show(error["input"])
    if kind == "extra_forbidden":
        return _say_unknown(error["loc"], root)
    if kind == "tuple_type" or (
        kind in ("missing", "too_long", "too_short") and isinstance(error["input"], (list, tuple))
    ):
        return f"must be {_TUPLES.get(str(error['loc'][-1]), _TUPLES['from'])}, but is {given}"
    said = {
        "missing": "is needed here, but isn't there",
        "string_pattern_mismatch": "is no name; use lower-case letters, digits and dashes, at most 32, as in door-a",
        "string_too_short": "must not be empty",
        "greater_than_equal": f"must be at least {context.get('ge')}, but is {given}",
        "less_than_equal": f"must be at most {context.get('le')}, but is {given}",
        "literal_error": f"must be {context.get('expected')}, but is {given}",
        "too_short": "needs at least one entry",
        "too_long": f"has too many entries; at most {context.get('max_length')}",
    }
    if kind in said:
        return said[kind]
    if kind.startswith(("dict_", "model_")):
        return f"must be a section with keys of its own, but is {given}"
    noun = _NOUNS.get(kind.partition("_")[0])
    if kind == "string_type" and not isinstance(error["input"], (list, dict, type(None))):
        given += "; write it in quotes"
    return f"must be {noun}, but is {given}" if noun else error["msg"]


def _say_unknown(location: tuple[int | str, ...], root: type[BaseModel]) -> str:
    """Return what to write instead of the unknown setting at *location*."""
    last, known = str(location[-1]), list(_keys_beside(location, root))
    return f'"{last}" is not a setting' + (did_you_mean(last, known) or "; known here: " + ", ".join(known))


def _show(value: object) -> str:
    if value is None:
        return "empty"
    shown = json.dumps(value, default=str, ensure_ascii=False)
    return shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}…"


def _keys_beside(location: tuple[int | str, ...], root: type[BaseModel]) -> Iterator[str]:
    """Yield the settings that are known where *location*, that of an unknown one, stands."""
    section: Any = root
    for part in location[:-1]:
        section = _section_below(section, str(part))
    if isinstance(section, type) and issubclass(section, BaseModel):
        for name, info in section.model_fields.items():
            yield info.alias or name


def _section_below(section: Any, key: str) -> Any:
    if not (isinstance(section, type) and issubclass(section, BaseModel)):
        return section
    for name, info in section.model_fields.items():
        if key in (name, info.alias):
            return _section_in(info.annotation)
    return section


def _section_in(annotation: Any) -> Any:
    """Return the section class inside an annotation: itself, in a dict's values, or optional."""
    for inner in (annotation, *get_args(annotation)):
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return inner
    return annotation


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question that names the one of *known* which *word* was meant for, or nothing."""
    folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(re.sub(r"\s+", "_", word.strip()).casefold(), folded, n=1, cutoff=0.6)
    return f'; did you mean "{folded[close[0]]}"?' if close else ""
