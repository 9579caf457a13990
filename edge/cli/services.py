"""The two processes that systemd runs on a box, and the sealed one that `check` and `bench` start."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli import options, types
from edge.cli.command import command
from edge.core.clock import Clock, KernelClock
from edge.core.errors import CameraMissing, EdgeError, ModelMissing
from edge.core.systemd import Notifier, drop_in_for
from edge.sandbox import prctl

if TYPE_CHECKING:
    from edge.config.schema import PublisherSettings, VisionSettings
    from edge.vision.seal import Seal


@command(
    "vision",
    examples=["systemctl status footfall-vision@door", "footfall vision door --config footfall.yaml"],
    exits={74: "the camera is missing or stopped", 75: "", 76: "", 77: "", 78: ""},
)
@options.camera
@options.config
@click.option("--diode", type=int, metavar="FD", help="Write to this inherited pipe instead of the FIFO.")
@click.option("--window", type=int, metavar="FD", hidden=True)
@click.option("--no-picture", is_flag=True, hidden=True)
@click.option("--unsealed", is_flag=True, help="Don't seal the process. For development only.")
@options.trial_clock
def vision(
    *,
    camera: str,
    config: Path,
    diode: int | None,
    window: int | None,
    no_picture: bool,
    unsealed: bool,
    trial_clock: Clock | None,
) -> None:
    """
    See one camera and count, sealed. A service of systemd's.

    Heads are detected and tracked, every picture is discarded at once, and only counts leave the process.
    """
    # Sealed, it may live in a root of its own, from another folder.
    config = config.absolute()
    settings = options.load(config).vision(camera)
    _refuse_unseen(settings)
    from edge.sandbox.readiness import Readiness

    readiness = Readiness()
    seal = None if unsealed else _seal(settings, settings.tally if diode is None else None, [config.parent])
    if readiness.descriptors or window is not None:
        # Once more, or for the first time: a change of rights, as by a namespace of its own, makes the kernel forget.
        prctl.die_with_parent()
    from edge.vision import process

    def load() -> VisionSettings:
        return options.load(config).vision(camera)

    process.run(load, trial_clock or KernelClock(), readiness, seal, diode=diode, window=window, picture=not no_picture)


@command(
    "publisher",
    examples=["systemctl status footfall-publisher", "footfall publisher --config footfall.yaml"],
    exits={74: "the ledger can't be used, or another publisher has it open", 75: "", 76: "", 77: "", 78: ""},
)
@options.config
@click.option(
    "--diode",
    type=types.CAMERA_DESCRIPTOR,
    multiple=True,
    metavar="CAMERA=FD",
    help="Read the tallies of this camera from an inherited pipe instead of the FIFO. May be repeated.",
)
@options.trial_clock
def publisher(*, config: Path, diode: tuple[tuple[str, int], ...], trial_clock: Clock | None) -> None:
    """
    Keep the ledger and send each hour to headquarters. A service of systemd's.

    It has no camera: it reads the counts that the vision processes write into their diodes.
    """
    from edge.publisher import process

    # Confined, it may live in a root of its own, from another folder.
    config = config.absolute()

    def load() -> PublisherSettings:
        return options.load(config).publisher()

    process.run(load, trial_clock or KernelClock(), dict(diode), Notifier(), config)


@command("measure", examples=["footfall measure door --seconds 5"], exits={1: "", 74: "", 77: "", 78: ""}, hidden=True)
@options.camera
@options.config
@click.option("--look", is_flag=True, help="Look through the camera instead of timing the stages.")
@options.seconds(10)
def measure(*, camera: str, config: Path, look: bool, seconds: float) -> None:
    """
    Measure in a sealed process, for `check` and `bench`.

    Prints one JSON object: the figures, or {"error": {"subject", "cause", "advice"}}.
    """
    try:
        settings = options.load(config).vision(camera)
        if look:
            seal = _seal(settings)
        else:
            from edge.vision.seal import Seal

            seal = Seal([], needed=_model_folder(settings))
        prctl.die_with_parent()
        from edge.vision import measurement

        if look:
            measurement.look(settings, KernelClock(), seconds, seal)
        else:
            measurement.time_stages(settings, seconds, seal)
    except EdgeError as exc:
        print(json.dumps({"error": {"subject": exc.subject, "cause": exc.cause, "advice": exc.advice}}), flush=True)
        raise


def _refuse_unseen(settings: VisionSettings) -> None:
    """Refuse a clip or a model that isn't in the root that the unit has made; say which folder it has to name."""
    from edge.sandbox import namespaces

    clip, model = settings.camera.clip, settings.model
    unseen = [path for path in (clip, model) if path is not None and not path.exists()]
    if not unseen or not namespaces.is_own_root():
        return
    advice = drop_in_for(f"footfall-vision@{settings.name}", {path.absolute().parent for path in unseen})
    if clip in unseen:
        raise CameraMissing(settings.camera.source, "there is no such clip", advice)
    raise ModelMissing(unseen[0], advice)


def _seal(settings: VisionSettings, diode: Path | None = None, needed: Sequence[Path] = ()) -> Seal:
    """Begin to seal this process, before numpy, OpenCV and the interpreter start threads, which would be left out."""
    from edge.vision.seal import Seal

    camera = settings.camera
    needed = [*needed, *_model_folder(settings)]
    if camera.clip is not None:
        needed.append(camera.clip.absolute().parent)
    return Seal([Path(camera.source)] if camera.live else [], diode=diode, helper=camera.helped, needed=needed)


def _model_folder(settings: VisionSettings) -> list[Path]:
    """Return where the config's own model lies; nothing if it is the one that is shipped."""
    return [] if settings.model is None else [settings.model.absolute().parent]
