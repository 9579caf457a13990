"""How warm the box is, and whether it slows itself down: sysfs everywhere, `vcgencmd` on a Raspberry Pi. Reads only."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SYS = Path("/sys/class")

WARM_C = 70.0
HOT_C = 80.0
"""From here on a Raspberry Pi slows itself down."""

_NOW = {
    0: "its supply's voltage is too low",
    1: "its clock is held down",
    2: "it is throttled",
    3: "it is near its limit",
}
_SINCE_BOOT = 16
"""The same four bits, so much higher, tell of any time since the box started."""
_ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class Heat:
    """
    What the box says of itself.

    Attributes:
        celsius: Its hottest sensor; None where there is none.
        now: What holds it back now, in words.
        before: What has held it back since it started, and doesn't now.
    """

    celsius: float | None
    now: Sequence[str] = ()
    before: Sequence[str] = ()

    def __str__(self) -> str:
        return "no sensor" if self.celsius is None else f"{self.celsius:.0f} °C"


def read() -> Heat:
    """Return how warm the box is now."""
    bits = _throttled()
    now = [words for bit, words in _NOW.items() if bits >> bit & 1]
    before = [words for bit, words in _NOW.items() if bits >> (bit + _SINCE_BOOT) & 1 and words not in now]
    if not bits and _voltage_alarm():
        now = [_NOW[0]]
    sensors = [found for zone in SYS.glob("thermal/thermal_zone*") if (found := _celsius(zone)) is not None]
    return Heat(max(sensors, default=None), now, before)


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
