"""`footfall check` at the broker: each way it can go wrong is told apart, and nobody is disturbed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.config import schema
from edge.core.clock import KernelClock
from edge.core.hour import Hour
from edge.technician.check.broker import check_broker
from edge.technician.check.check_result import CheckResult
from tests.publisher.rig import Listener, Mosquitto, free_port, make_certificates, tls_options, wait_until
from tests.publisher.test_outbox import Bench
from tests.technician.rig import here, write_config

pytestmark = pytest.mark.processes

STATUS_TOPIC = "footfall/v1/sh-023/door-a/status"


@pytest.fixture(name="certificates", scope="module")
def _certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(name="broker")
def _broker(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    brokers: list[Mosquitto] = []

    def make(*options: str) -> Mosquitto:
        brokers.append(Mosquitto(tmp_path, options or ("allow_anonymous true",)))
        brokers[-1].start()
        return brokers[-1]

    yield make
    for made in brokers:
        made.stop()


@pytest.fixture(name="check")
def _check(tmp_path: Path) -> Callable[..., dict[str, CheckResult]]:
    """Check the broker of a config with some values changed; findings by what was looked at."""

    def check(**changes: Any) -> dict[str, CheckResult]:
        settings = schema.load(write_config(tmp_path, **changes)).publisher()
        return {finding.what: finding for finding in check_broker(settings)}

    return check


@pytest.fixture(name="connected_here")
def _connected_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand for a publisher of this box that is connected; tests/test_processes.py has real ones."""
    monkeypatch.setattr("edge.technician.check.broker._is_online", lambda _ledger, _camera: True)


Check = Callable[..., dict[str, CheckResult]]
MakeBroker = Callable[..., Mosquitto]


def secured(folder: Path, ca: str = "ca.pem", more: str = "") -> str:
    return f"{{ca_file: {folder / ca}{more}}}"


def states(found: dict[str, CheckResult]) -> dict[str, str]:
    return {what: finding.state for what, finding in found.items()}


def password_options(folder: Path, *acl: str) -> list[str]:
    """Return mosquitto's settings for one user, who may do what *acl* says or everything."""
    passwords = folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "sh-023", "right"], check=True)
    passwords.chmod(0o644)
    options = ["allow_anonymous false", f"password_file {passwords}"]
    if acl:
        rules = folder / "acl"
        rules.write_text("user sh-023\n" + "\n".join(acl) + "\n")
        rules.chmod(0o644)
        options.append(f"acl_file {rules}")
    return options


def listen(port: int) -> Listener:
    """Return a listener on everything that hears already; what it has heard until now is forgotten."""
    listener = Listener(port, topic="#")
    probe = ["mosquitto_pub", "-p", str(port), "-q", "1", "-t", "before", "-m", "x"]

    def hears() -> bool:
        subprocess.run(probe, check=True)
        return bool(listener.received)

    wait_until(hears, "the listener to hear")
    return listener


def secret(folder: Path, word: str = "right") -> str:
    path = folder / "secret"
    path.write_text(f"{word}\n")
    path.chmod(0o600)
    return f", username: sh-023, password_file: {path}"


def test_tls_and_password(check: Check, broker: MakeBroker, certificates: Path, tmp_path: Path) -> None:
    """Name, port, certificate, login and topic, all well but that nobody listens, and the days are told."""
    made = broker(*tls_options(certificates)[1:], *password_options(tmp_path))
    found = check(port=made.port, tls=secured(certificates), broker=secret(tmp_path))

    assert {
        "broker name": "ok",
        "broker TCP": "ok",
        "broker TLS": "ok",
        "broker login": "ok",
        "broker publish door-a": "warn",
    } == states(found)
    assert "valid for 89 more days" in found["broker TLS"].found
    assert "footfall send-test" in found["broker publish door-a"].advice


def test_a_name_that_isnt_known(check: Check) -> None:
    """The first step that fails is the last."""
    found = check(host="broker.invalid", tls="true", port=8883)

    assert {"broker name": "fail"} == states(found)
    assert "broker.invalid" in found["broker name"].found


def test_a_port_that_nobody_listens_on(check: Check) -> None:
    """The name is well, the port isn't."""
    found = check(port=free_port())

    assert {"broker name": "ok", "broker TCP": "fail"} == states(found)
    assert "Connection refused" in found["broker TCP"].found


@pytest.mark.parametrize(
    ("name", "ca", "cause", "advice"),
    [
        ("broker", "other-ca.pem", "certificate", "broker.tls.ca_file"),
        ("stranger", "ca.pem", "IP address mismatch", "broker.host"),
        ("stale", "ca.pem", "expired", "renew"),
        ("broker", "nowhere.pem", "nowhere.pem isn't there", "broker.tls"),
    ],
)
def test_certificates_that_cant_be_trusted(
    check: Check, broker: MakeBroker, certificates: Path, name: str, ca: str, cause: str, advice: str
) -> None:
    """Unknown authority, wrong name, expired, or no authority there: each with its own way out."""
    made = broker(*tls_options(certificates, name))
    found = check(port=made.port, tls=secured(certificates, ca))

    assert {"broker name": "ok", "broker TCP": "ok", "broker TLS": "fail"} == states(found)
    assert cause in found["broker TLS"].found
    assert advice in found["broker TLS"].advice


