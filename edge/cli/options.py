"""Options that several commands share, each defined once."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli import types
from edge.cli.command import Options, together

if TYPE_CHECKING:
    from edge.config.schema import Config

DEFAULT_CONFIG = Path("/etc/footfall/footfall.yaml")
"""The config file of an installed box."""

config = click.option(
    "--config",
    type=types.FILE,
    default=DEFAULT_CONFIG,
    metavar="FILE",
    help=f"The config file. Default: {DEFAULT_CONFIG}.",
)

counting = together(
    click.option(
        "--fps", type=types.number(1, 60), default=15.0, metavar="N", help="Frames to look at each second. Default: 15."
    ),
    click.option("--model", type=types.FILE, metavar="FILE", help="The contract (head.json) of another head model."),
)

fps_of_clip = click.option(
    "--fps-of-clip",
    type=types.number(0.1, 250),
    metavar="N",
    help="The clip has N frames a second, whatever its time stamps and its header say.",
)

page = together(
    click.option(
        "--port", type=int, default=8770, metavar="N", help="The port of the page on 127.0.0.1. Default: 8770."
    ),
    click.option(
        "--minutes",
        type=types.number(0.05, 240),
        default=15.0,
        metavar="N",
        help="The page closes by itself after N minutes. Default: 15.",
    ),
)

broker = together(
    click.option(
        "--broker", metavar="URL", help="The broker: mqtts://mqtt.example.com:8883, or mqtt://... without TLS. Needed."
    ),
    click.option("--username", metavar="NAME", help="The broker's account that may read."),
    click.option("--password-file", type=types.FILE, metavar="FILE", help="The file that holds its password."),
    click.option(
        "--ca-file", type=types.FILE, metavar="FILE", help="The authority that signed the broker's certificate."
    ),
    click.option("--protocol", type=click.Choice(["5", "3.1.1"]), default="5", help="The MQTT version. Default: 5."),
)

store = click.option(
    "--store",
    default="hours.sqlite",
    metavar="URL",
    help="Where hours are stored: postgresql://..., or the path of an SQLite file. Default: hours.sqlite.",
)

trial_clock = click.option("--trial-clock", type=types.TRIAL_CLOCK, metavar="SPEC", hidden=True)


def seconds(default: float) -> Options:
    """Return the option for how long something is measured; *default* in s."""
    return click.option(
        "--seconds",
        type=types.number(0.5, 3600),
        default=default,
        metavar="N",
        help=f"Measure for N seconds. Default: {default:g}.",
    )


def json(what: str) -> Options:
    """Return the flag for output that a program reads; *what* is said of it in the help."""
    return click.option("--json", "as_json", is_flag=True, help=what)


def _complete_camera(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the config's cameras that begin with *incomplete*; none where it can't be read."""
    with contextlib.suppress(Exception):
        return [
            name for name in load(context.params.get("config") or DEFAULT_CONFIG).cameras if name.startswith(incomplete)
        ]
    return []


camera = click.argument("camera", metavar="CAMERA", shell_complete=_complete_camera)


def chosen_camera(what: str) -> Options:
    """Return the option that names one of the config's cameras; *what* is said of it in the help."""
    return click.option("--camera", metavar="CAMERA", shell_complete=_complete_camera, help=what)


def load(path: Path) -> Config:
    """Read the config file at *path*; raises ConfigError."""
    from edge.config import schema

    return schema.load(path)
