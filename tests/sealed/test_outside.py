"""Both real processes on a marked clip, looked at from outside: what they asked of the kernel, sent and left behind."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from tests.sealed import outside
from tests.sealed.outside import Call, Trial

pytestmark = [
    pytest.mark.processes,
    pytest.mark.host,
    pytest.mark.skipif(bool(outside.missing()), reason=outside.missing()),
]

SCHEMA = json.loads((outside.REPOSITORY / "docs" / "hour.schema.json").read_text(encoding="utf-8"))

NEVER = {
    *("socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "sendmsg", "sendmmsg", "recvmsg"),
    *(
        "execve",
        "execveat",
        "fork",
        "vfork",
        "creat",
        "truncate",
        "ftruncate",
        "fallocate",
        "mknod",
        "mknodat",
        "mkdir",
    ),
    *("mkdirat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat"),
    *("chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat", "utimensat", "setxattr", "fsetxattr", "mount"),
    *("memfd_create", "io_uring_setup", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_open", "pidfd_getfd"),
    *("splice", "sendfile", "copy_file_range", "unshare", "setns", "bpf", "keyctl", "add_key", "flock", "shmget"),
    *("msgget", "semget", "openat2", "clone3", "chdir", "umount2", "pivot_root", "chroot"),
}
"""What a sealed process never does, by name; what it opens and writes to is looked at more closely."""


@pytest.fixture(name="trial", scope="module")
def _trial() -> Iterator[Trial]:
    """Run it once; each test looks at something else."""
    with tempfile.TemporaryDirectory(prefix="footfall-outside-") as name:
        yield outside.run(Path(name))


def done(calls: list[Call]) -> list[Call]:
    """Return what was not refused."""
    return [call for call in calls if call.result >= 0]


def test_nothing_is_done_after_sealing(trial: Trial) -> None:
    """After sealing no socket, connection, program, process or file is made by vision, in any of its threads."""
    after = trial.after_sealing()

    assert [call for call in done(after) if call.name in NEVER] == []
    assert [call for call in done(after) if call.name == "clone" and "CLONE_THREAD" not in call.arguments] == []
    assert sum(call.result < 0 for call in after) > 100, "the process didn't try"


def test_nothing_is_opened_for_writing_after_sealing(trial: Trial) -> None:
    """After sealing vision opens files to read them, and no other way."""
    opened = [call for call in done(trial.after_sealing()) if call.name in ("open", "openat")]

    assert [call for call in opened if not re.search(r"O_RDONLY", call.arguments)] == []
    assert [call for call in opened if re.search(r"O_CREAT|O_TRUNC|O_TMPFILE", call.arguments)] == []


def test_only_tallies_are_written_after_sealing(trial: Trial) -> None:
    """
    After sealing vision writes 48 bytes at a time to the diode, and to /dev/null, and sends nothing.

    One byte at a time goes to the process that tells how it is.
    """
    writing = ("write", "writev", "pwrite64", "pwritev", "sendto")
    before = done(trial.calls(trial.vision))
    after = done(trial.after_sealing())
    nowhere = [call.result for call in before if call.name == "openat" and '"/dev/null", O_RDWR' in call.arguments]
    replaced = [
        index for index, call in enumerate(after) if call.arguments in {f"{nowhere[-1]}, {n}" for n in range(3)}
    ]
    # What it says last, that it is sealed, comes before that.
    written = [call for call in after[replaced[-1] :] if call.name in writing]
    tallies = [call for call in written if call.arguments.partition(",")[0] not in ("0", "1", "2")]

    assert [after[index].name for index in replaced] == ["dup2"] * 3
    sizes = {
        length: {call.arguments.partition(",")[0] for call in tallies if call.result == length} for length in (1, 48)
    }
    assert {(call.name, call.result) for call in tallies} == {("write", 1), ("write", 48)}
    assert [len(descriptors) for descriptors in sizes.values()] == [1, 1]
    assert sizes[1] != sizes[48]
    assert sum(call.result == 48 for call in tallies) >= 10


def test_a_clip_is_read_by_a_sealed_process_alone(trial: Trial) -> None:
    """Not a byte of the clip is parsed before the filters are loaded: its header, too, may be a stranger's."""
    calls, after = trial.calls(trial.vision), done(trial.after_sealing())
    before = done(calls[: len(calls) - len(trial.after_sealing())])

    assert [call for call in before if call.name in ("open", "openat") and "door.mp4" in call.arguments] == []
    assert [call for call in after if call.name in ("open", "openat") and "door.mp4" in call.arguments]


def test_the_trace_sees_what_is_done(trial: Trial) -> None:
    """The trace isn't blind: it shows what vision did before it was sealed, and what the publisher does."""
    calls = trial.calls(trial.vision)
    before = calls[: len(calls) - len(trial.after_sealing())]
    publisher = done(trial.calls(trial.publisher))

    assert any(call.name == "openat" and "head.tflite" in call.arguments for call in done(before))
    assert any(call.name == "openat" and "O_RDWR" in call.arguments for call in done(before))
    assert {"socket", "openat", "sendto"} <= {call.name for call in publisher}
    assert any("O_RDWR|O_CREAT" in call.arguments and "ledger" in call.arguments for call in publisher)


def test_the_wire_holds_mqtt_to_the_broker(trial: Trial) -> None:
    """Every frame on the box's network is MQTT between it and the broker, and the box only publishes."""
    foreign, messages = outside.published(trial.frames())

    assert foreign == []
    assert len(messages) >= 3


def test_every_payload_is_as_the_contract_says(trial: Trial) -> None:
    """Each payload on the wire is an hour by the JSON Schema, or the word online or offline; all else is nothing."""
    _, messages = outside.published(trial.frames())
    hours = [json.loads(payload) for topic, payload in messages if topic == "footfall/v1/sh-023/door/hour"]
    states = {payload for topic, payload in messages if topic == "footfall/v1/sh-023/door/status"}

    for hour in hours:
        jsonschema.validate(hour, SCHEMA, format_checker=jsonschema.FormatChecker())
    assert len(hours) >= 2
    assert states == {b"online", b"offline"}
    assert {topic.rpartition("/")[2] for topic, _ in messages} == {"hour", "status"}
    assert max(hour["watched_s"] for hour in hours) > 0, "nothing was looked at"


def test_no_file_holds_a_picture(trial: Trial) -> None:
    """No file that was opened for writing by any process of the trial, the ledger among them, holds the picture."""
    # The capture and the log are looked at by themselves.
    written = [path for path in trial.written() if path.name not in ("frames", "log", "heard")]

    assert [path for path in written if trial.mark.found_in_file(path)] == []
    assert trial.folder / "state" / "ledger.sqlite" in written
    assert trial.mark.found_in_file(trial.folder / "door.mp4"), "the search is blind"


def test_no_log_holds_a_picture(trial: Trial) -> None:
    """Neither the trial's log, nor the wire, nor what headquarters heard holds the marked picture."""
    assert not trial.mark.found_in(trial.log)
    assert not trial.mark.found_in(b"".join(trial.frames()))
    assert not trial.mark.found_in("\n".join(trial.heard).encode())
    assert b"from here on it has no log" in trial.log


def test_memory(trial: Trial) -> None:
    """Nobody but root may look into either process; root finds the picture in vision's memory alone."""
    assert trial.looked_as_nobody == ["PermissionError", "PermissionError"]
    assert trial.mark.found_in(trial.memory_of_vision, depth=0)
    assert not trial.mark.found_in(trial.memory_of_publisher, depth=1)
    assert len(trial.memory_of_publisher) > 5_000_000
