"""Where the training pictures' parts come from, and that the ones at hand are these."""

from __future__ import annotations

import re

import pytest

from models.training.asset_readers import CC0, MAKEHUMAN
from models.training.sources import faults, sources


def test_every_file_has_a_source() -> None:
    """Each row names a repository at a commit, and a digest."""
    rows = sources()

    assert len(rows) > 800
    assert [row.file for row in rows if not re.fullmatch(r"[0-9a-f]{64}", row.sha256)] == []
    assert [row.file for row in rows if not (row.repository and row.commit and row.path)] == []


@pytest.mark.skipif(not (CC0.is_dir() and MAKEHUMAN.is_dir()), reason="the CC0 assets aren't on this machine")
def test_the_files_at_hand_are_those_that_were_used() -> None:
    """The assets that are here are the ones in the list, byte for byte."""
    assert list(faults()) == []
