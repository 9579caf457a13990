"""
What packages put on a box's disk: the sha256 and the path of each file, for `footfall privacy` to hold against.

`python programs.py WHEEL...` prints a line for each file of each wheel, sorted; pip itself is left out, as it isn't
installed.
"""

from __future__ import annotations

import hashlib
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

_SCHEME = re.compile(r"^[^/]+\.data/(purelib|platlib)/")
_ELSEWHERE = re.compile(r"^[^/]+\.data/")
_MADE_THERE = re.compile(r"\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)$")


def installed(wheel: Path) -> Iterator[tuple[str, str]]:
    """Yield the path beneath site-packages and the sha256 of each file that *wheel* brings there."""
    with zipfile.ZipFile(wheel) as files:
        for name in files.namelist():
            path = _SCHEME.sub("", name)
            if not name.endswith("/") and not _ELSEWHERE.match(path) and not _MADE_THERE.search(path):
                yield path, hashlib.sha256(files.read(name)).hexdigest()


def main(wheels: list[str]) -> None:
    """Print the list."""
    found = dict(pair for wheel in wheels if not Path(wheel).name.startswith("pip-") for pair in installed(Path(wheel)))
    sys.stdout.write("".join(f"{digest}  {path}\n" for path, digest in sorted(found.items())))


if __name__ == "__main__":
    main(sys.argv[1:])
