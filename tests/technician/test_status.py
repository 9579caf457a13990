"""`footfall status` and `footfall counts`: what the ledger holds, read beside the publisher that writes it."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.config import schema
from edge.core.clock import KernelClock
from edge.technician import counts
from tests.publisher.rig import Walkers, utc_ms, wait_until
from tests.technician.rig import REPOSITORY, Books, footfall, here, write_config

pytestmark = pytest.mark.processes

PLAIN = {"NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
MORNING = "2026-11-24T09:00+08:00"


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return write_config(tmp_path)


@pytest.fixture(name="books")
def _books(path: Path) -> Iterator[Books]:
    """Books that are open for writing, on whose clock it is nine in the morning of a day in November."""
    books = Books(path, utc_ms(MORNING))
    yield books
    with contextlib.suppress(OSError):
        books.close()


def fill(books: Books) -> None:
    """Two hours that a broker has taken, one that waits, and twenty minutes of a fourth."""
    books.let(121, in_=1)
    books.acknowledge()
    books.let(60, in_=2, out=1)
    books.let(19, out=3)
    books.builder.turn(last=True)


# --- counts ----------------------------------------------------------------------------------------------------------

DAY = ("--from", "2026-11-24", "--to", "2026-11-24")


def test_counts_as_csv(path: Path, books: Books) -> None:
    """A row for each line of each closed hour, as they were sent, while the publisher holds the ledger."""
    fill(books)
    run = here("counts", "--config", path, *DAY, "--csv")
    rows = list(csv.DictReader(io.StringIO(run.stdout)))
    sent = books.ledger.latest("door-a", 0)

    assert 0 == run.returncode
    assert [*counts.COLUMNS] == list(rows[0])
    assert len(sent) == len(rows)
    assert [(m["start"], m["in"], m["out"]) for m in (json.loads(row.payload) for row in sent)] == [
        (row["start"], int(row["in"]), int(row["out"])) for row in rows
    ]
    assert [bool(row.delivered_ms) for row in sent] == [bool(row["acknowledged"]) for row in rows]


def test_counts_as_json(path: Path, books: Books) -> None:
    """Each line is the message, byte for byte what headquarters has, with the time of its receipt beside it."""
    fill(books)
    run = here("counts", "--config", path, *DAY, "--json")
    told = [json.loads(line) for line in run.stdout.splitlines()]
    sent = [json.loads(row.payload) for row in books.ledger.latest("door-a", 0)]

    assert sent == [{key: value for key, value in hour.items() if key != "acknowledged"} for hour in told]
    assert {str, type(None)} == {type(hour["acknowledged"]) for hour in told}


def test_counts_for_a_person(path: Path, books: Books) -> None:
    """A table without colours where it isn't a terminal, with a sum."""
    fill(books)
    run = here("counts", "--config", path, *DAY)

    assert "2026-11-24 09:00  entrance" in run.stdout
    assert "not acknowledged by the broker" in run.stdout.splitlines()[-1]
    assert "\x1b" not in run.stdout


def test_days_are_the_shops(path: Path, books: Books) -> None:
    """The day before holds nothing, however late it is in UTC."""
    fill(books)
    run = here("counts", "--config", path, "--from", "2026-11-23", "--to", "2026-11-23", "--csv")

    assert [",".join(counts.COLUMNS)] == run.stdout.splitlines()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--from", "2026-11-25", "--to", "2026-11-24"], 78, "swap them"),
        (["--from", "yesterday"], 2, "--from"),
        (["--camera", "nowhere"], 78, "the config has: door-a"),
        (["--csv", "--json"], 2, "can't be used together"),
    ],
)
def test_what_counts_cant_understand(path: Path, books: Books, arguments: list[str], code: int, words: str) -> None:
    """A sentence and its exit code, never a traceback."""
    fill(books)
    run = here("counts", "--config", path, *arguments)

    assert code == run.returncode
    assert words in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("command", ["counts", "status"])
def test_no_ledger_yet(path: Path, command: str) -> None:
    """74, what it means, and none is made by looking."""
    run = here(command, "--config", path)

    assert 74 == run.returncode
    assert "start the publisher, which makes it when it first starts" in run.stderr
    assert not schema.load(path).ledger.exists()


@pytest.mark.parametrize("command", ["counts", "status"])
def test_something_that_is_no_ledger(path: Path, command: str) -> None:
    """74, and the file is left as it is."""
    ledger = schema.load(path).ledger
    ledger.write_text("no ledger\n" * 100)
    run = here(command, "--config", path)

    assert 74 == run.returncode
    assert "Traceback" not in run.stderr
    assert "no ledger\n" * 100 == ledger.read_text()


# --- status ----------------------------------------------------------------------------------------------------------


def now_books(path: Path, ago_min: float = 100) -> Books:
    """Books whose walkers began so many minutes ago by this machine's own clocks."""
    kernel = KernelClock()
    ago_ms = round(ago_min * 60_000)
    return Books(path, kernel.wall_ms() - ago_ms, boot_ms=kernel.boot_ms() - ago_ms)


def needs_uptime(minutes: float) -> None:
    if KernelClock().boot_ms() < minutes * 60_000:
        pytest.skip(f"this machine has been up for less than {minutes} minutes")


def test_status(path: Path) -> None:
    """Rate, share watched and today's hours, the running one among them, while the publisher holds the ledger."""
    needs_uptime(3)
    books = now_books(path, 2.5)
    books.let(2.5, in_=1, frames=149)
    books.builder.turn(last=True)
    run = here("status", "--config", path)
    books.close()

    assert 0 == run.returncode
    assert "site sh-023 on " in run.stdout
    assert "door-a: counting, 14.9 pictures a second, 100 % of the last minute watched" in run.stdout
    assert "no hour was acknowledged yet" in run.stdout
    assert "not over yet" in run.stdout
    assert "\x1b" not in run.stdout


