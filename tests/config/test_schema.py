"""footfall.yaml: what is refused and how it is told, and what is taken for granted."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import schema
from edge.config.geometry import Polyline, smaller_side, smaller_side_by_grid
from edge.config.line import MOST_CORNERS, SHORTEST_LINE
from edge.config.schema import PublisherSettings, VisionSettings
from edge.core.errors import ConfigError
from edge.core.tally import line_key

GOOD = """\
site: sh-023
timezone: Asia/Shanghai
cameras:
  door-a:
    source: /dev/video0
    lines:
      entrance: {from: [0.10, 0.55], to: [0.90, 0.55], inside: [0.5, 0.9]}
broker: {host: mqtt.example.com}
"""
SOURCE = "    source: /dev/video0\n"
LINE = "{from: [0.10, 0.55], to: [0.90, 0.55], inside: [0.5, 0.9]}"
BROKER = "{host: mqtt.example.com}"
NAME = "is no name; use lower-case letters, digits and dashes, at most 32, as in"
DAYS = 'must be days and their times, as in {mon-sat: "09:30-22:00"}'
SHARE = "must be a share of the picture's height, 0 to 1, but is"
DIVIDE = "divide pixels by the picture's height, percent by 100"
POINT = "must be two numbers, as in [0.5, 0.9], but is"
TOP = "site, timezone, cameras, broker, ledger, tally_dir, model"
CAMERA = "source, size, fps, lines, open, replay, loop"
FOLLOW = "follow the threshold from one end to the other with few points"
ENTRANCE = "7: cameras.door-a.lines.entrance"


def messages(text: str) -> list[str]:
    """Return what is said of *text*, without the file's name."""
    with pytest.raises(ConfigError) as refusal:
        schema.parse(text, Path("f.yaml"))
    said = list(map(str, refusal.value.messages))
    assert all(message.startswith("f.yaml:") for message in said)
    return [message.removeprefix("f.yaml:") for message in said]


def changed(old: str, new: str) -> str:
    """Return the good config with one place of it changed."""
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def line(start: str, end: str, inside: str = "[0.5, 0.9]", more: str = "") -> str:
    return changed(LINE, f"{{from: {start}, to: {end}, inside: {inside}{more}}}")


def test_what_is_left_out_has_defaults() -> None:
    """A config of the fewest keys is whole: a picture of 640 by 480, fifteen a second, always open, TLS on 8883."""
    made = schema.parse(GOOD)
    camera = made.cameras["door-a"]

    assert ((640, 480), 15, None, "pace", False) == (
        camera.size,
        camera.fps,
        camera.open,
        camera.replay,
        camera.loop,
    )
    assert (8883, "5", 60) == (made.broker.port, made.broker.protocol, made.broker.keepalive_s)
    assert made.broker.tls is not None
    assert Path("/var/lib/footfall/ledger.sqlite") == made.ledger
    assert Path("/run/footfall") == made.tally_dir
    assert made.model is None


@pytest.mark.parametrize(
    ("broker", "port", "tls"),
    [
        ("{host: mqtt.example.com}", 8883, True),
        ("{host: 192.0.2.1}", 8883, True),
        ("{host: localhost}", 1883, False),
        ("{host: 127.0.0.7}", 1883, False),
        ("{host: '::1'}", 1883, False),
        ("{host: localhost.example.com}", 8883, True),
        ("{host: localhost, tls: true}", 8883, True),
        ("{host: localhost, tls: {ca_file: ca.pem}}", 8883, True),
        ("{host: mqtt.example.com, tls: false}", 1883, False),
        ("{host: mqtt.example.com, tls: false, port: 8883}", 8883, False),
        ("{host: mqtt.example.com, port: 1883}", 1883, True),
    ],
)
def test_tls_is_off_only_where_it_is_said_or_on_this_box(broker: str, port: int, tls: bool) -> None:
    """Without a word TLS is on, but for a broker on this box; the port follows it, and either can be said."""
    made = schema.parse(changed(BROKER, broker)).broker

    assert (port, tls) == (made.port, made.tls is not None)


@pytest.mark.parametrize(("written", "read"), [("5", "5"), ('"5"', "5"), ("3.1.1", "3.1.1"), ('"3.1.1"', "3.1.1")])
def test_the_protocol_needs_no_quotes(written: str, read: str) -> None:
    """YAML takes 5 for a number and 3.1.1 for text; both are understood."""
    assert read == schema.parse(changed(BROKER, f"{{host: h, protocol: {written}}}")).broker.protocol


