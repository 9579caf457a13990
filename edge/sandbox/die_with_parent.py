"""
Run a program that dies with the process that started it: `python -m edge.sandbox.die_with_parent PARENT PROGRAM ...`.

A program of its own, because a process with threads can't safely ask for this between fork and exec. PARENT is the
number of the process that starts it: if that one is gone before this could ask the kernel, nothing is started.
"""

from __future__ import annotations

import os
import sys

from edge.sandbox import prctl


def main(arguments: list[str]) -> None:
    """Become the program; the kernel keeps the promise through its start. Raises OSError if it can't be started."""
    parent, program = int(arguments[0]), arguments[1:]
    prctl.die_with_parent()
    if os.getppid() == parent:
        os.execv(program[0], program)  # noqa: S606 - to become it, not to start a shell


if __name__ == "__main__":
    main(sys.argv[1:])
