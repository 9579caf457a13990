"""
What cameras do in shops, done to a sealed vision on a whole machine: pulled, stalled, broken, doubled, swapped.

All tests share one machine, booted once, and each leaves it counting with one camera in its left socket.
"""

from __future__ import annotations

import random

import pytest

from edge.core.tally import Flag
from tests.machine import pictures
from tests.machine.guest import wait_until
from tests.machine.image import GATEWAY
from tests.machine.shop import BY_ID, CONFIG, PUBLISHER, SLOW, VISION, Shop, needed
from tests.machine.uvc import Camera

pytestmark = [*needed, pytest.mark.xdist_group("host")]

TWO = """
site: sh-023
timezone: Asia/Shanghai
cameras:
  door:
    source: {left}
    size: [640, 480]
    lines:
      entrance: {{from: [0.03, 0.52], to: [0.97, 0.52], inside: [0.5, 0.9]}}
  yard:
    source: {right}
    size: [640, 480]
    lines:
      entrance: {{from: [0.03, 0.52], to: [0.97, 0.52], inside: [0.5, 0.9]}}
broker: {{host: {gateway}, port: {port}, tls: false}}
"""
"""A box with a camera in each socket."""
LITTLE = "[Service]\nTimeoutStartSec=1200\nMemoryMax=40M\n"
"""Less memory than vision needs to start."""


@pytest.fixture(scope="module", name="made")
def _made(booted: Shop) -> Shop:
    """Let the camera of the box that all share give a picture every other second."""
    booted.plugs["left"].camera.fps = 0.5
    booted.more_readings("before the first test")
    return booted


@pytest.fixture(name="camera")
def _camera(made: Shop) -> Camera:
    """Return the camera in the left socket."""
    return made.plugs["left"].camera


def process(made: Shop, unit: str = VISION) -> list[str]:
    """Return the process of a service, and how often it was started anew."""
    return made.told(unit, "MainPID", "NRestarts")


def flagged(made: Shop, flag: Flag, since: int) -> bool:
    """Tell whether a reading after the first *since* ones carries *flag*."""
    rows = made.ledger("SELECT flags FROM readings ORDER BY stream, sequence")
    return any(int(str(flags)) & flag for (flags,) in rows[since:])


def test_a_camera_that_is_pulled_and_plugged_in_again(made: Shop, camera: Camera) -> None:
    """The same sealed process opens it again; meanwhile its readings say that it was away."""
    before, readings = process(made), made.readings()
    made.pull()
    wait_until(lambda: flagged(made, Flag.CAMERA_LOST, readings), "a reading that says that the camera is away")
    commits = camera.commits
    made.plug(camera)
    wait_until(lambda: camera.commits > commits, "the camera to be opened again")
    camera.give(5)
    made.more_readings("after the camera was plugged in again")

    assert before == process(made)
    assert made.sealed()


def test_a_camera_that_stalls(made: Shop, camera: Camera) -> None:
    """A camera that answers and gives no picture is lost, opened again and again, and counts once it gives some."""
    before, readings = process(made), made.readings()
    camera.stalled = True
    wait_until(lambda: flagged(made, Flag.CAMERA_LOST, readings), "a reading that says that the camera is lost")
    commits = camera.commits
    wait_until(lambda: camera.commits > commits, "the stalled camera to be opened again")
    camera.stalled = False
    camera.give(5)
    made.more_readings("after the camera has stalled")

    assert before == process(made)
    assert made.sealed()


