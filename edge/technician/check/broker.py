"""
The part of `footfall check` that goes to the broker, step by step, as the publisher does, and leaves nothing behind.

It must not disturb a publisher that runs: it logs in under a client name of its own, so that the broker doesn't take
the publisher's session away; it leaves no last will; and it says on each camera's status topic only what is the
case already, and not retained, so that what the broker keeps there stays as the publisher left it.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
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
from edge.technician.check.check_result import Finding, fail, ok, warn

_ANSWER_S = 10.0
_SOON_DAYS = 21
_DAY_S = 86_400

_NOT_YET_VALID, _EXPIRED = 9, 10
_WRONG_NAME = (62, 63, 64)
"""OpenSSL's verification results."""


def check_broker(settings: PublisherSettings) -> Iterator[Finding]:
    """Go as far as the broker lets us; the first step that fails is the last."""
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
        yield from guest.check()


class _Stopped(Exception):
    """What follows can't be looked at; why was told already."""


def _addresses(broker: Broker) -> list[str]:
    found = socket.getaddrinfo(broker.host, broker.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def _untold(broker: Broker) -> Finding:
    if is_loopback(broker.host):
        return ok("broker TLS", "none, and none is needed: the broker is on this box")
    return warn("broker TLS", "none: counts and password cross the network in clear text", "set `tls: true`")


def _tls(broker: Broker, sock: socket.socket) -> Iterator[Finding]:
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> Iterator[Finding]:
        """Log in, and publish on the status topic of each camera."""
        user = f"as {self.broker.username}" if self.broker.username else "without a user name"
        self._until(lambda: self._welcome is not None)
        if self._welcome is None:
            yield self._no_login(user)
            return
        yield ok("broker login", f"accepted {user}, MQTT {self.broker.protocol}")
        if not (self._welcome.keeps_retained and self._welcome.offers_qos_1):
            yield fail("broker features", "it keeps no retained messages, or knows no QoS 1", "use another broker")
        for camera in self._settings.cameras:
            yield self._publish(camera.name)

    def _no_login(self, user: str) -> Finding:
        if isinstance(self._ended, PasswordFileError):
            cause, _, advice = str(self._ended).rpartition("; ")
            denied = isinstance(self._ended.__cause__, PermissionError)
            hint = "run this with sudo" if denied else advice if cause else "write the password into that file"
            return fail("broker login", cause or str(self._ended), hint)
        if isinstance(self._ended, BrokerRefused):
            advice = "look at `broker.username` and the password's file"
            return fail("broker login", f"{user}: refused: {self.cause}", advice)
        if not self.reached:
            advice = "try again; if it stays, ask headquarters for the broker's log"
            return fail("broker login", f"{user}: {self.cause}", advice)
        advice = "does it want a certificate of this box (`broker.tls.cert_file`)? Is it an MQTT broker?"
        return fail("broker login", f"{user}: {self.cause or f'no answer within {_ANSWER_S:g} s'}", advice)

    def _publish(self, camera: str) -> Finding:
        topic = topics.status_topic(self._settings.site, camera)
        what = f"broker publish {camera}"
        word = topics.ONLINE if _is_online(self._settings.ledger, camera) else topics.OFFLINE
        if self.up:
            self.publish(topic, word, topic)
            self._until(lambda: topic in self._answers)
        if topic not in self._answers:
            cause = self.cause or f"no acknowledgement within {_ANSWER_S:g} s"
            return fail(what, f"{topic}: {cause}", "ask headquarters whether this user may publish there")
        reason = self._answers[topic]
        said = f"{topic} takes `{word.decode()}`, not retained"
        if reason.is_failure:
            return fail(
                what,
                f"{topic}: {words(reason.value, reason.getName())}",
                f"ask headquarters to let this user publish on {topic} and on …/hour",
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

    def on_lost(self, loss: PublishError, _code: int | None) -> None:
        """Note why; there is no second try."""
        self._ended = loss


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
