"""What is taken for an hour, and what isn't."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.core.hour import Hour, Source
from edge.headquarters.errors import HourUnfit
from edge.headquarters.receive import LARGEST, receive
from tests.headquarters.messages import NOW, TOPIC, told

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "hour.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())


def reason(payload: bytes, topic: str = TOPIC, **more: Any) -> str:
    with pytest.raises(HourUnfit) as refusal:
        receive(topic, payload, NOW, **more)
    assert str(refusal.value.detail)
    return refusal.value.reason


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(told()), **fields}).encode()


def test_what_a_box_sends_is_an_hour() -> None:
    """Every field of a message that the product's own code made comes out as it went in."""
    hour = receive(TOPIC, told(flags={"dark", "slow"}, watched_ms=1_800_000), NOW)

    assert ("sh-023", "door-a", 1, 48, 41, 1800) == (
        hour.site, hour.camera, hour.revision, hour.in_, hour.out, hour.watched_s,
    )  # fmt: skip
    assert NOW - timedelta(hours=2) == hour.start
    assert timedelta(hours=1) == hour.end - hour.start
    assert ("dark", "slow") == hour.flags
    assert '{"entrance":{"in":48,"out":41}}' == hour.lines_json()


def test_every_field_of_the_schema_is_known() -> None:
    """The collector and the JSON Schema name the same fields."""
    assert set(SCHEMA["properties"]) == {info.alias or name for name, info in Hour.model_fields.items()}


@pytest.mark.parametrize(
    "fields",
    [
        {"site": "SH-023"}, {"camera": ""}, {"start": "2026-11-07T10:00:00"}, {"start": "2026-11-07T10:00:00Z"},
        {"start": 5}, {"end": None}, {"revision": 0}, {"revision": 1.5}, {"revision": "1"}, {"revision": True},
        {"lines": {}}, {"lines": {"A": {"in": 48, "out": 41}}}, {"lines": {"a": {"in": 48}}},
        {"lines": {"a": {"in": 48, "out": 41, "x": 1}}}, {"in": -1}, {"in": 80_000_001}, {"out": "41"},
        {"watched_s": 3601}, {"watched_s": -1}, {"flags": "dark"}, {"flags": ["dark", "dark"]}, {"flags": [1]},
        {"software": "other 1"}, {"model": ""}, {"extra": 1}, {"timezone": ""},
    ],
    ids=str,
)  # fmt: skip
def test_the_collector_is_no_laxer_than_the_schema(fields: dict[str, Any]) -> None:
    """What the published JSON Schema refuses goes into quarantine as `invalid`."""
    payload = changed(**fields)

    assert not VALIDATOR.is_valid(json.loads(payload))
    assert "invalid" == reason(payload)


@pytest.mark.parametrize("field", SCHEMA["required"])
def test_no_field_may_be_missing(field: str) -> None:
    """A message without one of its fields is `invalid`, or of an unknown schema."""
    message = json.loads(told())
    del message[field]

    assert "invalid" == reason(json.dumps(message).encode())


@pytest.mark.parametrize(
    "fields",
    [
        {"in": 47}, {"out": 42}, {"timezone": "Mars/Olympus"}, {"timezone": "posix/Europe/Berlin"},
        {"timezone": "localtime"}, {"timezone": "Factory"}, {"start": "2026-02-30T10:00:00+08:00"},
        {"end": "2026-11-07T19:30:00+08:00"}, {"end": "2026-11-07T17:00:00+08:00"}, {"flags": ["Ünknown"]},
        {"model": "a\0b"}, {"revision": 2**40},
    ],
    ids=str,
)  # fmt: skip
def test_what_no_schema_can_say_is_looked_at_too(fields: dict[str, Any]) -> None:
    """Sums that don't add up, impossible dates, hours of three hours, text that no database holds."""
    assert "invalid" == reason(changed(**fields))


