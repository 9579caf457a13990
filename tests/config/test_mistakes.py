"""What people write into a footfall.yaml on their first day, and the sentence that each of them gets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.config import schema
from edge.core.errors import ConfigError

GOOD = """\
site: yard-01
timezone: Europe/Berlin
cameras:
  door:
    source: clips/yard.mp4
    loop: true
    lines:
      entrance: {from: [0.06, 0.68], to: [0.97, 0.68], inside: [0.5, 0.92]}
    open: {mon-sat: "09:30-22:00", sun: "10:00-20:00"}
ledger: ./ledger.sqlite
broker: {host: localhost, port: 18831}
"""
POINTS = "from: [0.06, 0.68], to: [0.97, 0.68], inside: [0.5, 0.92]"
HOURS = '{mon-sat: "09:30-22:00", sun: "10:00-20:00"}'
OPEN = "9: cameras.door.open:"
ENTRANCE = "8: cameras.door.lines.entrance"
NAMES = "use lower-case letters, digits and dashes, at most 32, as in"
DAYS = "write one of mon, tue, wed, thu, fri, sat, sun, or a range such as mon-sat"
SHARE_X = "must be a share of the picture's width, 0 to 1, but is"
SHARE_Y = "must be a share of the picture's height, 0 to 1, but is"
SEAL = "use a USB or CSI camera: one with a network of its own could send pictures past the seal"
HOST = "must be a name or an address alone, but is"


def second(name: str, source: str) -> str:
    """Return another camera's section, to stand before the ledger."""
    return f"  {name}:\n    source: {source}\n    lines:\n      entrance: {{{POINTS}}}\nledger:"


