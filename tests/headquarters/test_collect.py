"""The collector as a process, between a real broker and a real database: nothing lost, nothing doubled, never ended."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edge.core.clock import ManualClock
from edge.core.errors import NameTaken
from edge.core.hour import Hour
from edge.headquarters import collect, quarantine
from edge.headquarters.address import broker_at, open_store
from edge.mqtt.client_id import client_id
from tests.headquarters.conftest import Postgres, Spawn, until_said
from tests.headquarters.messages import TOPIC, publish, recent, told
from tests.publisher.rig import Mosquitto, wait_until
from tests.publisher.wire import FakeBroker, Talk
from tests.technician.rig import footfall as box_command
from tests.technician.rig import write_config

pytestmark = pytest.mark.processes

Said = Callable[..., str]
MakeBroker = Callable[..., Mosquitto]
STATUS = TOPIC.replace("hour", "status")


def kept(url: str) -> list[Hour]:
    store = open_store(url)
    try:
        return list(store.hours(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)))
    finally:
        store.close()


def has_more(url: str, than: int) -> bool:
    return len(kept(url)) > than


def quarantined(url: str) -> dict[str, int]:
    store = open_store(url)
    try:
        return store.quarantined()
    finally:
        store.close()


def hours_of(port: int, camera: str, count: int, **more: Any) -> None:
    """Publish *count* recent hours of *camera*."""
    payloads = [told(start, camera=camera, **more) for start in recent(count)]
    publish(port, f"footfall/v1/sh-023/{camera}/hour", *payloads)


@contextlib.contextmanager
def hours_without_a_database(postgres: Postgres, said: Said, port: int) -> Iterator[None]:
    """Stop the database and publish 50 hours, which wait; start it again at the end."""
    postgres.stop()
    try:
        hours_of(port, "door-a", 50)
        until_said(said, "messages wait")
        yield
    finally:
        postgres.start()


def collector(spawn: Spawn, said: Said, port: int, url: str, *more: object) -> subprocess.Popen[bytes]:
    """Start one; return it when the broker has taken its subscriptions."""
    before = said().count("connected to")
    child = spawn("collect", "--broker", f"mqtt://127.0.0.1:{port}", "--store", url, *more)
    wait_until(lambda: said().count("connected to") > before or child.poll() is not None, "the collector to listen", 30)
    return child


def test_hours_are_stored(own_mosquitto: MakeBroker, spawn: Spawn, said: Said, store_url: str) -> None:
    """In SQLite and in PostgreSQL; asked to stop, the collector says what it did and exits with 0."""
    broker = own_mosquitto()
    child = collector(spawn, said, broker.port, store_url)
    hours_of(broker.port, "door-a", 24)
    wait_until(lambda: len(kept(store_url)) == 24, "24 hours")
    child.send_signal(signal.SIGTERM)

    assert 0 == child.wait(15)
    assert recent(24) == [hour.start for hour in kept(store_url)]
    assert "24 hours stored" in said()


def test_hours_that_come_while_it_is_away_wait_at_the_broker(
    own_mosquitto: MakeBroker, spawn: Spawn, said: Said, tmp_path: Path
) -> None:
    """Stopped, or killed without a word: the broker keeps what comes for it, more than its default of 1,000."""
    broker = own_mosquitto()
    url = str(tmp_path / "hours.sqlite")
    for number, number_of_signal in enumerate((signal.SIGTERM, signal.SIGKILL), 1):
        child = collector(spawn, said, broker.port, url)
        child.send_signal(number_of_signal)
        child.wait(15)
        hours_of(broker.port, f"door-{number}", 1200)
    collector(spawn, said, broker.port, url)
    wait_until(lambda: len(kept(url)) == 2400, "2400 hours", 30)

    assert {("door-1", 1), ("door-2", 1)} == {(hour.camera, hour.revision) for hour in kept(url)}
    assert {} == quarantined(url)


def test_killed_anywhere_it_leaves_no_gap(own_mosquitto: MakeBroker, spawn: Spawn, said: Said, tmp_path: Path) -> None:
    """Killed five times in the middle of 3,000 messages, each is stored once."""
    broker = own_mosquitto()
    url = str(tmp_path / "hours.sqlite")
    child = collector(spawn, said, broker.port, url)
    stored = 0
    for number in range(6):
        hours_of(broker.port, f"door-{number}", 500)
        if number < 5:
            wait_until(partial(has_more, url, stored), "some of them")
            child.kill()
            child.wait()
            stored = len(kept(url))
            child = collector(spawn, said, broker.port, url)
    wait_until(lambda: len(kept(url)) == 3000, "all of them", 60)

    assert 500 * [(48, 41)] == [(hour.in_, hour.out) for hour in kept(url) if hour.camera == "door-5"]


def test_no_message_is_acknowledged_before_it_is_stored(
    own_mosquitto: MakeBroker, postgres: Postgres, spawn: Spawn, said: Said
) -> None:
    """While the database is down hours wait; when it is back they are stored, by the same collector."""
    broker = own_mosquitto()
    url = postgres.database()
    child = collector(spawn, said, broker.port, url)
    with hours_without_a_database(postgres, said, broker.port):
        pass
    wait_until(lambda: len(kept(url)) == 50, "50 hours", 60)

    assert child.poll() is None


def test_killed_while_the_database_is_down_nothing_is_lost(
    own_mosquitto: MakeBroker, postgres: Postgres, spawn: Spawn, said: Said
) -> None:
    """What it held and hadn't stored comes again to the next."""
    broker = own_mosquitto()
    url = postgres.database()
    child = collector(spawn, said, broker.port, url)
    with hours_without_a_database(postgres, said, broker.port):
        child.kill()
        child.wait()
    collector(spawn, said, broker.port, url)
    wait_until(lambda: len(kept(url)) == 50, "50 hours", 60)


