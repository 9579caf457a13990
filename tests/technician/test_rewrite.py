"""Lines are changed where they stand in footfall.yaml, and nowhere else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edge.config import schema
from edge.config.schema import Line
from edge.core.errors import ConfigError
from edge.technician.setup.rewrite import Wanted, diff, replace, rewrite

PATH = Path("footfall.yaml")
HEAD = "site: sh-023   # by Ms Li\ntimezone: Asia/Shanghai\n\n"
TAIL = "broker: {host: localhost}\n# end\n"

FLOW = (
    HEAD
    + """\
cameras:
  # main entrance
  door:
    source:   /dev/video0      # the black one
    lines: {entrance: {from: [0.10, 0.55], to: [0.90, 0.55], inside: [0.5, 0.9]}, \
side: {from: [0.1, 0.3], to: [0.9, 0.3], inside: [0.5, 0.9]}}   # two
    fps: 15
"""
    + TAIL
)
BLOCK = (
    HEAD
    + """\
cameras:
    door:
        source: /dev/video0
        lines:
            # across the mat
            entrance:
                inside: [0.5, 0.9]   # shop
                from:
                  - 0.10     # left post
                  - 0.55
                to: [0.90, 0.55]

            # the second door
            "side":
                {from: [0.1, 0.3],
                 to: [0.9, 0.3], inside: [0.5, 0.9]}   # narrow
        fps: 15

