"""
One examination of the box: each running process, the box, the ledger, the programs and the model; and one verdict.

It vouches for nothing that the kernel doesn't say: not for what a config promises, nor for what a process says of
itself. What can't be read counts against the verdict. What it rests on itself, the kernel, root and this program, the
verdict names.
"""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path

from edge.config import schema
from edge.config.schema import PublisherSettings
from edge.core.clock import KernelClock
from edge.core.errors import ConfigError
from edge.technician.privacy import box, left, processes, programs
from edge.technician.privacy.finding import Examination, Section
from edge.technician.privacy.page import page
from edge.technician.privacy.show import show
from edge.technician.proc import running


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
    show(examination)
    if report is not None:
        try:
            report.write_text(page(examination), encoding="utf-8")
        except OSError as exc:
            raise ConfigError("--report", [f"--report {report}: can't be written: {exc.strerror}"]) from exc
    return 1 if examination.faults else 0


def examine(settings: PublisherSettings) -> Examination:
    """Look at each running process, the box, the ledger, the programs and the model."""
    now_ms = KernelClock().wall_ms()
    seeing, talking = running("vision"), running("publisher")
    sections = [processes.vision(process, talking) for process in seeing]
    sections += [processes.readiness(process.helper) for process in seeing if process.helper is not None]
    helpers = [child for process in seeing for child in process.children]
    sections += [processes.camera_helper(child) for child in helpers]
    sections += [processes.publisher(process) for process in talking]
    if not seeing:
        idle = Section("vision")
        idle.judge("running", "no process sees now, so that there is none to look at", good=False)
        sections.insert(0, idle)
    sections.append(box.judge({process.pid for process in (*seeing, *helpers)}))
    sections.append(left.tell(settings, now_ms))
    found = programs.examine()
    sections += [found.section, programs.model(settings)]
    return Examination(socket.gethostname(), datetime.fromtimestamp(now_ms / 1000, UTC), sections, found.known)