def test_the_broker_may_be_started_again(own_mosquitto: MakeBroker, spawn: Spawn, said: Said, tmp_path: Path) -> None:
    """The collector comes back by itself, and says that this broker had forgotten it."""
    broker = own_mosquitto()
    url = str(tmp_path / "hours.sqlite")
    collector(spawn, said, broker.port, url)
    broker.stop()
    until_said(said, "next try in")
    broker.start()
    until_said(said, "has lost our session")
    wait_until(lambda: said().count("connected to") == 2, "the second connection", 30)
    hours_of(broker.port, "door-a", 3)
    wait_until(lambda: len(kept(url)) == 3, "3 hours")


def test_a_session_that_was_lost_is_said_at_the_first_connection(
    own_mosquitto: MakeBroker, spawn: Spawn, said: Said, tmp_path: Path
) -> None:
    """The store remembers that there was one; a collector that has just begun knows no other way."""
    broker = own_mosquitto()
    url = str(tmp_path / "hours.sqlite")
    child = collector(spawn, said, broker.port, url)
    wait_until(lambda: session_of(url, broker.port) is not None, "the session to be noted", 30)
    child.terminate()
    child.wait(15)
    first = said()
    broker.stop()
    broker.start()
    collector(spawn, said, broker.port, url)
    until_said(said, "has lost our session")

    assert "lost our session" not in first


def session_of(url: str, port: int) -> str | None:
    store = open_store(url)
    try:
        return store.session(f"127.0.0.1:{port}", "1")
    finally:
        store.close()


def test_the_queue_of_a_former_release_is_stored(
    own_mosquitto: MakeBroker, spawn: Spawn, said: Said, tmp_path: Path
) -> None:
    """What waits under the client id that older collectors had is fetched, and that session ended."""
    broker = own_mosquitto()
    url = str(tmp_path / "hours.sqlite")
    former = ["mosquitto_sub", "-p", str(broker.port), "-V", "mqttv5", "-i", "footfall-collect-1", "-c", "-q", "1",
              "-x", "4294967295", "-t", "footfall/#"]  # fmt: skip
    subprocess.run([*former, "-E"], check=True, timeout=30)
    hours_of(broker.port, "door-a", 30)
    secret = tmp_path / "password"
    secret.write_text("a password")
    secret.chmod(0o600)
    login = ["--username", "hq", "--password-file", secret]
    collector(spawn, said, broker.port, url, *login)
    wait_until(lambda: len(kept(url)) == 30, "30 hours", 30)
    wait_until(lambda: session_of(url, broker.port) is not None, "the new session to be noted", 30)
    hours_of(broker.port, "door-b", 5)
    wait_until(lambda: len(kept(url)) == 35, "5 more", 30)
    left = subprocess.run([*former, "-W", "1"], capture_output=True, timeout=30, check=False)

    assert client_id("footfall-collect-1", b"a password") == session_of(url, broker.port)
    assert "the session footfall-collect-1 of a former release is empty now" in said()
    assert b"" == left.stdout


