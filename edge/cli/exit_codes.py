"""What each exit code means, once: each command's help names its own, and `footfall help exit-codes` shows all."""

from __future__ import annotations

from collections.abc import Mapping

EXIT_CODES: Mapping[int, str] = {
    0: "done, or stopped as asked",
    1: "it ran, and the result is not good; the last lines say what",
    2: "the command line can't be understood",
    65: "a clip ends before its time: frames are missing, and what is there was counted",
    69: "a package or program that this command needs isn't installed, or another collector has the same name",
    74: "a camera, the ledger, the store or an output can't be opened, read or written",
    75: "it may work later: the broker can't be reached, or a new process must read the config",
    76: "the diode isn't there, or what came through it can't be true",
    77: "the process could not be sealed",
    78: "the config, an option, the head model, a password or a key can't be used; or a clip's times can't be known",
    130: "ended with Ctrl-C",
}
"""Code: what it means. A command whose code means something more exact says so in its own help."""
