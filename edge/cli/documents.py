"""Papers that go with a camera: the sign beside the door."""

from __future__ import annotations

from pathlib import Path

import click

from edge.cli import types
from edge.cli.command import command


def _languages(_context: click.Context, _parameter: click.Parameter, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """Return the tags of the languages, of all of them where none was chosen."""
    from edge.technician.sign import process

    known = {tag.lower(): tag for tag in process.texts()}
    for tag in chosen:
        if tag.lower() not in known:
            raise click.BadParameter(f"there is no text in {tag}; known are {', '.join(known.values())}")
    return tuple(known[tag.lower()] for tag in chosen) or tuple(known.values())


@command(
    "sign",
    examples=[
        'footfall sign sign.html --controller "Shop Ltd, 1 High Street" --contact privacy@example.com --language en',
        'footfall sign sign.html --controller "Laden GmbH, Hauptstr. 1" --contact 030-1234567 --language de --size a5',
    ],
    exits={74: "the file can't be written"},
)
@click.argument("file", type=types.FILE, metavar="FILE")
@click.option("--controller", required=True, metavar="TEXT", help="Name and address of whoever is responsible.")
@click.option("--contact", required=True, metavar="TEXT", help="Where questions go.")
@click.option(
    "--language",
    "languages",
    multiple=True,
    metavar="TAG",
    callback=_languages,
    help="de, en, es, fr, it, nl, pl, ro, zh-Hans or zh-Hant. May be repeated. Default: all.",
)
@click.option("--basis", metavar="TEXT", help="The legal basis, in place of the usual one of the language.")
@click.option("--size", type=click.Choice(["a4", "a5"]), default="a4", help="The paper's size. Default: a4.")
def sign(
    *, file: Path, controller: str, contact: str, languages: tuple[str, ...], basis: str | None, size: str
) -> None:
    """
    Make the sign beside the door, a page to print in each language.

    FILE is one HTML file for a browser. It is information about a product and not legal advice.
    """
    from edge.technician.sign import process

    process.run(file, process.Shop(controller, contact, basis), languages, "a5" if size == "a5" else "a4")
