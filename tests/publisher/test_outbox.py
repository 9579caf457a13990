"""The link to the broker: a real mosquitto, a listener that isn't ours, and brokers that misbehave."""

from __future__ import annotations

import itertools
import logging
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.config.credentials import context, read_password
from edge.config.schema import Broker, Tls
from edge.core.errors import PasswordFileError
from edge.core.hour import HOUR_MS
from edge.mqtt.limits import LIMITS
from edge.publisher.hours import Span
from edge.publisher.ledger.ledger import Row
from edge.publisher.outbox import OutboxConnection
from tests.publisher.rig import DEADLINE_S, Listener, Mosquitto, free_port, make_certificates, tls_options, wait_until
from tests.publisher.wire import DISCONNECT, FakeBroker, Proxy, Talk, connack, largest_packet, puback, receive_maximum

pytestmark = pytest.mark.processes

MakeBroker = Callable[..., Mosquitto]
Listen = Callable[..., Listener]


class Rows:
    """
    An outbox in memory.

    Attributes:
        rows: What waits.
        done: Payloads in the order of their acknowledgements, repeats included.
        now_ms: What the box's clock shows.
    """

    def __init__(self, number: int = 0) -> None:
        self.rows = [self.row(n) for n in range(number)]
        self.done: list[bytes] = []
        self.now_ms = 1_000 * HOUR_MS
        self._acknowledged: dict[tuple[str, int, int], Row] = {}

    @staticmethod
    def row(number: int, payload: bytes | None = None) -> Row:
        span = Span(number * HOUR_MS, (number + 1) * HOUR_MS)
        return Row("door-a", span, 1, b"hour %d" % number if payload is None else payload, 0, None)

    def outbox(self, camera: str, limit: int) -> list[Row]:
        return list(itertools.islice((row for row in self.rows if row.camera == camera), limit))

    def acknowledge(self, row: Row) -> None:
        self.done.append(row.payload)
        if row.delivered_ms is None:
            self.rows.remove(row)
        self._acknowledged[row.key] = replace(row, delivered_ms=self.now_ms)

    def acknowledged_ms(self, camera: str) -> int | None:
        return max((row.delivered_ms or 0 for row in self._acknowledged.values() if row.camera == camera), default=None)

    def acknowledged(self, camera: str, since_ms: int, after_ms: int, limit: int) -> list[Row]:
        rows = sorted(self._acknowledged.values(), key=lambda row: row.span.start_ms)
        return [
            row
            for row in rows
            if row.camera == camera and (row.delivered_ms or 0) >= since_ms and row.span.start_ms > after_ms
        ][:limit]


class Hands:
    """Monotonic time that a test can push forward, and the rests that the link asked for."""

    def __init__(self) -> None:
        self.pushed_s = 0.0
        self.rests: list[tuple[float, float]] = []

    def now_s(self) -> float:
        return time.monotonic() + self.pushed_s

    def jitter(self, low: float, high: float) -> float:
        self.rests.append((low, high))
        return low


SITES = (f"site-{number}" for number in itertools.count())


class Bench:
    """A link, its outbox and its time."""

    def __init__(self, number: int, site: str | None = None, **broker: Any) -> None:
        self.site = site or next(SITES)
        self.outbox = Rows(number)
        self.hands = Hands()
        broker = {"host": "127.0.0.1", "tls": False, **broker}
        self.connection = OutboxConnection(
            self.site,
            "door-a",
            Broker.model_validate(broker),
            self.outbox,
            lambda: None,
            now_s=self.hands.now_s,
            jitter=self.hands.jitter,
        )
        self.hour = f"footfall/v1/{self.site}/door-a/hour"
        self.status = f"footfall/v1/{self.site}/door-a/status"

    def until(
        self, condition: Callable[[], object], what: str, *, hurry: bool = False, deadline_s: float = DEADLINE_S
    ) -> None:
        """Turn the connection until *condition* holds; with *hurry*, time flies while it waits to reconnect."""
        until = time.monotonic() + deadline_s
        while not condition():
            if time.monotonic() > until:
                pytest.fail(f"waited {deadline_s} s in vain for: {what}; the connection is: {self.connection.state}")
            self.connection.turn()
            if hurry and self.connection.sockets() is None:
                self.hands.pushed_s += 0.05
            time.sleep(0.002)

    def until_done(self, *, hurry: bool = False) -> None:
        self.until(lambda: not self.outbox.rows, "an empty outbox", hurry=hurry)


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make(number: int = 0, **broker: Any) -> Bench:
        benches.append(Bench(number, **broker))
        return benches[-1]

    yield make
    for made in benches:
        made.connection.end(0.5)


