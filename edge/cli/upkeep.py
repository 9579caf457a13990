"""What keeps headquarters' store in order: old hours become days, and roles of PostgreSQL get their rights."""

from __future__ import annotations

from pathlib import Path

import click

from edge.cli import options, types
from edge.cli.command import command
from edge.core.clock import KernelClock


@command(
    "retain",
    examples=["footfall retain --years 3 --sites sites.yaml --dry-run", "footfall retain --years 3 --sites sites.yaml"],
    exits={1: "some cameras' hours stay, since they could not be kept exactly", 74: "", 78: ""},
)
@options.store
@click.option("--years", type=types.whole(2, 50), required=True, metavar="N", help="Keep hours for N years, 2 to 50.")
@click.option("--sites", "plan", type=types.FILE, metavar="FILE", help="sites.yaml: opening hours, holidays, lines.")
@click.option("--dry-run", "dry", is_flag=True, help="Only say what would become of how much.")
def retain(*, store: str, years: int, plan: Path | None, dry: bool) -> int:
    """
    Make one row a day of hours that are older than N years, and delete these hours.

    Reports over those days show the same sums of days, weeks and months. It can't be undone: make a backup first.
    """
    from edge.headquarters import retention, sites

    kept = retention.run(store, KernelClock(), years, sites.load(plan), dry=dry)
    word = "would be" if dry else "are"
    print(f"{kept.hours} hours of {kept.cameras} cameras {word} {kept.days} days now")
    for name in kept.left:
        print(f"{name}: its hours stay")
    return 1 if kept.left else 0


@command(
    "roles",
    examples=["footfall roles --store postgresql:///footfall --writer footfall_collect --reader footfall_read"],
    exits={69: "a library that it needs isn't installed", 74: "", 78: ""},
)
@options.store
@click.option("--writer", metavar="NAME", help="The role for `collect`: it adds hours, and deletes none.")
@click.option("--reader", metavar="NAME", help="The role for `report`, Grafana and Power BI: it changes nothing.")
def roles(*, store: str, writer: str | None, reader: str | None) -> None:
    """
    Make roles of PostgreSQL, or give those that are there exactly the rights that they need.

    Run it as the role that owns the tables, which may make roles. It sets no passwords.
    """
    from edge.headquarters import address

    for line in address.grant_roles(store, writer, reader):
        print(line)
