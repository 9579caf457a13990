"""How warm the box is, and whether it is throttled: sysfs everywhere, `vcgencmd` on a Raspberry Pi. Reads only."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SYS = Path("/sys/class")

WARM_C = 70.0
"""°C from which a technician should give the box more air."""
HOT_C = 80.0
"""°C from which a Raspberry Pi throttles itself."""

_CAUSES = {
    0: "its supply's voltage is too low",
    1: "its clock is held down",
    2: "it is throttled",
    3: "it is near its limit of temperature",
}
"""The firmware's bits of `get_throttled`, and what each means."""
_SINCE_BOOT = 16
"""The firmware's bits for "at any time since the start" stand so many places above those for "now"."""
_ANSWER_S = 5.0
"""Seconds after which `vcgencmd` is given up."""


@dataclass(frozen=True, slots=True)
class Temperature:
    """
    What the box says of itself.

    Attributes:
        celsius: Its hottest sensor; None where there is none.
        throttled: What throttles it now, in words; empty if nothing does.
        was_throttled: What has throttled it since it started, and doesn't now.
    """

    celsius: float | None
    throttled: Sequence[str] = ()
    was_throttled: Sequence[str] = ()

    def __str__(self) -> str:
        return "no sensor" if self.celsius is None else f"{self.celsius:.0f} °C"


def read() -> Temperature:
    """Return how warm the box is now."""
    bits = _throttled()
    now = [words for bit, words in _CAUSES.items() if bits >> bit & 1]
    before = [words for bit, words in _CAUSES.items() if bits >> (bit + _SINCE_BOOT) & 1 and words not in now]
    if not bits and _voltage_alarm():
        now = [_CAUSES[0]]
    sensors = [found for zone in SYS.glob("thermal/thermal_zone*") if (found := _celsius(zone)) is not None]
    return Temperature(max(sensors, default=None), now, before)


def _celsius(zone: Path) -> float | None:
    try:
        return int((zone / "temp").read_text(encoding="ascii")) / 1000
    except (OSError, ValueError):
        return None


def _throttled() -> int:
    """Return the firmware's bits; 0 where there is no such firmware, or this user may not ask it."""
    program = shutil.which("vcgencmd")
    if program is None:
        return 0
    try:
        said = subprocess.run(
            [program, "get_throttled"], capture_output=True, text=True, check=True, timeout=_ANSWER_S
        ).stdout
        return int(said.strip().removeprefix("throttled="), 16)
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


def _voltage_alarm() -> bool:
    """Tell whether the kernel's driver of a Raspberry Pi's supply says that its voltage is too low."""
    for sensor in SYS.glob("hwmon/hwmon*"):
        try:
            if (sensor / "name").read_text(encoding="ascii").strip() == "rpi_volt":
                return (sensor / "in0_lcrit_alarm").read_text(encoding="ascii").strip() == "1"
        except OSError:
            continue
    return False
