"""
The part of `footfall check` that goes to the broker, step by step, as the publisher does, and leaves nothing behind.

It must not disturb a publisher that runs: it logs in under a client name of its own, so that the broker doesn't take
the publisher's session away, and it leaves no last will. On a camera's status topic it publishes `online`, not
retained, where this box's own publisher is connected, and otherwise nothing: the camera may be counting on another box
under the same name, and then `offline` would be a lie. `footfall send-test` goes the same way with a test hour for
each camera.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from paho.mqtt.reasoncodes import ReasonCode

from edge.config.credentials import context
from edge.config.schema import Broker, PublisherSettings, is_loopback
from edge.core import topics
from edge.core.clock import KernelClock
from edge.core.errors import BrokerRefused, PasswordFileError, PublishError
from edge.mqtt.client import Session
from edge.mqtt.connection import BrokerConnection
from edge.mqtt.connector import Welcome
from edge.mqtt.limits import LIMITS
from edge.mqtt.reasons import NO_SUBSCRIBER, words
from edge.technician import proc
from edge.technician.check.check_result import CheckResult, fail, ok, warn

_ANSWER_S = 10.0
_SOON_DAYS = 21
_DAY_S = 86_400

_LOGIN_REFUSED = (0x86, 0x87)
"""Reason codes with which brokers answer a wrong password: the standard's own, and mosquitto's "not authorized"."""
_NOT_YET_VALID, _EXPIRED = 9, 10
_WRONG_NAME = (62, 63, 64)
"""OpenSSL's verification results."""


def check_broker(settings: PublisherSettings, hours: Mapping[str, bytes] | None = None) -> Iterator[CheckResult]:
    """
    Go as far as the broker lets us; the first step that fails is the last.

    Args:
        settings: The publisher's slice of the config.
        hours: A test hour for each camera, to be published; without them only what is known of the status is.
    """
    broker = settings.broker
    try:
        addresses = _addresses(broker)
    except OSError as exc:
        yield fail(
            "broker name",
            f"{broker.host} has no address: {exc.strerror or exc}",
            "look at `broker.host`, at the network, and at the name server: resolvectl query " + broker.host,
        )
        return
    yield ok("broker name", f"{broker.host} is {', '.join(addresses)}")
    try:
        with socket.create_connection((broker.host, broker.port), timeout=_ANSWER_S) as sock:
            yield ok("broker TCP", f"port {broker.port} answers")
            if broker.tls is None:
                yield _untold(broker)
            else:
                yield from _tls(broker, sock)
    except _Stopped:
        return
    except OSError as exc:
        yield fail(
            "broker TCP",
            f"port {broker.port}: {exc.strerror or exc}",
            "look at `broker.port`, and ask for this port to be let out of the shop's network",
        )
        return
    with _Guest(settings) as guest:
        yield from guest.check(hours)


class _Stopped(Exception):
    """What follows can't be looked at; why was told already."""