REFUSALS = [
    # names and zones
    (changed("sh-023", "SH_023"), [f"1: site: {NAME} sh-023"]),
    (changed("sh-023", "-a"), [f"1: site: {NAME} a"]),
    (changed("sh-023", "a" * 33), [f"1: site: {NAME} {'a' * 32}"]),
    (changed("sh-023", "'a/b'"), [f"1: site: {NAME} a-b"]),
    (changed("sh-023", "023"), ['1: site: must be text, but is 023; write it in quotes: "023"']),
    (changed("sh-023", "2026-01-01"), ['1: site: must be text, but is 2026-01-01; write it in quotes: "2026-01-01"']),
    (changed("sh-023", ""), ["1: site: must be text, but is empty"]),
    (changed("door-a", "Door A"), [f"4: cameras.Door A: {NAME} door-a"]),
    (changed("entrance", "Ein"), [f"7: cameras.door-a.lines.Ein: {NAME} ein"]),
    (
        changed("Asia/Shanghai", "asia/shangai"),
        ['2: timezone: "asia/shangai" is no IANA time zone; did you mean "Asia/Shanghai"?'],
    ),
    (
        changed("Asia/Shanghai", "../../etc/passwd"),
        ['2: timezone: "../../etc/passwd" is no IANA time zone; write one as in Europe/Berlin'],
    ),
    (changed("Asia/Shanghai", "8"), ['2: timezone: must be text, but is 8; write it in quotes: "8"']),
    # sections
    (changed(f"broker: {BROKER}\n", ""), ["1: broker: is needed here, but isn't there"]),
    (changed(BROKER, "mqtt"), ['8: broker: must be a section with keys of its own, but is "mqtt"']),
    (
        changed("door-a:", "door-a: x\n  door-b:"),
        ['4: cameras.door-a: must be a section with keys of its own, but is "x"'],
    ),
    (
        changed(f"      entrance: {LINE}\n", ""),
        ["6: cameras.door-a.lines: must be a section with keys of its own, but is empty"],
    ),
    (changed(f"\n      entrance: {LINE}", " {}"), ["6: cameras.door-a.lines: needs at least one entry"]),
    (
        changed(f"      entrance: {LINE}\n", "".join(f"      l{n}: {LINE}\n" for n in range(9))),
        ["6: cameras.door-a.lines: has too many entries; at most 8"],
    ),
    # a camera's settings
    (changed(SOURCE, ""), ["4: cameras.door-a.source: is needed here, but isn't there"]),
    (changed("/dev/video0", "''"), ["5: cameras.door-a.source: must not be empty"]),
    (changed("/dev/video0", "0"), ['5: cameras.door-a.source: "0" is no camera; did you mean /dev/video0?']),
    (
        changed(SOURCE, f"{SOURCE}    size: [640]\n"),
        ["6: cameras.door-a.size: must be two whole numbers, as in [640, 480], but is [640]"],
    ),
    (
        changed(SOURCE, f"{SOURCE}    size: 640x480\n"),
        ['6: cameras.door-a.size: must be two whole numbers, as in [640, 480], but is "640x480"; write [640, 480]'],
    ),
    (
        changed(SOURCE, f"{SOURCE}    size: [63, 4097]\n"),
        [
            "6: cameras.door-a.size.0: must be at least 64, but is 63",
            "6: cameras.door-a.size.1: must be at most 4096, but is 4097",
        ],
    ),
    (changed(SOURCE, f"{SOURCE}    fps: 0\n"), ["6: cameras.door-a.fps: must be at least 1, but is 0"]),
    (changed(SOURCE, f"{SOURCE}    fps: 61\n"), ["6: cameras.door-a.fps: must be at most 60, but is 61"]),
    (changed(SOURCE, f"{SOURCE}    fps: fast\n"), ['6: cameras.door-a.fps: must be a number, but is "fast"']),
    (
        changed(SOURCE, f"{SOURCE}    replay: slow\n"),
        ["6: cameras.door-a.replay: must be 'pace' or 'fast', but is \"slow\""],
    ),
    (changed(SOURCE, f"{SOURCE}    loop: 1\n"), ["6: cameras.door-a.loop: must be true or false, but is 1"]),
    (changed(SOURCE, f"{SOURCE}    open: always\n"), [f"6: cameras.door-a.open: {DAYS}"]),
    (changed(SOURCE, f"{SOURCE}    open: [mon]\n"), [f"6: cameras.door-a.open: {DAYS}"]),
    (
        changed(SOURCE, f"{SOURCE}    open: {{mon: 9}}\n"),
        ['6: cameras.door-a.open: the times of mon aren\'t text; write them in quotes, as "09:30-22:00"'],
    ),
    (
        changed(SOURCE, f"{SOURCE}    open: {{mon: '9-5'}}\n"),
        ['6: cameras.door-a.open: mon: "9-5" is no span of time; write it as "09:30-22:00"'],
    ),
    # points of a line
    (line("[0.1]", "[0.9, 0.5]"), [f"{ENTRANCE}.from: {POINT} [0.1]"]),
    (line("[0.1, 0.5, 0.5]", "[0.9, 0.5]"), [f"{ENTRANCE}.from: {POINT} [0.1, 0.5, 0.5]"]),
    (line("[]", "[0.9, 0.5]"), [f"{ENTRANCE}.from: {POINT} []"]),
    (line("0.1", "[0.9, 0.5]"), [f"{ENTRANCE}.from: {POINT} 0.1; write both numbers in square brackets"]),
    (line("[0.1, 1.5]", "[0.9, 0.5]"), [f"{ENTRANCE}.from.1: {SHARE} 1.5; {DIVIDE}"]),
    (line("[0.1, -1]", "[0.9, 0.5]"), [f"{ENTRANCE}.from.1: {SHARE} -1; {DIVIDE}"]),
    (line("[0.1, half]", "[0.9, 0.5]"), [f'{ENTRANCE}.from.1: must be a number, but is "half"']),
    (line("[0.1, true]", "[0.9, 0.5]"), [f"{ENTRANCE}.from.1: must be a number, but is true"]),
    (line("[0.1, .nan]", "[0.9, 0.5]"), [f"{ENTRANCE}.from.1: {SHARE} NaN; {DIVIDE}"]),
    (
        line("[0.1, 0.5]", "[0.9, 0.5]", more=", via: 3"),
        [f"{ENTRANCE}.via: must be a list of points, as in [[0.3, 0.5], [0.7, 0.5]], but is 3"],
    ),
    # lines that can't be
    (
        line("[0.5, 0.5]", "[0.5, 0.51]"),
        [f"{ENTRANCE}: the line has no length: `from` and `to` are the same place; draw it across the door"],
    ),
    (
        line("[0.1, 0.5]", "[0.9, 0.5]", more=", via: [[0.5, 0.4], [0.5, 0.4]]"),
        [f"{ENTRANCE}: two neighbours among `from`, `via` and `to` are the same place; leave one of them out"],
    ),
    (
        line("[0.1, 0.5]", "[0.4, 0.2]", more=", via: [[0.9, 0.5], [0.6, 0.2], [0.4, 0.9]]"),
        [
            f"{ENTRANCE}: the line crosses itself or has more than {MOST_CORNERS} points in `via`; {FOLLOW}",
        ],
    ),
    (
        line("[0.1, 0.5]", "[0.9, 0.5]", "[0.3, 0.505]"),
        [f"{ENTRANCE}: `inside` lies on the line; give any point that is clearly on the shop's side of it"],
    ),
    (
        line("[0.1, 0.5]", "[0.4, 0.5]", "[0.9, 0.5]"),
        [f"{ENTRANCE}: `inside` lies on the line; give any point that is clearly on the shop's side of it"],
    ),
    # the broker
    (changed(BROKER, "{host: ''}"), ["8: broker.host: must not be empty"]),
    (changed(BROKER, "{port: 1}"), ["8: broker.host: is needed here, but isn't there"]),
    (changed(BROKER, "{host: h, port: 0}"), ["8: broker.port: must be at least 1, but is 0"]),
    (changed(BROKER, "{host: h, port: 65536}"), ["8: broker.port: must be at most 65535, but is 65536"]),
    (
        changed(BROKER, "{host: h, port: '1883'}"),
        ['8: broker.port: must be a whole number, but is "1883"; write the number alone, without quotes: 1883'],
    ),
    (changed(BROKER, "{host: h, protocol: 4}"), ["8: broker.protocol: must be '5' or '3.1.1', but is \"4\""]),
    (changed(BROKER, "{host: h, keepalive_s: 4}"), ["8: broker.keepalive_s: must be at least 5, but is 4"]),
    (
        changed(BROKER, "{host: h, username: 7}"),
        ['8: broker.username: must be text, but is 7; write it in quotes: "7"'],
    ),
    (
        changed(BROKER, "{host: h, password_file: p}"),
        ["8: broker: `password_file` needs a `username` beside it"],
    ),
    (
        changed(BROKER, "{host: h, tls: maybe}"),
        ['8: broker.tls: must be a section with keys of its own, but is "maybe"'],
    ),
    (
        changed(BROKER, "{host: h, tls: {cert_file: c}}"),
        ["8: broker.tls: `cert_file` and `key_file` come together; give both or neither"],
    ),
    (f"{GOOD}ledger: 5\n", ["9: ledger: must be a path, but is 5"]),
    (f"{GOOD}model: [a]\n", ['9: model: must be a path, but is ["a"]']),
    # keys that aren't any
    (f"{GOOD}sight: x\n", ['9: sight: "sight" is not a setting; did you mean "site"?']),
    (f"{GOOD}zzz: x\n", [f'9: zzz: "zzz" is not a setting; known here: {TOP}']),
    (f"{GOOD}1: x\n", [f'9: 1: "1" is not a setting; known here: {TOP}']),
    (f"{GOOD}? [1]\n: x\n", [f'9: [1]: "[1]" is not a setting; known here: {TOP}']),
    (
        changed(SOURCE, f"{SOURCE}    Rate in Hz: 15\n"),
        [f'6: cameras.door-a.Rate in Hz: "Rate in Hz" is not a setting; known here: {CAMERA}'],
    ),
    (
        changed("    lines:", "    line:"),
        [
            "4: cameras.door-a.lines: is needed here, but isn't there",
            '6: cameras.door-a.line: "line" is not a setting; did you mean "lines"?',
        ],
    ),
    (
        line("[0.1, 0.5]", "[0.9, 0.5]", more=", insight: [0, 0]"),
        [f'{ENTRANCE}.insight: "insight" is not a setting; did you mean "inside"?'],
    ),
    (
        changed(BROKER, "{host: h, Password File: p}"),
        ['8: broker.Password File: "Password File" is not a setting; did you mean "password_file"?'],
    ),
    (
        changed(BROKER, "{host: h, tls: {ca: c}}"),
        ['8: broker.tls.ca: "ca" is not a setting; known here: ca_file, cert_file, key_file'],
    ),
    # twice
    (f"{GOOD}site: other\n", ["9: site: stands here twice, first on line 1; keep one"]),
    (
        changed(SOURCE, f"{SOURCE}    source: csi:0\n"),
        ["6: cameras.door-a.source: stands here twice, first on line 5; keep one"],
    ),
    (changed(BROKER, "{host: h, host: h}"), ["8: broker.host: stands here twice, first on line 8; keep one"]),
    # not YAML
    (changed("sh-023", "[a"), None),
    (
        changed("sh-023", "*nobody"),
        ["1: this isn't YAML: *nobody refers to nothing; put a value that begins with * in quotes"],
    ),
    (changed("sh-023", "!secret x"), ["1: this isn't YAML: !secret isn't understood here; write the value itself"]),
    (changed(SOURCE, "\tsource: x\n"), None),
    (changed("sh-023", "\x07"), ["1: this isn't YAML: it holds the character 0x7, which nobody can see; delete it"]),
    (
        f"{GOOD}---\nx: y\n",
        ["9: this isn't YAML: --- begins a second document; keep one, in one file"],
    ),
    (f"{GOOD}<<: 5\n", None),
    ("- a\n", ['1: the file: must be a section with keys of its own, but is ["a"]']),
    ("a", ['1: the file: must be a section with keys of its own, but is "a"']),
    ("&a [*a]", [" sections stand in sections without end; write it without `*`"]),
    ("a: &a {b: *a}", [" sections stand in sections without end; write it without `*`"]),
]