"""
    + TAIL
)


def lines_of(text: str) -> dict[str, Line]:
    return dict(schema.parse(text).cameras["door"].lines)


def moved(line: Line, **ends: tuple[float, float]) -> Line:
    return line.model_copy(update=ends)


def wanted(text: str) -> dict[str, Wanted]:
    return {name: Wanted(name, line, name) for name, line in lines_of(text).items()}


def changed_rows(before: str, after: str) -> list[str]:
    return [row for row in diff(before, after, "f").splitlines()[2:] if row[0] in "+-"]


@pytest.mark.parametrize("text", [FLOW, BLOCK], ids=["flow", "block"])
def test_nothing_to_change(text: str) -> None:
    """Lines that are as they were leave each character of the file as it was."""
    assert text == rewrite(text, "door", list(wanted(text).values()), PATH)


def test_an_end_is_moved_in_a_flow() -> None:
    """Only the numbers of the end that was dragged are other ones."""
    lines = wanted(FLOW)
    entrance = moved(lines["entrance"].line, end=(0.875, 0.6))
    after = rewrite(FLOW, "door", [Wanted("entrance", entrance, "entrance"), lines["side"]], PATH)

    assert FLOW.replace("to: [0.90, 0.55]", "to: [0.875, 0.6]") == after


def test_an_end_is_moved_in_a_block() -> None:
    """A point that is written below its key is replaced whole; all comments outside of it stay."""
    lines = wanted(BLOCK)
    entrance = moved(lines["entrance"].line, start=(0.2, 0.5))
    after = rewrite(BLOCK, "door", [Wanted("entrance", entrance, "entrance"), lines["side"]], PATH)

    assert lines_of(after)["entrance"].start == (0.2, 0.5)
    assert changed_rows(BLOCK, after) == [
        "-                  - 0.10     # left post",
        "-                  - 0.55",
        "+                  [0.2, 0.5]",
    ]


@pytest.mark.parametrize(("text", "named"), [(FLOW, "side: {"), (BLOCK, '"side":')], ids=["flow", "block"])
def test_a_line_is_renamed(text: str, named: str) -> None:
    """Only its name is another one."""
    lines = wanted(text)
    after = rewrite(text, "door", [lines["entrance"], Wanted("yard", lines["side"].line, "side")], PATH)

    assert text.replace(named, named.replace('"', "").replace("side", "yard")) == after


@pytest.mark.parametrize("text", [FLOW, BLOCK], ids=["flow", "block"])
@pytest.mark.parametrize("name", ["entrance", "side"])
def test_a_line_is_deleted(text: str, name: str) -> None:
    """The line goes, the other stays as it is written, and so does every comment that stands above it."""
    lines = wanted(text)
    del lines[name]
    after = rewrite(text, "door", list(lines.values()), PATH)
    (other,) = lines

    assert list(lines_of(after)) == [other]
    assert [row for row in changed_rows(text, after) if row.startswith("+")] == (
        [] if text == BLOCK else [FLOW_WITH[other]]
    )
    assert "# across the mat" in after or text == FLOW
    assert "# two" in after or text == BLOCK


FLOW_WITH = {
    "entrance": "+    lines: {entrance: {from: [0.10, 0.55], to: [0.90, 0.55], inside: [0.5, 0.9]}}   # two",
    "side": "+    lines: {side: {from: [0.1, 0.3], to: [0.9, 0.3], inside: [0.5, 0.9]}}   # two",
}


@pytest.mark.parametrize("text", [FLOW, BLOCK], ids=["flow", "block"])
def test_a_line_is_added(text: str) -> None:
    """A new line comes after the last, written as its neighbours are, and nothing else moves."""
    new = schema.line((0.2, 0.7, 0.8, 0.7), (0.5, 0.95))
    after = rewrite(text, "door", [*wanted(text).values(), Wanted("rear", new, None)], PATH)
    rear = "rear: {from: [0.2, 0.7], to: [0.8, 0.7], inside: [0.5, 0.95]}"

    assert lines_of(after)["rear"] == new
    assert (
        (f", {rear}" + "}   # two" in after)
        if text == FLOW
        else (f"# narrow\n            {rear}\n        fps" in after)
    )


def test_everything_at_once() -> None:
    """One line goes, one comes, one is moved and renamed; the file says exactly that."""
    lines = wanted(BLOCK)
    yard = Wanted("yard", moved(lines["side"].line, start=(0.2, 0.4), inside=(0.5, 0.1)), "side")
    rear = Wanted("rear", schema.line((0.2, 0.7, 0.8, 0.7), (0.5, 0.95)), None)
    after = rewrite(BLOCK, "door", [yard, rear], PATH)

    assert {"yard": yard.line, "rear": rear.line} == lines_of(after)
    assert all(comment in after for comment in ("# by Ms Li", "# the second door", "# narrow", "# end"))


def test_a_bent_line_keeps_its_bend() -> None:
    """`via` stays as it is written when an end is moved, and is written when it is moved itself."""
    text = FLOW.replace("to: [0.90, 0.55],", "via: [[0.5, 0.60]], to: [0.90, 0.55],")
    lines = wanted(text)
    bent = lines["entrance"].line
    end = Wanted("entrance", moved(bent, end=(0.8, 0.5)), "entrance")
    bend = Wanted("entrance", bent.model_copy(update={"via": ((0.5, 0.65),)}), "entrance")

    assert "via: [[0.5, 0.60]], to: [0.8, 0.5]," in rewrite(text, "door", [end, lines["side"]], PATH)
    assert "via: [[0.5, 0.65]], to: [0.90, 0.55]," in rewrite(text, "door", [bend, lines["side"]], PATH)


def test_lines_that_others_share() -> None:
    """Lines behind an anchor would move another camera's too: nothing is changed; the sentence says what to write."""
    text = FLOW.replace("lines: {", "lines: &all {").replace(
        "    fps: 15\n", "    fps: 15\n  yard: {source: /dev/video1, lines: *all}\n"
    )
    lines = wanted(text)
    lines["side"] = Wanted("side", moved(lines["side"].line, end=(0.8, 0.4)), "side")

    with pytest.raises(ConfigError, match=r"nothing was written(.|\n)*to: \[0.8, 0.4\]"):
        rewrite(text, "door", list(lines.values()), PATH)


