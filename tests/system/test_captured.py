"""
Both processes captured, under their real units on a real systemd: everything is tried from inside, and looked for from
outside. And what `footfall privacy` says of units and programs that were changed. Goes on with the box of test_box.py.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system import captured
from tests.system.boxes import wait_until
from tests.system.shop import Shop, needed

pytestmark = needed

HERE = Path(__file__).parent
VISION, PUBLISHER = "footfall-vision@door", "footfall-publisher"
REFUSALS = {"EPERM", "EACCES", "ENOSYS", "EROFS", "ENOENT", "ENXIO", "ENODEV", "ESRCH", "no answer"}
TAKEN = {
    "vision/seal.py": "watch_descriptors",
    "vision/pipeline.py": "take_vision",
    "publisher/sandbox.py": "take_publisher",
}
"""Which module of the release is taken over by what."""
REPORT = f"[Service]\nBindPaths={captured.REPORTS}\n"
MARK = "fe504943545552452d4f462d412d435553544f4d4552fd"
"""The captured process's mark, in hexadecimal."""


def packages(shop: Shop) -> Path:
    """Return where the release that runs has its packages, as this machine sees them."""
    release = shop.box.root / "opt/footfall/releases" / shop.release()
    return next(release.glob("lib/python3.*/site-packages"))


@contextlib.contextmanager
def changed(shop: Shop, *files: tuple[Path, str]) -> Iterator[None]:
    """Have each file of the box say something else meanwhile; what isn't there is made."""
    before = {path: path.read_text() if path.exists() else None for path, _ in files}
    try:
        for path, text in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        shop.box.ssh("systemctl daemon-reload")
        yield
    finally:
        for path, old in before.items():
            path.unlink() if old is None else path.write_text(old)
        shop.box.ssh("systemctl daemon-reload")


@pytest.fixture(name="served")
def _served(counting: Shop) -> Iterator[Callable[[str], None]]:
    """Return what mounts a file system on the box whose server notes, in /root/heard, each name that is looked up."""
    mounted: list[str] = []
    counting.box.ssh("test -e /dev/fuse || mknod /dev/fuse c 10 229")
    shutil.copy(HERE.parent / "vision/fuse_server.py", counting.box.root / "root/fuse_server.py")

    def serve(place: str) -> None:
        counting.box.ssh(
            f"mkdir -p {place} && systemd-run --quiet --collect python3 /root/fuse_server.py {place} /root/heard"
        )
        mounted.append(place)
        wait_until(lambda: f" {place} fuse" in counting.box.ssh("cat /proc/mounts").stdout, "the mount", 60)

    yield serve
    for place in mounted:
        counting.box.ssh(f"umount -l {place}", check=False)  # a test may have done it


def told(shop: Shop, role: str) -> Any:
    """Return what a captured process has said."""
    script = f"""
import os, select
pipe, heard = os.open("{captured.REPORTS}/{role}", os.O_RDONLY | os.O_NONBLOCK), b""
while not heard.endswith(b"\\n") and select.select([pipe], [], [], 120)[0]:
    heard += os.read(pipe, 65536)
print(heard.decode())
"""
    shop.box.write("/root/hear.py", script)
    return json.loads(shop.box.ssh("python3 /root/hear.py").stdout)


