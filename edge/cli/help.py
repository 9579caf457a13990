"""`footfall help`: any command's help, the exit codes, and the settings, from the code that they belong to."""

from __future__ import annotations

import click

from edge.cli.command import command
from edge.cli.exit_codes import EXIT_CODES
from edge.cli.program import LazyGroup

_TOPICS = ("exit-codes", "settings", "man")


def _complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in _names(context) if name.startswith(incomplete)]


def _names(context: click.Context) -> list[str]:
    """Return the commands and the topics."""
    program = context.find_root().command
    commands = program.list_commands(context) if isinstance(program, LazyGroup) else []
    return [*commands, *_TOPICS]


@command("help", examples=["footfall help setup", "footfall help exit-codes", "footfall help settings"], exits={})
@click.argument("topic", metavar="[TOPIC]", required=False, shell_complete=_complete)
@click.pass_context
def help(context: click.Context, *, topic: str | None) -> None:  # noqa: A001 - the command's name
    """
    Explain a command, the exit codes or the settings.

    TOPIC is a command, or exit-codes, or settings (what footfall.yaml may hold), or man (the manual page, in roff).
    """
    root = context.find_root()
    if topic is None:
        print(root.get_help())
    elif topic == "exit-codes":
        _print_exit_codes()
    elif topic == "settings":
        _print_settings()
    elif topic == "man":
        from edge.cli import manual

        program = root.command
        print(manual.page(root, program) if isinstance(program, LazyGroup) else "", end="")
    else:
        program = root.command
        found = program.get_command(root, topic) if isinstance(program, LazyGroup) else None
        if found is None:
            raise click.NoSuchCommand(topic, possibilities=_names(context), ctx=context)
        print(found.get_help(click.Context(found, info_name=topic, parent=root)))


def _print_exit_codes() -> None:
    formatter = click.HelpFormatter()
    formatter.write_text("What a command ends with. systemd starts a service again after all but 0, 77 and 78.")
    formatter.write_paragraph()
    formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])
    print(formatter.getvalue(), end="")


def _print_settings() -> None:
    from edge.technician import reference

    formatter = click.HelpFormatter()
    formatter.write_text("What footfall.yaml may hold. `footfall config --example` prints a file to begin with.")
    for key in reference.every_key():
        formatter.write_paragraph()
        formatter.write(f"{key.key}\n")
        with formatter.indentation():
            formatter.write_text(key.meaning.replace("`", ""))
            facts = [key.kind, "needed" if key.default == "needed" else f"absent: {key.default}", key.unit]
            formatter.write_text("; ".join(filter(None, facts)).replace("`", ""))
    print(formatter.getvalue(), end="")
