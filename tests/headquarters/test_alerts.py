"""Alerts: what is wrong with a camera is told once when it begins and once when it is over, by webhook and by mail."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge.core.clock import ManualClock
from edge.core.hour import HOUR_MS, Hour, Source
from edge.headquarters import corrections, sites
from edge.headquarters.address import open_store
from edge.headquarters.alerts import retry, rounds, settings
from edge.headquarters.alerts.judge import alerts
from edge.headquarters.alerts.settings import Rules
from edge.headquarters.store.batch import Arrival, Batch
from tests.headquarters import servers
from tests.headquarters.messages import recent
from tests.headquarters.shop import BERLIN, at

NOW = at(7, 12)
"""Saturday noon: the newest hour that is there ends at 12:00, and six weeks lie before it."""
SECRET = "t0ken-in-a-file"  # noqa: S105 - of a test

Counts = tuple[int, int, int, tuple[str, ...]]
"""People in, people out, watched seconds, flags."""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pauses between tries."""
    monkeypatch.setattr(retry, "PAUSES_S", (0.0, 0.0))


class Shop:
    """A shop with one camera; hours are told up to a moment, and a test changes some of them."""

    def __init__(self, folder: Path, site: str = "shop", cameras: int = 1) -> None:
        self.url = str(folder / "hours.sqlite")
        self._site = site
        self._cameras = [f"door-{number}" for number in range(cameras)]

    def tell(
        self,
        until: datetime = NOW,
        since: datetime = NOW - timedelta(weeks=6),
        changed: Callable[[datetime, Counts], Counts | None] = lambda _local, counts: counts,
    ) -> None:
        """Store all hours; *changed* gives another hour for each local time, or None if it shall be missing."""
        batch, moment = Batch(), since
        while moment < until:
            local = moment.astimezone(ZoneInfo(BERLIN))
            usual: Counts = (50, 49, 3600, ()) if 9 <= local.hour < 19 else (0, 0, 0, ("closed",))
            counts = changed(local, usual)
            for camera in self._cameras if counts is not None else ():
                in_, out, watched_s, flags = counts  # type: ignore[misc]
                start_ms = round(moment.timestamp() * 1000)
                hour = Hour.counted(
                    Source(self._site, camera, ZoneInfo(BERLIN), "head 1"), start_ms, start_ms + HOUR_MS,
                    {"entrance": (in_, out)}, watched_ms=watched_s * 1000, flags=flags,
                )  # fmt: skip
                batch.hours.append(Arrival("t", b"", hour))
            moment += timedelta(hours=1)
        store = open_store(self.url)
        outcome = store.add(batch, until)
        store.close()
        assert {} == outcome.quarantined

    def kinds(self, now: datetime = NOW, plan: str = "{}", **rules: object) -> dict[str, str]:
        """Return each alert's kind, and since when it is one by the shop's clocks."""
        store = open_store(self.url)
        found = alerts(store, sites.parse(plan), Rules.model_validate(rules), now)
        kinds = {alert.key[2]: f"{alert.problem.since:%d %b %H:%M}" for alert in found}
        store.close()
        return kinds


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def clock(now: datetime = NOW) -> ManualClock:
    return ManualClock(wall=round(now.timestamp() * 1000))


def _on(first: date, last: date, counts: Counts) -> Callable[[datetime, Counts], Counts | None]:
    """Return what changes the open hours from *first* to *last*."""

    def change(local: datetime, usual: Counts) -> Counts | None:
        return counts if usual[2] and first <= local.date() <= last else usual

    return change


DAYS = [date(2026, 11, day) for day in range(1, 8)]
"""The first week of November; the last one is the Saturday of `NOW`."""


def test_a_shop_in_order_has_no_alert(shop: Shop) -> None:
    """Closed nights and ordinary days are none, also half an hour after an hour ended."""
    shop.tell()

    assert {} == shop.kinds()
    assert {} == shop.kinds(NOW + timedelta(minutes=64))


@pytest.mark.parametrize(
    ("first", "last", "counts", "expected"),
    [
        (6, 7, (10, 9, 3600, ("moved",)), {"moved": "06 Nov 09:00"}),
        (7, 7, (3, 2, 400, ("covered",)), {"covered": "07 Nov 09:00"}),
        (7, 7, (0, 0, 0, ("camera_lost",)), {"camera_lost": "07 Nov 09:00"}),
        (7, 7, (0, 0, 0, ()), {"off": "07 Nov 09:00"}),
        (4, 7, (50, 20, 3600, ()), {"unbalanced": "04 Nov 00:00"}),
        (7, 7, (90_000, 90_000, 3600, ()), {"doubted": "07 Nov 09:00"}),
        (6, 6, (4, 4, 3600, ()), {"unusual": "06 Nov 00:00"}),
        (6, 6, (0, 0, 3600, ()), {"unusual": "06 Nov 00:00"}),
        (6, 6, (190, 190, 3600, ()), {"unusual": "06 Nov 00:00"}),
        (6, 6, (30, 30, 3600, ()), {}),
    ],
)  # fmt: skip
def test_what_the_hours_tell_is_an_alert(
    shop: Shop, first: int, last: int, counts: Counts, expected: dict[str, str]
) -> None:
    """The first page's problems that go on, and a day unlike the same weekday of four weeks."""
    shop.tell(changed=_on(DAYS[first - 1], DAYS[last - 1], counts))

    assert expected == shop.kinds()


