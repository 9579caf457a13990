"""What headquarters tells by itself: alerts, and the weekly mail. systemd's timers start both."""

from __future__ import annotations

from pathlib import Path

import click

from edge.cli import options, types
from edge.cli.command import command, only_one, together
from edge.core.clock import KernelClock

_told = together(
    click.option(
        "--config",
        type=types.FILE,
        default=Path("/etc/footfall/headquarters.yaml"),
        metavar="FILE",
        help="Who is told, and how. Default: /etc/footfall/headquarters.yaml.",
    ),
    options.store,
    click.option(
        "--sites", "plan", type=types.FILE, metavar="FILE", help="sites.yaml: names, opening hours, holidays."
    ),
)


@command(
    "alert",
    examples=["footfall alert --config headquarters.yaml --store hours.sqlite", "footfall alert --test"],
    exits={74: "", 75: "a webhook or a mail server took nothing; a later run tells it", 78: ""},
)
@_told
@click.option("--list", "list_all", is_flag=True, help="Only show what is wrong now; tell nobody.")
@click.option("--test", "as_test", is_flag=True, help="Only send a test to everybody who is told.")
@click.pass_context
def alert(context: click.Context, *, config: Path, store: str, plan: Path | None, list_all: bool, as_test: bool) -> int:
    """
    Tell by webhook and mail what has gone wrong with a camera since the last time, and what is over.

    Each change is told once. Run it every few minutes; what can't be told now is told later.
    """
    only_one(context, list=list_all, test=as_test)
    from edge.headquarters import sites
    from edge.headquarters.alerts import rounds, settings

    wanted, known = settings.load(config), sites.load(plan)
    if list_all:
        for line in rounds.show(store, KernelClock(), wanted, known):
            print(line)
        return 0
    failed = rounds.test(KernelClock(), wanted) if as_test else rounds.run(store, KernelClock(), wanted, known)
    return 75 if failed else 0


@command(
    "weekly",
    examples=["footfall weekly --config headquarters.yaml --sites sites.yaml", "footfall weekly --show"],
    exits={69: "a library that it needs isn't installed", 74: "", 75: "the mail server did not take it", 78: ""},
)
@_told
@click.option("--sales", type=types.FILE, metavar="FILE", help="CSV: site, date, transactions, revenue.")
@click.option("--staff", type=types.FILE, metavar="FILE", help="CSV: site, date, staff_hours.")
@click.option("--align-holidays", "align", is_flag=True, help="Compare a holiday with last year's of the same name.")
@click.option("--show", is_flag=True, help="Only print its text; send nothing.")
def weekly(
    *,
    config: Path,
    store: str,
    plan: Path | None,
    sales: Path | None,
    staff: Path | None,
    align: bool,
    show: bool,
) -> None:
    """
    Send the report's first page by mail, about the last seven whole days.

    Who gets it, and in which language, stands in the config file.
    """
    from edge.headquarters.alerts import settings, weekly
    from edge.headquarters.report import write

    wanted = settings.load(config)
    wish = write.Wish(sites=plan, sales=sales, staff=staff, align=align, language=wanted.language)
    if not show:
        weekly.run(store, KernelClock(), wanted, wish)
        return
    text = weekly.compose(store, KernelClock(), wanted, wish).get_body(("plain",))
    if text is not None:
        print(text.get_content(), end="")
