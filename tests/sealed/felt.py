"""
How much two captured processes can still tell each other by being felt: by load, and by the processor's cache.

`python tests/sealed/felt.py` starts a process that is sealed and one in the publisher's sandbox, lets the first send
random bits and the second guess them from how long its own work takes, and prints for each way the best rate found.
docs/privacy.md has the figures of one machine; this is how they are measured, and no test: they depend on the machine,
and on how busy it is.
"""

from __future__ import annotations

import ctypes
import json
import math
import mmap
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
PAGE = "/usr/lib/os-release"
"""A file that both map to read; what is in it doesn't matter."""
WAYS = {"load": (50_000, 20_000, 10_000, 5_000, 2_000), "cache": (200, 50, 20, 10, 5)}
"""Lengths of a slot that are tried, in microseconds."""
SECONDS = 1.0
CONFIG = """
site: sh-023
timezone: Asia/Shanghai
cameras:
  door: {{source: /dev/video0, lines: {{entrance: {{from: [0.1, 0.5], to: [0.9, 0.5], inside: [0.5, 0.9]}}}}}}
broker: {{host: 127.0.0.1, tls: false}}
ledger: {folder}/ledger.sqlite
"""


def main() -> None:
    """Measure each way and print a line for each length of a slot."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library = folder / "felt.so"
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, HERE / "felt.c"], check=True)
        (folder / "footfall.yaml").write_text(CONFIG.format(folder=folder))
        for way, slots in WAYS.items():
            for slot_us in slots:
                print(measure(folder, library, way, slot_us), flush=True)


def measure(folder: Path, library: Path, way: str, slot_us: int) -> str:
    """Return what came over by *way* in slots of so many microseconds."""
    count = min(20_000, int(SECONDS * 1e6 / slot_us))
    seed = random.randrange(2**32)
    start_ns = time.monotonic_ns() + 4_000_000_000
    words = [
        str(library),
        str(folder / "footfall.yaml"),
        way,
        str(count),
        str(start_ns),
        str(slot_us * 1000),
        str(seed),
    ]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    both = [
        subprocess.Popen([sys.executable, __file__, role, *words], stdout=subprocess.PIPE, env=environment)
        for role in ("send", "hear")
    ]
    said = [process.communicate()[0] for process in both]
    found = json.loads(said[1])
    sent = bits(seed, count)
    wrong = errors(sent, found, more_is_one=way == "cache")
    rate = 1e6 / slot_us * (1 - entropy(wrong))
    return f"{way:5}  {slot_us:6} us a bit  {100 * wrong:5.1f} % wrong  {rate:9,.0f} bits/s"


def bits(seed: int, count: int) -> list[int]:
    """Return what is sent."""
    chance = random.Random(seed)
    return [chance.getrandbits(1) for _ in range(count)]


def errors(sent: Sequence[int], found: Sequence[int], *, more_is_one: bool) -> float:
    """Return the share of bits that are guessed wrong with the threshold that is best for this recording."""
    ordered = sorted(set(found))
    thresholds = ordered[:: max(1, len(ordered) // 500)]
    guesses = (
        sum((value > t) == (bit == more_is_one) for value, bit in zip(found, sent, strict=True)) for t in thresholds
    )
    return 1 - max(guesses) / len(sent)


def entropy(wrong: float) -> float:
    """Return the share of a bit that is lost where so many are wrong."""
    return sum(-p * math.log2(p) for p in (wrong, 1 - wrong) if p > 0)


def send(library: ctypes.CDLL, way: str, count: int, start_ns: int, slot_ns: int, seed: int) -> None:
    """Be a captured vision: seal, then send."""
    from edge.vision.seal import Seal  # noqa: PLC0415 - each process imports what it is

    page = shared_page()
    seal = Seal([])
    sent = (ctypes.c_uint8 * count)(*bits(seed, count))
    threads = [
        threading.Thread(target=library.send_by_load, args=(sent, count, u64(start_ns), u64(slot_ns)))
        for _ in range(os.cpu_count() or 1)
    ]
    seal.close()
    if way == "cache":
        library.send_by_cache(page, sent, count, u64(start_ns), u64(slot_ns))
        return
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def hear(library: ctypes.CDLL, way: str, count: int, start_ns: int, slot_ns: int, config: Path) -> list[int]:
    """Be a captured publisher: enter the sandbox, then listen; return what was found in each slot."""
    from edge.config import schema  # noqa: PLC0415 - likewise
    from edge.publisher import sandbox  # noqa: PLC0415

    page = shared_page()
    sandbox.enter(schema.load(config).publisher(), config)
    found = (ctypes.c_uint32 * count)()
    if way == "cache":
        inside, outside = library.quickest(page, 0), library.quickest(page, 1)
        library.hear_cache(page, (inside + outside) // 2, found, count, u64(start_ns), u64(slot_ns))
        return list(found)
    others = [(ctypes.c_uint32 * count)() for _ in range((os.cpu_count() or 1) - 1)]
    threads = [
        threading.Thread(target=library.hear_load, args=(into, count, u64(start_ns), u64(slot_ns)))
        for into in (found, *others)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [sum(values) for values in zip(found, *others, strict=True)]


def shared_page() -> ctypes.c_void_p:
    """Map a file that the other process maps, too; return the address of a line in it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    return ctypes.c_void_p(libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, os.open(PAGE, os.O_RDONLY), 0) + 64)


u64: Callable[[int], ctypes.c_uint64] = ctypes.c_uint64


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        role, path, config, way, *numbers = sys.argv[1:]
        count, start_ns, slot_ns, seed = map(int, numbers)
        library = ctypes.CDLL(path)
        library.quickest.restype = ctypes.c_uint32
        if role == "send":
            send(library, way, count, start_ns, slot_ns, seed)
        else:
            print(json.dumps(hear(library, way, count, start_ns, slot_ns, Path(config))))