def test_an_unknown_flag_is_kept() -> None:
    """A flag that this collector doesn't know is stored, and fits the published schema, as the contract says."""
    assert VALIDATOR.is_valid(json.loads(changed(flags=["sunburnt"])))
    assert ("sunburnt",) == receive(TOPIC, changed(flags=["sunburnt"]), NOW).flags


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff\xfe", b"null", b"[]", b'"x"', b"[" * 50_000, b"\0" * 100])
def test_garbage_is_garbage(payload: bytes) -> None:
    """No JSON, or none that is an object."""
    assert reason(payload) in {"garbage", "invalid"}


def test_a_future_schema_is_named() -> None:
    """A message of schema 2 says that a newer collector is needed, whatever else it holds."""
    assert "schema" == reason(changed(schema=2, novelty=True))


def test_the_topic_and_the_body_agree() -> None:
    """A body that names another shop than its topic is refused: an ACL guards topics, not bodies."""
    assert "names" == reason(told(site="sh-024"))
    assert "names" == reason(told(camera="door-b"))


@pytest.mark.parametrize(
    "topic", ["footfall/v2/a/b/hour", "footfall/v1/a/b/minute", "footfall/v1/a/hour", "x", "footfall/v1/A/b/hour"]
)
def test_unknown_topics_are_named(topic: str) -> None:
    """What comes on a topic of no contract is kept under the reason `topic`."""
    assert "topic" == reason(told(), topic)


def test_an_oversized_message_is_named() -> None:
    """More bytes than any hour has."""
    assert "oversized" == reason(b" " * LARGEST + told())


@pytest.mark.parametrize(("hours", "expected"), [(1, "future"), (24 * 365 * 40, "future"), (-24 * 501, "ancient")])
def test_a_mad_clock_is_named(hours: int, expected: str) -> None:
    """Hours that haven't ended, and hours before any box could have kept them."""
    assert expected == reason(told(NOW + timedelta(hours=hours)))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"revision": 2**31 - 1}, "revision"),
        ({"revision": 10_001}, "revision"),
        ({"start": "2026-11-07T11:07:13+08:00", "end": "2026-11-07T12:00:00+08:00"}, "edges"),
        ({"start": "2026-11-07T10:30:00+08:00", "end": "2026-11-07T11:30:00+08:00"}, "edges"),
        ({"start": "2026-11-07T10:00:00+08:00", "end": "2026-11-07T10:59:59+08:00"}, "edges"),
        ({"start": "2026-11-07T09:00:00+07:00"}, "offset"),
        ({"end": "2026-11-07T12:00:00+09:00"}, "offset"),
        ({"timezone": "Europe/Berlin"}, "offset"),
    ],
    ids=str,
)
def test_an_hour_that_no_box_closes_is_refused(fields: dict[str, Any], words: str) -> None:
    """Odd edges, an offset that the zone doesn't have then, more revisions than there can be: each by its name."""
    whole = {"start": "2026-11-07T10:00:00+08:00", "end": "2026-11-07T11:00:00+08:00", "watched_s": 60}
    payload = changed(**whole | fields)

    assert words == reason(payload)


@pytest.mark.parametrize(
    ("zone", "start", "minutes"),
    [
        ("Europe/Berlin", "2026-10-25T02:00:00+02:00", 60), ("Europe/Berlin", "2026-10-25T02:00:00+01:00", 60),
        ("Europe/Berlin", "2026-03-29T01:00:00+01:00", 60), ("Asia/Kathmandu", "2026-11-07T10:00:00+05:45", 60),
        # Clocks change by half an hour: one hour of thirty minutes.
        ("Australia/Lord_Howe", "2026-04-05T01:30:00+10:30", 30),
        ("Australia/Lord_Howe", "2026-10-04T01:00:00+10:30", 60),
        ("Australia/Lord_Howe", "2026-10-04T02:30:00+11:00", 30),
        # The box's zone was changed from Kathmandu's to Shanghai's: its first hour begins where the last one ended.
        ("Asia/Shanghai", "2026-11-07T12:15:00+08:00", 45),
    ],
)  # fmt: skip
def test_every_hour_that_a_box_closes_is_taken(zone: str, start: str, minutes: int) -> None:
    """In the nights when clocks change, in zones off the hour, and in the first hour after a change of the zone."""
    moment = datetime.fromisoformat(start)
    end = (moment + timedelta(minutes=minutes)).astimezone(ZoneInfo(zone)).isoformat()
    payload = changed(start=start, end=end, timezone=zone, watched_s=60)

    assert moment == receive(TOPIC, payload, NOW).start


