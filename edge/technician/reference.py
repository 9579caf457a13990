"""
The config, described by its own code: a reference for people, an example to begin with, a JSON Schema for editors.

Everything in here is read off the models of `edge.config.schema`, so that none of it can say something else than what
is accepted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge.config.schema import Config

SCHEMA_ID = "https://footfall.example/footfall.schema.json"

_OURS = ("unit", "absent", "name")
"""What the models say beside JSON Schema's own words."""

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of footfall.yaml, as the reference tells of it."""

    key: str
    kind: str
    default: str
    unit: str
    meaning: str
    example: str


def schema() -> Schema:
    """Return the JSON Schema of footfall.yaml."""
    described = _described()
    for section in (described, *described["$defs"].values()):
        for told in section["properties"].values():
            for word in _OURS:
                told.pop(word, None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **described}


def schema_text() -> str:
    """Return the JSON Schema as a file holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _described() -> Schema:
    """Return what pydantic says of the models, and what only their validators know."""
    described = Config.model_json_schema(by_alias=True)
    described["title"] = "footfall.yaml"
    broker = described["$defs"]["Broker"]["properties"]
    del broker["port"]["default"]
    broker["tls"].pop("default", None)
    broker["tls"]["anyOf"] = [{"type": "boolean"}, {"$ref": "#/$defs/Tls"}]
    # YAML reads an unquoted 5 as a number, which is accepted.
    broker["protocol"]["enum"] = ["5", "3.1.1", 5]
    del broker["protocol"]["type"]
    del described["$defs"]["Camera"]["properties"]["open"]["default"]
    return described


# --- the reference ---------------------------------------------------------------------------------------------------


def every_key() -> Iterator[Key]:
    """Yield every key in the order of the models, as the docs write it: cameras.NAME.lines.NAME.from."""
    described = _described()
    yield from _every_key(described, described, "")


def _every_key(root: Schema, section: Schema, above: str) -> Iterator[Key]:
    for name, told in section["properties"].items():
        below = _section(root, told)
        needed = name in section.get("required", ())
        example = told.get("examples", [None])[0]
        yield Key(
            key=above + name,
            kind=_kind(root, told),
            default="needed" if needed else told.get("absent") or f"`{_flow(told['default'])}`",
            unit=told.get("unit", ""),
            meaning=told["description"],
            example=f"`{_flow(example)}`" if example is not None else "",
        )
        if below is not None:
            yield from _every_key(root, below, f"{above}{name}.NAME." if _is_named(told) else f"{above}{name}.")


def _is_named(told: Schema) -> bool:
    """Tell whether the key holds sections under names of the technician's own."""
    return "$ref" in told.get("additionalProperties", {}) or "patternProperties" in told


def _section(root: Schema, told: Schema) -> Schema | None:
    """Return the section below a key: its own, those under names, or one of several forms; None for a value."""
    forms = [
        told,
        *told.get("anyOf", ()),
        *told.get("patternProperties", {}).values(),
        told.get("additionalProperties"),
    ]
    for form in forms:
        if isinstance(form, dict) and "$ref" in form:
            found: Schema = root["$defs"][form["$ref"].rpartition("/")[2]]
            return found
    return None


def _kind(root: Schema, told: Schema) -> str:
    """Return what may be written, in words."""
    forms = [form for form in told.get("anyOf", ()) if form.get("type") != "null"]
    if forms:
        return " or ".join(_kind(root, form) for form in forms)
    if _is_named(told):
        return f"{told['minProperties']} to {told['maxProperties']} sections by name"
    if "enum" in told:
        return " or ".join(dict.fromkeys(f"`{_flow(str(value))}`" for value in told["enum"]))
    return "section" if "$ref" in told else _value_kind(told)


def _value_kind(told: Schema) -> str:
    if told["type"] == "array":
        items = told.get("prefixItems")
        return f"{len(items)} numbers{_bounds(items[0])}" if items else "points"
    if told["type"] == "string":
        words = "name: lower-case letters, digits, dashes, at most 32" if "pattern" in told else "text"
        return str(told.get("format", words))
    kinds = {"integer": "whole number", "number": "number", "boolean": "`true` or `false`", "object": "days and times"}
    return kinds[told["type"]] + _bounds(told)


