"""Running something as the user nobody, for tests that root runs of what another user may do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
UID = 65534
AS_NOBODY = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
"""Put before a command: it then runs as nobody, with no right that root has."""


def _why_not() -> str:
    """Return why nothing of ours can run as nobody here; empty if it can."""
    if os.geteuid() != 0:
        return "needs root to become another user"
    look = [*AS_NOBODY, sys.executable, "-c", "import edge, pyseccomp"]
    tried = subprocess.run(
        look, cwd="/", env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, check=False
    )
    if tried.returncode == 0:
        return ""
    said = tried.stderr.strip().rpartition("\n")[2]
    return f"another user can't run this clone ({said}): put {REPOSITORY} where everybody may read, such as /opt"


WHY_NOT = _why_not()
needs_nobody = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