@pytest.mark.parametrize("place", ["key", "schema", "line", "start"])
def test_what_a_message_says_moves_no_terminal(place: str) -> None:
    """Commands to a terminal in keys, in `schema`, in names: the reason for the log shows them as escapes."""
    evil = "\x1b]0;PWNED\x07\x1b[2J\u202eFAKE\nline2"
    fields: dict[str, dict[str, Any]] = {
        "key": {evil: 1}, "schema": {"schema": evil}, "line": {"lines": {evil: {"in": 48, "out": 41}}},
        "start": {"start": evil},
    }  # fmt: skip
    with pytest.raises(HourUnfit) as refusal:
        receive(TOPIC, changed(**fields[place]), NOW)
    with pytest.raises(HourUnfit) as of_topic:
        receive(f"footfall/v1/{evil}/hour", told(), NOW)

    for said in (str(refusal.value), str(of_topic.value)):
        assert said.isprintable(), said


def test_1970_is_named() -> None:
    """A box that came up without a clock and told the hour all the same."""
    assert "ancient" == reason(changed(start="1970-01-01T08:00:00+08:00", end="1970-01-01T09:00:00+08:00"))


def test_an_hour_that_has_just_ended_is_no_future() -> None:
    """A collector whose clock is minutes behind takes a box's newest hour."""
    assert receive(TOPIC, told(NOW - timedelta(hours=1)), NOW - timedelta(minutes=5))


def test_trials_stay_out_unless_asked_for() -> None:
    """Hours of a made-up clock are refused; a rehearsal takes them, whenever they say they were."""
    payload = told(NOW + timedelta(days=3), flags={"trial"})

    assert "trial" == reason(payload)
    assert receive(TOPIC, payload, NOW, trial=True)


@pytest.mark.parametrize("trial", [False, True])
@pytest.mark.parametrize("sent_ms", [0, 1_000, 1_700_000_040_000, 1_700_000_041_999, 4_000_000_000_000])
def test_a_test_hour_is_never_stored(sent_ms: int, trial: bool) -> None:
    """Whenever it says it was sent, by a clock at 1970 too, and even where trials are stored."""
    hour = Hour.of_test(Source("sh-023", "door-a", ZoneInfo("Asia/Shanghai"), "head-test 1"), sent_ms, ["entrance"])
    with pytest.raises(HourUnfit) as refused:
        receive(TOPIC, hour.encode(), NOW, trial=trial)

    assert "test" == refused.value.reason


@given(st.integers(0, 4_102_444_800_000), st.sampled_from(["Asia/Shanghai", "Asia/Kathmandu", "Australia/Lord_Howe"]))
def test_a_test_hour_harms_nobody_who_stores_it(sent_ms: int, zone: str) -> None:
    """It passes the schema, counts nobody, and begins where no counted hour begins, so that it replaces none."""
    hour = Hour.of_test(Source("sh-023", "door-a", ZoneInfo(zone), "head-test 1"), sent_ms, ["entrance", "side"])

    assert VALIDATOR.is_valid(json.loads(hour.encode()))
    assert (0, 0, 0) == (hour.in_, hour.out, hour.watched_s)
    assert ("test", "trial") == hour.flags
    assert hour.start.astimezone(UTC).second
    assert 1 == hour.length_s


@given(st.binary(max_size=300), st.text(max_size=60))
def test_any_bytes_are_an_hour_or_unfit(payload: bytes, topic: str) -> None:
    """Nothing else comes out, whatever goes in."""
    for name in (topic, TOPIC):
        with pytest.raises(HourUnfit):
            receive(name, payload, NOW)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), st.lists),
       st.sampled_from(sorted(SCHEMA["required"])))  # fmt: skip
@example(True, "schema")
@example(1.0, "schema")
def test_any_value_in_any_field_is_an_hour_or_unfit(value: Any, field: str) -> None:
    """And what passes the collector passes the schema."""
    payload = changed(**{field: value})
    try:
        receive(TOPIC, payload, NOW)
    except HourUnfit:
        return

    assert VALIDATOR.is_valid(json.loads(payload))
