"""
Gather the wheels that one kind of box needs, as constraints.lock pins them, on a machine of another kind.

pip can fetch for another machine, but judges a requirement's conditions ("on 32-bit ARM only", "before Python 3.12")
by the machine that it runs on. So this walks the requirements itself and lets pip fetch one pinned wheel at a time.
"""

from __future__ import annotations

import argparse
import email.parser
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

_UNLOCKED = "FOOTFALL_UNLOCKED_WHEELS"
"""Set in the environment, it lets wheels come that the lock has no digest of: some for 32-bit ARM."""
_OLDEST_GLIBC = 17
_GLIBC = {(3, 11): 36, (3, 13): 41}
"""Minor version of the C library of the Debian that ships this Python: 12 and 13."""


class Target:
    """A kind of box, as in `aarch64-cp313`: its machine and its Python."""

    def __init__(self, name: str) -> None:
        found = re.fullmatch(r"(x86_64|aarch64|armv7l)-cp3(\d+)", name)
        if found is None:
            sys.exit(f"{name} is no kind of box; one is x86_64, aarch64 or armv7l, then -cp311 or -cp313")
        self.name = name
        self.machine = found[1]
        self.python = (3, int(found[2]))
        newest = _GLIBC.get(self.python, min(_GLIBC.values()))
        self.platforms = [f"manylinux_2_{minor}_{self.machine}" for minor in range(newest, _OLDEST_GLIBC - 1, -1)]
        self.platforms += [f"manylinux2014_{self.machine}", f"linux_{self.machine}"]

    @property
    def has_digests(self) -> bool:
        """Whether the lock knows its wheels: those for 32-bit ARM come from Raspberry Pi OS's own index."""
        return self.machine != "armv7l"

    @property
    def tags(self) -> frozenset[Tag]:
        """Every tag of a wheel that runs there."""
        interpreter = f"cp3{self.python[1]}"
        return frozenset(
            [
                *cpython_tags(self.python, [interpreter], self.platforms),
                *compatible_tags(self.python, interpreter, self.platforms),
            ]
        )

    @property
    def environment(self) -> dict[str, str]:
        """What the conditions of requirements are judged by."""
        version = f"3.{self.python[1]}"
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{version}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{version}.0",
            "python_version": version,
            "sys_platform": "linux",
            "extra": "",
        }


@dataclass(frozen=True)
class Pin:
    """One package of the lock: its version, and the SHA-256 of each file that it may be installed from."""

    version: str
    digests: frozenset[str]


def read_lock(lock: Path) -> Iterator[tuple[Requirement, frozenset[str]]]:
    """Yield each requirement of *lock*, a file of pip's in which every requirement has digests, and its digests."""
    text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        requirement, *digests = line.split(" --hash=sha256:")
        if requirement.strip() and not requirement.startswith("#"):
            yield Requirement(requirement.strip()), frozenset(digest.strip() for digest in digests)