@pytest.fixture(name="taken")
def _taken(counting: Shop, served: Callable[[str], None]) -> dict[str, Any]:
    """Capture both processes; give what each said, and what the journal held of it."""
    box = counting.box
    served(captured.SERVED)
    box.ssh(f"mkdir -p {captured.REPORTS} && cd {captured.REPORTS} && mkfifo -m 666 vision publisher")
    victim, seeing = (box.ssh(f"systemctl show -P MainPID {unit}").stdout for unit in (PUBLISHER, VISION))
    box.ssh(f"echo {victim.strip()} >{captured.REPORTS}/victim; echo {seeing.strip()} >{captured.REPORTS}/seeing")
    folder = packages(counting)
    files = [
        (folder / "captured.py", (HERE / "captured.py").read_text()),
        (folder / "hostile.py", (HERE.parent / "sealed/hostile.py").read_text()),
    ]
    for name, what in TAKEN.items():
        module = folder / "edge" / name
        files.append((module, f"{module.read_text()}\n\nimport captured\n\ncaptured.{what}(globals())\n"))
    units = box.root / "etc/systemd/system"
    files += [(units / f"{unit}.service.d/report.conf", REPORT) for unit in ("footfall-vision@", PUBLISHER)]
    since = box.ssh("date +%s").stdout.strip()
    box.ssh("truncate -s 0 /root/heard")
    with changed(counting, *files):
        box.ssh(f"systemctl restart {PUBLISHER} {VISION}")
        found = {role: told(counting, role) for role in captured.ROLES}
        found["heard"] = box.ssh("cat /root/heard").stdout
        # Not all of `systemctl status`: it shows the command line, too, over which the process has written.
        found["status"] = "".join(counting.told(VISION, "StatusText"))
        found["deaf"] = box.ssh(f"stat {captured.SERVED}/DEAF; cat /root/heard", check=False).stdout
        journal = f"journalctl --no-pager -o export --since @{since}"
        found["journal"] = box.ssh(f"journalctl --sync; {journal} | LC_ALL=C tr -cd '\\11\\12\\40-\\176'").stdout
        found["log"] = box.ssh(f"journalctl --no-pager -o cat --since @{since} UNIT={VISION}.service _PID=1").stdout
    box.ssh(f"systemctl restart {PUBLISHER} {VISION}; rm -r {captured.REPORTS}")
    counting.counting()
    return found


def test_both_captured_under_their_units(counting: Shop, taken: dict[str, Any]) -> None:
    """
    Nothing that a captured vision tries leads out, by any of some fifty ways; a captured publisher hears nothing of it
    and sees no camera; and nothing of the picture stands in the journal, the status or at a file server.
    """
    vision, publisher = taken["vision"], taken["publisher"]
    bounded = {name: vision.pop(name) for name in ("the log", "the trace of reading", "its command line", "the status")}
    seen = vision.pop("seen"), publisher.pop("seen")
    print(json.dumps({"journal": vision.pop("the journal"), **bounded}), taken["log"], taken["status"])

    assert {name: done for name, done in vision.items() if not set(done) <= REFUSALS} == {}
    assert len(vision) >= 30
    assert publisher["hear"][2] == "EAGAIN", "a wait at a word of a file answers as if the word had changed"
    publisher["hear"][2] = "EPERM"
    assert {name: done for name, done in publisher.items() if not set(done) <= REFUSALS} == {}
    assert seen == ([], [])
    assert (taken["heard"], "DEAF" in taken["deaf"]) == ("", True)
    assert MARK not in taken["journal"].replace("\\x", "").lower()
    assert "PICTURE-OF-A-CUSTOMER" not in taken["journal"] + taken["status"]
    assert taken["log"] == "", "of what systemd says about it, only errors are kept"
    counting.settle()


def test_a_file_server_in_its_root(counting: Shop, served: Callable[[str], None]) -> None:
    """Where a file system of others is mounted beneath /usr, vision isn't sealed and says why; without it, it is."""
    served("/usr/local/share/served")
    counting.box.ssh(f"systemctl restart --no-block {VISION}")
    wait_until(lambda: counting.told(VISION, "ActiveState") == ["failed"], "vision to give up", 120)
    code = counting.told(VISION, "ExecMainStatus")
    journal = counting.box.ssh(f"journalctl -o cat --no-pager -n 5 -u {VISION}").stdout
    counting.box.ssh(f"umount -l /usr/local/share/served; systemctl reset-failed {VISION}; systemctl start {VISION}")
    counting.counting()

    assert (code, "network or FUSE file systems are mounted: " in journal) == (["77"], True), journal
    counting.settle()