def _addresses(broker: Broker) -> list[str]:
    found = socket.getaddrinfo(broker.host, broker.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def _untold(broker: Broker) -> CheckResult:
    if is_loopback(broker.host):
        return ok("broker TLS", "none, and none is needed: the broker is on this box")
    return warn("broker TLS", "none: counts and password cross the network in clear text", "set `tls: true`")


def _tls(broker: Broker, sock: socket.socket) -> Iterator[CheckResult]:
    """Shake hands, and look at the certificate."""
    assert broker.tls is not None  # noqa: S101 - asked by the caller
    try:
        with context(broker.tls).wrap_socket(sock, server_hostname=broker.host) as secured:
            certificate: dict[str, Any] = secured.getpeercert() or {}
            version = secured.version()
    except ssl.SSLCertVerificationError as exc:
        yield fail("broker TLS", f"the certificate can't be trusted: {exc.verify_message}", _tls_advice(exc, broker))
        raise _Stopped from exc
    except FileNotFoundError as exc:
        yield fail("broker TLS", f"{exc.filename} isn't there", "bring it, or name another file under `broker.tls`")
        raise _Stopped from exc
    except (ssl.SSLError, ConnectionError, TimeoutError, PermissionError) as exc:
        cause = exc.reason if isinstance(exc, ssl.SSLError) and exc.reason else exc.strerror or str(exc)
        yield fail(
            "broker TLS",
            f"no handshake on port {broker.port}: {cause}",
            "is this the port for TLS (8883)? Does the broker want a certificate of this box (`cert_file`)?",
        )
        raise _Stopped from exc
    until_s = ssl.cert_time_to_seconds(certificate["notAfter"])
    days = int(until_s - KernelClock().wall_ms() / 1000) // _DAY_S
    issuer = {key: value for part in certificate["issuer"] for key, value in part}
    by = issuer.get("organizationName") or issuer.get("commonName", "?")
    found = f"{version}, chain and name are right, issued by {by}, valid for {days} more days"
    if days < _SOON_DAYS:
        yield warn("broker TLS", found, "tell headquarters: no hour arrives once it has expired")
    else:
        yield ok("broker TLS", found)


def _tls_advice(exc: ssl.SSLCertVerificationError, broker: Broker) -> str:
    if exc.verify_code == _EXPIRED:
        return "headquarters must renew the broker's certificate; look at this box's clock, too"
    if exc.verify_code == _NOT_YET_VALID:
        return "look at this box's clock"
    if exc.verify_code in _WRONG_NAME:
        return f"set `broker.host` to a name that stands in the certificate; {broker.host} doesn't"
    return "name the authority that signed it in `broker.tls.ca_file`; if you did, it isn't the right one"


class _Guest(BrokerConnection):
    """One connection beside the publisher's, of which the broker keeps nothing."""

    def __init__(self, settings: PublisherSettings) -> None:
        session = Session(f"footfall-{settings.site}-{settings.cameras[0].name}-check")
        super().__init__(settings.broker, session, limits=replace(LIMITS, connect_s=_ANSWER_S, answer_s=_ANSWER_S))
        self._settings = settings
        self._welcome: Welcome | None = None
        self._ended: PublishError | None = None
        self._answers: dict[str, ReasonCode] = {}
        self._refusal: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self, hours: Mapping[str, bytes] | None) -> Iterator[CheckResult]:
        """Log in, and publish for each camera."""
        user = f"as {self.broker.username}" if self.broker.username else "without a user name"
        self._until(lambda: self._welcome is not None)
        if self._welcome is None:
            yield self._no_login(user)
            return
        yield ok("broker login", f"accepted {user}, MQTT {self.broker.protocol}")
        if not (self._welcome.keeps_retained and self._welcome.offers_qos_1):
            yield fail("broker features", "it keeps no retained messages, or knows no QoS 1", "use another broker")
        for camera in self._settings.cameras:
            yield (
                self._publish_status(camera.name) if hours is None else self._send_test(camera.name, hours[camera.name])
            )

    def _no_login(self, user: str) -> CheckResult:
        if isinstance(self._ended, PasswordFileError):
            cause, _, advice = str(self._ended).rpartition("; ")
            denied = isinstance(self._ended.__cause__, PermissionError)
            hint = "run this with sudo" if denied else advice if cause else "write the password into that file"
            return fail("broker login", cause or str(self._ended), hint)
        if isinstance(self._ended, BrokerRefused):
            if self._refusal in _LOGIN_REFUSED:
                cause = (
                    "the broker doesn't know this user name with this password"
                    if self.broker.username
                    else "the broker wants a user name and a password"
                )
                return fail("broker login", f"{user}: {cause}", self._login_advice())
            return fail("broker login", f"{user}: refused: {self.cause}", self._login_advice())
        if not self.reached:
            advice = "try again; if it stays, ask headquarters for the broker's log"
            return fail("broker login", f"{user}: {self.cause}", advice)
        advice = "does it want a certificate of this box (`broker.tls.cert_file`)? Is it an MQTT broker?"
        return fail("broker login", f"{user}: {self.cause or f'no answer within {_ANSWER_S:g} s'}", advice)

    def _login_advice(self) -> str:
        """Return which of this box's settings and files say who it is."""
        if self.broker.username is None:
            return "ask headquarters for both; set `broker.username` and `broker.password_file`"
        file = self.broker.password_file
        where = "set `broker.password_file`" if file is None else f"compare {file} with what headquarters gave you"
        return f"{where}; `broker.username` is {self.broker.username}"

    def _publish_status(self, camera: str) -> CheckResult:
        """Say `online` where that is known to be so, and find whether this user may say it."""
        topic = topics.status_topic(self._settings.site, camera)
        what = f"broker publish {camera}"
        if not _is_online(self._settings.ledger, camera):
            return warn(
                what,
                "not tried: this box's publisher isn't connected, so there is nothing true to publish",
                "type `footfall send-test`: it publishes a test hour, which headquarters shows and never counts",
            )
        said = f"{topic} takes `{topics.ONLINE.decode()}`, not retained"
        return self._publish(what, topic, topics.ONLINE, said)

    def _send_test(self, camera: str, payload: bytes) -> CheckResult:
        """Publish a test hour of the camera."""
        topic = topics.hour_topic(self._settings.site, camera)
        return self._publish(f"test hour {camera}", topic, payload, f"{topic} has taken it")

    def _publish(self, what: str, topic: str, payload: bytes, said: str) -> CheckResult:
        """Publish *payload* on *topic*, not retained, and tell what the broker answered: *said* if all is well."""
        if self.up:
            self.publish(topic, payload, topic)
            self._until(lambda: topic in self._answers)
        if topic not in self._answers:
            cause = self.cause or f"no acknowledgement within {_ANSWER_S:g} s"
            return fail(what, f"{topic}: {cause}", "ask headquarters whether this user may publish there")
        reason = self._answers[topic]
        if reason.is_failure:
            return fail(
                what,
                f"{topic}: {words(reason.value, reason.getName())}",
                f"ask headquarters to let this user publish on {topic.rpartition('/')[0]}/hour and …/status",
            )
        if self.broker.protocol != "5":
            return warn(
                what,
                f"{said}, but in MQTT 3.1.1 a broker acknowledges what it throws away, too",
                'ask headquarters whether it came; with `protocol: "5"` the broker says so itself',
            )
        if reason.value == NO_SUBSCRIBER:
            return warn(what, f"{said}, but nobody subscribes to it now", "ask headquarters whether it listens")
        return ok(what, said)

    def _until(self, condition: Callable[[], bool]) -> None:
        """Talk with the broker until *condition* holds, the connection has ended, or it takes too long."""
        until_s = self.now_s() + 2 * _ANSWER_S
        while not condition() and self._ended is None and self.now_s() < until_s:
            self.wait(0.2)
            self.turn()

    def log_once(self, level: int, sentence: str, what: str | None = None) -> None:
        """Log nothing: what went wrong becomes a finding."""

    def on_welcome(self, welcome: Welcome) -> None:
        """Note what the broker can do."""
        self._welcome = welcome

    def on_acknowledged(self, tag: Any, reason: ReasonCode) -> None:
        """Note the answer on a topic."""
        self._answers[tag] = reason

    def on_lost(self, loss: PublishError, code: int | None) -> None:
        """Note why; there is no second try."""
        self._ended, self._refusal = loss, code


def _is_online(ledger: Path, camera: str) -> bool:
    """Tell whether the own `online` of the publisher on *ledger* holds for the camera now, as far as can be known."""
    if not any(_keeps(process, ledger) for process in proc.running("publisher")):
        return False
    said = proc.unit_properties("footfall-publisher.service", ["StatusText"]).get("StatusText", "")
    return not said or f"{camera}: connected" in said


def _keeps(process: proc.Process, ledger: Path) -> bool:
    """Tell whether a publisher has *ledger* open; one that this user may not look into is taken for the box's own."""
    try:
        return any(file.name == str(ledger.resolve()) for file in process.files)
    except PermissionError:
        return True
    except (FileNotFoundError, ProcessLookupError):
        return False