def _bounds(told: Schema) -> str:
    low, high = told.get("minimum"), told.get("maximum")
    return "" if low is None else f", {low:g} to {high:g}"


def _flow(value: Any) -> str:
    """Return a value as YAML writes it on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flow(inner) for inner in value) + "]"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.2f}"
    # Text that YAML would take for something else, a number or a time, stands in quotes.
    return value if isinstance(value, str) and not value[:1].isdigit() else json.dumps(value, ensure_ascii=False)


_REFERENCE = """\
# footfall.yaml, key by key

Written by `footfall config --reference` from the code that reads the file; a test holds the two against each other.
`footfall config --example` prints a file to begin with.
`footfall config --schema` prints a [JSON Schema](footfall.schema.json) that editors check the file with while you \
type: put `# yaml-language-server: $schema=footfall.schema.json` on its first line.

Keys that aren't in this table are refused, and so are impossible values.
All faults are told at once, each with file, line, key, what is wrong and what to write instead; \
`footfall check` shows them.
Where the text isn't YAML, the line is shown with a caret below the place.

- A name is what is written: `010` and `on` are names like any other, not the number 8 and not "true".
- A relative path begins at the folder of the config file, wherever the command is typed.
  `~` isn't expanded.
- `timezone` is a name of the IANA database, as in `Europe/Berlin`, and nothing that only some machines know.
- `open` must open the shop at some time; `closed` is a day's value.
  `footfall check` says the hours back in words.

`lines` and `open` are applied while the service runs, by `systemctl reload`; every other key by a new process:
see [operations.md](operations.md#changing-the-config).

Four rules for a line: it has a length, it doesn't cross itself, `inside` isn't on it, and it leaves at least 4 % of the
picture on each side.
A head nearer to the picture's edge is never seen whole.

| key | type | default | unit | meaning | example |
|---|---|---|---|---|---|
"""


def reference() -> str:
    """Return docs/configuration.md."""
    rows = (
        f"| `{key.key}` | {key.kind} | {key.default} | {key.unit} | {key.meaning} | {key.example} |\n"
        for key in every_key()
    )
    return _REFERENCE + "".join(rows)


# --- the example -----------------------------------------------------------------------------------------------------

_EXAMPLE = """\
# footfall.yaml: what this box counts, and whom it tells. `footfall check` reads it and says what is wrong.
# Settings behind a # may be left out; what stands there is an example.
"""
_WIDTH = 100


def example() -> str:
    """Return a whole footfall.yaml with every key, each explained; what isn't needed is commented out."""
    described = _described()
    return _EXAMPLE + "".join(f"{line}\n" for line in _example(described, described, "", needed=True))


def _example(root: Schema, section: Schema, indent: str, *, needed: bool) -> Iterator[str]:
    for name, told in section["properties"].items():
        must = needed and name in section.get("required", ())
        mark = "" if must or not needed else "#"
        if not indent:
            yield ""
        yield from _comment(told, indent, must=must)
        below = _section(root, told)
        if below is None:
            yield f"{indent}{mark}{name}: {_flow(told['examples'][0])}"
            continue
        inner = f"{indent}  "
        lines = [f"{indent}{name}:"]
        if _is_named(told):
            lines.append(f"{inner}{told['name']}:")
            inner += "  "
        lines += _example(root, below, inner, needed=must)
        for line in lines:
            bare = line.lstrip()
            commented = mark and not bare.startswith("#")
            yield f"{line[: len(line) - len(bare)]}#{bare}" if commented else line


def _comment(told: Schema, indent: str, *, must: bool) -> Iterator[str]:
    """Yield the lines that explain a key."""
    absent = (
        "" if must else told.get("absent", "") or (_flow(told["default"]) if told.get("default") is not None else "")
    )
    notes = "; ".join(filter(None, (told.get("unit", ""), f"absent: {absent}" if absent else "")))
    text = told["description"] + (f" ({notes})" if notes else "")
    line = f"{indent}#"
    for word in text.replace("`", "").split():
        if len(line) + len(word) >= _WIDTH:
            yield line
            line = f"{indent}#"
        line += f" {word}"
    yield line
