"""The manual page footfall(1), in roff, from the same commands that `--help` shows; `footfall help man` prints it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import click

from edge import __version__
from edge.cli.command import FootfallCommand
from edge.cli.exit_codes import EXIT_CODES
from edge.cli.program import HIDDEN, LazyGroup


def page(root: click.Context, program: LazyGroup) -> str:
    """Return the page: every command that a person uses, with its options and examples, and the exit codes."""
    lines = [
        f'.TH FOOTFALL 1 "" "footfall-edge {__version__}" "Footfall"',
        ".SH NAME",
        r"footfall \- count who goes in and out of a shop's door, on this box",
        ".SH SYNOPSIS",
        r".B footfall",
        r"\fICOMMAND\fR [\fIOPTIONS\fR]",
        ".SH DESCRIPTION",
        _text(
            "A small box beside a door counts heads that cross a line, and tells headquarters a few whole numbers an"
            " hour. Pictures never leave the process that sees them."
        ),
    ]
    for heading, section in program.table.items():
        if heading == HIDDEN:
            continue
        lines.append(f".SH {_text(heading).upper()}")
        for name in section:
            command = program.get_command(root, name)
            if isinstance(command, FootfallCommand):
                lines += _command(root, name, command)
    lines += [".SH EXIT STATUS", *_codes(EXIT_CODES), ".SH FILES", ".TP", r"\fI/etc/footfall/footfall.yaml\fR"]
    lines += ["The config; ", r".B footfall help settings", "explains it.", ".SH SEE ALSO", ".BR systemctl (1)"]
    return "\n".join(lines) + "\n"


def _command(root: click.Context, name: str, command: FootfallCommand) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=root)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f".SS footfall {_text(name)} {_text(usage)}"
    for number, paragraph in enumerate((command.help or "").strip().split("\n\n")):
        if number:
            yield ".PP"
        yield _text(" ".join(paragraph.split()))
    for parameter in command.params:
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            yield from (".TP", rf"\fB{_text(record[0])}\fR", _text(record[1]))
    if command.examples:
        yield from (".PP", "Examples:", ".nf", *(f"  {_text(example)}" for example in command.examples), ".fi")


def _codes(codes: Mapping[int, str]) -> Iterator[str]:
    for code, meaning in codes.items():
        yield from (".TP", rf"\fB{code}\fR", _text(meaning))


def _text(words: str) -> str:
    """Return *words* as roff: dashes and backslashes are theirs, and no line begins with a request."""
    escaped = words.replace("\\", r"\e").replace("-", r"\-").replace("`", r"\(ga")
    return re.sub(r"^([.'])", r"\\&\1", escaped, flags=re.MULTILINE)