def test_a_certificate_that_ends_soon(check: Check, broker: MakeBroker, certificates: Path) -> None:
    """Ten days before its end headquarters should know."""
    made = broker(*tls_options(certificates, "soon"))
    found = check(port=made.port, tls=secured(certificates))

    assert ("warn", "headquarters" in found["broker TLS"].advice) == (found["broker TLS"].state, True)
    assert "valid for 9 more days" in found["broker TLS"].found


def test_tls_where_there_is_none(check: Check, broker: MakeBroker, certificates: Path) -> None:
    """A port without TLS is told from a certificate that can't be trusted."""
    found = check(port=broker().port, tls=secured(certificates))

    assert "fail" == found["broker TLS"].state
    assert "no handshake" in found["broker TLS"].found


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_broker_that_wants_a_certificate(check: Check, broker: MakeBroker, certificates: Path, protocol: str) -> None:
    """With TLS 1.3 it only shows after the handshake; the advice names the setting."""
    made = broker(*tls_options(certificates), "require_certificate true")
    without = check(port=made.port, tls=secured(certificates), broker=f', protocol: "{protocol}"')
    pair = f", cert_file: {certificates / 'box.pem'}, key_file: {certificates / 'box.key'}"
    with_one = check(port=made.port, tls=secured(certificates, more=pair), broker=f', protocol: "{protocol}"')

    refused = [finding for finding in without.values() if finding.state == "fail"]
    assert 1 == len(refused)
    assert "cert_file" in refused[0].advice
    assert "ok" == with_one["broker login"].state


def test_a_wrong_password(check: Check, broker: MakeBroker, tmp_path: Path) -> None:
    """Refused, and by what."""
    made = broker(*password_options(tmp_path))
    found = check(port=made.port, broker=secret(tmp_path, "wrong"))

    assert (
        "fail",
        "as sh-023: the broker doesn't know this user name with this password",
        f"compare {tmp_path}/secret with what headquarters gave you; `broker.username` is sh-023",
    ) == (found["broker login"].state, found["broker login"].found, found["broker login"].advice)
    assert "broker publish door-a" not in found


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_no_user_name_where_one_is_wanted(check: Check, broker: MakeBroker, tmp_path: Path, protocol: str) -> None:
    """The broker's bare "not authorized" is told in words, with the two settings that are missing."""
    found = check(port=broker(*password_options(tmp_path)).port, broker=f', protocol: "{protocol}"')

    assert "without a user name: the broker wants a user name and a password" == found["broker login"].found
    assert "`broker.username` and `broker.password_file`" in found["broker login"].advice


def test_a_password_file_that_others_may_read(check: Check, broker: MakeBroker, tmp_path: Path) -> None:
    """Told with the command that mends it, and the broker isn't bothered."""
    made = broker(*password_options(tmp_path))
    settings = secret(tmp_path)
    (tmp_path / "secret").chmod(0o644)
    found = check(port=made.port, broker=settings)

    assert "fail" == found["broker login"].state
    assert f"type: chmod o= {tmp_path}/secret" == found["broker login"].advice


@pytest.mark.usefixtures("connected_here")
def test_a_user_who_may_not_publish_there(check: Check, broker: MakeBroker, tmp_path: Path) -> None:
    """The broker's own reason code tells, and the advice names the topic."""
    made = broker(*password_options(tmp_path, "topic write elsewhere/#"))
    found = check(port=made.port, broker=secret(tmp_path))

    assert "fail" == found["broker publish door-a"].state
    assert "footfall/v1/sh-023/door-a/hour and …/status" in found["broker publish door-a"].advice


@pytest.mark.usefixtures("connected_here")
def test_mqtt_3_cant_tell(check: Check, broker: MakeBroker, tmp_path: Path) -> None:
    """In MQTT 3.1.1 a broker acknowledges what it throws away: no `ok` is given for that."""
    made = broker(*password_options(tmp_path, "topic write elsewhere/#"))
    found = check(port=made.port, broker=secret(tmp_path) + ', protocol: "3.1.1"')

    assert "warn" == found["broker publish door-a"].state
    assert "3.1.1" in found["broker publish door-a"].found


def test_a_running_publisher_keeps_its_session_and_its_status(check: Check, broker: MakeBroker) -> None:
    """Beside a link that is up: it stays up, and what the broker retains is still `online`."""
    made = broker()
    bench = Bench(1, site="sh-023", port=made.port)
    bench.until_done()
    found = check(port=made.port)
    for _ in range(50):
        bench.connection.turn()
    late = Listener(made.port, topic="footfall/#")
    wait_until(lambda: late.received, "what is retained")
    late.close()
    up = bench.connection.up
    bench.connection.end(3)

    assert "broker publish door-a" in found
    assert up
    assert [(STATUS_TOPIC, True, "online")] == late.received


