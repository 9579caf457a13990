"""
V4L2 cameras through the real OpenCV, which is shown one that is none: v4l2_camera.c stands where the kernel stands.

Not every machine has a camera, or a kernel that can pretend to; a C compiler is all that is needed here.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from edge.core.clock import KernelClock, TrialClock
from edge.core.tally import SIZE, Flag, Tally, decode
from tests import piece
from tests.publisher.rig import wait_until

ROOT = Path(__file__).parent.parent.parent
COMPILER = shutil.which("cc")

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(COMPILER is None, reason="needs a C compiler: apt-get install gcc libc6-dev"),
]

PREPARE = """
    import json
    from pathlib import Path
    from edge.core.clock import KernelClock
    from edge.config.schema import Camera
    from edge.core.errors import CameraError
    from edge.vision.camera import Capture, V4l2Source

    line = {"from": [0.1, 0.5], "to": [0.9, 0.5], "inside": [0.5, 0.9]}
    device, mode = Path("video0"), Path("mode")
    camera = Camera.model_validate({"source": str(device.resolve()), "size": [320, 240], "lines": {"line": line}})

    def attempt(call):
        try:
            return call().pixels.shape
        except CameraError as exc:
            return f"{type(exc).__name__}: {exc}"

    def plug_in():
        # The new file is there before the old one goes, so that the two are told apart.
        Path("new").touch()
        Path("new").replace(device)
"""


@pytest.fixture(name="kernel", scope="module")
def _kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build what stands where the kernel stands."""
    library = tmp_path_factory.mktemp("kernel") / "v4l2_camera.so"
    source = Path(__file__).with_name("v4l2_camera.c")
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture(name="bench")
def _bench(kernel: Path, tmp_path: Path) -> dict[str, str]:
    """Put a camera into a folder, with ten pictures, each brighter than the one before; return the environment."""
    for number in range(10):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), np.full((240, 320, 3), 20 * number + 20, np.uint8))
    (tmp_path / "video0").touch()
    (tmp_path / "mode").write_text("ok")
    return {
        **os.environ,
        "LD_PRELOAD": str(kernel),
        "FAKE_CAMERA": str(tmp_path / "video0"),
        "FAKE_FRAMES": str(tmp_path),
        "FAKE_MODE": str(tmp_path / "mode"),
        "PYTHONPATH": str(ROOT),
    }