@pytest.fixture
def fake() -> Iterator[Callable[[Callable[[Talk], None]], FakeBroker]]:
    brokers: list[FakeBroker] = []

    def make(script: Callable[[Talk], None]) -> FakeBroker:
        brokers.append(FakeBroker(script))
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.close()


MakeBench = Callable[..., Bench]
MakeFake = Callable[[Callable[[Talk], None]], FakeBroker]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_hours_arrive_in_order_and_nothing_else(
    mosquitto: Mosquitto, listen: Listen, bench: MakeBench, protocol: str
) -> None:
    """`online`, each hour once, oldest first, `offline`: on `#` there is nothing more, in both versions of MQTT."""
    listener = listen(mosquitto.port)
    made = bench(20, port=mosquitto.port, protocol=protocol)
    made.until_done()
    made.connection.end(3)
    wait_until(lambda: "offline" in listener.payloads(made.status), "offline")

    expected = [(made.hour, False, f"hour {n}") for n in range(20)]
    heard = [said for said in listener.received if said[0].startswith(f"footfall/v1/{made.site}/")]
    assert [(made.status, False, "online"), *expected, (made.status, False, "offline")] == heard


def test_the_status_is_retained(mosquitto: Mosquitto, listen: Listen, bench: MakeBench) -> None:
    """Who comes later still learns it."""
    made = bench(1, port=mosquitto.port)
    made.until_done()
    late = listen(mosquitto.port, topic=made.status)
    wait_until(lambda: late.received, "the retained status")

    assert [(made.status, True, "online")] == late.received


def test_a_box_that_dies_is_said_to_be_offline(mosquitto: Mosquitto, listen: Listen, bench: MakeBench) -> None:
    """The broker speaks the last will when the connection ends without a word."""
    listener = listen(mosquitto.port)
    made = bench(1, port=mosquitto.port)
    made.until_done()
    found = made.connection.sockets()
    assert found is not None
    found[0].close()
    wait_until(lambda: listener.payloads(made.status) == ["online", "offline"], "the last will")


def test_a_broker_that_is_down_costs_nothing(own_mosquitto: MakeBroker, listen: Listen, bench: MakeBench) -> None:
    """Hours wait while it is down and arrive, each once, when it is up."""
    broker = own_mosquitto(start=False)
    made = bench(5, port=broker.port)
    made.until(lambda: "can't be reached" in made.connection.state, "a failure", hurry=True)
    broker.start()
    listener = listen(broker.port)
    made.until_done(hurry=True)

    assert [f"hour {n}" for n in range(5)] == listener.payloads(made.hour)


def test_a_broker_that_restarts_learns_the_status_again(
    own_mosquitto: MakeBroker, listen: Listen, bench: MakeBench
) -> None:
    """It has lost what was retained; the link says it anew."""
    broker = own_mosquitto()
    made = bench(1, port=broker.port)
    made.until_done()
    broker.stop()
    made.until(lambda: not made.connection.up, "the loss")
    broker.start()
    made.until(lambda: made.connection.up and not made.connection.unanswered(), "the next connection", hurry=True)
    late = listen(broker.port, topic="#", *())  # noqa: B026 - nothing to unpack
    wait_until(lambda: (made.status, True, "online") in late.received or late.payloads(made.status), "the status")

    assert ["online"] == late.payloads(made.status)


def test_a_row_stays_until_its_puback_is_good(bench: MakeBench, fake: MakeFake) -> None:
    """A PUBACK with a failure code is no receipt: the row is sent again, after a rest."""
    answers = iter([0x97, 0x00])

    def script(talk: Talk) -> None:
        talk.welcome()
        while True:
            talk.packet()
            topic, _, mid = talk.published[-1]
            talk.sock.sendall(puback(mid, next(answers) if topic.endswith("/hour") else 0))

    broker = fake(script)
    made = bench(1, port=broker.port)
    made.until(lambda: "refuses" in made.connection.state, "the refusal")
    refused = list(made.outbox.rows)
    made.hands.pushed_s += 2
    made.until_done()

    assert 1 == len(refused)
    assert [b"hour 0"] == made.outbox.done
    assert 2 == sum(topic == made.hour for topic, _, _ in broker.talks[0].published)


