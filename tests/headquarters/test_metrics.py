"""Figures for Prometheus: what a scrape of the real collector holds."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from edge.core.hour import Hour
from edge.headquarters.address import open_store
from edge.headquarters.metrics import Metrics
from edge.headquarters.store.batch import Arrival, Batch
from tests.headquarters.conftest import Spawn, until_said
from tests.headquarters.messages import NOW, TOPIC, publish, recent, told
from tests.publisher.rig import Mosquitto, wait_until

DOCS = (Path(__file__).parents[2] / "docs" / "headquarters.md").read_text(encoding="utf-8")


Figures = dict[tuple[str, tuple[str, ...]], float]


def scraped(text: str) -> Figures:
    """Return each sample as Prometheus' own parser reads it: (name, values of its labels, by their names) -> value."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_scrape_shows_what_the_collector_knows(
    own_mosquitto: Callable[..., Mosquitto], spawn: Spawn, said: Callable[..., str], tmp_path: Path
) -> None:
    """A real broker, a real collector, a real scrape: hours, people, flags, status, quarantine."""
    broker = own_mosquitto()
    (tmp_path / "sites.yaml").write_text("sites: {sh-023: {name: Berlin Mitte}}\n")
    spawn("collect", "--broker", f"mqtt://127.0.0.1:{broker.port}", "--store", tmp_path / "hours.sqlite",
          "--metrics", "0", "--sites", tmp_path / "sites.yaml")  # fmt: skip
    until_said(said, "connected to")
    found = re.search(r"http://127\.0\.0\.1:\d+/metrics", said())
    assert found
    publish(broker.port, TOPIC.replace("hour", "status"), b"online")
    publish(broker.port, TOPIC, told(recent(2)[0], flags={"moved"}), told(recent(1)[0], in_=7), b"junk")

    def scrape() -> Figures:
        with urllib.request.urlopen(found[0], timeout=60) as answer:  # noqa: S310 - an address of this test
            return scraped(answer.read().decode())

    wait_until(lambda: scrape().get(("footfall_quarantined_total", ("garbage",))) == 1, "the quarantine")
    figures = scrape()
    names = ("door-a", "sh-023")

    assert 2 == figures["footfall_hours_stored_total", ()]
    assert 7 == figures["footfall_hour_people", ("door-a", "in", "sh-023")]
    assert (recent(1)[0] + timedelta(hours=1)).timestamp() == figures["footfall_hour_end_timestamp_seconds", names]
    assert (1, 1) == (figures["footfall_hour_watched_ratio", names], figures["footfall_online", names])
    # The newest hour no longer has the flag.
    assert 0 == figures["footfall_hour_flag", ("door-a", "moved", "sh-023")]


def test_a_collector_that_starts_anew_still_tells_of_a_silent_camera(
    own_mosquitto: Callable[..., Mosquitto], spawn: Spawn, said: Callable[..., str], tmp_path: Path
) -> None:
    """The rule `HourOverdue` needs the newest hour of a box that is dead when the collector is started."""
    broker, path = own_mosquitto(), tmp_path / "hours.sqlite"
    store = open_store(str(path))
    now = recent(1)[0] + timedelta(hours=1)
    hours = [Hour.decode(told(start)) for start in recent(9)[:2]]
    store.add(Batch(hours=[Arrival(TOPIC, b"", hour) for hour in hours]), now)
    store.close()
    spawn("collect", "--broker", f"mqtt://127.0.0.1:{broker.port}", "--store", path, "--metrics", "0")
    until_said(said, "figures for Prometheus are at")
    found = re.search(r"http://127\.0\.0\.1:\d+/metrics", said())
    assert found

    def end() -> float | None:
        with urllib.request.urlopen(found[0], timeout=60) as answer:  # noqa: S310 - an address of this test
            return scraped(answer.read().decode()).get(("footfall_hour_end_timestamp_seconds", ("door-a", "sh-023")))

    wait_until(lambda: end() is not None, "the newest hour")

    assert hours[-1].end.timestamp() == end()


def test_each_reason_has_its_counter_before_it_is_needed() -> None:
    """The rule `Quarantine` sees the first message of each reason; the docs' table has the same reasons."""
    figures = scraped(generate_latest(Metrics().registry).decode())
    table = DOCS.partition("| reason | what it was |")[2].partition("\n\n")[0]
    told_of = {
        name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else "")
    }

    assert dict.fromkeys(told_of, 0.0) == {
        names[0]: value for (name, names), value in figures.items() if name == "footfall_quarantined_total"
    }


def test_a_late_correction_is_not_the_newest_hour() -> None:
    """An older hour changes nothing; a correction of the newest replaces it."""
    metrics = Metrics()
    for payload in (
        told(NOW - timedelta(hours=1), in_=5),
        told(NOW - timedelta(hours=9), in_=900, revision=3),
        told(NOW - timedelta(hours=1), in_=6, revision=2),
        told(NOW - timedelta(hours=1), in_=5),
    ):
        metrics.note_hour(Hour.decode(payload))
    figures = scraped(generate_latest(metrics.registry).decode())

    assert 6 == figures["footfall_hour_people", ("door-a", "in", "sh-023")]


def test_the_rules_of_the_docs_name_figures_that_there_are() -> None:
    """Each rule is YAML, and what it asks for is one of the collector's figures."""
    block = next(block for block in re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL) if block.startswith("groups:"))
    registry = Metrics().registry
    known = {family.name for family in registry.collect()} | {f"{family.name}_total" for family in registry.collect()}

    for rule in yaml.safe_load(block)["groups"][0]["rules"]:
        assert set(re.findall(r"footfall_\w+", rule["expr"])) <= known, rule