def test_a_gap_is_an_alert_until_it_is_filled(shop: Shop) -> None:
    """It does not end by itself while hours come after it."""
    shop.tell(changed=lambda local, counts: None if local.day == 5 and local.hour in (12, 13) else counts)
    before = shop.kinds()
    shop.tell(since=at(5, 12), until=at(5, 14))

    assert {"missing": "05 Nov 12:00"} == before
    assert {} == shop.kinds()


def test_a_camera_that_says_nothing_is_silent_and_nothing_else(shop: Shop) -> None:
    """65 minutes after its newest hour ended, by night too, and however long ago that was; until it is retired."""
    shop.tell(until=at(6, 22))

    assert {} == shop.kinds(at(6, 23) + timedelta(minutes=4))
    assert {"silent": "06 Nov 22:00"} == shop.kinds(at(6, 23) + timedelta(minutes=5))
    assert {"silent": "06 Nov 22:00"} == shop.kinds(NOW)
    assert {} == shop.kinds(NOW, overdue_min=24 * 60)
    assert {"silent": "06 Nov 22:00"} == shop.kinds(NOW + timedelta(days=100))
    store = open_store(shop.url)
    corrections.enter(store, corrections.wish("retire", "shop/door-0", why="closed", since=DAYS[6]), clock(), "anna")
    store.close()
    assert {} == shop.kinds(NOW)


def test_rules_and_names_of_days_are_followed(shop: Shop) -> None:
    """A holiday is not unusual, a kind can be ignored, and one flagged hour is too few by default."""
    shop.tell(changed=_on(DAYS[5], DAYS[5], (4, 4, 3600, ())))
    plan = "sites: {shop: {events: [{name: Works, day: 2026-11-06}]}}"

    assert {} == shop.kinds(plan=plan)
    assert {} == shop.kinds(ignore=["unusual"])
    assert {} == shop.kinds(unusual_factor=20)


def test_one_flagged_hour_is_too_few(shop: Shop) -> None:
    """Unless the rules ask for it."""
    shop.tell(changed=lambda local, c: (9, 9, 900, ("dark",)) if (local.day, local.hour) == (7, 9) else c)

    assert {} == shop.kinds()
    assert {"dark": "07 Nov 09:00"} == shop.kinds(least_hours=1)


# --- told once -------------------------------------------------------------------------------------------------------


def _hooked(port: int, more: str = "") -> settings.Settings:
    return settings.parse(f"webhook: {{url: 'http://localhost:{port}/hooks/s3cret?key=k3y'{more}}}")


def tell(shop: Shop, wanted: settings.Settings, now: datetime = NOW) -> int:
    return rounds.run(shop.url, clock(now), wanted, sites.parse("sites: {shop: {name: Berlin Mitte}}"))


def test_each_change_is_one_message(shop: Shop) -> None:
    """However often it is looked at; and one when it is over. What is told stands in the store for all."""
    shop.tell(until=at(6, 22))
    with servers.hook() as hook:
        for hours in (0, 0, 1, 9):
            assert 0 == tell(shop, _hooked(hook.port), NOW + timedelta(hours=hours))
        shop.tell(since=at(6, 22), until=NOW + timedelta(hours=9))
        for _ in range(3):
            assert 0 == tell(shop, _hooked(hook.port), NOW + timedelta(hours=9))
        messages = [message for _, _, message in hook.requests]

    assert [("silent", "open"), ("silent", "closed")] == hook.changes
    assert {
        "schema": 1,
        "sent": "2026-11-07T11:00:00+00:00",
        "changes": [
            {
                "site": "shop",
                "camera": "door-0",
                "kind": "silent",
                "state": "open",
                "since": "2026-11-06T22:00:00+01:00",
                "place": "Berlin Mitte / door-0",
                "hours": 14,
                "text": "no hour has come, since 6 Nov 22:00",
                "advice": "look at the box's power and the shop's network",
            }
        ],
    } == messages[0]
    assert "hours come again" == messages[1]["changes"][0]["text"]