class Wheelhouse:
    """A folder of wheels for many kinds of boxes, filled as they are asked for."""

    def __init__(self, folder: Path, lock: Path, target: Target) -> None:
        self._folder = folder
        self._target = target
        self._tags = target.tags
        self._pins: dict[str, Pin] = {
            canonicalize_name(pin.name): Pin(str(pin.specifier).removeprefix("=="), digests)
            for pin, digests in read_lock(lock)
            if pin.marker is None or pin.marker.evaluate(target.environment)
        }

    def gather(self, first: Path, extra: str = "") -> tuple[list[Path], list[str]]:
        """Return the wheels that *first* with *extra* needs, pip's own among them, and the pins that have no wheel."""
        have: dict[str, Path] = {}
        missing: dict[str, str] = {}
        waiting = [("pip", ""), *self._needs(first, ""), *(self._needs(first, extra) if extra else [])]
        seen: set[tuple[str, str]] = set()
        while waiting:
            name, wanted = waiting.pop(0)
            if name in missing or (name, wanted) in seen:
                continue
            seen.add((name, wanted))
            wheel = have.get(name) or self._kept(name) or self._fetch(name)
            if wheel is None:
                missing[name] = f"{name} {self._pins[name].version}"
            else:
                have[name] = wheel
                waiting += self._needs(wheel, wanted)
        return [first, *have.values()], sorted(missing.values())

    def _needs(self, wheel: Path, extra: str) -> list[tuple[str, str]]:
        """Return what *wheel* with *extra* needs: each package's name, and an extra of that package or ""."""
        with zipfile.ZipFile(wheel) as archive:
            metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            told = email.parser.Parser().parsestr(archive.read(metadata).decode())
        found: list[tuple[str, str]] = []
        for text in told.get_all("Requires-Dist") or []:
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({**self._target.environment, "extra": extra}):
                name = canonicalize_name(need.name)
                if name not in self._pins:
                    sys.exit(f"constraints.lock pins no {name}, which {wheel.name} needs on {self._target.name}")
                found += [(name, wanted) for wanted in ("", *sorted(need.extras))]
        return found

    def _kept(self, name: str) -> Path | None:
        """Return the wheel of *name* that is in the folder, whole, and runs on the target; None if there is none."""
        pin = self._pins[name]
        for wheel in sorted(self._folder.glob("*.whl")):
            known, version, _, tags = parse_wheel_filename(wheel.name)
            if known == name and str(version) == pin.version and tags & self._tags and self._is_locked(wheel, pin):
                return wheel
        return None

    def unlocked(self, wheels: Sequence[Path]) -> list[str]:
        """Return the names of those of *wheels* whose digest the lock doesn't have."""
        known = frozenset[str]().union(*(pin.digests for pin in self._pins.values()))
        return [wheel.name for wheel in wheels if _digest(wheel) not in known]

    def _is_locked(self, wheel: Path, pin: Pin) -> bool:
        return not self._target.has_digests or _digest(wheel) in pin.digests

    def _fetch(self, name: str) -> Path | None:
        pin = self._pins[name]
        print(f"   {name} {pin.version}", file=sys.stderr)
        abi = f"cp3{self._target.python[1]}"
        digests = sorted(pin.digests) if self._target.has_digests else []
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
            wanted.write(" ".join([f"{name}=={pin.version}", *(f"--hash=sha256:{digest}" for digest in digests)]))
            wanted.flush()
            command = [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
                *("--only-binary=:all:", "--implementation", "cp", "--python-version", f"3.{self._target.python[1]}"),
                *(part for tag in (abi, "abi3", "none") for part in ("--abi", tag)),
                *(part for platform in self._target.platforms for part in ("--platform", platform)),
                *("--dest", str(self._folder), "--requirement", wanted.name),
            ]
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode and "No matching distribution" not in ended.stderr:
            sys.exit(f"pip could not fetch {name}; is there a network? It said:\n{ended.stderr}")
        return self._kept(name)


def _digest(wheel: Path) -> str:
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the wheels' names, one a line; say what is missing, with exit code 1, if some aren't to be had."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", type=Target, required=True, help="as in aarch64-cp313")
    parser.add_argument("--lock", type=Path, required=True, help="constraints.lock")
    parser.add_argument("--folder", type=Path, required=True, help="where wheels are kept")
    parser.add_argument("--extra", default="", help="an extra of Footfall's own, too")
    parser.add_argument("wheel", type=Path, help="Footfall's own")
    options = parser.parse_args(arguments)
    house = Wheelhouse(options.folder, options.lock, options.target)
    wheels, missing = house.gather(options.wheel, options.extra)
    if missing:
        sys.exit(
            f"there is no wheel for {options.target.name} of: {', '.join(missing)}.\n"
            "Raspberry Pi OS has an index of its own for 32-bit ARM (extra-index-url in its /etc/pip.conf): "
            "name it in PIP_EXTRA_INDEX_URL and run this again, or put 64-bit Raspberry Pi OS on the box."
        )
    unlocked = house.unlocked(wheels[1:])
    if unlocked and not os.environ.get(_UNLOCKED):
        sys.exit(
            f"constraints.lock has no digest of: {', '.join(unlocked)}. Nobody vouches for these files but the index "
            f"that they came from; to take them all the same, set {_UNLOCKED}=1."
        )
    print("\n".join(wheel.name for wheel in wheels))


if __name__ == "__main__":
    main()
