"""
Changes a camera's lines in the text of a footfall.yaml and leaves every other character as the technician wrote it.

The text is never generated from values: each change replaces the characters at the place that the YAML parser reports.
The result is then parsed as a config and must hold exactly the wanted lines and no other change. If it doesn't, as with
lines that are shared through anchors, nothing is written and the technician is told what to type.
"""

from __future__ import annotations

import difflib
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from edge.config import schema
from edge.config.schema import Config, Line
from edge.core.clock import KernelClock
from edge.core.errors import ConfigError

_LINE_END = re.compile("\r?\n")


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    One line as the file shall hold it.

    Attributes:
        was: Its name in the file now; None for a new line.
    """

    name: str
    line: Line
    was: str | None


@dataclass(frozen=True, slots=True)
class _Cut:
    """A replacement of the characters from *start* to *end* of the text."""

    start: int
    end: int
    text: str


def rewrite(text: str, camera: str, wanted: Sequence[Wanted], path: Path) -> str:
    """
    Return *text*, the config at *path*, with the lines of *camera* as *wanted*.

    Raises:
        ConfigError: the lines can't be written without changing something else.
    """
    before = schema.parse(text, path)
    cuts = _cuts(text, camera, before.cameras[camera].lines, wanted)
    after = text
    for cut in sorted(cuts, key=lambda cut: cut.start, reverse=True):
        after = after[: cut.start] + cut.text + after[cut.end :]
    try:
        found = schema.parse(after, path)
    except ConfigError as exc:
        raise _by_hand(path, camera, wanted) from exc
    if found != _expected(before, camera, {want.name: want.line for want in wanted}):
        raise _by_hand(path, camera, wanted)
    return after


def diff(before: str, after: str, name: str) -> str:
    """Return the difference as a unified diff."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), name, f"{name} (new)", n=2
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def replace(path: Path, before: str, after: str) -> Path:
    """
    Replace *path* by *after* in one step, and keep a copy of the old file beside it; return the copy's path.

    Raises:
        ConfigError: the file no longer holds *before*, or can't be written.
    """
    if schema.read_text(path) != before:
        raise ConfigError(path, [f"{path}: the file was changed meanwhile; start `footfall setup` again"])
    stamp = datetime.fromtimestamp(KernelClock().wall_ms() / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    backup = path.with_name(f"{path.name}.{stamp}.bak")
    if backup.exists():
        backup = path.with_name(f"{path.name}.{stamp}-{secrets.token_hex(2)}.bak")
    # A symbolic link stays one: its target is replaced.
    target = path.resolve()
    scratch = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        _write_like(target, backup, before)
        _write_like(target, scratch, after)
        scratch.rename(target)
        _sync_folder(target.parent)
    except OSError as exc:
        scratch.unlink(missing_ok=True)
        raise ConfigError(path, [f"{path}: can't be written: {exc.strerror}; run this with sudo"]) from exc
    return backup


def _write_like(model: Path, path: Path, text: str) -> None:
    """Write *text* to the new file *path* with the owner and mode of *model*, and sync it to the disk."""
    state = model.stat()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text.encode())
        if os.geteuid() == 0:
            os.fchown(file.fileno(), state.st_uid, state.st_gid)
        os.fchmod(file.fileno(), state.st_mode & 0o7777)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _expected(before: Config, camera: str, lines: Mapping[str, Line]) -> Config:
    changed = before.cameras[camera].model_copy(update={"lines": lines})
    return before.model_copy(update={"cameras": {**before.cameras, camera: changed}})


def _by_hand(path: Path, camera: str, wanted: Sequence[Wanted]) -> ConfigError:
    shown = "".join(f"\n      {want.name}: {_flow(want.line)}" for want in wanted)
    said = (
        f"{path}: the lines of {camera} can't be changed without changing something else; nothing was written. "
        f"Write them yourself, under cameras.{camera}:\n    lines:{shown}"
    )
    return ConfigError(path, [said])