REFUSED: dict[str, tuple[str, str, list[str]]] = {
    # YAML
    "indented less": (
        "    source:",
        "   source:",
        [("6: this isn't YAML: this line is indented by 4 spaces, line 5 above it by 3; begin all lines of one section "
         "in the same column")],
    ),
    "lines not indented": (
        "    lines:\n      entrance:",
        "    lines:\n    entrance:",
        ["7: cameras.door.lines: must be a section with keys of its own, but is empty",
         '8: cameras.door.entrance: "entrance" is not a setting; indent it further if it belongs to `lines`'],
    ),
    "camera not indented": (
        "  door:\n",
        "door:\n",
        ["3: cameras: must be a section with keys of its own, but is empty",
         '4: door: "door" is not a setting; indent it further if it belongs to `cameras`'],
    ),
    "tab": (
        "    loop: true",
        "\tloop: true",
        ["6: this isn't YAML: a tab stands where only spaces may; indent with spaces"],
    ),
    "quote missing": (
        '"09:30-22:00"',
        '"09:30-22:00',
        ["9: this isn't YAML: a quote is missing in this line; quotes come in pairs"],
    ),
    "colon missing": (
        "site: yard-01",
        "site yard-01",
        ["1: this isn't YAML: a colon is missing between the key and its value; write `key: value`"],
    ),
    "space missing": (
        "site: yard-01",
        "site:yard-01",
        ["1: this isn't YAML: a space is missing after the colon; write `key: value`"],
    ),
    "curly quotes": (
        '"09:30-22:00"',
        "\u201c09:30-22:00\u201d",
        [(f'{OPEN} mon-sat: "\u201c09:30-22:00\u201d" is no span of time; write it with straight quotes, as '
         '"09:30-22:00"')],
    ),
    "empty": (
        GOOD,
        "",
        [f"1: {key}: is needed here, but isn't there" for key in ("broker", "cameras", "site", "timezone")],
    ),
    # time zones
    "no such city": (
        "Europe/Berlin",
        "Europe/Munich",
        ['2: timezone: "Europe/Munich" is no IANA time zone; did you mean "Europe/Zurich"?'],
    ),
    "offset": ("Europe/Berlin", "CET+1", ['2: timezone: "CET+1" is no IANA time zone; did you mean "CET"?']),
    "lower case": (
        "Europe/Berlin",
        "europe/berlin",
        ['2: timezone: "europe/berlin" is no IANA time zone; did you mean "Europe/Berlin"?'],
    ),
    "city alone": (
        "Europe/Berlin",
        "new york",
        ['2: timezone: "new york" is no IANA time zone; did you mean "America/New_York"?'],
    ),
    "posix zone": (
        "Europe/Berlin",
        "posix/Europe/Berlin",
        ['2: timezone: "posix/Europe/Berlin" is no IANA time zone; did you mean "Europe/Berlin"?'],
    ),
    "zone with leap seconds": (
        "Europe/Berlin",
        "right/Europe/Berlin",
        ['2: timezone: "right/Europe/Berlin" is no IANA time zone; did you mean "Europe/Berlin"?'],
    ),
    "the machine's own zone": (
        "Europe/Berlin",
        "localtime",
        ['2: timezone: "localtime" is no IANA time zone; write one as in Europe/Berlin'],
    ),
    "factory zone": (
        "Europe/Berlin",
        "Factory",
        ['2: timezone: "Factory" is no IANA time zone; write one as in Europe/Berlin'],
    ),
    # lines
    "inside on the line": (
        "inside: [0.5, 0.92]",
        "inside: [0.5, 0.68]",
        [f"{ENTRANCE}: `inside` lies on the line; give any point that is clearly on the shop's side of it"],
    ),
    "pixels": (
        POINTS,
        "from: [64, 0.68], to: [0.97, 264], inside: [0.5, 0.92]",
        [f"{ENTRANCE}.from.0: {SHARE_X} 64; divide pixels by the picture's width, percent by 100",
         f"{ENTRANCE}.to.1: {SHARE_Y} 264; divide pixels by the picture's height, percent by 100"],
    ),
    "percent": (
        "0.06, 0.68",
        "6, 0.68",
        [f"{ENTRANCE}.from.0: {SHARE_X} 6; divide pixels by the picture's width, percent by 100"],
    ),
    "no brackets": (
        "from: [0.06, 0.68]",
        "from: 0.06, 0.68",
        [f'{ENTRANCE}.0.68: "0.68" is not a setting; known here: from, to, via, inside',
         f"{ENTRANCE}.from: must be two numbers, as in [0.5, 0.9], but is 0.06; write both numbers in square brackets"],
    ),
    "decimal commas": (
        "[0.06, 0.68]",
        "[0,06, 0,68]",
        [(f"{ENTRANCE}.from: must be two numbers, as in [0.5, 0.9], but is [0, 6, 0, 68]; write decimals with a point, "
         "as in 0.5")],
    ),
    "at the edge": (
        POINTS,
        "from: [0.06, 0.98], to: [0.97, 0.98], inside: [0.5, 0.999]",
        [(f"{ENTRANCE}: the line leaves only 2.0 % of the picture on one side, where no head is ever seen whole; move "
         "it inwards until each side has at least 4 %, or turn the camera")],
    ),
    "no lines": (
        f"    lines:\n      entrance: {{{POINTS}}}\n",
        "",
        ["4: cameras.door.lines: is needed here, but isn't there"],
    ),
    # the broker
    "port in quotes": (
        "18831",
        '"18831"',
        ['11: broker.port: must be a whole number, but is "18831"; write the number alone, without quotes: 18831'],
    ),
    "port in host": (
        "host: localhost, port: 18831",
        'host: "localhost:18831"',
        [f'11: broker.host: {HOST} "localhost:18831"; write host: localhost, port: 18831'],
    ),
    "address of the web's kind": (
        "host: localhost, port: 18831",
        'host: "mqtt://localhost:18831"',
        [f'11: broker.host: {HOST} "mqtt://localhost:18831"; write host: localhost, port: 18831, tls: false'],
    ),
    "secured address": (
        "host: localhost, port: 18831",
        'host: "mqtts://mqtt.example.com/"',
        [f'11: broker.host: {HOST} "mqtts://mqtt.example.com/"; write host: mqtt.example.com, tls: true'],
    ),
    "IPv6 in brackets": (
        "host: localhost, port: 18831",
        'host: "[::1]:1883"',
        [f'11: broker.host: {HOST} "[::1]:1883"; write host: "::1", port: 1883'],
    ),
    "path in host": (
        "host: localhost",
        "host: mqtt.example.com/topic",
        [('11: broker.host: "mqtt.example.com/topic" is no name and no address; write the broker\'s name alone, as in '
         "mqtt.example.com")],
    ),
    "password": (
        "port: 18831",
        "port: 18831, username: yard-01, password: geheim",
        ['11: broker.password: "password" is not a setting; did you mean "password_file"?'],
    ),
    # keys and names
    "camera twice": (
        "ledger:",
        second("door", "/dev/video0"),
        ["10: cameras.door: stands here twice, first on line 4; keep one"],
    ),
    "key mistyped": (
        "source:",
        "sourc:",
        ["4: cameras.door.source: is needed here, but isn't there",
         '5: cameras.door.sourc: "sourc" is not a setting; did you mean "source"?'],
    ),
    "key with an underscore": (
        "timezone:",
        "time_zone:",
        ["1: timezone: is needed here, but isn't there",
         '2: time_zone: "time_zone" is not a setting; did you mean "timezone"?'],
    ),
    "site with a space": ("yard-01", "Yard 01", [f"1: site: is no name; {NAMES} yard-01"]),
    "site with an underscore": ("yard-01", "yard_01", [f"1: site: is no name; {NAMES} yard-01"]),
    "camera with a space": ("  door:", "  Door A:", [f"4: cameras.Door A: is no name; {NAMES} door-a"]),
    "site that looks like a number": (
        "yard-01",
        "0123",
        ['1: site: must be text, but is 0123; write it in quotes: "0123"'],
    ),
    "site that looks like a truth": ("yard-01", "on", ['1: site: must be text, but is on; write it in quotes: "on"']),
    # sources
    "network camera": (
        "clips/yard.mp4",
        "rtsp://10.0.0.5/stream1",
        [f"5: cameras.door.source: network cameras aren't supported; {SEAL}"],
    ),
    "address of a file": (
        "clips/yard.mp4",
        "file:///home/pi/yard.mp4",
        ["5: cameras.door.source: a clip is named by its path, not by an address; write /home/pi/yard.mp4"],
    ),
    "number": (
        "clips/yard.mp4",
        "0",
        ['5: cameras.door.source: "0" is no camera; did you mean /dev/video0?'],
    ),
    "device without its folder": (
        "clips/yard.mp4",
        "video2",
        ['5: cameras.door.source: "video2" is no camera; did you mean /dev/video2?'],
    ),
    "csi without its number": (
        "clips/yard.mp4",
        "csi",
        ['5: cameras.door.source: "csi" is no camera; did you mean csi:0?'],
    ),
    "home": (
        "clips/yard.mp4",
        "~/yard.mp4",
        [("5: cameras.door.source: must be a whole path, but is ~/yard.mp4; write the folder that `~` stands for, as "
          "in /home/pi")],
    ),
    "folder": (
        "clips/yard.mp4",
        "clips",
        ["5: cameras.door.source: clips is a folder; name one clip in it, or a camera such as /dev/video0"],
    ),
    "device of two cameras": (
        "clips/yard.mp4",
        "/dev/video0",
        [("3: cameras: door and door-b have the same `source`, /dev/video0, which can be opened once; name another "
         "camera, or draw both lines in one")],
    ),
    # a camera's other settings
    "size as a word": (
        "    loop: true",
        "    loop: true\n    size: 640x480",
        ['7: cameras.door.size: must be two whole numbers, as in [640, 480], but is "640x480"; write [640, 480]'],
    ),
    "rate with a unit": (
        "    loop: true",
        "    loop: true\n    fps: 15fps",
        ['7: cameras.door.fps: must be a number, but is "15fps"; write the number alone, without quotes: 15'],
    ),
    "rate too high": (
        "    loop: true",
        "    loop: true\n    fps: 120",
        ["7: cameras.door.fps: must be at most 60, but is 120"],
    ),
    # opening hours
    "day mistyped": ("mon-sat", "mon-sta", [f'{OPEN} "mon-sta" names no days; {DAYS}']),
    "days in German": ("mon-sat", "mo-sa", [f'{OPEN} "mo-sa" names no days; {DAYS}']),
    "points in times": (
        "09:30-22:00",
        "9.30-22.00",
        [f'{OPEN} mon-sat: "9.30-22.00" is no span of time; write it as "09:30-22:00"'],
    ),
    "hours without days": (
        HOURS,
        '"09:30-22:00"',
        [f'{OPEN} must be days and their times, as in {{mon-sat: "09:30-22:00"}}'],
    ),
    "day in two ranges": (
        'mon-sat: "09:30-22:00"',
        'mon-sat: "09:30-22:00", wed: "10:00-12:00"',
        [f"{OPEN} wed is named twice; name each day once"],
    ),
    "no days": (HOURS, "{}", [(f"{OPEN} the shop would never open; name a day and its times, or leave `open` out: "
                              "always open")]),
    "always closed": (HOURS, "{mon-sun: closed}", [(f"{OPEN} the shop would never open; name a day and its times, or "
                                                    "leave `open` out: always open")]),
    "time that YAML takes for a number": (
        '"09:30-22:00"',
        "12:30",
        [f'{OPEN} the times of mon-sat aren\'t text; write them in quotes, as "09:30-22:00"'],
    ),
}  # fmt: skip


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """Make the folder of a trial: a config beside a folder of clips."""
    (tmp_path / "clips").mkdir()
    return tmp_path


