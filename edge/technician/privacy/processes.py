"""Judges each process of ours: those that see, their helpers, and the one that talks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edge.technician.privacy import box, filtered, release, unit
from edge.technician.privacy.finding import Section, readable
from edge.technician.proc import OpenFile, Process

_ERROR = 2
_SYSTEM = ("/usr/lib", "/usr/bin", "/usr/local/lib", "/lib", "/lib64")
_ENVIRONMENT = (
    *("HOME", "LANG", "LC_", "LOGNAME", "PATH", "SHELL", "USER", "TZ", "INVOCATION_ID", "JOURNAL_STREAM"),
    *("NOTIFY_SOCKET", "WATCHDOG_", "SYSTEMD_EXEC_PID", "MEMORY_PRESSURE_", "CREDENTIALS_DIRECTORY", "STATE_DIRECTORY"),
)
"""Beginnings of the names that systemd gives a service of ours; none of them changes which code runs."""
_LARGE_PIPES = 1
"""Pipes to write to besides the one to the readiness helper: the diode."""


def vision(process: Process, talking: Sequence[Process]) -> Section:
    """Judge a process that sees; *talking* are those that have a network."""
    camera = process.arguments[process.arguments.index("vision") + 1 :][:1]
    section = Section(f"vision {' '.join(camera)} (process {process.pid})")
    with readable(section):
        if "--unsealed" in process.arguments:
            section.judge("sealed", "NO: it was started with --unsealed", good=False)
        if any(word.startswith("--window") for word in process.arguments):
            section.judge("window", "OPEN: a technician sees silhouettes now (footfall setup or audit)", good=False)
        strangers = [1, *(other.pid for other in talking), *([process.helper.pid] if process.helper else [])]
        shown = filtered.vision(section, process, strangers)
        _given_up(section, process)
        _memory(section, process)
        files = process.files
        section.judge_none("sockets", [file.name for file in files if file.kind == "socket"])
        standard = {file.name for file in files if file.number <= _ERROR}
        section.judge(
            "standard input, output and error", ", ".join(sorted(standard)) or "none", good=standard <= {"/dev/null"}
        )
        pipes = sum(file.kind == "pipe" and file.writable and file.number > _ERROR for file in files)
        most = _LARGE_PIPES + (process.helper is not None)
        words = {1: "1, the diode", 2: "2, the diode and one byte at a time to the readiness helper"}
        section.judge("pipes to write to", words.get(pipes, pipes) if pipes <= most else pipes, good=pipes <= most)
        written = [file for file in files if file.writable and file.kind in ("file", "disk")]
        section.judge_none("files open for writing", [file.name for file in written if file.number > _ERROR])
        section.judge_none("folders open", [file.name for file in files if file.kind == "folder"])
        _mounts(section, process, writes=shown.writes)
        _belongings(section, process, files)
        _code(section, process)
        unit.judge(section, process, "vision")
    return section


def readiness(process: Process) -> Section:
    """Judge the helper that tells systemd of a process that sees."""
    section = Section(f"readiness helper (process {process.pid})")
    with readable(section):
        filtered.helper(section, process)
        files = process.files
        section.judge_none("devices", [f.name for f in files if f.kind == "device" and f.name != os.devnull])
        sockets = [file.name for file in files if file.kind == "socket"]
        section.judge("sockets", ", ".join(sockets) or "none", good=sockets in ([], ["unix"]))
        section.judge_none(
            "files open for writing", [f.name for f in files if f.writable and f.kind in ("file", "disk")]
        )
    return section


def camera_helper(process: Process) -> Section:
    """Judge a child of vision: rpicam-vid, which sees and was started before sealing."""
    section = Section(f"helper {Path(process.arguments[0] if process.arguments else '?').name} (process {process.pid})")
    with readable(section):
        files = process.files
        sockets = [file.name for file in files if file.kind == "socket" and file.name not in ("unix", "netlink")]
        section.judge_none("network sockets", sockets)
        held = [file.name for file in files if file.writable and file.kind in ("file", "disk")]
        section.judge_none("files open for writing", [n for n in held if not n.startswith(("/memfd:", "/dmabuf:"))])
        _belongings(section, process, files)
        section.tell("sealed from the inside", "no; its systemd unit holds it")
    return section


def publisher(process: Process) -> Section:
    """Judge the process that talks."""
    section = Section(f"publisher (process {process.pid})")
    with readable(section):
        filtered.publisher(section, process)
        section.judge_none("cameras in its /dev", box.cameras_beneath(process.folder / "root" / "dev"))
        files = process.files
        sockets = sorted({file.name for file in files if file.kind == "socket"} - {"unix"})
        section.judge_none(
            "lets others connect", [name for name in sockets if name.endswith("listening")], otherwise="no"
        )
        section.tell("connections", ", ".join(sockets) or "none now")
        held = sorted({file.name for file in files if file.writable and file.kind == "file"})
        section.tell("files open for writing", ", ".join(held) or "none")
        section.tell("file systems mounted to be written to", ", ".join(process.writable_mounts) or "none")
        _belongings(section, process, files)
        _code(section, process)
        unit.judge(section, process, "publisher")
    return section


def _given_up(section: Section, process: Process) -> None:
    """Judge what the process has given up, in each of its threads."""
    threads = process.threads
    section.tell("threads", len(threads))
    bound = all(thread["NoNewPrivs"] == "1" for thread in threads)
    section.judge("can gain rights", "never (no_new_privs)" if bound else "YES", good=bound)
    rights = {thread[kind] for thread in threads for kind in ("CapEff", "CapPrm")}
    none = all(int(mask, 16) == 0 for mask in rights)
    section.judge("capabilities", "none" if none else ", ".join(sorted(rights)), good=none)
    dumpable = process.dumpable
    if dumpable is None:
        section.tell("others of its user may look into it", "the kernel doesn't tell of root's processes")
    else:
        found = "YES" if dumpable else "no (not dumpable)"
        section.judge("others of its user may look into it", found, good=not dumpable)


def _memory(section: Section, process: Process) -> None:
    """Judge whether a picture could get from memory to a disk."""
    most = process.limit("Max file size")
    section.judge("bytes it may write to any file", most, good=most == "0")
    core = process.limit("Max core file size")
    section.judge("core dump, bytes", core, good=core == "0")
    swapped = process.status.get("VmSwap", "0 kB")
    section.judge("memory in swap", swapped, good=swapped.startswith("0 "))


def _mounts(section: Section, process: Process, *, writes: bool) -> None:
    """Judge where the process could write, and whether somebody else hears the names that it looks up."""
    remote = [f"{mount.point} ({mount.kind})" for mount in process.mounts if mount.remote]
    section.judge_none("network and FUSE file systems it can see", remote)
    writable = process.writable_mounts
    what = "file systems mounted to be written to"
    if writes:
        section.judge_none(what, writable)
    else:
        section.tell(what, f"{', '.join(writable) or 'none'}; its filters let it open nothing for writing")


def _code(section: Section, process: Process) -> None:
    """Judge where the code of a service comes from, and what its environment could have changed in it."""
    if process.unit is None:
        return
    here = release.folder()
    names = [str(here) if here is not None else str(release.PACKAGES), *_SYSTEM]
    foreign = sorted({name for name in process.executable_files if not name.startswith(tuple(f"{n}/" for n in names))})
    section.judge_none("code from elsewhere than this release and the system", foreign)
    unknown = sorted(name for name in process.environment if not name.startswith(_ENVIRONMENT))
    section.judge_none("environment beside what systemd sets", unknown)


def _belongings(section: Section, process: Process, files: Sequence[OpenFile]) -> None:
    """Tell what else a process has."""
    section.tell("devices", ", ".join(sorted({file.name for file in files if file.kind == "device"})) or "none")
    pipes = sum(file.kind == "pipe" for file in files)
    section.tell("open", f"{len(files)} descriptors, {pipes} of them pipes")
    section.tell("user", process.user)
    own = [kind for kind, shared in process.namespaces.items() if not shared]
    section.tell("namespaces of its own", ", ".join(own) or "none")
