"""
From what a validation finds wrong to a message for the technician: what is wrong, and what to write instead.

The names that are known where a mistyped one stands come from the sections' classes themselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_MOST_SHOWN = 60
"""Characters of a wrong value that a message repeats."""

_NOUNS = {"int": "a whole number", "float": "a number", "string": "text", "bool": "true or false", "path": "a path"}

_TUPLES = {
    "from": "two numbers, as in [0.5, 0.9]",
    "size": "two whole numbers, as in [640, 480]",
    "via": "a list of points, as in [[0.3, 0.5], [0.7, 0.5]]",
}
_POINTS = ("from", "to", "inside")


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


def explain(error: ErrorDetails, root: type[BaseModel], written: str | None = None) -> tuple[str, str]:
    """
    Return what is wrong in a *root* section, and what to write instead.

    Args:
        error: One fault.
        root: The section that was read.
        written: The value's text in the file, where it is known and may differ from what YAML made of it.
    """
    if error["type"] == "refused":
        context = error["ctx"]
        return context["cause"], context["advice"]
    if error["type"] == "extra_forbidden":
        return _explain_unknown(error["loc"], root)
    return _explain_list(error) or _explain_text(error, written) or _explain_value(error)


def _explain_text(error: ErrorDetails, written: str | None) -> tuple[str, str] | None:
    """Return what is wrong with a name, or with a value that isn't text; None of any other fault."""
    if error["type"] == "string_pattern_mismatch":
        return "is no name", _advise_name(str(error["input"]))
    if error["type"] == "string_type" and isinstance(error["input"], (bool, int, float, date)):
        text = str(error["input"]) if written is None else written
        return f"must be text, but is {text}", f"write it in quotes: {json.dumps(text, ensure_ascii=False)}"
    return None


def _explain_list(error: ErrorDetails) -> tuple[str, str] | None:
    """Return what is wrong with a list of numbers, or with a number in one; None of any other fault."""
    kind, value = error["type"], error["input"]
    if kind == "tuple_type" or (kind in ("missing", "too_long", "too_short") and isinstance(value, (list, tuple))):
        return _explain_tuple(error["loc"], value)
    if kind in ("greater_than_equal", "less_than_equal"):
        return _explain_share(error["loc"], _show(value))
    return None


def _explain_value(error: ErrorDetails) -> tuple[str, str]:
    kind, context, given = error["type"], error.get("ctx", {}), _show(error["input"])
    said = {
        "missing": "is needed here, but isn't there",
        "string_too_short": "must not be empty",
        "greater_than_equal": f"must be at least {context.get('ge', 0):g}, but is {given}",
        "less_than_equal": f"must be at most {context.get('le', 0):g}, but is {given}",
        "literal_error": f"must be {context.get('expected')}, but is {given}",
        "too_short": "needs at least one entry",
        "too_long": f"has too many entries; at most {context.get('max_length')}",
    }
    if kind in said:
        return said[kind], ""
    if kind.startswith(("dict_", "model_")):
        return f"must be a section with keys of its own, but is {given}", ""
    noun = _NOUNS.get(kind.split("_", maxsplit=1)[0])
    if noun is None:
        return error["msg"], ""
    return f"must be {noun}, but is {given}", _advise_number(kind, error["input"])


def _explain_unknown(location: tuple[int | str, ...], root: type[BaseModel]) -> tuple[str, str]:
    """Return what to write instead of the unknown setting at *location*."""
    last, known = str(location[-1]), list(_keys_beside(location, root))
    return f'"{last}" is not a setting', did_you_mean(last, known) or "known here: " + ", ".join(known)


def _explain_tuple(location: tuple[int | str, ...], value: object) -> tuple[str, str]:
    key, given = str(location[-1]), _show(value)
    cause = f"must be {_TUPLES.get(key, _TUPLES['from'])}, but is {given}"
    if key == "size" and isinstance(value, str) and (match := re.fullmatch(r"(\d+)\s*[xX,*]\s*(\d+)", value)):
        return cause, f"write [{match[1]}, {match[2]}]"
    if key in _POINTS and isinstance(value, (list, tuple)) and len(value) == 4:  # noqa: PLR2004 - 0,5 twice
        return cause, "write decimals with a point, as in 0.5"
    if key in _POINTS and isinstance(value, (int, float)) and not isinstance(value, bool):
        return cause, "write both numbers in square brackets"
    return cause, ""


def _explain_share(location: tuple[int | str, ...], given: str) -> tuple[str, str] | None:
    """Return what is wrong with a coordinate that is no share of the picture; None of any other number."""
    *above, axis = location
    if axis not in (0, 1) or not ({*above[-1:]} & set(_POINTS) or "via" in above[-2:]):
        return None
    side = "height" if axis else "width"
    return (
        f"must be a share of the picture's {side}, 0 to 1, but is {given}",
        f"divide pixels by the picture's {side}, percent by 100",
    )


def _advise_name(written: str) -> str:
    """Return how to write a name, by the one that was meant."""
    likely = re.sub(r"[^a-z0-9]+", "-", written.lower()).strip("-")[:32].strip("-")
    return f"use lower-case letters, digits and dashes, at most 32, as in {likely or 'door-a'}"


def _advise_number(kind: str, value: object) -> str:
    """Return how to write the number that text holds; nothing for what holds none."""
    if not kind.startswith(("int", "float")) or not isinstance(value, str):
        return ""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*[a-zA-Z/ ]*", value)
    return f"write the number alone, without quotes: {match[1]}" if match else ""


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
    import difflib

    folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(re.sub(r"\s+", "_", word.strip()).casefold(), folded, n=1, cutoff=0.6)
    return f'did you mean "{folded[close[0]]}"?' if close else ""