def test_a_clip_elsewhere(counting: Shop) -> None:
    """A clip outside the service's root is missed in a sentence that names the drop-in, and the drop-in shows it."""
    config = counting.box.root / "etc/footfall/footfall.yaml"
    good = config.read_text()
    clip = counting.box.root / "srv/clips/door.mp4"
    clip.parent.mkdir(parents=True)
    source = re.search(r"source: (\S+)", good)
    assert source is not None
    shutil.copy(counting.box.root / source[1].lstrip("/"), clip)
    drop_in = counting.box.root / "etc/systemd/system/footfall-vision@door.service.d/paths.conf"
    with changed(counting, (config, good.replace(source[1], "/srv/clips/door.mp4"))):
        counting.box.ssh(f"systemctl restart --no-block {VISION}")
        wait_until(lambda: counting.told(VISION, "ExecMainStatus") == ["74"], "vision to miss it", 120)
        said = counting.box.ssh(f"journalctl -o cat --no-pager -n 3 -u {VISION}").stdout
        with changed(counting, (drop_in, "[Service]\nBindReadOnlyPaths=/srv/clips\n")):
            counting.box.ssh(f"systemctl restart {VISION}")
            sealed = counting.told(VISION, "StatusText")
    counting.box.ssh(f"systemctl restart {VISION}")
    counting.counting()

    assert "type: sudo systemctl edit footfall-vision@door" in said
    assert "BindReadOnlyPaths=/srv/clips" in said
    assert sealed == ["sealed"]
    counting.settle()


LIES: dict[str, tuple[str, str, str]] = {
    "a folder to write to": (f"{VISION}.service.d", "BindPaths=/srv", "BindPaths in"),
    "a device": (f"{PUBLISHER}.service.d", "DeviceAllow=char-video4linux rw", "DeviceAllow, beside"),
    "a library": (f"{VISION}.service.d", "Environment=LD_PRELOAD=/srv/evil.so", "Environment in"),
    "a neighbour's sockets": (f"{PUBLISHER}.service.d", "BindReadOnlyPaths=/run/dbus", "BindReadOnlyPaths in"),
    "for every service": ("service.d", "PrivateNetwork=no", "PrivateNetwork in"),
}
"""Drop-ins that open a way: where each stands, what it says, and what is found."""
HALF_SEALED = """

from edge.sandbox import seccomp as _seccomp, self_test as _self_test

_seccomp.close = lambda *_, **__: None
_self_test.SelfTest.run = lambda self, **_: (["x"] * 246, [])
"""
"""At the end of seal.py: it loads no filter of its own, and says that it is sealed."""


def test_privacy_finds_each_change(counting: Shop) -> None:
    """
    What somebody has changed on a box is found by `footfall privacy`, each thing by itself: a vision that is sealed
    only by the thirty filters that systemd loads, drop-ins, a line of the unit that no list names, a file, byte code.
    """
    release = counting.box.root / "opt/footfall/releases" / counting.release()
    folder = packages(counting) / "edge"
    seal, unit = folder / "vision/seal.py", release / "systemd/footfall-vision@.service"
    # Of a module that `privacy` itself has no need of.
    code, other = (next((folder / "vision/__pycache__").glob(f"{name}.*.pyc")) for name in ("odometer", "preview"))
    good = code.read_bytes()
    with changed(counting, (seal, seal.read_text() + HALF_SEALED)):
        counting.box.ssh(f"systemctl restart {VISION}")
    status = counting.told(VISION, "StatusText")
    families = "RestrictAddressFamilies=AF_UNIX"
    dropped = counting.box.root / "etc/systemd/system"
    changes = [
        (dropped / place / f"zz-{number}.conf", f"[Service]\n{text}\n")
        for number, (place, text, _) in enumerate(LIES.values())
    ]
    changes += [(unit, unit.read_text().replace(families, f"{families} AF_INET")), (folder / "more.py", "")]
    with changed(counting, *changes):
        code.write_bytes(good[:16] + other.read_bytes()[16:])
        began = time.monotonic()
        with counting.witness.away():
            said = counting.box.ssh("/opt/footfall/current/bin/footfall privacy", check=False).stdout
        print(said, f"privacy took {time.monotonic() - began:.0f} s", sep="\n")
    code.write_bytes(good)
    counting.box.ssh(f"systemctl restart {VISION}")
    counting.counting()

    wrong = [line for line in said.splitlines() if line.startswith("  NO ")]
    expected = [found for *_, found in LIES.values()]
    expected += ["not shown to be refused", "is NOT the release's", "edge/more.py", code.name]
    assert status == ["sealed"]
    assert [found for found in expected if not any(found in line for line in wrong)] == []
    counting.settle()


