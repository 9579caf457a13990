"""A command whose help says what it is for, shows examples, and lists its exit codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from edge.cli.exit_codes import EXIT_CODES

Options = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Adds options to a command's function."""

_ALWAYS = (0, 2, 130)
"""Exit codes that every command has."""


class FootfallCommand(click.Command):
    """
    One command.

    Args:
        examples: Command lines that work as written on a box, or after a clone.
        exits: Its exit codes besides those of every command; the text is empty where the general one is exact enough.
    """

    def __init__(self, *args: Any, examples: Sequence[str], exits: Mapping[int, str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.examples = tuple(examples)
        self.exits = {code: exits.get(code) or EXIT_CODES[code] for code in sorted({*_ALWAYS, *exits})}

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and the exit codes below the options."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in self.exits.items()])


def command(
    name: str, *, examples: Sequence[str], exits: Mapping[int, str], hidden: bool = False
) -> Callable[[Callable[..., Any]], FootfallCommand]:
    """Return a decorator that makes a function the command *name*; the function's docstring is its help."""
    return click.command(name, cls=FootfallCommand, examples=examples, exits=exits, hidden=hidden)


def together(*options: Options) -> Options:
    """Return all of *options* as one decorator; the help shows them in this order."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def only_one(context: click.Context, **flags: bool) -> str | None:
    """Return the name of the flag that was given; None if none was. Raises UsageError if several were."""
    given = [name for name, on in flags.items() if on]
    if len(given) > 1:
        raise click.UsageError(f"--{given[0]} and --{given[1]} can't be used together", context)
    return given[0] if given else None