def told(bench: dict[str, str], body: str) -> Any:
    """Run *body* after `PREPARE` beside the camera, and return the JSON that it printed last."""
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PREPARE) + textwrap.dedent(body)],
        env=bench,
        cwd=bench["FAKE_FRAMES"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert 0 == said.returncode, said.stderr
    return json.loads(said.stdout.splitlines()[-1])


def lost(bench: dict[str, str]) -> str:
    return f"CameraLost: camera {bench['FAKE_CAMERA']}: it gives no more pictures; look at its plug and cable"


def test_pictures_come_in_order_and_size(bench: dict[str, str]) -> None:
    """The size, the rate and MJPG are asked for, and the camera's pictures come one after another."""
    frames = told(
        bench,
        """
        source = V4l2Source(camera, KernelClock())
        frames = [source.read() for _ in range(5)]
        capture = source._capture
        asked = [capture.get(key) for key in (3, 4, 5, 6)]
        source.close()
        print(json.dumps([asked, [(f.pixels.shape, float(f.pixels.mean()), f.t_ms) for f in frames]]))
        """,
    )
    asked, pictures = frames
    shades = [shade for _, shade, _ in pictures]
    times = [t_ms for _, _, t_ms in pictures]

    assert [320, 240, 15, cv2.VideoWriter.fourcc(*"MJPG")] == asked
    assert [[240, 320, 3]] * 5 == [shape for shape, _, _ in pictures]
    assert all(later - earlier == pytest.approx(20, abs=2) for earlier, later in itertools.pairwise(shades))
    assert times == sorted(times)


def test_a_picture_is_only_reduced_until_somebody_asks_for_it(bench: dict[str, str]) -> None:
    """The camera's own JPEG is kept, and unpacked in grey and reduced; all px come when they are asked for."""
    reduced, before, after = told(
        bench,
        """
        frame = V4l2Source(camera, KernelClock()).read()
        before = frame._pixels is None
        print(json.dumps([frame.reduced.shape, before, frame.pixels.shape]))
        """,
    )

    assert ([60, 80], True, [240, 320, 3]) == (reduced, before, after)


def test_a_damaged_picture_is_left_out(bench: dict[str, str]) -> None:
    """The next one is given in its place; a camera that gives nothing else is lost."""
    folder = Path(bench["FAKE_FRAMES"])
    for number in (0, 3, 4):
        (folder / f"{number}.jpg").write_bytes(b"\xff\xd8 no picture")
    shades, end = told(
        bench,
        """
        source = V4l2Source(camera, KernelClock())
        shades = [round(float(source.read().pixels.mean())) for _ in range(7)]
        for file in Path().glob("*.jpg"):
            file.write_bytes(bytes(100))
        print(json.dumps([shades, attempt(source.read)]))
        """,
    )

    assert 7 == len(shades)
    assert {40, 60, 120, 140, 160, 180, 200} == set(shades)
    assert (
        f"CameraLost: camera {bench['FAKE_CAMERA']}: none of its pictures can be unpacked; look at its plug and cable"
        == end
    )


def test_an_unplugged_camera_is_lost(bench: dict[str, str]) -> None:
    """A device that is gone gives no picture, but CameraLost."""
    outcome = told(
        bench,
        """
        source = V4l2Source(camera, KernelClock())
        before = attempt(source.read)
        mode.write_text("gone")
        print(json.dumps([before, attempt(source.read), attempt(source.read)]))
        """,
    )

    assert [[240, 320, 3], lost(bench), lost(bench)] == outcome


def test_a_camera_that_says_yes_after_it_was_unplugged_is_lost(bench: dict[str, str]) -> None:
    """The library goes on giving a picture without an error; that the device's file has gone tells."""
    outcome = told(
        bench,
        """
        source = V4l2Source(camera, KernelClock())
        mode.write_text("stuck")
        before = attempt(source.read)
        device.unlink()
        print(json.dumps([before, source._capture.read()[0], attempt(source.read)]))
        """,
    )

    assert [[240, 320, 3], True, lost(bench)] == outcome


def test_a_camera_that_is_plugged_in_again_between_two_pictures_is_lost(bench: dict[str, str]) -> None:
    """Another device stands under the old name: the old one is let go, and the new one can be opened."""
    outcome = told(
        bench,
        """
        source = V4l2Source(camera, KernelClock())
        mode.write_text("stuck")
        before = attempt(source.read)
        plug_in()
        after = attempt(source.read)
        source.close()
        print(json.dumps([before, after, attempt(V4l2Source(camera, KernelClock()).read)]))
        """,
    )

    assert [[240, 320, 3], lost(bench), [240, 320, 3]] == outcome


def test_a_lost_camera_is_opened_again(bench: dict[str, str]) -> None:
    """The capture looks for it, whether its file has gone or only its pictures, and goes on when it is back."""
    outcome = told(
        bench,
        """
        rests = []

        def pause(seconds):
            rests.append(seconds)
            if len(rests) == 3:
                device.unlink(missing_ok=True)
            if len(rests) == 5:
                device.touch()
                mode.write_text("ok")

        capture = Capture(V4l2Source(camera, KernelClock()), lambda: V4l2Source(camera, KernelClock()))
        capture._pause = pause
        capture.start()
        before = capture.take(30) is not None
        mode.write_text("gone")
        while not len(rests) == 5:
            capture.take(0.01)
        while capture.lost:
            capture.take(0.01)
        after = capture.take(30) is not None
        capture.stop()
        print(json.dumps([before, rests, after]))
        """,
    )

    assert [True, [1, 2, 4, 8, 16], True] == outcome


# --- the whole process -----------------------------------------------------------------------------------------------


class Diode:
    """A pipe that stands for the diode, and what has come through it."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._came = b""

    def readings(self) -> list[Tally]:
        with contextlib.suppress(BlockingIOError):
            self._came += os.read(self.reader, 1 << 20)
        return [decode(self._came[at : at + SIZE]) for at in range(0, len(self._came), SIZE)]


@pytest.fixture(name="diode")
def _diode() -> Iterator[Diode]:
    diode = Diode()
    yield diode
    os.close(diode.reader)
    os.close(diode.writer)


def test_vision_lives_through_an_unplug(bench: dict[str, str], diode: Diode, tmp_path: Path) -> None:
    """It goes on without the camera, says so in its readings and once in its log, and counts on when it is back."""
    line = {end: list(point) for end, point in piece.LINE.items()}
    # A path that begins like a device's: unsealed, since what stands for the device is a file that is written to.
    camera = {"source": f"/dev/..{tmp_path}/video0", "size": [320, 240], "lines": {"line": line}}
    config = {"site": "s", "timezone": "UTC", "cameras": {"door": camera}, "broker": {"host": "localhost"}}
    (tmp_path / "footfall.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    clock = TrialClock(100, KernelClock().boot_ms(), 1_772_000_000_000)
    command = ["vision", "door", "--unsealed", "--config", tmp_path / "footfall.yaml", "--trial-clock", clock.spec()]
    with subprocess.Popen(
        [sys.executable, "-m", "edge", *map(str, command), f"--diode={diode.writer}"],
        env=bench,
        pass_fds=[diode.writer],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_until(lambda: diode.readings() and diode.readings()[-1].frames > 10, "pictures", 60)
            (tmp_path / "mode").write_text("gone")
            (tmp_path / "video0").unlink()
            wait_until(lambda: Flag.CAMERA_LOST in diode.readings()[-1].flags, "the loss", 60)
            gone = diode.readings()[-1].frames
            (tmp_path / "mode").write_text("ok")
            (tmp_path / "video0").touch()
            wait_until(lambda: diode.readings()[-1].frames > gone + 10, "the return", 60)
        finally:
            process.terminate()
            said = process.communicate(timeout=300)[1]

    assert 0 == process.returncode, said
    assert 1 == said.count("there is no such device") + said.count("it gives no more pictures")
    assert 1 == said.count("the camera is back")
    assert "Traceback" not in said
    assert len({tally.run for tally in diode.readings()}) == 1
