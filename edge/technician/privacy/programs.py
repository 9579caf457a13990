"""
Which programs run: their digest, whether a release's signed list has the same, and the head model on the disk.

The list is `SHA256SUMS` beside the release, signed when it was made (deploy/signing.sh); among what it names is
`programs`, the digest of every file that the release's packages put on the disk.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import edge
from edge.config.schema import PublisherSettings
from edge.core import head_model
from edge.core.errors import DetectorError
from edge.technician.privacy.finding import Section

SIGNERS = Path("/etc/footfall/release-signers")
"""Whose signature this box takes: ssh's file of allowed signers, made at the first installation."""
IDENTITY, NAMESPACE = "footfall-release", "footfall-release"
_ANSWER_S = 20.0
_MADE_HERE = re.compile(r"(^|/)(__pycache__/|[^/]+\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)$)")
"""What pip and Python write beside what a package holds."""
_MOST_NAMED = 4
_OUTPUTS = {
    "score": "how likely a head is here",
    "logit": "how likely a head is here",
    "size": "how large it is",
    "offset": "where in its cell its centre lies",
}


@dataclass(frozen=True, slots=True)
class Programs:
    """What is known of the programs: a sentence for the verdict, and the lines of the examination."""

    known: str
    section: Section


def examine() -> Programs:
    """Look at the release that this program itself is part of."""
    section = Section("the programs")
    packages = Path(edge.__file__).resolve().parents[1]
    release = next((p for p in packages.parents if (p / "SHA256SUMS").is_file()), None)
    found = dict(_digests(packages / "edge" if release is None else packages))
    digest = hashlib.sha256("".join(f"{d}  {name}\n" for name, d in sorted(found.items())).encode()).hexdigest()
    section.tell("files, and the digest of all their digests", f"{len(found)}, sha256 {digest}")
    if release is None:
        section.tell("signed list", "none: this runs from a folder of its own, and not from a release")
        return Programs(f"the programs in {packages} are of no release, and have the digest {digest}", section)
    name = release.name
    section.tell("release", name)
    signed = _signed(release)
    section.judge("signed list", signed or f"signed by a key in {SIGNERS}", good=not signed)
    same = _differences(release, found)
    section.judge_none("files that differ from the list", same)
    if signed or same:
        return Programs(
            f"the programs are called {name}, have the digest {digest}, and nobody vouches for them", section
        )
    return Programs(f"the programs are those of release {name}, digest {digest}, signed", section)


def _digests(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each file beneath *folder* that a package could have put there, and its sha256."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not _MADE_HERE.search(name):
            with path.open("rb") as file:
                yield name, hashlib.file_digest(file, "sha256").hexdigest()


def _signed(release: Path) -> str:
    """Return why the release's list isn't known to be signed; nothing if it is."""
    signature = release / "SHA256SUMS.sig"
    if not signature.is_file() or not SIGNERS.is_file():
        return "NOT SIGNED, or this box knows no key; docs/operations.md says how to sign releases"
    program = shutil.which("ssh-keygen")
    if program is None:
        return "NOT CHECKED: ssh-keygen isn't installed"
    command = [program, "-Y", "verify", "-f", str(SIGNERS), "-I", IDENTITY, "-n", NAMESPACE, "-s", str(signature)]
    try:
        with (release / "SHA256SUMS").open("rb") as listed:
            done = subprocess.run(command, stdin=listed, capture_output=True, check=False, timeout=_ANSWER_S)
    except (OSError, subprocess.TimeoutExpired) as exc:
        return f"NOT CHECKED: {exc}"
    return "" if done.returncode == 0 else "NO: the signature isn't by a key that this box knows"


def _differences(release: Path, found: dict[str, str]) -> list[str]:
    """Return what of the files *found* isn't in the release's list of programs, and the other way round."""
    listed = _listed(release / "SHA256SUMS")
    programs = release / "programs"
    if not programs.is_file() or "programs" not in listed:
        return ["the release has no list of programs"]
    if hashlib.sha256(programs.read_bytes()).hexdigest() != listed["programs"]:
        return ["the list of programs itself"]
    wanted = _listed(programs)
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    more = [f"and {len(wrong) - _MOST_NAMED} more"] if len(wrong) > _MOST_NAMED else []
    return [*wrong[:_MOST_NAMED], *more]


def _listed(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def model(settings: PublisherSettings) -> Section:
    """Tell what the head model gives, and judge whether the file on the disk is the one that its contract names."""
    section = Section("what the head model gives")
    try:
        contract = head_model.read(settings.model)
        with contract.file.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (DetectorError, OSError) as exc:
        section.judge("contract", exc, good=False)
        return section
    section.tell("model", contract.identity)
    section.judge(
        "the file on the disk",
        f"sha256 {digest}" if digest == contract.sha256 else f"sha256 {digest}, NOT {contract.sha256}",
        good=digest == contract.sha256,
    )
    for name, shape in contract.channels.items():
        known = name in _OUTPUTS
        found = f"{' x '.join(map(str, shape))} numbers: {_OUTPUTS.get(name, 'NOT KNOWN to this program')}"
        section.judge(name, found, good=known)
    section.tell("of a person", "nothing: no face, no feature, nothing that tells one from another")
    return section
