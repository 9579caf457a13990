"""Judges the system call filters that the kernel has loaded for each thread of a process."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.core.errors import SealError
from edge.sandbox import filters, must_refuse, seccomp
from edge.sandbox.filters import Program
from edge.technician.privacy.finding import Section
from edge.technician.proc import Process

_WHAT = "system calls refused (the loaded filters, followed)"
_MOST_NAMED = 6
_UNKNOWN = {
    errno.EPERM: "NOT SHOWN: reading the loaded filters needs root, outside a container; run it with sudo",
    errno.EACCES: "NOT SHOWN: reading the loaded filters needs root; run it with sudo",
    errno.EIO: "NOT SHOWN: this kernel can't show loaded filters (CONFIG_CHECKPOINT_RESTORE)",
    errno.EINVAL: "NOT SHOWN: this kernel can't show loaded filters (CONFIG_CHECKPOINT_RESTORE)",
}
_OPENING = "opening to change it"


@dataclass(frozen=True, slots=True)
class Filtered:
    """
    What the filters of a process show.

    Attributes:
        writes: Whether an existing file or device may be opened for reading and writing, as a camera has to be.
    """

    writes: bool


def vision(section: Section, process: Process, strangers: Sequence[int]) -> Filtered:
    """Judge the filters of a process that sees; *strangers* are processes that it must not signal."""
    open_ = _judge(
        section, process, lambda programs: must_refuse.vision(programs, camera=False, strangers=strangers), {_OPENING}
    )
    return Filtered(writes=open_ is None or _OPENING in open_)


def publisher(section: Section, process: Process) -> None:
    """Judge the filters of a process that talks."""
    _judge(section, process, must_refuse.publisher)


def helper(section: Section, process: Process) -> None:
    """Judge the filters of the helper that tells systemd."""
    _judge(section, process, must_refuse.helper)


def _judge(
    section: Section,
    process: Process,
    unrefused: Callable[[Sequence[Program]], list[str]],
    known: frozenset[str] | set[str] = frozenset(),
) -> set[str] | None:
    """Judge each thread's filters; return what they don't refuse, or None where they can't be read."""
    try:
        seccomp.load_library()
        threads = {tuple(filters.loaded(int(thread["Pid"]))) for thread in process.threads}
    except (OSError, SealError) as exc:
        section.judge(_WHAT, _why_unknown(process, exc), good=False)
        return None
    found = dict.fromkeys(name for programs in threads for name in unrefused(programs))
    wrong = [name for name in found if name not in known]
    if wrong:
        more = f" and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
        said = f"NO, these are not shown to be refused: {'; '.join(wrong[:_MOST_NAMED])}{more}"
    else:
        said = f"everything that must be, on every path through {max(map(len, threads))} filters in each thread"
    section.judge(_WHAT, said, good=not wrong)
    return set(found)


def _why_unknown(process: Process, exc: OSError | SealError) -> str:
    """Return why filters weren't read. The kernel lets one process at a time look into another, whoever runs it."""
    if tracers := sorted({int(thread["TracerPid"]) for thread in process.threads} - {0}):
        return (
            f"NOT SHOWN: traced by process {', '.join(map(str, tracers))}, as by strace or a debugger, which can read "
            "its memory, pictures too; end that and look again"
        )
    return _UNKNOWN.get((exc.errno or 0) if isinstance(exc, OSError) else 0, f"NOT SHOWN: {exc}")
