"""
`footfall privacy`: what a sceptic can check on the box in a minute, and one verdict.

It vouches for nothing that the kernel doesn't say: not for what a config promises, nor for what a process says of
itself. What can't be read counts against the verdict.
"""

from __future__ import annotations

import contextlib
import html
import re
import socket
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from edge import __version__
from edge.config import schema
from edge.config.schema import PublisherSettings
from edge.core import head_model
from edge.core.clock import KernelClock
from edge.core.errors import ConfigError, DetectorError
from edge.publisher.message import hour_topic, status_topic
from edge.technician.proc import OpenFile, Process, running, unit_properties

_DAY_MS = 86_400_000

_CELLS = {
    "vision": {
        "PrivateNetwork": "yes",
        "DevicePolicy": "closed",
        "ProtectSystem": "strict",
        "ReadWritePaths": "",
        "StateDirectory": "",
        "MemorySwapMax": "0",
    },
    "publisher": {"PrivateDevices": "yes", "DevicePolicy": "closed", "ProtectSystem": "strict", "ReadWritePaths": ""},
}
"""What systemd must say of our units, where it runs them."""

_ERROR = 2
_CAMERA = re.compile(r"/dev/(video|media|v4l|vchiq|dma_heap)")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, what was found, and whether that is as it must be; None tells without judging."""

    what: str
    found: str
    good: bool | None = None


@dataclass(slots=True)
class Section:
    """A process, or what has left the box, or what the model gives."""

    title: str
    findings: list[Finding] = field(default_factory=list)

    def tell(self, what: str, found: object) -> None:
        """Add a finding that isn't judged."""
        self.findings.append(Finding(what, str(found)))

    def judge(self, what: str, found: object, *, good: bool) -> None:
        """Add a finding that counts for the verdict."""
        self.findings.append(Finding(what, str(found), good))


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that was found, when, and where."""

    box: str
    at: datetime
    sections: Sequence[Section]

    @property
    def faults(self) -> list[str]:
        """What speaks against the promise."""
        return [
            f"{section.title}: {finding.what}: {finding.found}"
            for section in self.sections
            for finding in section.findings
            if finding.good is False
        ]

    @property
    def verdict(self) -> str:
        """One sentence."""
        if not self.faults:
            return "Pictures can't leave: each process that sees is sealed, and the process that talks sees nothing."
        more = f", and {len(self.faults) - 1} more" if len(self.faults) > 1 else ""
        return f"NOT SHOWN that pictures can't leave: {self.faults[0]}{more}"


def run(path: Path, report: Path | None = None) -> int:
    """
    Examine the box and print what was found; return 0 if all is as it must be, else 1.

    Args:
        path: The config file.
        report: Where to write the same as a page that needs nothing else.

    Raises:
        ConfigError: the config can't be used, or the report can't be written.
    """
    examination = examine(schema.load(path).publisher())
    _show(examination)
    if report is not None:
        try:
            report.write_text(page(examination), encoding="utf-8")
        except OSError as exc:
            raise ConfigError("--report", [f"--report {report}: can't be written: {exc.strerror}"]) from exc
    return 1 if examination.faults else 0


def examine(settings: PublisherSettings) -> Examination:
    """Look at each running process, the ledger and the model."""
    now_ms = KernelClock().wall_ms()
    seeing, talking = running("vision"), running("publisher")
    sections = [_vision(process) for process in seeing]
    sections += [_helper(child) for process in seeing for child in process.children]
    sections += [_publisher(process) for process in talking]
    if not seeing:
        idle = Section("vision")
        idle.judge("running", "no process sees now, so that there is none to look at", good=False)
        sections.insert(0, idle)
    sections += [_left(settings, now_ms), _model(settings)]
    return Examination(socket.gethostname(), datetime.fromtimestamp(now_ms / 1000, UTC), sections)


def _vision(process: Process) -> Section:
    """Judge a process that sees."""
    camera = process.arguments[process.arguments.index("vision") + 1 :][:1]
    section = Section(f"vision {' '.join(camera)} (process {process.pid})")
    with _readable(section):
        if "--unsealed" in process.arguments:
            section.judge("sealed", "NO: it was started with --unsealed", good=False)
        if any(word.startswith("--window") for word in process.arguments):
            section.judge("window", "OPEN: a technician sees silhouettes now (footfall setup or audit)", good=False)
        _seal(section, process)
        _memory(section, process)
        files = process.files
        sockets = [file.name for file in files if file.kind == "socket"]
        foreign = [name for name in sockets if name != "unix"]
        section.judge("sockets", ", ".join(foreign or sockets) or "none", good=not foreign)
        standard = {file.name for file in files if file.number <= _ERROR}
        section.judge(
            "standard input, output and error", ", ".join(sorted(standard)) or "none", good=standard <= {"/dev/null"}
        )
        pipes = sum(file.kind == "pipe" and file.writable and file.number > _ERROR for file in files)
        section.judge("pipes to write to", f"{pipes}, the diode" if pipes == 1 else pipes, good=pipes <= 1)
        written = [file for file in files if file.writable and file.kind in ("file", "disk")]
        held = [file.name for file in written if file.number > _ERROR]
        section.judge("files open for writing", ", ".join(held) or "none", good=not held)
        section.tell("file systems mounted to be written to", ", ".join(process.writable_mounts) or "none")
        _belongings(section, process, files)
        _cell(section, process, "vision")
    return section


def _seal(section: Section, process: Process) -> None:
    """Judge what the process has given up, in each of its threads."""
    threads = process.threads
    section.tell("threads", len(threads))
    filters = [thread.get("Seccomp_filters", "2" if thread["Seccomp"] == "2" else "0") for thread in threads]
    filtered = all(thread["Seccomp"] == "2" for thread in threads) and all(int(count) > 1 for count in filters)
    section.judge(
        "system calls filtered (seccomp)",
        f"in each thread, by {min(filters, key=int)} filters" if filtered else "NO, or not by both of its own",
        good=filtered,
    )
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


def _helper(process: Process) -> Section:
    """Judge a child of vision: rpicam-vid, which sees and was started before sealing."""
    section = Section(f"helper {Path(process.arguments[0] if process.arguments else '?').name} (process {process.pid})")
    with _readable(section):
        files = process.files
        sockets = [file.name for file in files if file.kind == "socket" and file.name not in ("unix", "netlink")]
        section.judge("network sockets", ", ".join(sockets) or "none", good=not sockets)
        held = [file.name for file in files if file.writable and file.kind in ("file", "disk")]
        held = [name for name in held if not name.startswith(("/memfd:", "/dmabuf:"))]
        section.judge("files open for writing", ", ".join(held) or "none", good=not held)
        _belongings(section, process, files)
        section.tell("sealed from the inside", "no; its systemd unit holds it")
    return section


def _publisher(process: Process) -> Section:
    """Judge the process that talks."""
    section = Section(f"publisher (process {process.pid})")
    with _readable(section):
        files = process.files
        cameras = [file.name for file in files if file.kind == "device" and _CAMERA.match(file.name)]
        section.judge("cameras", ", ".join(cameras) or "none", good=not cameras)
        sockets = sorted({file.name for file in files if file.kind == "socket"} - {"unix"})
        listening = [name for name in sockets if name.endswith("listening")]
        section.judge("lets others connect", ", ".join(listening) or "no", good=not listening)
        section.tell("connections", ", ".join(sockets) or "none now")
        held = sorted({file.name for file in files if file.writable and file.kind == "file"})
        section.tell("files open for writing", ", ".join(held) or "none")
        section.tell("file systems mounted to be written to", ", ".join(process.writable_mounts) or "none")
        _belongings(section, process, files)
        _cell(section, process, "publisher")
    return section


def _belongings(section: Section, process: Process, files: Sequence[OpenFile]) -> None:
    """Tell what else a process has."""
    section.tell("devices", ", ".join(sorted({file.name for file in files if file.kind == "device"})) or "none")
    pipes = sum(file.kind == "pipe" for file in files)
    section.tell("open", f"{len(files)} descriptors, {pipes} of them pipes")
    section.tell("user", process.user)
    own = [kind for kind, shared in process.namespaces.items() if not shared]
    section.tell("namespaces of its own", ", ".join(own) or "none")


def _cell(section: Section, process: Process, role: str) -> None:
    """Judge what systemd holds the process to, where it runs it."""
    unit = process.unit
    if unit is None:
        section.tell("systemd unit", "none: a trial")
        return
    wanted = _CELLS[role]
    for name, found in unit_properties(unit, wanted).items():
        section.judge(f"{unit} {name}", found or "none", good=found == wanted[name])


@contextlib.contextmanager
def _readable(section: Section) -> Iterator[None]:
    """Turn what may not be read, or has ended, into a finding."""
    try:
        yield
    except PermissionError:
        section.judge("everything else", "this user may not look; run it with sudo", good=False)
    except (FileNotFoundError, ProcessLookupError):
        section.judge("everything else", "it ended while it was looked at; run this again", good=False)


def _left(settings: PublisherSettings, now_ms: int) -> Section:
    """Tell what the ledger says has left the box."""
    section = Section("what left this box in the last 24 hours")
    query = (
        "SELECT camera, delivered_ms, payload FROM hours WHERE delivered_ms IS NOT NULL"
        " AND delivered_ms > max(?, (SELECT max(delivered_ms) FROM hours)) - 86400000 ORDER BY delivered_ms, start_ms"
    )
    try:
        with contextlib.closing(sqlite3.connect(f"{settings.ledger.absolute().as_uri()}?mode=ro", uri=True)) as ledger:
            rows = ledger.execute(query, (now_ms,)).fetchall()
            waiting = ledger.execute("SELECT count(*) FROM hours WHERE delivered_ms IS NULL").fetchone()[0]
    except sqlite3.Error as exc:
        section.tell("ledger", f"{settings.ledger} can't be read ({exc})")
        return section
    topics: dict[str, list[int]] = {}
    for camera, _, payload in rows:
        topics.setdefault(hour_topic(settings.site, camera), []).append(len(payload))
    for topic, sizes in topics.items():
        section.tell(topic, f"{len(sizes)} messages, {sum(sizes)} bytes")
    for camera in settings.cameras:
        section.tell(status_topic(settings.site, camera.name), "the words online and offline")
    section.tell("waiting to be sent", f"{waiting} messages")
    if rows:
        _, delivered_ms, payload = rows[-1]
        at = datetime.fromtimestamp(delivered_ms / 1000, UTC)
        section.tell("acknowledged last", f"{at:%Y-%m-%d %H:%M:%S} UTC, {len(payload)} bytes, whole:")
        section.tell("", payload.decode())
    return section


def _model(settings: PublisherSettings) -> Section:
    """Tell what the head model gives, as its contract says and vision holds it to."""
    section = Section("what the head model gives")
    try:
        contract = head_model.read(settings.model)
    except DetectorError as exc:
        section.judge("contract", exc, good=False)
        return section
    meanings = {
        "score": "how likely a head is here",
        "logit": "how likely a head is here",
        "size": "how large it is",
        "offset": "where in its cell its centre lies",
    }
    section.tell("model", f"{contract.identity}, sha256 {contract.sha256}")
    for name, shape in contract.channels.items():
        known = name in meanings
        found = f"{' x '.join(map(str, shape))} numbers: {meanings.get(name, 'NOT KNOWN to this program')}"
        section.judge(name, found, good=known)
    section.tell("of a person", "nothing: no face, no feature, nothing that tells one from another")
    return section


# --- showing it ------------------------------------------------------------------------------------------------------

_MARKS: Mapping[bool | None, tuple[str, str]] = {True: ("ok", "green"), False: ("NO", "bold red"), None: ("  ", "dim")}


def _show(examination: Examination) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for section in examination.sections:
        console.print(Text(section.title, "bold"))
        for finding in section.findings:
            mark, style = _MARKS[finding.good]
            what = f"{finding.what}: " if finding.what else ""
            found = (finding.found, style if finding.good is False else "")
            console.print(Text.assemble("  ", (mark, style), "  ", (what, "dim"), found))
    console.print(Text(examination.verdict, "bold red" if examination.faults else "bold green"))


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h2 { font-size: 1.1rem; margin-top: 2rem; } table { border-collapse: collapse; width: 100%; }
td { border-top: 1px solid #ddd; padding: .3rem .6rem; vertical-align: top; overflow-wrap: anywhere; }
td:first-child { width: 2rem; font-weight: bold; } td:nth-child(2) { width: 18rem; color: #555; }
.ok { color: #137333; } .NO { color: #c5221f; font-weight: bold; }
.verdict { padding: 1rem; font-weight: bold; color: #fff; background: #137333; } .verdict.NO { background: #c5221f; }
"""


def page(examination: Examination) -> str:
    """Return the examination as one HTML page that loads nothing."""
    escape = html.escape
    verdict = f'<p class="verdict {"NO" if examination.faults else "ok"}">{escape(examination.verdict)}</p>'
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>Privacy of {escape(examination.box)}</title><style>{_STYLE}</style>",
        f"<h1>What {escape(examination.box)} can do with pictures</h1>",
        f"<p>Read from its kernel on {examination.at:%Y-%m-%d at %H:%M:%S} UTC by footfall-edge {__version__}.</p>",
        verdict,
    ]
    for section in examination.sections:
        rows = "".join(
            f'<tr><td class="{(mark := _MARKS[finding.good][0].strip())}">{mark}</td>'
            f"<td>{escape(finding.what)}</td><td>{escape(finding.found)}</td></tr>"
            for finding in section.findings
        )
        parts.append(f"<h2>{escape(section.title)}</h2><table>{rows}</table>")
    return "\n".join(parts) + "\n</html>\n"