@pytest.mark.parametrize(("text", "said"), REFUSALS, ids=[(said or ["no YAML"])[0] for _, said in REFUSALS])
def test_what_is_refused(text: str, said: list[str] | None) -> None:
    """Each fault is told with file:line, key, what is wrong, what to write instead; None leaves the words to YAML."""
    found = messages(text)

    if said is None:
        assert len(found) == 1
        assert found[0].partition(":")[0].isdigit()
        assert found[0].partition(": ")[2].startswith("this isn't YAML: ")
    else:
        assert said == found
    assert all("\n" not in message for message in found)


def test_all_faults_are_told_at_once() -> None:
    """A file with a fault on each of its lines gets a message for each, in the file's order."""
    text = """\
site: SH
timezone: Mars
cameras:
  door-a:
    source: 5
    source: 6
    fps: 900
    lines:
      entrance: {from: [0, 0], to: [0, 0], inside: [0.5, 0.9]}
      exit: {from: [0.1, 0.5], to: [0.9, 0.5]}
broker: {hosts: h}
"""

    found = [tuple(message.split(": ")[:2]) for message in messages(text)]

    assert [
        ("1", "site"),
        ("2", "timezone"),
        ("5", "cameras.door-a.source"),
        ("6", "cameras.door-a.source"),
        ("7", "cameras.door-a.fps"),
        ("9", "cameras.door-a.lines.entrance"),
        ("10", "cameras.door-a.lines.exit.inside"),
        ("11", "broker.host"),
        ("11", "broker.hosts"),
    ] == sorted(found, key=lambda place: (int(place[0]), place[1]))


