"""The part of `footfall check` that says back in words what the config means: which way is in, and when it is open."""

from __future__ import annotations

import math
from collections.abc import Iterator

from edge.config.schema import Camera, Config, Line
from edge.technician import camera_names
from edge.technician.check.check_result import CheckResult, ok, warn

_WAYS = (
    "to the right", "down and to the right", "downwards", "down and to the left", "to the left", "up and to the left",
    "upwards", "up and to the right",
)  # fmt: skip
"""Directions in the picture, from x's own on, each an eighth of a turn further; y is down."""


def check_config(config: Config) -> Iterator[CheckResult]:
    """Tell each camera's direction of "in" and its opening hours; warn of what was probably meant otherwise."""
    numbered = [name for name, camera in config.cameras.items() if camera_names.is_numbered(camera.source)]
    for name, camera in config.cameras.items():
        told = ", ".join(f"{line}: {way_in(where)}" for line, where in camera.lines.items())
        yield ok(f"direction {name}", f"in the picture, `in` is {told}")
        yield _hours(name, camera)
        if name in numbered and (len(numbered) > 1 or camera_names.count() > 1):
            lasting = camera_names.lasting(camera.source)
            yield warn(
                f"source {name}",
                f"{camera.source} may be the other camera after a restart",
                f"name it by its plug: source: {lasting or 'one of the files in /dev/v4l/by-path'}",
            )
        elif name in numbered and (lasting := camera_names.lasting(camera.source)):
            yield ok(f"source {name}", f"{camera.source}; with a second camera, name it by its plug: {lasting}")


def way_in(line: Line) -> str:
    """Return in words in which direction somebody crosses *line* who comes in, as in "downwards"."""
    x, y = line.inwards
    return _WAYS[round(math.atan2(y, x) / (math.pi / 4)) % len(_WAYS)]


def _hours(name: str, camera: Camera) -> CheckResult:
    what = f"opening hours {name}"
    if camera.open is None:
        return ok(what, "always open")
    if camera.open.is_likely_swapped:
        return warn(what, f"{camera.open}", "it is open all night: if that isn't meant, swap the two times")
    return ok(what, str(camera.open))
