"""The config, described by its own code: docs, schema and example are what the code says, and are accepted."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from edge.config import schema
from edge.core.errors import ConfigError
from edge.technician import reference
from tests.technician.rig import REPOSITORY, footfall

DOCS = REPOSITORY / "docs"


def uncommented(text: str) -> str:
    """Return the example with everything in it that is a setting."""
    return re.sub(r"^(\s*)#(?=\S)", r"\1", text, flags=re.MULTILINE)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("form", "page"),
    [("reference", "configuration.md"), ("schema", "footfall.schema.json"), ("example", "footfall.example.yaml")],
)
def test_docs_are_what_the_code_says(form: str, page: str) -> None:
    """The committed page is what `footfall config` prints; write it anew with: footfall config --FORM > docs/PAGE."""
    run = footfall("config", f"--{form}")

    assert 0 == run.returncode
    assert run.stdout == (DOCS / page).read_text(encoding="utf-8")


@pytest.mark.processes
def test_the_example_is_accepted(tmp_path: Path) -> None:
    """As it is printed, with nothing but what is needed."""
    path = tmp_path / "footfall.yaml"
    path.write_text(footfall("config", "--example").stdout)

    assert "sh-023" == schema.load(path).site


def test_everything_in_the_example_is_accepted() -> None:
    """With every setting that it holds behind a #, too; and there is none that it doesn't hold."""
    text = uncommented(reference.example())
    settings = schema.parse(text)
    document = yaml.safe_load(text)

    def paths(value: Any, above: str) -> set[str]:
        found = set()
        for key, inner in value.items():
            found |= {above + key}
            if isinstance(inner, dict) and key != "open":
                found |= paths(inner, f"{above}{key}.")
        return found

    named = {
        key.key.replace("cameras.NAME", "cameras.door-a").replace("lines.NAME", "lines.entrance")
        for key in reference.every_key()
    }

    assert settings.broker.tls is not None
    assert named == paths(document, "") - {"cameras.door-a", "cameras.door-a.lines.entrance"}


def test_every_key_is_told_whole() -> None:
    """Type, default and meaning stand beside each key, and an example beside each that holds a value."""
    for key in reference.every_key():
        assert all((key.kind, key.default, key.meaning)), key
        assert key.example or "section" in key.kind, key


def test_examples_are_of_their_kind() -> None:
    """The example in each row is what the example file holds."""
    shown = {match[1]: match[2] for match in re.finditer(r"^\s*#?(\w+): (\S.*)$", reference.example(), re.MULTILINE)}

    for key in reference.every_key():
        if key.example:
            assert key.example == f"`{shown[key.key.rpartition('.')[2]]}`"


def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(reference.schema())
    return jsonschema.Draft202012Validator(reference.schema())


@pytest.mark.parametrize("text", [reference.example(), uncommented(reference.example())], ids=["needed", "all"])
def test_the_schema_accepts_the_example(text: str) -> None:
    """What an editor would say of it: nothing."""
    assert [] == list(validator().iter_errors(yaml.safe_load(text)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("site: sh-023", "site: SH 023"),
        ("site: sh-023", "sit: sh-023"),
        ("timezone: Asia/Shanghai\n", "\n"),
        ("fps: 15", "fps: 1000"),
        ("fps: 15", "fsp: 15"),
        ("size: [640, 480]", "size: [640]"),
        ("from: [0.10, 0.55]", "from: [10, 0.55]"),
        ("replay: pace", "replay: slow"),
        ("port: 8883", "port: 0"),
        ("tls:", "tls: maybe\n  keepalive_s: 60\n  tls2:"),
        ('protocol: "5"', 'protocol: "4"'),
        ('open: {mon-sat: "09:30-22:00", sun: "10:00-20:00"}', "open: always"),
    ],
)
def test_the_schema_refuses_what_the_code_refuses(old: str, new: str) -> None:
    """Where an editor is silent, a technician would learn of it at the door."""
    whole = uncommented(reference.example())
    text = whole.replace(old, new, 1)
    assert whole != text
    with pytest.raises(ConfigError):
        schema.parse(text)

    assert list(validator().iter_errors(yaml.safe_load(text)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('protocol: "5"', "protocol: 5"),
        ('protocol: "5"', "protocol: 3.1.1"),
        ("fps: 15", "fps: 7.5"),
        ("username: sh-023", "username: sh-023 # me"),
        ("    via: [[0.50, 0.60]]", "    via: []"),
    ],
)
def test_the_schema_accepts_what_the_code_accepts(old: str, new: str) -> None:
    """An editor that complains about a good file isn't believed a second time."""
    whole = uncommented(reference.example())
    text = whole.replace(old, new, 1)
    assert whole != text
    schema.parse(text)

    assert [] == list(validator().iter_errors(yaml.safe_load(text)))


@pytest.mark.parametrize("value", ["true", "false", "{}"])
def test_tls_in_each_form(value: str) -> None:
    """A word or a section."""
    text = reference.example().replace("  #tls:", f"  tls: {value}")
    schema.parse(text)

    assert [] == list(validator().iter_errors(yaml.safe_load(text)))


@pytest.mark.processes
def test_one_form_at_a_time() -> None:
    """Asked for nothing, it says what can be asked for."""
    run = footfall("config")

    assert 2 == run.returncode
    assert "--example" in run.stderr


def test_the_schema_is_json() -> None:
    """And says which file it is of."""
    assert "footfall.yaml" == json.loads(reference.schema_text())["title"]