SCREAM = """
import sqlite3
ledger = sqlite3.connect("/var/lib/footfall/ledger.sqlite", timeout=60)
said = "UPDATE hours SET payload = CAST(char(27) || ']0;OWNED' || char(7) || payload AS BLOB)"
assert ledger.execute(said).rowcount > 0
ledger.commit()
"""


def test_what_a_captured_publisher_writes_is_escaped(counting: Shop) -> None:
    """No control character that a publisher has put into the ledger reaches the terminal of whoever looks as root."""
    counting.box.ssh(f"systemctl stop {PUBLISHER} {VISION} && cp /var/lib/footfall/ledger.sqlite /root/kept")
    counting.box.write("/root/scream.py", SCREAM)
    counting.box.ssh("python3 /root/scream.py")
    shown = [
        counting.box.ssh(f"timeout 120 /opt/footfall/current/bin/footfall {command}", check=False)
        for command in ("privacy", "status", "counts", "counts --json")
    ]
    counting.box.ssh(
        "rm -f /var/lib/footfall/ledger.sqlite* && cp /root/kept /var/lib/footfall/ledger.sqlite"
        f" && chown footfall-publisher: /var/lib/footfall/ledger.sqlite && systemctl start {PUBLISHER} {VISION}"
    )
    counting.counting()

    for done in shown:
        assert done.returncode != 124
        assert "\x1b" not in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr


def test_a_release_that_was_tampered_with(counting: Shop, tmp_path: Path) -> None:
    """A box takes no bundle in which a wheel was changed, none that is older; and says so before it runs any of it."""
    counting.version.set("0.0.9")
    target = counting.box.ssh("python3 -c 'import sys; print(\"x86_64-cp3%d\" % sys.version_info[1])'").stdout.strip()
    made = counting.box.deploy(
        "bundle", "--for", target, "--out", str(tmp_path / "old.tar"), script=counting.version.script
    )
    assert 0 == made.returncode, made.stderr
    before = counting.release()
    shutil.copy(tmp_path / "old.tar", counting.box.root / "home/tech/old.tar")
    old = counting.box.ssh("bash /opt/footfall/box take /home/tech/old.tar", check=False)
    counting.box.ssh(
        "cd /home/tech && rm -rf x && mkdir x && tar -C x -xf old.tar && cd x/footfall-*/stage"
        " && echo 'touch /root/evil' >box && cd ../.. && tar -cf ../evil.tar footfall-*"
    )
    evil = counting.box.ssh("bash /opt/footfall/box take --older /home/tech/evil.tar", check=False)
    counting.box.ssh("rm -r /home/tech/x /home/tech/*.tar")

    assert (old.returncode, "is older than" in old.stderr) == (1, True), old.stderr
    assert (evil.returncode, "isn't what the list of this release names" in evil.stderr) == (1, True), evil.stderr
    assert counting.box.ssh("test -e /root/evil", check=False).returncode == 1
    assert before == counting.release()
