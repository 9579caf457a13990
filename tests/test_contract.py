"""docs/asyncapi.yaml: a whole AsyncAPI 3 document that says of topics and messages what the code does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from edge.core import hour, topics

DOCS = Path(__file__).parent.parent / "docs"
API: dict[str, Any] = yaml.safe_load((DOCS / "asyncapi.yaml").read_text(encoding="utf-8"))
SCHEMA: dict[str, Any] = json.loads((DOCS / "hour.schema.json").read_text(encoding="utf-8"))


def references(node: object) -> Iterator[str]:
    """Yield every `$ref` below *node*."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolved(reference: str) -> Any:
    """Return what *reference* stands for: a place in the document, or a file beside it."""
    file, _, pointer = reference.partition("#")
    node: Any = API if not file else json.loads((DOCS / file).read_text(encoding="utf-8"))
    for part in pointer.split("/")[1:]:
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def whole(node: dict[str, Any]) -> dict[str, Any]:
    """Return *node*, or what it refers to."""
    found: dict[str, Any] = resolved(node["$ref"]) if "$ref" in node else node
    return found


def test_it_is_asyncapi_3() -> None:
    """It names its version, has the sections that version knows and no other, and says what must be said of itself."""
    assert re.fullmatch(r"3\.\d+\.\d+", API["asyncapi"])
    assert set(API) <= {
        "asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components",
    }  # fmt: skip
    assert {"title", "version"} <= set(API["info"])
    assert all({"host", "protocol"} <= set(server) for server in API["servers"].values())


@pytest.mark.parametrize("reference", sorted(set(references(API))))
def test_every_reference_leads_somewhere(reference: str) -> None:
    """Inside the document or to the file beside it."""
    assert resolved(reference)


@pytest.mark.parametrize("name", API["channels"])
def test_a_channels_parameters_are_those_of_its_address(name: str) -> None:
    """Each {name} of a topic is explained, and nothing else is; each channel has a message with a payload."""
    channel = API["channels"][name]

    assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel["parameters"])
    assert channel["messages"]
    assert all({"contentType", "payload"} <= set(whole(told)) for told in channel["messages"].values())


@pytest.mark.parametrize("name", API["operations"])
def test_an_operation_is_whole(name: str) -> None:
    """The box only sends; each operation names a channel, messages of that channel, and how MQTT carries them."""
    operation = API["operations"][name]
    channel = operation["channel"]["$ref"]

    assert "send" == operation["action"]
    assert resolved(channel) in API["channels"].values()
    assert all(told["$ref"].startswith(f"{channel}/messages/") for told in operation["messages"])
    assert {"qos", "retain", "bindingVersion"} == set(operation["bindings"]["mqtt"])


def test_every_channel_is_spoken_on() -> None:
    """There is an operation for each channel, and one only."""
    spoken = [operation["channel"]["$ref"] for operation in API["operations"].values()]

    assert sorted(f"#/channels/{name}" for name in API["channels"]) == sorted(spoken)


def test_topics_are_the_codes() -> None:
    """The addresses are what the code builds."""
    assert {
        "hour": topics.hour_topic("{site}", "{camera}"),
        "status": topics.status_topic("{site}", "{camera}"),
    } == {name: channel["address"] for name, channel in API["channels"].items()}


def test_topics_are_as_brokers_like_them() -> None:
    """Lower case, digits, dashes, under eight levels, no slash before the first."""
    for topic in (topics.hour_topic("sh-023", "door-a"), topics.status_topic("sh-023", "door-a")):
        assert re.fullmatch(r"[a-z0-9-]+(/[a-z0-9-]+){1,6}", topic)


def test_status_words_are_the_codes() -> None:
    """`online` and `offline`, nothing else."""
    payload = whole(API["channels"]["status"]["messages"]["status"])["payload"]

    assert {topics.ONLINE.decode(), topics.OFFLINE.decode()} == set(payload["enum"])


def test_the_hours_schema_is_one() -> None:
    """A JSON Schema 2020-12 that names the version which the code writes, and whose every name must be there."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    assert hour.SCHEMA == SCHEMA["properties"]["schema"]["const"]
    assert set(SCHEMA["required"]) == set(SCHEMA["properties"])
    assert SCHEMA == whole(whole(API["channels"]["hour"]["messages"]["hour"])["payload"]["schema"])


def test_the_schema_is_the_types() -> None:
    """
    docs/hour.schema.json is what edge.core.hour generates.

    To write it anew: python -c 'from edge.core import hour; print(hour.schema_text(), end="")' > docs/hour.schema.json
    """
    assert hour.schema_text() == (DOCS / "hour.schema.json").read_text(encoding="utf-8")


def test_each_type_of_the_schema_has_a_name() -> None:
    """Each object, of which a generator makes a type, has a title of its own; plain values have none."""
    objects = SCHEMA["$defs"]

    assert SCHEMA["$id"] == f"urn:footfall:hour:{hour.SCHEMA}"
    assert ["Hour", *objects] == [SCHEMA["title"], *(part["title"] for part in objects.values())]
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", name) for name in ("Hour", *objects))
    assert {"$ref": "#/$defs/LineCount"} == SCHEMA["properties"]["lines"]["additionalProperties"]
    assert not any("title" in field for field in SCHEMA["properties"].values())


def test_the_set_of_flags_is_open() -> None:
    """A flag that a later version adds fits the schema; what is no flag doesn't; the known ones are named."""
    flags = jsonschema.Draft202012Validator(SCHEMA["properties"]["flags"])

    assert flags.is_valid([*hour.FLAGS, "sunburnt"])
    assert not any(flags.is_valid(wrong) for wrong in (["Sunburnt"], [1], ["dark", "dark"], "dark"))
    assert all(flag in SCHEMA["properties"]["flags"]["description"] for flag in hour.FLAGS)


def test_the_pattern_of_a_name_is_written_once() -> None:
    """Config, topics and messages hold names to one and the same pattern."""
    sources = [path for path in (DOCS.parent / "edge").rglob("*.py") if "[a-z0-9-]{0,30}" in path.read_text("utf-8")]

    assert [DOCS.parent / "edge" / "core" / "topics.py"] == sources