def refusal(path: Path) -> ConfigError:
    """Return what is said of the config at *path*."""
    with pytest.raises(ConfigError) as refused:
        schema.load(path)
    return refused.value


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_gets_its_sentence(folder: Path, mistake: str) -> None:
    """Each says where, what is wrong, and what to write instead; every fault of the file is told."""
    old, new, expected = REFUSED[mistake]
    path = folder / "footfall.yaml"
    text = GOOD if mistake != "device of two cameras" else GOOD.replace("ledger:", second("door-b", "/dev/video0"))
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")

    assert [f"{path}:{message}" for message in expected] == list(map(str, refusal(path).messages))


def test_all_of_them_at_once(folder: Path) -> None:
    """Five mistakes in one file are told in the file's order, in one go."""
    path = folder / "footfall.yaml"
    text = GOOD.replace("Europe/Berlin", "Berlin").replace("mon-sat", "mon-sta").replace("port", "prot")
    path.write_text(text.replace("source", "sorce").replace("0.92", "0.68"), encoding="utf-8")

    assert [
        ("2", "timezone"),
        ("4", "cameras.door.source"),
        ("5", "cameras.door.sorce"),
        ("8", "cameras.door.lines.entrance"),
        ("9", "cameras.door.open"),
        ("11", "broker.prot"),
    ] == [(message.place.removeprefix(f"{path}:"), message.key) for message in refusal(path).messages]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (GOOD.encode("utf-16"), ": it is UTF-16 text; save it as UTF-8 in your editor"),
        (f"# T\u00fcr\n{GOOD}".encode("latin-1"), ":1: it isn't UTF-8 text; save it as UTF-8 in your editor"),
    ],
    ids=["UTF-16", "Latin-1"],
)
def test_other_encodings(folder: Path, data: bytes, expected: str) -> None:
    """A file in another encoding says in which one to save it."""
    path = folder / "footfall.yaml"
    path.write_bytes(data)

    assert f"{path}{expected}" == str(refusal(path))


