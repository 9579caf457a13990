"""
Which programs run: their digest, whether a release's signed list has the same, and the head model on the disk.

What pip and Python make on the box has no digest in the list; it is held against what they would make again.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import marshal
import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.config.schema import PublisherSettings
from edge.core import head_model
from edge.core.errors import DetectorError
from edge.technician.privacy import release
from edge.technician.privacy.finding import Section
from edge.technician.privacy.release import LIST, read_list

SIGNERS = Path("/etc/footfall/release-signers")
"""Whose signature this box takes: ssh's file of allowed signers, made at the first installation."""
IDENTITY, NAMESPACE = "footfall-release", "footfall-release"
_ANSWER_S = 20.0
_MADE_HERE = re.compile(r"(^|/)(__pycache__/|[^/]+\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)$)")
"""What pip and Python write beside what a package holds."""
_MOST_NAMED = 4
_BYTE_CODE_HEADER = 16
"""Bytes before the code: what it was made from, and by which Python."""
_STARTER = """
{imports}
from edge.__main__ import main
if __name__ == '__main__':
    sys.argv[0] = {name}
    sys.exit(main())
"""
_STARTERS = {
    ast.dump(ast.parse(_STARTER.format(imports=imports, name=name)))
    for imports, name in (
        ("import re\nimport sys", r"re.sub(r'(-script\.pyw|\.exe)?$', '', sys.argv[0])"),
        ("import sys", "sys.argv[0].removesuffix('.exe')"),
    )
}
"""What pip writes, after its first line, to start `footfall`; releases of pip differ."""
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
    packages, folder = release.PACKAGES, release.folder()
    found = dict(_digests(packages / "edge" if folder is None else packages))
    digest = hashlib.sha256("".join(f"{d}  {name}\n" for name, d in sorted(found.items())).encode()).hexdigest()
    section.tell("files, and the digest of all their digests", f"{len(found)}, sha256 {digest}")
    if folder is None:
        section.tell("signed list", "none: this runs from a folder of its own, and not from a release")
        return Programs(f"the programs in {packages} are of no release, and have the digest {digest}", section)
    name = folder.name
    section.tell("release", name)
    signed = _signed(folder)
    section.judge("signed list", signed or f"signed by a key in {SIGNERS}", good=not signed)
    differing = [*_differences(folder, found), *_unlike_pips(folder)]
    section.judge_none("files that differ from the list, or from what pip and Python make of it", differing)
    if signed or differing:
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


def _unlike_pips(folder: Path) -> list[str]:
    """
    Return what beside the packages' own files isn't as pip and Python make it.

    These have no digest in the list, as they are made on the box: the starter of `footfall`, the environment's
    settings, and the byte code, which Python runs instead of the file beside it.
    """
    return _first([*_foreign_starters(folder), *map(str, _foreign_byte_code(release.PACKAGES))])


def _foreign_starters(folder: Path) -> Iterator[str]:
    """Yield the starter and the settings of the environment in *folder* if they do more than pip and venv let them."""
    starter, settings = folder / "bin" / "footfall", folder / "pyvenv.cfg"
    try:
        first, _, rest = starter.read_text(encoding="utf-8").partition("\n")
        if first != f"#!{folder}/bin/python" or ast.dump(ast.parse(rest)) not in _STARTERS:
            yield str(starter)
        if "include-system-site-packages = false" not in settings.read_text(encoding="utf-8").splitlines():
            yield str(settings)
    except (OSError, ValueError, SyntaxError) as exc:
        yield f"{starter} ({exc})"


def _foreign_byte_code(folder: Path) -> Iterator[Path]:
    """Yield each file of byte code beneath *folder* that isn't what this Python makes of the file that it is for."""
    for path in sorted(folder.rglob("*")):
        if "__pycache__" not in path.parts or path.is_dir():
            continue
        try:
            source = Path(importlib.util.source_from_cache(str(path)))
            raw = source.read_bytes()
            with warnings.catch_warnings(action="ignore"):
                wanted = compile(raw, str(source), "exec", dont_inherit=True, optimize=_optimized(path))
            found = path.read_bytes()[_BYTE_CODE_HEADER:]
            # The same code is written in several ways; only root can write here, so that nobody else made it.
            same = marshal.dumps(wanted) == found or marshal.loads(found) == wanted  # noqa: S302
        except (OSError, ValueError, EOFError, TypeError, SyntaxError):
            same = False
        if not same:
            yield path


def _optimized(path: Path) -> int:
    """Return the level of optimisation that the name of a file of byte code tells."""
    level = path.name.rpartition(".opt-")[2].removesuffix(".pyc")
    return int(level) if level in ("1", "2") else 0


def _signed(folder: Path) -> str:
    """Return why the release's list isn't known to be signed; nothing if it is."""
    signature = folder / f"{LIST}.sig"
    if not signature.is_file() or not SIGNERS.is_file():
        return "NOT SIGNED, or this box knows no key; docs/operations.md says how to sign releases"
    program = shutil.which("ssh-keygen")
    if program is None:
        return "NOT CHECKED: ssh-keygen isn't installed"
    command = [program, "-Y", "verify", "-f", str(SIGNERS), "-I", IDENTITY, "-n", NAMESPACE, "-s", str(signature)]
    try:
        with (folder / LIST).open("rb") as listed:
            done = subprocess.run(command, stdin=listed, capture_output=True, check=False, timeout=_ANSWER_S)
    except (OSError, subprocess.TimeoutExpired) as exc:
        return f"NOT CHECKED: {exc}"
    return "" if done.returncode == 0 else "NO: the signature isn't by a key that this box knows"


def _differences(folder: Path, found: dict[str, str]) -> list[str]:
    """Return what of the files *found* isn't in the release's list of programs, and the other way round."""
    listed = read_list(folder / LIST)
    programs = folder / "programs"
    if not programs.is_file() or "programs" not in listed:
        return ["the release has no list of programs"]
    if hashlib.sha256(programs.read_bytes()).hexdigest() != listed["programs"]:
        return ["the list of programs itself"]
    wanted = read_list(programs)
    return _first(sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)))


def _first(names: Sequence[str]) -> list[str]:
    """Return the first few of *names*, and how many more there are."""
    more = [f"and {len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else []
    return [*names[:_MOST_NAMED], *more]


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