def test_a_copy_is_kept(tmp_path: Path) -> None:
    """The file's rights stay, and a copy of what was there lies beside it."""
    path = tmp_path / "footfall.yaml"
    path.write_text(FLOW, encoding="utf-8")
    path.chmod(0o640)
    backup = replace(path, FLOW, BLOCK)

    assert (BLOCK, FLOW) == (path.read_text(encoding="utf-8"), backup.read_text(encoding="utf-8"))
    assert {stat.S_IMODE(file.stat().st_mode) for file in (path, backup)} == {0o640}
    assert sorted([path, backup]) == sorted(tmp_path.iterdir())


WINDOWS = "\ufeff" + BLOCK.replace("\n", "\r\n")
"""A file as Windows' Notepad writes it."""


@pytest.mark.parametrize("text", [WINDOWS, FLOW.replace("\n", "\r\n")], ids=["block", "flow"])
def test_a_file_written_on_windows(tmp_path: Path, text: str) -> None:
    """Ends of lines and a BOM stay, lines that are added end likewise, and the copy is the old file byte for byte."""
    path = tmp_path / "footfall.yaml"
    path.write_bytes(text.encode())
    lines = wanted(text)
    entrance = Wanted("entrance", moved(lines["entrance"].line, end=(0.875, 0.6)), "entrance")
    yard = Wanted("yard", lines["side"].line, None)
    after = rewrite(schema.read_text(path), "door", [entrance, lines["side"], yard], path)
    backup = replace(path, schema.read_text(path), after)
    kept = path.read_bytes()

    assert text.encode() == backup.read_bytes()
    assert {"entrance", "side", "yard"} == set(lines_of(after))
    assert kept.count(b"\n") == kept.count(b"\r\n")
    assert text.encode()[:3] == kept[:3]
    assert (0.875, 0.6) == lines_of(kept.decode())["entrance"].end


def test_two_copies_in_one_second(tmp_path: Path) -> None:
    """A second save within the same second doesn't write over the first one's copy."""
    path = tmp_path / "footfall.yaml"
    path.write_text("one", encoding="utf-8")
    first, second = replace(path, "one", "two"), replace(path, "two", "three")

    assert ("one", "two", "three") == tuple(p.read_text(encoding="utf-8") for p in (first, second, path))


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """A config that is kept elsewhere is written there."""
    kept = tmp_path / "kept.yaml"
    kept.write_text("one", encoding="utf-8")
    link = tmp_path / "footfall.yaml"
    link.symlink_to(kept)
    replace(link, "one", "two")

    assert link.is_symlink()
    assert kept.read_text(encoding="utf-8") == "two"


def test_somebody_else_was_quicker(tmp_path: Path) -> None:
    """A file that was edited meanwhile is left alone."""
    path = tmp_path / "footfall.yaml"
    path.write_text("edited", encoding="utf-8")
    with pytest.raises(ConfigError, match="the file was changed meanwhile"):
        replace(path, "one", "two")

    assert [path] == list(tmp_path.iterdir())
    assert path.read_text(encoding="utf-8") == "edited"


@pytest.mark.parametrize("name", ["010", "07", "0x1f", "1e3", "on", "null"])
def test_names_that_look_like_numbers(name: str) -> None:
    """A line and a camera keep the names that are written, in the file and on the page."""
    text = FLOW.replace("door:", f"{name}:").replace("entrance:", f"{name}:")
    moved = Line.model_validate({"from": (0.1, 0.6), "to": (0.9, 0.6), "inside": (0.5, 0.9)})
    side = schema.parse(text).cameras[name].lines["side"]
    after = rewrite(
        text, name, [Wanted(name, moved, name), Wanted("side", side, "side"), Wanted("08", moved, None)], PATH
    )

    assert {name: moved, "side": side, "08": moved} == dict(schema.parse(after).cameras[name].lines)
    assert f"{name}: {{from: [0.1, 0.6], to: [0.9, 0.6], inside" in after