ACCEPTED = {
    "no quotes around times": ('"09:30-22:00"', "09:30-22:00"),
    "times without a zero": ('"09:30-22:00"', "9:30-22:00"),
    "spaces in times": ("09:30-22:00", "09:30 - 22:00"),
    "until midnight": ("09:30-22:00", "09:30-24:00"),
    "days in capitals": ("mon-sat", "Mon-Sat"),
    "a closed day": ('sun: "10:00-20:00"', "sun: closed"),
    "yes": ("loop: true", "loop: yes"),
    "line ends of Windows": ("\n", "\r\n"),
    "byte order mark": ("site:", "\ufeffsite:"),
    "a clip of two cameras": ("ledger:", second("door-b", "clips/yard.mp4")),
}


@pytest.mark.parametrize("habit", ACCEPTED)
def test_what_is_no_mistake(folder: Path, habit: str) -> None:
    """Other ways to write the same are understood."""
    old, new = ACCEPTED[habit]
    path = folder / "footfall.yaml"
    path.write_bytes(GOOD.replace(old, new).encode())

    assert schema.load(path).site == "yard-01"


def test_the_line_and_a_caret_are_shown(folder: Path) -> None:
    """Where the text isn't YAML, the line is shown with a caret below the place."""
    path = folder / "footfall.yaml"
    path.write_text(GOOD.replace("    loop: true", "\tloop: true"), encoding="utf-8")

    assert ("  6 | \u2192loop: true", "    | ^") == refusal(path).messages[0].excerpt