@pytest.mark.usefixtures("connected_here")
def test_nothing_is_left_on_a_broker_that_knew_nothing(check: Check, broker: MakeBroker) -> None:
    """Who subscribes afterwards hears nothing: nothing was retained, and no last will was left."""
    made = broker()
    listener = Listener(made.port, topic="#")
    probe = ["mosquitto_pub", "-p", str(made.port), "-q", "1", "-t", "probe", "-m", "x"]

    def hears(one: Listener) -> bool:
        subprocess.run(probe, check=True)
        return bool(one.payloads("probe"))

    wait_until(lambda: hears(listener), "the listener to hear")
    found = check(port=made.port)
    wait_until(lambda: listener.payloads(STATUS_TOPIC), "the status")
    # What a broker keeps it sends on subscribing, before anything that is published later.
    late = Listener(made.port, topic="#")
    wait_until(lambda: hears(late), "the second listener to hear")
    heard = [said for said in listener.received if said[0] != "probe"]
    kept = [said for said in late.received if said[0] != "probe"]
    for one in (listener, late):
        one.close()

    assert [(STATUS_TOPIC, False, "online")] == heard
    assert "ok" == found["broker publish door-a"].state
    assert [] == kept


def test_nothing_is_said_of_a_camera_that_may_run_elsewhere(check: Check, broker: MakeBroker) -> None:
    """A check on a laptop with the box's own config: who listens hears nothing, least of all `offline`."""
    made = broker()
    listener = listen(made.port)
    probe = ["mosquitto_pub", "-p", str(made.port), "-q", "1", "-t", "after", "-m", "x"]
    found = check(port=made.port)
    # A broker hands messages on in the order in which it took them: after this one nothing of the check can come.
    subprocess.run(probe, check=True)
    wait_until(lambda: listener.payloads("after"), "the listener to hear what came later")
    heard = {topic for topic, *_ in listener.received}
    listener.close()

    assert {"before", "after"} == heard
    assert ("warn", "not tried") == (
        found["broker publish door-a"].state,
        found["broker publish door-a"].found.partition(":")[0],
    )


def test_the_days_follow_the_boxs_clock(
    check: Check, broker: MakeBroker, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the clock that the rest of the program asks."""
    now_ms = KernelClock().wall_ms()
    monkeypatch.setattr(KernelClock, "wall_ms", lambda _self: now_ms + 80 * 86_400_000)
    made = broker(*tls_options(certificates))
    found = check(port=made.port, tls=secured(certificates))

    assert "valid for 9 more days" in found["broker TLS"].found


# --- send-test -------------------------------------------------------------------------------------------------------


def test_a_test_hour_arrives(broker: MakeBroker, tmp_path: Path) -> None:
    """On the topic of the hours, not retained, with both flags, counting nobody; the command says where it shows."""
    made = broker()
    listener = listen(made.port)
    said = here("send-test", "--config", write_config(tmp_path, port=made.port))
    wait_until(lambda: [one for one in listener.received if one[0] != "before"], "the test hour")
    listener.close()
    ((topic, retained, payload),) = [one for one in listener.received if one[0] != "before"]
    hour = Hour.decode(payload.encode())

    assert 0 == said.returncode
    assert ("footfall/v1/sh-023/door-a/hour", False) == (topic, retained)
    assert (("test", "trial"), 0, 0, 0) == (hour.flags, hour.in_, hour.out, hour.watched_s)
    assert "ok    test hour door-a: footfall/v1/sh-023/door-a/hour has taken it" in said.stdout
    assert "footfall watch" in said.stdout


def test_a_test_hour_that_nobody_hears(broker: MakeBroker, tmp_path: Path) -> None:
    """It is sent, and the broker's word that nobody subscribes is handed on."""
    said = here("send-test", "--config", write_config(tmp_path, port=broker().port))

    assert 0 == said.returncode
    assert "but nobody subscribes to it now" in said.stdout


def test_a_test_hour_that_is_refused(broker: MakeBroker, tmp_path: Path) -> None:
    """A user who may publish the status and no hour: this is what `check` can't see."""
    made = broker(*password_options(tmp_path, f"topic write {STATUS_TOPIC}"))
    said = here("send-test", "--config", write_config(tmp_path, port=made.port, broker=secret(tmp_path)))

    assert 1 == said.returncode
    assert "fail  test hour door-a: footfall/v1/sh-023/door-a/hour: this user may not do that" in said.stdout
    assert "not sent" in said.stdout


def test_no_test_hour_without_a_broker(tmp_path: Path) -> None:
    """The first step that fails is told, with what to do."""
    said = here("send-test", "--config", write_config(tmp_path, port=free_port()))

    assert 1 == said.returncode
    assert "fail  broker TCP" in said.stdout