def test_a_lost_receipt_means_sending_again(bench: MakeBench, fake: MakeFake) -> None:
    """The connection ends after the PUBLISH and before its PUBACK: the same bytes go out on the next."""
    connections = itertools.count()

    def script(talk: Talk) -> None:
        talk.welcome()
        first = next(connections) == 0
        while True:
            talk.packet()
            topic, _, mid = talk.published[-1]
            if topic.endswith("/hour") and first:
                return
            talk.sock.sendall(puback(mid))

    broker = fake(script)
    made = bench(1, port=broker.port)
    made.until_done(hurry=True)

    assert [b"hour 0"] == made.outbox.done
    assert 2 == sum(p == b"hour 0" for talk in broker.talks for _, p, _ in talk.published)


@pytest.mark.parametrize(("properties", "most"), [(b"", LIMITS.in_flight), (receive_maximum(3), 3)])
def test_few_are_in_flight(bench: MakeBench, fake: MakeFake, properties: bytes, most: int) -> None:
    """However many wait, only so many are unacknowledged at once, fewer if the broker says so."""

    def script(talk: Talk) -> None:
        talk.welcome(properties)
        while True:
            talk.packet()

    broker = fake(script)
    made = bench(100, port=broker.port)
    made.until(lambda: broker.talks and len(broker.talks[0].published) == most, "a full flight")
    for _ in range(50):
        made.connection.turn()
        time.sleep(0.002)

    assert most == len(broker.talks[0].published)


