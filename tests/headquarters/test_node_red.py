"""docs/headquarters.md's flow in a real Node-RED, beside a real broker."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.headquarters.messages import NOW, TOPIC, publish, told
from tests.headquarters.test_snippets import block
from tests.publisher.rig import Listener, Mosquitto, free_port, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.slow]

FOLDER = Path(os.environ.get("FOOTFALL_NODE_RED", "/var/tmp/footfall-node-red"))  # noqa: S108 - kept on purpose
HEARD = "heard/by/node-red"
SETTINGS = """\
module.exports = {{
    uiHost: "127.0.0.1", uiPort: {port}, flowFile: "flows.json", userDir: "{folder}", httpAdminRoot: false,
    credentialSecret: false, telemetry: {{enabled: false}},
    logging: {{console: {{level: "info", metrics: false, audit: false}}}},
}}
"""


def program() -> str | None:
    """Return Node-RED, from PATH or from the folder into which it was installed by hand."""
    return shutil.which("node-red") or shutil.which("node-red", path=FOLDER / "node_modules" / ".bin")


@pytest.fixture(name="node_red")
def _node_red(own_mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> Iterator[Mosquitto]:
    """
    Return the broker of a Node-RED in which the flow of the docs runs.

    What the flow's function gives goes to the topic `HEARD`, beside the debug node.
    """
    node_red = program()
    if node_red is None:
        pytest.skip(f"NO NODE-RED: the flow is NOT run; npm install --prefix {FOLDER} node-red")
    broker = own_mosquitto()
    flow = json.loads(block("json"))
    (server,) = (node for node in flow if node["type"] == "mqtt-broker")
    (function,) = (node for node in flow if node["type"] == "function")
    server["port"] = str(broker.port)
    function["wires"][0].append("heard")
    flow.append({"id": "heard", "type": "mqtt out", "z": function["z"], "topic": HEARD, "qos": "1", "retain": "false",
                 "broker": server["id"], "x": 540, "y": 160, "wires": []})  # fmt: skip
    (tmp_path / "flows.json").write_text(json.dumps(flow))
    settings = tmp_path / "settings.js"
    settings.write_text(SETTINGS.format(port=free_port(), folder=tmp_path))
    log = tmp_path / "node-red.log"
    with log.open("wb") as out, subprocess.Popen(
        [node_red, "--settings", settings], stdout=out, stderr=out, env={**os.environ, "HOME": str(tmp_path)}
    ) as process:  # fmt: skip
        try:
            wait_until(
                lambda: "Connected to broker" in log.read_text() or process.poll() is not None, "Node-RED to connect"
            )
            assert process.poll() is None, log.read_text()
            yield broker
        finally:
            process.terminate()
            process.wait(60)
    assert "TypeError" not in log.read_text()


def test_the_flow_keeps_the_newest_revision(node_red: Mosquitto) -> None:
    """Each hour comes out once for each higher revision; an hour that nobody watched has no count."""
    listener = Listener(node_red.port, topic=HEARD)

    def heard() -> list[Any]:
        return [json.loads(payload) for payload in listener.payloads(HEARD)]

    later = NOW + timedelta(hours=1)

    def begun() -> bool:
        publish(node_red.port, TOPIC, told(revision=1))
        return bool(heard())

    wait_until(begun, "the first hour")
    publish(
        node_red.port, TOPIC, told(), told(revision=2, in_=50), told(), told(revision=2, in_=50),
        told(later, watched_ms=0, in_=0, out=0, flags={"camera_lost"}),
    )  # fmt: skip
    wait_until(lambda: len(heard()) >= 3, "three hours")
    listener.close()
    first, corrected, unwatched = heard()

    assert (48, 50) == (first["in"], corrected["in"])
    assert (None, 0) == (unwatched["in"], unwatched["watched"])
    assert first["start"] == corrected["start"] < unwatched["start"]