def test_a_camera_that_gives_broken_pictures(made: Shop, camera: Camera) -> None:
    """About two of three pictures are cut off or noise; the process looks at the others and lives."""
    before = process(made)
    dice = random.Random(21)

    def spoil(jpeg: bytes) -> bytes:
        return dice.choice([jpeg, jpeg[: dice.randrange(1, len(jpeg))], dice.randbytes(len(jpeg) // 2)])

    camera.spoil = spoil
    camera.give(40)
    made.more_readings("among broken pictures")
    camera.spoil = None
    camera.give(5)
    made.more_readings("after broken pictures")

    assert before == process(made)
    assert made.sealed()


def test_two_cameras_of_one_type_that_swap_their_numbers(made: Shop, camera: Camera) -> None:
    """
    Both have one serial number. Named by their plugs, each service keeps its own camera, also when the numbers are
    given the other way round; `check` warns where a camera is named by its number.
    """
    other = Camera(pictures.walking(), fps=0.5)
    made.plug(other, "right")
    wait_until(lambda: len(by_path(made)) == 2, "udev to name both cameras")
    left = made.box.ssh(f"readlink -f {BY_ID.format('0001')}; ls -l /dev/v4l/by-id /dev/v4l/by-path").stdout
    print(left)
    names = by_path(made)
    mine = next(name for name in names if same_device(made, name, "/dev/video0"))
    (theirs,) = (name for name in names if name != mine)
    made.configure(TWO.format(left=mine, right=theirs, gateway=GATEWAY, port=made.hq.port))
    made.box.ssh("systemctl start footfall-diode@yard.socket footfall-vision@yard")
    wait_until(lambda: camera.streams and other.streams, "both cameras to stream")
    assert [mine, theirs] == [held(made, "door"), held(made, "yard")]

    made.pull("left")
    made.pull("right")
    wait_until(lambda: not by_path(made), "both names to be gone")
    # As long as a pulled camera is open, the kernel gives its number to no other.
    open_ = "find /proc/[0-9]*/fd -lname '/dev/video*' 2>/dev/null"
    wait_until(lambda: not made.box.ssh(open_, check=False).stdout, "both visions to let go of their cameras")
    commits = camera.commits, other.commits
    made.plug(other, "right")
    wait_until(lambda: other.commits > commits[1], "the right camera to be opened again")
    made.plug(camera)
    wait_until(lambda: camera.commits > commits[0], "the left camera to be opened again")

    assert same_device(made, theirs, "/dev/video0")
    assert [mine, theirs] == [held(made, "door"), held(made, "yard")]

    by_number = CONFIG.format(source="/dev/video0", gateway=GATEWAY, port=made.hq.port)
    made.box.write("/run/by-number.yaml", by_number)
    said = made.footfall("check --config /run/by-number.yaml", check=False).stdout
    assert "/dev/video0 may be the other camera after a restart" in said, said
    assert mine in said or theirs in said

    made.box.ssh("systemctl stop footfall-vision@yard footfall-diode@yard.socket")
    made.pull("right")
    made.configure(made.config)
    made.more_readings("with one camera again")


def test_a_camera_that_gives_raw_pictures(made: Shop) -> None:
    """The kernel's own test camera (vivid) has no JPEG: what it gives is looked at, sealed, too."""
    made.box.ssh("modprobe vivid n_devs=1")
    nodes = "grep -l vid-cap /sys/class/video4linux/*/name | cut -d/ -f5"

    def found() -> list[str]:
        return made.box.ssh(nodes).stdout.split()

    wait_until(found, "the test camera to be there")
    source = f"/dev/{found()[0]}"
    made.configure(CONFIG.format(source=source, gateway=GATEWAY, port=made.hq.port))
    made.more_readings("of raw pictures")
    assert made.sealed()
    made.configure(made.config)
    made.more_readings("of the camera of before")


def test_memory_is_bounded(made: Shop) -> None:
    """The kernel ends a vision that takes more memory than its unit allows, and nothing else; it is started again."""
    made.drop_in(VISION, LITTLE)
    before = made.told(PUBLISHER, "MainPID")
    made.box.ssh(f"systemctl restart --no-block {VISION}")
    wait_until(lambda: "oom-kill" in made.told(VISION, "Result"), "the kernel to end it")
    made.drop_in(VISION, SLOW.format(watchdog_s=60))
    wait_until(made.sealed, "vision to be sealed again")
    made.more_readings("with memory again")

    assert before == made.told(PUBLISHER, "MainPID")


def test_a_process_that_hangs_is_started_again(made: Shop) -> None:
    """A vision that does nothing any more is ended by systemd's watchdog, and its successor is sealed and counts."""
    made.drop_in(VISION, SLOW.format(watchdog_s=60))
    made.box.ssh(f"systemctl restart {VISION}")
    wait_until(made.sealed, "vision to be sealed")
    pid, restarts = process(made)
    made.box.ssh(f"kill -STOP $(cat /proc/{pid}/task/{pid}/children)")
    wait_until(lambda: process(made)[1] != restarts, "systemd to start it again")
    said = made.box.ssh(f"journalctl -o cat --no-pager -u {VISION}").stdout
    made.as_installed()
    made.more_readings("after the watchdog has ended it")

    assert "Watchdog timeout" in said


def by_path(made: Shop) -> list[str]:
    """Return the names of cameras by their plugs."""
    found = made.box.ssh("ls -d /dev/v4l/by-path/*-video-index0", check=False).stdout.split()
    # udev gives some plugs two names; the shorter one is what `check` recommends.
    return [name for name in found if "usbv" not in name]


def same_device(made: Shop, one: str, other: str) -> bool:
    """Tell whether two names are of one device."""
    return len(set(made.box.ssh(f"stat -L -c %t:%T {one} {other}").stdout.split())) == 1


def held(made: Shop, camera: str) -> str:
    """Return by its plug which camera a vision has open."""
    script = (
        f"for p in $(cat /sys/fs/cgroup$(systemctl show -P ControlGroup footfall-vision@{camera})/cgroup.procs); do"
        " find /proc/$p/fd -lname '/dev/video*' -exec stat -L -c %t:%T {} +; done"
    )
    (device,) = set(made.box.ssh(script).stdout.split())
    for name in by_path(made):
        if device == made.box.ssh(f"stat -L -c %t:%T {name}").stdout.strip():
            return name
    raise AssertionError(f"no camera is {device}")
