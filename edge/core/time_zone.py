"""Which time zones there are: the names of the IANA database, and no others, for a box and for headquarters alike."""

from __future__ import annotations

import zoneinfo

_NO_NAMES = frozenset({"Factory", "localtime", "posixrules"})
"""Files that stand beside the zones and are none: which zone they mean depends on the machine."""
_NO_FOLDERS = ("posix/", "right/", "SystemV/")
"""Folders of a system's own; `right/` counts leap seconds, so its hours aren't UTC's."""


def is_time_zone(name: str) -> bool:
    """Tell whether *name* is a zone of the IANA database, as in Europe/Berlin, that is known on this machine."""
    if name in _NO_NAMES or name.startswith(_NO_FOLDERS):
        return False
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return True


def time_zones() -> set[str]:
    """Return the name of every zone that is known on this machine; it looks at several hundred files."""
    return {
        name for name in zoneinfo.available_timezones() if name not in _NO_NAMES and not name.startswith(_NO_FOLDERS)
    }