def test_an_empty_file_is_told_what_it_needs() -> None:
    """Nothing in it: each of the four keys that must be there is named."""
    assert [f"1: {key}: is needed here, but isn't there" for key in ("broker", "cameras", "site", "timezone")] == (
        messages("")
    )


def test_a_long_wrong_value_is_cut_short() -> None:
    """A message stays one readable line, however much was written."""
    (said,) = messages(changed(SOURCE, f"{SOURCE}    fps: {'x' * 500}\n"))

    assert said.endswith("x…")
    assert len(said) < 150


def test_nobody_is_told_a_password() -> None:
    """A password that was written into the config by mistake isn't repeated in the journal."""
    (said,) = messages(changed(BROKER, "{host: h, password: hunter2}"))

    assert '8: broker.password: "password" is not a setting; did you mean "password_file"?' == said


def test_cameras_may_share_what_is_written_once() -> None:
    """A section can be merged into another with `<<`, and what stands beside it goes before it."""
    text = changed("door-a:", "door-a: &door").replace(
        "broker:",
        "  door-b: &other {<<: *door, source: /clip.mp4}\n  door-c: {<<: *other, fps: 5}\n  door-d: *other\nbroker:",
    )

    made = schema.parse(text).cameras

    assert [("/dev/video0", 15), ("/clip.mp4", 15), ("/clip.mp4", 5), ("/clip.mp4", 15)] == [
        (c.source, c.fps) for c in made.values()
    ]