def test_gaps_are_said_and_close_by_themselves(
    own_mosquitto: MakeBroker, spawn: Spawn, said: Said, tmp_path: Path
) -> None:
    """Of the camera whose hours are missing, and of no other."""
    broker = own_mosquitto()
    url = str(tmp_path / "hours.sqlite")
    collector(spawn, said, broker.port, url)
    starts = recent(8)
    hours_of(broker.port, "door-b", 8)
    publish(broker.port, TOPIC, *(told(start) for start in (*starts[:3], *starts[6:])))
    until_said(said, f"sh-023/door-a: 3 hours are missing from {starts[3]:%Y-%m-%dT%H:%MZ}")
    publish(broker.port, TOPIC, *(told(start) for start in starts[3:6]))
    until_said(said, "sh-023/door-a: no hour is missing any more")

    assert "door-b" not in said()


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def test_a_broker_with_a_disk_keeps_hours_over_its_own_restart(
    own_mosquitto: MakeBroker, spawn: Spawn, said: Said, tmp_path: Path
) -> None:
    """With persistence what comes while the collector is away is kept: before the broker's restart, and after it."""
    broker = own_mosquitto(
        "allow_anonymous true", "max_queued_messages 0", f"persistence_location {tmp_path}/", "persistence_file kept.db"
    )
    conf = next(tmp_path.glob("mosquitto-*.conf"))
    conf.write_text(conf.read_text().replace("persistence false", "persistence true"))
    assert broker.process is not None
    broker.process.terminate()
    broker.process.wait(10)
    command = ["mosquitto", "-c", str(conf)]
    url = str(tmp_path / "hours.sqlite")
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as first:
        child = collector(spawn, said, broker.port, url)
        child.terminate()
        child.wait(15)
        hours_of(broker.port, "door-a", 30)
        first.terminate()
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as second:
        wait_until(lambda: listens(broker.port), "the broker to listen")
        hours_of(broker.port, "door-b", 30)
        collector(spawn, said, broker.port, url)
        wait_until(lambda: len(kept(url)) == 60, "60 hours", 30)
        second.terminate()

    assert "lost our session" not in said()


def test_collectors_split_the_load(own_mosquitto: MakeBroker, spawn: Spawn, said: Said, tmp_path: Path) -> None:
    """Two that share, each with a store of its own here: every hour is in one of them, and both had work."""
    broker = own_mosquitto()
    urls = [str(tmp_path / name) for name in ("one.sqlite", "two.sqlite")]
    for number, url in enumerate(urls):
        collector(spawn, said, broker.port, url, "--share", "--name", number)
    hours_of(broker.port, "door-a", 300)
    wait_until(lambda: sum(len(kept(url)) for url in urls) == 300, "300 hours")
    one, two = (len(kept(url)) for url in urls)

    assert min(one, two) > 50


def test_one_of_two_leaves_and_nothing_stays_behind(
    own_mosquitto: MakeBroker, spawn: Spawn, said: Said, tmp_path: Path
) -> None:
    """What the broker kept for a collector that is gone is stored by `--leave`; from then on the other gets all."""
    broker = own_mosquitto()
    url = str(tmp_path / "hours.sqlite")
    collector(spawn, said, broker.port, url, "--share", "--name", "stays")
    gone = collector(spawn, said, broker.port, url, "--share", "--name", "goes")
    gone.kill()
    gone.wait()
    hours_of(broker.port, "door-a", 100)
    wait_until(lambda: len(kept(url)) >= 40, "the half of the one that stayed")
    leaving = spawn(
        "collect", "--broker", f"mqtt://127.0.0.1:{broker.port}", "--store", url, "--share", "--name", "goes", "--leave"
    )

    assert 0 == leaving.wait(30)
    assert 100 == len(kept(url))
    hours_of(broker.port, "door-b", 100)
    wait_until(lambda: len(kept(url)) == 200, "all of the second hundred")


