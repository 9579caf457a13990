"""
Hold the fetched assets against sources.tsv, which says where each file comes from and what it must be.

    python -m models.training.sources

One row a file: its place here, sha256, repository, commit, path there, author or site. MakeHuman's files are as they
are in their repository; those of `cc0` were made smaller and, where they were no JPEG, turned into one, so that the
digest is that of the file that was used and not of the source's.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .asset_readers import CC0, MAKEHUMAN

LIST = Path(__file__).with_name("sources.tsv")
_FOLDERS = {"makehuman": MAKEHUMAN, "cc0": CC0}


class Source(NamedTuple):
    """One row of the list."""

    file: str
    sha256: str
    repository: str
    commit: str
    path: str
    author: str

    @property
    def place(self) -> Path:
        """Where the file lies on this machine."""
        folder, _, rest = self.file.partition("/")
        return _FOLDERS[folder] / rest


def sources() -> list[Source]:
    """Return the list's rows."""
    with LIST.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t")
        next(rows)
        return [Source(*row) for row in rows]


def faults() -> Iterator[str]:
    """Yield one line for each file that isn't there or isn't what it was."""
    for source in sources():
        if not source.place.is_file():
            yield f"{source.file} is not there; it comes from {source.repository} at {source.commit}: {source.path}"
        elif hashlib.sha256(source.place.read_bytes()).hexdigest() != source.sha256:
            yield f"{source.file} is another file than the one that was used"


def main() -> int:
    """Print what is wrong; return 1 if anything is."""
    found = list(faults())
    print(*found, f"{len(sources())} files, {len(found)} of them missing or other ones", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
