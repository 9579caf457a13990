"""
`python -m tests.faults.fuzz broker|diode --minutes 10 --seed S`: hostile bytes against the two doors of the publisher.

Broker: a fake one answers each connection with true packets that were cut, mixed, mutated or made up; the link may lose
the connection and nothing else, and takes no hour for delivered that no PUBACK named. Diode: records that were
mutated, cut, repeated or made up; whatever is let through can be true, and the process lives.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from edge.config.schema import CameraAccount
from edge.core.clock import ManualClock
from edge.core.tally import BEAT_MS, SIZE, Tally, encode
from edge.publisher.diode_reader import DiodeReader
from tests.publisher.rig import Walkers
from tests.publisher.test_outbox import Bench
from tests.publisher.wire import FakeBroker, Talk, connack, puback, receive_maximum

_BOOT_MS = 10_000_000


def mutated(dice: random.Random, data: bytes) -> bytes:
    """Return *data* with bits turned, bytes put in, left out or written over, or its end cut off."""
    some = bytearray(data)
    for _ in range(dice.randint(0, 6)):
        at = dice.randrange(len(some) + 1)
        match dice.randrange(5):
            case 0 if at < len(some):
                some[at] ^= 1 << dice.randrange(8)
            case 1:
                some[at:at] = dice.randbytes(dice.randint(1, 8))
            case 2:
                del some[at : at + dice.randint(1, 8)]
            case 3:
                some[at : at + 4] = dice.choice(
                    (b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x80\x80\x80\x01")
                )
            case _ if dice.random() < 0.2:
                del some[at:]
    return bytes(some)


def broker(dice: random.Random) -> str:
    """Meet one hostile broker; return how the meeting ended."""
    true = [
        connack(),
        connack(0, receive_maximum(dice.randint(0, 65_535))),
        connack(dice.randrange(256)),
        puback(dice.randint(0, 4)),
        puback(dice.randint(0, 4), dice.randrange(256)),
        b"\xd0\x00",
        b"\xe0\x01" + bytes([dice.randrange(256)]),
        b"\x30\x05\x00\x01ax0",
        b"\x90\x03\x00\x01\x00",
        b"",
    ]
    pieces = [mutated(dice, dice.choice(true)) for _ in range(dice.randint(1, 6))]
    if dice.random() < 0.7:
        pieces.insert(0, connack())
    pauses = [dice.random() < 0.3 for _ in pieces]
    named = {int.from_bytes(piece[2:4]) for piece in pieces}

    def script(talk: Talk) -> None:
        talk.packet()
        for piece, pause in zip(pieces, pauses, strict=True):
            talk.sock.sendall(piece)
            if pause:
                time.sleep(0.002)

    fake = FakeBroker(script)
    made = Bench(2, port=fake.port, protocol=dice.choice(("5", "3.1.1")))
    try:
        until_s = time.monotonic() + 30
        while not made.hands.rests and time.monotonic() < until_s:
            made.connection.turn()
            time.sleep(0.001)
        state = made.connection.state
    finally:
        made.connection.end(0)
        fake.close()
    if not made.hands.rests:
        raise AssertionError(f"the link never let go of {pieces}: {state}")
    if len(made.outbox.done) + len(made.outbox.rows) != 2 or len(made.outbox.done) > len(named):
        raise AssertionError(f"{made.outbox.done} delivered by {pieces}")
    return state.split("refused: ")[-1].split("reached: ")[-1].split(" (")[0]


def diode(dice: random.Random) -> str:
    """Send one stream down a diode; return how it ended."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:  # noqa: S108
        account = CameraAccount("door-a", ("entrance", "side"), None, Path(folder, "door-a.tally"))
        pipe = DiodeReader(account, ManualClock(boot=_BOOT_MS), ())
        writer = os.open(account.tally, os.O_WRONLY | os.O_NONBLOCK)
        walkers = [Walkers(run=dice.randint(1, 3), line=line) for line in account.lines]
        newest: dict[tuple[int, int], Tally] = {}
        try:
            for beat in range(1, dice.randint(2, 30)):
                records = [encode(w.reading(beat * BEAT_MS, in_=dice.randint(0, 5))) for w in walkers]
                if dice.random() < 0.2:
                    records.append(mutated(dice, dice.choice(records)))
                if dice.random() < 0.05:
                    records.append(dice.randbytes(dice.randint(1, 4_096)))
                dice.shuffle(records)
                os.write(writer, b"".join(records))
                for tally in pipe.read():
                    before = newest.get((tally.run, tally.line))
                    if before is not None and (tally.sequence <= before.sequence or tally.in_ < before.in_):
                        raise AssertionError(f"{tally} after {before}")
                    if tally.boot_ms > _BOOT_MS + 2_000 or tally.watched_ms > tally.boot_ms:
                        raise AssertionError(f"{tally} can't be true")
                    newest[tally.run, tally.line] = tally
                if pipe.fault is not None:
                    return type(pipe.fault).__name__
                if dice.random() < 0.5:
                    pipe.release()
                if pipe.has_unknown_line:
                    pipe.expect(account.lines)
            return "all let through"
        finally:
            os.close(writer)
            pipe.close()


TARGETS: dict[str, Callable[[random.Random], str]] = {"broker": broker, "diode": diode}


def main() -> int:
    """Go on until the time is over; whatever is wrong ends it with its seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default 10)")
    parser.add_argument("--seed", type=int, default=None, help="of the first (default: drawn, and printed)")
    options = parser.parse_args()
    first = secrets.randbelow(2**31) if options.seed is None else options.seed
    print(f"{options.target}, {options.minutes:g} minutes from seed {first}; {SIZE} bytes a record", flush=True)
    logging.disable()
    until_s = time.monotonic() + 60 * options.minutes
    ends: Counter[str] = Counter()
    seed = first
    while time.monotonic() < until_s:
        try:
            ends[TARGETS[options.target](random.Random(seed))] += 1
        except BaseException:
            print(f"seed {seed}", flush=True)
            raise
        seed += 1
    print(f"{seed - first} meetings, and the process lives:")
    for end, count in ends.most_common():
        print(f"{count:8} {end}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