def test_dates_that_can_not_be_are_text() -> None:
    """YAML takes 2026-99-99 for a date; it ends in no traceback."""
    assert "2026-99-99" == schema.parse(changed("sh-023", "2026-99-99")).site


def test_lines_that_stand_for_the_same_number_are_refused() -> None:
    """Two names with the same key on the wire couldn't be told apart by the publisher."""
    one, other = "plumless", "buckeroo"
    assert line_key(one) == line_key(other)

    found = messages(changed(f"      entrance: {LINE}\n", f"      {one}: {LINE}\n      {other}: {LINE}\n"))

    assert ["6: cameras.door-a.lines: two lines' names stand for the same number; rename one of them"] == found


# --- the 4 % rule ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ((0.0, 0.5), (1.0, 0.5)),
        ((0.5, 0.0), (0.5, 1.0)),
        ((0.0, 0.0), (1.0, 1.0)),
        ((0.0, 0.05), (1.0, 0.05)),
        ((0.0, 0.3), (0.3, 0.0)),
        ((1.0, 0.7), (0.7, 1.0)),
    ],
)
def test_a_lines_ends_may_touch_the_edges(start: tuple[float, float], end: tuple[float, float]) -> None:
    """The rule is about the room beside the line, not about its ends."""
    assert schema.line((*start, *end), (0.6, 0.9)).start == start


