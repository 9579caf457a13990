"""
The part of `footfall check` that looks at cameras, pictures, model and speed.

No picture is looked at in here: a sealed process does that, and gives figures. Where the service holds the camera, the
ledger and systemd are asked instead, and it is said so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from edge.config.camera import SLOWEST_FPS
from edge.config.schema import Camera, Config
from edge.core.clock import KernelClock
from edge.core.errors import LedgerError, MeasuringFailed
from edge.core.tally import BEAT_MS, Flag
from edge.publisher.ledger.view import LedgerView, Pace
from edge.technician import measuring, proc
from edge.technician.check.check_result import CheckResult, fail, ok, warn
from edge.technician.measuring import Look

LOOK_S = 13.0
"""Seconds for which `check` looks through a camera; a frozen picture shows after ten."""
TIME_S = 6.0
"""Seconds for which `check` times the stages."""

_ENOUGH = 0.9
"""A camera that gives this share of the configured rate, or more, gives what was asked for."""
_OWN_SHARE = 0.8
"""With less than this share of a core while the stages were timed, their times say little about the box."""
_BUSY_ADVICE = "check again when nothing else runs; change no setting because of a busy moment"
SILENT_MS = 3 * BEAT_MS
"""A vision process whose last reading is older than this, in ms, is silent: three readings are missing."""

PICTURE: Mapping[str, tuple[str, str]] = {
    "dark": ("dark", "switch the light on, or choose opening hours that end before it goes out"),
    "covered": ("covered, or all of one colour", "clean the lens, and take off its cap or what hangs before it"),
    "frozen": ("frozen: the same picture again and again", "pull the camera's plug and put it back"),
    "moved": ("moved since the service started", "tighten the mount, then draw the line again"),
    "slow": ("too slow to follow people", "look at temperature and throttling; use a smaller `size`"),
    "camera_lost": ("gone", "look at the camera's plug and cable"),
}
"""What a flag means at the door, and what to do."""


_UNPLUGGED: Mapping[str, str] = {
    "usb": "look at its plug and cable",
    "csi": "run `rpicam-hello --list-cameras`, and look at the ribbon cable",
}
"""What to do about a camera that gives nothing, by how it is connected."""
_USUAL_FPS = Camera.model_fields["fps"].default
"""The pictures a second that people are followed by where the config says nothing else."""


def check_camera(path: Path, config: Config, name: str) -> Iterator[CheckResult]:
    """Look through the camera, or ask what the running service says of it."""
    camera = config.cameras[name]
    if not any(name in process.arguments for process in proc.running("vision")):
        yield from _look(path, camera, name)
        return
    try:
        with LedgerView.opened(config.ledger) as ledger:
            pace = ledger.pace(name)
    except LedgerError as exc:
        yield warn(
            f"camera {name}", f"the service holds it, and its readings can't be read: {exc}", "run this with sudo"
        )
        return
    yield from ask(camera, name, pace)


def _look(path: Path, camera: Camera, name: str) -> Iterator[CheckResult]:
    try:
        look = measuring.look(path, name, LOOK_S)
    except MeasuringFailed as exc:
        yield fail(f"camera {name}", exc.problem, exc.advice)
        return
    yield from judge(camera, name, look, busy=proc.is_busy())


def judge(camera: Camera, name: str, look: Look, *, busy: bool = False) -> Iterator[CheckResult]:
    """Hold what the camera gave against what it is asked for; *busy*: other programs wanted the processor meanwhile."""
    what = f"camera {name}"
    width, height = camera.size
    found = f"{look.width} x {look.height} at {look.fps:g} a second"
    if not look.frames:
        yield fail(what, "it opens, but gives no picture", _UNPLUGGED["csi" if camera.helped else "usb"])
        return
    is_clip = camera.clip is not None
    if not is_clip and busy and look.fps < _ENOUGH * camera.fps:
        # A busy moment is no reason to change a camera, a plug or a setting.
        yield warn(
            what, f"{found}, asked for {camera.fps:g}, while this box was busy with other programs", _BUSY_ADVICE
        )
    elif look.fps < SLOWEST_FPS:
        more = "give it more light, or another USB port" if camera.fps >= SLOWEST_FPS else f"set `fps` to {_USUAL_FPS}"
        yield fail(what, f"{found}, asked for {camera.fps:g}: too few to follow anybody", more)
    elif is_clip:
        yield warn(what, f"a clip, not a camera: {found}", "for a trial only; name /dev/videoN or csi:N at the door")
    elif look.fps < camera.fps / 3:
        yield fail(what, f"{found}, asked for {camera.fps:g}", "give it more light, or another USB port")
    elif look.fps < _ENOUGH * camera.fps:
        yield warn(
            what,
            f"{found}, asked for {camera.fps:g}",
            "more light gives more pictures a second; else set `fps` to what it gives",
        )
    elif (look.width, look.height) != (width, height):
        yield warn(what, f"{found}, asked for {width} x {height}", "set `size` to what it gives")
    else:
        yield ok(what, f"{found}, as asked")
    yield from _picture(name, look.flags, plain=look.plain)


def _picture(name: str, flags: tuple[str, ...], *, plain: bool = False) -> Iterator[CheckResult]:
    bad = [flag for flag in flags if flag in PICTURE and flag != "slow"]
    for flag in bad:
        found, advice = PICTURE[flag]
        yield fail(f"picture {name}", found, advice)
    if plain and not bad:
        yield warn(
            f"picture {name}",
            "hardly anything can be seen in it",
            "if the floor isn't that plain, take the cap off the lens, or clean it",
        )
    elif not bad:
        yield ok(f"picture {name}", "neither dark, covered nor frozen")


def ask(camera: Camera, name: str, pace: Pace | None) -> Iterator[CheckResult]:
    """Judge a camera that the running service holds by the readings of its last minute."""
    what = f"camera {name}"
    held = "the service holds it"
    clock = KernelClock()
    if pace is None or (pace.boot_id == clock.boot_id and clock.boot_ms() - pace.boot_ms > SILENT_MS):
        yield warn(
            what, f"{held}, but no reading has come", f"wait half a minute; then journalctl -u footfall-vision@{name}"
        )
        return
    if pace.boot_id != clock.boot_id:
        yield warn(
            what, f"{held}; its readings aren't of this boot's clock (a trial?)", "wait half a minute, check again"
        )
        return
    if Flag.CLOSED in pace.flags:
        yield ok(what, f"{held}; closed now, by its opening hours")
        return
    if Flag.CAMERA_LOST in pace.flags:
        yield fail(what, f"{held}, but it is gone", PICTURE["camera_lost"][1])
    elif pace.fps is None:
        yield warn(what, f"{held}, and has only just begun", "check again in half a minute to see how fast it looks")
    elif pace.fps < SLOWEST_FPS:
        found = f"{held}, and looks at {pace.fps:.1f} pictures a second, asked for {camera.fps:g}"
        yield fail(what, f"{found}: too few to follow anybody", "look at `fps`, speed, temperature and light")
    elif pace.fps < _ENOUGH * camera.fps:
        found = f"{held}, and looks at {pace.fps:.1f} pictures a second, asked for {camera.fps:g}"
        if proc.is_busy():
            yield warn(what, f"{found}, while this box is busy with other programs", _BUSY_ADVICE)
        else:
            yield warn(what, found, "look at speed, temperature and light")
    else:
        yield ok(what, f"{held}, and looks at {pace.fps:.1f} pictures a second")
    yield from _picture(
        name, tuple(flag.name.lower() for flag in pace.flags if flag.name and flag is not Flag.CAMERA_LOST)
    )


def check_model(path: Path, config: Config) -> Iterator[CheckResult]:
    """Load the model, run it, and hold its speed against what the most demanding camera asks for."""
    name, camera = max(config.cameras.items(), key=lambda item: (item[1].fps, item[1].size))
    try:
        stages = measuring.time_stages(path, name, TIME_S)
    except MeasuringFailed as exc:
        yield fail("model", exc.problem, exc.advice)
        return
    yield ok("model", f"{stages.model} loads and runs in {stages.interpreter}")
    beside = ", beside the running service" if proc.running("vision") else ""
    # By CPU time, so that a box that is busy with something else isn't taken for a slow one.
    found = f"{stages.cpu_fps:g} pictures a second can be held, asked for {camera.fps:g}{beside}"
    if stages.cpu_fps >= camera.fps:
        yield ok("speed", found)
    elif stages.cpu_fps >= max(SLOWEST_FPS, camera.fps / 3) and stages.cpu_share < _OWN_SHARE:
        # Programs that share a core's caches and its clock make CPU time longer, too.
        yield warn("speed", f"{found}, while other programs had {1 - stages.cpu_share:.0%} of the core", _BUSY_ADVICE)
    elif stages.cpu_fps >= max(SLOWEST_FPS, camera.fps / 3):
        yield warn(
            "speed",
            found,
            f"set `fps: {int(stages.cpu_fps)}`, or use a faster box; `footfall bench` tells more",
        )
    else:
        yield fail("speed", found, "this box can't follow people at that rate; use a faster one")
