"""docs/headquarters.md's ready snippets, run against messages that the product's own code has published."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from tests.headquarters.messages import NOW, SITE, TOPIC, publish, told
from tests.publisher.rig import Listener, Mosquitto, wait_until

pytestmark = pytest.mark.processes

PAGE = (Path(__file__).parents[2] / "docs" / "headquarters.md").read_text(encoding="utf-8")
SNIPPETS = PAGE.split("## Ready snippets", 1)[1].split("\n## ", 1)[0]
STATUS = TOPIC.replace("hour", "status")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", SNIPPETS, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def published(own_mosquitto: Callable[..., Mosquitto]) -> tuple[Mosquitto, list[dict[str, Any]]]:
    """Return a broker, and hours as they came from it: a first revision, a correction, one that nobody watched."""
    broker = own_mosquitto()
    listener = Listener(broker.port, topic="footfall/#")
    payloads = [told(), told(revision=2, in_=50), told(watched_ms=0, in_=0, out=0, flags={"camera_lost"})]

    def heard() -> bool:
        publish(broker.port, STATUS, b"online")
        return bool(listener.payloads(STATUS))

    wait_until(heard, "the listener")
    publish(broker.port, TOPIC, *payloads)
    wait_until(lambda: len(listener.payloads(TOPIC)) == 3, "the hours")
    listener.close()
    return broker, [json.loads(payload) for payload in listener.payloads(TOPIC)]


def test_mosquitto_sub_shows_both_topics(own_mosquitto: Callable[..., Mosquitto]) -> None:
    """The very command, at this test's broker: each message on a line with time and topic."""
    broker = own_mosquitto()
    command = block("sh").strip().replace("-p 1883", f"-p {broker.port}")
    with subprocess.Popen(["bash", "-c", f"exec {command}"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        log = (broker.folder / f"mosquitto-{broker.port}.log").open()
        with log:
            wait_until(lambda: "Sending SUBACK" in log.read(), "the subscription")
        publish(broker.port, TOPIC, told())
        publish(broker.port, STATUS, b"online")
        lines = [child.stdout.readline().decode().split(" ", 2) for _ in range(2)]
        child.kill()

    assert [TOPIC, STATUS] == [line[1] for line in lines]
    assert json.loads(told()) == json.loads(lines[0][2])


def test_telegraf_picks_fields_that_there_are(published: tuple[Mosquitto, list[dict[str, Any]]]) -> None:
    """Its configuration parses, and each path leads to a value of the type that it is told, in a real message."""
    (consumer,) = tomllib.loads(block("toml"))["inputs"]["mqtt_consumer"]
    (parser,) = consumer["json_v2"]
    _, hours = published

    assert ["footfall/v1/+/+/hour"] == consumer["topics"]
    assert 1 == consumer["qos"]
    for hour in hours:
        assert [SITE, "door-a"] == [hour[tag["path"]] for tag in parser["tag"]]
        assert all(isinstance(hour[field["path"]], int) and field["type"] == "int" for field in parser["field"])
        # Go's reference time, as Python writes it.
        layout = parser["timestamp_format"].replace("2006-01-02T15:04:05Z07:00", "%Y-%m-%dT%H:%M:%S%z")
        assert datetime.strptime(hour[parser["timestamp_path"]], layout).astimezone(UTC) < NOW


def test_node_red_keeps_the_newest_revision(published: tuple[Mosquitto, list[dict[str, Any]]]) -> None:
    """The flow imports as JSON, its wires lead somewhere, and its function, run by Node, does what it says."""
    flow = {node["id"]: node for node in json.loads(block("json"))}
    _, hours = published
    node = shutil.which("node")
    if node is None:
        pytest.skip("NO NODE ON THIS MACHINE: apt-get install nodejs")
    program = (
        # Node-RED takes a key for a path of properties, and throws on a blank.
        "const kept = new Map();"
        "const path = k => { if (!/^[A-Za-z_$][\\w.$]*$/.test(k)) throw new Error(k); return k; };"
        "const context = {get: k => kept.get(path(k)), set: (k, v) => kept.set(path(k), v)};"
        f"const run = msg => {{ {flow['f2']['func']} }};"
        "const hours = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "console.log(JSON.stringify(hours.map(h => run({payload: h}))));"
    )
    later = {**hours[2], "start": "2026-11-07T19:00:00+08:00"}
    fed = [hours[0], hours[0], hours[1], hours[0], later]
    said = subprocess.run(
        [node, "-e", program], input=json.dumps(fed), capture_output=True, text=True, check=True
    ).stdout
    first, again, corrected, older, unwatched = json.loads(said)

    assert all(target in flow for one in flow.values() for wire in one.get("wires", []) for target in wire)
    assert "f3" == flow["f1"]["broker"]
    assert (48, 50) == (first["payload"]["in"], corrected["payload"]["in"])
    assert [None, None] == [again, older]
    assert (None, 0) == (unwatched["payload"]["in"], unwatched["payload"]["watched"])


def test_home_assistant_reads_topics_and_fields_that_there_are(
    published: tuple[Mosquitto, list[dict[str, Any]]],
) -> None:
    """Its sensors parse; each topic is this camera's, and each template names fields of a real message."""
    sensors = yaml.safe_load(block("yaml"))["mqtt"]["sensor"]
    _, hours = published

    for sensor in sensors:
        names = re.findall(r"value_json(?:\.(\w+)|\['(\w+)'\])", sensor["value_template"])
        assert TOPIC == sensor["state_topic"]
        assert names
        assert all((dotted or quoted) in hour for hour in hours for dotted, quoted in names)
    assert (STATUS, "online", "offline") == tuple(
        sensors[0][key] for key in ("availability_topic", "payload_available", "payload_not_available")
    )
    assert len({sensor["unique_id"] for sensor in sensors}) == len(sensors)


@pytest.mark.parametrize(("hours_ago", "people"), [(1, "48"), (1.9, "48"), (3, ""), (25, "")])
def test_home_assistant_keeps_its_value_when_a_late_hour_comes(hours_ago: float, people: str) -> None:
    """Only the hour that has just ended is shown: of a late one the template makes nothing, which is ignored there."""
    hour = json.loads(told(NOW - timedelta(hours=hours_ago)))
    environment = jinja2.Environment(autoescape=False)  # noqa: S701 - Home Assistant's own has none
    environment.globals |= {
        "as_timestamp": lambda moment: (
            datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        ).timestamp(),
        "now": lambda: NOW,
    }
    sensor, watched = yaml.safe_load(block("yaml"))["mqtt"]["sensor"]

    assert people == environment.from_string(sensor["value_template"]).render(value_json=hour).strip()
    assert bool(people) == bool(environment.from_string(watched["value_template"]).render(value_json=hour).strip())
