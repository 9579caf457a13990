"""A notice that signals give, whatever a process does when they come."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edge.core.signals import Notice, stop_signals

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300.0

AT_EVERY_STEP = """
import signal
import sys

from edge.core.signals import stop_signals

STEPS = 50  # two rounds of a wait; so many that a signal comes in each, before it, and after a sleep


def wait(until):
    steps = 0

    def count(frame, event, _argument):
        nonlocal steps
        frame.f_trace_opcodes = True
        if event == "opcode":
            steps += 1
            if steps == until:
                signal.raise_signal(signal.SIGTERM)
        return count

    with stop_signals() as stopping:
        sys.settrace(count)
        heard = stopping.wait(60)
        sys.settrace(None)
    return heard and steps >= until


print(sum(wait(until) for until in range(1, STEPS + 1)), "of", STEPS)
"""


def test_a_signal_at_any_step_of_a_wait_ends_it() -> None:
    """Wherever in `wait` its handler runs, bytecode by bytecode, the wait is over; none is missed, none locks up."""
    done = subprocess.run(
        [sys.executable, "-c", AT_EVERY_STEP], cwd=ROOT, check=True, capture_output=True, text=True, timeout=PATIENCE_S
    )

    assert done.stdout == "50 of 50\n"


def test_any_thread_may_set_it() -> None:
    """What another thread sets ends the wait long before its time, and can be cleared."""
    notice = Notice()
    thread = threading.Thread(target=notice.set)
    began_s = time.monotonic()
    thread.start()
    heard = notice.wait(PATIENCE_S)
    thread.join()
    notice.clear()

    assert heard
    assert time.monotonic() - began_s < PATIENCE_S
    assert not notice.is_set()
    assert not notice.wait(0.0)


def test_what_signals_did_before_they_do_again() -> None:
    """The handlers of before are back, and a notice that was given is the one that is set."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    mine = Notice()
    with stop_signals(mine) as stopping:
        signal.raise_signal(signal.SIGHUP)

    assert stopping is mine
    assert mine.is_set()
    assert before == {number: signal.getsignal(number) for number in before}