def test_counts_without_an_hour_are_shown(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the clock is synchronised there is no hour, but what was counted since the start can be seen."""
    needs_uptime(3)
    books = now_books(path, 2)
    books.clock.synchronised = False
    books.let(2, in_=3, out=1)
    books.builder.turn(last=True)
    monkeypatch.setattr(KernelClock, "trusted", lambda _clock: False)
    run = here("status", "--config", path)
    books.close()

    assert "CLOCK NOT SYNCHRONISED" in run.stdout
    assert "no hour of today yet" in run.stdout
    assert re.search(r"counted since [12] min ago: 36 in, 12 out; in no hour yet, as the clock isn't sync", run.stdout)


def test_counts_since_the_start_are_those_of_the_newest_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart of vision begins anew; what was counted before is in the hours."""
    monkeypatch.setattr(KernelClock, "trusted", lambda _clock: True)
    needs_uptime(8)
    books = now_books(path, 6)
    books.let(2, in_=5)
    books.walkers = Walkers(boot_ms=books.clock.boot, run=2)
    books.let(3, in_=1, out=1)
    books.builder.turn(last=True)
    run = here("status", "--config", path)
    books.close()

    assert re.search(r"counted since \d\d:\d\d: 18 in, 18 out$", run.stdout, re.MULTILINE)


def test_a_running_trial_is_told_by_its_own_clock(path: Path) -> None:
    """`run --trial-speed`: counting, at the camera's real rate, today's trial hours, on the clock that it says."""
    with subprocess.Popen(
        [sys.executable, "-m", "edge", "run", "--config", str(path), "--trial-speed", "60"],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as trial:  # fmt: skip
        try:
            said = ""

            def counts() -> bool:
                nonlocal said
                said = here("status", "--config", path).stdout
                return bool(re.search(r"counted since \d\d:\d\d: [1-9]", said))

            wait_until(counts, "the trial to count", 240)
        finally:
            trial.terminate()
            trial.communicate()
    rate = re.search(r"counting, (\d+\.\d) pictures a second", said)

    assert "made-up clock of a trial, 60 times as fast" in said
    assert "publisher: running, in a trial" in said
    # On a machine that is too busy it says so; that it is silent, or over, would be wrong.
    assert re.search(r"door-a: (counting|TOO SLOW)", said)
    assert rate is None or float(rate[1]) < 31, "the demo clip has 30 pictures a second at most"


def test_a_silent_camera(path: Path) -> None:
    """Readings that stopped three minutes ago are no counting camera."""
    needs_uptime(6)
    books = now_books(path, 5)
    books.let(2, in_=1)
    books.close()
    run = here("status", "--config", path)

    assert re.search(r"door-a: SILENT for (1[89]|2\d)\d s", run.stdout)
    assert "systemctl status footfall-vision@door-a" in run.stdout


@pytest.mark.parametrize(
    ("flags", "words"), [(1, "closed, by its opening hours"), (2, "DARK: switch the light on"), (32, "GONE: look at")]
)
def test_a_camera_that_sees_nothing(path: Path, flags: int, words: str) -> None:
    """Why, and what to do."""
    needs_uptime(3)
    books = now_books(path, 2)
    books.let(2, flags=flags)
    books.close()

    assert f"door-a: {words}" in here("status", "--config", path).stdout


def test_another_boots_readings(path: Path) -> None:
    """A ledger from before the power cut doesn't pass for counting."""
    books = Books(path, KernelClock().wall_ms() - 600_000, boot_id="another")
    books.let(10)
    books.close()

    assert "NO READING since this box started" in here("status", "--config", path).stdout


def test_bars_without_unicode(path: Path) -> None:
    """A terminal that only knows ASCII gets bars of ASCII."""
    needs_uptime(3)
    books = now_books(path, 2)
    books.let(2, in_=1, out=1)
    books.close()
    ascii_only = footfall("status", "--config", path, env={**PLAIN, "PYTHONIOENCODING": "ascii"})
    unicode = footfall("status", "--config", path, env=PLAIN)

    assert "###" in ascii_only.stdout
    assert "---" in ascii_only.stdout
    assert "█" in unicode.stdout
    assert "▒" in unicode.stdout


def test_watch_until_ctrl_c(path: Path) -> None:
    """On a terminal it stays until Ctrl-C, which is no failure to explain, and leaves no traceback."""
    Books(path, KernelClock().wall_ms()).close()
    master, slave = pty.openpty()
    seen = bytearray()
    environment: dict[str, Any] = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    # What a shell starts in the background ignores Ctrl-C, and so would all that we start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [sys.executable, "-m", "edge", "status", "--watch", "--config", str(path)],
        cwd=REPOSITORY,
        env=environment,
        stdout=slave,
        stderr=slave,
        stdin=slave,
    ) as process:
        signal.signal(signal.SIGINT, before)
        os.close(slave)
        os.set_blocking(master, False)

        def shows() -> bool:
            with contextlib.suppress(BlockingIOError):
                seen.extend(os.read(master, 65_536))
            return b"sh-023" in seen

        wait_until(shows, "the status", 30)
        process.send_signal(signal.SIGINT)
        code = process.wait(300)
    with contextlib.suppress(OSError):
        seen.extend(os.read(master, 65_536))
    os.close(master)

    assert 130 == code
    assert b"Traceback" not in seen
