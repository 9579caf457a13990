"""Time zones: what a box takes is what headquarters takes, the names of the IANA database."""

from __future__ import annotations

import pytest

from edge.config import schema
from edge.core.errors import ConfigError
from edge.core.time_zone import is_time_zone, time_zones

CONFIG = """\
site: sh-023
timezone: "{}"
cameras: {{door: {{source: /dev/video0, lines: {{a: {{from: [0.1, 0.5], to: [0.9, 0.5], inside: [0.5, 0.9]}}}}}}}}
broker: {{host: h}}
"""
NAMES = ["Europe/Berlin", "Asia/Shanghai", "America/Argentina/Buenos_Aires", "UTC", "Etc/GMT+8", "CET", "Asia/Calcutta"]
NO_NAMES = [
    "posix/Europe/Berlin",
    "right/Europe/Berlin",
    "SystemV/EST5",
    "localtime",
    "posixrules",
    "Factory",
    "europe/berlin",
    "Europe",
    "Europe/",
    "/etc/localtime",
    "../zoneinfo/Europe/Berlin",
    "tzdata.zi",
    "leapseconds",
    "CET-1CEST",
    "",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_zone_of_the_database(name: str) -> None:
    """Each is taken, also those that only point to another."""
    assert is_time_zone(name)
    assert name in time_zones()
    assert name == schema.parse(CONFIG.format(name)).timezone


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_only_some_machines_know(name: str) -> None:
    """A system's own files, leap seconds, and names in another form are refused, though a machine may have them."""
    assert not is_time_zone(name)
    assert name not in time_zones()
    with pytest.raises(ConfigError, match="is no IANA time zone"):
        schema.parse(CONFIG.format(name))
