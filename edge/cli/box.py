"""What a person asks of a box: is it well, what does it count, how fast is it, what may its config hold."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import click

from edge.cli import options, types
from edge.cli.command import command, only_one


@command(
    "check",
    examples=["sudo footfall check", "footfall check --config footfall.yaml --json"],
    exits={1: "at least one line fails"},
)
@options.config
@options.json("Print one JSON object instead of lines.")
def check(*, config: Path, as_json: bool) -> int:
    """
    Check everything that has to be right at the door, one line each.

    Each line is ok, warn or fail, with what was found and what to do. It changes nothing, and takes about 13 seconds
    for each camera and 10 for the rest. Use sudo, since the password and the ledger are for their owners alone.
    """
    from edge.technician.check import check

    return check.run(config, as_json=as_json)


@command(
    "status",
    examples=["sudo footfall status", "sudo footfall status --watch"],
    exits={74: "the ledger can't be read, or isn't there yet", 78: ""},
)
@options.config
@click.option("--watch", is_flag=True, help="Show it again every five seconds until Ctrl-C.")
def status(*, config: Path, watch: bool) -> None:
    """
    Show what this box is doing now, and today's hours.

    The figures come from the ledger, from systemd and from the kernel.
    """
    from edge.technician import status

    status.run(options.load(config), watch=watch)


@command(
    "counts",
    examples=["sudo footfall counts", "sudo footfall counts --from 2026-11-24 --csv > counts.csv"],
    exits={74: "the ledger can't be read, or isn't there yet", 78: ""},
)
@options.config
@click.option(
    "--from", "first", type=types.DAY, metavar="DAY", help="The first day, as in 2026-11-24. Default: six days ago."
)
@click.option("--to", "last", type=types.DAY, metavar="DAY", help="The last day. Default: today.")
@options.chosen_camera("Only the hours of this camera.")
@click.option("--csv", is_flag=True, help="Print CSV: a row for each line of each hour.")
@options.json("Print the messages as JSON, one a row.")
@click.pass_context
def counts(
    context: click.Context,
    *,
    config: Path,
    first: date | None,
    last: date | None,
    camera: str | None,
    csv: bool,
    as_json: bool,
) -> None:
    """
    Show the finished hours in this box's ledger.

    They are shown as they were sent, or will be sent. `footfall status` shows the hour that still runs.
    """
    form = only_one(context, csv=csv, json=as_json) or "table"
    from edge.technician import counts

    counts.run(options.load(config), first, last, camera, form)


@command(
    "bench",
    examples=["footfall bench --seconds 60"],
    exits={1: "there are no figures: the model can't be run here", 78: ""},
)
@options.config
@options.chosen_camera("Measure with the size and rate of this camera. Default: the first.")
@options.seconds(20)
@options.json("Print one JSON object instead of tables.")
def bench(*, config: Path, camera: str | None, seconds: float, as_json: bool) -> None:
    """
    Measure how fast this box is, stage by stage.

    The shipped clip runs through every stage; the last line says whether the box is fast enough for the config.
    """
    from edge.technician import bench

    bench.run(config, camera, seconds, as_json=as_json)


@command(
    "config",
    examples=["footfall config --example > footfall.yaml", "footfall config --cameras"],
    exits={78: "the config has faults; each is one line"},
)
@options.config
@click.option("--cameras", is_flag=True, help="The names of the cameras, one a line.")
@click.option("--example", is_flag=True, help="A whole file to begin with; every setting is explained.")
@click.option("--schema", is_flag=True, help="The JSON Schema with which an editor checks the file.")
@click.option("--reference", is_flag=True, help="Every setting as a table, in Markdown.")
@click.pass_context
def config(
    context: click.Context, *, config: Path, cameras: bool, example: bool, schema: bool, reference: bool
) -> None:
    """
    Show what footfall.yaml says, and what it may hold.

    Give one of --cameras, --example, --schema and --reference.
    """
    form = only_one(context, cameras=cameras, example=example, schema=schema, reference=reference)
    if form is None:
        raise click.UsageError("say what to show: --cameras, --example, --schema or --reference", context)
    if form == "cameras":
        print("\n".join(options.load(config).cameras))
        return
    from edge.technician import reference as described

    forms = {"example": described.example, "schema": described.schema_text, "reference": described.reference}
    sys.stdout.write(forms[form]())


@command(
    "privacy",
    examples=["sudo footfall privacy", "sudo footfall privacy --report privacy.html"],
    exits={1: "it can't be shown that pictures stay on this box", 78: ""},
)
@options.config
@click.option("--report", type=types.FILE, metavar="FILE", help="Also write it as a page for an inspector.")
@click.option("--kept", is_flag=True, help="Only print what is kept, where and for how long, as a table in Markdown.")
def privacy(*, config: Path, report: Path | None, kept: bool) -> int:
    """
    Show what the kernel lets each process do, and what has left the box.

    Every line comes from the kernel, systemd or the ledger; nothing is asked of the processes themselves.
    """
    if kept:
        from edge.technician.privacy import kept as table

        sys.stdout.write(table.table())
        return 0
    from edge.technician import privacy

    return privacy.run(config, report)


@command(
    "support",
    examples=["sudo footfall support support.tar.gz", "footfall support support.tar.gz --config footfall.yaml"],
    exits={74: "the file can't be written, or is there already"},
)
@click.argument("file", type=types.FILE, metavar="FILE")
@options.config
def support(*, file: Path, config: Path) -> None:
    """
    Write one file for whoever helps: versions, config, check, status, hours, logs.

    FILE is a compressed tar archive of texts. It holds no picture, no password and no key; look into it before you send
    it. It takes about a minute, since `check` is in it.
    """
    from edge.technician import support

    support.run(config, file)
