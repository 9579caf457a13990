"""
The program `footfall`: it loads the one command that was asked for, and turns errors into sentences and exit codes.

A command's module is imported only when the command runs, completes or shows its help; so a publisher never loads numpy
and vision never loads the MQTT library.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence

import click

from edge import __version__
from edge.core.errors import ConfigError, EdgeError

Commands = Mapping[str, Mapping[str, str]]
"""Heading in the help: {command: the module that holds it}."""

HIDDEN = ""
"""The heading of internal commands, which the help leaves out."""


class LazyGroup(click.Group):
    """The commands of *table*; the function in a command's module has the command's name, `_` in place of `-`."""

    def __init__(self, table: Commands) -> None:
        super().__init__("footfall", help="Count who goes in and out of a shop's door, on this box.", params=[
            click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
                         help="Show the version and end."),
        ])  # fmt: skip
        self.table = table
        self._modules = {name: module for section in table.values() for name, module in section.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the library's signature
        """Return the names of the commands that a person uses."""
        return [name for heading, section in self.table.items() if heading != HIDDEN for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - likewise
        """Import the command's module and return the command; None if there is no such command."""
        module = self._modules.get(cmd_name)
        if module is None:
            return None
        found: click.Command = getattr(importlib.import_module(module), cmd_name.replace("-", "_"))
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that *args* begin with; raises NoSuchCommand, which knows the names that are like it."""
        name = args[0]
        if name not in self._modules and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.NoSuchCommand(name, possibilities=self.list_commands(ctx), ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line for each command, below its heading."""
        for heading, section in self.table.items():
            if heading == HIDDEN:
                continue
            with formatter.section(heading):
                formatter.write_dl([(name, self._summary(ctx, name)) for name in section])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - likewise
        """Say where to find more."""
        formatter.write_paragraph()
        formatter.write_text("`footfall help COMMAND` explains one of them, with examples and exit codes.")

    def invoke(self, ctx: click.Context) -> int:
        """Run the command; return its exit code, and print the sentence of an error that ended it."""
        try:
            return int(super().invoke(ctx) or 0)
        except EdgeError as exc:
            _print_error(exc)
            return exc.exit_code
        except BrokenPipeError:
            # Whoever read our output has heard enough.
            _silence_output()
            return 0
        except OSError as exc:
            # What no module has foreseen: mostly an output that can't be written.
            print(f"footfall: {exc}", file=sys.stderr)
            _silence_output()
            return os.EX_IOERR
        except KeyboardInterrupt:
            return 130

    def _summary(self, ctx: click.Context, name: str) -> str:
        command = self.get_command(ctx, name)
        text = (command.help or "") if command else ""
        return " ".join(text.strip().split("\n\n")[0].split())


def run(commands: Commands, arguments: Sequence[str] | None) -> int:
    """
    Run the command that *arguments* name; return its exit code.

    Args:
        commands: What there is.
        arguments: Without the program's name; None for those that this process was started with.
    """
    # Other libraries' lines are for their developers: only what goes wrong in them is shown.
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr, format="%(name)s: %(message)s")
    logging.getLogger("edge").setLevel(logging.INFO)
    try:
        arguments = None if arguments is None else list(arguments)
        return int(LazyGroup(commands).main(arguments, prog_name="footfall", standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as exc:
        print(exc.format_message(), file=sys.stderr)
        print("footfall: a command is needed, as in: footfall check", file=sys.stderr)
        return exc.exit_code
    except click.UsageError as exc:
        print(_usage_sentence(exc), file=sys.stderr)
        return exc.exit_code
    except click.Abort:
        return 130


def _usage_sentence(exc: click.UsageError) -> str:
    """Return what is wrong in a command line, and what to type instead."""
    what, likely = exc.message.removesuffix("."), None
    if isinstance(exc, click.NoSuchCommand):
        what, likely = f'there is no command "{exc.command_name}"', exc.possibilities
    elif isinstance(exc, click.NoSuchOption):
        what, likely = f"there is no option {exc.option_name}", exc.possibilities
    elif isinstance(exc, click.MissingParameter) and exc.param is not None:
        what = f"{_name(exc.param)} is needed"
    elif isinstance(exc, click.BadParameter) and exc.param is not None:
        what = f"{_name(exc.param)}: {what}"
    where = exc.ctx.command_path if exc.ctx is not None else "footfall"
    advice = f"did you mean {likely[0]}?" if likely else f"`{where} --help` explains it"
    return f"footfall: {what}; {advice}"


def _name(parameter: click.Parameter) -> str:
    """Return the parameter's name as a person types it."""
    return (
        parameter.opts[0]
        if isinstance(parameter, click.Option)
        else parameter.make_metavar(click.Context(click.Command("")))
    )


def _print_error(exc: EdgeError) -> None:
    if not isinstance(exc, ConfigError):
        print(f"footfall: {exc}", file=sys.stderr)
        return
    for message in exc.messages:
        print(f"footfall: {message}", file=sys.stderr)
        for line in message.excerpt:
            print(line, file=sys.stderr)


def _silence_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001 - a callback
    if value and not ctx.resilient_parsing:
        print(f"footfall-edge {__version__}")
        ctx.exit()
