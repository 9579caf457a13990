"""Counting recorded clips: `count` one, `evaluate` many against their truth."""

from __future__ import annotations

from pathlib import Path

import click

from edge.cli import options, types
from edge.cli.command import command
from edge.core.errors import ConfigError


@command(
    "count",
    examples=[
        "footfall count door.mp4 --line 0.1,0.55,0.9,0.55 --inside 0.5,0.9",
        "footfall count door.mp4 --config footfall.yaml --camera door --explain",
    ],
    exits={65: "", 74: "the clip can't be read", 78: ""},
)
@click.argument("clip", type=types.FILE, metavar="CLIP")
@click.option(
    "--line",
    type=types.numbers(4),
    metavar="x1,y1,x2,y2",
    help="The line's two ends, as shares of the picture's width and height, 0 to 1.",
)
@click.option("--inside", type=types.numbers(2), metavar="x,y", default=(), help="A point on the shop's side of it.")
@options.chosen_camera("Use the lines of this camera in the config instead.")
@options.config
@options.counting
@options.fps_of_clip
@options.json("Print one JSON object for each crossing, then a summary.")
@click.option("--explain", is_flag=True, help="Also print each crossing that was seen and not counted, and why.")
def count(
    *,
    clip: Path,
    line: tuple[float, ...] | None,
    inside: tuple[float, ...],
    camera: str | None,
    config: Path,
    fps: float,
    fps_of_clip: float | None,
    model: Path | None,
    as_json: bool,
    explain: bool,
) -> None:
    """
    Count who crosses the line in a recorded clip, as fast as this machine can.

    Nothing is sent, and nothing is written but what you see.
    """
    from edge.config import schema
    from edge.core import head_model
    from edge.evaluation import count

    contract = head_model.read(model)
    if line is not None:
        lines = {"line": schema.line(line, inside)}
    elif camera is not None:
        lines = dict(options.load(config).vision(camera).camera.lines)
    else:
        raise ConfigError(
            "--line",
            ["say where the line is: --line x1,y1,x2,y2 --inside x,y, or --config F --camera C"],
        )
    count.run(clip, lines, contract, fps=fps, fps_of_clip=fps_of_clip, as_json=as_json, explain=explain)


@command(
    "evaluate",
    examples=["footfall evaluate clips/ --html result.html"],
    exits={65: "", 74: "a clip can't be read", 78: "the folder, a truth file or a clip's times can't be used"},
)
@click.argument("folder", type=types.FILE, metavar="DIR")
@options.counting
@options.fps_of_clip
@options.json("Print one JSON object instead of a table.")
@click.option("--html", type=types.FILE, metavar="FILE", help="Also write a page with a time line for each clip.")
def evaluate(
    *, folder: Path, fps: float, fps_of_clip: float | None, model: Path | None, as_json: bool, html: Path | None
) -> None:
    """
    Compare the counts of clips with the truth beside them.

    DIR holds pairs: door.mp4, and door.json with the crossings that a person saw.
    """
    from edge.core import head_model
    from edge.evaluation import evaluate

    evaluate.run(folder, head_model.read(model), fps=fps, fps_of_clip=fps_of_clip, html=html, as_json=as_json)