def test_what_a_server_did_not_take_is_told_later_if_it_still_holds(shop: Shop) -> None:
    """Three tries a run; what has begun and ended meanwhile is not told at all, and nothing piles up."""
    shop.tell(until=at(6, 22))
    with servers.hook(503, 503, 503, 503, 503, 503) as hook:
        assert 1 == tell(shop, _hooked(hook.port))
        tried = len(hook.requests)
        shop.tell(since=at(6, 22), until=NOW, changed=_on(DAYS[6], DAYS[6], (9, 9, 900, ("dark",))))
        assert 1 == tell(shop, _hooked(hook.port))
        hook.requests.clear()
        assert 0 == tell(shop, _hooked(hook.port))

        assert 3 == tried
        assert [("dark", "open")] == hook.changes


def test_a_passing_fault_is_tried_again_at_once(shop: Shop) -> None:
    """The third try reaches the server; a refusal that stays is tried once a run."""
    shop.tell(until=at(6, 22))
    with servers.hook(500, 429) as hook:
        assert 0 == tell(shop, _hooked(hook.port))
        assert 3 == len(hook.requests)
    with servers.hook(404) as refusing:
        refused = settings.parse(f"webhook: {{url: 'http://localhost:{refusing.port}/x'}}")
        shop.tell(since=at(6, 22), until=NOW)
        assert 1 == tell(shop, refused)
        assert 1 == len(refusing.requests)


def test_many_changes_go_in_messages_of_two_hundred(tmp_path: Path) -> None:
    """A broker that was down makes every camera silent at once."""
    chain = Shop(tmp_path, cameras=201)
    chain.tell(since=at(6, 20), until=at(6, 22))
    with servers.hook() as hook:
        assert 0 == tell(chain, _hooked(hook.port))

    assert [200, 1] == [len(message["changes"]) for _, _, message in hook.requests]


def test_no_secret_reaches_the_log(shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the address' path nor the token, whatever goes wrong; and a redirect is not followed."""
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "token").chmod(0o600)
    shop.tell(until=at(6, 22))
    caplog.set_level(logging.DEBUG)
    more = f", token_file: {tmp_path}/token"
    with servers.hook() as elsewhere, servers.hook(302, location=f"http://localhost:{elsewhere.port}/") as hook:
        assert 1 == tell(shop, _hooked(hook.port, more))
        path, headers, _ = hook.requests[0]
        assert [] == elsewhere.requests
    assert 1 == tell(shop, _hooked(hook.port, more))

    assert ("/hooks/s3cret?key=k3y", f"Bearer {SECRET}") == (path, headers["Authorization"])
    assert "it answers with the status 302" in caplog.text
    assert "Connection refused" in caplog.text
    for secret in ("s3cret", "k3y", SECRET):
        assert secret not in caplog.text


