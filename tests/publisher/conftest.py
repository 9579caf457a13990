"""What the publisher's tests share."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.config import schema
from edge.config.schema import PublisherSettings
from tests.publisher.rig import CONFIG, Box, Listener, Mosquitto, brokers, wait_until


@pytest.fixture(scope="session")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def own_mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Brokers that a test may stop, start and configure."""
    with brokers(tmp_path, "allow_anonymous true") as make:
        yield make


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    """Make listeners, each of which hears from when it is returned."""
    listeners: list[Listener] = []

    def make(port: int, *options: str, topic: str = "#") -> Listener:
        listener = Listener(port, *options, topic=topic)
        listeners.append(listener)
        probe = f"probe/{len(listeners)}"

        def hears() -> bool:
            subprocess.run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", probe, "-m", "x"], check=True)
            return any(topic == probe for topic, _, _ in listener.received)

        if topic == "#" and not options:
            wait_until(hears, "the listener to hear")
            listener.received[:] = [heard for heard in listener.received if not heard[0].startswith("probe/")]
        return listener

    yield make
    for listener in listeners:
        listener.close()


@pytest.fixture(scope="session")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a head model's contract, which names the model and nothing else of interest here."""
    path = tmp_path_factory.mktemp("model") / "head.json"
    output = {"index": 0, "shape": [1]}
    path.write_text(
        json.dumps(
            {
                "name": "head-test",
                "version": "1",
                "file": "head.tflite",
                "sha256": "0" * 64,
                "input": {"width": 320, "height": 240, "padding": 114},
                "stride": 4,
                "outputs": {"score": output, "size": output, "offset": output},
                "thresholds": {"strong": 0.5, "weak": 0.3},
            }
        )
    )
    return path


@pytest.fixture
def config_text(tmp_path: Path, contract: Path) -> Callable[..., str]:
    def make(**changes: object) -> str:
        values = {
            "site": "sh-023",
            "timezone": "Asia/Shanghai",
            "open": "",
            "second": "",
            "port": 1,
            "broker": "",
            "folder": tmp_path,
            "model": contract,
        }
        return CONFIG.format(**{**values, **changes})

    return make


@pytest.fixture
def settings(config_text: Callable[..., str]) -> Callable[..., PublisherSettings]:
    """Make the publisher's settings, as read from a config file with some values changed."""
    return lambda **changes: schema.parse(config_text(**changes)).publisher()


@pytest.fixture
def box(settings: Callable[..., PublisherSettings]) -> Iterator[Callable[..., Box]]:
    boxes: list[Box] = []

    def make(wall: str, *, synchronised: bool = True, **changes: object) -> Box:
        made = Box(settings(**changes), wall, synchronised=synchronised)
        boxes.append(made)
        return made

    yield make
    for made in boxes:
        with contextlib.suppress(OSError):
            made.kill()