def test_a_wrong_password_is_said_and_tried_again_slowly(
    own_mosquitto: MakeBroker, bench: MakeBench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused credentials make one loud line and rests of minutes; the right ones work at the next try."""
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "sh-023", "right"], check=True)
    passwords.chmod(0o644)
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    broker = own_mosquitto("allow_anonymous false", f"password_file {passwords}")
    made = bench(1, port=broker.port, username="sh-023", password_file=secret)
    made.until(lambda: "refused" in made.connection.state, "the refusal")
    state = made.connection.state
    secret.write_text("right\n")
    made.hands.pushed_s += LIMITS.longest_wait_s
    made.until_done()

    assert [(LIMITS.longest_wait_s / 2, LIMITS.longest_wait_s)] == made.hands.rests
    assert "user name or password" in state or "may not" in state
    assert [logging.ERROR] == [record.levelno for record in caplog.records if "refused" in record.message]


@pytest.mark.parametrize(("reason", "slow"), [(0x88, False), (0x89, False), (0x87, True), (0x8A, True), (0x84, True)])
def test_refusals_are_told_apart(bench: MakeBench, fake: MakeFake, reason: int, slow: bool) -> None:
    """A busy server is asked again soon; one that will never say yes, rarely."""

    def script(talk: Talk) -> None:
        talk.packet()
        talk.sock.sendall(connack(reason))
        talk.packet()

    made = bench(1, port=fake(script).port)
    made.until(lambda: "refused" in made.connection.state, "the refusal")

    assert [(LIMITS.longest_wait_s / 2, LIMITS.longest_wait_s) if slow else (0.0, 2.0)] == made.hands.rests
    assert not made.connection.up


def test_rests_grow_to_five_minutes(bench: MakeBench) -> None:
    """Each failure doubles the longest rest, up to 300 s; within it anything may come (full jitter)."""
    made = bench(1, port=free_port())
    made.until(lambda: len(made.hands.rests) >= 10, "ten failures", hurry=True)

    assert [(0.0, min(300.0, 2.0**n)) for n in range(1, 11)] == made.hands.rests[:10]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_takeover_is_recognised(
    mosquitto: Mosquitto, bench: MakeBench, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    """A second box under the same name: both say so, loudly, and don't fight over it, also where no broker tells."""
    first = bench(1, port=mosquitto.port, protocol=protocol)
    first.until_done()
    second = bench(1, site=first.site, port=mosquitto.port, protocol=protocol)
    boxes = (first, second)

    def all_know() -> bool:
        # Each goes on while the other waits, as two boxes do.
        for box in boxes:
            box.connection.turn()
            if box.connection.sockets() is None and "another box" not in box.connection.state:
                box.hands.pushed_s += 0.05
        return any("another box has connected" in box.connection.state for box in boxes)

    wait_until(all_know, "one box to give way")
    gave_way = next(box for box in boxes if "another box" in box.connection.state)

    second.until_done()
    assert (LIMITS.longest_wait_s / 2, LIMITS.longest_wait_s) == gave_way.hands.rests[-1]
    assert any(record.levelno == logging.ERROR and "another box" in record.message for record in caplog.records)


def test_a_takeover_that_is_told_is_believed_at_once(bench: MakeBench, fake: MakeFake) -> None:
    """MQTT 5 has a word for it (0x8E); the link rests for minutes after the first."""

    def script(talk: Talk) -> None:
        talk.welcome()
        talk.packet()
        talk.sock.sendall(bytes([0xE0, 0x01, 0x8E]))
        talk.packet()

    made = bench(0, port=fake(script).port)
    made.until(lambda: made.hands.rests, "the loss")

    assert "another box has connected" in made.connection.state
    assert [(LIMITS.longest_wait_s / 2, LIMITS.longest_wait_s)] == made.hands.rests


def test_a_broker_that_restarts_is_no_takeover(own_mosquitto: MakeBroker, bench: MakeBench) -> None:
    """Hang-ups with a broker that is down between them are what they look like."""
    broker = own_mosquitto()
    made = bench(0, port=broker.port)
    for _ in range(4):
        made.until(lambda: made.connection.up, "the welcome", hurry=True)
        broker.stop()
        made.until(lambda: "refused" in made.connection.state, "a failed try", hurry=True)
        broker.start()

    assert "another box" not in made.connection.state


def test_a_half_open_link_is_found_dead(mosquitto: Mosquitto, listen: Listen, bench: MakeBench) -> None:
    """Packets vanish without a word: after the time an answer may take, everything goes out on a new connection."""
    listener = listen(mosquitto.port)
    proxy = Proxy(mosquitto.port)
    made = bench(3, port=proxy.port)
    made.until_done()
    proxy.silent = True
    made.outbox.rows = Rows(5).rows[3:]
    made.until(lambda: len(made.connection.unanswered()) == 2, "two hours under way")
    made.hands.pushed_s += LIMITS.answer_s + 1
    made.connection.turn()
    lost = made.connection.state
    proxy.silent = False
    made.until_done(hurry=True)
    made.until(lambda: not (made.connection._repeating or made.connection.unanswered()), "the repeats")
    wait_until(lambda: len(listener.payloads(made.hour)) >= 10, "all of them at the listener")
    proxy.close()

    assert "acknowledges nothing" in lost
    assert [f"hour {n}" for n in (*range(5), *range(5))] == listener.payloads(made.hour)


def test_a_broker_that_doesnt_answer_connect_is_left(bench: MakeBench, fake: MakeFake) -> None:
    """Neither does the link wait for ever, nor does it hold up the loop."""

    def listen_only(talk: Talk) -> None:
        talk.packet()
        talk.packet()

    made = bench(1, port=fake(listen_only).port)
    made.until(lambda: made.connection.sockets() is not None, "the connection")
    made.hands.pushed_s += LIMITS.answer_s + 1
    made.until(lambda: "doesn't answer CONNECT" in made.connection.state, "the end of patience")


def test_ninety_days_drain_oldest_first(mosquitto: Mosquitto, listen: Listen, bench: MakeBench) -> None:
    """A long outage ends with every hour delivered once, in order."""
    listener = listen(mosquitto.port)
    made = bench(90 * 24, port=mosquitto.port)
    made.until(lambda: not made.outbox.rows, "an empty outbox", deadline_s=20 * DEADLINE_S)
    wait_until(lambda: len(listener.payloads(made.hour)) >= 90 * 24, "the last hour")

    assert [f"hour {n}" for n in range(90 * 24)] == listener.payloads(made.hour)


# --- what a broker may have lost -------------------------------------------------------------------------------------


class Stations:
    """
    A fake broker that acknowledges everything, and what it was sent on each connection.

    Attributes:
        present: Whether it says that it still has the session.
        reason: The PUBACK's reason code of an hour.
        properties: Of its CONNACK.
    """

    def __init__(self, fake: MakeFake) -> None:
        self.present = True
        self.reason = 0
        self.properties = b""
        self.left: list[int] = []
        self.broker = fake(self._serve)

    def _serve(self, talk: Talk) -> None:
        talk.welcome(self.properties, present=self.present)
        while True:
            kind, _ = talk.packet()
            if kind == DISCONNECT:
                self.left.append(len(self.broker.talks))
                return
            topic, _, mid = talk.published[-1]
            talk.sock.sendall(puback(mid, self.reason if topic.endswith("/hour") else 0))

    def hours(self) -> list[int]:
        """Return which hours the newest connection was sent, in order."""
        published = list(self.broker.talks[-1].published)
        return [int(payload.split()[1]) for topic, payload, _ in published if topic.endswith("/hour")]

    def hang_up(self) -> None:
        self.broker.talks[-1].sock.shutdown(socket.SHUT_RDWR)


def more_talks(stations: Stations, than: int) -> bool:
    return len(stations.broker.talks) > than


def closed(made: Bench, *numbers: int, at_h: float) -> None:
    """Let hours come into the outbox and be acknowledged, while the box's clock shows *at_h*."""
    made.outbox.now_ms = round(at_h * HOUR_MS)
    made.outbox.rows += [Rows.row(number) for number in numbers]
    made.until_done()


def again(made: Bench, stations: Stations) -> None:
    """Break the connection, and wait for the next one to have nothing left to send."""
    connections = len(stations.broker.talks)
    stations.hang_up()
    made.until(lambda: not made.connection.up, "the loss")
    made.until(
        lambda: len(stations.broker.talks) > connections and made.connection.up and not made.connection._repeating
        and not made.connection.unanswered(), "the next connection", hurry=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("present", "expected"), [(True, [98, 99]), (False, list(range(51, 100)))], ids=["kept", "lost"]
)
def test_what_was_acknowledged_lately_is_sent_again(
    bench: MakeBench, fake: MakeFake, present: bool, expected: list[int]
) -> None:
    """On a new connection: what the last hour brought, and to a broker that lost the session the last 48 hours."""
    stations = Stations(fake)
    made = bench(0, port=stations.broker.port)
    for number in range(100):
        closed(made, number, at_h=number)
    stations.present = present
    again(made, stations)

    assert expected == stations.hours()
    assert [] == made.outbox.rows


def test_a_process_that_begins_sends_the_last_48_hours_again(bench: MakeBench, fake: MakeFake) -> None:
    """It doesn't know what the broker went through meanwhile; a box that has sent nothing yet repeats nothing."""
    stations = Stations(fake)
    made = bench(0, port=stations.broker.port)
    closed(made, *range(3), at_h=10)
    first = stations.hours()
    closed(made, *range(3, 60), at_h=70)
    made.connection.end(1)
    begun = Bench(0, site=made.site, port=stations.broker.port)
    begun.outbox = made.outbox
    begun.connection._outbox = made.outbox
    begun.until(lambda: begun.connection.up and not begun.connection._repeating, "the repeats")
    begun.until(lambda: not begun.connection.unanswered(), "their answers")
    begun.connection.end(1)

    assert [0, 1, 2] == first
    assert list(range(3, 60)) == stations.hours()


def test_new_hours_go_before_repeated_ones(bench: MakeBench, fake: MakeFake) -> None:
    """And the newest comes last of all, for whoever only keeps what came last."""
    stations = Stations(fake)
    made = bench(0, port=stations.broker.port)
    closed(made, *range(20), at_h=20)
    made.outbox.rows.append(Rows.row(20))
    stations.hang_up()
    made.until(lambda: not made.connection.up, "the loss")
    made.until(lambda: len(stations.broker.talks) == 2 and made.connection.up, "the next", hurry=True)
    made.until(lambda: not (made.connection._repeating or made.connection.unanswered()), "the repeats")

    assert [20, *range(21)] == stations.hours()


def test_what_nobody_received_is_sent_again_once_somebody_subscribes(
    bench: MakeBench, fake: MakeFake, caplog: pytest.LogCaptureFixture
) -> None:
    """MQTT 5 tells that nobody subscribes: the box says so once, and repeats when the first hour is received."""
    stations = Stations(fake)
    stations.reason = 0x10
    made = bench(0, port=stations.broker.port)
    closed(made, *range(5), at_h=5)
    state = made.connection.state
    stations.reason = 0
    closed(made, 5, at_h=6)
    made.until(lambda: not (made.connection._repeating or made.connection.unanswered()), "the repeats")

    assert "nobody subscribes" in state
    assert "connected" == made.connection.state
    assert [*range(6), *range(6)] == stations.hours()
    assert 1 == sum("nobody subscribes" in record.message for record in caplog.records)


def test_a_repeat_that_is_refused_is_tried_again(bench: MakeBench, fake: MakeFake) -> None:
    """A broker whose quota is used up loses nothing by it."""
    stations = Stations(fake)
    made = bench(0, port=stations.broker.port)
    closed(made, *range(3), at_h=3)
    stations.reason = 0x97
    stations.hang_up()
    made.until(lambda: "refuses" in made.connection.state, "the refusal", hurry=True)
    made.until(lambda: not made.connection.unanswered(), "all answers")
    stations.reason = 0
    made.hands.pushed_s += 2
    before = len(made.outbox.done)
    made.until(lambda: len(made.outbox.done) >= before + 3, "the repeats")

    assert [b"hour 0", b"hour 1", b"hour 2"] == made.outbox.done[before:]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_broker_killed_after_its_acknowledgements_loses_nothing(
    tmp_path: Path, listen: Listen, bench: MakeBench, protocol: str
) -> None:
    """A real mosquitto, SIGKILL at the worst moment: all is acknowledged, nothing saved, the subscriber away."""
    broker = Mosquitto(tmp_path, keeps=True, autosave=("autosave_interval 3600",))
    keeper = ["-c", "-i", "keeper", "-V", "mqttv311"]
    made = bench(0, port=broker.port, protocol=protocol)
    broker.start()
    try:
        made.until(lambda: made.connection.up, "the connection", hurry=True)
        first = listen(broker.port, *keeper)
        wait_until(lambda: first.received, "the subscription")
        first.close()
        assert broker.process is not None
        broker.process.terminate()  # it saves: both sessions, and no hour
        broker.process.wait(15)
        broker.start()
        made.outbox.rows = [Rows.row(number) for number in range(30)]
        made.until_done(hurry=True)
        made.until(lambda: not (made.connection._repeating or made.connection.unanswered()), "all answers")
        broker.stop()
        made.until(lambda: not made.connection.up, "the loss")
        broker.start()
        made.until(lambda: made.connection.up, "the next connection", hurry=True)
        made.until(lambda: not (made.connection._repeating or made.connection.unanswered()), "the repeats")
        second = listen(broker.port, *keeper, topic="nothing")
        wait_until(lambda: len(second.payloads(made.hour)) >= 30, "every hour")
        heard = second.payloads(made.hour)
    finally:
        broker.stop()

    assert [f"hour {number}" for number in range(30)] == heard


# --- brokers with a narrow door --------------------------------------------------------------------------------------


def test_a_broker_that_takes_only_small_packets_is_told_once(
    bench: MakeBench, fake: MakeFake, caplog: pytest.LogCaptureFixture
) -> None:
    """Its CONNACK says so: no hour is sent in vain, the status stays, and it is asked again every few minutes."""
    stations = Stations(fake)
    stations.properties = largest_packet(256)
    made = bench(0, port=stations.broker.port)
    made.outbox.rows = [Rows.row(0, b"hour " + 300 * b"0")]
    made.until(lambda: "at most 256 bytes" in made.connection.state, "the sentence")
    states = set()
    for _ in range(3):
        before = len(stations.broker.talks)
        made.hands.pushed_s += LIMITS.longest_wait_s
        made.until(partial(more_talks, stations, before), "another try")
        made.until(lambda: made.connection.up, "the welcome")
        states.add(made.connection.state)
    hours = [payload for talk in stations.broker.talks for topic, payload, _ in talk.published if topic == made.hour]
    statuses = {payload for talk in stations.broker.talks for topic, payload, _ in talk.published}
    stations.properties = largest_packet(1_024)
    made.hands.pushed_s += LIMITS.longest_wait_s
    made.until_done()

    assert 1 == len(states)
    assert "an hour has" in states.pop()
    assert [] == hours
    assert {b"online"} == statuses
    assert len(stations.broker.talks) - 1 == len(stations.left)
    assert 1 == sum("at most 256 bytes" in record.message for record in caplog.records)
    assert "connected" == made.connection.state


def test_a_connection_that_begins_anew_says_online_twice(bench: MakeBench, fake: MakeFake) -> None:
    """The last will of a connection under the client id of a former release may come in between."""
    stations = Stations(fake)
    stations.present = False
    made = bench(0, port=stations.broker.port)
    made.until(lambda: made.connection.up and not made.connection.unanswered(), "the status")
    made.hands.pushed_s += 2 * 60 + 1
    made.until(lambda: len(stations.broker.talks[0].published) == 2, "the second status")

    assert [b"online", b"online"] == [payload for _, payload, _ in stations.broker.talks[0].published]


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make two authorities, a broker's certificate for 127.0.0.1 and one for another name, and a box's."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def test_tls_with_a_private_authority(own_mosquitto: MakeBroker, bench: MakeBench, certificates: Path) -> None:
    """The broker is known by the authority that the config names."""
    broker = own_mosquitto(*tls_options(certificates))
    made = bench(3, port=broker.port, tls={"ca_file": certificates / "ca.pem"})
    made.until_done()

    assert [b"hour 0", b"hour 1", b"hour 2"] == made.outbox.done


@pytest.mark.parametrize("tls", [True, {}])
def test_tls_with_the_systems_authorities(
    own_mosquitto: MakeBroker, bench: MakeBench, certificates: Path, monkeypatch: pytest.MonkeyPatch, tls: object
) -> None:
    """Without `ca_file` the broker is known by the authorities that the system trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    made = bench(1, port=own_mosquitto(*tls_options(certificates)).port, tls=tls)
    made.until_done()

    assert [b"hour 0"] == made.outbox.done


@pytest.mark.parametrize(
    ("name", "tls", "cause"),
    [
        ("broker", {"ca_file": "other-ca.pem"}, "certificate verify failed"),
        ("broker", {}, "certificate verify failed"),
        ("stranger", {"ca_file": "ca.pem"}, "IP address mismatch"),
        ("broker", {"ca_file": "nowhere.pem"}, "No such file"),
    ],
)
def test_a_broker_that_cant_be_known_gets_nothing(
    own_mosquitto: MakeBroker, bench: MakeBench, certificates: Path, name: str, tls: dict[str, str], cause: str
) -> None:
    """Another authority, another name, or no authority at all: no connection, and a sentence that says why."""
    broker = own_mosquitto(*tls_options(certificates, name))
    made = bench(1, port=broker.port, tls={key: certificates / file for key, file in tls.items()})
    made.until(lambda: "can't be reached" in made.connection.state, "the refusal")

    assert cause in made.connection.state
    assert [] == made.outbox.done


def test_a_client_certificate_is_shown(own_mosquitto: MakeBroker, bench: MakeBench, certificates: Path) -> None:
    """A broker that asks for one lets in who has it, and nobody else."""
    broker = own_mosquitto(*tls_options(certificates), "require_certificate true")
    mine = {"ca_file": "ca.pem", "cert_file": "box.pem", "key_file": "box.key"}
    made = bench(1, port=broker.port, tls={key: certificates / file for key, file in mine.items()})
    made.until_done()
    without = bench(1, port=broker.port, tls={"ca_file": certificates / "ca.pem"})
    without.until(lambda: "can't be reached" in without.connection.state, "the refusal")

    assert [] == without.outbox.done


def test_old_tls_is_not_spoken(certificates: Path) -> None:
    """1.2 is the oldest."""
    made = context(Tls(ca_file=certificates / "ca.pem"))

    assert ssl.TLSVersion.TLSv1_2 == made.minimum_version
    assert made.check_hostname


# --- hostile brokers -------------------------------------------------------------------------------------------------


UNWANTED = "publishes to this box, which subscribes to nothing"
BROKEN = "can't be reached"


@pytest.mark.parametrize(
    ("packet", "cause"),
    [
        (bytes([0x30, 0xFF, 0xFF, 0xFF, 0x7F]), BROKEN),  # a PUBLISH of 256 MiB
        (bytes([0x40, 0xFF, 0xFF, 0xFF, 0x7F]) + bytes(1_000_000), BROKEN),  # a PUBACK of as much
        (bytes([0x30, 0x05, 0x00, 0x01]) + b"a" + bytes([0x00]) + b"x", UNWANTED),
        (bytes([0x34, 0x07, 0x00, 0x01]) + b"a" + bytes([0x00, 0x01, 0x00]) + b"x", UNWANTED),  # the same, QoS 2
        (bytes([0x90, 0x03, 0x00, 0x01, 0x00]), "it sent what isn't meant for this client"),  # a SUBACK
        (bytes([0x40, 0x01, 0x00]), "it sent what can't be read"),  # half a PUBACK
        (bytes([0x40, 0x04, 0x00, 0x01, 0xEE, 0x00]), "it sent what can't be read"),  # a reason that doesn't exist
        (bytes([0x20, 0x01, 0x00]), BROKEN),  # half a CONNACK
        (bytes([0xF0, 0x00]), "it sent what isn't meant for this client"),
        (bytes([0x40, 0x80, 0x80, 0x80, 0x80, 0x01]), "it sent what can't be read"),  # an endless length
    ],
)
def test_what_isnt_meant_for_a_box_ends_the_connection(
    bench: MakeBench, fake: MakeFake, packet: bytes, cause: str
) -> None:
    """And only the connection: another is made. The sentence says what was wrong."""

    def script(talk: Talk) -> None:
        talk.welcome()
        talk.packet()
        talk.sock.sendall(packet)
        while talk.packet()[0] != DISCONNECT:
            pass

    broker = fake(script)
    made = bench(0, port=broker.port)
    made.until(lambda: cause in made.connection.state, "the sentence")

    assert not made.connection.up
    assert [b"online"] == [payload for _, payload, _ in broker.talks[0].published]


@pytest.mark.parametrize("order", ["before", "after", "beside"])
def test_hours_get_through_to_a_broker_that_publishes_to_boxes(
    bench: MakeBench, fake: MakeFake, caplog: pytest.LogCaptureFixture, order: str
) -> None:
    """A server-side subscription echoes what a box publishes: every PUBACK counts, and the sentence says why."""
    echo = bytes([0x30, 0x05, 0x00, 0x01]) + b"a" + bytes([0x00]) + b"x"

    def script(talk: Talk) -> None:
        talk.welcome()
        if order == "before":
            talk.sock.sendall(echo)
        while True:
            talk.packet()
            receipt = puback(talk.published[-1][2])
            talk.sock.sendall(receipt + echo if order == "after" else echo + receipt)

    broker = fake(script)
    made = bench(12, port=broker.port)
    made.until(lambda: not made.outbox.rows, "an empty outbox", hurry=True)
    made.until(lambda: not made.connection.up, "the end of the connection")

    assert 1 == len(broker.talks)
    assert [b"hour %d" % n for n in range(12)] == list(dict.fromkeys(made.outbox.done))
    assert UNWANTED in made.connection.state
    assert [logging.ERROR] == [record.levelno for record in caplog.records if UNWANTED in record.message]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.binary(max_size=80), st.sampled_from([connack(), puback(1), puback(2), b"\x20\x02\0\1"]))))
def test_no_bytes_from_a_broker_end_more_than_the_connection(fake: MakeFake, pieces: list[bytes]) -> None:
    """Whatever a broker answers, the link survives and no row is taken for delivered that wasn't sent."""

    def script(talk: Talk) -> None:
        talk.packet()
        for piece in pieces:
            talk.sock.sendall(piece)

    broker = fake(script)
    made = Bench(2, port=broker.port)
    made.until(lambda: made.hands.rests, "the end of the connection")
    made.connection.end(0)
    broker.close()

    assert len(made.outbox.done) + len(made.outbox.rows) == 2


# --- the password ----------------------------------------------------------------------------------------------------


def broker_with(path: Path) -> Broker:
    return Broker.model_validate({"host": "127.0.0.1", "username": "u", "password_file": path})


@pytest.mark.parametrize(("written", "password"), [("secret\n", "secret"), ("secret", "secret"), (" s p \n", " s p ")])
def test_one_newline_is_no_part_of_the_password(tmp_path: Path, written: str, password: str) -> None:
    """As editors leave it."""
    path = tmp_path / "password"
    path.write_text(written)
    path.chmod(0o640)

    assert password == read_password(broker_with(path))


def test_a_password_file_that_cant_be_used_is_refused(tmp_path: Path) -> None:
    """Readable by others, empty, missing, or no text: each in a sentence, and none with the password in it."""
    path = tmp_path / "password"
    with pytest.raises(PasswordFileError, match="No such file"):
        read_password(broker_with(path))
    path.write_text("\n")
    path.chmod(0o600)
    with pytest.raises(PasswordFileError, match="empty"):
        read_password(broker_with(path))
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PasswordFileError, match="UTF-8"):
        read_password(broker_with(path))
    path.write_text("hush")
    path.chmod(0o604)

    with pytest.raises(PasswordFileError, match="chmod o=") as refusal:
        read_password(broker_with(path))
    assert "hush" not in str(refusal.value)


def test_systemds_copy_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under systemd the publisher can't read the file itself."""
    (tmp_path / "mqtt.password").write_text("from systemd\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    assert "from systemd" == read_password(broker_with(tmp_path / "unreadable"))