# --- places in the text ----------------------------------------------------------------------------------------------


def _cuts(text: str, camera: str, present: Mapping[str, Line], wanted: Sequence[Wanted]) -> list[_Cut]:
    root = yaml.compose(text, yaml.SafeLoader)
    lines = _value(_value(_value(root, "cameras"), camera), "lines")
    entries = {key.value: (key, value) for key, value in lines.value}
    kept = {want.was: want for want in wanted if want.was is not None}
    cuts: list[_Cut] = []
    for name, (key, value) in entries.items():
        if name not in kept:
            continue
        want = kept[name]
        if want.name != name:
            cuts.append(_Cut(key.start_mark.index, key.end_mark.index, want.name))
        cuts += _geometry_cuts(value, present[name], want.line)
    cuts += _removals(text, lines, [name for name in entries if name not in kept])
    cuts += _additions(text, lines, [want for want in wanted if want.was is None])
    return cuts


def _value(mapping: yaml.Node | None, key: str) -> yaml.MappingNode:
    assert mapping is not None  # noqa: S101 - the config was read from this text before
    return next(value for name, value in mapping.value if name.value == key)  # type: ignore[no-any-return]


def _geometry_cuts(node: yaml.Node, present: Line, wanted: Line) -> list[_Cut]:
    """Return the changes in one line's own section."""
    cuts = []
    for key, value in node.value:
        attribute = {"from": "start", "to": "end", "inside": "inside", "via": "via"}.get(key.value)
        if attribute is None or getattr(present, attribute) == getattr(wanted, attribute):
            continue
        new = getattr(wanted, attribute)
        shown = "[" + ", ".join(map(_point, new)) + "]" if attribute == "via" else _point(new)
        cuts.append(_Cut(value.start_mark.index, _end(value), shown))
    return cuts


def _removals(text: str, lines: yaml.MappingNode, names: Sequence[str]) -> list[_Cut]:
    cuts = []
    for index, (key, value) in enumerate(lines.value):
        if key.value not in names:
            continue
        if not lines.flow_style:
            # A comment behind it on its last line goes; comments above it stay.
            start = text.rfind("\n", 0, key.start_mark.index) + 1
            end = text.find("\n", _end(value))
            cuts.append(_Cut(start, len(text) if end < 0 else end + 1, ""))
        elif index + 1 < len(lines.value):
            cuts.append(_Cut(key.start_mark.index, lines.value[index + 1][0].start_mark.index, ""))
        else:
            # The last entry of a flow takes the comma before it, unless its neighbour is removed with that comma.
            start = key.start_mark.index
            if index and lines.value[index - 1][0].value not in names:
                start = _end(lines.value[index - 1][1])
            cuts.append(_Cut(start, _end(value), ""))
    return cuts


def _additions(text: str, lines: yaml.MappingNode, new: Sequence[Wanted]) -> list[_Cut]:
    if not new:
        return []
    last_key, last_value = lines.value[-1]
    end = _end(last_value)
    entries = [f"{want.name}: {_flow(want.line)}" for want in new]
    if lines.flow_style:
        return [_Cut(end, end, "".join(f", {entry}" for entry in entries))]
    # As the other lines end: "\r\n" where the file was written on Windows.
    found = _LINE_END.search(text, end)
    at = found.start() if found else len(text)
    line_end = found[0] if found else "\n"
    indent = " " * last_key.start_mark.column
    return [_Cut(at, at, "".join(f"{line_end}{indent}{entry}" for entry in entries))]


def _end(node: yaml.Node) -> int:
    """Return where *node* ends: of a block, where its last child does, as its mark is where the next entry begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _flow(line: Line) -> str:
    via = f"via: [{', '.join(map(_point, line.via))}], " if line.via else ""
    return f"{{from: {_point(line.start)}, {via}to: {_point(line.end)}, inside: {_point(line.inside)}}}"


def _point(point: tuple[float, float]) -> str:
    return f"[{point[0]!r}, {point[1]!r}]"