def test_a_password_is_not_shown(folder: Path) -> None:
    """A line that may hold a password isn't repeated, since the journal would keep it."""
    path = folder / "footfall.yaml"
    path.write_text(GOOD.replace("port: 18831}", "password: @geheim}"), encoding="utf-8")
    (message,) = refusal(path).messages

    assert () == message.excerpt
    assert "geheim" not in str(message)


@pytest.mark.parametrize("name", ["010", "07", "0x1f", "1e3", "on", "null", "08", "123"])
def test_a_name_is_what_is_written(name: str) -> None:
    """YAML's numbers and truths are names like any other, of a camera and of a line."""
    made = schema.parse(GOOD.replace("door:", f"{name}:").replace("entrance:", f"{name}:"))

    assert [name] == list(made.cameras)
    assert [name] == list(made.cameras[name].lines)


def test_relative_paths_begin_at_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ledger, clip, password and certificates are found beside the config, wherever the command is typed."""
    broker = "{host: h, username: u, password_file: pw, tls: {ca_file: ca.pem, cert_file: c.pem, key_file: keys/c.key}}"
    path = folder / "footfall.yaml"
    path.write_text(
        GOOD.replace("{host: localhost, port: 18831}", broker) + "tally_dir: run\nmodel: head.json\n", encoding="utf-8"
    )
    monkeypatch.chdir("/")
    made = schema.load(path)

    assert str(folder / "clips/yard.mp4") == made.cameras["door"].source
    assert folder / "ledger.sqlite" == made.ledger
    assert (folder / "run", folder / "head.json", folder / "pw") == (
        made.tally_dir,
        made.model,
        made.broker.password_file,
    )
    assert made.broker.tls is not None
    assert (folder / "ca.pem", folder / "c.pem", folder / "keys/c.key") == (
        made.broker.tls.ca_file,
        made.broker.tls.cert_file,
        made.broker.tls.key_file,
    )


CPU_S = 20
"""Seconds of processor time in which a few lines are read; written out, they would take hours."""
READ = f"""
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_CPU, ({CPU_S}, {CPU_S}))
from edge.config import schema
from edge.core.errors import ConfigError
try:
    schema.load(Path(sys.argv[1]))
except ConfigError as exc:
    print(exc)
"""


@pytest.mark.processes
@pytest.mark.parametrize("form", ["[{}]", "{{{}}}"], ids=["lists", "sections"])
def test_lines_that_stand_for_billions(folder: Path, form: str) -> None:
    """A config of thirty lines, each of which names the one before ten times, is refused and never written out."""
    path = folder / "footfall.yaml"
    parts = "*{}" if form == "[{}]" else "k{1}: *{0}"
    lines = [f"a0: &a0 {form.format('')}"]
    for number in range(1, 30):
        inner = ", ".join(parts.format(f"a{number - 1}", n) for n in range(10))
        lines.append(f"a{number}: &a{number} {form.format(inner)}")
    path.write_text("\n".join([*lines, "site: *a29", ""]), encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", READ, str(path)], check=False, capture_output=True, text=True)

    assert (done.returncode, "write it without `*`" in done.stdout) == (0, True), done.stderr[-500:]
