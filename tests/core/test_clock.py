"""The three clocks: the kernel's, a trial's, and one that is moved by hand."""

from __future__ import annotations

import ctypes
import re
import time

import pytest

from edge.core import clock
from edge.core.clock import Clock, KernelClock, ManualClock, TrialClock

WALL_MS = 1_750_000_000_000


def test_boot_time_is_the_kernels() -> None:
    """Boot time lies between two readings of CLOCK_BOOTTIME, in ms, and never runs backwards."""
    kernel = KernelClock()
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    readings = [kernel.boot_ms() for _ in range(1000)]
    after = time.clock_gettime(time.CLOCK_BOOTTIME)

    assert readings == sorted(readings)
    assert before * 1000 - 1 <= readings[0] <= readings[-1] <= after * 1000


def test_wall_time_is_utc() -> None:
    """Wall time lies between two readings of CLOCK_REALTIME, in ms since 1970."""
    before = time.clock_gettime(time.CLOCK_REALTIME)
    reading = KernelClock().wall_ms()
    after = time.clock_gettime(time.CLOCK_REALTIME)

    assert before * 1000 - 1 <= reading <= after * 1000


def test_a_boot_has_one_name() -> None:
    """Two processes of one boot give it the same name, the kernel's."""
    assert KernelClock().boot_id == KernelClock().boot_id
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", KernelClock().boot_id)


@pytest.mark.parametrize(
    ("state", "status", "synchronised"),
    [(0, 0, True), (1, 0, True), (0, 0x0040, False), (5, 0, False), (5, 0x0040, False), (-1, 0, False)],
)
def test_the_kernel_is_asked_whether_its_clock_is_right(
    monkeypatch: pytest.MonkeyPatch, state: int, status: int, synchronised: bool
) -> None:
    """Only a state other than TIME_ERROR, without STA_UNSYNC, is trusted; a call that fails isn't."""

    class Kernel:
        @staticmethod
        def adjtimex(reference: object) -> int:
            timex = reference._obj  # type: ignore[attr-defined] # what byref() holds
            assert timex.modes == 0, "asking must never set anything"
            timex.status = status
            return state

    monkeypatch.setattr(ctypes, "CDLL", lambda *_args, **_options: Kernel)

    assert synchronised == KernelClock().trusted()


def test_the_kernels_answer_fits() -> None:
    """The real call fills the structure as the kernel lays it out: its own clock stands in it, and its tick."""
    timex = clock._Timex()
    state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))

    assert 0 <= state <= 5
    assert abs(timex.time.tv_sec - time.clock_gettime(time.CLOCK_REALTIME)) < 5
    assert 9_000 <= timex.tick <= 11_000
    assert clock.kernel_synchronised() in (True, False)


def test_a_trials_clock_is_fast_and_says_so() -> None:
    """Boot time and wall time both pass *speed* times as fast, from the wall time that was chosen."""
    trial = TrialClock.starting_at(WALL_MS, 1000)
    began = KernelClock().boot_ms()
    first = trial.wall_ms(), trial.boot_ms()
    while KernelClock().boot_ms() == began:
        pass
    then = trial.wall_ms(), trial.boot_ms()

    assert first[0] >= WALL_MS
    assert then[0] - first[0] >= 1000
    assert abs((then[0] - first[0]) - (then[1] - first[1])) <= 1000
    assert (True, True, 1000) == (trial.trial, trial.trusted(), trial.speed)


def test_two_processes_share_a_trials_clock() -> None:
    """A clock made from another's description is the same clock, and the same boot."""
    one = TrialClock.starting_at(WALL_MS, 60)
    other = TrialClock.from_spec(one.spec())

    assert one.boot_id == other.boot_id
    assert 0 <= other.wall_ms() - one.wall_ms() <= 60_000


def test_two_trials_are_two_boots() -> None:
    """A ledger that was filled by one trial doesn't take another for the same boot, nor for the real one."""
    one, other = TrialClock(60, 1_000, WALL_MS), TrialClock(60, 2_000, WALL_MS)

    assert len({one.boot_id, other.boot_id, KernelClock().boot_id}) == 3


@pytest.mark.parametrize("spec", ["", "60", "60:1", "60:1:2:3", "x:1:2", "60:1.5:2", "0:1:2", "-1:1:2", "10001:1:2"])
def test_what_is_no_trials_clock_is_refused(spec: str) -> None:
    """And the sentence says how one is written."""
    with pytest.raises(ValueError, match="a trial clock is SPEED:BOOT_MS:WALL_MS, not"):
        TrialClock.from_spec(spec)


def test_a_clock_moved_by_hand() -> None:
    """It stands still until it is moved, and then both of its times have moved."""
    manual = ManualClock(boot=5, wall=WALL_MS)
    manual.advance(10)

    assert (15, WALL_MS + 10, True) == (manual.boot_ms(), manual.wall_ms(), manual.trusted())


@pytest.mark.parametrize(
    "made", [KernelClock(), TrialClock.starting_at(WALL_MS, 1.0), ManualClock()], ids=lambda made: type(made).__name__
)
def test_all_have_one_face(made: Clock) -> None:
    """Whatever may be asked of one can be asked of each, and the answers are of one kind."""
    asked = (made.boot_id, made.speed, made.trial, made.boot_ms(), made.wall_ms(), made.trusted())

    assert [str, float, bool, int, int, bool] == [type(answer) for answer in asked]
