"""
A process that has imported everything and forks a real publisher, or a real writer of readings, for each line it is
told: a box's processes start in two seconds, these in ten milliseconds, so that a thousand deaths fit into minutes.

A child has its own pid, its own files and the operating system's signals; only its imports are its mother's.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any


class Nursery:
    """The harness's end: starts children of one *kind*, a module of tests.faults with a `main(**arguments)`."""

    def __init__(self, kind: str, log: Path) -> None:
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.nursery", f"tests.faults.{kind}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                text=True,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )
        self.kind = kind
        self.pid: int | None = None

    def _ask(self, **question: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def start(self, **arguments: Any) -> None:
        """Start a child, in the place of one that is dead."""
        self.pid = self._ask(arguments=arguments)

    def code(self) -> int | None:
        """Return how the child ended; None while it lives."""
        if self.pid is None:
            return 0
        code = self._ask(wait=self.pid, options=os.WNOHANG)
        if code == _LIVES:
            return None
        self.pid = None
        return code

    def end(self, number: signal.Signals) -> int:
        """Send a signal, wait for the end, return the exit code (minus the signal's number)."""
        if self.pid is None:
            return 0
        os.kill(self.pid, number)
        code = self._ask(wait=self.pid, options=0)
        self.pid = None
        return code

    def close(self) -> None:
        """End the child and the nursery."""
        self.end(signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(10)


_LIVES = 1_000


def _serve(kind: str) -> None:
    module = importlib.import_module(kind)
    gc.freeze()
    for line in sys.stdin:
        question = json.loads(line)
        if "wait" in question:
            pid, status = os.waitpid(question["wait"], question["options"])
            print(os.waitstatus_to_exitcode(status) if pid else _LIVES, flush=True)
            continue
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        code = 1
        try:
            # The questions are the mother's.
            os.dup2(os.open(os.devnull, os.O_RDWR), 0)
            os.dup2(2, 1)
            logging.basicConfig(level=logging.INFO, format=f"%(relativeCreated)d {os.getpid()} %(name)s: %(message)s")
            code = module.main(**question["arguments"]) or 0
        except BaseException:  # noqa: BLE001 - a child never returns into its mother's loop
            traceback.print_exc()
        finally:
            os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1])
