"""
The release that this program is part of: its folder, and what its signed list names.

The list is `SHA256SUMS` in the release's folder, signed when it was made (deploy/signing.sh); among what it names are
the units, and `programs`, the digest of every file that the release's packages put on the disk.
"""

from __future__ import annotations

from pathlib import Path

import edge

PACKAGES = Path(edge.__file__).resolve().parents[1]
"""The folder that this program's packages are in."""
LIST = "SHA256SUMS"


def folder() -> Path | None:
    """Return the release's folder; None where this runs from a folder of its own."""
    return next((parent for parent in PACKAGES.parents if (parent / LIST).is_file()), None)


def listed() -> dict[str, str]:
    """Return the sha256 of each file that the release's list names; nothing where there is no list."""
    found = folder()
    return {} if found is None else read_list(found / LIST)


def read_list(path: Path) -> dict[str, str]:
    """Return the sha256 by name of a list such as sha256sum makes."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