@pytest.mark.parametrize(
    ("start", "end", "share"),
    [
        ((0.1, 0.02), (0.9, 0.02), "2.0"),
        ((0.1, 0.98), (0.9, 0.98), "2.0"),
        ((0.03, 0.2), (0.03, 0.8), "3.0"),
        ((0.0, 0.2), (0.2, 0.0), "2.0"),
        ((0.1, 0.1), (0.05, 0.15), "2.0"),
        ((0.0, 0.0), (1.0, 0.0), "0.0"),
        ((1.0, 1.0), (1.0, 0.0), "0.0"),
    ],
)
def test_a_line_at_the_pictures_edge_is_refused(
    start: tuple[float, float], end: tuple[float, float], share: str
) -> None:
    """Where less than 4 % of the picture is left on a side, no head is ever seen whole there: it would never count."""
    with pytest.raises(ConfigError) as refusal:
        schema.line((*start, *end), (0.5, 0.5))

    assert f"the line leaves only {share} % of the picture on one side" in str(refusal.value)
    assert "move it inwards until each side has at least 4 %" in str(refusal.value)


def test_a_bent_line_at_the_edge_is_refused() -> None:
    """The rule holds for a threshold with corners, too."""
    (said,) = messages(line("[0.0, 0.02]", "[1.0, 0.02]", more=", via: [[0.5, 0.03]]"))

    assert "leaves only 2.0 % of the picture on one side" in said


shares = st.floats(0, 1)


@given(shares, shares, shares, shares)
def test_the_smaller_side_is_measured_rightly(x1: float, y1: float, x2: float, y2: float) -> None:
    """The share that a straight line cuts off is the one that counting a grid's points gives, whatever its slope."""
    if math.dist((x1, y1), (x2, y2)) < SHORTEST_LINE:
        return
    counted = smaller_side_by_grid(Polyline([(x1, y1), (x2, y2)]))

    assert smaller_side(Polyline([(x1, y1), (x2, y2)])) == pytest.approx(counted, abs=0.02)


# --- any text, any file ----------------------------------------------------------------------------------------------


@given(st.integers(0, len(GOOD)), st.integers(0, 40), st.text(max_size=10))
def test_any_change_gives_settings_or_messages(at: int, length: int, text: str) -> None:
    """Whatever stands in the file, it is read or refused in sentences that name the file; nothing else can happen."""
    try:
        schema.parse(GOOD[:at] + text + GOOD[at + length :], Path("f.yaml"))
    except ConfigError as refusal:
        said = list(map(str, refusal.messages))
    else:
        return
    assert said
    assert all(message.startswith("f.yaml") for message in said)


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    """Missing or a folder: each in one sentence that says what to do."""
    for name, cause in (
        ("missing", "No such file or directory"),
        (".", "Is a directory"),
    ):
        path = tmp_path / name

        with pytest.raises(ConfigError) as refusal:
            schema.load(path)
        assert f"{path}: can't be read: {cause}; give another with --config" == str(refusal.value)


def test_the_line_of_a_command_is_held_to_the_same_rules() -> None:
    """What `footfall count --line` was given is refused in the same words, with the option's name."""
    with pytest.raises(ConfigError) as refusal:
        schema.line((0.1, 0.5, 1.9, 0.5), ())

    assert (
        f"--line: to.0: {SHARE} 1.9; {DIVIDE}".replace("height", "width"),
        f"--line: inside: {POINT} []",
    ) == tuple(map(str, refusal.value.messages))


# --- each process gets its slice -------------------------------------------------------------------------------------


def test_vision_knows_nothing_of_headquarters() -> None:
    """What the process that sees is handed holds no site, no broker and no ledger."""
    slice_ = schema.parse(changed(BROKER, "{host: secret-host, username: secret-name}")).vision("door-a")

    assert {"name", "camera", "timezone", "model", "tally"} == set(VisionSettings.__slots__)
    assert not [word for word in ("secret", "sh-023", "ledger") if word in repr(slice_)]
    assert Path("/run/footfall/door-a.tally") == slice_.tally


def test_the_publisher_knows_nothing_of_the_picture() -> None:
    """What the process that talks is handed holds no camera's source and no line's place in the picture."""
    slice_ = schema.parse(GOOD).publisher()

    assert {"site", "timezone", "cameras", "broker", "ledger", "model"} == set(PublisherSettings.__slots__)
    assert not [word for word in ("/dev/video0", "0.55", "inside") if word in repr(slice_)]
    assert ("entrance",) == slice_.cameras[0].lines


def test_a_camera_that_is_not_there() -> None:
    """Vision of a camera that the config doesn't have is told which ones it has."""
    with pytest.raises(ConfigError, match='no camera is called "door-z"; the config has: door-a'):
        schema.parse(GOOD).vision("door-z")
