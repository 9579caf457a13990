"""The whole path from one terminal: `run` with a config of one's own, `demo` on the shipped clip."""

from __future__ import annotations

from pathlib import Path

import click

from edge.cli import options, types
from edge.cli.command import command


@command(
    "run",
    examples=["footfall run --config footfall.yaml", "footfall run --config footfall.yaml --trial-speed 60"],
    exits={1: "a process was killed again and again", 74: "", 76: "", 77: "", 78: ""},
)
@options.config
@click.option(
    "--trial-speed",
    type=types.number(0.01, 10_000),
    metavar="N",
    help="Use a made-up clock that runs N times as fast; its hours are flagged `trial`.",
)
@click.option("--unsealed", is_flag=True, help="Don't seal the vision processes. For development only.")
def run(*, config: Path, trial_speed: float | None, unsealed: bool) -> int:
    """
    Run vision and publisher from this terminal, for a trial, until Ctrl-C.

    On an installed box systemd runs both; stop them before a trial with the same camera.
    """
    from edge.technician import trial

    return trial.run(config, trial_speed, sealed=not unsealed)


@command(
    "demo",
    examples=["footfall demo --port 1883", "./deploy.sh demo"],
    exits={1: "an hour did not arrive, or its counts are wrong", 75: "no broker answers on that port"},
)
@click.option("--port", type=int, default=1883, metavar="N", help="The broker's port on 127.0.0.1. Default: 1883.")
@click.option("--speed", type=float, default=60.0, metavar="N", help="How much faster the clock runs. Default: 60.")
def demo(*, port: int, speed: float) -> int:
    """
    Show the whole path on the shipped clip, with a broker on this machine.

    It needs an MQTT broker; `./deploy.sh demo` brings one.
    """
    from edge.technician import demo

    return demo.run(port=port, speed=speed)
