"""What runs at headquarters: storing hours, watching boxes, reports, the broker, a rehearsal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli import options, types
from edge.cli.command import command
from edge.core.clock import KernelClock
from edge.core.errors import ConfigError

if TYPE_CHECKING:
    from edge.config.schema import Broker


@command(
    "collect",
    examples=[
        "footfall collect --broker mqtts://mqtt.example.com --username reader --password-file reader.password",
        "footfall collect --rejudge --store hours.sqlite",
    ],
    exits={69: "another collector has the same name", 74: "", 78: ""},
)
@options.broker
@options.store
@click.option(
    "--name",
    type=types.NAME,
    default="1",
    metavar="N",
    help="The name of this collector; each has its own. Default: 1.",
)
@click.option("--share", is_flag=True, help="Share the load with all collectors that share.")
@click.option("--metrics", type=types.whole(0, 65_535), metavar="PORT", help="Figures for Prometheus, on 127.0.0.1.")
@click.option("--sites", "plan", type=types.FILE, metavar="FILE", help="sites.yaml, for those who read by SQL.")
@click.option("--trial", is_flag=True, help="Store the hours of trials and rehearsals, too.")
@click.option("--leave", is_flag=True, help="Store what the broker still keeps for this name, and leave for good.")
@click.option("--rejudge", is_flag=True, help="Store what is in quarantine and passes now, and end.")
def collect(
    *,
    broker: str | None,
    username: str | None,
    password_file: Path | None,
    ca_file: Path | None,
    protocol: str,
    store: str,
    name: str,
    share: bool,
    metrics: int | None,
    plan: Path | None,
    trial: bool,
    leave: bool,
    rejudge: bool,
) -> None:
    """
    Store every hour of every box, durably. A service at headquarters.

    An hour is acknowledged to the broker after it is in the store, so that none is lost.
    """
    from edge.headquarters import collect, quarantine, sites

    if rejudge:
        said = quarantine.rejudge(store, KernelClock(), trial=trial)
        print(f"{said.stored} hours stored, {said.repeated} known already; the rest stays in quarantine")
        return
    where = _broker_at(broker, username, password_file, ca_file, protocol)
    known = None if plan is None else sites.load(plan)
    collect.run(where, name, store, KernelClock(), share=share, trial=trial, leave=leave, metrics=metrics, plan=known)


@command("watch", examples=["footfall watch --broker mqtt://localhost"], exits={74: "", 75: "", 78: ""})
@options.broker
@click.option("--store", metavar="URL", help="Begin with what this store knows.")
@click.option("--site", "sites", multiple=True, metavar="NAME", help="Only this site. May be repeated.")
def watch(
    *,
    broker: str | None,
    username: str | None,
    password_file: Path | None,
    ca_file: Path | None,
    protocol: str,
    store: str | None,
    sites: tuple[str, ...],
) -> None:
    """
    Show a live table of all boxes, until Ctrl-C or the key q; n and p turn the page.

    Without a terminal it prints a line for each hour that comes.
    """
    from edge.headquarters import watch

    watch.run(_broker_at(broker, username, password_file, ca_file, protocol), KernelClock(), store, sites)


@command(
    "broker",
    examples=["footfall broker mosquitto/ --host mqtt.example.com --box sh-023/door --collector reader"],
    exits={69: "openssl or mosquitto isn't installed", 78: ""},
)
@click.argument("folder", type=types.FILE, metavar="DIR")
@click.option("--host", required=True, metavar="NAME", help="The broker's name, as boxes know it.")
@click.option("--port", type=int, default=8883, metavar="N", help="The port to listen on. Default: 8883.")
@click.option("--box", multiple=True, metavar="SITE/CAMERA,...", help="An account for this box. May be repeated.")
@click.option("--boxes", type=types.FILE, metavar="FILE", help="A file that holds many of them, separated by spaces.")
@click.option("--collector", multiple=True, metavar="NAME", help="An account that may read. May be repeated.")
@click.option("--revoke", multiple=True, metavar="NAME", help="End this account. May be repeated.")
@click.option("--rekey", multiple=True, metavar="NAME", help="Give this account a new password. May be repeated.")
@click.option("--rename", multiple=True, metavar="OLD=NEW", help="Give this account another name. May be repeated.")
def broker(
    *,
    folder: Path,
    host: str,
    port: int,
    box: tuple[str, ...],
    boxes: Path | None,
    collector: tuple[str, ...],
    revoke: tuple[str, ...],
    rekey: tuple[str, ...],
    rename: tuple[str, ...],
) -> None:
    """
    Write a secured mosquitto configuration with its accounts into DIR.

    Run it again with more boxes: accounts that are there stay as they are. A broker that runs reads it all again, and
    under another --host it gets another certificate of the same authority.
    """
    from edge.headquarters import broker

    wanted = list(box)
    if boxes is not None:
        wanted += boxes.read_text(encoding="utf-8").split()
    try:
        accounts = [broker.parse(one) for one in wanted]
    except ValueError as exc:
        raise ConfigError("broker", [str(exc)]) from exc
    names = {old: new for old, _, new in (part.partition("=") for part in rename)}
    broker.run(folder, host, accounts, list(collector), port=port, changes=broker.Changes(revoke, rekey, names))


@command(
    "simulate",
    examples=["footfall simulate --boxes 100 --hours 2 --outage 1"],
    exits={1: "hours were lost or doubled, or it took too long", 69: "mosquitto isn't installed", 78: ""},
)
@click.option("--boxes", type=int, default=100, metavar="N", help="How many boxes, one camera each. Default: 100.")
@click.option("--hours", type=int, default=1, metavar="H", help="How many hours each box sends. Default: 1.")
@click.option("--outage", type=int, default=0, metavar="H", help="No broker for H hours, from the second hour on.")
@click.option("--hour-s", type=float, default=130.0, metavar="S", help="Seconds from hour to hour. Default: 130.")
@click.option("--no-spread", is_flag=True, help="All boxes send at the same moment.")
@click.option("--crash", is_flag=True, help="Kill the broker after its last acknowledgement, while nobody collects.")
@click.option("--secured", is_flag=True, help="With TLS and an account for each box.")
@click.option("--json", "json_file", type=types.FILE, metavar="FILE", help="Also write every figure, by the second.")
def simulate(
    *,
    boxes: int,
    hours: int,
    outage: int,
    hour_s: float,
    no_spread: bool,
    crash: bool,
    secured: bool,
    json_file: Path | None,
) -> int:
    """
    Rehearse headquarters with many boxes on this machine.

    A real mosquitto and a real collector receive the hours of so many real connections.
    """
    from edge.headquarters import rehearsal, simulate

    wish = rehearsal.Wish(boxes, hours, outage, not no_spread, hour_s, crash=crash, secured=secured)
    return simulate.run(wish, KernelClock(), json_file=json_file)


def _broker_at(
    url: str | None, username: str | None, password_file: Path | None, ca_file: Path | None, protocol: str
) -> Broker:
    from edge.headquarters import address

    if url is None:
        raise ConfigError("--broker", ["say where the broker is: --broker mqtts://mqtt.example.com"])
    return address.broker_at(url, username=username, password_file=password_file, ca_file=ca_file, protocol=protocol)
