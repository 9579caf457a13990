"""
The same contract on a clustered engine: three RabbitMQ nodes with the MQTT plugin, quorum queues, one killed mid-hour.

Slow (minutes, three Erlang machines), so it has a command of its own:

    FOOTFALL_CLUSTER=1 tests/run.sh tests/headquarters/test_cluster.py
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.config.schema import Broker
from edge.publisher.hours import Span
from edge.publisher.ledger.view import Row
from edge.publisher.outbox import OutboxConnection
from tests.headquarters.conftest import Spawn
from tests.headquarters.messages import recent, told
from tests.headquarters.test_collect import collector, kept, quarantined
from tests.publisher.rig import free_port, wait_until
from tests.publisher.test_outbox import Rows

SERVERS = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
DEADLINE_S = 300.0
CAMERAS = [f"door-{number}" for number in range(12)]

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(
        not os.environ.get("FOOTFALL_CLUSTER") or not SERVERS,
        reason="SLOW: FOOTFALL_CLUSTER=1, AND apt-get install rabbitmq-server",
    ),
]

CONF = """
listeners.tcp.1 = 127.0.0.1:{amqp}
mqtt.listeners.tcp.1 = 127.0.0.1:{mqtt}
mqtt.allow_anonymous = true
mqtt.durable_queue_type = quorum
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.classic_config.nodes.1 = hq1@localhost
cluster_formation.classic_config.nodes.2 = hq2@localhost
cluster_formation.classic_config.nodes.3 = hq3@localhost
cluster_partition_handling = pause_minority
log.console = false
"""


class Node:
    """One of the three, in a folder and with ports of its own."""

    def __init__(self, number: int, folder: Path, epmd: int) -> None:
        self.name = f"hq{number}@localhost"
        self.mqtt = free_port()
        self.folder = folder / f"hq{number}"
        self.folder.mkdir()
        conf = self.folder / "rabbitmq.conf"
        conf.write_text(CONF.format(amqp=free_port(), mqtt=self.mqtt))
        (self.folder / "plugins").write_text("[rabbitmq_mqtt].\n")
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(epmd),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONFIG_FILE": str(conf),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [str(SERVERS[-1])], env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def control(self, *arguments: str) -> str:
        return subprocess.run(
            [str(SERVERS[-1].with_name("rabbitmqctl")), "-n", self.name, *arguments],
            env=self.environment, capture_output=True, text=True, check=False, timeout=120,
        ).stdout  # fmt: skip

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.mqtt), 1):
            return True
        return False

    def kill(self) -> None:
        """End it as a power cut does, with all that it has started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


class Balancer:
    """What stands before a cluster: hands each new connection to the next node that answers."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        turn = 0
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._server.accept()
                for _ in self._nodes:
                    turn += 1
                    with contextlib.suppress(OSError):
                        other = socket.create_connection(("127.0.0.1", self._nodes[turn % 3].mqtt), 2)
                        threading.Thread(target=self._pass_on, args=(sock, other), daemon=True).start()
                        break
                else:
                    sock.close()

    @staticmethod
    def _pass_on(one: socket.socket, other: socket.socket) -> None:
        with one, other, contextlib.suppress(OSError):
            while True:
                for sock in select.select([one, other], [], [])[0]:
                    data = sock.recv(65_536)
                    if not data:
                        return
                    (other if sock is one else one).sendall(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    folder = tmp_path_factory.mktemp("cluster")
    epmd = free_port()
    (folder / ".erlang.cookie").write_text("footfall")
    (folder / ".erlang.cookie").chmod(0o400)
    made = [Node(number, folder, epmd) for number in (1, 2, 3)]
    try:
        for node in made:
            node.start()
            wait_until(node.answers, f"{node.name} to listen", DEADLINE_S)
        yield made
    finally:
        for node in made:
            node.kill()
        if shutil.which("epmd"):
            subprocess.run(["epmd", "-port", str(epmd), "-kill"], capture_output=True, check=False)


class Boxes:
    """Twelve boxes, each with the product's own connection and hours that wait until they are acknowledged."""

    def __init__(self, port: int) -> None:
        broker = Broker.model_validate({"host": "127.0.0.1", "port": port, "protocol": "3.1.1", "keepalive_s": 5})
        self.outbox = Rows()
        self.connections = [
            OutboxConnection("sh-023", camera, broker, self.outbox, lambda: None, jitter=lambda _low, _high: 0)
            for camera in CAMERAS
        ]

    def close(self, hours: range) -> None:
        starts = recent(48)
        for camera in CAMERAS:
            for number in hours:
                start_ms = round(starts[number].timestamp() * 1000)
                payload = told(starts[number], camera=camera, in_=number, out=0)
                self.outbox.rows.append(Row(camera, Span(start_ms, start_ms + 3_600_000), 1, payload, 0, None))

    def turn(self) -> int:
        """Go round once; return how many hours wait."""
        for connection in self.connections:
            connection.turn()
        return len(self.outbox.rows)


def test_a_node_that_dies_in_mid_hour_loses_nothing(
    nodes: list[Node], spawn: Spawn, said: Callable[..., str], tmp_path: Path
) -> None:
    """576 hours through three nodes, one killed in the middle of them, while the collector is away for a part."""
    balancer = Balancer(nodes)
    url = str(tmp_path / "hours.sqlite")
    began_s = time.monotonic()
    wait_until(lambda: nodes[0].control("cluster_status").count("@localhost") >= 3, "the cluster", DEADLINE_S)
    child = collector(spawn, said, balancer.port, url, "--protocol", "3.1.1")
    queues = nodes[0].control("list_queues", "name", "type", "members")
    boxes = Boxes(balancer.port)
    boxes.close(range(16))
    wait_until(lambda: boxes.turn() == 0, "the first sixteen hours", DEADLINE_S)
    child.kill()
    child.wait()
    boxes.close(range(16, 32))
    wait_until(lambda: boxes.turn() < 12 * 8, "half of the next sixteen", DEADLINE_S)
    nodes[1].kill()
    boxes.close(range(32, 48))
    wait_until(lambda: boxes.turn() == 0, "all hours, by two nodes", DEADLINE_S)
    collector(spawn, said, balancer.port, url, "--protocol", "3.1.1")
    wait_until(lambda: boxes.turn() == 0 and len(kept(url)) == 12 * 48, "every hour in the store", DEADLINE_S)
    print(f"{time.monotonic() - began_s:.0f} s")
    for connection in boxes.connections:
        connection.end(0)
    balancer.close()

    assert "quorum" in queues
    assert {} == quarantined(url)
    assert sorted([*range(48)] * 12) == sorted(hour.in_ for hour in kept(url))
