"""The commands, and in which module each stands; `edge.cli.program` loads the one that is asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from edge.cli import program

COMMANDS: program.Commands = {
    "At the door": {
        "check": "edge.cli.box",
        "setup": "edge.cli.door",
        "audit": "edge.cli.door",
        "send-test": "edge.cli.door",
        "plan": "edge.cli.door",
    },
    "On the box": {
        "status": "edge.cli.box",
        "counts": "edge.cli.box",
        "privacy": "edge.cli.box",
        "config": "edge.cli.box",
        "bench": "edge.cli.box",
        "support": "edge.cli.box",
        "sign": "edge.cli.documents",
    },
    "For a trial": {
        "demo": "edge.cli.trial",
        "run": "edge.cli.trial",
        "count": "edge.cli.clips",
        "evaluate": "edge.cli.clips",
    },
    "At headquarters": {
        "collect": "edge.cli.headquarters",
        "watch": "edge.cli.headquarters",
        "report": "edge.cli.reports",
        "correct": "edge.cli.reports",
        "quarantine": "edge.cli.reports",
        "alert": "edge.cli.mails",
        "weekly": "edge.cli.mails",
        "retain": "edge.cli.upkeep",
        "roles": "edge.cli.upkeep",
        "broker": "edge.cli.headquarters",
        "simulate": "edge.cli.headquarters",
    },
    "Services, which systemd starts": {
        "vision": "edge.cli.services",
        "publisher": "edge.cli.services",
    },
    "About this program": {
        "help": "edge.cli.help",
    },
    program.HIDDEN: {
        "measure": "edge.cli.services",
    },
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code (see edge.cli.exit_codes)."""
    return program.run(COMMANDS, argv)


if __name__ == "__main__":
    sys.exit(main())