def test_two_collectors_under_one_name_are_told(
    own_mosquitto: MakeBroker, spawn: Spawn, said: Said, tmp_path: Path
) -> None:
    """They take the connection from each other, ever more slowly, lose nothing, and say what may be wrong."""
    broker = own_mosquitto()
    url = str(tmp_path / "hours.sqlite")
    collector(spawn, said, broker.port, url)
    collector(spawn, said, broker.port, url)
    until_said(said, "another program connects as footfall-collect-1, too")
    hours_of(broker.port, "door-a", 20)
    wait_until(lambda: len(kept(url)) == 20, "20 hours", 60)


def test_a_broker_that_names_the_takeover_ends_the_collector(tmp_path: Path) -> None:
    """Newer brokers say why they close: then the first of the two ends, and its sentence says what to do."""

    def script(talk: Talk) -> None:
        talk.welcome()
        talk.packet()
        talk.sock.sendall(bytes([0xE0, 0x02, 0x8E, 0x00]))

    broker = FakeBroker(script)
    settings = broker_at(
        f"mqtt://127.0.0.1:{broker.port}", username=None, password_file=None, ca_file=None, protocol="5"
    )

    with pytest.raises(NameTaken, match="--name"):
        collect.run(settings, "1", str(tmp_path / "hours.sqlite"), ManualClock())
    broker.close()


def test_everything_bad_is_seen_named_and_survived(
    own_mosquitto: MakeBroker, spawn: Spawn, said: Said, tmp_path: Path
) -> None:
    """Garbage, oversized, future-dated, wrong-site, a mad clock, two boxes with one name, unknown topics, a trial."""
    broker = own_mosquitto()
    url = str(tmp_path / "hours.sqlite")
    child = collector(spawn, said, broker.port, url)
    start = recent(5)[0]
    publish(broker.port, TOPIC, told(start))
    publish(broker.port, TOPIC, b"\x00\xff\xfe{")
    publish(broker.port, TOPIC, b"{" * 300_000)
    publish(broker.port, TOPIC, told(start + timedelta(days=2)))
    publish(broker.port, TOPIC, told(start - timedelta(days=20_000)))
    publish(broker.port, TOPIC, told(start, site="sh-666"))
    publish(broker.port, TOPIC, told(start, in_=1000, out=999))
    publish(broker.port, TOPIC, told(start, flags={"trial"}))
    publish(broker.port, TOPIC, json.dumps({**json.loads(told(start)), "schema": 2}).encode())
    publish(broker.port, "footfall/v1/sh-023/door-a/photo", b"what is this?")
    publish(broker.port, "footfall/v2/sh-023/hour", told(start))
    publish(broker.port, STATUS, b"perhaps")
    hours_of(broker.port, "door-b", 3)
    wait_until(lambda: len(kept(url)) == 4, "the good ones")

    expected = {
        "garbage": 1, "oversized": 1, "future": 1, "ancient": 1, "names": 1, "conflict": 1, "trial": 1, "schema": 1,
        "topic": 2, "invalid": 1,
    }  # fmt: skip
    wait_until(lambda: expected == quarantined(url), "the bad ones")
    assert child.poll() is None
    assert 48 == next(hour for hour in kept(url) if hour.camera == "door-a").in_
    for reason in set(expected) - {"conflict"}:
        assert f"{TOPIC.rsplit('/', 1)[0]}" in said()
        assert f": {reason}: " in said()
    assert "two boxes may go by one name" in said()


def test_what_a_box_says_of_itself_is_kept(own_mosquitto: MakeBroker, spawn: Spawn, said: Said, tmp_path: Path) -> None:
    """Also what it said before the collector came: that is retained."""
    broker = own_mosquitto()
    url = str(tmp_path / "hours.sqlite")
    publish(broker.port, STATUS, b"online", retain=True)
    publish(broker.port, STATUS.replace("door-a", "door-b"), b"offline", retain=True)
    collector(spawn, said, broker.port, url)
    store = open_store(url)
    wait_until(lambda: len(store.statuses()) == 2, "both")

    assert {"door-a": "online", "door-b": "offline"} == {
        camera: status for (_, camera), (status, _) in store.statuses().items()
    }
    store.close()