@pytest.mark.processes
def test_a_webhook_with_tls_is_checked(shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With its authority's certificate it is told; without it nothing is sent."""
    context, authority = servers.certificate(tmp_path / "tls")
    shop.tell(until=at(6, 22))
    with servers.hook(context=context) as hook:
        url = f"https://localhost:{hook.port}/x"
        assert 1 == tell(shop, settings.parse(f"webhook: {{url: '{url}'}}"))
        refused = len(hook.requests)
        assert 0 == tell(shop, settings.parse(f"webhook: {{url: '{url}', ca_file: {authority}}}"))

    assert (0, [("silent", "open")]) == (refused, hook.changes)
    assert "its certificate is not trusted" in caplog.text


# --- mail ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def box() -> servers.Mailbox:
    return servers.Mailbox(unknown="nobody@example.com")


def _mailed(port: int, more: str = "security: none", to: str = "[ops@example.com]", language: str = "en") -> str:
    server = f"{{host: localhost, port: {port}, sender: footfall@example.com, {more}}}"
    return f"language: {language}\nmail: {server}\nalerts_to: {to}\n"


def test_alerts_come_by_mail(shop: Shop, box: servers.Mailbox) -> None:
    """One mail a change, as other programs expect one from a program; and one when it is over."""
    shop.tell(until=at(6, 22))
    with servers.mail_server(box) as port:
        for _ in range(2):
            assert 0 == tell(shop, settings.parse(_mailed(port)))
        shop.tell(since=at(6, 22), until=NOW)
        assert 0 == tell(shop, settings.parse(_mailed(port, language="de")))
    (to, first), (_, second) = box.mails

    assert ["ops@example.com"] == to
    assert "Footfall: Berlin Mitte / door-0: no hour has come, since 6 Nov 22:00" == first["Subject"]
    assert ("auto-generated", "Footfall <footfall@example.com>") == (first["Auto-Submitted"], first["From"])
    assert (
        "! Berlin Mitte / door-0: no hour has come, since 6 Nov 22:00\n"
        "  look at the box's power and the shop's network\n"
    ) == first.get_content().replace("\r\n", "\n")
    assert "Footfall: Berlin Mitte / door-0: es kommen wieder Stunden" == second["Subject"]


def test_a_mailbox_that_does_not_exist_keeps_nobody_else_waiting(
    shop: Shop, box: servers.Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    """The others get the mail, once; and with none left, it is told later."""
    shop.tell(until=at(6, 22))
    with servers.mail_server(box) as port:
        assert 1 == tell(shop, settings.parse(_mailed(port, to="[nobody@example.com]")))
        wanted = settings.parse(_mailed(port, to="[nobody@example.com, ops@example.com]"))
        assert [0, 0] == [tell(shop, wanted), tell(shop, wanted)]

    assert [["ops@example.com"]] == [to for to, _ in box.mails]
    assert "it takes no mail for ['nobody@example.com']" in caplog.text


def test_a_mail_server_that_is_busy_is_asked_again(shop: Shop, box: servers.Mailbox) -> None:
    """Twice; then a later run tells it."""
    shop.tell(until=at(6, 22))
    box.fails = 5
    with servers.mail_server(box) as port:
        said = [tell(shop, settings.parse(_mailed(port))) for _ in range(2)]

    assert ([1, 0], 6, 1) == (said, box.tried, len(box.mails))


@pytest.mark.processes
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # the server knows of STARTTLS only
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_mail_server_with_tls_and_a_password(
    shop: Shop, tmp_path: Path, box: servers.Mailbox, security: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The right password is taken, the wrong one told without it, and an unknown authority gets neither."""
    context, authority = servers.certificate(tmp_path / "tls")
    caplog.set_level(logging.DEBUG)
    for name, password in (("right", servers.PASSWORD), ("wrong", "not-that-one")):
        (tmp_path / name).write_text(password)
        (tmp_path / name).chmod(0o600)
    shop.tell(until=at(6, 22))

    def with_password(port: int, name: str, more: str = f", ca_file: {authority}") -> int:
        login = f"security: {security}, username: {servers.USER}, password_file: {tmp_path / name}{more}"
        return tell(shop, settings.parse(_mailed(port, login)))

    with servers.mail_server(box, context, starttls=security == "starttls") as port:
        assert 1 == with_password(port, "right", more="")
        assert 1 == with_password(port, "wrong")
        assert 0 == with_password(port, "right")

    assert 1 == len(box.mails)
    assert "its certificate is not trusted" in caplog.text
    assert "it refuses this user and password (535)" in caplog.text
    assert "not-that-one" not in caplog.text
    assert servers.PASSWORD not in caplog.text


def test_one_channel_that_fails_does_not_keep_the_other_waiting(
    shop: Shop, box: servers.Mailbox, tmp_path: Path
) -> None:
    """A webhook whose token is missing; the mail goes all the same."""
    shop.tell(until=at(6, 22))
    with servers.mail_server(box) as port:
        text = f"{_mailed(port)}webhook: {{url: 'https://localhost:1/', token_file: {tmp_path}/none}}\n"
        assert 1 == tell(shop, settings.parse(text))

    assert 1 == len(box.mails)


def test_a_test_goes_to_everybody(box: servers.Mailbox) -> None:
    """And changes nothing in a store."""
    with servers.mail_server(box) as port, servers.hook() as hook:
        text = f"{_mailed(port)}webhook: {{url: 'http://localhost:{hook.port}/'}}\n"
        assert 0 == rounds.test(clock(), settings.parse(text))

    assert [(True, [])] == [(message["test"], message["changes"]) for _, _, message in hook.requests]
    assert ["Footfall: a test"] == [mail["Subject"] for _, mail in box.mails]


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.processes
def test_the_command_says_how_it_ended(tmp_path: Path) -> None:
    """0 when all were told, 75 when somebody was not; --list tells nobody."""
    shop = Shop(tmp_path)
    shop.tell(since=recent(9)[0], until=recent(9)[4])
    with servers.hook() as hook:
        (tmp_path / "hq.yaml").write_text(f"webhook: {{url: 'http://localhost:{hook.port}/'}}\n")
        listed = _run("alert", "--config", tmp_path / "hq.yaml", "--store", shop.url, "--list")
        before = list(hook.requests)
        told = _run("alert", "--config", tmp_path / "hq.yaml", "--store", shop.url)
        hook.answers.append(404)
        refused = _run("alert", "--config", tmp_path / "hq.yaml", "--test")

    assert (0, [], 0, 75) == (listed.returncode, before, told.returncode, refused.returncode)
    assert "shop / door-0: no hour has come" in listed.stdout
    assert [("silent", "open")] == hook.changes


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep the SMTP server's own log out of what is looked at."""
    level = logging.getLogger("mail.log").level
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("mail.log").setLevel(level)