def test_the_older_protocol_will_do(own_mosquitto: MakeBroker, spawn: Spawn, said: Said, tmp_path: Path) -> None:
    """MQTT 3.1.1: the same, but that each collector hears everything."""
    broker = own_mosquitto()
    url = str(tmp_path / "hours.sqlite")
    child = collector(spawn, said, broker.port, url, "--protocol", "3.1.1")
    child.kill()
    child.wait()
    hours_of(broker.port, "door-a", 40)
    collector(spawn, said, broker.port, url, "--protocol", "3.1.1")
    wait_until(lambda: len(kept(url)) == 40, "40 hours")


def test_trials_are_stored_when_asked_for(own_mosquitto: MakeBroker, spawn: Spawn, said: Said, tmp_path: Path) -> None:
    """For a rehearsal, in a store of its own."""
    broker = own_mosquitto()
    url = str(tmp_path / "hours.sqlite")
    collector(spawn, said, broker.port, url, "--trial")
    hours_of(broker.port, "door-a", 4, flags={"trial"})
    wait_until(lambda: len(kept(url)) == 4, "4 hours")


def test_a_test_hour_is_shown_and_never_booked(
    own_mosquitto: MakeBroker, spawn: Spawn, said: Said, tmp_path: Path
) -> None:
    """`footfall send-test`, a real broker, a collector that takes trials: logged, in quarantine, not counted."""
    broker = own_mosquitto()
    url = str(tmp_path / "hours.sqlite")
    collector(spawn, said, broker.port, url, "--trial")
    sent = box_command("send-test", "--config", write_config(tmp_path, port=broker.port))
    until_said(said, "a test hour has arrived")
    hours_of(broker.port, "door-a", 1)
    wait_until(lambda: len(kept(url)) == 1, "the hour that counts")

    assert 0 == sent.returncode
    assert "test hour door-a: footfall/v1/sh-023/door-a/hour has taken it" in sent.stdout
    assert {"test": 1} == quarantined(url)
    assert 48 == kept(url)[0].in_


def test_the_quarantine_can_be_judged_again(tmp_path: Path) -> None:
    """Hours that were refused because this machine's clock was wrong are booked once it is right."""
    url = str(tmp_path / "hours.sqlite")
    store = open_store(url)
    start = recent(2)[0]
    messages = [(TOPIC, told(start)), (TOPIC, b"junk")]
    store.add(collect.judge(messages, start - timedelta(days=3)), start)
    before = store.quarantined()
    store.close()
    said = quarantine.rejudge(url, ManualClock(wall=round(start.timestamp() * 1000) + 7_200_000))

    assert {"future": 1, "garbage": 1} == before
    assert 1 == said.stored
    assert {"garbage": 1} == quarantined(url)
    assert [start] == [hour.start for hour in kept(url)]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--broker", "http://x"], 78, "write it as mqtts://"),
        (["--broker", "mqtt://x:y"], 78, "--broker mqtt://x:y"),
        ([], 78, "say where the broker is"),
        (["--broker", "mqtt://127.0.0.1:1", "--store", "/proc/none/hours"], 74, "store /proc/none/hours"),
        (["--broker", "mqtt://127.0.0.1:1", "--username", "a", "--password-file", "/nowhere"], 78, "password file"),
        (["--broker", "mqtt://127.0.0.1:1", "--name", "a/b"], 2, "a name has"),
        (["--broker", "mqtt://127.0.0.1:1", "--protocol", "3.1.1", "--leave"], 78, "needs MQTT 5"),
    ],
)
def test_what_cant_work_is_told_in_a_sentence(
    spawn: Spawn, said: Said, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    """With an exit code of its own, and no stack."""
    store = [] if "--store" in arguments else ["--store", str(tmp_path / "hours.sqlite")]

    assert code == spawn("collect", *arguments, *store).wait(30)
    assert words in said()
    assert "Traceback" not in said()
